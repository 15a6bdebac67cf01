"""Outlines of labelled objects, for test masks and for the holes of a training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from finefill.data import outlines_of, random_mask, read_photos, recipes, training_batch
from finefill.errors import FinefillError
from tests.data.labelled import labelled


def test_outlines_are_whole_objects(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "streets")
    found = outlines_of([folder])
    assert sorted(outline.shape for outline in found) == [(20, 40), (30, 10)]
    assert all(outline.all() for outline in found)
    assert [o.shape for o in outlines_of([folder], [3])] == [(30, 10)]
    with pytest.raises(FinefillError, match="no object of the labels 7 of 200 pixels"):
        outlines_of([folder], [7])


def test_silhouettes_are_those_of_the_labelled_objects(tmp_path: Path) -> None:
    """Holes of a training have the outlines in its photographs' labels, at 3 to 25 % of a crop."""
    recipe = dataclasses.replace(recipes.tiny(), mask_mix=(("silhouette", 1.0),), validation=1)
    folder = labelled(tmp_path / "streets", recipe.batch + 1)
    photos = read_photos([folder], recipe)
    assert sorted(outline.shape for outline in photos.outlines) == [(20, 40), (30, 10)]
    _, holes = training_batch(photos, recipe, 0)
    for hole in holes:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert hole.sum() == height * width  # full rectangles, wide or high as theirs
        assert width / height == pytest.approx(2, rel=0.15) or height / width >= 2.5
        assert 0.03 <= hole.mean() <= 0.25
    plain = read_photos([folder], dataclasses.replace(recipe, mask_mix=(("square", 1.0),)))
    assert plain.outlines == ()
    assert plain.fingerprint != photos.fingerprint  # another training: it cannot be resumed as that
    with pytest.raises(FinefillError, match="silhouettes, which come from labelled photographs"):
        random_mask(np.random.default_rng(0), recipe)
