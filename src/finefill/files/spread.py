"""Unknown pixels from the known ones around them: colours softly, alpha from the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RGB = NDArray[np.uint8]
# From so much of half-transparent pixels around a hole on, of so many kinds, alpha is interpolated.
SOFT, MANY = 0.25, 8
ALIKE = 16  # of 255: alpha that differs less from the interpolated one stays


def spread(rgb: RGB, weights: NDArray[np.uint8]) -> RGB:
    """Colours with little weight made of those around them that have more.

    Pull-push interpolation (Gortler et al., The Lumigraph, 1996): averages over ever larger blocks
    fill what smaller ones leave open.

    Args:
        rgb: (H, W, 3) uint8.
        weights: (H, W) uint8: 255 = stays as it is, 0 = unknown; some are above 0.

    Returns:
        (H, W, 3) uint8, a new array.
    """
    levels = [Image.fromarray(np.dstack([rgb, weights]))]
    while max(levels[-1].size) > 1 and not _is_known(levels[-1]):
        # Pillow's RGBa is multiplied by alpha: the average weighs its pixels.
        smaller = levels[-1].convert("RGBa").reduce(2).convert("RGBA")
        smaller.putalpha(smaller.getchannel("A").point(lambda value: min(255, value * 4)))
        levels.append(smaller)
    result = levels.pop().convert("RGB")
    for level in reversed(levels):
        wider = result.resize(level.size, Image.Resampling.BILINEAR)
        result = Image.composite(level.convert("RGB"), wider, level.getchannel("A"))
    return np.array(result)


def _is_known(image: Image.Image) -> bool:
    low, _ = image.getchannel("A").getextrema()
    return low == 255


def alpha_in(alpha: NDArray[Any], hole: NDArray[np.bool_]) -> NDArray[Any]:
    """Alpha for the pixels of a hole, from what is around it.

    It is that of the nearest known pixel; where much around the hole is half transparent, a
    shadow's for instance, it is interpolated.

    Args:
        alpha: (H, W) uint8 or uint16, known outside the hole.
        hole: (H, W) bool.

    Returns:
        (N,) of alpha's type, in the order of ``alpha[hole]``.
    """
    beside = _grown(hole) & ~hole
    around = alpha[beside]
    most = np.iinfo(alpha.dtype).max
    if not around.size:
        return alpha[hole]
    if (around == around[0]).all():
        return np.full(np.count_nonzero(hole), around[0], alpha.dtype)
    between = around[(around > 0) & (around < most)]
    if between.size > SOFT * around.size and len(np.unique(between)) >= MANY:
        return _interpolated(alpha, hole)
    return _nearest(alpha, hole, beside)


def _interpolated(alpha: NDArray[Any], hole: NDArray[np.bool_]) -> NDArray[Any]:
    """Alpha between what is around; what was nearly that already stays as it was."""
    step = np.iinfo(alpha.dtype).max // 255
    levels = (alpha // step).astype(np.uint8)
    weights = np.where(hole, np.uint8(0), np.uint8(255))
    soft = spread(np.repeat(levels[..., None], 3, axis=2), weights)[..., 0][hole].astype(int)
    return np.where(abs(soft - levels[hole]) > ALIKE, soft * step, alpha[hole]).astype(alpha.dtype)


def _nearest(
    alpha: NDArray[Any], hole: NDArray[np.bool_], start: NDArray[np.bool_]
) -> NDArray[Any]:
    """Alpha of the nearest pixel of ``start``: rings of pixels, one after the other.

    Steps to four and to eight neighbours take turns, so that distances are nearly Euclidean.
    """
    width = hole.shape[1] + 2
    values, left = (np.pad(array, 1).reshape(-1) for array in (alpha, hole))
    ring = np.flatnonzero(np.pad(start, 1))
    straight = (-width, -1, 1, width)
    steps = (straight, (*straight, -width - 1, -width + 1, width - 1, width + 1))
    count = 0
    while ring.size:
        found = []
        for step in steps[count % 2]:
            new = ring + step
            new = new[left[new]]
            values[new] = values[new - step]
            left[new] = False
            found.append(new)
        ring, count = np.concatenate(found), count + 1
    return values.reshape(-1, width)[1:-1, 1:-1][hole]


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With the pixels beside it."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown
