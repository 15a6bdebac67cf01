"""Photographs with a label map beside the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def photographs(folder: Path, *sizes: tuple[int, int]) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(3)
    for i, size in enumerate(sizes):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


def labelled(folder: Path, count: int = 2) -> Path:
    """In the first one a car of 20x40 and a door of 30x10 inside, a tree cut by the edge."""
    photographs(folder, *[(100, 80)] * count)
    labels = np.zeros((80, 100), np.uint8)
    labels[10:30, 5:45] = 2
    labels[40:70, 60:70] = 3
    labels[0:9, 0:60] = 7
    labels[75, 90] = 2  # a speck
    Image.fromarray(labels).save(folder / "0.labels.png")
    return folder
