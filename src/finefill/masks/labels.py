"""Masks of several values: which of them are flat labels, which are soft edges or noise.

A label mask gives each object its own value or colour. It differs from a mask with soft edges in
that its values cover areas: each borders on few others for its size. A thin value that only lies
between a lower and a higher one is a soft edge's; a thick one is an object that touches another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST = 4096  # labels; a picture of more values is none of labels
ROUGH = 0.75  # unequal neighbours a pixel: a value with more covers no area
COVERED = 0.8  # of the pixels, by the labels
SAMPLE = 100_000  # pixels, to tell photographs soon
USUAL, MOSTLY = 64, 0.6  # so many values make up so much of a label mask
STRAY = 16  # values that are no label; more come from scaling or lossy compression
# Of a noisy area, largest difference of a pixel and its neighbours, and of its values from the
# commonest: where only traces of lossy compression are left, and in a lossy file.
TRACES, LOSSY = (2, 8), (6, 24)
CONCENTRATED = 0.8  # of a noisy area's pixels, that close to its commonest value
PEAKS = 256  # noisy areas
SMALLEST = 16  # steady pixels of a noisy area


class Areas(NamedTuple):
    """The values that cover areas of a mask.

    Attributes:
        values: (K, C), C = 1 for grey and 3 for colours, by how many pixels they cover, the most
            first.
        which: (H, W), the row of ``values`` that a pixel belongs to: the nearest.
    """

    values: NDArray[np.int64]
    which: NDArray[np.uint16]


def areas(pixels: NDArray[Any], *, lossy: bool = False) -> Areas | None:
    """The flat values of a mask.

    Args:
        pixels: (H, W, C) whole numbers, C = 1 or 3.
        lossy: the pixels went through lossy compression.

    Returns:
        None where the values cover too little of the mask to be labels: a photograph, a gradient.
    """
    if not _plausible(pixels):
        return None
    window = _changing((pixels != pixels[0, 0]).any(axis=2))
    part = pixels[window]  # around it all is as in its corner
    values, index = _indexed(part)
    counts = np.bincount(index.ravel(), minlength=len(values))
    counts[index[0, 0]] += pixels[..., 0].size - index.size
    chosen, tolerance = None, 0
    steady, spread = LOSSY if lossy else TRACES
    if not lossy and len(values) <= MOST:
        flat = _flat(index, counts, brightness(values))
        if len(values) - np.count_nonzero(flat) <= STRAY:
            chosen = flat
    if chosen is None:
        calm = index[_steady(part, steady)]
        chosen, tolerance = _peaks(values, calm, steady, spread), spread
    order = np.flatnonzero(chosen)
    if not order.size:
        return None
    order = order[np.argsort(-counts[order], kind="stable")]
    nearest, distance = _nearest(values, values[order])
    if counts[distance <= tolerance].sum() < COVERED * counts.sum():
        return None
    which = np.full(pixels.shape[:2], nearest[index[0, 0]])
    which[window] = nearest[index]
    return Areas(values[order], which)


def _plausible(pixels: NDArray[Any]) -> bool:
    """Whether few values make up most of a sample of the pixels; photographs end here, soon."""
    step = max(1, round((pixels[..., 0].size / SAMPLE) ** 0.5))
    _, index = _indexed(pixels[::step, ::step])
    counts = np.sort(np.bincount(index.ravel()))
    return bool(counts[-USUAL:].sum() >= MOSTLY * index.size)


def _changing(other: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rectangle around what is True, wider by two pixels; one pixel where nothing is."""
    rows, columns = (np.flatnonzero(other.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 1), slice(0, 1)
    return (
        slice(max(rows[0] - 2, 0), rows[-1] + 3),
        slice(max(columns[0] - 2, 0), columns[-1] + 3),
    )


def _indexed(pixels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The values that occur, (K, C), ascending, and which of them each pixel has, (H, W)."""
    shape, channels = pixels.shape[:2], pixels.shape[2]
    if channels == 1 and pixels.max() < 1 << 16:
        grey = pixels[..., 0]
        there = np.bincount(grey.ravel()) > 0
        place = (np.cumsum(there) - 1).astype(np.uint16)
        return np.flatnonzero(there)[:, None], place[grey]
    keys = pixels[..., 0].astype(np.int64)
    for channel in range(1, channels):
        keys = keys * 256 + pixels[..., channel]
    found, index = np.unique(keys, return_inverse=True)
    powers = 256 ** np.arange(channels - 1, -1, -1)
    values = found[:, None] // powers % (256 if channels > 1 else 2**62)
    return values, index.reshape(shape)


def _nearest(
    values: NDArray[np.int64], among: NDArray[np.int64]
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """For each of (N, C) values the row of (K, C) that is nearest, and the largest difference."""
    nearest = np.empty(len(values), np.uint16)
    step = max(1, (1 << 20) // len(among))  # bounds the memory
    for start in range(0, len(values), step):
        part = values[start : start + step, None]
        nearest[start : start + step] = ((part - among) ** 2).sum(2).argmin(1)
    return nearest, np.abs(values - among[nearest]).max(1)


def _flat(
    index: NDArray[Any], counts: NDArray[np.intp], bright: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which values cover areas; all of them where none is a soft edge's.

    Args:
        index: (H, W), the value of each pixel.
        counts: (K,) pixels of each.
        bright: (K,) how bright each is.
    """
    number = len(counts)
    pairs = [(index[:, 1:], index[:, :-1]), (index[1:], index[:-1])]
    one = np.concatenate([a[a != b] for a, b in pairs] + [b[a != b] for a, b in pairs])
    other = np.concatenate([b[a != b] for a, b in pairs] + [a[a != b] for a, b in pairs])
    edges = np.bincount(one, minlength=number)
    # Steps of a gradient: between the next lower and the next higher value, and nothing else.
    rank = np.argsort(np.argsort(bright, kind="stable"), kind="stable").astype(np.int32)
    step = rank[other] - rank[one]
    down, up = (np.bincount(one[step == by], minlength=number) for by in (-1, 1))
    between = (down + up >= 0.9 * edges) & (np.minimum(down, up) >= 0.2 * np.maximum(edges, 1))
    if between.any():
        thick = between & _thick(index, number)
        # A gradient's thick bands are many, and border on nothing but the next ones.
        labels = thick & (down + up < 0.99 * edges)
        between &= ~labels
        if np.count_nonzero(thick & ~labels) <= STRAY:
            between &= ~thick
    flat = (edges <= ROUGH * counts) & ~between
    if flat.all() or between.any():
        return flat
    light = rank[index]
    low, high = _around(light, np.minimum), _around(light, np.maximum)
    soft = np.bincount(index[(low < light) & (light < high)], minlength=number)
    if (soft < 0.5 * counts).all():  # thin lines and specks, each of one value
        return np.ones(number, bool)
    return flat


def _thick(index: NDArray[Any], number: int) -> NDArray[np.bool_]:
    """Which of ``number`` values fill a square of four pixels somewhere: (number,) bool.

    A soft edge is one to three pixels wide.
    """
    core = _around(index, np.minimum) == _around(index, np.maximum)  # 3x3 of one value
    square = core[1:, 1:] & core[:-1, 1:] & core[1:, :-1] & core[:-1, :-1]
    return np.asarray(np.bincount(index[1:, 1:][square], minlength=number) > 0)


def _peaks(
    values: NDArray[np.int64], index: NDArray[Any], steady: int, spread: int
) -> NDArray[np.bool_]:
    """The commonest value of each noisy area, from its calm pixels: (K,) bool."""
    counts = np.bincount(index, minlength=len(values))
    left, result = counts.copy(), np.zeros(len(values), bool)
    for _ in range(PEAKS):
        top = int(left.argmax())
        if left[top] < SMALLEST // 4:
            break
        distance = np.abs(values - values[top]).max(1)
        mine = distance <= spread
        together, close = left[mine].sum(), left[distance <= steady + 1].sum()
        result[top] = together >= SMALLEST and close >= CONCENTRATED * counts[mine].sum()
        left[mine] = 0
    return result


def _steady(pixels: NDArray[Any], most: int) -> NDArray[np.bool_]:
    """Whether a pixel and its eight neighbours differ by ``most`` at most: (H, W) bool."""
    low, high = _around(pixels, np.minimum), _around(pixels, np.maximum)
    return np.asarray((high.astype(np.int64) - low).max(2) <= most)


def _around(values: NDArray[Any], choose: Any) -> NDArray[Any]:
    """``choose`` (np.minimum or np.maximum) over each pixel and its eight neighbours."""
    for axis in (0, 1):
        lines = np.moveaxis(values, axis, 0)
        result = lines.copy()
        result[1:] = choose(result[1:], lines[:-1])
        result[:-1] = choose(result[:-1], lines[1:])
        values = np.moveaxis(result, 0, axis)
    return values


def brightness(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """How bright (K, C) values are, as in ITU-R BT.601."""
    weights = np.array([0.299, 0.587, 0.114]) if values.shape[1] == 3 else np.ones(1)
    return np.asarray(values @ weights)
