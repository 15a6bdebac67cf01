"""Annotations of YOLO, VIA, CVAT and Label Studio, and how a file's kind is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from finefill import FinefillError
from finefill.masks import regions

SIZE = (10, 20)  # height, width


def box(left: int, top: int, width: int, height: int) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def saved(folder: Path, text: Any, name: str = "a.json") -> Path:
    path = folder / name
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return path


def read(path: Path, *labels: str, **options: Any) -> NDArray[np.bool_]:
    return regions.annotated(path, "folder/p.jpg", SIZE, labels, **options)


def test_yolo(tmp_path: Path) -> None:
    """A box by its middle and size, and a polygon's corners, in fractions of 20 and 10 pixels."""
    text = "0 0.25 0.5 0.2 0.4\n\n7 0.5 0.1 0.7 0.1 0.7 0.4 0.5 0.4\n"
    path = saved(tmp_path, text, "p.txt")
    np.testing.assert_array_equal(read(path, "0"), box(3, 3, 4, 4))
    np.testing.assert_array_equal(read(path, "7"), box(10, 1, 5, 4))  # to its last corner's pixel
    np.testing.assert_array_equal(read(path), box(3, 3, 4, 4) | box(10, 1, 5, 4))
    # With how sure the detector was; all of the image.
    path = saved(tmp_path, "0 0.25 0.5 0.2 0.4 0.93", "p.txt")
    np.testing.assert_array_equal(read(path), box(3, 3, 4, 4))
    assert read(saved(tmp_path, "1 0 0 1 0 1 1 0 1", "p.txt")).all()
    for bad in ("hello", "0 1 2", "0 12 10 4 4", "car 0.1 0.1 0.2 0.2", "0 nan 0.1 0.1 0.1"):
        with pytest.raises(FinefillError, match=r"p\.txt: line 1: no annotation of YOLO"):
            read(saved(tmp_path, bad, "p.txt"))


@pytest.mark.parametrize(
    "points",
    [
        "0.3 0.5 2", "0.3 0.5 2.000000 0 0 0", "0.2 0.4 1 0.3 0.6 1", "0 0 0 0 0 0",
        "0.3 0.5 2 0.9 0.9 1 0 0 0", "0.2 0.4 0.0 0.3 0.6 2.0 0.2 0.4 1.0 0.2 0.4 1.0",
    ],
)  # fmt: skip
def test_the_box_of_key_points_of_yolo(tmp_path: Path, points: str) -> None:
    path = saved(tmp_path, f"0 0.25 0.5 0.2 0.4 {points}", "p.txt")
    np.testing.assert_array_equal(read(path), box(3, 3, 4, 4))


def test_polygons_along_edges_are_no_key_points(tmp_path: Path) -> None:
    """Five corners; the fourth's x and the fifth's y are 0 or 1."""
    path = saved(tmp_path, "0 0.8 0.9 0.9 0.8 1 0.8 1 1 0.8 1", "p.txt")
    found = read(path)
    assert found[9, 16:20].all()  # from x = 16 on, the image's corner
    assert found[8, 18]
    assert not found[:8].any()
    assert not found[:, :16].any()
    found = read(saved(tmp_path, "0 0.2 0.1 0.2 0.3 0.1 0.4 0 0.4 0.2 0", "p.txt"))
    assert found[4, 0]
    assert not found[5:].any()
    assert not found[:, 5:].any()


def test_yolo_is_turned_with_a_photo(tmp_path: Path) -> None:
    path = saved(tmp_path, "0 0.25 0.5 0.2 0.4", "p.txt")
    found = regions.annotated(path, "p.jpg", (20, 10), orientation=6, drawn="stored")
    np.testing.assert_array_equal(found, np.rot90(box(3, 3, 4, 4), -1))
    with pytest.warns(UserWarning, match="--mask-drawn"):
        regions.annotated(path, "p.jpg", (20, 10), orientation=6)


def via(**shape: Any) -> dict[str, Any]:
    region = {"shape_attributes": shape, "region_attributes": {"what": "car"}}
    return {"p.jpg123": {"filename": "p.jpg", "size": 123, "regions": [region]}}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("project", [False, True])
