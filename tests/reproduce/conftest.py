"""The paper's variants, small and trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finefill.data.photos import Photos
from finefill.evaluation import metrics, protocol
from finefill.reproduce.measure import Bench
from finefill.reproduce.queue import train_variants
from finefill.reproduce.variants import OURS
from tests.reproduce.small import SIZE, small


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(20):
        coarse = rng.integers(0, 256, (4, 4, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((40, 36), Image.Resampling.BICUBIC)
        smooth.save(path / f"{i:02}.png")
    return path


@pytest.fixture(scope="session")
def photos(folder: Path) -> Photos:
    return Photos([folder], small()[OURS].recipe)


@pytest.fixture(scope="session")
def runs(photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five variants, trained."""
    path = tmp_path_factory.mktemp("runs")
    names = [OURS, "rec", "no-dilation", "dcgan"]
    assert train_variants(names, small(), photos, path, device="cpu", quiet=True)
    return path


@pytest.fixture(scope="session")
def bench(folder: Path, runs: Path) -> Bench:
    test = protocol.load_test_set([folder], 6, SIZE)
    chosen, _ = metrics.select(["l1", "psnr", "seam"])
    return Bench(test, chosen, runs, small(), 0, {})
