"""Masks from the annotations of other programs: YOLO, VIA, CVAT, Label Studio.

Each reader returns the size that an image was annotated at, if the file tells, and its shapes.
"""

from __future__ import annotations

import csv
import functools
import math
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Unpack
from urllib.parse import unquote

import numpy as np

from finefill.errors import FinefillError
from finefill.masks import shapes
from finefill.masks.annotations import (
    File,
    Placement,
    all_of,
    called,
    choose,
    coco,
    dicts,
    frame_of,
    labelme,
    list_of,
    of_folders,
    parsed,
    parts_of,
    read_text,
    tell_other,
)
from finefill.masks.brush import brush_mask
from finefill.masks.meaning import Mask
from finefill.masks.reading import placed
from finefill.masks.shapes import NothingDrawn, Point, Size

CORNERS = 32  # of the polygon that an ellipse is drawn as
ROUNDING = 1e-3  # pixels by which an edge may reach into one
NOT_READ = ("keypoint", "vector", "bitmask")  # Label Studio's shapes of other kinds
_PLACES = ("x", "y", "width", "height", "rotation", "radiusX", "radiusY", "points", "rle")
SLACK = 0.01  # by which relative coordinates may leave 0 to 1, by rounding


@dataclass(frozen=True)
class Shape:
    """One shape of an annotated image.

    Attributes:
        label: its class.
        kind: what the program calls it.
        draw: makes the mask for an image of (height, width).
    """

    label: str
    kind: str
    draw: Callable[[Size], Mask]


_Read = tuple[Size | None, list[Shape]]


def annotated(
    file: File,
    photo: str,
    size: Size,
    labels: Collection[str] = (),
    *,
    line_width: float | None = None,
    text: bytes | None = None,
    **placement: Unpack[Placement],
) -> Mask:
    """The mask of a photo's shapes in an annotation file of any kind that is known.

    COCO, labelme, YOLO (.txt: boxes, polygons), VIA (JSON, CSV), CVAT (XML for images), Pascal VOC
    (XML: boxes, polygons) and Label Studio
    (JSON, JSON-MIN: polygons, rectangles, ellipses, brush masks).

    Args:
        file: the annotations.
        photo: the photo's path; its file name finds it in files of several images, and its folders
            where several have that name.
        size: (height, width) of the upright photo.
        labels: of the shapes to take, in YOLO the classes' numbers; empty: all.
        line_width: of lines and points, in pixels of the annotated image.
        text: what is in the file; None: it is read.
        placement: ``resize``, ``orientation`` and ``drawn``, see :class:`Placement`.

    Returns:
        (height, width) bool, the union of the shapes.

    Raises:
        FinefillError: the file cannot be read, is of no known kind or does not fit; the photo or
            label is not in it; none of its shapes has an area.

    Warns:
        UserWarning: a shape without an area, of a kind that is not read, or a cancelled annotation
            was left out, or the mask is scaled.
    """
    name = os.fspath(file)
    content = read_text(name, text)
    if content.lstrip().startswith("<"):
        found = _cvat(content, photo, name, line_width)
    elif content.lstrip()[:1] in ("{", "["):
        data = parsed(content, name)
        if isinstance(data, dict) and "shapes" in data:
            return labelme(
                file, size, labels, line_width=line_width, photo=photo, data=data, **placement
            )
        if isinstance(data, dict) and "annotations" in data and (data.keys() & {"images", "image"}):
            return coco(file, photo, size, labels, data=data, **placement)
        if isinstance(data, dict) and isinstance(data.get("tasks"), list):
            data = data["tasks"]
        elif _is_task(data) or (isinstance(data, dict) and _minimal(data)):
            data = [data]  # one task, as Label Studio's API gives it
        if isinstance(data, list) and any(_has(one, "image_id") for one in data):
            return coco(file, photo, size, labels, data=data, **placement)
        if isinstance(data, list) and all(map(_is_task, data)):
            found = _label_studio(data, photo, name)
        elif isinstance(data, list) and any(map(_minimal, data)):
            found = _label_studio([_whole(task) for task in data], photo, name)
        else:
            found = _via(data, photo, name, line_width)
    elif "region_shape_attributes" in content.partition("\n")[0]:
        found = _via(_of_table(content, name), photo, name, line_width)
    else:
        found = _yolo(content, name)
    drawn_size, listed = found
    named = [(shape.label, {"shape": shape}) for shape in listed]
    chosen: list[Shape] = [entry["shape"] for entry in choose(named, labels, name)]
    keys = ("height", "width")
    entry = {} if drawn_size is None else dict(zip(keys, drawn_size, strict=True))
    frame = frame_of(entry, keys, size, name, placement)
    drawings = [
        (f"{name}: {shape.kind} {shape.label!r}", functools.partial(shape.draw, frame))
        for shape in chosen
    ]
    return placed(all_of(drawings, frame, name), size, name, size_known=bool(entry), **placement)