def test_via(tmp_path: Path, old: bool, project: bool) -> None:
    data = via(name="polygon", all_points_x=[2, 5, 5, 2], all_points_y=[3, 3, 6, 6])
    if old:
        data["p.jpg123"]["regions"] = {"0": data["p.jpg123"]["regions"][0]}
    path = saved(tmp_path, {"_via_img_metadata": data, "_via_settings": {}} if project else data)
    np.testing.assert_array_equal(read(path, "car"), box(2, 3, 4, 4))
    with pytest.raises(FinefillError, match="labelled dog: choose from car"):
        read(path, "dog")
    with pytest.raises(FinefillError, match=r"no image called q\.jpg"):
        regions.annotated(path, "q.jpg", SIZE)


def test_shapes_of_via(tmp_path: Path) -> None:
    rect = via(name="rect", x=2, y=3, width=4, height=5)
    np.testing.assert_array_equal(read(saved(tmp_path, rect)), box(2, 3, 4, 5))
    circle = read(saved(tmp_path, via(name="circle", cx=10, cy=5, r=3)))
    assert circle[5, 7:13].all()
    assert circle[2:8, 10].all()
    assert not circle[:2].any()
    assert not circle[:, :7].any()
    assert 28 <= circle.sum() <= 45  # 9 pi, and its outline
    line = via(name="polyline", all_points_x=[2, 6], all_points_y=[4, 4])
    np.testing.assert_array_equal(read(saved(tmp_path, line), line_width=1), box(2, 4, 5, 1))
    with pytest.raises(FinefillError, match="--line-width"):
        read(saved(tmp_path, line))
    with pytest.raises(FinefillError, match="rect: width: must be a number"):
        read(saved(tmp_path, via(name="rect", x=2, y=3, height=5)))


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<image id="0" name="sub/p.jpg" width="20" height="10">
<polygon label="car" occluded="0" points="2.0,3.0;5.0,3.0;5.0,6.0;2.0,6.0" z_order="0"></polygon>
<box label="man" xtl="10.0" ytl="1.0" xbr="14.0" ybr="3.0"></box>
<polyline label="wire" points="0,9;5,9"></polyline>
<mask label="dog" rle="1, 2, 3" left="15" top="5" width="3" height="2"></mask>
<tag label="sunny"></tag>
</image><image id="1" name="q.jpg" width="7" height="7"></image></annotations>"""


def test_cvat(tmp_path: Path) -> None:
    path = saved(tmp_path, CVAT, "a.xml")
    np.testing.assert_array_equal(read(path, "car"), box(2, 3, 4, 4))
    np.testing.assert_array_equal(read(path, "man"), box(10, 1, 4, 2))
    # Row by row of three: one free, two drawn, three free.
    np.testing.assert_array_equal(read(path, "dog"), box(16, 5, 2, 1))
    np.testing.assert_array_equal(read(path, "wire", line_width=1), box(0, 9, 6, 1))
    with pytest.warns(UserWarning, match="polyline 'wire': left out: .*--line-width"):
        found = read(path)
    np.testing.assert_array_equal(found, box(2, 3, 4, 4) | box(10, 1, 4, 2) | box(16, 5, 2, 1))
    with pytest.raises(FinefillError, match="nothing is annotated"):
        regions.annotated(path, "q.jpg", SIZE)
    with pytest.raises(FinefillError, match="damaged XML"):
        read(saved(tmp_path, CVAT[:300], "a.xml"))
    for bad in ('rle="1,2,9"', 'rle="1,x"'):
        with pytest.raises(FinefillError, match="run lengths are damaged"):
            read(saved(tmp_path, CVAT.replace('rle="1, 2, 3"', bad), "a.xml"), "dog")
    turned = CVAT.replace('ybr="3.0"', 'ybr="3.0" rotation="90"')
    found = read(saved(tmp_path, turned, "a.xml"), "man")  # 4 by 2 around (12, 2): 2 by 4
    assert found[0:4, 11:13].all()
    assert found.sum() <= 15  # a polygon's last corners' pixels too


def test_points_of_cvat_are_dots(tmp_path: Path) -> None:
    """Separate points, each a dot as wide as a line; nothing lies between them."""
    text = CVAT.replace("polyline", "points").replace("0,9;5,9", "2.5,1.5;12.0,7.0")
    path = saved(tmp_path, text, "a.xml")
    np.testing.assert_array_equal(
        read(path, "wire", line_width=1), box(2, 1, 1, 1) | box(12, 7, 1, 1)
    )
    # The corners of 3x3 pixels are sqrt(2) from the middle, less than half of 3.
    wide = read(path, "wire", line_width=3)
    np.testing.assert_array_equal(wide, box(1, 0, 3, 3) | box(11, 6, 3, 3))
    with pytest.warns(UserWarning, match="points 'wire': left out: .*--line-width"):
        assert not read(path)[7, 12]


VOC = """<annotation><folder>x</folder><filename>p.jpg</filename>
<size><width>20</width><height>10</height><depth>3</depth></size>
<object><name>car</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>6</xmax><ymax>7</ymax></bndbox>
<part><name>wheel</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>
</part></object>
<object><name>man</name><bndbox><xmin>19</xmin><ymin>1</ymin><xmax>20</xmax><ymax>10</ymax></bndbox>
</object></annotation>"""


def test_a_polygon_of_pascal_voc_counts_instead_of_its_box(tmp_path: Path) -> None:
    """As Roboflow writes it; the first pixel is 1. A triangle: 1, 2, 3 and 4 pixels a row."""
    corners = "<polygon><x1>3</x1><y1>4</y1><x2>6</x2><y2>7</y2><x3>3</x3><y3>7</y3></polygon>"
    found = read(saved(tmp_path, VOC.replace("<bndbox>", f"{corners}<bndbox>"), "p.xml"))
    expected = np.zeros(SIZE, bool)
    for row in range(4):
        expected[3 + row, 2 : 3 + row] = True
    np.testing.assert_array_equal(found[:, :8], expected[:, :8])


def test_a_file_of_another_image_is_told(tmp_path: Path) -> None:
    told = r"a\.json: says that it annotates q\.png, and is used for p\.jpg"
    shape = {"label": "a", "shape_type": "rectangle", "points": [[2, 3], [5, 6]]}
    path = saved(tmp_path, {"shapes": [shape], "imagePath": "..\\raw\\q.png"})
    with pytest.warns(UserWarning, match=told):
        np.testing.assert_array_equal(read(path), box(2, 3, 4, 4))
    read(saved(tmp_path, {"shapes": [shape], "imagePath": "../raw/P.png"}))  # converted since
    path = saved(tmp_path, VOC.replace("p.jpg", "q.jpg"), "p.xml")
    with pytest.warns(UserWarning, match=r"annotates q\.jpg, and is used for p\.jpg"):
        read(path)


def test_pascal_voc(tmp_path: Path) -> None:
    """The first pixel is 1, and the last belongs to the box: 3 to 6 are columns 2, 3, 4 and 5."""
    path = saved(tmp_path, VOC, "p.xml")
    np.testing.assert_array_equal(read(path, "car"), box(2, 3, 4, 4))
    np.testing.assert_array_equal(read(path), box(2, 3, 4, 4) | box(18, 0, 2, 10))
    unsized = re.sub("<size>.*</size>", "", VOC)
    np.testing.assert_array_equal(read(saved(tmp_path, unsized, "p.xml")), read(path))
    half = VOC.replace("<width>20", "<width>40").replace("<height>10", "<height>20")
    with pytest.warns(UserWarning, match="scaled"):
        found = read(saved(tmp_path, half, "p.xml"), "car")
    np.testing.assert_array_equal(found, box(1, 1, 2, 3))  # what it touches at all
    with pytest.raises(FinefillError, match=r"box 'car': xmax: must be a number of pixels"):
        read(saved(tmp_path, VOC.replace("<xmax>6</xmax>", ""), "p.xml"))
    tracks = "<annotations><track label='a'><box frame='0' xtl='1'/></track></annotations>"
    with pytest.raises(FinefillError, match="has tracks of a video: export it as CVAT for images"):
        read(saved(tmp_path, tracks, "v.xml"))


SKELETON = """<skeleton label="man"><points label="1" points="3,3"></points></skeleton>"""
CUBOID = """<cuboid label="van" xtl1="1" ytl1="1" xbl1="1" ybl1="4" xtr1="6" ytr1="1"></cuboid>"""


@pytest.mark.parametrize(("kind", "element"), [("skeleton", SKELETON), ("cuboid", CUBOID)])
def test_what_is_not_read_of_cvat_is_told(tmp_path: Path, kind: str, element: str) -> None:
    start, end = CVAT.split("<polygon")[0], "</image></annotations>"
    other = '<box label="a" xtl="10" ytl="1" xbr="14" ybr="3"/><tag label="sunny"/>'
    path = saved(tmp_path, start + element + other + end, "a.xml")
    with pytest.warns(UserWarning, match=f"{kind} '(man|van)': left out: {kind}s are not") as told:
        np.testing.assert_array_equal(read(path), box(10, 1, 4, 2))
    assert len(told) == 1
    with pytest.raises(FinefillError, match=f"no shape with an area: {kind}"):
        read(saved(tmp_path, start + element + end, "a.xml"))


def studio(kind: str, **value: Any) -> list[dict[str, Any]]:
    result = {
        "type": kind, "original_width": 20, "original_height": 10,
        "value": {**value, kind: ["car"]},
    }  # fmt: skip
    return [
        {"id": 1, "data": {"image": "/data/upload/1/q.jpg"}, "annotations": [{"result": []}]},
        {"id": 2, "data": {"image": "/data/upload/1/1a2b3c4d-p.jpg"},
         "annotations": [{"result": [result, {"type": "choices", "value": {"choices": ["x"]}}]}]},
    ]  # fmt: skip


def test_label_studio(tmp_path: Path) -> None:
    """In per cent: 10 is 2 pixels across and 1 down."""
    task = studio("rectanglelabels", x=10, y=30, width=20, height=40, rotation=0)
    np.testing.assert_array_equal(read(saved(tmp_path, task), "car"), box(2, 3, 4, 4))
    task = studio("polygonlabels", points=[[10, 30], [25, 30], [25, 60], [10, 60]])
    np.testing.assert_array_equal(read(saved(tmp_path, task)), box(2, 3, 4, 4))
    task = studio("ellipselabels", x=50, y=50, radiusX=15, radiusY=30)
    found = read(saved(tmp_path, task))
    assert found[5, 7:13].all()
    assert found[2:8, 10].all()
    assert not found[:2].any()
    assert not found[:, :7].any()
    # A quarter turn around its corner (10, 2): 6 by 2 pixels become 2 by 6, to the left of it.
    task = studio("rectanglelabels", x=50, y=20, width=30, height=20, rotation=90)
    found = read(saved(tmp_path, task))
    assert found[2:8, 8:10].all()
    assert found.sum() <= 7 * 3


def two_results(**value: Any) -> list[dict[str, Any]]:
    """A shape and its label, as the template with <Rectangle> and <Labels> exports them."""
    size = {"original_width": 20, "original_height": 10}
    return [
        {"id": "s1", "type": "rectangle", "value": value, **size},
        {"id": "s1", "type": "labels", "value": {**value, "labels": ["car"]}, **size},
        {"id": "s2", "type": "rectangle", "value": {**value, "x": 60}, **size},
        {"id": "s2", "type": "labels", "value": {"labels": ["man"]}, **size},
    ]


def test_label_studio_with_labels_of_their_own(tmp_path: Path) -> None:
    results = two_results(x=10, y=30, width=20, height=40, rotation=0)
    task = {"id": 1, "data": {"image": "p.jpg"}, "annotations": [{"result": results}]}
    for data in ([task], task, {"tasks": [task], "total": 1}):  # exports, and its API
        path = saved(tmp_path, data)
        np.testing.assert_array_equal(read(path, "car"), box(2, 3, 4, 4))
        np.testing.assert_array_equal(read(path, "man"), box(12, 3, 4, 4))
        np.testing.assert_array_equal(read(path), box(2, 3, 4, 4) | box(12, 3, 4, 4))
    with pytest.raises(FinefillError, match=r"labelled dog: choose from car, man$"):
        read(path, "dog")
    unnamed = {**task, "annotations": [{"result": results[::2]}]}
    with pytest.raises(FinefillError, match="nothing has a label there: leave out --label"):
        read(saved(tmp_path, unnamed), "car")
    value = {"x": 10, "y": 30, "width": 20, "height": 40, "rotation": 0}
    value |= {"original_width": 20, "original_height": 10}
    short = {"image": "p.jpg", "box": [value], "label": [{**value, "labels": ["car"]}]}
    for data in ([short], short):
        np.testing.assert_array_equal(read(saved(tmp_path, data), "car"), box(2, 3, 4, 4))
    # Only the label's result has the shape.
    alone = {**task, "annotations": [{"result": results[1:2]}]}
    np.testing.assert_array_equal(read(saved(tmp_path, alone), "car"), box(2, 3, 4, 4))


@pytest.mark.parametrize(
    "told",
    [
        "https://bucket.example/a/my%20photo.png?X-Amz-Signature=ab12&d=c.png",
        "s3://bucket/a/my photo.png", "/data/upload/3/abcd1234-my_photo.png",
        "/data/local-files/?d=a/my%20photo.png", "abcd1234-my%20photo.png",
    ],
)  # fmt: skip
def test_how_label_studio_calls_an_image(tmp_path: Path, told: str) -> None:
    task = studio("rectanglelabels", x=10, y=30, width=20, height=40, rotation=0)[1]
    path = saved(tmp_path, [{**task, "data": {"image": told}}])
    found = regions.annotated(path, "my photo.png", SIZE, ["car"])
    np.testing.assert_array_equal(found, box(2, 3, 4, 4))


def packed(samples: NDArray[np.uint8], lengths: tuple[int, ...] = (3, 4, 8, 16)) -> list[int]:
    """Label Studio's packing: runs of one sample, and between them as many as differ."""
    flat = samples.reshape(-1).tolist()
    text = f"{len(flat):032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in lengths)

    def block(repeats: int, length: int) -> str:
        which = next(at for at, width in enumerate(lengths) if length <= 1 << width)
        return f"{repeats}{which:02b}{length - 1:0{lengths[which]}b}"

    at = 0
    while at < len(flat):
        end = at + 1
        while end < len(flat) and flat[end] == flat[at] and end - at < 1 << lengths[-1]:
            end += 1
        if end - at > 1:
            text += block(1, end - at) + f"{flat[at]:08b}"
        else:
            while end < len(flat) and flat[end : end + 2] != [flat[end]] * 2 and end - at < 8:
                end += 1
            text += block(0, end - at) + "".join(f"{one:08b}" for one in flat[at:end])
        at = end
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]


