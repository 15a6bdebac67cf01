"""Masks and annotations drawn on a photo before, or after, its EXIF orientation turns it."""

from __future__ import annotations

import functools
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from finefill import FinefillError
from finefill.masks import by_numbers, placed, read_mask, regions

STORED = (24, 32)  # height, width
MASK = np.zeros(STORED, bool)
MASK[3:8, 2:7] = True


def upright(stored: NDArray[np.bool_], orientation: int) -> NDArray[np.bool_]:
    """As Pillow turns it."""
    image, exif = Image.fromarray(stored), Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    return np.asarray(ImageOps.exif_transpose(Image.open(buffer)))


def encoded(mask: NDArray[np.bool_], **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_drawn_on_the_stored_photo(orientation: int) -> None:
    expected = upright(MASK, orientation)
    found = read_mask(
        encoded(MASK), expected.shape, orientation=orientation, drawn="stored"
    )  # fmt: skip
    np.testing.assert_array_equal(found, expected)
    found = read_mask(encoded(expected), expected.shape, orientation=orientation, drawn="shown")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("resize", [False, True])
@pytest.mark.parametrize("factor", [1, 2])
def test_exchanged_sides_are_told(orientation: int, resize: bool, factor: int) -> None:
    drawn = np.kron(MASK, np.ones((factor, factor), bool))
    with pytest.raises(FinefillError, match="--mask-drawn stored") as error:
        read_mask(encoded(drawn), (32, 24), orientation=orientation, resize=resize)
    assert "--resize-mask" not in str(error.value)
    found = read_mask(encoded(upright(MASK, orientation)), (32, 24), orientation=orientation)
    np.testing.assert_array_equal(found, upright(MASK, orientation))


@pytest.mark.parametrize(("orientation", "side"), [(2, 32), (3, 32), (4, 32), (6, 24), (8, 24)])
def test_where_the_size_cannot_tell_it_is_told(orientation: int, side: int) -> None:
    drawn = MASK[:, :side]
    with pytest.warns(UserWarning, match="--mask-drawn shown if that is so"):
        found = read_mask(encoded(drawn), drawn.shape, orientation=orientation)
    np.testing.assert_array_equal(found, drawn)
    found = read_mask(encoded(drawn), drawn.shape, orientation=orientation, drawn="stored")
    np.testing.assert_array_equal(found, upright(drawn, orientation))


def test_a_mask_with_an_orientation_of_its_own() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(MASK, exif=exif)
    for drawn in (None, "shown", "stored"):
        found = read_mask(data, (32, 24), orientation=6, drawn=drawn)
        np.testing.assert_array_equal(found, upright(MASK, 6))


def test_nearly_square_masks_are_told_by_their_exact_size() -> None:
    mask = np.zeros((200, 201), bool)
    mask[:9] = True
    np.testing.assert_array_equal(placed(mask, (200, 201), orientation=6), mask)
    with pytest.raises(FinefillError, match="--mask-drawn stored"):
        placed(mask, (201, 200), orientation=6)


def test_boxes_and_polygons() -> None:
    def box(size: tuple[int, int]) -> NDArray[np.bool_]:
        return regions.box("2,3,5,5", size)

    found = by_numbers(box, (32, 24), orientation=6, drawn="stored")
    np.testing.assert_array_equal(found, upright(MASK, 6))
    assert by_numbers(box, (32, 24), orientation=6)[3:8, 2:7].all()
    # What leaves the upright photo at the left leaves the stored one, which lies, at the bottom.
    edge = functools.partial(regions.box, "2,20,5,8")
    found = by_numbers(edge, (32, 24), orientation=6, drawn="stored", wrap="x")
    stored = np.zeros((24, 32), bool)
    stored[[*range(4), *range(20, 24)], 2:7] = True
    np.testing.assert_array_equal(found, upright(stored, 6))


def annotations(folder: Path, sizes: bool) -> tuple[Path, Path]:
    """COCO and labelme files with MASK's square, with the stored photo's size if ``sizes``."""
    coco, labelme = folder / "coco.json", folder / "labelme.json"
    image = {"width": 32, "height": 24} if sizes else {}
    coco.write_text(json.dumps({
        "images": [{"id": 1, "file_name": "p.jpg", **image}], "categories": [],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 5, 5]}],
    }))  # fmt: skip
    image = {"imageWidth": 32, "imageHeight": 24} if sizes else {}
    shape = {"label": "a", "shape_type": "rectangle", "points": [[2, 3], [6, 7]]}
    labelme.write_text(json.dumps({"shapes": [shape], **image}))
    return coco, labelme


@pytest.mark.parametrize("sizes", [True, False])
def test_annotations(tmp_path: Path, sizes: bool) -> None:
    coco, labelme = annotations(tmp_path, sizes)
    size, turn = (32, 24), {"orientation": 6}
    for drawn, expected in (("stored", upright(MASK, 6)), ("shown", None), (None, None)):
        for read in (
            lambda drawn: regions.coco(coco, "p.jpg", size, drawn=drawn, **turn),
            lambda drawn: regions.labelme(labelme, size, drawn=drawn, **turn),
        ):
            if expected is not None:
                np.testing.assert_array_equal(read(drawn), expected)
            elif sizes and drawn is None:
                with pytest.raises(FinefillError, match="--mask-drawn stored"):
                    read(drawn)
            elif drawn is None:
                with pytest.warns(UserWarning, match="--mask-drawn stored if not"):
                    assert read(drawn)[3:8, 2:7].all()
            elif not sizes:
                assert read(drawn)[3:8, 2:7].all()
