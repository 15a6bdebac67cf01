"""Masks without a mask file: boxes, polygons, annotations of other programs, a colour.

Coordinates count the pixels of the upright photo from its upper left corner, x to the right, y
down.
"""

from __future__ import annotations

import re

from finefill.errors import FinefillError
from finefill.masks import shapes
from finefill.masks.annotation_tools import annotated
from finefill.masks.annotations import coco, labelme
from finefill.masks.meaning import Mask
from finefill.masks.painted import TOLERANCE, colour, erased
from finefill.masks.shapes import Size

__all__ = ["TOLERANCE", "annotated", "box", "coco", "colour", "erased", "labelme", "polygon"]


def box(text: str, size: Size) -> Mask:
    """The mask of a rectangle.

    Args:
        text: ``X,Y,WIDTH,HEIGHT``, whole pixels; what lies outside the photo is cut off.
        size: (height, width) of the upright photo.

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
    return shapes.inside(shapes.rectangle(x, y, x + width, y + height, size), name)


def polygon(text: str, size: Size) -> Mask:
    """The mask of a polygon.

    Args:
        text: ``X,Y X,Y X,Y …``, three corners or more.
        size: (height, width) of the upright photo.

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
    return shapes.inside(shapes.polygon(points, size, name), name)
