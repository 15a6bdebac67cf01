"""Masks from annotations: COCO's instances and results, SA-1B's files, labelme's shapes."""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import numpy as np

from finefill.errors import EmptyMaskError, FinefillError, NotThereError
from finefill.files import MAX_PIXELS, decode
from finefill.masks import shapes
from finefill.masks.meaning import Mask
from finefill.masks.reading import placed, stored_size
from finefill.masks.shapes import NothingDrawn, Size

File = str | os.PathLike[str]

# labelme's and X-AnyLabeling's; lines have an area if they are given a width.
POLYGONS = ("polygon", "rotation", "quadrilateral")
LINES = ("line", "linestrip", "point")

_Image = TypeVar("_Image")


class Placement(TypedDict, total=False):
    """How what is annotated lies on the photo, as for :func:`finefill.masks.reading.placed`.

    Attributes:
        resize: scale a drawing of another shape to the photo's; by default not.
        orientation: the photo's EXIF orientation, 1 to 8; by default 1.
        drawn: on the photo as it is ``shown`` or ``stored``; None: as its size tells.
    """

    resize: bool
    orientation: int
    drawn: str | None


def coco(
    file: File,
    photo: str,
    size: Size,
    labels: Collection[str] = (),
    *,
    data: Any = None,
    **placement: Unpack[Placement],
) -> Mask:
    """The mask of a photo's objects in a file of COCO annotations.

    Polygons and run lengths are drawn, compressed ones too; an object that has neither is its box.
    Besides COCO's instances, a list of results is understood, and a file of SA-1B with its one
    image.

    Args:
        file: the JSON file.
        photo: the photo's file name, or its path: where several images have that name, the one
            whose folders agree most is taken. In a list of results it is the images' id.
        size: (height, width) of the upright photo.
        labels: names of the categories to take; empty: all.
        data: what the JSON file says; None: it is read.
        placement: ``resize``, ``orientation`` and ``drawn``, see :class:`Placement`.

    Returns:
        (height, width) bool, the union of the objects.

    Raises:
        FinefillError: the file cannot be read or does not fit; the photo or label is not in it;
            none of its objects has an area.

    Warns:
        UserWarning: an object without an area was left out; the photo was annotated at another
            size, and the mask is scaled.
    """
    name = os.fspath(file)
    data = parsed(read_text(name), name) if data is None else data
    wanted = Path(photo).name
    if isinstance(data, list):
        image, mine, categories = _results(data, photo, name)
    else:
        image, mine, categories = _instances(data, photo, name)
    named = [
        (categories.get(str(entry.get("category_id")), str(entry.get("category_id", ""))), entry)
        for entry in mine
    ]
    chosen = choose(named, labels, f"{name}: {wanted}")
    frame = frame_of(image, ("height", "width"), size, name, placement)
    drawings = [
        drawing
        for entry in chosen
        for drawing in _annotation(entry, frame, f"{name}: annotation {_key(entry)}")
    ]
    mask = all_of(drawings, frame, name)
    known = image.get("height") is not None
    return placed(mask, size, name, size_known=known, **placement)


def labelme(
    file: File,
    size: Size,
    labels: Collection[str] = (),
    *,
    line_width: float | None = None,
    photo: str = "",
    data: Any = None,
    **placement: Unpack[Placement],
) -> Mask:
    """The mask of the shapes in a labelme file.

    Polygons, rectangles, turned ones (X-AnyLabeling), circles and masks; lines, strips of lines
    and points where ``line_width`` says how wide they are.

    Args:
        file: the JSON file.
        size: (height, width) of the upright photo.
        labels: of the shapes to take; empty: all.
        line_width: of lines and points, in pixels of the annotated image.
        photo: the photo's path; empty: it is not compared with the file's.
        data: what the JSON file says; None: it is read.
        placement: ``resize``, ``orientation`` and ``drawn``, see :class:`Placement`.

    Returns:
        (height, width) bool, the union of the shapes.

    Raises:
        FinefillError: the file cannot be read or does not fit, the label is not in it, or none of
            its shapes has an area.

    Warns:
        UserWarning: a shape without an area was left out, the mask is scaled, or the file says that
            it annotates another photo.
    """
    name = os.fspath(file)
    data = parsed(read_text(name), name) if data is None else data
    listed = dicts(data if isinstance(data, dict) else {}, "shapes", name)
    tell_other(data.get("imagePath"), photo, name)
    named = [(str(shape.get("label", "")), shape) for shape in listed]
    chosen = choose(named, labels, name)
    frame = frame_of(data, ("imageHeight", "imageWidth"), size, name, placement)
    drawings = []
    for shape in chosen:
        kind = str(shape.get("shape_type") or "polygon")
        what = f"{name}: {kind} {shape.get('label', '')!r}"
        drawings.append((what, _shape_of(shape, kind, frame, what, line_width)))
    mask = all_of(drawings, frame, name)
    known = data.get("imageHeight") is not None
    return placed(mask, size, name, size_known=known, **placement)


