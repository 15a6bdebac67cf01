"""Masks: 1 (white, 255) = to be completed, 0 (black) = keep. The only module that decides this.

A mask in memory is a bool array (H, W), True = to be completed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.errors import EmptyMaskError, FinefillError
from finefill.masks.labels import Areas, areas, brightness

Mask = NDArray[np.bool_]
THRESHOLD = 128  # of 0..255: from here on a pixel is to be completed
BLACK = 48  # up to here a value passes for black
NOISE = 32  # what lossy compression may leave on black
MAX_BLACK_BORDER = 0.25  # of the border's pixels, in a mask that looks inverted


def binarize(values: NDArray[Any], name: str = "the mask") -> Mask:
    """What the numbers of a mask in memory mean: white is to be completed.

    Args:
        values: (H, W) or (H, W, 1). Bool; or numbers. Of two whole numbers the larger is to be
            completed; of labels all but the background are; of numbers in between those from 128 of
            255 on, or from 0.5 on where none is above 1.
        name: what messages call the mask.

    Returns:
        (H, W) bool, a new array.

    Raises:
        FinefillError: another shape or type, or values out of range.

    Warns:
        UserWarning: they are labels, or far from black and white.
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
    low, high = values.min(), values.max()
    two = low == 0 < high and (high <= 255 or values.dtype.kind != "f")
    if two and bool(((values == 0) | (values == high)).all()):
        return np.asarray(values > 0)
    whole = bool(low >= 0 and high < 2**31)
    if values.dtype.kind == "f":
        whole = whole and bool((values == np.floor(values)).all())
    if not (low >= 0 and (whole or high <= 255)):  # so written that NaN fails too
        raise FinefillError(
            f"{name}: values from {low:g} to {high:g}: give 0 (keep) to 255 (complete); "
            + (
                "replace NaN, numpy.nan_to_num(mask)"
                if np.isnan(low)
                else "of labels, mask == LABEL"
            )
        )
    if not whole:
        return np.asarray(values >= (0.5 if high <= 1 else THRESHOLD))
    numbers = values.astype(np.int64)
    if high <= 1:
        return numbers > 0
    flat = of_flat(numbers[..., None], name)
    return of_soft(numbers, name) if flat is None else flat


def of_flat(
    pixels: NDArray[Any],
    name: str,
    *,
    lossy: bool = False,
    keep_polarity: bool = False,
    called: Callable[[NDArray[np.int64]], str] | None = None,
) -> Mask | None:
    """What a mask of few flat values or colours says.

    Of two, the brighter is to be completed. Of more, each is a label, and all that is not the
    background is to be completed.

    Args:
        pixels: (H, W, C) whole numbers, C = 1 or 3.
        name: what messages call the mask.
        lossy: the pixels went through lossy compression.
        keep_polarity: black is the background, even if another value surrounds all.
        called: what messages call a value (C,), as the user would; by default its numbers.

    Returns:
        (H, W) bool; None where the pixels are not flat (see :func:`finefill.masks.labels.areas`).

    Raises:
        FinefillError: they are labels of which none is plainly the background.

    Warns:
        UserWarning: they are labels, or two values far from black and white.
    """
    found = areas(pixels, lossy=lossy)
    if found is None or len(found.values) < 2:
        return None
    call = called or called_by_numbers
    light = brightness(found.values)
    if len(found.values) == 2:
        low, high = (call(found.values[at]) for at in (light.argmin(), light.argmax()))
        if light.max() - light.min() < (NOISE if lossy else 1):
            return None
        if light.min() > BLACK and not light.min() < THRESHOLD <= light.max():
            warnings.warn(
                f"{name}: its two values are {low} and {high}: the larger one is completed",
                stacklevel=4,
            )
        return np.asarray(found.which == light.argmax())
    names = [call(value) for value in found.values]
    ground = _background(found, lossy, keep_polarity)
    if ground is None:
        raise FinefillError(
            f"{name}: a label mask, none of whose {len(names)} values is plainly the background: "
            f"choose with --mask-value from {_listed(names)}"
        )
    mask = np.asarray(found.which != ground)
    if lossy:  # noisier than any area, but not the background
        mask |= np.abs(pixels.astype(np.int64) - found.values[ground]).max(axis=2) > 2 * BLACK
    others = names[:ground] + names[ground + 1 :]
    rim = "255" in others and all(other == "255" or int(other) < 64 for other in others)
    told = " (255: the border that Pascal VOC leaves undecided)" if rim else ""
    warnings.warn(
        f"{name}: a label mask of {len(names)} values: all but the background {names[ground]} is "
        f"completed: {_listed(others)}{told}; choose with --mask-value",
        stacklevel=4,
    )
    return mask


def of_soft(values: NDArray[Any], name: str, *, lossy: bool = False) -> Mask:
    """What soft greys say: from half of white on a pixel is to be completed.

    Args:
        values: (H, W) whole numbers, white = 255, or 65535 where one is above 255.
        name: what messages call the mask.
        lossy: the pixels went through lossy compression.

    Warns:
        UserWarning: nothing is that bright, and half of what the brightest pixel has was taken.
    """
    high = int(values.max(initial=0))
    half = THRESHOLD if high <= 255 else 1 << 15
    if (NOISE if lossy else 1) < high < half:
        warnings.warn(
            f"{name}: its brightest pixel has {high} of {2 * half - 1}: completed from half of "
            "that on",
            stacklevel=4,
        )
        half = (high + 1) // 2
    return np.asarray(values >= half)