def _has(value: Any, key: str) -> bool:
    return isinstance(value, dict) and key in value


def _is_task(value: Any) -> bool:
    """Whether it is a task of Label Studio in its long form."""
    return any(_has(value, key) for key in ("annotations", "result", "completions"))


def _yolo(text: str, name: str) -> _Read:
    """Lines of a class and fractions of the image: a box (middle, size), or a polygon."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        what = f"{name}: line {number}"
        try:
            values = [float(word) for word in words[1:]]
        except ValueError:
            values = []
        if pose := _is_pose(values):
            del values[4:]
        if (
            not words[0].isdigit()
            or len(values) < 4
            or not all(-SLACK <= value <= 1 + SLACK for value in values)
        ):
            raise FinefillError(
                f"{what}: no annotation of YOLO: a class and fractions from 0 to 1 of the image"
            )
        if pose or len(values) in (4, 5):  # the fifth says how sure a detector is
            x, y, width, height = values[:4]
            draw = _box(x - width / 2, y - height / 2, width, height, what, relative=True)
        else:
            draw = _relative(list(zip(values[::2], values[1::2], strict=False)), what)
        found.append(Shape(words[0], "line", draw))
    return None, found


def _is_pose(values: list[float]) -> bool:
    """Whether they are a box and key points: of each x, y and 0, 1 or 2, how visible it is.

    A polygon along the image's edges has zeros and ones too, but its first numbers are no box in
    the image around the others.
    """
    if len(values) < 7 or len(values) % 3 != 1:
        return False
    seen = values[6::3]
    if not all(one in (0, 1, 2) for one in seen):
        return False
    if 2 in seen:
        return True
    x, y, width, height = values[:4]
    if not all(
        size / 2 <= middle + SLACK and middle + size / 2 <= 1 + SLACK
        for middle, size in ((x, width), (y, height))
    ):
        return False
    return all(
        (abs(across - x) <= width / 2 + SLACK and abs(down - y) <= height / 2 + SLACK)
        if visible
        else across == down == 0
        for across, down, visible in zip(values[4::3], values[5::3], seen, strict=True)
    )


def _via(data: Any, photo: str, name: str, line_width: float | None) -> _Read:
    """VIA's projects and exports: regions with all_points_x and all_points_y, and the like."""
    images = data.get("_via_img_metadata", data) if isinstance(data, dict) else None
    if not isinstance(images, dict) or not all(_has(one, "regions") for one in images.values()):
        raise FinefillError(
            f"{name}: annotations of no known kind: give COCO, labelme, YOLO, VIA, CVAT's XML, "
            "Pascal VOC's or Label Studio's JSON"
        )
    image = _of_photo([(str(one.get("filename", "")), one) for one in images.values()], photo, name)
    regions = image["regions"]  # a list, or an object in old versions
    listed = list(regions.values()) if isinstance(regions, dict) else regions
    found = []
    for region in dicts({"regions": listed}, "regions", name):
        outline = region.get("shape_attributes")
        outline = outline if isinstance(outline, dict) else {}
        kind = str(outline.get("name"))
        what = f"{name}: {kind}"
        names = region.get("region_attributes")
        label = " ".join(str(one) for one in names.values()) if isinstance(names, dict) else ""

        def value(key: str, outline: dict[str, Any] = outline, what: str = what) -> float:
            return _number(outline.get(key), f"{what}: {key}")

        points: list[Point] = []
        if kind in ("polygon", "polyline"):
            columns, rows = (outline.get(f"all_points_{axis}") for axis in "xy")
            pairs = zip(list_of(columns), list_of(rows), strict=False)
            points = shapes.points_of([list(pair) for pair in pairs], what)
        if kind == "rect":
            box = value("x"), value("y"), value("width"), value("height")
            found.append(Shape(label, kind, _box(*box, what)))
            continue
        if kind in ("circle", "ellipse"):
            width = value("r" if kind == "circle" else "rx")
            height = width if kind == "circle" else value("ry")
            points = _ellipse(
                value("cx"), value("cy"), width, height, float(outline.get("theta") or 0)
            )
        elif kind == "point":
            points = [(value("cx"), value("cy"))]
        closed = kind not in ("polyline", "point")
        found.append(Shape(label, kind, _absolute(points, what, None if closed else (line_width,))))
    return None, found


