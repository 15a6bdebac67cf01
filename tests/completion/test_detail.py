"""Fine detail from the photograph: what it adds, where from, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill.completion.detail import PATCH, Matches, add_detail, described, match, transfer

Pixels = NDArray[np.uint8]


def stripes(height: int, width: int, period: int) -> Pixels:
    """Vertical stripes, dark and bright by turns, as fine as the period."""
    row = np.where(np.arange(width) % period < period // 2, 60, 180).astype(np.uint8)
    return np.repeat(np.tile(row, (height, 1))[..., None], 3, axis=2)


def square(height: int, width: int, side: int) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), bool)
    top, left = (height - side) // 2, (width - side) // 2
    mask[top : top + side, left : left + side] = True
    return mask


def contrast(image: Pixels, mask: NDArray[np.bool_]) -> float:
    return float(image[mask].astype(float).std())


def test_a_soft_fill_gets_the_texture_around_it() -> None:
    photo, mask = stripes(96, 96, 4), square(96, 96, 40)
    fill = np.full_like(photo, 120)
    result = add_detail(photo, mask, photo, mask, fill)
    assert contrast(fill, mask) == 0
    assert contrast(result, mask) > 0.6 * contrast(photo, mask)
    inner = result[mask].astype(float)
    assert inner.mean() == pytest.approx(120, abs=3)  # colour stays the network's
    region = result[28:68, 28:68, 0].astype(float)
    assert region.std(axis=0).mean() < 0.6 * region.std(axis=1).mean()  # stripes stand upright
    np.testing.assert_array_equal(result[~mask], photo[~mask])


def test_each_patch_lies_on_its_target() -> None:
    """One alone stays as it is; two that overlap by half are mixed with a Hann window's weights."""
    detail = np.random.default_rng(0).random((40, 50, 3), np.float32)
    one, other = detail[20:32, 15:27], detail[3:15, 30:42]
    single = Matches(np.array([[6, 12]]), np.array([[20, 15]]))
    wanted = np.zeros((30, 36, 3), np.float32)
    wanted[6:18, 12:24] = one
    whole = np.s_[0:30, 0:36]
    np.testing.assert_allclose(transfer(detail, single, whole), wanted, atol=1e-6)

    pair = Matches(np.array([[6, 12], [12, 12]]), np.array([[20, 15], [3, 30]]))
    weight = np.hanning(PATCH + 2)[1:-1, None, None]  # by the row; those of columns cancel
    half = PATCH // 2
    mixed = one[half:] * weight[half:] + other[:half] * weight[:half]
    wanted[12:18, 12:24] = mixed / (weight[half:] + weight[:half])
    wanted[18:24, 12:24] = other[half:]
    np.testing.assert_allclose(transfer(detail, pair, whole), wanted, atol=1e-5)
    part = np.s_[10:29, 5:20]  # cuts a patch, and goes beyond both
    np.testing.assert_allclose(transfer(detail, pair, part), wanted[part], atol=1e-5)


@pytest.mark.parametrize(
    ("block", "squares"),
    [
        ([[5, 5, 5], [5, 5, 5], [5, 5, 5]], 9 * 25),  # as bright all over
        ([[3, 0, -3], [3, 0, -3], [3, 0, -3]], 6 * 9),  # half a period across
        ([[3, 0, -3], [0, 0, 0], [-3, 0, 3]], 4 * 9),  # and down
        ([[1, 1, 1], [-2, -2, -2], [1, 1, 1]], 3 * (1 + 4 + 1)),  # a whole period down
        ([[1, -2, 1], [0, 0, 0], [-1, 2, -1]], 0),  # too fine
    ],
)
def test_what_patches_are_compared_by_keeps_squares(block: list[list[int]], squares: float) -> None:
    """Of grey, the squared difference is that of all pixels and channels."""
    grey = np.repeat(np.array(block, np.float32)[..., None], 3, axis=2)
    image = np.random.default_rng(0).uniform(0, 255, (6, 3, 3)).astype(np.float32)
    other = image.copy()
    other[3:] += grey
    difference = (described(other) - described(image)).astype(float)
    assert (difference[0] == 0).all()
    assert (difference[1] ** 2).sum() == pytest.approx(3 * squares, abs=1e-2)


def test_detail_comes_from_what_looks_alike() -> None:
    photo = np.full((96, 160, 3), 200, np.uint8)  # bright and even on the left
    photo[:, 80:] = stripes(96, 80, 4) // 2  # dark and striped on the right
    for left, striped in ((20, False), (110, True)):
        mask = np.zeros((96, 160), bool)
        mask[34:62, left : left + 28] = True
        fill = np.full_like(photo, 60 if striped else 200)
        result = add_detail(photo, mask, photo, mask, fill)
        assert (contrast(result, mask) > 10) == striped


def test_what_a_fill_shows_faintly_is_looked_for_at_full_strength() -> None:
    """Left of the hole all is flat, right of it there are waves; the fill has faint ones.

    A wave of 60 levels that is drawn with 24 is nearer to none (24) than to itself (36), but not
    when it counts 2.5 times.
    """
    wave = np.tile(np.array([1, 0, -1], np.float32), 32)[None, :, None]  # no mean in any block
    image = np.full((48, 96, 3), 120, np.float32)
    hole = np.zeros((48, 96), bool)
    hole[6:42, 36:60] = True
    image[6:42, 36:60] += 24 * wave[:, 36:60]
    image[:, 60:] += 60 * wave[:, 60:]
    matches = match(image, hole)
    assert matches is not None
    inner = (matches.targets >= (6, 36)).all(1) & (matches.targets + PATCH <= (42, 60)).all(1)
    assert inner.sum() == 5 * 3
    assert (matches.sources[inner, 1] >= 60).all()


def test_detail_is_taken_at_full_resolution() -> None:
    """Stripes too fine for the network's scale are there at the photo's."""
    photo, mask = stripes(384, 384, 8), square(384, 384, 160)
    photo[mask] = 255
    small = np.asarray(Image.fromarray(photo).resize((96, 96), Image.Resampling.BOX))
    hole = square(96, 96, 40)
    result = add_detail(photo, mask, small, hole, np.full_like(small, 120))
    assert contrast(result, mask) > 0.5 * contrast(photo, ~mask)
    np.testing.assert_array_equal(result[~mask], photo[~mask])
    photo[mask] = 0  # what is masked must not come back
    again = add_detail(photo, mask, small, hole, np.full_like(small, 120))
    np.testing.assert_array_equal(again, result)


@pytest.mark.parametrize("shape", [(16, 16), (11, 40), (128, 13)])
def test_too_little_photo_leaves_a_soft_fill(shape: tuple[int, int]) -> None:
    photo, mask = np.full((*shape, 3), 90, np.uint8), np.ones(shape, bool)
    mask[:2, :2] = False
    fill = np.full_like(photo, 120)
    result = add_detail(photo, mask, photo, mask, fill)
    assert abs(result[mask].astype(int) - 120).max() <= 30
    np.testing.assert_array_equal(result[~mask], photo[~mask])


def test_sources_never_touch_the_hole() -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (60, 70, 3)).astype(np.float32)
    hole = rng.random((60, 70)) < 0.002
    matches = match(image, hole)
    assert matches is not None
    assert len(matches.targets) == len(matches.sources) > 0
    for y, x in matches.sources:
        assert not hole[y : y + PATCH, x : x + PATCH].any()
    for y, x in matches.targets:
        assert hole[y : y + PATCH, x : x + PATCH].any()