@pytest.mark.parametrize("minimal", [False, True])
@pytest.mark.parametrize("lengths", [(3, 4, 8, 16), (1, 2, 3, 4)])
def test_brush_masks_of_label_studio(
    tmp_path: Path, lengths: tuple[int, ...], minimal: bool
) -> None:
    rng = np.random.default_rng(4)
    painted = box(3, 2, 6, 5) | (rng.random(SIZE) < 0.05)
    rgba = rng.integers(0, 256, (*SIZE, 4)).astype(np.uint8)
    rgba[..., 3] = np.where(painted, rng.integers(1, 256, SIZE), 0)
    rgba[:2] = 0
    painted[:2] = False
    told = {"format": "rle", "rle": packed(rgba, lengths)}
    task: Any = studio("brushlabels", **told)
    if minimal:
        shape = {**told, "brushlabels": ["car"], "original_width": 20, "original_height": 10}
        task = [{"id": 1, "image": "/data/upload/1/q.jpg", "annotator": 1},
                {"id": 2, "image": "/data/upload/1/1a2b3c4d-p.jpg", "tag": [shape]}]  # fmt: skip
    np.testing.assert_array_equal(read(saved(tmp_path, task), "car"), painted)


def test_a_brush_mask_by_hand(tmp_path: Path) -> None:
    """2 by 1 pixels, (0, 0, 0, 0) and (5, 6, 7, 8): a run of four, and four samples."""
    text = (
        f"{8:032b}" "00111" "0010" "0011" "0111" "1111"
        "1" "00" "011" "00000000"
        "0" "00" "011" "00000101" "00000110" "00000111" "00001000"
    )  # fmt: skip
    text += "0" * (-len(text) % 8)
    packed_by_hand = [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]
    assert packed(np.array([0, 0, 0, 0, 5, 6, 7, 8], np.uint8)) == packed_by_hand
    task = studio("brushlabels", format="rle", rle=packed_by_hand)
    task[1]["annotations"][0]["result"][0] |= {"original_width": 2, "original_height": 1}
    # Scaled from 2 by 1 to 20 by 10: the right half.
    with pytest.warns(UserWarning, match="scaled"):
        np.testing.assert_array_equal(read(saved(tmp_path, task)), box(10, 0, 10, 10))