def _of_table(text: str, name: str) -> dict[str, Any]:
    """VIA's CSV as its JSON: a line for each region."""
    images = dict[str, dict[str, Any]]()
    for row in csv.DictReader(text.splitlines()):
        file = str(row.get("filename", ""))
        image = images.setdefault(file, {"filename": file, "regions": []})
        shape, attributes = (
            parsed(row.get(f"region_{kind}") or "{}", name)
            for kind in ("shape_attributes", "attributes")
        )
        if shape:  # an image without regions has a line too
            image["regions"].append({"shape_attributes": shape, "region_attributes": attributes})
    return dict(images)


def _cvat(text: str, photo: str, name: str, line_width: float | None) -> _Read:
    """CVAT's XML for images: elements of an image, with points as x,y;x,y; or Pascal VOC's."""
    from xml.etree import ElementTree  # few calls come here

    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise FinefillError(f"{name}: damaged XML: {error}") from None
    if root.tag == "annotation":
        tell_other(root.findtext("filename"), photo, name)
        return _voc(root, name)
    if root.find("track") is not None:
        raise FinefillError(
            f"{name}: has tracks of a video: export it as CVAT for images, with the frames"
        )
    images = [(str(one.get("name", "")), one) for one in root.iter("image")]
    image = _of_photo(images, photo, name)
    sides = [_number(image.get(side), f"{name}: {side}") for side in ("height", "width")]
    found = []
    for element in image:
        kind, what = element.tag, f"{name}: {element.tag}"

        def value(key: str, element: Any = element, what: str = what) -> float:
            return _number(element.get(key, "0" if key == "rotation" else None), f"{what}: {key}")

        if kind in ("polygon", "polyline", "points"):
            pairs = [pair.split(",") for pair in str(element.get("points", "")).split(";") if pair]
            if not all(len(pair) == 2 for pair in pairs):
                raise FinefillError(f"{what}: its points must be x,y;x,y")
            points = [(_number(x, what), _number(y, what)) for x, y in pairs]
        elif kind == "box":
            left, top = value("xtl"), value("ytl")
            box = left, top, value("xbr") - left, value("ybr") - top
            points = _turned(_corners(*box), value("rotation"))
        elif kind == "ellipse":
            turn = math.radians(value("rotation"))
            points = _ellipse(value("cx"), value("cy"), value("rx"), value("ry"), turn)
        elif kind == "tag":
            continue
        if kind in ("cuboid", "skeleton"):
            draw = _unknown(f"{kind}s are not read: draw a polygon or a mask")
        elif kind == "mask":
            draw = _cvat_mask(element, what)
        elif kind == "box" and not value("rotation"):
            draw = _box(*box, what)
        else:
            lines = (line_width,) if kind in ("polyline", "points") else None
            draw = _absolute(points, what, lines, apart=kind == "points")
        found.append(Shape(str(element.get("label", "")), kind, draw))
    return (int(sides[0]), int(sides[1])), found


