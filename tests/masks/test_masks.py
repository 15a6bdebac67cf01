"""What counts as a mask, and what it means."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import FinefillError
from finefill.masks.drawing import (
    center_square,
    random_box,
    random_outline,
    random_square,
    random_strokes,
)
from finefill.masks.meaning import binarize, check, composite, grow, scale
from finefill.masks.reading import inverted, read_mask
from finefill.masks.tight import too_tight

SIZE = (40, 60)  # height, width
HOLE = np.zeros(SIZE, bool)
HOLE[10:22, 5:30] = True
GREY = HOLE.astype(np.uint8) * np.uint8(255)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[True, False]]), [[True, False]]),
        (np.array([[127, 128]], np.uint8), [[False, True]]),
        (np.array([[0, 1]], np.uint8), [[False, True]]),
        (np.array([[0, 255]], np.int64), [[False, True]]),
        (np.array([[0.49, 0.5, 1.0]], np.float32), [[False, True, True]]),
        (np.array([[0.0, 127.5, 128.0]]), [[False, False, True]]),
        (np.array([[[255], [0]]], np.uint8), [[True, False]]),
    ],
)
def test_binarize(values: NDArray[np.generic], expected: list[list[bool]]) -> None:
    result = binarize(values)
    assert result.dtype == np.bool_
    assert result.tolist() == expected
    assert not np.shares_memory(result, values)


@pytest.mark.parametrize(
    "values",
    [np.zeros((2, 2, 3), np.uint8), np.array([[np.nan]]), np.array([[-1, 0]]),
     np.array([[0, 255.5]]), np.array([["x"]]), np.zeros(4)],
)  # fmt: skip
def test_binarize_refuses(values: NDArray[np.generic]) -> None:
    with pytest.raises(FinefillError, match=r"^hole: "):
        binarize(values, "hole")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_masks_of_every_mode(mode: str) -> None:
    image = Image.fromarray(GREY)
    if mode == "I;16":
        image = Image.fromarray(GREY.astype(np.uint16) * np.uint16(257))
    else:
        image = image.convert(mode)
    np.testing.assert_array_equal(read_mask(encoded(image), SIZE), HOLE)


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_jpeg_greys_and_soft_edges_pass(quality: int) -> None:
    found = read_mask(encoded(Image.fromarray(GREY), "JPEG", quality=quality), SIZE)
    assert (found != HOLE).mean() < 0.005


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (255, 0, 0)])
def test_a_mask_drawn_in_alpha(colour: tuple[int, int, int]) -> None:
    image = Image.new("RGBA", (SIZE[1], SIZE[0]), (*colour, 0))
    image.putalpha(Image.fromarray(GREY))
    with pytest.warns(UserWarning, match="alpha channel"):
        found = read_mask(encoded(image), SIZE)
    np.testing.assert_array_equal(found, HOLE)


def test_the_orientation_of_the_mask_counts() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    stored = Image.fromarray(np.rot90(GREY).copy())
    np.testing.assert_array_equal(read_mask(encoded(stored, exif=exif), SIZE), HOLE)


def test_another_shape_is_told_or_scaled() -> None:
    square = encoded(Image.fromarray(GREY[:, ::2].copy()))
    with pytest.raises(FinefillError, match=r"30x40 pixels, the photo 60x40.*--resize-mask"):
        read_mask(square, SIZE)
    found = read_mask(square, SIZE, resize=True)
    assert found.shape == SIZE
    assert (found != HOLE).mean() < 0.02


def test_another_size_of_the_same_shape_is_scaled() -> None:
    half = encoded(Image.fromarray(GREY[::2, ::2].copy()))
    with pytest.warns(UserWarning, match="30x20 pixels, the photo 60x40: scaled to fit"):
        found = read_mask(half, SIZE)
    assert (found != HOLE).mean() < 0.02
    np.testing.assert_array_equal(read_mask(half, SIZE, resize=True), found)  # no warning
    wide = np.zeros((100, 151), bool)  # 0.7% wider than 60x40, and 2% if it were 153
    wide[:9] = True
    with pytest.warns(UserWarning, match="scaled to fit"):
        assert read_mask(encoded(Image.fromarray(wide)), SIZE).sum() == 4 * 60  # 3.6 rows
    with pytest.raises(FinefillError, match="153x100"):
        read_mask(encoded(Image.fromarray(np.pad(wide, ((0, 0), (0, 2))))), SIZE)


def test_scratches_survive_scaling_down() -> None:
    scratch = np.zeros((400, 600), bool)
    scratch[:, 301] = True
    scratch[7] = True
    scratch[399, 0] = True
    with pytest.warns(UserWarning, match="scaled"):
        found = read_mask(encoded(Image.fromarray(scratch)), SIZE)
    expected = np.zeros(SIZE, bool)
    expected[:, 30] = True
    expected[0] = True
    expected[39, 0] = True
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [(3, 5), (7, 4), (10, 7), (9, 3), (1, 1), (30, 4)])
def test_scaling_down_keeps_what_is_touched(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(3).random((10, 7)) < 0.1
    found = scale(mask, size)
    assert found.shape == size
    if size[0] <= 10 and size[1] <= 7:  # by the overlap of every pair of pixels
        for y, x in np.ndindex(size):
            touching = [
                mask[v, u]
                for v, u in np.ndindex(mask.shape)
                if v * size[0] < (y + 1) * 10 and (v + 1) * size[0] > y * 10
                and u * size[1] < (x + 1) * 7 and (u + 1) * size[1] > x * 7
            ]  # fmt: skip
            assert found[y, x] == any(touching)


def inverse(hole: NDArray[np.bool_]) -> bytes:
    return encoded(Image.fromarray(~hole))


def test_an_inverted_mask_is_turned_round_aloud() -> None:
    share = 1 - HOLE.mean()  # 12 x 25 of 40 x 60: 87.5%
    with pytest.warns(UserWarning, match=rf"inverted \({share:.0%} white\).*--keep-polarity"):
        found = read_mask(inverse(HOLE), SIZE)
    np.testing.assert_array_equal(found, HOLE)
    np.testing.assert_array_equal(read_mask(inverse(HOLE), SIZE, keep_polarity=True), ~HOLE)


def test_an_inverted_scratch_survives_scaling_down() -> None:
    scratch = np.zeros((400, 600), bool)
    scratch[50:350, 301] = True
    with pytest.warns(UserWarning, match="inverted|scaled") as caught:
        found = read_mask(inverse(scratch), SIZE)
    assert len(caught) == 2
    assert found.sum() == 30
    assert found[5:35, 30].all()


def test_a_mask_in_alpha_may_be_inverted_too() -> None:
    image = Image.new("RGBA", (SIZE[1], SIZE[0]), (9, 9, 9, 0))
    image.putalpha(Image.fromarray(255 - GREY))  # erased what is to go
    with pytest.warns(UserWarning, match="alpha channel|inverted") as caught:
        found = read_mask(encoded(image), SIZE)
    assert len(caught) == 2
    np.testing.assert_array_equal(found, HOLE)


def test_what_looks_inverted() -> None:
    assert inverted(~HOLE)
    assert not inverted(HOLE)
    assert not inverted(np.ones(SIZE, bool))
    half = np.zeros(SIZE, bool)
    half[:, :40] = True  # 67%, but a third of the border is kept
    assert not inverted(half)
    car = np.zeros(SIZE, bool)
    car[20:, 10:50] = True  # cut off by the lower edge: 40 of 196 pixels of the border
    assert inverted(~car)
    car[20:, :] = True
    assert not inverted(~car)  # half the photo
    assert not inverted(np.zeros((1, 1), bool))


@pytest.mark.parametrize("pixels", [0, 1, 2, 3, 5, 9, 40, 1000])
@pytest.mark.parametrize("share", [0.0, 0.003, 0.05])
def test_grow_is_a_disc(pixels: int, share: float) -> None:
    mask = np.random.default_rng(pixels).random((23, 31)) < share
    before = mask.copy()
    rows, columns = np.mgrid[:23, :31]
    expected = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        expected |= (rows - y) ** 2 + (columns - x) ** 2 <= pixels**2
    found = grow(mask, pixels)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(mask, before)
    assert not np.shares_memory(found, mask)


def striped_disc(zoom: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A red disc with weak stripes on a grey ground with weak stripes, and its exact mask."""
    rows, columns = np.mgrid[: 160 * zoom, : 200 * zoom] // zoom
    disc = (rows - 80) ** 2 + (columns - 90) ** 2 <= 40**2
    stripes = (rows + columns) // 3 % 2 * 20
    image = np.where(disc[..., None], (160, 60, 60), (110, 110, 110)) + stripes[..., None]
    return image.astype(np.uint8), disc


