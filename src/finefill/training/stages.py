"""The two stages (§3.4): their networks, the way from one to the other, what checkpoints hold."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from finefill.data import Recipe, from_json, validation_batches
from finefill.nets import CompletionNet, VGG16Features, load_vgg16, of_low_rank
from finefill.training import build, checkpoint
from finefill.training.balance import weights
from finefill.training.batches import Source, next_batch, to_device
from finefill.training.distributed import ALONE, World, synchronise
from finefill.training.report import Report
from finefill.training.schedule import label_source, rebalance_due, set_rates
from finefill.training.setup import choose_precision, hardware
from finefill.training.steps import Parts, discriminator_step, generator_terms, see

APPROXIMATED_ON = 32  # crops that show what features have in common; 160 gain little
# Sets a new generator's weights, given held-out images (N, 3, H, W) in [-1, 1] and masks
# (N, 1, H, W) to measure statistics with: see `finefill.export.begin_with`.
Start = Callable[[CompletionNet, Iterable[tuple[Tensor, Tensor]]], None]


def first_stage(recipe: Recipe, device: torch.device, world: World = ALONE) -> Parts:
    """The parts of the reconstruction stage, with fresh weights: a function of the seed."""
    torch.manual_seed(recipe.seed)
    net = build.generator(recipe)
    if world.size > 1 and recipe.sync_bn:
        synchronise(net, device)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs
    average = copy.deepcopy(net).requires_grad_(False) if recipe.ema_decay else None
    return Parts(
        recipe=recipe,
        generator=net,
        optimizer=torch.optim.Adam(
            rate_groups(recipe, net), betas=(recipe.rec_beta1, 0.999), fused=True
        ),
        average=average,
        device=device,
        precision=choose_precision(recipe.precision, device),
        world=world,
    )


def rate_groups(recipe: Recipe, net: CompletionNet) -> list[dict[str, Any]]:
    """A generator's weights by what the learning rate is multiplied with, in their order."""
    added = [p for name, p in net.named_parameters() if name.startswith(net.added)]
    old = [p for name, p in net.named_parameters() if not name.startswith(net.added)]
    groups: list[dict[str, Any]] = [{"params": old}]
    return [*groups, {"params": added, "factor": recipe.attention_rate}] if added else groups


def begin(parts: Parts, photos: Source, start: Start | None) -> None:
    """A new run: ``start`` may set the generator's weights.

    Raises:
        FinefillError: the recipe's dilations do not fit its size, or ``start`` refuses.
    """
    if start is None:
        return
    held_out = validation_batches(photos, parts.recipe)
    start(parts.generator, (to_device(*batch, parts.device) for batch in held_out))
    if parts.average is not None:
        parts.average.load_state_dict(parts.generator.state_dict())


def go_on(parts: Parts, tensors: dict[str, Tensor], state: Mapping[str, Any]) -> None:
    """A run goes on from its checkpoint, as :func:`save` wrote it."""
    restore(parts, tensors, "generator", "average")
    if proportions(parts.recipe) == proportions(from_json(state["recipe"])):
        parts.lambdas = dict(state["lambdas"])


def proportions(recipe: Recipe) -> dict[str, float]:
    """The chosen share of each term that is on, besides L_rec, by its name."""
    shares = {
        "adv": recipe.adversarial_proportion,
        "per": recipe.perceptual_proportion,
        "match": recipe.matching_proportion,
    }
    return {name: share for name, share in shares.items() if share > 0}


def scored_alike(recipe: Recipe, before: Recipe) -> bool:
    """Whether validation scores of two recipes compare: they look at the same features."""
    names = ("reconstruction", "perceptual_layers", "vgg_layers", "perceptual_window")
    return all(getattr(recipe, n) == getattr(before, n) for n in (*names, "perceptual_rank"))


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


def second_stage(
    parts: Parts,
    photos: Source,
    vgg: Path | None = None,
    tensors: dict[str, Tensor] | None = None,
) -> None:
    """Add the discriminator and the perceptual network, as far as their terms are on.

    Args:
        parts: changed in place.
        photos: those held out show what an approximate perceptual network must keep.
        vgg: weights of the perceptual network; found by itself when None.
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
        net.to(parts.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs
        parts.discriminator = net
        parts.discriminator_optimizer = torch.optim.Adam(
            net.parameters(), betas=(0.5, 0.999), fused=True
        )
        if tensors is not None:
            restore(parts, tensors, "discriminator")
        parts.shared["discriminator"] = parts.world.share(net, parts.device)
    if recipe.perceptual_layers:
        exact = load_vgg16(recipe.perceptual_layers, vgg)
        near = exact if recipe.perceptual_rank == 1 else approximate(exact, photos, recipe)
        # Its weights never change: rounded once here, not in every step.
        parts.vgg = near.to(parts.precision)
        parts.vgg.to(parts.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs


def approximate(vgg: VGG16Features, photos: Source, recipe: Recipe) -> VGG16Features:
    """The perceptual network at the recipe's rank: the same in each process and when resumed."""
    some = dataclasses.replace(recipe, batch=APPROXIMATED_ON)
    crops, _ = to_device(*next(validation_batches(photos, some)), torch.device("cpu"))
    return of_low_rank(vgg, crops, recipe.perceptual_rank)


def warm_up(parts: Parts, photos: Source, step: int) -> None:
    """Let the discriminator alone learn a little, or its first gradients mean nothing."""
    if parts.discriminator is None:
        return
    set_rates(parts, step)
    for number in range(parts.recipe.discriminator_warmup):
        image, mask = next_batch(parts, photos, step + number)
        with torch.no_grad():
            # Its own random numbers: negative seeds do not occur in the steps themselves.
            source = label_source(parts.recipe, -1 - number)
            looks = parts.recipe.discriminator == "features"
            scene = see(parts, image, mask, perceptual=looks, source=source)
        discriminator_step(parts, scene, source)


def balance(parts: Parts, photos: Source, step: int, report: Report) -> None:
    """Set the lambdas where that is due: as the recipe fixes them, or measured."""
    if parts.recipe.fixed_lambdas:
        parts.lambdas = dict(parts.recipe.fixed_lambdas)
    elif not parts.lambdas or rebalance_due(parts.recipe, step):
        measure(parts, photos, step, report)


def measure(parts: Parts, photos: Source, step: int, report: Report) -> None:
    """Set the lambdas from mean gradient norms over the next batches (§4.2); log both."""
    recipe = parts.recipe
    active = proportions(recipe)
    sums = dict.fromkeys(("rec", *active), 0.0)
    if parts.discriminator is not None:
        parts.discriminator.requires_grad_(False)
    for number in range(recipe.balance_batches):
        image, mask = next_batch(parts, photos, step + number)
        source = label_source(recipe, step + number)
        terms = generator_terms(parts, see(parts, image, mask, source=source))
        norms = parts.world.gradient_norms(terms, list(parts.generator.parameters()))
        sums = {name: total + norms[name] for name, total in sums.items()}
    means = {name: total / recipe.balance_batches for name, total in sums.items()}
    parts.lambdas = weights(means, active)
    report.line("balance", step=step, gradient_norms=means, lambdas=parts.lambdas)


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
