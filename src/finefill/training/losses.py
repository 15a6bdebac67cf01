"""Eq. 1-7 of the paper, one pure function each.

Everywhere: mask M is 1 where a pixel is to be completed, images are (N, 3, H, W) in [-1, 1],
masks (N, 1, H, W) in {0, 1}. The equation numbers are those of the paper. Nothing here calls
backward or keeps a state.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

OVERLAP_WEIGHT = 10.0  # of the ring around the hole, in Context Encoders' reconstruction


def total(terms: Mapping[str, Tensor], lambdas: Mapping[str, float]) -> Tensor:
    """Eq. 1: L = L_rec + lambda_adv L_adv + lambda_per L_per, all scalars.

    Args:
        terms: ``rec`` (weight 1) and what else is on: ``adv``, ``per``, or beyond the paper
            ``match``.
        lambdas: by the same names; a term without one does not count.
    """
    loss = terms["rec"]
    for name, weight in lambdas.items():
        if name in terms:
            loss = loss + weight * terms[name]
    return loss


def smooth_l1(t: Tensor) -> Tensor:
    """Eq. 2: s(t) = 0.5 t^2 where |t| < 1, |t| - 0.5 elsewhere; element by element."""
    size = t.abs()
    return torch.where(size < 1, 0.5 * t * t, size - 0.5)


def reconstruction(original: Tensor, output: Tensor, mask: Tensor) -> Tensor:
    """Eq. 3: L_rec = sum s(M (x - G)) / sum M, over the hole's pixels and channels only.

    Returns a scalar; 0 when no pixel is masked.
    """
    values = mask.sum() * original.shape[1]  # M counts once for each channel
    return smooth_l1(mask * (original - output)).sum() / values.clamp(min=1)


def overlapping_l2(original: Tensor, output: Tensor, mask: Tensor, overlap: int) -> Tensor:
    """Context Encoders' reconstruction (Pathak et al. 2016, Eq. 1), to compare with Eq. 3.

    Mean squared error over the hole and ``overlap`` pixels around it; those weigh ten times as
    much, so that the fill meets its surroundings. Returns a scalar.
    """
    near = F.max_pool2d(mask, 2 * overlap + 1, stride=1, padding=overlap)
    weights = mask + OVERLAP_WEIGHT * (near - mask)
    values = near.sum() * original.shape[1]
    return (weights * (original - output) ** 2).sum() / values.clamp(min=1)


def composite(original: Tensor, output: Tensor, mask: Tensor) -> Tensor:
    """Eq. 4: y = M G + (1 - M) x, the completed image (N, 3, H, W)."""
    return mask * output + (1 - mask) * original


def smoothed_labels(
    count: int, generator: torch.Generator, *, two_sided: bool = True
) -> tuple[Tensor, Tensor]:
    """Labels of Eq. 5: (original, completed), each (count,), on the CPU.

    Original: U(0.8, 1). Completed: U(0, 0.2), or 0 with one-sided smoothing.
    """
    original = 0.8 + 0.2 * torch.rand(count, generator=generator)
    completed = 0.2 * torch.rand(count, generator=generator)
    return original, completed if two_sided else torch.zeros_like(completed)


def discriminator(
    original_logits: Tensor,
    completed_logits: Tensor,
    labels: tuple[Tensor, Tensor],
    hole_share: Tensor | None = None,
) -> Tensor:
    """Eq. 5: L_D = -log D(x) - log(1 - D(y)) with smoothed labels, mean over the batch.

    With a soft label t a term is the cross entropy -t log D - (1 - t) log(1 - D).

    Args:
        original_logits: D(x) before the sigmoid, (N,) or (N, 1, h, w).
        completed_logits: D(y), the same.
        labels: of the original and the completed image, (N,) each.
        hole_share: of the logits' shape, how much of a cell is hole. A cell counts by it, in both
            images: outside the hole they are equal, nothing can tell them apart. None: all count.
    """
    share = torch.ones_like(original_logits) if hole_share is None else hole_share

    def term(logits: Tensor, label: Tensor) -> Tensor:
        wanted = label.view(-1, *(1,) * (logits.dim() - 1)).expand_as(logits)
        each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return (each * share).sum() / share.sum().clamp(min=1)

    return term(original_logits, labels[0]) + term(completed_logits, labels[1])


def adversarial(completed_logits: Tensor, hole_share: Tensor) -> Tensor:
    """Eq. 6: L_adv = -log D(y), mean over the batch, from logits (N, 1, h, w).

    A discriminator with a score for each cell counts a cell by the share of it that is hole;
    where one score judges the whole image (h = w = 1), that share is 1.
    """
    return (F.softplus(-completed_logits) * hole_share).sum() / hole_share.sum().clamp(min=1)


def relativistic(better_logits: Tensor, worse_logits: Tensor, hole_share: Tensor) -> Tensor:
    """-log sigmoid(D(better) - D(worse)), mean over the hole's cells (Jolicoeur-Martineau 2018).

    Original and completed image are one scene, so a cell is compared with the same cell of the
    other. The discriminator's loss has the original as the better, the generator's the completed.
    All arguments (N, 1, h, w).
    """
    return adversarial(better_logits - worse_logits, hole_share)


def mean_activation(features: Tensor) -> Tensor:
    """mean |phi| of (N, C, H, W) in any precision: a scalar, float32."""
    return features.abs().mean(1).mean(dtype=torch.float32)


def perceptual(
    original: Mapping[str, Tensor],
    completed: Mapping[str, Tensor],
    mask: Tensor,
    weights: Mapping[str, float],
) -> Tensor:
    """Eq. 7: L_per = sum_l w_l (mean over the hole of |phi_l(x) - phi_l(y)|) / mean |phi_l(x)|.

    The paper leaves the distance open. The absolute difference keeps details sharper than its
    square. Dividing by the mean activation makes layers comparable, so that w_l is a layer's true
    share; also those of the two published VGG16 weight files, whose scales differ. The hole at
    layer l is the mask down-sampled by area, so cells on its edge count in part.

    Args:
        original: ReLU outputs phi_l(x) by name, each (N, C_l, H_l, W_l); a constant.
        completed: phi_l(y), the same shapes.
        mask: (N, 1, H, W).
        weights: w_l by layer name; these layers are used.

    Features of the discriminator in place of VGG16's make it the feature matching of Wang et al.
    2018 (pix2pixHD), cell by cell.
    """
    loss = mask.new_zeros(())
    for name, weight in weights.items():
        phi_x = original[name].detach()
        rows, columns = phi_x.shape[-2:]
        hole = F.adaptive_avg_pool2d(mask, (rows, columns))
        values = hole.sum() * phi_x.shape[1]
        # Summed over channels first: what is left for the hole to weigh is small, and in float32.
        # A sum of all in float32 would copy the features into it.
        each = F.l1_loss(completed[name], phi_x, reduction="none").sum(1, keepdim=True)
        distance = (each * hole).sum() / values.clamp(min=1)
        loss = loss + weight * distance / mean_activation(phi_x).clamp(min=1e-6)
    return loss
