"""The training loop: two stages, validation, checkpoints, clean stops (paper §3.4, §4.1)."""

from __future__ import annotations

import copy
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finefill.data import Photos, Recipe, Stream, from_json, training_batch, validation_batches
from finefill.errors import FinefillError
from finefill.nets import CompletionNet, load_vgg16
from finefill.training import balance, build, checkpoint, losses
from finefill.training.ahead import Ahead, Batch
from finefill.training.distributed import ALONE, World, join, place, synchronise
from finefill.training.report import Report, Silence
from finefill.training.steps import (
    Parts,
    discriminator_step,
    generate,
    generator_terms,
    judged,
    psnr,
    train_step,
)

# Sets a new generator's weights, given held-out images (N, 3, H, W) in [-1, 1] and masks
# (N, 1, H, W) to measure statistics with: see `finefill.export.begin_with`.
Start = Callable[[CompletionNet, Iterable[tuple[Tensor, Tensor]]], None]


def train(
    recipe: Recipe,
    data: Sequence[Path] | Photos | Stream,
    run: Path,
    *,
    resume: bool = False,
    start: Start | None = None,
    max_minutes: float | None = None,
    device: str = "auto",
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
    photos = Photos(data, recipe, progress=not quiet) if isinstance(data, Sequence) else data
    if state.get("data", photos.fingerprint) != photos.fingerprint:
        raise FinefillError(f"{run}: --data holds other photographs than the run was started with")
    step = int(state["step"])
    best = float(state.get("best", "inf"))

    with join(choose_device(device)) as (world, own_device), stop_signals() as stopping:
        check_batch(recipe, world)
        world.check_same(
            f"{photos.fingerprint} {step} {recipe.to_json()}",
            "the processes were given other photographs, checkpoints or settings: start all of "
            "them with the same command, and keep -o where every machine sees it",
        )
        if not resume:
            check_dilations(recipe)
        torch.manual_seed(recipe.seed)
        parts = first_stage(recipe, own_device, world)
        if start is not None and not resume:
            held_out = (to_device(*b, own_device) for b in validation_batches(photos, recipe))
            start(parts.generator, held_out)
            if parts.average is not None:
                parts.average.load_state_dict(parts.generator.state_dict())
        if resume:
            restore(parts, tensors, "generator", "average")
            if proportions(recipe) == proportions(from_json(state["recipe"])):
                parts.lambdas = dict(state["lambdas"])
        if own_device.type == "cuda":  # a CPU would only take turns
            parts.ahead = Ahead()
        parts.shared["generator"] = world.share(parts.generator, own_device)
        with open_report(run, recipe, step, world, quiet=quiet) as report:
            report.line(
                "start",
                step=step,
                recipe=json.loads(recipe.to_json()),
                device=str(parts.device),
                processes=world.size,
                precision=str(parts.precision),
                photographs=photos.count,
                data=photos.fingerprint,
                torch=torch.__version__,
            )

            def save_last() -> None:
                if world.first:
                    save(parts, last, step, best, photos.fingerprint)

            while step < recipe.total_steps:
                if step >= recipe.rec_steps and has_second_stage(recipe):
                    if is_first_stage(parts):
                        if holds_second_stage(recipe, state, tensors):
                            second_stage(parts, vgg, tensors)
                        else:
                            best = float("inf")  # scores of the two stages do not compare
                            save_last()  # a run stopped from here on does all of this again
                            second_stage(parts, vgg)
                            warm_up(parts, photos, step)
                    if recipe.fixed_lambdas:
                        parts.lambdas = dict(recipe.fixed_lambdas)
                    elif not parts.lambdas or rebalance_due(recipe, step):
                        measure(parts, photos, step, report)

                set_rates(parts, step)
                image, mask = next_batch(parts, photos, step)
                scalars = train_step(parts, image, mask, label_source(recipe, step))
                step += 1
                check_finite(scalars, step, parts.device, force=step % recipe.log_every == 0)
                report.step(step, scalars, rate=rates(recipe, step - 1)[0])

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
    side = recipe.size >> halvings
    if max(recipe.dilations) >= side:
        raise FinefillError(
            f"dilations of {max(recipe.dilations)} reach beyond the deepest level, whose map has a "
            f"side of {side} at a size of {recipe.size}: use smaller ones (--set dilations=…)"
        )


def open_report(run: Path, recipe: Recipe, step: int, world: World, *, quiet: bool) -> Report:
    """The report of the first process; silence of the others.

    Raises:
        FinefillError: the run's folder cannot be written.
    """
    return Report(run, recipe, step, quiet=quiet) if world.first else Silence()


def next_batch(parts: Parts, photos: Photos | Stream, number: int) -> tuple[Tensor, Tensor]:
    """This process's slice of batch ``number``, on its device: see :func:`to_device`.

    A stream goes on from where it is; only its crops and masks depend on the number.
    """
    recipe, world = parts.recipe, parts.world

    def draw(number: int) -> Batch:
        if isinstance(photos, Photos):
            return training_batch(photos, recipe, number, world.rank, world.size)
        return photos.batch(number)

    if parts.ahead is not None:
        return to_device(*parts.ahead(draw, number), parts.device)
    return to_device(*draw(number), parts.device)


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


def first_stage(recipe: Recipe, device: torch.device, world: World = ALONE) -> Parts:
    """The parts of the reconstruction stage."""
    net = build.generator(recipe)
    if world.size > 1 and recipe.sync_bn:
        synchronise(net, device)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs
    average = copy.deepcopy(net).requires_grad_(False) if recipe.ema_decay else None
    return Parts(
        recipe=recipe,
        generator=net,
        optimizer=torch.optim.Adam(net.parameters(), betas=(recipe.rec_beta1, 0.999), fused=True),
        average=average,
        device=device,
        precision=choose_precision(recipe.precision, device),
        world=world,
    )


def proportions(recipe: Recipe) -> dict[str, float]:
    """The chosen share of each term that is on, besides L_rec, by its name."""
    shares = {"adv": recipe.adversarial_proportion, "per": recipe.perceptual_proportion}
    return {name: share for name, share in shares.items() if share > 0}


def has_second_stage(recipe: Recipe) -> bool:
    """Whether any term besides L_rec is on."""
    return bool(proportions(recipe))


def is_first_stage(parts: Parts) -> bool:
    """Whether the second stage's networks are still missing."""
    return parts.discriminator is None and parts.vgg is None


def holds_second_stage(
    recipe: Recipe, state: Mapping[str, object], tensors: Mapping[str, Tensor]
) -> bool:
    """Whether a checkpoint was written in the second stage and has what the recipe needs there."""
    if recipe.adversarial_proportion > 0:
        return any(name.startswith("discriminator.") for name in tensors)
    return bool(state.get("second_stage"))


def second_stage(parts: Parts, vgg: Path | None, tensors: dict[str, Tensor] | None = None) -> None:
    """Add the discriminator and the perceptual network, as far as their terms are on.

    Args:
        parts: changed in place.
        vgg: weights of the perceptual network.
        tensors: those of a checkpoint that holds the discriminator.
    """
    recipe = parts.recipe
    for group in parts.optimizer.param_groups:
        group["betas"] = (recipe.all_beta1, 0.999)
    if recipe.adversarial_proportion > 0:
        torch.manual_seed(recipe.seed + 1)
        net = build.discriminator(recipe)
        if parts.world.size > 1 and recipe.sync_bn:
            synchronise(net, parts.device)
        net.to(parts.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs
        parts.discriminator = net
        parts.discriminator_optimizer = torch.optim.Adam(
            net.parameters(), betas=(0.5, 0.999), fused=True
        )
        if tensors is not None:
            restore(parts, tensors, "discriminator")
        parts.shared["discriminator"] = parts.world.share(net, parts.device)
    if recipe.perceptual_proportion > 0:
        parts.vgg = load_vgg16([name for name, _ in recipe.vgg_layers], vgg)
        parts.vgg.to(parts.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs


def warm_up(parts: Parts, photos: Photos | Stream, step: int) -> None:
    """Let the discriminator alone learn a little, or its first gradients mean nothing."""
    if parts.discriminator is None:
        return
    set_rates(parts, step)
    for number in range(parts.recipe.discriminator_warmup):
        image, mask = next_batch(parts, photos, step + number)
        with torch.no_grad():
            completed = judged(parts, image, generate(parts, image, mask), mask)
        # Its own stream of labels: negative seeds do not occur in the steps themselves.
        discriminator_step(parts, image, completed, mask, label_source(parts.recipe, -1 - number))


def measure(parts: Parts, photos: Photos | Stream, step: int, report: Report) -> None:
    """Set the lambdas from mean gradient norms over the next batches (§4.2); log both."""
    recipe = parts.recipe
    active = proportions(recipe)
    sums = dict.fromkeys(("rec", *active), 0.0)
    if parts.discriminator is not None:
        parts.discriminator.requires_grad_(False)
    for number in range(recipe.balance_batches):
        image, mask = next_batch(parts, photos, step + number)
        terms = generator_terms(parts, image, generate(parts, image, mask), mask)
        norms = parts.world.gradient_norms(terms, list(parts.generator.parameters()))
        sums = {name: total + norms[name] for name, total in sums.items()}
    means = {name: total / recipe.balance_batches for name, total in sums.items()}
    parts.lambdas = balance.weights(means, active)
    report.line("balance", step=step, gradient_norms=means, lambdas=parts.lambdas)


def rebalance_due(recipe: Recipe, step: int) -> bool:
    """Whether the recipe wants the lambdas measured again before this step."""
    since = step - recipe.rec_steps
    every = recipe.balance_every
    return bool(every) and has_second_stage(recipe) and since > 0 and since % every == 0


def polynomial(start: float, end: float, progress: float, power: float) -> float:
    """Polynomial decay (§4.1): end + (start - end) (1 - progress)^power, progress in [0, 1]."""
    return end + (start - end) * math.pow(1 - progress, power)


def rates(recipe: Recipe, step: int) -> tuple[float, float]:
    """Learning rates of generator and discriminator at a step."""
    if step < recipe.rec_steps:
        progress = step / recipe.rec_steps
        return polynomial(*recipe.rec_rates, progress, recipe.decay_power), 0.0
    progress = (step - recipe.rec_steps) / (recipe.total_steps - recipe.rec_steps)
    return (
        polynomial(*recipe.all_rates, progress, recipe.decay_power),
        polynomial(*recipe.discriminator_rates, progress, recipe.decay_power),
    )


def set_rates(parts: Parts, step: int) -> None:
    """Write the step's learning rates into the optimizers."""
    for optimizer, rate in zip(
        (parts.optimizer, parts.discriminator_optimizer), rates(parts.recipe, step), strict=True
    ):
        for group in optimizer.param_groups if optimizer is not None else ():
            group["lr"] = rate


def label_source(recipe: Recipe, number: int) -> torch.Generator:
    """Random numbers for a step's labels: a function of (seed, number)."""
    words = np.random.SeedSequence([recipe.seed, 4, number % 2**32]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) % 2**63)


def to_device(
    images: NDArray[np.uint8], holes: NDArray[np.bool_], device: torch.device
) -> tuple[Tensor, Tensor]:
    """(N, H, W, 3) uint8 and (N, H, W) bool -> (N, 3, H, W) in [-1, 1] and (N, 1, H, W)."""
    image = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    mask = torch.from_numpy(holes).to(device)[:, None].float()
    return image.contiguous(memory_format=torch.channels_last), mask


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


@torch.no_grad()
def validate(parts: Parts, photos: Photos | Stream) -> tuple[float, dict[str, float], Tensor]:
    """Score the (averaged) generator on the validation photographs, in one process.

    Returns:
        The score to keep the best by: the product of L_rec and L_per, which no change of the
        lambdas moves; without the adversarial term, whose judge moves. Then the scalars for the
        log, and an image grid (K, 4, 3, H, W) in [-1, 1]: input, output, completion, original.
    """
    trained = parts.generator
    judge, parts.discriminator = parts.discriminator, None  # terms without the adversarial one
    world, parts.world = parts.world, ALONE
    parts.generator = (parts.average or trained).eval()
    sums: dict[str, float] = {}
    rows: list[Tensor] = []
    count = 0
    for batch in validation_batches(photos, parts.recipe):
        image, mask = to_device(*batch, parts.device)
        output = generate(parts, image, mask)
        completed = losses.composite(image, output, mask)
        scalars = {k: float(v) for k, v in generator_terms(parts, image, output, mask).items()}
        scalars["psnr"] = float(psnr(image, completed.clamp(-1, 1), mask).mean())
        for name, value in scalars.items():
            sums[name] = sums.get(name, 0.0) + value * len(image)
        count += len(image)
        if len(rows) < 8:
            quartet = torch.stack([image * (1 - mask), output, completed, image], dim=1)
            rows.extend(quartet.clamp(-1, 1))
    trained.train()
    parts.generator, parts.discriminator, parts.world = trained, judge, world
    means = {name: total / count for name, total in sums.items()}
    score = means["rec"] * means.get("per", 1.0)
    return score, means, torch.stack(rows[:8])


def save(parts: Parts, path: Path, step: int, best: float, fingerprint: str) -> None:
    """Write a checkpoint with everything that a resumed run needs."""
    tensors = checkpoint.net_tensors("generator", parts.generator)
    tensors |= checkpoint.optimizer_tensors("optimizer", parts.optimizer)
    if parts.average is not None:
        tensors |= checkpoint.net_tensors("average", parts.average)
    if parts.discriminator is not None and parts.discriminator_optimizer is not None:
        tensors |= checkpoint.net_tensors("discriminator", parts.discriminator)
        tensors |= checkpoint.optimizer_tensors(
            "discriminator_optimizer", parts.discriminator_optimizer
        )
    state = {
        "step": step,
        "samples": step * parts.recipe.batch,
        "lambdas": parts.lambdas,
        "best": best,
        "second_stage": not is_first_stage(parts),
        "data": fingerprint,
        "device": hardware(parts.device, parts.precision),
        "recipe": parts.recipe.to_json(),
    }
    checkpoint.save(path, tensors, state)


def restore(parts: Parts, tensors: dict[str, Tensor], *names: str) -> None:
    """Load the named networks, with their optimizers, from a checkpoint's tensors."""
    for name in names:
        net = getattr(parts, name)
        if net is None:
            continue
        checkpoint.load_net(name, net, tensors)
        if name == "generator":
            checkpoint.load_optimizer("optimizer", parts.optimizer, tensors)
        elif name == "discriminator" and parts.discriminator_optimizer is not None:
            checkpoint.load_optimizer(
                "discriminator_optimizer", parts.discriminator_optimizer, tensors
            )


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
