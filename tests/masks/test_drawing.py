"""Masks are drawn: squares, strokes, outlines."""

from __future__ import annotations

import numpy as np

from finefill.masks.drawing import (
    center_square,
    random_box,
    random_outline,
    random_square,
    random_strokes,
)


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