def _voc(root: Any, name: str) -> _Read:
    """Pascal VOC's XML of one image: boxes; the first pixel is 1, and the last belongs to them.

    An object's polygon (x1, y1, x2, y2 …, as Roboflow writes it) counts instead of its box.
    """
    found = []
    for element in root.iter("object"):
        label = element.findtext("name", "")
        outline = {one.tag: one.text for one in element.iterfind("polygon/*")}
        if all(f"{axis}{corner}" in outline for axis in "xy" for corner in (1, 2, 3)):
            what = f"{name}: polygon {label!r}"
            points: list[Point] = []
            while f"x{len(points) + 1}" in outline:
                corner = len(points) + 1
                x, y = (_number(outline.get(f"{axis}{corner}"), what) for axis in "xy")
                points.append((x - 1, y - 1))
            found.append(Shape(label, "polygon", _absolute(points, what, None)))
            continue
        what = f"{name}: box {label!r}"
        left, top, right, bottom = (
            _number(element.findtext(f"bndbox/{side}"), f"{what}: {side}")
            for side in ("xmin", "ymin", "xmax", "ymax")
        )
        draw = _box(left - 1, top - 1, right - left + 1, bottom - top + 1, what)
        found.append(Shape(label, "box", draw))
    sides = [root.findtext(f"size/{side}") for side in ("height", "width")]
    if not all(sides) or sides == ["0", "0"]:  # some programs leave them out
        return None, found
    height, width = (int(_number(side, f"{name}: size")) for side in sides)
    return (height, width), found


def _cvat_mask(element: Any, what: str) -> Callable[[Size], Mask]:
    """Run lengths of 0 and 1 in turn, row by row, in the box at left and top."""
    left, top, width, height = (
        int(_number(element.get(key), f"{what}: {key}"))
        for key in ("left", "top", "width", "height")
    )
    words = str(element.get("rle", "")).replace(" ", "").split(",")
    runs = [int(word) for word in words if word.isdigit()]
    total = width * height
    if len(runs) != len(words) or not 0 < total <= shapes.FARTHEST**2 or sum(runs) > total:
        raise FinefillError(f"{what}: its run lengths are damaged: export the file again")

    def draw(size: Size) -> Mask:
        if total > 4 * size[0] * size[1]:
            raise FinefillError(f"{what}: its {width}x{height} pixels are more than the image's")
        flat = np.zeros(total, bool)
        flat[: sum(runs)] = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return shapes.pasted(flat.reshape(height, width), left, top, size)

    return draw


def _minimal(task: Any) -> list[dict[str, Any]]:
    """The shapes of a task in Label Studio's short form, JSON-MIN; none where it is none."""
    values = task.values() if isinstance(task, dict) else ()
    shapes = [one for value in values for one in list_of(value)]
    return [one for one in shapes if _has(one, "original_width")]


def _whole(task: Any) -> dict[str, Any]:
    """A task of the short form as the long one tells it."""
    results = [
        {
            **shape,
            "type": next((key for key in shape if key.endswith("labels")), ""),
            "value": shape,
        }
        for shape in _minimal(task)
    ]
    data = task if isinstance(task, dict) else {}
    return {"data": data, "annotations": [{"result": results}]}