_Drawing = tuple[str, Callable[[], Mask]]


def all_of(drawings: Iterable[_Drawing], size: Size, name: str) -> Mask:
    """The union of drawings, each with what messages call it; those without an area are left out.

    Raises:
        FinefillError: none has one.

    Warns:
        UserWarning: some have none.
    """
    result = np.zeros(size, bool)
    left_out = []
    for what, draw in drawings:
        try:
            result |= shapes.inside(draw(), what)
        except NothingDrawn as error:
            left_out.append((what, str(error).removeprefix(f"{what}: ")))
    if not result.any():
        what, reason = left_out[0]
        more = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        what = what.removeprefix(f"{name}: ")
        raise FinefillError(f"{name}: no shape with an area: {what}: {reason}{more}")
    for what, reason in left_out:
        warnings.warn(f"{what}: left out: {reason}", stacklevel=3)
    return result


def _instances(
    data: dict[str, Any], photo: str, name: str
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, str]]:
    """A photo's image and annotations in COCO's instances, and the categories' names by id."""
    categories = {
        _key(entry): str(entry.get("name")) for entry in list_of(data.get("categories"))
        if isinstance(entry, dict)
    }  # fmt: skip
    if isinstance(data.get("image"), dict) and "images" not in data:  # SA-1B: one image a file
        return data["image"], dicts(data, "annotations", name), categories
    wanted = called(photo)
    listed = [(_path(entry), entry) for entry in dicts(data, "images", name)]
    image = of_folders([one for one in listed if one[0][-1] == wanted], photo, name)
    mine = [
        entry
        for entry in dicts(data, "annotations", name)
        if str(entry.get("image_id")) == _key(image)
    ]
    return image, mine, categories


def of_folders(images: Sequence[tuple[Sequence[str], _Image]], photo: str, name: str) -> _Image:
    """Of a file's images with the photo's file name that whose folders agree most with its own.

    Args:
        images: each one's folders and file name, and what is returned of it; one image may have
            several paths.
        photo: the photo's path.
        name: of the file.

    Raises:
        FinefillError: there is none, or more than one agrees as well.
    """
    wanted = Path(photo).name
    folders = parts_of(os.path.abspath(photo))[:-1]
    alike = [_common_end(path[:-1], folders) for path, _ in images]
    best = {
        id(image): image
        for (_, image), number in zip(images, alike, strict=True)
        if number == max(alike)
    }
    if not best:
        raise FinefillError(
            f"{name}: no image called {wanted} in it: the photo must have the file name of one "
            "that it annotates"
        )
    if len(best) > 1:
        raise FinefillError(
            f"{name}: {len(best)} images called {wanted} in it: keep the photo in a folder called "
            "as the one of its image there, or give a file that annotates it alone"
        )
    return next(iter(best.values()))


def _results(
    data: list[Any], photo: str, name: str
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, str]]:
    """A photo's annotations in a list of results; a single image's are those of the photo."""
    entries = dicts({"annotations": data}, "annotations", name)
    named = [(unicodedata.normalize("NFC", str(entry.get("image_id"))), entry) for entry in entries]
    ids = {image for image, _ in named}
    stem = Path(called(photo)).stem
    number = re.fullmatch(r"(?:.*\D)?0*(\d+)", stem)
    mine = {stem, number[1]} & ids if number else {stem} & ids
    if not mine and len(ids) == 1:
        mine = ids
    if len(mine) != 1:
        raise FinefillError(
            f"{name}: a list of results for {len(ids)} images, none of which is called {stem}: "
            "give the file of instances with the list of images"
        )
    return {}, [entry for image, entry in named if image in mine], {}


