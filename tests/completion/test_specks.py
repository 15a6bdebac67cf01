"""Specks: a few pixels each, filled from beside them, all at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from finefill.completion import specks
from finefill.completion.engine import Engine
from finefill.completion.photo import fill_with_report
from finefill.completion.plan import Box, extent, groups, pieces
from tests.completion.pictures import drawn

Mask = NDArray[np.bool_]


def ramp(height: int, width: int) -> NDArray[np.uint8]:
    """A level more with each column, up to 255."""
    return np.repeat(np.tile(np.arange(width, dtype=np.uint8), (height, 1))[..., None], 3, axis=2)


@pytest.mark.parametrize("box", [(40, 40, 8, 8), (40, 40, 1, 8), (41, 43, 3, 3), (20, 30, 5, 7)])
def test_a_ramp_goes_on(box: tuple[int, int, int, int]) -> None:
    """Weights alike on both sides: their mean is the level between."""
    image, mask = ramp(100, 120), drawn((100, 120), box)
    expected = image.copy()
    image[mask] = 255
    (window,) = specks.fill(image, mask)
    assert window.hole == Box(box[0], box[0] + box[2], box[1], box[1] + box[3])
    assert np.abs(image.astype(int) - expected)[..., 0].max() <= 1
    assert not mask.any()


def test_colours_beside_it_in_the_corners_of_the_photo() -> None:
    mask = drawn((80, 90), (0, 0, 8, 8), (0, 82, 8, 8), (72, 0, 8, 8), (72, 82, 8, 8))
    image = np.full((80, 90, 3), (200, 30, 90), np.uint8)
    image[mask] = (0, 255, 0)
    assert len(specks.fill(image, mask)) == 4
    assert (image == (200, 30, 90)).all()


def test_half_of_the_grain_of_the_most_similar_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of stripes the most similar place is one like it: exactly so many stripes away."""
    stripes = np.where(np.arange(120) % 6 < 3, 100, 140).astype(np.uint8)  # 3 pixels wide
    image = np.repeat(np.tile(stripes, (100, 1))[..., None], 3, axis=2)
    expected, mask = image.astype(float), drawn((100, 120), (40, 48, 6, 6))
    image[mask] = 0
    specks.fill(image, mask.copy())
    inner, true = image[mask][:, 0].astype(float), expected[mask][:, 0]
    smooth = expected.astype(np.uint8)
    smooth[mask] = 0
    monkeypatch.setattr(specks, "GRAIN", 0)
    specks.fill(smooth, drawn((100, 120), (40, 48, 6, 6)))
    without = smooth[mask][:, 0].astype(float)
    # The place that lends looks the same: half of what the smooth continuation lacks is added.
    assert np.abs(inner - (without + true) / 2).max() <= 1


def test_nothing_comes_from_other_holes() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(90, 110, (120, 120, 3), np.uint8)
    mask = drawn((120, 120), (50, 50, 6, 6), (50, 65, 6, 6), (70, 40, 30, 30))
    other = image.copy()
    image[mask], other[mask] = 0, 255
    for one in (image, other):
        left = mask.copy()
        assert len(specks.fill(one, left)) == 2
        np.testing.assert_array_equal(left, drawn((120, 120), (70, 40, 30, 30)))
    left = drawn((120, 120), (70, 40, 30, 30))
    np.testing.assert_array_equal(image[~left], other[~left])
    assert image[~left].min() >= 80
    assert image[~left].max() <= 120


def test_many_specks_are_filled_as_each_alone() -> None:
    rng = np.random.default_rng(1)
    image, mask = rng.integers(0, 256, (300, 400, 3), np.uint8), np.zeros((300, 400), bool)
    mask[5:290:30, 7:390:30] = True
    mask[7:290:30, 9:390:30] = True  # two pixels, corner to corner but one
    together, left = image.copy(), mask.copy()
    assert len(specks.fill(together, left)) > 2 * specks.AT_ONCE
    one = pieces(mask, extent(mask), 2)[17]
    alone = np.zeros_like(mask)
    alone[one.slices] = mask[one.slices]
    single = image.copy()
    specks.fill(single, alone.copy())
    np.testing.assert_array_equal(single[alone], together[alone])


def test_the_report_tells_specks_from_holes(engine: Engine, demo_rgb: NDArray[np.uint8]) -> None:
    mask = drawn((480, 640), (30, 40, 5, 5), (200, 300, 60, 60), (400, 20, 1, 1))
    report = fill_with_report(engine, demo_rgb, mask)
    ways = {one.window.hole: one.way for one in report.filled}
    assert ways[Box(30, 35, 40, 45)] == ways[Box(400, 401, 20, 21)] == "specks"
    assert "specks" not in {ways[Box(200, 260, 300, 360)]}
    np.testing.assert_array_equal(report.rgb[~mask], demo_rgb[~mask])
    network = fill_with_report(engine, demo_rgb, mask, fill="network")
    assert "specks" not in network.ways


def test_small_photos_have_no_specks(engine: Engine) -> None:
    side = specks.AREA - 1
    mask = drawn((side, 200), (20, 50, 3, 3))
    assert specks.fill(np.full((side, 200, 3), 90, np.uint8), mask) == []
    assert mask.any()


@given(seed=st.integers(0, 10_000), density=st.sampled_from([1e-4, 1e-3, 5e-3, 3e-2]))
@settings(max_examples=60, deadline=None)
def test_what_stands_alone_is_found(seed: int, density: float) -> None:
    """Against a look at each connected group: boxes up to 8, nothing else within them."""
    rng = np.random.default_rng(seed)
    mask = rng.random((150, 170)) < density
    for y, x, side in zip(*rng.integers(0, 150, (2, 5)), rng.integers(1, 30, 5), strict=True):
        mask[y : y + side, x : x + side] = True
    boxes = specks.find(mask)
    covered = np.zeros(mask.shape, int)
    for box in boxes:
        assert 1 <= box.side <= specks.SIDE
        part = mask[box.slices]
        assert part.any(0)[[0, -1]].all()
        assert part.any(1)[[0, -1]].all()
        around = drawn(mask.shape, (max(box.top - 1, 0), max(box.left - 1, 0), 0, 0))
        around[max(box.top - 1, 0) : box.bottom + 1, max(box.left - 1, 0) : box.right + 1] = True
        around[box.slices] = False
        assert not mask[around].any()  # not a part of something larger
        covered[box.slices] += mask[box.slices]
    assert covered.max(initial=0) <= 1
    for box in groups(mask, 2):
        assert box.side > specks.SIDE or covered[box.slices][mask[box.slices]].all()
