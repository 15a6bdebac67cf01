"""One generator step and one discriminator step (paper §3.4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finefill.data import Recipe
from finefill.nets import (
    CompletionNet,
    FeatureDiscriminator,
    PatchDiscriminator,
    VGG16Features,
    around_holes,
)
from finefill.training import augment, losses
from finefill.training.ahead import Ahead
from finefill.training.build import AnyDiscriminator
from finefill.training.distributed import World


@dataclass
class Parts:
    """Everything that a step reads or changes."""

    recipe: Recipe
    generator: CompletionNet
    optimizer: torch.optim.Adam
    average: CompletionNet | None  # exponential moving average of the generator
    device: torch.device
    precision: torch.dtype  # of convolutions; losses are always float32
    # The second stage adds these:
    discriminator: AnyDiscriminator | None = None
    discriminator_optimizer: torch.optim.Adam | None = None
    vgg: VGG16Features | None = None
    lambdas: dict[str, float] = field(default_factory=dict)  # by term: "adv", "per", "match"
    # Where several processes train: this one's place, and the networks that average gradients.
    world: World = field(default_factory=World)
    shared: dict[str, nn.Module] = field(default_factory=dict)  # by name, as above
    ahead: Ahead | None = None  # where batches are made while the device computes

    def autocast(self) -> torch.autocast:
        """Convolutions in bf16 where that is on."""
        reduced = self.precision is torch.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=reduced)

    def learner(self, name: str) -> nn.Module:
        """The network to call where its own gradients come next."""
        net: nn.Module = self.shared[name] if name in self.shared else getattr(self, name)
        return net


class Judged(NamedTuple):
    """A pair as the discriminator sees it: images (N, 3, h, w), hole (N, 1, h, w)."""

    original: Tensor
    completed: Tensor
    mask: Tensor


@dataclass
class Scene:
    """A batch as the terms of the loss see it: images (N, 3, H, W), hole (N, 1, H, W)."""

    original: Tensor
    mask: Tensor
    output: Tensor  # of the generator
    completed: Tensor
    # Where a term looks at features: those of a window around the hole, and the hole in it.
    features: dict[str, Tensor] = field(default_factory=dict)  # of the original, constant
    completed_features: dict[str, Tensor] = field(default_factory=dict)
    window: Tensor | None = None
    # What the discriminator sees: both images and the hole, augmented, perhaps in a window too.
    judged: Judged | None = None


def generate(parts: Parts, image: Tensor, mask: Tensor, net: nn.Module | None = None) -> Tensor:
    """Generator output (N, 3, H, W), float32, for the image with its hole set to 0."""
    net = parts.generator if net is None else net
    with parts.autocast():
        output: Tensor = net(image * (1 - mask), mask)
    return output.float()


def see(
    parts: Parts,
    image: Tensor,
    mask: Tensor,
    net: nn.Module | None = None,
    *,
    perceptual: bool = True,
    source: torch.Generator | None = None,
) -> Scene:
    """Complete a batch, and look at it with the perceptual network if there is one by now.

    ``source`` gives the augmentation's random numbers; without it nothing is augmented.
    """
    output = generate(parts, image, mask, net)
    scene = Scene(image, mask, output, losses.composite(image, output, mask))
    if parts.discriminator is not None:
        scene.judged = judged(parts, scene, source)
    if parts.vgg is not None and perceptual:
        original, completed, scene.window = windows(
            parts.recipe, parts.recipe.perceptual_window, image, scene.completed, mask
        )
        with parts.autocast():
            with torch.no_grad():
                scene.features = parts.vgg(original)
            scene.completed_features = parts.vgg(completed)
    return scene


def judged(parts: Parts, scene: Scene, source: torch.Generator | None) -> Judged:
    """The pair, augmented if there is a source, as far as the discriminator looks at it.

    It sees the completed image or the raw output (§4.4, Fig. 8).
    """
    recipe, drawn = parts.recipe, augment.Augmentation()
    if source is not None and recipe.augment:
        whole = augment.draw(recipe.augment, len(scene.mask) * parts.world.size, source)
        drawn = augment.Augmentation(
            **{name: parts.world.own(n) for name, n in vars(whole).items() if n is not None}
        )
    seen = scene.output if recipe.discriminator_sees == "output" else scene.completed
    pair = drawn.image(scene.original), drawn.image(seen), drawn.mask(scene.mask)
    return Judged(*windows(recipe, recipe.discriminator_window, *pair, PatchDiscriminator.CELL))


def windows(
    recipe: Recipe,
    window: int,
    original: Tensor,
    completed: Tensor,
    mask: Tensor,
    cell: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """A pair around its holes, as far as it is looked at.

    ``window`` is in pixels at the recipe's size, scaled with the batch's to whole cells; 0 is all.
    """
    if not window:
        return original, completed, mask
    side = max(cell, cell * round(window * mask.shape[-1] / recipe.size / cell))
    return around_holes(original, completed, mask, side)


def discriminate(
    parts: Parts, scene: Scene, *, completed: bool, net: nn.Module | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """One pass of the discriminator over the original or over what the generator made of it.

    The judge sees images or features. Returns its logits (N, 1, h, w), float32, and the outputs of
    its hidden layers by name, (N, C, h, w) each, where it is a patch discriminator; else no such
    outputs.
    """
    net = parts.discriminator if net is None else net
    assert net is not None
    assert scene.judged is not None
    seen: Tensor | dict[str, Tensor]
    if isinstance(parts.discriminator, FeatureDiscriminator):
        seen = scene.completed_features if completed else scene.features
    else:
        seen = scene.judged.completed if completed else scene.judged.original
    hidden: dict[str, Tensor] = {}
    with parts.autocast():
        if isinstance(net, PatchDiscriminator):
            assert isinstance(seen, Tensor)
            hidden = net.features(seen)
            logits = net.score(hidden)
        else:
            logits = net(seen, judged_hole(parts, scene))
    return logits.float(), hidden


def judged_hole(parts: Parts, scene: Scene) -> Tensor:
    """The hole in what the discriminator sees: (N, 1, h, w)."""
    if isinstance(parts.discriminator, FeatureDiscriminator):
        assert scene.window is not None
        return scene.window
    assert scene.judged is not None
    return scene.judged.mask


def constant(scene: Scene) -> Scene:
    """The same without the generator's graph."""
    features = {name: found.detach() for name, found in scene.completed_features.items()}
    seen = scene.judged and scene.judged._replace(completed=scene.judged.completed.detach())
    return dataclasses.replace(
        scene,
        judged=seen,
        output=scene.output.detach(),
        completed=scene.completed.detach(),
        completed_features=features,
    )


