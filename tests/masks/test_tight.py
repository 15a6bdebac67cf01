"""Masks that end at the edge of their object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finefill.masks.meaning import grow
from finefill.masks.tight import rings_of, too_tight


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


def test_rings_are_distances_rounded_up() -> None:
    mask = np.zeros((40, 50), bool)
    mask[10:25, 20:40] = True
    rings = rings_of(mask)
    # Outside, from the corner at (10, 20): the roots of 2, of 9 + 16 and of 1 + 16.
    assert [rings[9, 19], rings[7, 16], rings[9, 16]] == [2, 5, 5]
    assert rings[10, 6] == rings[24, 6] == 14
    assert rings[10, 5] == rings[0, 0] == 15  # farther
    # Inside, from the nearest pixel outside: 1, 2 and 8 pixels away.
    assert [rings[10, 20], rings[11, 30], rings[17, 30]] == [0, -1, -7]
    lonely = np.zeros((9, 9), bool)
    lonely[4, 4] = True
    np.testing.assert_array_equal(rings_of(lonely), rings_of(lonely.T))
