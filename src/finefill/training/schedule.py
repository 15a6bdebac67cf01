"""What changes from step to step, as functions of the step: rates, labels, measuring (§4.1)."""

from __future__ import annotations

import math

import numpy as np
import torch

from finefill.data import Recipe
from finefill.training.steps import Parts


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
            group["lr"] = rate * group.get("factor", 1.0)


def label_source(recipe: Recipe, number: int) -> torch.Generator:
    """Random numbers for a step's labels: a function of (seed, number)."""
    words = np.random.SeedSequence([recipe.seed, 4, number % 2**32]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) % 2**63)


def perceptual_due(recipe: Recipe, step: int) -> bool:
    """Whether the perceptual term counts in this step of the second stage."""
    return (step - recipe.rec_steps) % recipe.perceptual_every == 0


def rebalance_due(recipe: Recipe, step: int) -> bool:
    """Whether the recipe wants the lambdas measured again before this step."""
    since = step - recipe.rec_steps
    every = recipe.balance_every
    return bool(every) and since > 0 and since % every == 0