def inverted(mask: Mask) -> bool:
    """Whether white was most likely meant to be kept: little black, within a white border.

    A hole that covers most of the photo and nearly all of its border leaves next to nothing to
    complete from, so hardly anyone means it.
    """
    border = _border(mask)
    black = 1 - float(border.mean()) if border.size else 1.0
    return bool(0.5 < mask.mean() < 1 and black <= MAX_BLACK_BORDER)


def _background(found: Areas, lossy: bool, keep_polarity: bool) -> int | None:
    """Which of a label mask's values is the background: black, or what surrounds all."""
    border = np.bincount(_border(found.which), minlength=len(found.values))
    common = int(border.argmax())
    if not keep_polarity and inverted(found.which == common):
        return common
    darkest = int(found.values.max(1).argmin())
    if found.values[darkest].max() > (NOISE if lossy else 0):  # no black
        return common if border[common] >= 0.5 * border.sum() else None
    return None if inverted(found.which != darkest) and not keep_polarity else darkest


def _border(values: NDArray[Any]) -> NDArray[Any]:
    """The outermost pixels of (H, W), each once."""
    if min(values.shape) < 2:
        return values.ravel()
    return np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])


def called_by_numbers(value: NDArray[np.int64]) -> str:
    """A grey as a number, a colour as #RRGGBB."""
    numbers = [int(number) for number in value]
    return str(numbers[0]) if len(numbers) == 1 else "#{:02X}{:02X}{:02X}".format(*numbers)


def _listed(names: list[str]) -> str:
    """The names, sorted as people would, the first ten of them."""
    names = sorted(names, key=lambda name: (len(name), name))
    return ", ".join(names[:10]) + (" …" if len(names) > 10 else "")


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


def grow(mask: Mask, pixels: int, wrap: str | None = None) -> Mask:
    """The mask and all that lies up to ``pixels`` from it (a dilation by a disc): a new array.

    Args:
        mask: (H, W) bool.
        pixels: radius of the disc.
        wrap: "x", "y" or "xy": what leaves the mask at a border goes on at the other one.
    """
    if wrap and pixels > 0:
        # The nearest copy of a pixel lies within half a period.
        pads = [
            min(pixels, -(-side // 2)) if axis in wrap else 0
            for side, axis in zip(mask.shape, "yx", strict=True)
        ]
        wide = grow(np.pad(mask, [(pad, pad) for pad in pads], mode="wrap"), pixels)
        return wide[
            tuple(slice(pad, pad + side) for pad, side in zip(pads, mask.shape, strict=True))
        ]
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
        EmptyMaskError: it is empty.
        FinefillError: it is full.
    """
    if not mask.any():
        raise EmptyMaskError(f"{name}: the mask is empty: paint what is to be completed white")
    if mask.all():
        raise FinefillError(
            f"{name}: the mask is full, nothing is left to complete from: paint what stays black"
        )
    return mask


def union(size: tuple[int, int], masks: Iterable[Callable[[], Mask]]) -> tuple[Mask, list[str]]:
    """What several masks say together: they add up.

    Args:
        size: (height, width) of all.
        masks: each reads one, (height, width) bool, or raises an EmptyMaskError.

    Returns:
        Their union, (height, width) bool, and what the errors of empty ones say, for
        :func:`tell_empty`.
    """
    result = np.zeros(size, bool)
    empty: list[str] = []
    for read in masks:
        try:
            result |= read()
        except EmptyMaskError as error:
            empty.append(str(error))
    return result, empty


def tell_empty(mask: Mask, empty: Sequence[str]) -> None:
    """Tell that some of the masks that add up to ``mask`` are empty.

    Raises:
        EmptyMaskError: so are all: what the first one's error says.

    Warns:
        UserWarning: there is something to complete in others.
    """
    if empty and not mask.any():
        raise EmptyMaskError(empty[0])
    for text in empty:  # without the remedy, which ends each error
        warnings.warn(f"{text.rpartition(': ')[0]}: the others are completed", stacklevel=2)


def composite(image: NDArray[np.uint8], fill: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """``fill`` where ``mask`` is True, ``image`` elsewhere: (H, W, 3) uint8, a new array."""
    return np.where(threefold(mask), fill, image)


def threefold(mask: Mask) -> Mask:
    """The mask of each colour, (H, W, 3): many times as fast as (H, W, 1) beside (H, W, 3)."""
    return mask.repeat(3, axis=1).reshape(*mask.shape, 3)


def _shrink(mask: Mask, length: int, axis: int) -> Mask:
    """The mask with one axis cut down to ``length``: any pixel that it touches at all is True."""
    before = mask.shape[axis]
    if length >= before:
        return mask
    index = np.arange(length)
    starts, ends = index * before // length, -(-(index + 1) * before // length)
    found: Mask = mask.take(starts, axis)
    for step in range(1, int((ends - starts).max())):
        found |= mask.take(np.minimum(starts + step, ends - 1), axis)
    return found
