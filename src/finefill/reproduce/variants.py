"""Everything that the paper compares, as recipes that differ in one thing each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from finefill.data import Recipe
from finefill.errors import FinefillError


@dataclass(frozen=True)
class Budget:
    """What every variant gets alike: samples (images shown in training) and image size.

    Attributes:
        crop: side of the square that is cut at random from a photograph as it is, then scaled to
            ``size``: the paper's way with CelebA (160 -> 128, and 80 -> 64 at half its size). None:
            the photograph's shorter side is scaled to ``size`` first, its way with Paris.
    """

    samples: int = 500_000
    size: int = 128
    seed: int = 0
    crop: int | None = None

    def __post_init__(self) -> None:
        if self.size not in (64, 128):
            raise FinefillError(f"--size {self.size}: variants are planned for 64 and 128 pixels")
        if self.samples < 20 * 16:
            raise FinefillError(f"--samples {self.samples}: give at least {20 * 16}")
        if self.crop is not None and self.crop < self.size:
            raise FinefillError(f"--crop {self.crop}: give at least --size, {self.size}")


@dataclass(frozen=True)
class Variant:
    """A training to run: a recipe, and the variant whose end it starts from."""

    name: str
    title: str
    recipe: Recipe
    parent: str | None = None
    dcgan: bool = False  # an unconditional GAN, for latent search


OURS = "ours"  # the paper's method, all terms

PERCEPTUAL_SETS = {
    "relu1_2": ("relu1_2",),
    "relu2_2": ("relu2_2",),
    "relu3_3": ("relu3_3",),
    "relu4_3": ("relu4_3",),
    "relu5_3": ("relu5_3",),  # where weights that deep are at hand
    "relu1_2+2_2+3_3": ("relu1_2", "relu2_2", "relu3_3"),
    "relu2_2+3_3+4_3": ("relu2_2", "relu3_3", "relu4_3"),
}


def base(budget: Budget) -> Recipe:
    """The paper's recipe at a budget, all terms: half of the samples for each stage.

    At 64 pixels the generator has one level less, so that its deepest level sees the image at
    16x16 as at 128, and the discriminator starts half as wide.
    """
    levels = 4 if budget.size == 128 else 3
    steps = budget.samples // 16
    return Recipe(
        "reproduce",
        seed=budget.seed,
        size=budget.size,
        crop=(budget.crop or budget.size,) * 2,
        shorter_side=None if budget.crop else budget.size,
        widths=(32, 64, 128, 128)[:levels],
        depths=(1, 2, 2, 2)[:levels],
        discriminator_width=budget.size // 2,
        perceptual_window=budget.size * 3 // 4,  # holds the largest hole and what is around it
        batch=16,
        rec_samples=budget.samples // 2,
        all_samples=budget.samples - budget.samples // 2,
        log_every=25,
        checkpoint_every=max(1, steps // 8),
    )


def variants(budget: Budget) -> dict[str, Variant]:
    """All variants by name, parents before their children."""
    full = base(budget)
    half = full.rec_samples

    def change(recipe: Recipe, **values: object) -> Recipe:
        return dataclasses.replace(recipe, **values)  # type: ignore[arg-type]  # names are checked

    coarse = change(full, adversarial_proportion=0.0, perceptual_proportion=0.0)
    stage = change(coarse, all_samples=0)
    joint = change(  # Context Encoders train all terms together from the start
        full,
        generator="context_encoder",
        reconstruction="l2",
        rec_samples=0,
        all_samples=budget.samples,
        all_rates=(1e-3, 1e-5),
        perceptual_proportion=0.0,
        fixed_lambdas=(("adv", 0.001 / 0.999),),
        discriminator_warmup=0,
    )
    # The generator of the shipped models; at 64 pixels with a level less, as the paper's plan.
    beyond: dict[str, Any] = {
        "generator": "plus",
        "widths": (48, 96, 128) if budget.size == 128 else (64, 128),
        "depths": (1, 2, 1) if budget.size == 128 else (1, 2),
        "dilations": (1, 2, 4, 8, 1, 2, 4, 8, 1, 2),
    }
    found = [
        Variant("stage1", "L_rec, first stage", stage),
        Variant(OURS, "L_rec + L_adv + L_per", full, "stage1"),
        Variant("adv", "L_rec + L_adv", change(full, perceptual_proportion=0.0), "stage1"),
        Variant(
            "ce-center",
            "Context Encoder, trained on centre squares",
            change(joint, discriminator="local", mask_mix=(("center", 1.0),)),
        ),
        Variant("ce-random", "Context Encoder, trained on random squares", joint),
        Variant("rec", "L_rec", coarse, "stage1"),
        Variant("per", "L_rec + L_per", change(full, adversarial_proportion=0.0), "stage1"),
        Variant("no-dilation", "without dilation", change(coarse, dilated=False)),
        Variant(
            "no-intermediate", "without intermediate layers", change(coarse, intermediate=False)
        ),
        Variant(
            "ce-generator",
            "generator of Context Encoders",
            change(coarse, generator="context_encoder"),
        ),
        Variant(
            "raw",
            "discriminator sees the raw output",
            change(full, discriminator_sees="output"),
            "stage1",
        ),
    ]
    for name, layers in PERCEPTUAL_SETS.items():
        if name != "relu2_2+3_3+4_3":  # that is OURS
            recipe = change(full, vgg_layers=tuple((layer, 1.0) for layer in layers))
            found.append(Variant(f"vgg-{name}", f"L_per on {name}", recipe, "stage1"))
    for name, values in {
        "adv-0.1": {"adversarial_proportion": 0.1},
        "per-0.7": {"perceptual_proportion": 0.7},
        "per-5": {"perceptual_proportion": 5.0},
        "adv-1": {"adversarial_proportion": 1.0},
    }.items():
        term, share = name.split("-")
        recipe = change(full, **values)
        title = f"gradient of L_{term} {share} times that of L_rec"
        found.append(Variant(name, title, recipe, "stage1"))
    found += [
        Variant(
            "gfc",
            "GFC-like",
            change(
                full,
                generator="gfc",
                discriminator="local+image",
                reconstruction="l2",
                overlap=0,
                adversarial_proportion=0.6,  # two discriminators
                perceptual_proportion=0.0,
                rec_samples=half,
            ),
        ),
        Variant("dcgan", "DCGAN for latent search", full, dcgan=True),
        Variant("plus-stage1", "plus, first stage", change(stage, **beyond)),
        Variant("plus-rec", "plus, L_rec", change(coarse, **beyond), "plus-stage1"),
        Variant("plus", "plus, all terms", change(full, **beyond), "plus-stage1"),
        Variant(
            "plus-center",
            "plus, all terms, trained on centre squares",
            change(full, **beyond, mask_mix=(("center", 1.0),)),
        ),
        Variant(
            "ours-center",
            "ours, trained on centre squares",
            change(full, mask_mix=(("center", 1.0),)),
        ),
        Variant(
            "rec-center",
            "ours with L_rec alone, trained on centre squares",
            change(coarse, mask_mix=(("center", 1.0),)),
        ),
        Variant(
            "mild-center",
            "ours, shares 5 and 0.1, trained on centre squares",
            change(
                full,
                perceptual_proportion=5.0,
                adversarial_proportion=0.1,
                mask_mix=(("center", 1.0),),
            ),
        ),
    ]
    return {variant.name: variant for variant in found}
