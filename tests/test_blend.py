"""Fills drawn to their surroundings, on numbers that can be derived by hand."""

from __future__ import annotations

import numpy as np
import pytest

from finefill.blend import box_sums, harmonic, match_edges


def hole(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize("rows", [slice(20, 60), slice(0, 40)], ids=["inside", "at the border"])
def test_a_wrong_tone_is_put_right_everywhere(rows: slice) -> None:
    image = np.full((80, 90, 3), (200, 90, 40), np.uint8)
    fill = np.full((80, 90, 3), (120, 130, 60), np.uint8)
    mask = hole(80, 90, rows, slice(25, 70))
    assert (match_edges(image, fill, mask)[mask] == (200, 90, 40)).all()


def test_texture_stays() -> None:
    rng = np.random.default_rng(0)
    image = np.full((64, 64, 3), 150, np.uint8)
    texture = rng.integers(-20, 21, (64, 64, 1))
    fill = np.repeat(90 + texture, 3, axis=2).astype(np.uint8)
    mask = hole(64, 64, slice(16, 48), slice(16, 48))
    result = match_edges(image, fill, mask).astype(int)
    middle = result[24:40, 24:40] - (150 + texture[24:40, 24:40])
    assert abs(middle.mean()) < 3  # the tone of the surroundings
    assert middle.std() < 2  # and the texture of the fill


def test_a_fill_that_meets_its_surroundings_is_left_alone() -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    image = np.repeat(np.tile(ramp, (64, 1))[..., None], 3, axis=2)
    mask = hole(64, 64, slice(16, 48), slice(16, 48))
    result = match_edges(image, image, mask)
    # Means on the two sides of an edge differ by the ramp between them.
    assert np.abs(result.astype(int) - image)[mask].max() <= 13
    assert np.abs(result.astype(int) - image)[mask].mean() <= 4


def test_arguments_are_not_changed() -> None:
    rng = np.random.default_rng(0)
    image, fill = rng.integers(0, 256, (2, 40, 30, 3), np.uint8)
    mask = hole(40, 30, slice(5, 30), slice(0, 30))
    copies = image.copy(), fill.copy(), mask.copy()
    match_edges(image, fill, mask)
    assert all((a == b).all() for a, b in zip((image, fill, mask), copies, strict=True))


def test_harmonic_between_two_sides_is_linear() -> None:
    region = np.ones((5, 33), bool)
    given = np.zeros_like(region)
    given[:, [0, -1]] = True
    values = np.zeros((5, 33, 1), np.float32)
    values[:, -1] = 32
    solution = harmonic(values, given, region)[..., 0]
    assert np.abs(solution - np.arange(33)).max() < 0.08 * 32  # few sweeps: not exact


def test_box_sums_by_hand() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    sums = box_sums(values, 1)[..., 0]
    assert sums[1, 1] == values[0:3, 0:3].sum()
    assert sums[0, 0] == values[0:2, 0:2].sum()
    assert sums[2, 3] == values[1:3, 2:4].sum()
