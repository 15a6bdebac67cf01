"""The (averaged) generator on held-out photographs."""

from __future__ import annotations

import torch
from torch import Tensor

from finefill.data import validation_batches
from finefill.training.batches import Source, to_device
from finefill.training.distributed import ALONE
from finefill.training.steps import Parts, generator_terms, psnr, see


@torch.no_grad()
def validate(parts: Parts, photos: Source) -> tuple[float, dict[str, float], Tensor]:
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
        scene = see(parts, image, mask)
        output, completed = scene.output, scene.completed
        scalars = {k: float(v) for k, v in generator_terms(parts, scene).items()}
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
