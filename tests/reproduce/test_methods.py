"""Trained runs as methods."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from finefill.errors import FinefillError
from finefill.evaluation import protocol
from finefill.evaluation.latent import latent_search
from finefill.masks.drawing import center_square
from finefill.reproduce.methods import load_method
from finefill.reproduce.variants import OURS
from tests.reproduce.small import SIZE


@pytest.mark.parametrize("name", [OURS, "no-dilation", "dcgan"])
def test_a_trained_method_fills_the_hole_only_and_always_the_same(
    name: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = functools.partial(latent_search, steps=3)
    monkeypatch.setattr("finefill.reproduce.methods.latent_search", quick)
    image = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    hole = center_square(SIZE, SIZE, SIZE // 2)
    damaged = protocol.corrupt(image, hole)
    fill, state = load_method(runs / name)
    completed = fill(damaged.copy(), hole)
    assert np.array_equal(completed[~hole], image[~hole])
    assert not np.array_equal(completed[hole], damaged[hole])
    assert np.array_equal(completed, fill(damaged.copy(), hole))
    assert state["samples"] == 48
    with pytest.raises(FinefillError, match=r"--size|its size"):
        fill(np.zeros((35, 35, 3), np.uint8), np.eye(35, dtype=bool))
