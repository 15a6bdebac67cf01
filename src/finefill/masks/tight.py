"""Masks that end at the edge of their object, or inside it: what is left of it grows back."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.masks.meaning import Mask, scale

# To tell a tight mask; chosen on street photographs other than those of the measured rates.
EDGE, INNER, OUTER = (-2, 5), (-12, -5), (8, 14)  # first and last ring (see rings_of)
TIGHT = 1.2  # times the change further in and out that an object's outline shows
TIGHT_SIDE = 160  # pixels; larger holes (square root of their area) are looked at scaled down
TIGHT_GROW = 6  # pixels that make a tight mask wide enough


def too_tight(image: NDArray[np.uint8], mask: Mask) -> int:
    """By how many pixels to grow a mask that ends at the edge of its object, or inside it.

    What such a mask leaves of the object grows back. The colours change most across an object's
    outline; here their change along the way out of the mask is compared in rings around its edge
    with rings further in and further out.

    Measured on cars of labelled street photographs, taken for tight are

    - exact masks, and masks 3 pixels within their car: 9 of 10;
    - masks 8 pixels wider than the car: 1 of 50;
    - masks that follow no object: 1 of 3.

    Args:
        image: (H, W, 3) uint8, what the mask was drawn for.
        mask: (H, W) bool.

    Returns:
        Pixels, 0 for a mask that looks wide enough, is too thin or small to tell, or lies on
        a single colour (the object is erased already).
    """
    area = np.count_nonzero(mask)
    if not area:
        return 0
    factor = max(1.0, math.sqrt(area) / TIGHT_SIDE)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    longest = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    factor = max(factor, longest / (6 * TIGHT_SIDE))  # a few holes all over a large photo
    margin = math.ceil((OUTER[1] + 2) * factor)
    window = tuple(slice(max(at[0] - margin, 0), at[-1] + 1 + margin) for at in (rows, columns))
    part, hole = image[window], mask[window]
    if factor > 1:
        height, width = (max(1, round(length / factor)) for length in hole.shape)
        box = Image.Resampling.BOX
        part = np.asarray(Image.fromarray(part).resize((width, height), box))
        hole = scale(hole, (height, width))
    if min(hole.shape) < 3:
        return 0

    rings = rings_of(hole)
    colours = part[rings < EDGE[0]].astype(np.int16)
    if not len(colours):
        return 0
    middle = len(colours) // 2
    # The median; np.median imports all of masked arrays.
    plain = np.abs(colours - np.partition(colours, middle, axis=0)[middle]).max(axis=1) <= 8
    change = _change_across(part.astype(np.float32), rings)

    def mean(first: int, last: int) -> float:
        chosen = (rings >= first) & (rings <= last)
        # Too few pixels say nothing; infinite change there makes no mask tight.
        return float(change[chosen].mean()) if np.count_nonzero(chosen) >= 40 else math.inf

    at_edge = mean(*EDGE)
    if plain.mean() > 0.9 or math.isinf(at_edge):
        return 0
    tight = at_edge > TIGHT * (mean(*INNER) + mean(*OUTER)) / 2
    return math.ceil(TIGHT_GROW * factor) if tight else 0


def rings_of(mask: Mask) -> NDArray[np.int8]:
    """Distance from the mask's edge in pixels, rounded up: 1, 2 … outside, 0, -1 … inside."""
    return np.where(mask, 1 - _steps(~mask, 1 - INNER[0]), _steps(mask, OUTER[1])).astype(np.int8)


def _steps(mask: Mask, most: int) -> NDArray[np.int64]:
    """Distance to the nearest pixel of the mask, rounded up, or ``most`` + 1 where that is more.

    As a distance transform: along rows by the last pixel of the mask on either side, then the least
    sum of squares over the rows (Felzenszwalb & Huttenlocher 2012, whose envelope a short reach
    does without).
    """
    far, width = most + 1, mask.shape[1]
    columns = np.arange(width)
    last = np.maximum.accumulate(np.where(mask, columns, -far), axis=1)
    following = np.minimum.accumulate(np.where(mask, columns, width + far)[:, ::-1], axis=1)
    along = np.minimum(columns - last, following[:, ::-1] - columns).clip(max=far) ** 2
    least = along.copy()
    for down in range(1, min(far, len(mask))):
        np.minimum(least[down:], along[:-down] + down**2, out=least[down:])
        np.minimum(least[:-down], along[down:] + down**2, out=least[:-down])
    steps: NDArray[np.int64] = np.ceil(np.sqrt(least)).astype(np.int64).clip(max=far)
    return steps


def _change_across(image: NDArray[np.float32], rings: NDArray[np.int8]) -> NDArray[np.float32]:
    """How fast the colours of (h, w, 3) change from ring to ring: (h, w)."""
    for axis in (0, 1):
        image = _smooth(image, axis)
    way = rings.astype(np.float32)
    for axis in (0, 1):
        way = _smooth(way, axis)
    down, right = np.gradient(way)
    length = np.hypot(down, right) + np.float32(1e-3)
    change_down, change_right = np.gradient(image, axis=(0, 1))
    across = change_down * (down / length)[..., None] + change_right * (right / length)[..., None]
    return np.asarray(np.sqrt((across**2).sum(axis=2)), np.float32)


def _smooth(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Binomial weights 1 4 6 4 1 along an axis; edges are repeated."""
    values = np.moveaxis(values, axis, 0)
    for _ in range(2):
        padded = np.concatenate([values[:1], values, values[-1:]])
        values = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) * np.float32(0.25)
    return np.moveaxis(values, 0, axis)
