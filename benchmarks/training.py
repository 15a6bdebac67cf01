"""Training speed at 128x128: what each setting brings, and the floors of the device at hand.

    python benchmarks/training.py -o docs/results/training-speed.json

All variants of a row are built first and then take turns, step by step, so that whatever else the
machine does falls on all of them; the median of their steps counts. Two floors are measured in the
same run: a step's FLOP at the speed of a large matrix product, and the bytes that its operations
read and write at the speed of a large copy. One thread of a CPU is timed by its own clock, which
stands still while other programs have the core; anything else by the wall clock.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import finefill
from finefill.data import Photos, Recipe, recipes
from finefill.training import batches, schedule, setup, stages
from finefill.training.ahead import Ahead
from finefill.training.steps import train_step
from machine import processor, script, whole_number

ASSETS = Path(finefill.__file__).parent / "assets"
# Each adds to the one before up to the low rank, the others to that. Left out: bf16 where the
# device does not calculate in it, the graph where it is no CUDA device, what a recipe has not.
VARIANTS = (
    "fp32, contiguous",
    "bf16",
    "channels-last",
    "fused Adam",
    "perceptual window",
    "discriminator window",
    "perceptual network of low rank",
    "perceptual term every second step",
    "perceptual term every second step, to relu3_3",
    "perceptual term every third step",
    "one cached batch",
    "compiled generator",
    "CUDA graph of the generator",
)
# Every how many steps the perceptual term counts, and whether only to relu3_3.
SELDOM = {
    "perceptual term every second step": (2, False),
    "perceptual term every second step, to relu3_3": (2, True),
    "perceptual term every third step": (3, False),
}


def main() -> None:
    """Parse, measure, write JSON, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--batch", type=whole_number, default=16)
    parser.add_argument("--repeats", type=whole_number, default=5, help="turns of each variant")
    parser.add_argument(
        "--steps", type=whole_number, default=2, help="steps of a turn; 20 on a GPU"
    )
    parser.add_argument(
        "--data", type=Path, nargs="*", help="photographs; crops of the bundled one"
    )
    parser.add_argument(
        "--plans", nargs="*", choices=["paper", "scenes"], default=["paper", "scenes"]
    )
    parser.add_argument("--stages", nargs="*", default=["L_rec", "all terms"])
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    if options.steps % 2:
        parser.error("--steps must be even: some variants do more in every second step")

    torch.set_num_threads(options.threads)
    device = setup.choose_device(options.device)
    paper = dataclasses.replace(recipes.paris(), perceptual_window=80)
    plans = {"paper": paper, "scenes": recipes.scenes()}
    rows: list[dict[str, Any]] = []
    result = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "torch": torch.__version__,
        "threads": options.threads,
        "load": round(os.getloadavg()[0], 1),
        "clock": clock(device).__name__,
        "batch": options.batch,
        "repeats": options.repeats,
        "steps": options.steps,
        "peaks": peaks(device),
        "rows": rows,
    }
    print(json.dumps(result["peaks"]), flush=True)
    for plan in options.plans:
        recipe = dataclasses.replace(plans[plan], batch=options.batch, rec_samples=0)
        photos = photographs(options.data, recipe)
        for stage in options.stages:
            rows.extend(measure(plan, stage, recipe, photos, device, options, result["peaks"]))
            options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written: {options.output}")


