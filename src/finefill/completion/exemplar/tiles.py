"""The hole as tiles: the nodes and edges of the graph whose labels are offsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finefill.masks import Mask

TILE = 4  # pixels, at the scale of matching
AROUND = 4  # pixels on each side of a tile that belong to its piece
PIECE = TILE + 2 * AROUND

Indices = NDArray[np.intp]


def channel_sum(values: NDArray[Any]) -> NDArray[Any]:
    """Sums over the channels, the last axis of (…, C), C at least 2: (…), of the same type.

    NumPy's own sum gives the same but takes many times as long over so short an axis.
    """
    total: NDArray[Any] = values[..., 0] + values[..., 1]
    for channel in range(2, values.shape[-1]):
        total += values[..., channel]
    return total


@dataclass(frozen=True)
class Tiles:
    """Tiles that touch the hole.

    Attributes:
        cells: (n, 2), row and column of each tile on the grid of all tiles.
        number: (rows + 2, columns + 2), of the tile on each cell, -1 where there is none; with a
            border of none.
        across: (e, 2), numbers of tiles side by side, left and right.
        down: (e, 2), numbers of tiles one above the other, upper and lower.
    """

    cells: Indices
    number: Indices
    across: Indices
    down: Indices

    @property
    def corners(self) -> Indices:
        """(n, 2), the first row and column of each tile's piece, in pixels."""
        return self.cells * TILE - AROUND

    @property
    def middles(self) -> Indices:
        """(n, 2), the row and column after each tile's middle, in pixels."""
        return self.cells * TILE + TILE // 2

    def beside(self, row: int, column: int) -> Indices:
        """(n,) the tile so many rows below and columns to the right; -1 = none."""
        rows, columns = (self.cells + 1 + (row, column)).T
        limits = self.number.shape
        inside = (rows >= 0) & (columns >= 0) & (rows < limits[0]) & (columns < limits[1])
        found = self.number[np.where(inside, rows, 0), np.where(inside, columns, 0)]
        return np.where(inside, found, -1)


def tiles_of(hole: Mask) -> Tiles:
    """The tiles that touch a hole, (H, W) bool."""
    height, width = hole.shape
    padded = np.pad(hole, ((0, -height % TILE), (0, -width % TILE)))
    rows, columns = padded.shape[0] // TILE, padded.shape[1] // TILE
    touched = padded.reshape(rows, TILE, columns, TILE).any((1, 3))
    number = np.full((rows + 2, columns + 2), -1, np.intp)
    number[1:-1, 1:-1][touched] = np.arange(np.count_nonzero(touched))
    return Tiles(
        np.argwhere(touched),
        number,
        _pairs(number[:, :-1], number[:, 1:]),
        _pairs(number[:-1], number[1:]),
    )


def _pairs(first: Indices, second: Indices) -> Indices:
    both = (first >= 0) & (second >= 0)
    return np.stack([first[both], second[both]], axis=1)
