"""Training a DCGAN (Radford et al. 2016), the prior of the latent search that we compare with."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from finefill.data import Photos, Recipe, from_json, training_batch
from finefill.errors import FinefillError
from finefill.nets import Discriminator, LatentGenerator
from finefill.training import checkpoint, losses
from finefill.training.batches import to_device
from finefill.training.report import Report
from finefill.training.schedule import label_source
from finefill.training.setup import choose_device, choose_precision, hardware, stop_signals

KIND = "dcgan"
LATENT = 100
RATE = 2e-4
BETAS = (0.5, 0.999)
GRID = 8  # the grid of samples has 8x8


@dataclass
class Pair:
    """Everything that a step reads or changes."""

    generator: LatentGenerator
    discriminator: Discriminator
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam
    device: torch.device
    precision: torch.dtype  # of convolutions; losses are always float32

    def autocast(self) -> torch.autocast:
        """Convolutions in bf16 where that is on."""
        reduced = self.precision is torch.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=reduced)


def train_dcgan(
    recipe: Recipe,
    data: Sequence[Path] | Photos,
    run: Path,
    *,
    samples: int,
    resume: bool = False,
    max_minutes: float | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> bool:
    """Train a DCGAN on a recipe's crops; everything is written below ``run``.

    Args:
        recipe: size, crops, batch, seed, precision and writing are used; ``discriminator_width``
            is the width of both networks.
        data: folders of images or tar shards; or photographs read by these settings.
        run: folder for the checkpoint, the log and grids of samples.
        samples: length of the training in images shown.
        resume: continue from ``run``'s checkpoint; the result equals that of a run that was
            never stopped (same device and number of threads).
        max_minutes: stop cleanly with a checkpoint after this time.
        device: auto, cpu or cuda.
        quiet: no progress bar.

    Returns:
        True when the training is complete, False when stopped before.

    Raises:
        FinefillError: bad data, settings or checkpoint; or the loss is no longer finite.
    """
    deadline = time.monotonic() + max_minutes * 60 if max_minutes is not None else None
    last = run / checkpoint.LAST
    if last.exists() and not resume:
        raise FinefillError(f"{run}: holds a run already; resume it or choose another folder")
    tensors, state = _load(last) if resume else ({}, {"step": 0})
    pair = _pair(recipe, choose_device(device))
    photos = data if isinstance(data, Photos) else Photos(data, recipe, progress=not quiet)
    if state.get("data", photos.fingerprint) != photos.fingerprint:
        raise FinefillError(f"{run}: these are other photographs than the run was started with")
    step, total = int(state["step"]), samples // recipe.batch
    if resume:
        for name in ("generator", "discriminator"):
            checkpoint.load_net(name, getattr(pair, name), tensors)
            optimizer = f"{name}_optimizer"
            checkpoint.load_optimizer(optimizer, getattr(pair, optimizer), tensors)
    # One stage, as long as this training: what the bar shows.
    shown = dataclasses.replace(recipe, rec_samples=0, all_samples=samples)
    report = Report(run, shown, step, quiet=quiet)
    report.line(
        "start",
        step=step,
        kind=KIND,
        recipe=json.loads(recipe.to_json()),
        device=str(pair.device),
        precision=str(pair.precision),
        photographs=len(photos.train),
        data=photos.fingerprint,
        torch=torch.__version__,
    )
    with stop_signals() as stopping, report:
        while step < total:
            image, _ = to_device(*training_batch(photos, recipe, step), pair.device)
            scalars = train_step(
                pair, image, latents(recipe, step, len(image)), label_source(recipe, step)
            )
            step += 1
            # On an accelerator only now and then, since looking costs a wait.
            if pair.device.type == "cpu" or step % recipe.log_every == 0:
                _check_finite(scalars, step)
            report.step(step, scalars, rate=RATE)
            late = deadline is not None and time.monotonic() >= deadline
            stop = (bool(stopping) or late) and step < total
            due = step % recipe.checkpoint_every == 0 or step == total
            if due or stop:
                save(pair, recipe, last, step, photos.fingerprint)
            if due:
                report.picture(step, _grid(pair, recipe))
            if stop:
                report.line("stop", step=step)
                return False
    return True


def train_step(pair: Pair, image: Tensor, z: Tensor, labels: torch.Generator) -> dict[str, Tensor]:
    """One step of the discriminator and one of the generator; returns scalars for the log.

    The generator's loss is the non-saturating -log D(G(z)); the label of photographs is smoothed,
    that of generated images is 0 (Salimans et al. 2016).

    Args:
        pair: networks and optimizers, changed in place.
        image: (N, 3, H, W) in [-1, 1]; z: (N, latent).
        labels: source of the smoothed labels.
    """
    with pair.autocast():
        generated = pair.generator(z.to(pair.device))
    generated = generated.float()

    pair.discriminator.requires_grad_(True)
    real, fake = _logits(pair, image), _logits(pair, generated.detach())
    original, completed = losses.smoothed_labels(len(image), labels, two_sided=False)
    targets = (original.to(pair.device), completed.to(pair.device))
    discriminator_loss = losses.discriminator(real, fake, targets)
    pair.discriminator_optimizer.zero_grad(set_to_none=True)
    discriminator_loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    pair.discriminator_optimizer.step()

    pair.discriminator.requires_grad_(False)  # the generator's step needs no such gradients
    generator_loss = softplus(-_logits(pair, generated)).mean()
    pair.generator_optimizer.zero_grad(set_to_none=True)
    generator_loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    pair.generator_optimizer.step()
    return {
        "disc": discriminator_loss.detach(),
        "gen": generator_loss.detach(),
        "d_original": real.detach().sigmoid().mean(),
        "d_generated": fake.detach().sigmoid().mean(),
    }


def latents(recipe: Recipe, number: int, count: int) -> Tensor:
    """(count, latent) from U(-1, 1): a function of (seed, number)."""
    words = np.random.SeedSequence([recipe.seed, 5, number % 2**32]).generate_state(1, np.uint64)
    source = torch.Generator().manual_seed(int(words[0]) % 2**63)
    return 2 * torch.rand(count, LATENT, generator=source) - 1


def save(pair: Pair, recipe: Recipe, path: Path, step: int, fingerprint: str) -> None:
    """Write a checkpoint with everything that a resumed run needs."""
    tensors: dict[str, Tensor] = {}
    for name in ("generator", "discriminator"):
        tensors |= checkpoint.net_tensors(name, getattr(pair, name))
        optimizer = f"{name}_optimizer"
        tensors |= checkpoint.optimizer_tensors(optimizer, getattr(pair, optimizer))
    state = {
        "kind": KIND,
        "step": step,
        "samples": step * recipe.batch,
        "latent": LATENT,
        "data": fingerprint,
        "device": hardware(pair.device, pair.precision),
        "recipe": recipe.to_json(),
    }
    checkpoint.save(path, tensors, state)


def load_dcgan(path: Path) -> tuple[LatentGenerator, Discriminator, dict[str, Any]]:
    """Generator and discriminator of a checkpoint, frozen and in eval mode, and its state.

    Raises:
        FinefillError: no such file, or not a DCGAN's checkpoint.
    """
    tensors, state = _load(path)
    recipe = from_json(state["recipe"])
    width = recipe.discriminator_width
    generator = LatentGenerator(recipe.size, width, int(state["latent"]))
    discriminator = Discriminator(recipe.size, width)
    checkpoint.load_net("generator", generator, tensors)
    checkpoint.load_net("discriminator", discriminator, tensors)
    generator.eval().requires_grad_(False)
    discriminator.eval().requires_grad_(False)
    return generator, discriminator, state


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, state = checkpoint.load(path)
    if state.get("kind") != KIND:
        raise FinefillError(f"{path}: not the checkpoint of a DCGAN; choose one of train_dcgan")
    return tensors, state


def _pair(recipe: Recipe, device: torch.device) -> Pair:
    if recipe.other_sizes:
        raise FinefillError(f"recipe {recipe.name}: a DCGAN has one size; leave out other_sizes")
    torch.manual_seed(recipe.seed)
    width = recipe.discriminator_width
    try:
        generator = LatentGenerator(recipe.size, width, LATENT)
        discriminator = Discriminator(recipe.size, width)
    except ValueError as error:
        raise FinefillError(f"recipe {recipe.name}: {error}") from error
    for net in (generator, discriminator):
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs
    return Pair(
        generator,
        discriminator,
        torch.optim.Adam(generator.parameters(), RATE, BETAS, fused=True),
        torch.optim.Adam(discriminator.parameters(), RATE, BETAS, fused=True),
        device,
        choose_precision(recipe.precision, device),
    )


def _logits(pair: Pair, image: Tensor) -> Tensor:
    """(N,), float32."""
    with pair.autocast():
        logits: Tensor = pair.discriminator.layers(image)
    return logits.float().flatten()


def _check_finite(scalars: dict[str, Tensor], step: int) -> None:
    for name, value in scalars.items():
        if not torch.isfinite(value):
            raise FinefillError(
                f"step {step}: {name} is {value.item()}; the last checkpoint is kept. Start again "
                "with another seed, or with precision fp32"
            )


@torch.no_grad()
def _grid(pair: Pair, recipe: Recipe) -> NDArray[np.uint8]:
    """Images of the same 64 z each time, as the search will see them: BN in eval mode."""
    z = latents(recipe, -1, GRID**2)  # negative numbers do not occur in the steps themselves
    pair.generator.eval()
    image: Tensor = pair.generator(z.to(pair.device))
    pair.generator.train()
    side = GRID * recipe.size
    tiles = image.cpu().view(GRID, GRID, *image.shape[1:]).permute(0, 3, 1, 4, 2)
    return np.asarray(np.round((tiles.reshape(side, side, 3).numpy() + 1) * 127.5).astype(np.uint8))
