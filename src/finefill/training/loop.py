"""The training loop: two stages, validation, checkpoints, clean stops (paper §3.4, §4.1)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from finefill.data import Photos, Recipe, Stream, from_json, read_photos
from finefill.errors import FinefillError
from finefill.training import checkpoint, schedule
from finefill.training.ahead import Ahead
from finefill.training.batches import Source, next_batch
from finefill.training.distributed import join
from finefill.training.resident import on_device
from finefill.training.setup import (
    about,
    check_batch,
    check_dilations,
    check_window,
    choose_device,
    open_report,
    stop_signals,
    tell_windows,
)
from finefill.training.stages import (
    Start,
    balance,
    begin,
    first_stage,
    go_on,
    has_second_stage,
    holds_second_stage,
    is_first_stage,
    save,
    scored_alike,
    second_stage,
    warm_up,
)
from finefill.training.steps import train_step
from finefill.training.validation import validate


def train(
    recipe: Recipe,
    data: Sequence[Path] | Photos | Stream,
    run: Path,
    *,
    resume: bool = False,
    start: Start | None = None,
    max_minutes: float | None = None,
    device: str = "auto",
    resident: bool = False,
    vgg: Path | None = None,
    quiet: bool = False,
) -> bool:
    """Train a generator; everything is written below ``run``.

    Called by every process that ``torchrun`` started, it trains in all of them: each has its
    slice of the recipe's batch, and the first one writes.

    Args:
        recipe: the settings; when resuming, those to go on with.
        data: folders of images or tar shards; or photographs read by these settings; or a
            stream of shards.
        run: folder for checkpoints, log and image grids.
        resume: continue from ``run``'s checkpoint; the result equals that of a run that was
            never stopped (same device and number of threads).
        start: what gives a new run's generator its weights, in place of fresh ones (fine-tuning).
        max_minutes: stop cleanly with a checkpoint after this time.
        device: auto, cpu or cuda.
        resident: keep all photographs on the device and cut crops there; not with a stream.
        vgg: weights of the perceptual network; found by itself when None.
        quiet: no progress bar.

    Returns:
        True when both stages are complete, False when stopped before.

    Raises:
        FinefillError: bad data, settings or checkpoint; or the loss is no longer finite.
    """
    deadline = time.monotonic() + max_minutes * 60 if max_minutes is not None else math.inf
    last = run / checkpoint.LAST
    if last.exists() and not resume:
        raise FinefillError(f"{run}: holds a run already; add --resume or choose another folder")
    tensors, state = checkpoint.load(last) if resume else ({}, {"step": 0, "lambdas": {}})
    photos: Source = (
        read_photos(data, recipe, progress=not quiet) if isinstance(data, Sequence) else data
    )
    if state.get("data", photos.fingerprint) != photos.fingerprint:
        raise FinefillError(f"{run}: --data holds other photographs than the run was started with")
    step = int(state["step"])
    best = float(state.get("best", "inf"))
    if resume and not scored_alike(recipe, from_json(str(state["recipe"]))):
        best = math.inf

    with join(choose_device(device)) as (world, own_device), stop_signals() as stopping:
        check_batch(recipe, world)
        check_dilations(recipe)
        check_window(recipe)
        if world.first:
            tell_windows(recipe)
        world.check_same(
            f"{photos.fingerprint} {step} {recipe.to_json()}",
            "the processes were given other photographs, checkpoints or settings: start all of "
            "them with the same command, and keep -o where every machine sees it",
        )
        if resident:
            photos = on_device(photos, recipe, own_device)
        parts = first_stage(recipe, own_device, world)
        if resume:
            go_on(parts, tensors, state)
        else:
            begin(parts, photos, start)
        if own_device.type == "cuda":  # a CPU would only take turns
            parts.ahead = Ahead()
        parts.shared["generator"] = world.share(parts.generator, own_device)
        with open_report(run, recipe, step, world, quiet=quiet) as report:
            report.line("start", step=step, **about(parts, photos))

            def save_last() -> None:
                if world.first:
                    save(parts, last, step, best, photos.fingerprint)

            while step < recipe.total_steps:
                if step >= recipe.rec_steps and has_second_stage(recipe):
                    if is_first_stage(parts):
                        if holds_second_stage(recipe, state, tensors):
                            second_stage(parts, photos, vgg, tensors)
                        else:
                            best = float("inf")  # scores of the two stages do not compare
                            save_last()  # a run stopped from here on does all of this again
                            second_stage(parts, photos, vgg)
                            warm_up(parts, photos, step)
                    balance(parts, photos, step, report)

                schedule.set_rates(parts, step)
                image, mask = next_batch(parts, photos, step)
                labels = schedule.label_source(recipe, step)
                looks = schedule.perceptual_due(recipe, step)
                scalars = train_step(parts, image, mask, labels, perceptual=looks)
                step += 1
                check_finite(scalars, step, parts.device, force=step % recipe.log_every == 0)
                report.step(step, scalars, rate=schedule.rates(recipe, step - 1)[0])

                due = step % recipe.checkpoint_every == 0 or step == recipe.total_steps
                late = time.monotonic() >= deadline
                stop = world.any(bool(stopping) or late) and step < recipe.total_steps
                if (due or stop) and not recipe.sync_bn:
                    world.average_statistics(parts.generator, parts.average, parts.discriminator)
                if due and world.first:
                    score, scores, grid = validate(parts, photos)
                    report.validation(step, scores, grid)
                    if score < best:
                        best = score
                        save(parts, run / checkpoint.BEST, step, best, photos.fingerprint)
                if due or stop:
                    save_last()
                if stop:
                    report.line("stop", step=step)
                    return False
    return True


def check_finite(scalars: dict[str, Tensor], step: int, device: torch.device, force: bool) -> None:
    """Stop on NaN or infinity; on an accelerator only now and then, since looking costs a wait."""
    if not force and device.type != "cpu":
        return
    for name, value in scalars.items():
        if not torch.isfinite(value):
            raise FinefillError(
                f"step {step}: {name} is {value.item()}; the last checkpoint is kept. Go on from "
                "it with --resume and lower rates (--set all_rates=[1e-4,1e-5])"
            )
