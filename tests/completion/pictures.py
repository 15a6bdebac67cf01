"""Masks for the tests of completion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def drawn(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Mask:
    """A mask with boxes (top, left, height, width)."""
    mask = np.zeros(shape, bool)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = True
    return mask