def test_tight_masks_are_told_from_wide_ones() -> None:
    image, disc = striped_disc()
    assert too_tight(image, disc) == 6
    assert too_tight(image, ~grow(~disc, 3)) == 6
    assert too_tight(image, grow(disc, 8)) == 0
    assert too_tight(image, grow(disc, 12)) == 0
    large, disc = striped_disc(4)  # the root of its area is 283.6, 1.77 times 160
    assert too_tight(large, disc) == 11
    assert too_tight(large, grow(disc, 24)) == 0


def test_what_cannot_be_tight() -> None:
    image, disc = striped_disc()
    erased = np.where(disc[..., None], np.uint8(255), image)
    assert too_tight(erased, disc) == 0
    scratch = np.zeros_like(disc)
    scratch[80, 50:150] = True
    assert too_tight(image, scratch) == 0
    assert too_tight(image, np.zeros_like(disc)) == 0
    assert too_tight(image, np.ones_like(disc)) == 0
    assert too_tight(image[:2], disc[80:82]) == 0


@pytest.mark.parametrize(("value", "message"), [(0, "empty"), (255, "full"), (1, "empty")])
def test_empty_and_full_masks(value: int, message: str) -> None:
    with pytest.raises(FinefillError, match=message):
        read_mask(encoded(Image.new("L", (60, 40), value)), SIZE)


