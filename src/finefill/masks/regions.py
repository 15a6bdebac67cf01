"""Masks without a mask file: boxes, polygons, annotations of other programs, a colour.

Coordinates count the pixels of the upright photo from its upper left corner, x to the right, y
down.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from finefill.errors import FinefillError
from finefill.lazy import lazy
from finefill.masks import shapes
from finefill.masks.meaning import Mask
from finefill.masks.painted import TOLERANCE, colour, erased
from finefill.masks.shapes import Size

__all__ = ["TOLERANCE", "annotated", "box", "coco", "colour", "erased", "labelme", "polygon"]

if TYPE_CHECKING:
    from finefill.masks.annotation_tools import annotated
    from finefill.masks.annotations import coco, labelme
else:
    __getattr__, _ = lazy(  # most masks need none of them
        "finefill.masks",
        ["annotated", "coco", "labelme"],
        {"annotation_tools": ["annotated"], "annotations": ["coco", "labelme"]},
        offering=__name__,
    )


def box(text: str, size: Size, wrap: str | None = None) -> Mask:
    """The mask of a rectangle.

    Args:
        text: ``X,Y,WIDTH,HEIGHT``, whole pixels; what lies outside the photo is cut off.
        size: (height, width) of the upright photo.
        wrap: "x", "y" or "xy": what lies beyond a border goes on at the other one instead.

    Returns:
        (height, width) bool.

    Raises:
        FinefillError: it is no such box, or lies wholly outside.
    """
    name = f"box {text}"
    if not re.fullmatch(r"\s*[-+]?\d{1,9}\s*(,\s*[-+]?\d{1,9}\s*){3}", text, re.ASCII):
        raise FinefillError(f"{name}: give X,Y,WIDTH,HEIGHT in whole pixels, as 40,30,200,150")
    x, y, width, height = map(int, text.split(","))
    if width < 1 or height < 1:
        raise FinefillError(f"{name}: width and height must be 1 or more")
    if "x" in (wrap or ""):
        x, width = x % size[1], min(width, size[1])
    if "y" in (wrap or ""):
        y, height = y % size[0], min(height, size[0])
    parts = (
        shapes.rectangle(x - left, y - top, x - left + width, y - top + height, size)
        for left, top in _periods(x + width, y + height, size, wrap)
    )
    return shapes.inside(shapes.union(parts, size), name)


def polygon(text: str, size: Size, wrap: str | None = None) -> Mask:
    """The mask of a polygon.

    Args:
        text: ``X,Y X,Y X,Y …``, three corners or more.
        size: (height, width) of the upright photo.
        wrap: as for :func:`box`.

    Returns:
        (height, width) bool.

    Raises:
        FinefillError: it is no such list, or lies wholly outside.
    """
    name = f"polygon {text}"
    try:
        points = [tuple(map(float, point.split(","))) for point in text.split()]
    except ValueError:
        points = []
    corners = shapes.points_of(points, name) if points else []
    if wrap and corners:
        left, top = (math.floor(min(values)) for values in zip(*corners, strict=True))
        left = left // size[1] * size[1] if "x" in wrap else 0
        top = top // size[0] * size[0] if "y" in wrap else 0
        corners = [(x - left, y - top) for x, y in corners]
        right, bottom = (max(values) for values in zip(*corners, strict=True))
        if ("x" in wrap and right > 3 * size[1]) or ("y" in wrap and bottom > 3 * size[0]):
            raise FinefillError(f"{name}: goes around the photo more than twice: draw it smaller")
        periods = _periods(math.floor(right) + 1, math.floor(bottom) + 1, size, wrap)
    else:
        periods = [(0, 0)]
    parts = (
        shapes.polygon([(x - left, y - top) for x, y in corners], size, name)
        for left, top in periods
    )
    return shapes.inside(shapes.union(parts, size), name)


def _periods(right: int, bottom: int, size: Size, wrap: str | None) -> list[tuple[int, int]]:
    """By how much (x, y) to move what begins in the photo and ends at ``right`` and ``bottom``.

    Then each part that lies beyond a border is drawn where it goes on.
    """
    across = range(0, max(right, 1), size[1]) if "x" in (wrap or "") else (0,)
    down = range(0, max(bottom, 1), size[0]) if "y" in (wrap or "") else (0,)
    return [(x, y) for x in across for y in down]