def discriminator_step(parts: Parts, scene: Scene, labels: torch.Generator) -> dict[str, Tensor]:
    """Eq. 5, one step of the discriminator; what was completed is taken as a constant."""
    assert parts.discriminator is not None
    assert parts.discriminator_optimizer is not None
    scene = constant(scene)
    count = len(scene.mask) * parts.world.size  # a sample's labels are those of the whole batch
    pair = losses.smoothed_labels(count, labels, two_sided=parts.recipe.two_sided_smoothing)
    pair = (parts.world.own(pair[0]).to(parts.device), parts.world.own(pair[1]).to(parts.device))
    share = parts.discriminator.hole_share(judged_hole(parts, scene))
    judge = parts.learner("discriminator")
    original_logits, _ = discriminate(parts, scene, completed=False, net=judge)
    completed_logits, _ = discriminate(parts, scene, completed=True, net=judge)
    if parts.recipe.adversarial == "relativistic":
        loss = losses.relativistic(original_logits, completed_logits, share)
    else:
        loss = losses.discriminator(original_logits, completed_logits, pair, share)
    loss = loss * parts.world.weight(share.sum())
    parts.discriminator_optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    parts.discriminator_optimizer.step()
    return {
        "disc": loss.detach(),
        "d_original": in_holes(parts, original_logits.detach().sigmoid(), share),
        "d_completed": in_holes(parts, completed_logits.detach().sigmoid(), share),
    }


def in_holes(parts: Parts, scores: Tensor, share: Tensor) -> Tensor:
    """Mean of scores over the holes; of several processes, each one's part of it."""
    return (scores * share).sum() / share.sum().clamp(min=1e-12) * parts.world.weight(share.sum())


def reconstruction(parts: Parts, image: Tensor, output: Tensor, mask: Tensor) -> Tensor:
    """Eq. 3, or what Context Encoders have in its place."""
    recipe = parts.recipe
    if recipe.reconstruction == "l2":
        overlap = round(recipe.overlap * recipe.size / 128)
        near = F.max_pool2d(mask, 2 * overlap + 1, stride=1, padding=overlap)
        term = losses.overlapping_l2(image, output, mask, overlap)
        return term * parts.world.weight(near.sum())
    return losses.reconstruction(image, output, mask) * parts.world.weight(mask.sum())


