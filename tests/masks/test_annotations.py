"""Annotations as programs write them: run lengths, results, masks, lines, stray clicks."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import FinefillError
from finefill.masks import regions, shapes

SIZE = (5, 7)  # height, width


def drawn(*rows: str) -> NDArray[np.bool_]:
    return np.array([[sign == "#" for sign in row] for row in rows])


def saved(folder: Path, data: Any, name: str = "a.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


MAN = drawn(".......", "...##..", "...##..", ".......", ".......")
# Column by column: 3 columns and 1 pixel are free, 2 are not, 3, 2, 12. As text: 16 is "`0", five
# bits with a sixth because the fifth would be a sign; then 2 and 3; then 2 - 2 and 12 - 3.
PLAIN, TEXT = [16, 2, 3, 2, 12], "`02309"
IMAGE = {"id": 7, "file_name": "p.jpg", "width": 7, "height": 5}


def instances(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    entries = [
        {"id": at, "image_id": 7, "category_id": 1, **one} for at, one in enumerate(annotations, 1)
    ]
    return {"images": [IMAGE], "categories": [], "annotations": entries, **changes}


@pytest.mark.parametrize("counts", [PLAIN, TEXT])
def test_run_lengths(tmp_path: Path, counts: Any) -> None:
    runs = {"counts": counts, "size": [5, 7]}
    path = saved(tmp_path, instances({"segmentation": runs}))
    np.testing.assert_array_equal(regions.coco(path, "p.jpg", SIZE), MAN)
    path = saved(tmp_path, {"image": IMAGE, "annotations": [{"id": 1, "segmentation": runs}]})
    np.testing.assert_array_equal(regions.coco(path, "any.jpg", SIZE), MAN)  # as SA-1B


def test_run_lengths_of_many_signs(tmp_path: Path) -> None:
    """1000 = 8 + 31 x 32: 8 and 31 with 32 each, for more follows, and 0: "Xo0"; 2030 is
    14 + 31 x 32 + 1 x 1024, and 2970 is 26 + 28 x 32 + 2 x 1024."""
    image = {**IMAGE, "width": 3, "height": 2000}
    runs = {"counts": "Xo0^o1jl2", "size": [2000, 3]}
    path = saved(tmp_path, instances({"segmentation": runs}, images=[image]))
    found = regions.coco(path, "p.jpg", (2000, 3))
    expected = np.zeros((2000, 3), bool)
    expected[1000:, 0] = expected[:1030, 1] = True
    np.testing.assert_array_equal(found, expected)


def test_results(tmp_path: Path) -> None:
    """A list of results has no images: the file's name or number tells."""
    runs = {"counts": TEXT, "size": [5, 7]}
    entries = [
        {"image_id": 139, "category_id": 1, "segmentation": runs, "score": 0.9},
        {"image_id": 140, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.9},
    ]
    path = saved(tmp_path, entries)
    for photo in ("000000000139.jpg", "139.png", "COCO_val_000000000139.jpg"):
        np.testing.assert_array_equal(regions.coco(path, photo, SIZE), MAN)
    with pytest.raises(FinefillError, match="results for 2 images, none of which is called p"):
        regions.coco(path, "p.jpg", SIZE)
    path = saved(tmp_path, entries[:1])
    np.testing.assert_array_equal(regions.coco(path, "p.jpg", SIZE), MAN)


def test_images_of_one_name_in_folders(tmp_path: Path) -> None:
    images = [{**IMAGE, "id": at, "file_name": f"{at}/p.jpg"} for at in "ab"]
    entries = [
        {"image_id": at, "bbox": [x, 0, 1, 1]} for at, x in (("a", 0), ("b", 5))
    ]  # fmt: skip
    path = saved(tmp_path, {"images": images, "annotations": entries})
    assert np.argwhere(regions.coco(path, "data/b/p.jpg", SIZE)).tolist() == [[0, 5]]
    assert np.argwhere(regions.coco(path, "a/p.jpg", SIZE)).tolist() == [[0, 0]]
    with pytest.raises(FinefillError, match=r"2 images called p\.jpg"):
        regions.coco(path, "c/p.jpg", SIZE)


def test_sizes_as_floats(tmp_path: Path) -> None:
    image = {**IMAGE, "width": 7.0, "height": 5.0}
    path = saved(tmp_path, instances({"bbox": [1, 1, 2, 2]}, images=[image]))
    assert regions.coco(path, "p.jpg", SIZE).sum() == 4


@pytest.mark.parametrize("categories", [None, True, 7, "x", {}, [None, 3]])
def test_without_names_categories_are_called_by_their_numbers(
    tmp_path: Path, categories: Any
) -> None:
    path = saved(tmp_path, instances({"bbox": [1, 1, 2, 2]}, categories=categories))
    assert regions.coco(path, "p.jpg", SIZE, ["1"]).sum() == 4


def test_stray_clicks_are_left_out_of_coco(tmp_path: Path) -> None:
    good = {"segmentation": [[0, 0, 1, 0, 1, 1, 0, 1], [5, 5, 6, 6]]}
    path = saved(tmp_path, instances(good, {"bbox": [3, 3, 0, 0]}, {"bbox": [20, 20, 3, 3]}))
    with pytest.warns(UserWarning, match="left out") as caught:
        found = regions.coco(path, "p.jpg", SIZE)
    assert found.sum() == 4
    told = [str(one.message).split("a.json: ")[1] for one in caught]
    assert told[0].startswith("annotation 1: left out: a polygon needs three or more")
    assert told[1] == "annotation 2: left out: its box has no area"
    assert told[2].startswith("annotation 3: left out: lies outside the photo")


def shape(kind: str | None, *points: tuple[float, float], **more: Any) -> dict[str, Any]:
    return {"label": "car", "shape_type": kind, "points": points, **more}


