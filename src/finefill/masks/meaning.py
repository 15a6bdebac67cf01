"""Masks: 1 (white, 255) = to be completed, 0 (black) = keep. The only module that decides this.

A mask in memory is a bool array (H, W), True = to be completed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.errors import FinefillError

Mask = NDArray[np.bool_]
THRESHOLD = 128  # of 0..255: from here on a pixel is to be completed


def binarize(values: NDArray[Any], name: str = "the mask") -> Mask:
    """The one decision what a mask's value means: white is to be completed.

    Args:
        values: (H, W) or (H, W, 1). Bool; or integers 0..255 (from 128 on: complete) or just
            0 and 1; or floats in [0, 1] (from 0.5 on) or in [0, 255].
        name: what messages call the mask.

    Returns:
        (H, W) bool, a new array.

    Raises:
        FinefillError: another shape or type, or values out of range.
    """
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise FinefillError(
            f"{name}: shape {values.shape}, type {values.dtype}: give (height, width) bool, "
            "or numbers from 0 (keep) to 255 (complete)"
        )
    if values.dtype.kind == "b" or not values.size:
        return values.astype(bool)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # so written that NaN fails too
        raise FinefillError(
            f"{name}: values from {low:g} to {high:g}: give 0 (keep) to 255 (complete)"
        )
    if high <= 1:
        return np.asarray(values >= 0.5)
    return np.asarray(values >= THRESHOLD)


def scale(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask at another size (height, width); nothing of it gets lost, however thin.

    Where the mask shrinks, a pixel that it touches at all belongs to it; where it grows, its
    edges are drawn smoothly.
    """
    small = _shrink(_shrink(mask, size[0], 0), size[1], 1)
    if small.shape == size:
        return small
    grey = Image.fromarray(small.astype(np.uint8) * np.uint8(255))
    large = grey.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(large) >= THRESHOLD


def grow(mask: Mask, pixels: int) -> Mask:
    """The mask and all that lies up to ``pixels`` from it (a dilation by a disc): a new array."""
    result = mask.copy()
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size or pixels <= 0:
        return result
    height, width = mask.shape
    pixels = min(pixels, height + width)
    top, bottom = max(rows[0] - pixels, 0), min(rows[-1] + 1 + pixels, height)
    left, right = max(columns[0] - pixels, 0), min(columns[-1] + 1 + pixels, width)
    part, grown = mask[top:bottom, left:right], result[top:bottom, left:right]
    wide, reach = part.copy(), 0  # the mask and what lies up to ``reach`` beside it
    # From the disc's top to its middle: each row of the disc is at least as wide as the last.
    for y in range(pixels, -1, -1):
        while (reach + 1) ** 2 + y**2 <= pixels**2:
            reach += 1
            wide[:, reach:] |= part[:, :-reach]
            wide[:, :-reach] |= part[:, reach:]
        over = max(len(wide) - y, 0)
        grown[y:] |= wide[:over]
        grown[:over] |= wide[y:]
    return result


def check(mask: Mask, name: str = "the mask") -> Mask:
    """Return ``mask`` if it has both pixels to complete and pixels to complete them from.

    Raises:
        FinefillError: it is empty or full.
    """
    if not mask.any():
        raise FinefillError(f"{name}: the mask is empty: paint what is to be completed white")
    if mask.all():
        raise FinefillError(
            f"{name}: the mask is full, nothing is left to complete from: paint what stays black"
        )
    return mask


def composite(image: NDArray[np.uint8], fill: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """``fill`` where ``mask`` is True, ``image`` elsewhere: (H, W, 3) uint8, a new array."""
    return np.where(mask[..., None], fill, image)


def _shrink(mask: Mask, length: int, axis: int) -> Mask:
    """The mask with one axis cut down to ``length``: any pixel that it touches at all is True."""
    before = mask.shape[axis]
    if length >= before:
        return mask
    index = np.arange(length)
    starts, ends = index * before // length, -(-(index + 1) * before // length)
    # Pairs (start, end), every second result is between two pairs; ends must lie inside.
    pairs = np.stack([starts, ends], axis=1).ravel()
    pads = [(0, int(a == axis)) for a in range(2)]
    padded = np.pad(mask, pads)
    found = np.logical_or.reduceat(padded, pairs, axis=axis)
    return found[::2] if axis == 0 else found[:, ::2]