def photographs(data: list[Path] | None, recipe: Recipe) -> Photos:
    """The photographs given, or crops of the bundled one."""
    if data:
        return Photos(data, recipe)
    import tempfile

    from PIL import Image

    with tempfile.TemporaryDirectory() as folder, Image.open(ASSETS / "demo.jpg") as demo:
        for number in range(64):
            x, y = 50 * (number % 8), 30 * (number // 8)
            demo.crop((x, y, x + 200, y + 150)).save(Path(folder) / f"{number}.png")
        return Photos([Path(folder)], recipe)


def measure(
    plan: str,
    stage: str,
    recipe: Recipe,
    photos: Photos,
    device: torch.device,
    options: argparse.Namespace,
    peak: dict[str, float],
) -> list[dict[str, Any]]:
    """The variants of one plan and stage, taking turns."""
    native = setup.choose_precision("auto", device) is torch.bfloat16
    reduced = "bf16" if native else "fp32"  # where products of bf16 are emulated they only cost
    turns: dict[str, Callable[[int], None]] = {}
    counts: dict[str, dict[str, float]] = {}
    notes: dict[str, str] = {}
    for number, name in enumerate(VARIANTS):
        if ("perceptual" in name or "discriminator" in name) and stage == "L_rec":
            continue
        if name == "discriminator window" and not recipe.discriminator_window:
            continue
        if name == "perceptual network of low rank" and recipe.perceptual_rank == 1:
            continue
        if name == "compiled generator" and options.no_compile:
            continue
        if name == "bf16" and reduced != "bf16":
            continue
        if "CUDA" in name and device.type != "cuda":
            continue
        turn = variant(number, stage, recipe, photos, device, reduced)
        try:
            turn(0)  # graphs are compiled
            if name not in ("compiled generator", "CUDA graph of the generator"):
                counts[name] = count(turn)
        except Exception as error:  # a compiler that is not there, for one
            notes[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            continue
        turns[name] = turn
    now = clock(device)
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for repeat in range(options.repeats):
        for name, turn in turns.items():
            wait(device)
            begin = now()
            for step in range(options.steps):
                turn(repeat * options.steps + step)
            wait(device)
            seconds[name].append((now() - begin) / options.steps)
    rows = []
    for name in turns:
        median = statistics.median(seconds[name])
        row: dict[str, Any] = {"plan": plan, "stage": stage, "variant": name}
        row |= {"seconds": [round(s, 4) for s in seconds[name]], "median": round(median, 4)}
        row["images_per_second"] = round(recipe.batch / median, 2)
        if name in counts:
            kind = "fp32" if name == VARIANTS[0] else reduced
            row |= counts[name]
            row["floor_flop"] = round(counts[name]["flop"] / peak[f"flop_{kind}"], 4)
            row["floor_bytes"] = round(counts[name]["bytes"] / peak["copy_bytes"], 4)
        rows.append(row)
        print(json.dumps(row), flush=True)
    for name, note in notes.items():
        rows.append({"plan": plan, "stage": stage, "variant": name, "failed": note})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def variant(
    number: int, stage: str, recipe: Recipe, photos: Photos, device: torch.device, reduced: str
) -> Callable[[int], None]:
    """A training with the settings up to this number, from 1 on in the precision ``reduced``.

    A call takes a step.
    """
    name = VARIANTS[number]
    if name in SELDOM:
        every, shallow = SELDOM[name]
        layers = tuple(pair for pair in recipe.vgg_layers if pair[0] < "relu4" or not shallow)
        recipe = dataclasses.replace(recipe, perceptual_every=every, vgg_layers=layers)
    recipe = dataclasses.replace(
        recipe,
        precision="fp32" if number == 0 else reduced,
        perceptual_window=recipe.perceptual_window if number >= 4 else 0,
        discriminator_window=recipe.discriminator_window if number >= 5 else 0,
        perceptual_rank=recipe.perceptual_rank if number >= 6 else 1.0,
    )
    torch.manual_seed(0)
    parts = stages.first_stage(recipe, device)
    if stage == "all terms":
        stages.second_stage(parts, photos)
        parts.lambdas = {"adv": 0.1, "per": 0.1}
    schedule.set_rates(parts, 0)
    for net in (parts.generator, parts.average, parts.discriminator, parts.vgg):
        if net is not None and number < 2:
            net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # not in its stubs
    for optimizer in (parts.optimizer, parts.discriminator_optimizer):
        if optimizer is not None and number < 3:
            optimizer.defaults["fused"] = False
            for group in optimizer.param_groups:
                group["fused"] = False
    if device.type == "cuda":
        parts.ahead = Ahead()
    if name == "compiled generator":
        parts.shared["generator"] = torch.compile(parts.generator)  # type: ignore[assignment]  # a module
    cached = batches.next_batch(parts, photos, 0)
    if name == "CUDA graph of the generator":
        image, mask = cached
        # The cache of autocast would keep rounded weights of the step that was recorded.
        with torch.autocast("cuda", torch.bfloat16, enabled=reduced == "bf16", cache_enabled=False):
            sample = image * (1 - mask), mask
            graphed = torch.cuda.make_graphed_callables(parts.generator, sample)
        assert isinstance(graphed, torch.nn.Module)  # a module was given
        parts.shared["generator"] = graphed

    def turn(step: int) -> None:
        fresh = name != "one cached batch"
        image, mask = batches.next_batch(parts, photos, step) if fresh else cached
        if number < 2:
            image = image.contiguous()
        labels = schedule.label_source(parts.recipe, step)
        due = schedule.perceptual_due(parts.recipe, step)
        train_step(parts, image, mask, labels, perceptual=due)

    return turn


def peaks(device: torch.device) -> dict[str, float]:
    """FLOP/s of a large matrix product in fp32 and bf16, bytes/s read and written by a copy."""
    size = 8192 if device.type == "cuda" else 1536
    found = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
        found[f"flop_{name}"] = 2 * size**3 / best(lambda a=a, b=b: a @ b, device)  # type: ignore[misc]  # bound at once
    source = torch.randn(2**28 if device.type == "cuda" else 2**25, device=device)
    target = torch.empty_like(source)
    found["copy_bytes"] = 2 * source.nbytes / best(lambda: target.copy_(source), device)
    return found


def best(work: Callable[[], object], device: torch.device) -> float:
    """The shortest of several times: what the device can do."""
    times, now = [], clock(device)
    for _ in range(8):
        wait(device)
        begin = now()
        work()
        wait(device)
        times.append(now() - begin)
    return min(times)


class Bytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    """Sums the bytes of the tensors that operations read and write; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operation and count."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)]
            self.total += sum(t.nbytes for t in {id(t): t for t in tensors}.values())
        return out


def count(turn: Callable[[int], None]) -> dict[str, float]:
    """FLOP and bytes of a step: mean of six that follow each other, some without a term."""
    with FlopCounterMode(display=False) as flop, Bytes() as moved:
        for step in range(6):
            turn(step)
    return {"flop": flop.get_total_flops() / 6, "bytes": moved.total / 6}


def clock(device: torch.device) -> Callable[[], float]:
    """The process's own time where one thread does all the work, else the wall clock."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time if alone else time.perf_counter


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    script(main)
