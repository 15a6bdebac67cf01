"""What counts as a mask, and what it means."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import FinefillError
from finefill.masks import (
    binarize,
    center_square,
    check,
    composite,
    random_box,
    random_square,
    random_strokes,
    read_mask,
)

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
     np.array([[0, 256]]), np.array([["x"]]), np.zeros(4)],
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


def test_another_size_is_told_or_scaled() -> None:
    half = encoded(Image.fromarray(GREY[::2, ::2].copy()))
    with pytest.raises(FinefillError, match=r"30x20 pixels, the photo 60x40.*--resize-mask"):
        read_mask(half, SIZE)
    found = read_mask(half, SIZE, resize=True)
    assert found.shape == SIZE
    assert (found != HOLE).mean() < 0.02


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