def _label_studio(data: list[Any], photo: str, name: str) -> _Read:
    """Label Studio's JSON: tasks, whose results have coordinates in per cent of the image."""
    tasks = []
    for task in data:
        listed = list_of(task.get("annotations") or task.get("completions")) or [task]
        annotations = [one for one in listed if isinstance(one, dict)]
        values = task.get("data")
        paths = [task.get("file_upload"), *(values.values() if isinstance(values, dict) else ())]
        tasks += [
            (path, annotations)
            for told in paths
            if isinstance(told, str)
            for path in _paths_of(told)
        ]
    annotations = _of_photo(tasks, photo, name, uploaded=True)
    kept = [one for one in annotations if not (one.get("was_cancelled") or one.get("skipped"))]
    if len(kept) < len(annotations):
        warnings.warn(
            f"{name}: left out: annotations that were cancelled (skipped) in Label Studio, "
            f"{len(annotations) - len(kept)} of this photo's {len(annotations)}",
            stacklevel=3,
        )
    results = [
        result
        for one in kept
        for result in list_of(one.get("result"))
        if isinstance(result, dict) and isinstance(result.get("value"), dict)
    ]
    named = _labels_of(results)
    found, sides = [], None
    for result in results:
        value = result["value"]
        kind = str(result.get("type", ""))
        if kind in ("labels", ""):
            if kind and any(one.get("type") != kind and _is_same(one, result) for one in results):
                continue  # the other one is drawn
            kind = _kind_of(value)
        what = f"{name}: {kind}"
        label = next((label for other, label in named if _is_same(other, result)), "")

        def number(key: str, value: dict[str, Any] = value, what: str = what) -> float:
            return _number(value.get(key, 0 if key == "rotation" else None), f"{what}: {key}") / 100

        aspect = (_number(result.get("original_height", 1), what)
                  / max(_number(result.get("original_width", 1), what), 1))  # fmt: skip
        if kind.startswith("polygon"):
            points = shapes.points_of(value.get("points"), what)
            points = [(x / 100, y / 100) for x, y in points]
        elif kind.startswith("rectangle"):
            box = number("x"), number("y"), number("width"), number("height")
            points = _corners(*box)
            points = _turned(points, 100 * number("rotation"), around=points[0], aspect=aspect)
        elif kind.startswith("ellipse"):
            middle = number("x"), number("y")
            points = _ellipse(*middle, number("radiusX"), number("radiusY"), 0)
            points = _turned(points, 100 * number("rotation"), around=middle, aspect=aspect)
        elif "rle" in value or kind.startswith(NOT_READ):
            points = []
        else:
            continue  # choices, texts
        if (height := result.get("original_height")) and (width := result.get("original_width")):
            sides = (int(_number(height, what)), int(_number(width, what)))
        if "rle" in value:
            draw = _brush(value["rle"], what)
        elif kind.startswith(NOT_READ):
            draw = _unknown("shapes of this kind are not read: draw a polygon")
        elif kind.startswith("rectangle") and not number("rotation"):
            draw = _box(*box, what, relative=True)
        else:
            draw = _relative(points, what)
        found.append(Shape(label, kind, draw))
    return sides, found


def _paths_of(told: str) -> list[str]:
    """What an image may be called that Label Studio tells by a path or an address.

    Files that were not uploaded are told by an address (``/data/local-files/?d=folder/p.jpg``);
    those of a storage may have a signature behind their name, and signs written as ``%20``.
    """
    path = told.rpartition("?d=")[2] if "?d=" in told else told.partition("?")[0]
    return list(dict.fromkeys([told, path, unquote(path)]))


