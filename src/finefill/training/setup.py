"""What a run needs before its first step: checks, device, precision, report, signals."""

from __future__ import annotations

import json
import math
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from finefill.data import Recipe, from_json
from finefill.errors import FinefillError
from finefill.nets import block_of
from finefill.training import checkpoint
from finefill.training.batches import Source
from finefill.training.distributed import World, place
from finefill.training.report import Report, Silence
from finefill.training.steps import Parts


def check_batch(recipe: Recipe, world: World) -> None:
    """The batch must divide among the processes.

    Raises:
        FinefillError: it does not, or leaves one image to each where statistics need two.
    """
    if recipe.batch % world.size:
        raise FinefillError(
            f"a batch of {recipe.batch} does not divide among {world.size} processes: "
            "use --set batch=… or another --nproc-per-node"
        )
    if recipe.batch == world.size and not recipe.sync_bn:
        raise FinefillError("sync_bn=false needs two images for each process: use --set batch=…")


def check_dilations(recipe: Recipe) -> None:
    """Dilated convolutions must reach other cells of the deepest level's map.

    Otherwise all but their middle weights meet padding alone: they keep their random values, which
    act as soon as an image is larger than those of the training.

    Raises:
        FinefillError: a rate is the map's side or more.
    """
    if recipe.generator not in ("paper", "plus") or not recipe.dilated:
        return
    halvings = len(recipe.widths) - (recipe.generator == "paper")
    smallest = min(recipe.sizes)
    side = smallest >> halvings
    if max(recipe.dilations) >= side:
        raise FinefillError(
            f"dilations of {max(recipe.dilations)} reach beyond the deepest level, whose map has a "
            f"side of {side} at a size of {smallest}: use smaller ones (--set dilations=…)"
        )


def check_window(recipe: Recipe) -> None:
    """What the perceptual network sees of the smallest batch must have cells at every layer.

    Raises:
        FinefillError: fewer than two in a row, which no loss or discriminator can look at; or
            there is no such layer.
    """
    smallest = min(recipe.sizes)
    if recipe.perceptual_window:
        smallest = min(smallest, round(recipe.perceptual_window * smallest / recipe.size))
    for layer in recipe.perceptual_layers:
        least = 1 << block_of(layer)  # two cells
        if smallest < least:
            raise FinefillError(
                f"{layer} needs {least} pixels, and the smallest batch shows the perceptual "
                f"network {smallest}: larger sizes, a larger perceptual_window, or other layers"
            )


def tell_windows(recipe: Recipe) -> None:
    """The largest square should fit into what is looked at.

    Warns:
        UserWarning: it is larger than a window, so part of it is not looked at.
    """
    largest = round(recipe.square_sides[1] * recipe.size / 128)
    for name in ("perceptual_window", "discriminator_window"):
        if 0 < (window := getattr(recipe, name)) < largest:
            warnings.warn(
                f"{name}={window} shows only a part of a hole of {largest} pixels at size "
                f"{recipe.size}: --set {name}={8 * math.ceil(largest / 8)} or more",
                stacklevel=2,
            )


def choose_device(name: str) -> torch.device:
    """The device of this name; ``auto`` is a CUDA device where there is one, else the CPU.

    Raises:
        FinefillError: CUDA asked for and absent, or an unknown name.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise FinefillError(f"unknown device {name!r}: choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise FinefillError("no CUDA device here: use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """bf16 where the device computes in it, unless the recipe says otherwise."""
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bf16" else torch.float32
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported()
    else:
        native = bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    return torch.bfloat16 if native else torch.float32


def hardware(device: torch.device, precision: torch.dtype) -> str:
    """Where and how precisely a run was calculated, for checkpoint, card and results."""
    return f"{device}, {str(precision).removeprefix('torch.')}"


def open_report(run: Path, recipe: Recipe, step: int, world: World, *, quiet: bool) -> Report:
    """The report of the first process; silence of the others.

    Raises:
        FinefillError: the run's folder cannot be written.
    """
    return Report(run, recipe, step, quiet=quiet) if world.first else Silence()


def stored_recipe(run: Path) -> Recipe:
    """The recipe of a run's checkpoint, to resume with.

    Raises:
        FinefillError: no checkpoint there.
    """
    return from_json(checkpoint.load(run / checkpoint.LAST)[1]["recipe"])


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM fill the list instead of ending the process; a second one ends it.

    Of several processes none ends by a second one: the launcher repeats the signals that it gets.
    """
    received: list[int] = []
    before: dict[int, Any] = {}
    world = place()

    def handler(number: int, frame: FrameType | None) -> None:
        if received and world.size == 1:
            raise KeyboardInterrupt
        if not received and world.first:
            print("stopping after this step, with a checkpoint …", file=sys.stderr)
        received.append(number)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread: signals are somebody else's
        pass
    try:
        yield received
    finally:
        for known, previous in before.items():
            signal.signal(known, previous)


def about(parts: Parts, photos: Source) -> dict[str, object]:
    """What the log says about a run at its start."""
    return {
        "recipe": json.loads(parts.recipe.to_json()),
        "device": str(parts.device),
        "processes": parts.world.size,
        "precision": str(parts.precision),
        "photographs": photos.count,
        "data": photos.fingerprint,
        "torch": torch.__version__,
    }