def test_a_photograph_is_no_mask(demo_rgb: NDArray[np.uint8]) -> None:
    for kind in ("JPEG", "PNG"):
        with pytest.raises(FinefillError, match="looks like a photograph"):
            read_mask(encoded(Image.fromarray(demo_rgb), kind), (480, 640))


def test_missing_masks_are_named(tmp_path: Path) -> None:
    with pytest.raises(FinefillError, match=r"none\.png: cannot be read"):
        read_mask(tmp_path / "none.png", SIZE)


def test_check_and_composite() -> None:
    assert check(HOLE) is HOLE
    image, fill = np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 9, np.uint8)
    result = composite(image, fill, HOLE)
    assert result.dtype == np.uint8
    assert (result[HOLE] == 9).all()
    assert not result[~HOLE].any()


def test_random_masks_follow_their_seed_and_ranges() -> None:
    assert center_square(10, 12, 4).sum() == 16
    assert center_square(10, 12, 4)[3:7, 4:8].all()
    for seed in range(20):
        square = random_square(np.random.default_rng(seed), 128, 128)
        rows, columns = np.flatnonzero(square.any(1)), np.flatnonzero(square.any(0))
        assert 48 <= len(rows) <= 80
        assert square.sum() == len(rows) * len(columns) == len(rows) ** 2
        box = random_box(np.random.default_rng(seed), 100, 128)
        assert 24 * 24 <= box.sum() <= 80 * 80
        strokes = random_strokes(np.random.default_rng(seed), 128, 128)
        assert 0 < strokes.mean() < 0.9
        again = random_strokes(np.random.default_rng(seed), 128, 128)
        np.testing.assert_array_equal(strokes, again)


def test_outlines_have_the_size_asked_for_and_no_straight_sides() -> None:
    areas, filled = [], []
    for seed in range(200):
        mask = random_outline(np.random.default_rng(seed), 256, 256, (48, 80))
        again = random_outline(np.random.default_rng(seed), 256, 256, (48, 80))
        np.testing.assert_array_equal(mask, again)
        rows, columns = mask.any(1), mask.any(0)
        areas.append(mask.sum())
        filled.append(mask.sum() / (rows.sum() * columns.sum()))
    # Shapes beside the first one add to it, the image's border takes some away.
    assert 48**2 < np.median(areas) < 2 * 80**2
    assert np.median(filled) < 0.75  # an ellipse fills pi/4 of its box, a square all
