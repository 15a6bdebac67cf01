"""Masks without a mask file: boxes, polygons, annotations (COCO, labelme), a painted colour.

Coordinates count the pixels of the upright photo from its upper left corner, x to the right, y
down. Shapes are drawn generously: a pixel on their outline belongs to them.
"""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from PIL import Image

from finefill.errors import FinefillError
from finefill.files import MAX_PIXELS
from finefill.masks.meaning import Mask
from finefill.masks.painted import TOLERANCE, colour
from finefill.masks.reading import placed, stored_size

__all__ = ["TOLERANCE", "box", "coco", "colour", "labelme", "polygon"]

Size = tuple[int, int]  # height, width
File = str | os.PathLike[str]

FARTHEST = 1_000_000  # pixels; coordinates beyond are a mistake


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
    return _inside(_rectangle(x, y, x + width, y + height, size), name)


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
    return _inside(_polygon(points, size, name), name)


def coco(
    file: File,
    photo: str,
    size: Size,
    labels: Collection[str] = (),
    *,
    resize: bool = False,
    orientation: int = 1,
    drawn: str | None = None,
) -> Mask:
    """The mask of a photo's objects in a file of COCO annotations.

    Polygons and uncompressed run lengths are drawn; an object that has neither is its box.

    Args:
        file: the JSON file ("instances").
        photo: the photo's file name; folders do not count, here nor there.
        size: (height, width) of the upright photo.
        labels: names of the categories to take; empty: all.
        resize: scale a drawing of another shape to the photo's.
        orientation: the photo's EXIF orientation, 1 to 8.
        drawn: on the photo as it is ``shown`` or ``stored``, see
            :func:`finefill.masks.reading.placed`.

    Returns:
        (height, width) bool, the union of the objects.

    Raises:
        FinefillError: the file cannot be read or does not fit; the photo or label is not in it;
            run lengths are compressed.

    Warns:
        UserWarning: the photo was annotated at another size, and the mask is scaled.
    """
    name = os.fspath(file)
    data = _read(name)
    wanted = Path(photo).name
    images = [entry for entry in _dicts(data, "images", name) if _file_name(entry) == wanted]
    if len(images) != 1:
        found = "no image" if not images else f"{len(images)} images"
        raise FinefillError(
            f"{name}: {found} called {wanted} in its list of images: "
            "the photo must have the file name of one that it annotates"
        )
    categories = {
        _key(entry): str(entry.get("name")) for entry in data.get("categories") or []
        if isinstance(entry, dict)
    }  # fmt: skip
    mine = [
        entry
        for entry in _dicts(data, "annotations", name)
        if str(entry.get("image_id")) == _key(images[0])
    ]
    named = [(categories.get(str(entry.get("category_id")), ""), entry) for entry in mine]
    chosen = _choose(named, labels, f"{name}: {wanted}")
    frame = _frame(images[0], ("height", "width"), size, name, orientation, drawn)
    masks = (_annotation(entry, frame, f"{name}: annotation {_key(entry)}") for entry in chosen)
    mask = _inside(_union(masks, frame), f"{name}: what is annotated in {wanted}")
    known = images[0].get("height") is not None
    return placed(
        mask, size, name, resize=resize, orientation=orientation, drawn=drawn, size_known=known
    )