def feature_distance(
    parts: Parts,
    original: Mapping[str, Tensor],
    completed: Mapping[str, Tensor],
    mask: Tensor,
    layers: Mapping[str, float],
) -> Tensor:
    """Eq. 7 for features of the original and the completed image; weights by layer."""
    weights = dict(layers)
    if parts.world.size > 1:  # each layer's scale is the mean over the whole batch
        scales = {name: losses.mean_activation(original[name]) for name in weights}
        means = parts.world.mean(scales)
        for name in weights:
            weights[name] *= scales[name] / means[name]  # type: ignore[assignment]  # stays on the device
    term = losses.perceptual(original, completed, mask, weights)
    return term * parts.world.weight(mask.sum())


def judged_terms(parts: Parts, scene: Scene) -> dict[str, Tensor]:
    """Eq. 6, and how far the discriminator's features are from those that it has of the original.

    A term that is off is left out. Each image passes the discriminator once, for both.
    """
    assert parts.discriminator is not None
    recipe, hole = parts.recipe, judged_hole(parts, scene)
    share = parts.discriminator.hole_share(hole)
    logits, hidden = discriminate(parts, scene, completed=True)
    if recipe.adversarial == "relativistic" or recipe.matching_proportion > 0:
        with torch.no_grad():
            original_logits, original_hidden = discriminate(parts, scene, completed=False)
    if recipe.adversarial == "relativistic":
        term = losses.relativistic(logits, original_logits, share)
    else:
        term = losses.adversarial(logits, share)
    terms = {"adv": term * parts.world.weight(share.sum())}
    if recipe.matching_proportion > 0:
        layers = dict.fromkeys(hidden, 1 / len(hidden))
        terms["match"] = feature_distance(parts, original_hidden, hidden, hole, layers)
    return terms


def generator_terms(parts: Parts, scene: Scene) -> dict[str, Tensor]:
    """Eq. 3, 6 and 7 for what a generator made of a batch: the terms that are on, by name.

    Of several processes each returns a part of a term; their mean is the term of the whole batch.
    """
    terms = {"rec": reconstruction(parts, scene.original, scene.output, scene.mask)}
    if parts.discriminator is not None:
        terms |= judged_terms(parts, scene)
    if scene.window is not None and parts.recipe.perceptual_proportion > 0:
        features = scene.features, scene.completed_features
        layers = dict(parts.recipe.vgg_layers)
        terms["per"] = feature_distance(parts, *features, scene.window, layers)
    return terms


def train_step(
    parts: Parts,
    image: Tensor,
    mask: Tensor,
    labels: torch.Generator,
    *,
    perceptual: bool = True,
) -> dict[str, Tensor]:
    """One step of every network on one batch; returns detached scalars for the log.

    Args:
        parts: networks and optimizers, changed in place.
        image: (N, 3, H, W) in [-1, 1]; mask: (N, 1, H, W), 1 = hole; of several processes each
            has its slice of the batch, and all take the step of the whole.
        labels: source of the smoothed labels and of the augmentation.
        perceptual: whether the perceptual term counts in this step; see ``perceptual_every``.
    """
    net = parts.learner("generator")
    scene = see(parts, image, mask, net, perceptual=perceptual, source=labels)
    scalars: dict[str, Tensor] = {}
    if parts.discriminator is not None:
        parts.discriminator.requires_grad_(True)
        scalars |= discriminator_step(parts, scene, labels)
        parts.discriminator.requires_grad_(False)  # the generator's step needs no such gradients

    terms = generator_terms(parts, scene)
    lambdas = dict(parts.lambdas)
    if "per" in lambdas:
        lambdas["per"] *= parts.recipe.perceptual_every
    loss = losses.total(terms, lambdas)
    parts.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    parts.optimizer.step()
    if parts.average is not None:
        update_average(parts.average, parts.generator, parts.recipe.ema_decay)
    scalars |= {name: term.detach() for name, term in terms.items()} | {"loss": loss.detach()}
    return parts.world.mean(scalars)


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """average = decay average + (1 - decay) net, BN statistics included; counters are copied."""
    for kept, new in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def psnr(original: Tensor, completed: Tensor, mask: Tensor) -> Tensor:
    """PSNR in dB of each image over its hole's pixels, peak 2: (N,)."""
    values = mask.sum((1, 2, 3)) * original.shape[1]
    square = F.mse_loss(completed * mask, original * mask, reduction="none").sum((1, 2, 3))
    return 10 * torch.log10(4 * values / square.clamp(min=1e-12))
