"""Colours in strips along lines, and the steps between the sides of lines that they show.

Points and directions are complex numbers, across + 1j down, in pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finefill.completion.exemplar.window import Values
from finefill.masks import Mask

Complex = NDArray[np.complex128]
Numbers = NDArray[np.float64]

FINE = 2  # samples a pixel across a line
AROUND = 2 * FINE  # samples on each side of a place whose mean tells the step that is there


def strips(
    pixels: Values,
    known: Mask,
    at: Complex,
    out: Complex,
    length: int,
    across: NDArray[np.floating],
) -> tuple[Mask, Values]:
    """Colours in strips along directions.

    Args:
        pixels: (h, w, 3) float32.
        known: (h, w) bool.
        at: (…), where strips begin.
        out: (…) of length 1, where they go.
        length: in pixels.
        across: (S,), pixels towards 1j * out.

    Returns:
        (…, length, S) bool, whether they are known; and (…, length, S, 3) float32.
    """
    places = np.arange(length)[:, None] + 1j * across
    return bilinear(pixels, known, at[..., None, None] + out[..., None, None] * places)


def bilinear(pixels: Values, known: Mask, places: Complex) -> tuple[Mask, Values]:
    """Colours between pixels, of the four around weighted by how near they are.

    Args:
        pixels: (h, w, 3) float32.
        known: (h, w) bool.
        places: (…).

    Returns:
        (…) bool, whether all four are known; and (…, 3) float32, meaningless where they are not.
    """
    height, width = known.shape
    rows, columns = places.imag, places.real
    inside = (rows >= 0) & (columns >= 0) & (rows <= height - 1) & (columns <= width - 1)
    rows, columns = np.clip(rows, 0, height - 1.001), np.clip(columns, 0, width - 1.001)
    row, column = rows.astype(np.intp), columns.astype(np.intp)
    down = (rows - row)[..., None].astype(np.float32)
    right = (columns - column)[..., None].astype(np.float32)
    colours, seen = pixels.reshape(-1, 3), known.ravel()
    corner = row * width + column
    upper = colours.take(corner, axis=0) * (1 - right) + colours.take(corner + 1, axis=0) * right
    corner += width
    lower = colours.take(corner, axis=0) * (1 - right) + colours.take(corner + 1, axis=0) * right
    for step in (0, 1, -width, 1 - width):
        inside &= seen.take(corner + step)
    return inside, upper * (1 - down) + lower * down


def levels(colours: Values, steps: Values) -> Values:
    """How far colours lie along the step of their end: 1 apart on the two sides of it.

    Args:
        colours: (n, 2, L, S, 3), in strips along the ends of lines.
        steps: (n, 2, 3), of the ends.

    Returns:
        (n, 2, L, S).
    """
    squares = np.maximum((steps**2).sum(2), 1)[..., None, None]
    along: Values = np.einsum("nebsc,nec->nebs", colours, steps) / squares
    return along


def steps_across(levels: Values) -> Values:
    """The mean of AROUND samples after a sample less that of AROUND before it.

    Args:
        levels: (…, S), across a line.

    Returns:
        (…, S - 2 AROUND), of all samples that have so many on both sides.
    """
    means = moving_sums(levels, AROUND) / np.float32(AROUND)
    return means[..., AROUND + 1 :] - means[..., : -AROUND - 1]


def moving_sums(values: Values, count: int) -> Values:
    """Sums of so many neighbours along the last axis: (…, S), to (…, S - count + 1)."""
    sums = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(1, 0)]).cumsum(-1)
    moving: Values = sums[..., count:] - sums[..., :-count]
    return moving