def labelme(
    file: File,
    size: Size,
    labels: Collection[str] = (),
    *,
    resize: bool = False,
    orientation: int = 1,
    drawn: str | None = None,
) -> Mask:
    """The mask of the shapes in a labelme file: polygons, rectangles and circles.

    Args:
        file: the JSON file.
        size: (height, width) of the upright photo.
        labels: of the shapes to take; empty: all.
        resize: scale a drawing of another shape to the photo's.
        orientation: the photo's EXIF orientation, 1 to 8.
        drawn: on the photo as it is ``shown`` or ``stored``, see
            :func:`finefill.masks.reading.placed`.

    Returns:
        (height, width) bool, the union of the shapes.

    Raises:
        FinefillError: the file cannot be read or does not fit, or the label is not in it.

    Warns:
        UserWarning: a shape of another type was left out, or the mask is scaled.
    """
    name = os.fspath(file)
    data = _read(name)
    named = [(str(shape.get("label", "")), shape) for shape in _dicts(data, "shapes", name)]
    chosen = _choose(named, labels, name)
    frame = _frame(data, ("imageHeight", "imageWidth"), size, name, orientation, drawn)
    areas = []
    for shape in chosen:
        kind = shape.get("shape_type", "polygon")
        what = f"{name}: {kind} {shape.get('label', '')!r}"
        if kind not in ("polygon", "rectangle", "circle"):
            warnings.warn(f"{what}: left out, for it has no area", stacklevel=2)
            continue
        areas.append((kind, shape.get("points"), what))
    if not areas:
        raise FinefillError(f"{name}: no shape with an area: draw polygons, rectangles or circles")
    mask = _union((_shape(kind, points, frame, what) for kind, points, what in areas), frame)
    mask = _inside(mask, f"{name}: its shapes")
    known = data.get("imageHeight") is not None
    return placed(
        mask, size, name, resize=resize, orientation=orientation, drawn=drawn, size_known=known
    )


def _annotation(entry: dict[str, Any], size: Size, name: str) -> Mask:
    """One COCO object."""
    outline = entry.get("segmentation")
    if isinstance(outline, dict):
        return _run_lengths(outline, size, name)
    if outline:
        if not isinstance(outline, list) or not all(isinstance(flat, list) for flat in outline):
            raise FinefillError(f"{name}: its segmentation must be lists of numbers x, y, x, y …")
        pairs = [[flat[i : i + 2] for i in range(0, len(flat), 2)] for flat in outline]
        return _union((_polygon(points, size, name) for points in pairs), size)
    numbers = entry.get("bbox")
    if not isinstance(numbers, list) or len(numbers) != 4 or not all(map(_is_number, numbers)):
        raise FinefillError(f"{name}: it needs a segmentation, or a bbox of x, y, width, height")
    x, y, width, height = numbers
    return _rectangle(
        math.floor(x), math.floor(y), math.ceil(x + width), math.ceil(y + height), size
    )


def _run_lengths(outline: dict[str, Any], size: Size, name: str) -> Mask:
    """COCO's lengths of runs of 0 and 1 in turn, column by column."""
    counts = outline.get("counts")
    if isinstance(counts, str):
        raise FinefillError(
            f"{name}: its run lengths are compressed: save them as a list of numbers, or save "
            "polygons"
        )
    if outline.get("size") != list(size):
        raise FinefillError(
            f"{name}: its run lengths are for a size of {outline.get('size')}, the image's is "
            f"{list(size)} (height, width): give those of this image"
        )
    if (
        not isinstance(counts, list)
        or not all(type(count) is int and 0 <= count <= size[0] * size[1] for count in counts)
        or sum(counts) != size[0] * size[1]
    ):
        raise FinefillError(
            f"{name}: its run lengths must be whole numbers that add up to the image's "
            f"{size[0] * size[1]} pixels: save the annotations again"
        )
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.ascontiguousarray(flat.reshape(size[1], size[0]).T)


