"""The paper's variants, small."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from finefill.reproduce.variants import Budget, Variant, variants
from finefill.training import checkpoint

SIZE = 32


def small() -> dict[str, Variant]:
    """The real variants, at 32 pixels with narrow networks and 48 samples each."""
    shrunk = {}
    for name, variant in variants(Budget(320, 64)).items():
        half = variant.recipe.rec_samples > 0, variant.recipe.all_samples > 0
        recipe = dataclasses.replace(
            variant.recipe,
            size=SIZE, crop=(SIZE, SIZE), shorter_side=SIZE, widths=(4, 8), depths=(1, 1),
            dilations=(2, 4), discriminator_width=4, validation=4, batch=4, balance_batches=1,
            discriminator_warmup=2, checkpoint_every=3, log_every=3,
            vgg_layers=(("relu1_1", 1.0),), perceptual_window=24,
            rec_samples=24 * half[0], all_samples=24 * half[1] * (2 - half[0]),
        )  # fmt: skip
        shrunk[name] = dataclasses.replace(variant, recipe=recipe)
    return shrunk


def samples_seen(run: Path) -> int:
    """Samples that a run's last checkpoint has seen."""
    return int(checkpoint.read_state(run / checkpoint.LAST)["samples"])
