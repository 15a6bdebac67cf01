"""Shapes are drawn, generously: a pixel on their outline belongs to them.

Coordinates count pixels from the upper left corner, x to the right, y down; the pixel in column 3
reaches from x = 3 to 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

import numpy as np
from PIL import Image

from finefill.errors import FinefillError
from finefill.masks.meaning import Mask

Size = tuple[int, int]  # height, width
Point = tuple[float, float]  # x, y

FARTHEST = 1_000_000  # pixels; coordinates beyond are a mistake


class NothingDrawn(FinefillError):
    """A shape without an area in the photo: a stray click, a line, something outside."""


def rectangle(left: int, top: int, right: int, bottom: int, size: Size) -> Mask:
    """Columns ``left`` to ``right`` and rows ``top`` to ``bottom``, the ends excluded."""
    mask = np.zeros(size, bool)
    mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    return mask


def polygon(points: Any, size: Size, name: str) -> Mask:
    """The inside of a polygon: (height, width) bool.

    Raises:
        NothingDrawn: it has fewer than three corners.
        FinefillError: the corners are no pairs of numbers.
    """
    from PIL import ImageDraw  # it brings fonts; few calls come here

    corners = points_of(points, name)
    if len(corners) < 3:
        raise NothingDrawn(f"{name}: a polygon needs three or more corners, each an x and a y")
    image = Image.new("L", (size[1], size[0]))
    # Pillow cuts fractions off towards 0; a corner belongs to the pixel that it lies in.
    pixels = [(math.floor(x), math.floor(y)) for x, y in corners]
    ImageDraw.Draw(image).polygon(pixels, fill=255, outline=255)
    return np.asarray(image) > 0


def circle(middle: Point, rim: Point, size: Size, name: str) -> Mask:
    """The pixels whose middle lies in a circle, and the one of its own: (height, width) bool.

    Raises:
        NothingDrawn: its radius is 0.
    """
    (x, y), radius = middle, math.dist(middle, rim)
    if radius == 0:
        raise NothingDrawn(f"{name}: its radius is 0")
    rows, columns = np.ogrid[: size[0], : size[1]]
    mask = np.asarray((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= radius**2)
    return mask | rectangle(*_pixel(middle), size)


def line(points: Sequence[Point], width: float, size: Size) -> Mask:
    """A line through points, ``width`` pixels wide, with round ends: (height, width) bool.

    It runs through the middle of the points' pixels.
    """
    mask = np.zeros(size, bool)
    ends = [(math.floor(x) + 0.5, math.floor(y) + 0.5) for x, y in points]
    for (x, y), (u, v) in zip(ends, [*ends[1:], ends[-1]], strict=True):
        reach = math.ceil(width / 2)
        top, bottom = math.floor(min(y, v)) - reach, math.floor(max(y, v)) + reach
        left, right = math.floor(min(x, u)) - reach, math.floor(max(x, u)) + reach
        part = np.s_[max(top, 0) : max(bottom + 1, 0), max(left, 0) : max(right + 1, 0)]
        rows = np.arange(size[0])[part[0], None] + 0.5
        columns = np.arange(size[1])[None, part[1]] + 0.5
        length = (u - x) ** 2 + (v - y) ** 2
        along = ((columns - x) * (u - x) + (rows - y) * (v - y)) / (length or 1)
        along = np.clip(along, 0, 1)
        away = (columns - x - along * (u - x)) ** 2 + (rows - y - along * (v - y)) ** 2
        mask[part] |= away <= (width / 2) ** 2
    return mask


def dots(points: Sequence[Point], width: float, size: Size) -> Mask:
    """A dot on each point, ``width`` pixels wide: (height, width) bool."""
    return union((line([point], width, size) for point in points), size)


def pasted(mask: Mask, left: int, top: int, size: Size) -> Mask:
    """A mask at its place in a larger one, cut where it reaches beyond: (height, width) bool."""
    result = np.zeros(size, bool)
    rows = slice(max(-top, 0), max(size[0] - top, 0))
    columns = slice(max(-left, 0), max(size[1] - left, 0))
    part = mask[rows, columns]
    y, x = max(top, 0), max(left, 0)
    result[y : y + part.shape[0], x : x + part.shape[1]] = part
    return result


def points_of(points: Any, name: str) -> list[Point]:
    """The points of a shape as a file has them.

    Raises:
        FinefillError: they are no list of pairs of numbers.
    """
    if not isinstance(points, list) or not all(
        isinstance(point, list | tuple) and len(point) == 2 and all(map(is_number, point))
        for point in points
    ):
        raise FinefillError(f"{name}: its corners must be pairs of numbers x, y, in pixels")
    return [(float(x), float(y)) for x, y in points]


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether it can be a coordinate; NaN and infinity can not."""
    return type(value) in (int, float) and abs(value) <= FARTHEST


def union(masks: Iterable[Mask], size: Size) -> Mask:
    """What belongs to any of the masks: (height, width) bool."""
    result = np.zeros(size, bool)
    for mask in masks:
        result |= mask
    return result


def inside(mask: Mask, name: str) -> Mask:
    """The mask, if there is anything in it.

    Raises:
        NothingDrawn: there is not.
    """
    if not mask.any():
        height, width = mask.shape
        raise NothingDrawn(
            f"{name}: lies outside the photo, which is {width}x{height} pixels: "
            "count from its upper left corner"
        )
    return mask


def _pixel(point: Point) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixel that a point lies in."""
    x, y = (math.floor(value) for value in point)
    return x, y, x + 1, y + 1