def test_damaged_brush_masks(tmp_path: Path) -> None:
    rgba = np.zeros((*SIZE, 4), np.uint8)
    rgba[2:5, 3:9] = 255
    good = packed(rgba)
    assert read(saved(tmp_path, studio("brushlabels", rle=good))).sum() == 18
    bad: tuple[Any, ...] = (good[:-4], good[4:], [1, 2, 3], [], "abc", [300] * 40, None, {"a": 1})
    for rle in (*bad, packed(rgba[1:])):
        with pytest.raises(FinefillError, match=r"brushlabels: its run lengths are damaged, or"):
            read(saved(tmp_path, studio("brushlabels", rle=rle)))
    with pytest.raises(FinefillError, match="nothing is painted"):
        read(saved(tmp_path, studio("brushlabels", rle=packed(rgba * 0))))


def with_box(task: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The task with another annotation: a box of 4 by 4 pixels at (2, 3)."""
    more = studio("rectanglelabels", x=10, y=30, width=20, height=40, rotation=0)
    task[1]["annotations"] += more[1]["annotations"]
    return task


@pytest.mark.parametrize("kind", ["keypointlabels", "keypoint", "vectorlabels"])
def test_what_is_not_read_of_label_studio_is_told(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, with_box(studio(kind, width=0.4, x=50, y=50)))
    with pytest.warns(UserWarning, match=f"{kind} 'car': left out: .*not read") as told:
        np.testing.assert_array_equal(read(path), box(2, 3, 4, 4))
    assert len(told) == 1


def test_cancelled_annotations_of_label_studio(tmp_path: Path) -> None:
    task = studio("rectanglelabels", x=50, y=0, width=50, height=100, rotation=0)
    task[1]["annotations"][0]["was_cancelled"] = True
    with pytest.warns(UserWarning, match="left out: annotations .* cancelled .* 1 of .* 2$"):
        found = read(saved(tmp_path, with_box(task)))
    np.testing.assert_array_equal(found, box(2, 3, 4, 4))
    del task[1]["annotations"][1:]
    with (
        pytest.warns(UserWarning, match="cancelled"),
        pytest.raises(FinefillError, match="nothing is annotated"),
    ):
        read(saved(tmp_path, task))


def of_two_folders(kind: str, one: str, other: str) -> Any:
    """Two images of the same name: a box at x = 2 in the first one, at x = 10 in the other."""
    if kind == "CVAT":
        return "<annotations>{}</annotations>".format(
            "".join(
                f'<image name="{name}" width="20" height="10">'
                f'<box label="a" xtl="{x}" ytl="3" xbr="{x + 4}" ybr="7"/></image>'
                for name, x in ((one, 2), (other, 10))
            )
        )
    if kind == "VIA":
        first, second = (via(name="rect", x=x, y=3, width=4, height=4)["p.jpg123"] for x in (2, 10))
        return {"1": {**first, "filename": one}, "2": {**second, "filename": other}}
    tasks = []
    for name, x in ((one, 10), (other, 50)):
        task = studio("rectanglelabels", x=x, y=30, width=20, height=40, rotation=0)[1]
        tasks.append({**task, "data": {"image": f"/data/local-files/?d={name}"}})
    return tasks


@pytest.mark.parametrize("kind", ["CVAT", "VIA", "Label Studio"])
def test_images_of_one_name_in_folders(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, of_two_folders(kind, "a/p.jpg", "b/p.jpg"))
    for photo, x in (("a/p.jpg", 2), ("data/b/p.jpg", 10), (str(tmp_path / "b" / "p.jpg"), 10)):
        np.testing.assert_array_equal(regions.annotated(path, photo, SIZE), box(x, 3, 4, 4))
    for photo in ("p.jpg", "c/p.jpg"):
        with pytest.raises(FinefillError, match=r"a\.json: 2 images called p\.jpg in it: keep"):
            regions.annotated(path, photo, SIZE)
    path = saved(tmp_path, of_two_folders(kind, "p.jpg", "p.jpg"))
    with pytest.raises(FinefillError, match=r"2 images called p\.jpg"):
        regions.annotated(path, "a/p.jpg", SIZE)


def test_names_of_label_studio(tmp_path: Path) -> None:
    """An image may be told twice, as a file that was uploaded and by its address."""
    task = studio("rectanglelabels", x=10, y=30, width=20, height=40, rotation=0)
    task[1]["file_upload"] = "1a2b3c4d-p.jpg"
    np.testing.assert_array_equal(read(saved(tmp_path, task)), box(2, 3, 4, 4))
    task[1]["data"]["image"] = "/data/local-files/?d=folder%2Fp.jpg"
    del task[1]["file_upload"]
    np.testing.assert_array_equal(read(saved(tmp_path, task)), box(2, 3, 4, 4))
    twice = [task[1], {**task[1], "data": {"image": "/data/upload/1/5e6f7a8b-p.jpg"}}]
    twice[0] = {**task[1], "data": {"image": "/data/upload/1/1a2b3c4d-p.jpg"}}
    with pytest.raises(FinefillError, match=r"2 images called p\.jpg"):
        read(saved(tmp_path, twice))


def test_the_kind_of_a_file_is_told(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 1, "file_name": "p.jpg", "width": 20, "height": 10}],
        "annotations": [{"id": 1, "image_id": 1, "bbox": [2, 3, 4, 5]}],
    }
    np.testing.assert_array_equal(read(saved(tmp_path, coco)), box(2, 3, 4, 5))
    results = [{"image_id": 1, "category_id": 1, "bbox": [2, 3, 4, 5], "score": 1.0}]
    np.testing.assert_array_equal(read(saved(tmp_path, results)), box(2, 3, 4, 5))
    shape = {"label": "a", "shape_type": "rectangle", "points": [[2, 3], [5, 7]]}
    np.testing.assert_array_equal(read(saved(tmp_path, {"shapes": [shape]})), box(2, 3, 4, 5))
    for text, message in (
        ("{}", "no known kind|no image called"), ("[1, 2]", "no known kind"), ("{", "not a JSON"),
        ('{"a": 1}', "no known kind"), ("", "nothing is annotated"), ("<", "damaged XML"),
    ):  # fmt: skip
        with pytest.raises(FinefillError, match=rf"a\.json: .*({message})"):
            read(saved(tmp_path, text))
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(FinefillError, match="it is no text"):
        read(tmp_path / "b.png")
    with pytest.raises(FinefillError, match="cannot be read: No such file"):
        read(tmp_path / "none.txt")


def test_via_as_a_table(tmp_path: Path) -> None:
    head = (
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
        "region_attributes"
    )
    rect = '{""name"":""rect"",""x"":2,""y"":3,""width"":4,""height"":4}'
    poly = '{""name"":""polygon"",""all_points_x"":[10,14,14,10],""all_points_y"":[1,1,4,4]}'
    lines = [
        head,
        f'p.jpg,9,"{{}}",2,0,"{rect}","{{""name"":""car""}}"',
        f'p.jpg,9,"{{}}",2,1,"{poly}","{{""name"":""dog""}}"',
        f'q.jpg,9,"{{}}",1,0,"{rect}","{{}}"',
        'r.jpg,9,"{}",0,0,"{}","{}"',
    ]
    path = saved(tmp_path, "\r\n".join(lines), "via.csv")
    np.testing.assert_array_equal(read(path, "car"), box(2, 3, 4, 4))
    np.testing.assert_array_equal(read(path, "dog"), box(10, 1, 5, 4))
    np.testing.assert_array_equal(read(path), box(2, 3, 4, 4) | box(10, 1, 5, 4))
    with pytest.raises(FinefillError, match=r"no image called p\.jpg"):
        read(saved(tmp_path, "\n".join(lines[:1] + lines[3:]), "via.csv"))
    broken = lines[1].replace("{{", "{").replace(":4}", ":4")
    with pytest.raises(FinefillError, match=r"via.csv: not a JSON file"):
        read(saved(tmp_path, "\n".join([head, broken]), "via.csv"))
