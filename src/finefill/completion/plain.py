"""Holes that need no network, and colours that a fill must not leave.

Where everything around a hole is one colour, or one plane of colours (a page, a speech bubble, a
screen, a clear gradient), that is what belongs into it, exactly. Where everything around it lies on
one curve through the colours (a black-and-white photograph, sepia, cyanotype), its fill does too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finefill.completion.plan import Box, Window, groups
from finefill.files import RGB
from finefill.masks import Mask

RING = 3  # pixels around a hole that are looked at
FEWEST = 8  # pixels of a ring that tell a colour
SAME = 0.6  # of a ring, of exactly one colour
STRAY = 2.0  # root mean square, levels; more is more than lossy compression does to one colour
FARTHEST = 8  # levels; what none of a ring may be away from one colour
ROUGH, ROUGHEST = 0.8, 4  # the same for a plane: a sky's grain is rougher
PARTS = 16  # a group of more holes than that is looked at as a whole only
SAMPLE = 20_000  # pixels around a hole that tell the curve of its colours
SMOOTH = 9  # levels of brightness whose colours are averaged
# Levels; 95% and 99% of them are that close to it. JPEG leaves up to 3.7 and 6.2 on cyanotypes;
# of a mountain's meadows and rocks, the least colourful windows have 5.3 and 7.5.
ON_CURVE, NEAR_CURVE = 4.5, 7


def fill(image: RGB, mask: Mask, windows: Sequence[Window]) -> list[Window]:
    """Fill what lies on one colour or plane, without the network.

    Args:
        image: (H, W, 3) uint8; what can be filled is, in place.
        mask: (H, W) bool, what is not filled yet; kept so, in place.
        windows: whose holes to fill.

    Returns:
        The windows of which something is left to fill.
    """
    for window in windows:
        if _fill(image, mask, window.hole):
            continue
        parts = groups(mask[window.hole.slices], 1)
        if 1 < len(parts) <= PARTS:
            top, left = window.hole.top, window.hole.left
            for part in parts:
                moved = (part.top + top, part.bottom + top, part.left + left, part.right + left)
                _fill(image, mask, Box(*moved))
    return [window for window in windows if mask[window.hole.slices].any()]


def toned(fill: RGB, image: RGB, known: Mask) -> RGB:
    """A fill, brought onto the curve that the known colours lie on, if they lie on one.

    The curve is their mean colour at each brightness.

    Args:
        fill: (h, w, 3) uint8; not changed.
        image: (H, W, 3) uint8, around the fill.
        known: (H, W) bool, where ``image`` is right.

    Returns:
        (h, w, 3) uint8: ``fill`` itself where the colours lie on no curve.
    """
    curve = None
    for sample, patience in ((SAMPLE // 20, 1.5), (SAMPLE, 1)):  # most end after the first
        step = max(1, round((known.size / sample) ** 0.5))
        colours = image[::step, ::step][known[::step, ::step]]
        curve = _curve(colours, patience) if len(colours) else None
        if curve is None:
            return fill
    return fill if curve is None else curve[_brightness(fill)]


def _curve(colours: NDArray[np.uint8], patience: float) -> NDArray[np.uint8] | None:
    """The colour of each brightness, (256, 3), if (N, 3) colours lie on one curve."""
    if (colours == colours[:, :1]).all():
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    light = _brightness(colours)
    counts, at = _near(light, None), _near(light, light)
    there = counts > 0
    places = at[there] / counts[there]
    curve = np.empty((256, 3))
    away = np.zeros(len(colours))
    rank = np.arange(len(away))
    for channel in (2, 0, 1):  # that of least brightness strays most
        sums = _near(light, colours[:, channel])[there]
        curve[:, channel] = np.interp(np.arange(256), places, sums / counts[there])
        strays = np.abs(colours[:, channel] - curve[light, channel])
        away = np.maximum(away, strays)
        # Percentiles; NumPy's own import masked arrays.
        most, nearly_all = np.interp(np.array([0.95, 0.99]) * rank[-1], rank, np.sort(away))
        if most > patience * ON_CURVE or nearly_all > patience * NEAR_CURVE:
            return None
    return np.asarray(np.rint(curve), np.uint8)


def _near(light: NDArray[np.int64], values: NDArray[Any] | None) -> NDArray[np.float64]:
    """For each brightness the sum of the values, or their number, of about that brightness."""
    return np.convolve(np.bincount(light, values, 256), np.ones(SMOOTH), mode="same")


def _brightness(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Luma of (…, 3) colours, 0 to 255, rounded (ITU-R BT.601)."""
    weights = np.array([299, 587, 114])
    return np.asarray((colours.astype(np.int64) @ weights + 500) // 1000)


def _fill(image: RGB, mask: Mask, hole: Box) -> bool:
    """Fill the masked pixels of a box if all around them is one colour or plane."""
    height, width = mask.shape
    top, left = max(hole.top - RING, 0), max(hole.left - RING, 0)
    bottom, right = min(hole.bottom + RING, height), min(hole.right + RING, width)
    area = np.s_[top:bottom, left:right]
    unknown = mask[area]
    own = np.zeros_like(unknown)
    inside = np.s_[hole.top - top : hole.bottom - top, hole.left - left : hole.right - left]
    own[inside] = unknown[inside]
    part = image[area]  # a view
    ring = _beside(own)
    if _surface(part, ring & ~unknown, own) is None:  # most end here
        return False
    for _ in range(RING - 1):
        ring = _beside(ring)
    if (colours := _surface(part, ring & ~unknown, own)) is None:
        return False
    part[own] = colours
    mask[area][own] = False
    return True


def _surface(part: RGB, ring: Mask, own: Mask) -> NDArray[np.uint8] | None:
    """The colours for the hole ``own`` if the ring is one colour or plane: (N, 3), or (3,)."""
    places = np.argwhere(ring)
    if len(places) < FEWEST:
        return None
    levels = part[ring]
    colours = levels.astype(np.float64)
    if (levels.max(axis=0) - levels.min(axis=0) <= 2 * FARTHEST).all():
        commonest = _commonest(levels)
        away = np.abs(colours - commonest)
        stray = away.max() <= FARTHEST and (away**2).mean() <= STRAY**2
        if stray and (away.max(axis=1) == 0).mean() >= SAME:
            return commonest
    middle = places.mean(axis=0)
    if _rest(places - middle, colours - colours.mean(axis=0)) > 1.01 * ROUGH**2 * colours.size:
        return None
    fits = np.column_stack([np.ones(len(places)), places - middle])
    solution = np.linalg.lstsq(fits, colours, rcond=None)[0]
    away = np.abs(colours - fits @ solution)
    if away.max() > ROUGHEST or (away**2).mean() > ROUGH**2:
        return None
    inner = np.argwhere(own)
    if (inner.min(0) <= places.min(0)).any() or (inner.max(0) >= places.max(0)).any():
        return None  # a plane says nothing beyond its ring
    values = np.column_stack([np.ones(len(inner)), inner - middle]) @ solution
    return np.asarray(np.rint(values).clip(0, 255), np.uint8)


def _rest(places: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """The sum of squares that no plane explains; 0 where the places lie on a line.

    Much faster than the plane itself, which few rings need.

    Args:
        places: (N, 2), their mean taken off.
        values: (N, 3), their mean taken off.
    """
    (yy, xy), (_, xx) = (places.T @ places).tolist()
    y, x = places.T @ values
    determinant = yy * xx - xy**2
    if determinant <= 0:
        return 0.0
    explained = (xx * y @ y - 2 * xy * y @ x + yy * x @ x) / determinant
    return float(np.vdot(values, values) - explained)


def _commonest(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The commonest of (N, 3) colours."""
    red, green, blue = colours.astype(np.uint32).T
    found, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    most = int(found[counts.argmax()])
    return np.array([most >> 16, most >> 8 & 255, most & 255], np.uint8)


def _beside(mask: Mask) -> Mask:
    """The mask and its neighbours, diagonal ones included."""
    for axis in (0, 1):
        lines = np.moveaxis(mask, axis, 0)
        wide = lines.copy()
        wide[1:] |= lines[:-1]
        wide[:-1] |= lines[1:]
        mask = np.moveaxis(wide, 0, axis)
    return mask
