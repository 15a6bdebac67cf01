"""Fills that meet the photograph at the hole's edge: gradient-domain blending.

What a fill lacks at the edge is added to it, spread smoothly over the whole hole; so its gradients
stay and its edge disappears, as in Poisson blending (Perez et al. 2003). The smooth spread is
interpolated directly, as in mean-value cloning (Farbman et al. 2009), by push and pull over a
pyramid (Gortler et al. 1996): time in proportion to the pixels, and no equations to solve.

Everything here costs in proportion to the pixels that it is given: the hole and what is up to
``REACH`` pixels from it are enough.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from finefill.masks import Mask, threefold

_Values = NDArray[np.float32]
TRUST = 12  # levels of 255; a difference of so much at the edge counts half
NEXT = 2  # pixels from the edge up to which both sides are compared
REACH = 4  # pixels around the hole that count, for a radius of 2
LEAST = np.float32(1e-6)
QUARTER, ONE = np.float32(0.25), np.float32(1)


def meet_edges(known: _Values, fill: _Values, hole: Mask, radius: int) -> _Values:
    """Shift the colours of a fill so that they go on from those around the hole.

    A large difference counts little: there another object begins, or what a mask drawn too tight
    has left of one, whose colour does not belong into the whole hole.

    Args:
        known: (h, w, 3), right outside the hole.
        fill: (h, w, 3), right inside the hole.
        hole: (h, w) bool.
        radius: of the blur, in pixels, within which colours on both sides of the edge are compared.

    Returns:
        (h, w, 3) float32; only what lies in the hole means anything.
    """
    height, width = hole.shape
    pixels = np.argwhere(hole & _within(~hole, NEXT))
    if not len(pixels):
        return fill
    lacking = _lacking(np.where(threefold(hole), fill, known), hole, pixels, radius)
    largest = np.abs(lacking).max(axis=1, keepdims=True) / TRUST
    weight = ONE / (ONE + largest * largest)
    # The shift is smooth: half the size is enough for it.
    weighted = np.zeros(((height + 1) // 2 * ((width + 1) // 2), 4), np.float32)
    blocks = pixels[:, 0] // 2 * ((width + 1) // 2) + pixels[:, 1] // 2
    np.add.at(weighted, blocks, np.hstack([lacking * weight, weight]) * QUARTER)
    coarse = _known_where_any(weighted.reshape((height + 1) // 2, -1, 4))
    shift: _Values = _double(blur(_spread(coarse)[..., :3], 1))[:height, :width]
    shift += fill
    return shift


def _lacking(image: _Values, hole: Mask, pixels: NDArray[np.intp], radius: int) -> _Values:
    """What is around each of N pixels outside the hole, less what is inside: (N, 3).

    Means with the weights of :func:`blur`; where there is nothing, it counts as 0.
    """
    reach = 2 * radius
    side = 2 * reach + 1
    kernel = _kernel(radius)
    colours = patches(widened(image, reach), pixels, side).reshape(len(pixels), side * side, 3)
    inside = widened(hole[..., None].astype(np.float32), reach)
    inner = kernel * patches(inside, pixels, side)

    def mean(weights: _Values) -> _Values:
        sums = np.matmul(weights[:, None], colours)[:, 0]
        means: _Values = sums / np.maximum(weights.sum(axis=1, keepdims=True), LEAST)
        return means

    return mean(kernel - inner) - mean(inner)


@cache
def _kernel(radius: int) -> _Values:
    """The weights of :func:`blur`, ((4 radius + 1)^2,), not divided by their sum."""
    box = np.ones(2 * radius + 1)
    once = np.convolve(box, box)
    return np.outer(once, once).astype(np.float32).ravel()


def widened(image: _Values, before: int, after: tuple[int, int] | None = None) -> _Values:
    """(h, w, C) with its edges repeated: so many more rows and columns before it and after it."""
    height, width, channels = image.shape
    down, right = (before, before) if after is None else after
    bottom, end = before + height, before + width
    wide = np.empty((bottom + down, end + right, channels), np.float32)
    wide[before:bottom, before:end] = image
    wide[before:bottom, :before] = image[:, :1]
    wide[before:bottom, end:] = image[:, -1:]
    wide[:before] = wide[before]
    wide[bottom:] = wide[bottom - 1]
    return wide


def patches(image: NDArray[Any], corners: NDArray[np.intp], side: int) -> NDArray[Any]:
    """Squares of (h, w, C) by their corners: (N, C side^2), rows of pixels one after the other."""
    found = squares(np.ascontiguousarray(image), side, side)[corners[:, 0], corners[:, 1]]
    return found.reshape(len(corners), -1)


def squares(image: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """All pieces of (h, w, C), whose rows lie in one piece each: a view, by their corners.

    Returns:
        (h - rows + 1, w - columns + 1, rows, C columns). Pieces share pixels: who writes at once to
        several takes some that do not overlap.
    """
    height, width, channels = image.shape
    down, right = image.strides[:2]
    shape = height - rows + 1, width - columns + 1, rows, channels * columns
    strides = down, right, down, image.itemsize
    if image.flags.c_contiguous:  # ten times as fast as the function for all arrays
        return np.ndarray(shape, image.dtype, image, 0, strides)
    return as_strided(image, shape, strides)


def spread(values: _Values, weight: _Values) -> _Values:
    """Fill what has no value with smooth averages of the nearest that have one.

    Args:
        values: (h, w, C), each times its weight.
        weight: (h, w, 1) in [0, 1]: 1 where there is a value, 0 where there is none.

    Returns:
        (h, w, C) float32; the values where the weight is 1.
    """
    return _spread(np.concatenate([values, weight], axis=2))[..., :-1]


def _spread(weighted: _Values) -> _Values:
    """:func:`spread` of (h, w, C + 1), the weight behind the values; of the result the first C."""
    height, width = weighted.shape[:2]
    if max(height, width) <= 2:
        total = weighted.sum((0, 1))
        return np.broadcast_to(total / np.maximum(total[-1], LEAST), weighted.shape)
    smooth = _double(_spread(_known_where_any(_halve(weighted))))[:height, :width]
    smooth *= ONE - weighted[..., -1:]
    smooth += weighted
    return smooth


def _known_where_any(means: _Values) -> _Values:
    """Means of four pixels, changed in place: one value among them is enough to know them."""
    weights = means[..., -1:]
    means *= np.minimum(4 * weights, ONE) / np.maximum(weights, LEAST)
    return means


def blur_where(image: _Values, chosen: Mask, radius: int) -> _Values:
    """Mean of the chosen pixels around each pixel; 0 where there is none."""
    channels = image.shape[2]
    both = np.empty((*chosen.shape, channels + 1), np.float32)
    both[..., -1] = chosen
    for channel in range(channels):  # one after the other: their axis is too short for NumPy
        np.multiply(image[..., channel], both[..., -1], out=both[..., channel])
    both = blur(both, radius)
    weights = np.maximum(both[..., -1], LEAST)
    means = np.empty((*chosen.shape, channels), np.float32)
    for channel in range(channels):
        np.divide(both[..., channel], weights, out=means[..., channel])
    return means


def blur(image: _Values, radius: int) -> _Values:
    """Two box means of 2 radius + 1 pixels along each axis; edges are repeated."""
    height, width, channels = image.shape
    sums = widened(image, 2 * radius).reshape(height + 4 * radius, -1)
    for _ in range(2):
        sums = _sum_rows(sums, radius)
    for _ in range(2):
        sums = _sum_columns(sums, radius, channels)
    sums *= np.float32((2 * radius + 1) ** -4)
    return sums.reshape(height, width, channels)


def _sum_rows(values: _Values, radius: int) -> _Values:
    """Sums of 2 radius + 1 rows that follow each other: (h - 2 radius, w)."""
    length = len(values) - 2 * radius
    sums = values[:length] + values[1 : length + 1]
    for shift in range(2, 2 * radius + 1):
        sums += values[shift : shift + length]
    return sums


def _sum_columns(values: _Values, radius: int, channels: int) -> _Values:
    """The same along rows of pixels with so many channels."""
    length = values.shape[1] - 2 * radius * channels
    sums = values[:, :length] + values[:, channels : length + channels]
    for shift in range(2, 2 * radius + 1):
        sums += values[:, shift * channels : shift * channels + length]
    return sums


def _within(mask: Mask, pixels: int) -> Mask:
    """What is up to so many pixels from the mask, along each axis."""
    found = mask.copy()
    for shift in range(1, pixels + 1):
        found[shift:] |= mask[:-shift]
        found[:-shift] |= mask[shift:]
    wide = found.copy()
    for shift in range(1, pixels + 1):
        wide[:, shift:] |= found[:, :-shift]
        wide[:, :-shift] |= found[:, shift:]
    return wide


def _halve(image: _Values) -> _Values:
    """Means of 2x2 pixels, (ceil(h / 2), ceil(w / 2), C); what is missing counts as 0."""
    height, width, channels = image.shape
    if height % 2 or width % 2:
        even = np.zeros((height + height % 2, width + width % 2, channels), np.float32)
        even[:height, :width] = image
        image = even
    rows = image[::2] + image[1::2]
    means = rows[:, ::2] + rows[:, 1::2]
    means *= QUARTER
    return means


def _double(image: _Values) -> _Values:
    """(h, w, C) at twice the size, interpolated linearly; edges are repeated: (2 h, 2 w, C)."""
    height, width, channels = image.shape
    near, far = image * np.float32(0.75), image * QUARTER
    tall = np.empty((2 * height, width, channels), np.float32)
    np.add(near[1:], far[:-1], out=tall[2::2])
    np.add(near[:-1], far[1:], out=tall[1:-1:2])
    tall[0], tall[-1] = image[0], image[-1]
    near, far = tall * np.float32(0.75), tall * QUARTER
    wide = np.empty((2 * height, 2 * width, channels), np.float32)
    np.add(near[:, 1:], far[:, :-1], out=wide[:, 2::2])
    np.add(near[:, :-1], far[:, 1:], out=wide[:, 1:-1:2])
    wide[:, 0], wide[:, -1] = tall[:, 0], tall[:, -1]
    return wide
