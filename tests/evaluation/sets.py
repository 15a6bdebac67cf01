"""Small test sets, and the command on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from finefill.cli import cli
from finefill.masks.drawing import center_square

Pixels = NDArray[np.uint8]
CENTER = center_square(128, 128, 64)


def photos(folder: Path, count: int, size: tuple[int, int] = (136, 130)) -> Path:
    """A folder of smooth coloured images with a little noise, as PNG."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    for i in range(count):
        coarse = rng.integers(0, 256, (5, 5, 3), np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
        noisy = smooth.astype(int) + rng.integers(-4, 5, smooth.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{i:03}.png")
    return folder


def grey(level: int) -> Pixels:
    return np.full((128, 128, 3), level, np.uint8)


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, words)])
