"""What counts as a mask, and what it means."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from finefill import FinefillError
from finefill.masks.meaning import binarize, check, composite, grow, scale
from tests.masks.pictures import HOLE, SIZE


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


@pytest.mark.parametrize("pixels", [1, 5, 40])
@pytest.mark.parametrize("wrap", ["x", "y", "xy"])
def test_grow_goes_on_at_the_other_border(wrap: str, pixels: int) -> None:
    """As rolling the mask so that nothing is at a border, growing it, and rolling it back."""
    mask = np.zeros((40, 100), bool)
    mask[:, :15] = True
    mask[2, 50] = True
    rows, columns = np.mgrid[:40, :100]
    expected = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        down, across = np.abs(rows - y), np.abs(columns - x)
        down = np.minimum(down, 40 - down) if "y" in wrap else down
        across = np.minimum(across, 100 - across) if "x" in wrap else across
        expected |= down**2 + across**2 <= pixels**2
    np.testing.assert_array_equal(grow(mask, pixels, wrap), expected)
    if pixels == 5 and wrap == "x":
        assert expected[20, 95:].all()
        assert not expected[20, 94]


@pytest.mark.parametrize(
    ("value", "remedy"),
    [(np.nan, r"replace NaN, numpy\.nan_to_num"), (-1, "of labels, mask == LABEL")],
)
def test_what_to_do_with_values_out_of_range(value: float, remedy: str) -> None:
    values = np.zeros(SIZE, np.float32 if np.isnan(value) else np.int32)
    values[:3], values[3] = 7, value
    with pytest.raises(FinefillError, match=remedy):
        binarize(values)


def test_check_and_composite() -> None:
    assert check(HOLE) is HOLE
    image, fill = np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 9, np.uint8)
    result = composite(image, fill, HOLE)
    assert result.dtype == np.uint8
    assert (result[HOLE] == 9).all()
    assert not result[~HOLE].any()