def _shape(kind: str, points: Any, size: Size, name: str) -> Mask:
    """One labelme shape."""
    if kind == "polygon" or (kind == "rectangle" and isinstance(points, list) and len(points) == 4):
        return _polygon(points, size, name)
    corners = _points(points, name)
    if len(corners) != 2:
        raise FinefillError(f"{name}: it has {len(corners)} points: a {kind} needs two")
    (x, y), (u, v) = corners
    if kind == "rectangle":
        return _polygon([(x, y), (u, y), (u, v), (x, v)], size, name)
    radius = math.hypot(u - x, v - y)
    # Pixels whose centre lies in the circle.
    rows, columns = np.ogrid[: size[0], : size[1]]
    return np.asarray((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= radius**2)


def _rectangle(left: int, top: int, right: int, bottom: int, size: Size) -> Mask:
    """Columns ``left`` to ``right`` and rows ``top`` to ``bottom``, the ends excluded."""
    mask = np.zeros(size, bool)
    mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    return mask


def _polygon(points: Any, size: Size, name: str) -> Mask:
    from PIL import ImageDraw  # it brings fonts; few calls come here

    corners = _points(points, name)
    if len(corners) < 3:
        raise FinefillError(f"{name}: a polygon needs three or more corners, each an x and a y")
    image = Image.new("L", (size[1], size[0]))
    # Pillow cuts fractions off towards 0; a corner belongs to the pixel that it lies in.
    pixels = [(math.floor(x), math.floor(y)) for x, y in corners]
    ImageDraw.Draw(image).polygon(pixels, fill=255, outline=255)
    return np.asarray(image) > 0


def _points(points: Any, name: str) -> list[tuple[float, float]]:
    if not isinstance(points, list) or not all(
        isinstance(point, list | tuple) and len(point) == 2 and all(map(_is_number, point))
        for point in points
    ):
        raise FinefillError(f"{name}: its corners must be pairs of numbers x, y, in pixels")
    return [(float(x), float(y)) for x, y in points]


def _is_number(value: Any) -> TypeGuard[int | float]:
    """Whether it can be a coordinate; NaN and infinity can not."""
    return type(value) in (int, float) and abs(value) <= FARTHEST


def _union(masks: Iterable[Mask], size: Size) -> Mask:
    result = np.zeros(size, bool)
    for mask in masks:
        result |= mask
    return result


def _inside(mask: Mask, name: str) -> Mask:
    if not mask.any():
        height, width = mask.shape
        raise FinefillError(
            f"{name}: lies outside the photo, which is {width}x{height} pixels: "
            "count from its upper left corner"
        )
    return mask


def _choose(
    named: Sequence[tuple[str, dict[str, Any]]], labels: Collection[str], where: str
) -> list[dict[str, Any]]:
    """The entries with one of the labels, or all."""
    if not named:
        raise FinefillError(f"{where}: nothing is annotated there: give --box or --polygon")
    present = {name for name, _ in named}
    if missing := [label for label in labels if label not in present]:
        raise FinefillError(
            f"{where}: nothing is labelled {', '.join(missing)}: "
            f"choose from {', '.join(sorted(present))}"
        )
    return [entry for name, entry in named if not labels or name in labels]


def _read(name: str) -> dict[str, Any]:
    try:
        data = json.loads(Path(name).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FinefillError(f"{name}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise FinefillError(f"{name}: not a JSON file: {error}") from None
    if not isinstance(data, dict):
        raise FinefillError(
            f"{name}: holds no annotations: give a file in COCO's or labelme's form"
        )
    return data


def _dicts(data: dict[str, Any], key: str, name: str) -> list[dict[str, Any]]:
    entries = data.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FinefillError(
            f"{name}: it has no list of {key}: "
            "--coco takes COCO's instances, --labelme a labelme file"
        )
    return entries


def _frame(
    entry: dict[str, Any],
    keys: tuple[str, str],
    size: Size,
    name: str,
    orientation: int,
    drawn: str | None,
) -> Size:
    """The (height, width) that annotations were drawn at; the photo's where they do not tell."""
    found = [entry.get(key) for key in keys]
    if found == [None, None]:
        return stored_size(size, orientation) if drawn == "stored" else size
    sides = [int(side) for side in found if _is_number(side) and side >= 1 and side % 1 == 0]
    if len(sides) != 2:
        raise FinefillError(f"{name}: {keys[1]} and {keys[0]} must be whole numbers of pixels")
    frame: Size = (sides[0], sides[1])
    if frame != size and frame[0] * frame[1] > MAX_PIXELS:
        raise FinefillError(
            f"{name}: annotates an image of {frame[1]}x{frame[0]} pixels, the photo has "
            f"{size[1]}x{size[0]}: give the annotations of this photo"
        )
    return frame


def _base(name: str) -> str:
    """A file name without folders, whatever system wrote it."""
    return re.split(r"[/\\]", name)[-1]


def _file_name(entry: dict[str, Any]) -> str:
    return _base(str(entry.get("file_name", "")))


def _key(entry: dict[str, Any]) -> str:
    return str(entry.get("id"))