def _annotation(entry: dict[str, Any], size: Size, name: str) -> list[_Drawing]:
    """The pieces of one COCO object."""
    outline = entry.get("segmentation")
    if isinstance(outline, dict):
        return [(name, lambda: _run_lengths(outline, size, name))]
    if outline:
        if not isinstance(outline, list) or not all(isinstance(flat, list) for flat in outline):
            raise FinefillError(f"{name}: its segmentation must be lists of numbers x, y, x, y …")
        pairs = [[flat[i : i + 2] for i in range(0, len(flat), 2)] for flat in outline]
        return [(name, _polygon_of(points, size, name)) for points in pairs]
    numbers = entry.get("bbox")
    if (
        not isinstance(numbers, list)
        or len(numbers) != 4
        or not all(map(shapes.is_number, numbers))
    ):
        raise FinefillError(f"{name}: it needs a segmentation, or a bbox of x, y, width, height")
    x, y, width, height = numbers

    def box() -> Mask:
        if width <= 0 or height <= 0:
            raise NothingDrawn(f"{name}: its box has no area")
        right, bottom = math.ceil(x + width), math.ceil(y + height)
        return shapes.rectangle(math.floor(x), math.floor(y), right, bottom, size)

    return [(name, box)]


def _polygon_of(points: Any, size: Size, name: str) -> Callable[[], Mask]:
    return lambda: shapes.polygon(points, size, name)


def _run_lengths(outline: dict[str, Any], size: Size, name: str) -> Mask:
    """COCO's lengths of runs of 0 and 1 in turn, column by column."""
    counts = outline.get("counts")
    if isinstance(counts, str):
        counts = _decompressed(counts, name)
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


def _decompressed(text: str, name: str) -> list[int]:
    """Run lengths from COCO's text: five bits a sign, the least first.

    Each sign is 48 and its five bits, and 32 if another one follows; the last one's highest bit is
    the sign of the number. From the fourth on, numbers are differences to the last but one.
    """
    counts: list[int] = []
    value = shift = 0
    for sign in text:
        bits = ord(sign) - 48
        if not 0 <= bits < 64 or shift > 60:
            break
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    else:
        if not shift:
            return counts
    raise FinefillError(f"{name}: its compressed run lengths are damaged: save the file again")


def _shape_of(
    shape: dict[str, Any], kind: str, size: Size, name: str, line_width: float | None
) -> Callable[[], Mask]:
    """What draws one labelme shape."""
    points = shape.get("points")

    def draw() -> Mask:
        if kind in POLYGONS or (kind == "rectangle" and _is_list_of(4, points)):
            return shapes.polygon(points, size, name)
        if kind == "mask":
            return _mask_of(shape, size, name)
        if kind in LINES:
            ends = shapes.points_of(points, name)
            if line_width is None:
                raise NothingDrawn(f"{name}: it has no area: give --line-width")
            if not ends:
                raise NothingDrawn(f"{name}: it has no points")
            drawn = shapes.dots if kind == "point" else shapes.line
            return drawn(ends, line_width, size)
        if kind not in ("rectangle", "circle"):
            raise NothingDrawn(f"{name}: shapes of this kind are not known")
        corners = shapes.points_of(points, name)
        if len(corners) != 2:
            raise NothingDrawn(f"{name}: it has {len(corners)} points: a {kind} needs two")
        (x, y), (u, v) = corners
        if kind == "circle":
            return shapes.circle((x, y), (u, v), size, name)
        return shapes.polygon([(x, y), (u, y), (u, v), (x, v)], size, name)

    return draw


def _is_list_of(number: int, points: Any) -> bool:
    return isinstance(points, list) and len(points) == number


def _mask_of(shape: dict[str, Any], size: Size, name: str) -> Mask:
    """A labelme shape's mask: a PNG picture at its box's place."""
    corners = shapes.points_of(shape.get("points"), name)
    if not corners:
        raise NothingDrawn(f"{name}: it has no points: a mask needs its box's corners")
    try:
        data = base64.b64decode(str(shape.get("mask") or ""), validate=True)
        picture, _ = decode(data)
    except (binascii.Error, ValueError, FinefillError):
        raise FinefillError(
            f"{name}: its mask is no PNG picture in base64: save the file again"
        ) from None
    left, top = (math.floor(min(values)) for values in zip(*corners, strict=True))
    drawn = np.asarray(picture.convert("L")) > 0
    if not drawn.any():
        raise NothingDrawn(f"{name}: its mask is empty")
    return shapes.pasted(drawn, left, top, size)