def _labels_of(results: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """The results of Label Studio that have a label, with it."""
    named = []
    for result in results:
        labels = result["value"].get(str(result.get("type", "")))
        if isinstance(labels, list) and labels:
            named.append((result, str(labels[0])))
    return named


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two results are of one shape: a rectangle, say, and its label (``<Labels>``)."""
    if one is other:
        return True
    if one.get("type") == other.get("type"):
        return False
    if "id" in one and "id" in other:
        return bool(one["id"] == other["id"])
    places = [{key: told["value"].get(key) for key in _PLACES} for told in (one, other)]
    return places[0] == places[1] and any(value is not None for value in places[0].values())


def _kind_of(value: dict[str, Any]) -> str:
    """What kind of shape a result has that tells only its label; empty where it has none."""
    kinds = {"rle": "brush", "points": "polygon", "radiusX": "ellipse", "width": "rectangle"}
    return next((kind for key, kind in kinds.items() if key in value), "")


def _brush(packed: Any, what: str) -> Callable[[Size], Mask]:
    return lambda size: brush_mask(packed, size, what)


def _unknown(reason: str) -> Callable[[Size], Mask]:
    """What is drawn of shapes that are not read: nothing."""

    def draw(size: Size) -> Mask:
        raise NothingDrawn(reason)

    return draw


def _of_photo(
    images: Iterable[tuple[str, Any]], photo: str, name: str, *, uploaded: bool = False
) -> Any:
    """What a file says of the photo: of the image with its file name, and its folders if needed.

    Label Studio puts eight signs and "-" before the names of uploaded files, writes their spaces as
    "_", and leaves out signs other than letters, digits, "-", "_" and ".".
    """
    wanted = called(photo)
    stored = re.sub(r"[^-\w.]", "", wanted.strip().replace(" ", "_"))
    listed = [(parts_of(path), image) for path, image in images]
    found = [
        (path, image) for path, image in listed
        if path[-1] == wanted
        or (uploaded and path[-1][8:9] == "-" and path[-1][9:] in (wanted, stored))
    ]  # fmt: skip
    return of_folders(found, photo, name)


def _box(
    x: float, y: float, width: float, height: float, what: str, *, relative: bool = False
) -> Callable[[Size], Mask]:
    """Draws the pixels that a box touches; ``relative``: it is told in fractions of the image."""

    def draw(size: Size) -> Mask:
        if width <= 0 or height <= 0:
            raise NothingDrawn(f"{what}: its box has no area")
        down, right = size if relative else (1, 1)
        return shapes.rectangle(
            math.floor(x * right + ROUNDING),
            math.floor(y * down + ROUNDING),
            math.ceil((x + width) * right - ROUNDING),
            math.ceil((y + height) * down - ROUNDING),
            size,
        )

    return draw


def _corners(x: float, y: float, width: float, height: float) -> list[Point]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def _ellipse(x: float, y: float, width: float, height: float, turn: float) -> list[Point]:
    """The corners of an ellipse of half axes ``width`` and ``height``, turned by radians."""
    angles = [2 * math.pi * at / CORNERS for at in range(CORNERS)]
    points = [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]
    return _turned(points, math.degrees(turn), around=(x, y))


def _turned(
    points: list[Point], degrees: float, *, around: Point | None = None, aspect: float = 1
) -> list[Point]:
    """Points turned clockwise, by default around their middle; ``aspect``: unit of y / of x."""
    if not degrees:
        return points
    if around is None:
        around = (
            sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
        )  # fmt: skip
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    moved = [(x - around[0], (y - around[1]) * aspect) for x, y in points]
    return [
        (around[0] + x * cosine - y * sine, around[1] + (x * sine + y * cosine) / aspect)
        for x, y in moved
    ]


def _relative(points: list[Point], what: str) -> Callable[[Size], Mask]:
    """Draws a polygon of fractions of the image's width and height."""

    def draw(size: Size) -> Mask:
        # What ends at the image's last edge ends in its last pixel.
        scaled = [
            (min(x * size[1], size[1] - 1e-6), min(y * size[0], size[0] - 1e-6)) for x, y in points
        ]
        return shapes.polygon(scaled, size, what)

    return draw


def _absolute(
    points: list[Point], what: str, line: tuple[float | None] | None, *, apart: bool = False
) -> Callable[[Size], Mask]:
    """Draws a polygon, or where ``line`` has a width a line; ``apart``: dots instead."""

    def draw(size: Size) -> Mask:
        if line is None:
            return shapes.polygon(points, size, what)
        if line[0] is None or not points:
            raise NothingDrawn("it has no area: give --line-width")
        return (shapes.dots if apart else shapes.line)(points, line[0], size)

    return draw


def _number(value: Any, what: str) -> float:
    """A coordinate, also one written as text.

    Raises:
        FinefillError: it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not abs(number) <= shapes.FARTHEST:  # so written that NaN fails too
        raise FinefillError(f"{what}: must be a number of pixels, it is {value!r}")
    return number