def test_stray_clicks_are_left_out_of_labelme(tmp_path: Path) -> None:
    good = shape("rectangle", (1, 1), (2, 2))
    bad = [
        (shape("circle", (3, 3), (3, 3)), "circle 'car': left out: its radius is 0"),
        (shape("polygon", (3, 3)), "polygon 'car': left out: a polygon needs three"),
        (shape("rectangle", (3, 3)), "rectangle 'car': left out: it has 1 points"),
        (shape("polygon", (20, 20), (21, 20), (21, 21)), "left out: lies outside the photo"),
        (shape("line", (0, 0), (3, 3)), "line 'car': left out: it has no area: give --line"),
        (shape("cuboid", (0, 0), (3, 3)), "shapes of this kind are not known"),
        (shape(None, (0, 0), (3, 3)), "polygon 'car': left out"),
    ]
    for entry, told in bad:
        path = saved(tmp_path, {"shapes": [entry, good]})
        with pytest.warns(UserWarning, match="left out") as caught:
            assert regions.labelme(path, SIZE).sum() == 4
        assert told in str(caught[0].message)
        with pytest.raises(FinefillError, match="no shape with an area: "):
            regions.labelme(saved(tmp_path, {"shapes": [entry]}), SIZE)


def png(mask: NDArray[Any], mode: str = "1") -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask).convert(mode).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_masks_of_labelme(tmp_path: Path, mode: str) -> None:
    part = np.array([[255, 0], [255, 255]], np.uint8)
    entry = shape("mask", (3, 2), (4, 3), mask=png(part, mode))
    found = regions.labelme(saved(tmp_path, {"shapes": [entry]}), SIZE)
    expected = drawn(".......", ".......", "...#...", "...##..", ".......")
    np.testing.assert_array_equal(found, expected)
    entry = shape("mask", (6, 4), (7, 5), mask=png(part, mode))  # beyond the corner
    found = regions.labelme(saved(tmp_path, {"shapes": [entry]}), SIZE)
    assert np.argwhere(found).tolist() == [[4, 6]]
    entry = shape("mask", (-1, -1), (0, 0), mask=png(part, mode))
    found = regions.labelme(saved(tmp_path, {"shapes": [entry]}), SIZE)
    assert np.argwhere(found).tolist() == [[0, 0]]


def test_masks_of_0_and_1(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[1, 0], [1, 1]], np.uint8)).save(buffer, "PNG")
    entry = shape("mask", (0, 0), (1, 1), mask=base64.b64encode(buffer.getvalue()).decode())
    found = regions.labelme(saved(tmp_path, {"shapes": [entry]}), SIZE)
    assert np.argwhere(found).tolist() == [[0, 0], [1, 0], [1, 1]]


@pytest.mark.parametrize("mask", [None, "", "%%%", "aGVsbG8=", 7])
def test_damaged_masks_are_named(tmp_path: Path, mask: Any) -> None:
    path = saved(tmp_path, {"shapes": [shape("mask", (0, 0), (1, 1), mask=mask)]})
    with pytest.raises(FinefillError, match=r"a\.json: mask 'car': its mask is no PNG"):
        regions.labelme(path, SIZE)


def test_turned_boxes_and_shapes_without_a_type(tmp_path: Path) -> None:
    corners = ((3, 0), (5, 2), (3, 4), (1, 2))
    expected = drawn("...#...", "..###..", ".#####.", "..###..", "...#...")
    for kind in ("rotation", "quadrilateral", "polygon", None):
        found = regions.labelme(saved(tmp_path, {"shapes": [shape(kind, *corners)]}), SIZE)
        np.testing.assert_array_equal(found, expected)
    entry = shape("polygon", *corners)
    del entry["shape_type"]
    found = regions.labelme(saved(tmp_path, {"shapes": [entry]}), SIZE)
    np.testing.assert_array_equal(found, expected)


def test_lines_have_a_width_if_they_are_given_one(tmp_path: Path) -> None:
    def lines(width: float, *shapes: dict[str, Any]) -> NDArray[np.bool_]:
        return regions.labelme(saved(tmp_path, {"shapes": shapes}), SIZE, line_width=width)

    across = shape("line", (1, 2), (5, 2))
    one = drawn(".......", ".......", ".#####.", ".......", ".......")
    np.testing.assert_array_equal(lines(1, across), one)
    # Pixels up to 1.5 from it: its ends are round.
    wide = drawn(".......", "#######", "#######", "#######", ".......")
    np.testing.assert_array_equal(lines(3, across), wide)
    corner = shape("linestrip", (1, 1), (1, 3), (4, 3))
    expected = drawn(".......", ".#.....", ".#.....", ".####..", ".......")
    np.testing.assert_array_equal(lines(1, corner), expected)
    dot = shape("point", (3.7, 2.2))
    expected = drawn(".......", "...#...", "..###..", "...#...", ".......")
    np.testing.assert_array_equal(lines(2, dot), expected)
    far = shape("line", (-900_000, 2), (900_000, 2))
    assert lines(1, far).sum() == 7


def test_small_circles_are_drawn() -> None:
    """However small, the pixel in the middle belongs to it."""
    found = shapes.circle((3.1, 2.1), (3.2, 2.1), SIZE, "circle")
    assert np.argwhere(found).tolist() == [[2, 3]]


def test_points_of_labelme_are_dots(tmp_path: Path) -> None:
    """Nothing lies between them."""
    shape = {"label": "a", "shape_type": "point", "points": [[0, 0], [4.5, 4.2]]}
    found = regions.labelme(saved(tmp_path, {"shapes": [shape]}), SIZE, line_width=1)
    assert np.argwhere(found).tolist() == [[0, 0], [4, 4]]
