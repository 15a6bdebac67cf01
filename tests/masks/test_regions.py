"""Masks from boxes, polygons, annotations and a painted colour, against masks drawn by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import FinefillError
from finefill.masks import regions

SIZE = (5, 7)  # height, width


def drawn(*rows: str) -> NDArray[np.bool_]:
    """A mask of SIZE from rows of '#' and '.'."""
    mask = np.array([[sign == "#" for sign in row] for row in rows])
    assert mask.shape == SIZE
    return mask


def expect(found: NDArray[np.bool_], *rows: str) -> None:
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, drawn(*rows))


def test_boxes_and_polygons_go_on_at_the_other_border() -> None:
    size = (6, 8)
    expected = np.zeros(size, bool)
    expected[2:4, [6, 7, 0]] = True
    for text in ("-2,2,3,2", "6,2,3,2", "-10,2,3,2"):
        np.testing.assert_array_equal(regions.box(text, size, "x"), expected)
    np.testing.assert_array_equal(regions.polygon("-2,2 0,2 0,3 -2,3", size, "x"), expected)
    np.testing.assert_array_equal(regions.polygon("6,2 8,2 8,3 6,3", size, "xy"), expected)
    assert regions.box("-2,2,3,2", size).sum() == 2  # cut off
    assert regions.box("-2,2,3,2", size, "y").sum() == 2
    corners = np.zeros(size, bool)
    corners[np.ix_([5, 0], [7, 0])] = True
    np.testing.assert_array_equal(regions.box("-1,-1,2,2", size, "xy"), corners)
    assert regions.box("3,2,999999999,1", size, "x").sum() == 8
    with pytest.raises(FinefillError, match="goes around the photo more than twice"):
        regions.polygon("0,0 900,0 9,9", size, "x")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,2,3,2", (".......", ".......", ".###...", ".###...", ".......")),
        ("-2, -1, 4, 2", ("##.....", ".......", ".......", ".......", ".......")),
        ("5,3,900,900", (".......", ".......", ".......", ".....##", ".....##")),
        ("-9,-9,99,99", ("#######",) * 5),
    ],
)
def test_boxes(text: str, rows: tuple[str, ...]) -> None:
    expect(regions.box(text, SIZE), *rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3", "X,Y,WIDTH,HEIGHT"), ("a,2,3,4", "X,Y,WIDTH,HEIGHT"), ("", "X,Y,WIDTH,HEIGHT"),
        ("1.5,2,3,4", "whole pixels"), ("1,2,0,4", "1 or more"), ("1,2,3,-4", "1 or more"),
        ("7,0,1,1", "outside the photo, which is 7x5"), ("-3,0,3,3", "outside the photo"),
        ("0,5,3,3", "outside the photo"), ("1,2,3,9999999999", "X,Y,WIDTH,HEIGHT"),
    ],
)  # fmt: skip
def test_bad_boxes(text: str, message: str) -> None:
    with pytest.raises(FinefillError, match=rf"^box {text}: .*{message}"):
        regions.box(text, SIZE)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,1 3,1 3,3 1,3", (".......", ".###...", ".###...", ".###...", ".......")),
        ("0,0 4,0 0,4", ("#####..", "####...", "###....", "##.....", "#......")),
        ("4.9,1.2 6.1,1.9 6,3.5 4,3", (".......", "....###", "....###", "....###", ".......")),
        # The half plane right of and above the diagonal, far beyond the photo.
        ("-900000,-900000 900000,-900000 900000,900000",
         ("#######", ".######", "..#####", "...####", "....###")),
    ],
)  # fmt: skip
def test_polygons(text: str, rows: tuple[str, ...]) -> None:
    expect(regions.polygon(text, SIZE), *rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1 2,2", "three or more corners"), ("", "three or more corners"),
        ("1,1 2,2 x,3", "three or more corners"), ("1,1 2,2 3,3,3", "pairs of numbers"),
        ("1,1 2,2 nan,3", "pairs of numbers"), ("1,1 2,2 inf,3", "pairs of numbers"),
        ("1,1 2,2 1e9,3", "pairs of numbers"), ("10,1 12,2 12,3", "outside the photo"),
    ],
)  # fmt: skip
def test_bad_polygons(text: str, message: str) -> None:
    with pytest.raises(FinefillError, match=rf"^polygon {text}: .*{message}"):
        regions.polygon(text, SIZE)


def test_a_painted_colour() -> None:
    image = np.full((*SIZE, 3), 100, np.uint8)
    image[2, 2] = (255, 0, 0)
    image[2, 3] = (237, 24, 0)  # sqrt(18² + 24²) = 30 away
    image[4, 6] = (237, 24, 2)  # a little more
    rows = (".......", "..##...", ".####..", "..##...", ".......")
    for name in ("#FF0000", "#ff0000", "red"):
        expect(regions.colour(image, name), *rows)
    rows = (".......", "..#....", ".###...", "..#....", ".......")
    expect(regions.colour(image, "#FF0000", tolerance=29.9), *rows)
    expect(regions.colour(image, "#FF0000", tolerance=0), *rows)


def test_colours_that_are_none_or_nowhere() -> None:
    image = np.full((*SIZE, 3), 100, np.uint8)
    image[0, 0] = (200, 0, 0)
    with pytest.raises(FinefillError, match=r"^p\.png: nothing is painted in #FF0000.* 55 away"):
        regions.colour(image, "#FF0000", name="p.png")
    with pytest.raises(FinefillError, match=r"^colour reddish: give it as #RRGGBB"):
        regions.colour(image, "reddish")


def coco(**changes: Any) -> dict[str, Any]:
    """Annotations of p.jpg: a car by a polygon, a man by run lengths, a dog by its box."""
    counts = [5 * 3 + 1, 2, 3, 2, 12]  # rows 1 and 2 of columns 3 and 4
    return {
        "images": [
            {"id": 7, "file_name": "train/p.jpg", "width": 7, "height": 5},
            {"id": 8, "file_name": "q.jpg", "width": 7, "height": 5},
        ],
        "categories": [
            {"id": 1, "name": "car"}, {"id": 2, "name": "man"}, {"id": 3, "name": "dog"},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "segmentation": [[0, 0, 1, 0, 1, 1, 0, 1]]},
            {"id": 2, "image_id": 7, "category_id": 2, "iscrowd": 1,
             "segmentation": {"counts": counts, "size": [5, 7]}},
            {"id": 3, "image_id": 7, "category_id": 3, "bbox": [4.5, 3.0, 1.5, 1.2],
             "segmentation": []},
            {"id": 4, "image_id": 8, "category_id": 1, "bbox": [0, 0, 7, 4]},
        ],
        **changes,
    }  # fmt: skip


def saved(folder: Path, data: Any) -> Path:
    path = folder / "a.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_coco(tmp_path: Path) -> None:
    path = saved(tmp_path, coco())
    car = ("##.....", "##.....", ".......", ".......", ".......")
    man = (".......", "...##..", "...##..", ".......", ".......")
    dog = (".......", ".......", ".......", "....##.", "....##.")
    everything = ("##.....", "##.##..", "...##..", "....##.", "....##.")
    for photo in ("p.jpg", "elsewhere/p.jpg"):
        expect(regions.coco(path, photo, SIZE), *everything)
    for label, rows in (("car", car), ("man", man), ("dog", dog)):
        expect(regions.coco(path, "p.jpg", SIZE, [label]), *rows)
    expect(
        regions.coco(path, "p.jpg", SIZE, ["dog", "man"]),
        ".......", "...##..", "...##..", "....##.", "....##.",
    )  # fmt: skip


def test_annotations_of_another_size_are_scaled(tmp_path: Path) -> None:
    path = saved(tmp_path, coco())
    with pytest.warns(UserWarning, match="7x5 pixels, the photo 14x10: scaled"):
        found = regions.coco(path, "p.jpg", (10, 14), ["car"])
    np.testing.assert_array_equal(found, regions.box("0,0,4,4", (10, 14)))
    with pytest.raises(FinefillError, match="--resize-mask"):
        regions.coco(path, "p.jpg", (14, 10))
    assert regions.coco(path, "p.jpg", (10, 10), resize=True).shape == (10, 10)


CAR = {"id": 1, "image_id": 7, "category_id": 1}
RUNS = {"counts": [35], "size": [5, 7]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "no image called p.jpg"),
        ({"images": [{"id": 1, "file_name": "p.jpg"}] * 2}, "2 images called p.jpg"),
        ({"images": {}}, "no list of images"),
        ({"images": [3]}, "no list of images"),
        ({"annotations": None}, "no list of annotations"),
        ({"annotations": []}, "nothing is annotated there: give --box"),
        ({"annotations": [CAR]}, "annotation 1: it needs a segmentation, or a bbox"),
        ({"annotations": [{**CAR, "bbox": [1, 2, 3]}]}, "it needs a segmentation, or a bbox"),
        ({"annotations": [{**CAR, "bbox": [9, 9, 3, 3]}]}, "outside the photo"),
        ({"annotations": [{**CAR, "segmentation": [1, 2, 3]}]}, "lists of numbers"),
        ({"annotations": [{**CAR, "segmentation": [[1, 2, 3, 4]]}]}, "three or more corners"),
        ({"annotations": [{**CAR, "segmentation": [[1, 2, 3, 4, 5]]}]}, "pairs of numbers"),
        ({"annotations": [{**CAR, "segmentation": [[1, 2, 3, 4, 5, "x"]]}]}, "pairs of numbers"),
        ({"annotations": [{**CAR, "segmentation": {**RUNS, "counts": "PPYo0"}}]}, "add up to"),
        ({"annotations": [{**CAR, "segmentation": {**RUNS, "counts": "`"}}]}, "are damaged"),
        ({"annotations": [{**CAR, "segmentation": {**RUNS, "counts": "` 0"}}]}, "are damaged"),
        ({"annotations": [{**CAR, "segmentation": {**RUNS, "counts": "é0"}}]}, "are damaged"),
        ({"annotations": [{**CAR, "segmentation": {**RUNS, "counts": "o" * 99}}]}, "are damaged"),
        ({"annotations": [{**CAR, "bbox": [1, 2, 0, 3]}]}, "annotation 1: its box has no area"),
        ({"annotations": [{**CAR, "segmentation": {**RUNS, "counts": [1, 2]}}]}, "add up to"),
        ({"annotations": [{**CAR, "segmentation": {**RUNS, "counts": [-1, 36]}}]}, "add up to"),
        ({"annotations": [{**CAR, "segmentation": {**RUNS, "counts": [35.0]}}]}, "add up to"),
        ({"annotations": [{**CAR, "segmentation": {**RUNS, "size": [7, 5]}}]}, "for a size of"),
        ({"annotations": [{**CAR, "segmentation": RUNS}]}, "outside the photo"),
        ({"images": [{"id": 7, "file_name": "p.jpg", "width": "7", "height": 5}]}, "whole numbers"),
        ({"images": [{"id": 7, "file_name": "p.jpg", "width": 10**6, "height": 10**6}]},
         "annotates an image of 1000000x1000000"),
    ],
)  # fmt: skip
def test_bad_coco(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = saved(tmp_path, coco(**changes))
    with pytest.raises(FinefillError, match=rf"a\.json: .*{message}"):
        regions.coco(path, "p.jpg", SIZE)


def test_unknown_labels(tmp_path: Path) -> None:
    path = saved(tmp_path, coco())
    with pytest.raises(FinefillError, match="labelled cat, cow: choose from car, dog, man"):
        regions.coco(path, "p.jpg", SIZE, ["cat", "car", "cow"])


def shape(kind: str, *points: tuple[float, float], label: str = "car") -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": points}


@pytest.mark.parametrize(
    ("entry", "rows"),
    [
        (shape("polygon", (0, 0), (2.5, 0), (2.5, 1.5), (0, 1.5)),
         ("###....", "###....", ".......", ".......", ".......")),
        (shape("rectangle", (5.2, 3.9), (3.1, 1)),
         (".......", "...###.", "...###.", "...###.", ".......")),
        (shape("rectangle", (1, 1), (2, 1), (2, 2), (1, 2)),
         (".......", ".##....", ".##....", ".......", ".......")),
        # Centre (3.5, 2.5) is the middle of pixel (3, 2); radius 1.5.
        (shape("circle", (3.5, 2.5), (3.5, 4)),
         (".......", "..###..", "..###..", "..###..", ".......")),
        (shape("circle", (3.5, 2.5), (4.5, 2.5)),
         (".......", "...#...", "..###..", "...#...", ".......")),
    ],
)  # fmt: skip
def test_labelme_shapes(tmp_path: Path, entry: dict[str, Any], rows: tuple[str, ...]) -> None:
    data = {"shapes": [entry], "imageWidth": 7, "imageHeight": 5}
    expect(regions.labelme(saved(tmp_path, data), SIZE), *rows)


def test_labelme_labels_and_unions(tmp_path: Path) -> None:
    data = {"shapes": [
        shape("rectangle", (0, 0), (0, 0)), shape("rectangle", (6, 4), (6, 4), label="man"),
        shape("rectangle", (2, 2), (2, 2)), shape("line", (0, 0), (6, 4), label="road"),
    ]}  # fmt: skip
    path = saved(tmp_path, data)
    car = ("#......", ".......", "..#....", ".......", ".......")
    expect(regions.labelme(path, SIZE, ["car"]), *car)
    with pytest.warns(UserWarning, match="line 'road': left out"):
        found = regions.labelme(path, SIZE)
    expect(found, "#......", ".......", "..#....", ".......", "......#")
    with pytest.raises(FinefillError, match=r"no shape with an area: line 'road': .*--line-width"):
        regions.labelme(path, SIZE, ["road"])
    with pytest.raises(FinefillError, match="labelled dog: choose from car, man, road"):
        regions.labelme(path, SIZE, ["dog"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "not a JSON file"), ("[" * 100_000, "not a JSON file"), ("[]", "no annotations"),
        ("{}", "no list of shapes"), ({"shapes": []}, "nothing is annotated"),
        ({"shapes": [shape("circle", (1, 1))]}, "circle 'car': it has 1 points"),
        ({"shapes": [shape("rectangle", (1, 1), (2, 2), (3, 3))]}, "it has 3 points"),
        ({"shapes": [{"label": "car"}]}, "polygon 'car': its corners must be pairs"),
        ({"shapes": [shape("rectangle", (9, 9), (12, 12))]}, "outside the photo"),
        ({"shapes": [shape("rectangle", (0, 0), (2, 2))], "imageWidth": 5, "imageHeight": 7},
         "5x7 pixels, the photo 7x5: .*--resize-mask"),
    ],
)  # fmt: skip
def test_bad_labelme(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(FinefillError, match=rf"a\.json: .*{message}"):
        regions.labelme(saved(tmp_path, data), SIZE)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(FinefillError, match=r"none\.json: cannot be read: No such file"):
        regions.labelme(tmp_path / "none.json", SIZE)
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(FinefillError, match=r"a\.png: not a JSON file"):
        regions.coco(tmp_path / "a.png", "p.jpg", SIZE)