def choose(
    named: Sequence[tuple[str, dict[str, Any]]], labels: Collection[str], where: str
) -> list[dict[str, Any]]:
    """The entries with one of the labels, or all.

    Raises:
        EmptyMaskError: there are none.
        NotThereError: none has one of the labels.
    """
    if not named:
        raise EmptyMaskError(f"{where}: nothing is annotated there: give --box or --polygon")
    present = {name for name, _ in named}
    if missing := [label for label in labels if label not in present]:
        names = ", ".join(sorted(present - {""}))
        remedy = f"choose from {names}" if names else "nothing has a label there: leave out --label"
        raise NotThereError(
            f"{where}: nothing is labelled {', '.join(missing)}: {remedy}", tuple(missing)
        )
    return [entry for name, entry in named if not labels or name in labels]


def read_text(name: str, content: bytes | None = None) -> str:
    """The text of a file, or of what is in it.

    Raises:
        FinefillError: it cannot be read, or is no text.
    """
    try:
        return (Path(name).read_bytes() if content is None else content).decode("utf-8-sig")
    except OSError as error:
        raise FinefillError(f"{name}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise FinefillError(
            f"{name}: not a JSON file or other annotations: it is no text"
        ) from None


def parsed(text: str, name: str) -> Any:
    """The object or list of a JSON text.

    Raises:
        FinefillError: it is none.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FinefillError(f"{name}: not a JSON file: {error}") from None
    if not isinstance(data, dict) and not (isinstance(data, list) and data):
        raise FinefillError(
            f"{name}: holds no annotations: give a file in COCO's or labelme's form"
        )
    return data


def dicts(data: dict[str, Any], key: str, name: str) -> list[dict[str, Any]]:
    """The list of objects under a key.

    Raises:
        FinefillError: there is none.
    """
    entries = data.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FinefillError(
            f"{name}: it has no list of {key}: "
            "--coco takes COCO's instances, --labelme a labelme file"
        )
    return entries


def frame_of(
    entry: dict[str, Any],
    keys: tuple[str, str],
    size: Size,
    name: str,
    placement: Placement,
) -> Size:
    """The (height, width) that annotations were drawn at; the photo's where they do not tell."""
    found = [entry.get(key) for key in keys]
    if found == [None, None]:
        stored = placement.get("drawn") == "stored"
        return stored_size(size, placement.get("orientation", 1)) if stored else size
    sides = [int(side) for side in found if shapes.is_number(side) and side >= 1 and side % 1 == 0]
    if len(sides) != 2:
        raise FinefillError(f"{name}: {keys[1]} and {keys[0]} must be whole numbers of pixels")
    frame: Size = (sides[0], sides[1])
    if frame != size and frame[0] * frame[1] > MAX_PIXELS:
        raise FinefillError(
            f"{name}: annotates an image of {frame[1]}x{frame[0]} pixels, the photo has "
            f"{size[1]}x{size[0]}: give the annotations of this photo"
        )
    return frame


def list_of(value: Any) -> list[Any]:
    """The value, if it is a list; otherwise none."""
    return value if isinstance(value, list) else []


def _path(entry: dict[str, Any]) -> tuple[str, ...]:
    """An image's folders and file name."""
    return parts_of(str(entry.get("file_name", "")))


def parts_of(path: str) -> tuple[str, ...]:
    """Folders and file name, whatever system wrote them, in Unicode's NFC."""
    return tuple(re.split(r"[/\\]", unicodedata.normalize("NFC", path)))


def tell_other(path: Any, photo: str, name: str) -> None:
    """Warn where a file of one image says that it annotates another than the photo.

    Extensions are not compared: photographs are converted.
    """
    if not isinstance(path, str) or not path or not photo:
        return
    other = parts_of(path)[-1]
    if Path(called(other)).stem.lower() != Path(called(photo)).stem.lower():
        warnings.warn(
            f"{name}: says that it annotates {other}, and is used for {Path(photo).name}: give the "
            "annotations of this photo, or rename it",
            stacklevel=3,
        )


def called(photo: str) -> str:
    """A photo's file name in NFC: macOS writes an accent as a character of its own (NFD)."""
    return unicodedata.normalize("NFC", Path(photo).name)


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the last parts are the same."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _key(entry: dict[str, Any]) -> str:
    return str(entry.get("id"))
