"""Where regions meet: each pixel takes the offset of its own tile or of one beside it.

The cut between two regions goes where both show the same on both of its sides (shift-map editing,
Pritch et al. 2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finefill.completion.exemplar.align import Regions
from finefill.completion.exemplar.candidates import IMPOSSIBLE
from finefill.completion.exemplar.labels import Edges, min_sum, squared_distances
from finefill.completion.exemplar.tiles import TILE, Indices, Tiles
from finefill.completion.exemplar.window import Canvas, Values
from finefill.masks import Mask

AROUND = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


@dataclass(frozen=True)
class Cutting:
    """How cuts are sought.

    Attributes:
        choices: offsets that a pixel chooses from, at most.
        sweeps: of message passing.
        price: of a cut, in noises a pixel.
    """

    choices: int
    sweeps: int
    price: float


# Chosen on validation photographs.
COARSE = Cutting(choices=5, sweeps=2, price=0.5)
FINE = Cutting(choices=3, sweeps=1, price=0.25)


def choices_of_tiles(tiles: Tiles, pixels: Indices, noise: float) -> tuple[Indices, Values]:
    """The tiles, by number, whose offset a pixel may take, and what that costs: (p, 9) each.

    A tile's piece reaches one tile beyond it; further off its offset costs up to half a noise.
    """
    own = tiles.number[tuple((pixels // TILE + 1).T)]
    place = (pixels % TILE + 0.5) / TILE - 0.5  # in its tile, from its middle
    choices, prices = [], []
    for row, column in AROUND:
        other = tiles.beside(row, column)[own]
        choices.append(np.where(other >= 0, other, own))
        away = np.abs(place - (row, column)).max(1)
        prices.append(np.maximum(away - 1, 0) * noise * (other >= 0))
    return np.stack(choices, axis=1), np.stack(prices, axis=1).astype(np.float32)


def cut(
    canvas: Canvas, regions: Regions, choices: Indices, prices: Values, how: Cutting
) -> Indices:
    """Choose a region for each pixel.

    Args:
        canvas: what is copied from; its margin is wide enough for all offsets and a pixel more.
        regions: their pixels, offsets and noise count.
        choices: (p, k), regions that a pixel chooses from; the first of equal price wins.
        prices: (p, k), what that costs.
        how: see there.

    Returns:
        (p,), numbers of regions. Where no choice is known, the first.
    """
    width, pixels, offsets = canvas.known.shape[1], regions.pixels, regions.offsets
    shifts = offsets[:, 0] * width + offsets[:, 1]
    places = pixels[:, 0] * width + pixels[:, 1]
    known, colours = canvas.known.ravel(), canvas.pixels.reshape(-1, 3)
    label = choices[:, 0].copy()
    unsure = np.flatnonzero(
        (choices != choices[:, :1]).any(1) | ~known[places + shifts[label]]
    )  # most pixels lie amid their region
    if not unsure.size:
        return label
    order = np.argsort(prices[unsure], axis=1, kind="stable")
    mine = np.take_along_axis(choices[unsure], order, 1)
    price = np.take_along_axis(prices[unsure], order, 1)
    good = known[places[unsure, None] + shifts[mine]] & ~_repeated(mine)
    order = np.argsort(~good, axis=1, kind="stable")[:, : how.choices]
    mine, price, good = (np.take_along_axis(a, order, 1) for a in (mine, price, good))
    label[unsure] = mine[:, 0]
    open_ = good.sum(1) > 1
    nodes, mine, price, good = unsure[open_], mine[open_], price[open_], good[open_]
    if not nodes.size:
        return label

    unary = np.where(good, price, IMPOSSIBLE)
    sources = np.where(good, places[nodes, None] + shifts[mine], 0)
    number, top, left = _numbered(pixels)
    node_of = np.full(len(pixels) + 1, -1, np.intp)  # the last: of what is not in the hole
    node_of[nodes] = np.arange(len(nodes))
    here = _floats(colours, sources)
    fine = np.float32(how.price * regions.noise)
    graph = []
    for row, column in STEPS:
        step = row * width + column
        beyond = _floats(colours, sources + step)  # what each choice goes on with on that side
        beside = number[pixels[nodes, 0] - top + row, pixels[nodes, 1] - left + column]
        # A known pixel there: the choice should go on with it.
        at = np.flatnonzero((beside < 0) & known[places[nodes] + step])
        unary[at] += 2 * _squares(beyond[at], _floats(colours, places[nodes[at]] + step))
        # A pixel whose region is settled: both should show the same on both sides of the cut.
        at = np.flatnonzero((beside >= 0) & (node_of[beside] < 0))
        settled = label[beside[at]]
        there = places[beside[at]] + shifts[settled]
        unary[at] += _squares(beyond[at], _floats(colours, there))
        unary[at] += _squares(here[at], _floats(colours, there - step))
        unary[at] += fine * (mine[at] != settled[:, None])
        if row + column > 0:  # each pair of nodes once
            first = np.flatnonzero(node_of[beside] >= 0)
            second = node_of[beside[first]]
            before = _floats(colours, sources[second] - step)
            costs = squared_distances(beyond[first], here[second])
            costs += squared_distances(here[first], before)
            costs += fine * (mine[first][:, :, None] != mine[second][:, None])
            line = pixels[nodes[first], 1] if column else pixels[nodes[first], 0]
            graph.append(Edges(np.stack([first, second], axis=1), costs, line))
    best = min_sum(unary, graph, how.sweeps)
    label[nodes] = mine[np.arange(len(nodes)), best]
    return label


def _repeated(choices: Indices) -> Mask:
    """(p, k) bool: whether the same stands further left in the row."""
    repeated = np.zeros(choices.shape, bool)
    for column in range(1, choices.shape[1]):
        repeated[:, column] = (choices[:, :column] == choices[:, column, None]).any(1)
    return repeated


def _numbered(pixels: Indices) -> tuple[Indices, int, int]:
    """The rectangle around pixels and one more on each side, its first row and its first column.

    It holds each pixel's number; -1 = none.
    """
    (top, left), (bottom, right) = pixels.min(0) - 1, pixels.max(0) + 2
    number = np.full((bottom - top, right - left), -1, np.intp)
    number[pixels[:, 0] - top, pixels[:, 1] - left] = np.arange(len(pixels))
    return number, int(top), int(left)


def _floats(colours: NDArray[np.generic], places: Indices) -> Values:
    return colours.take(places, axis=0).astype(np.float32)


def _squares(choices: Values, one: Values) -> Values:
    """(n, k): squared differences of (n, k, 3) and (n, 3)."""
    difference = choices - one[:, None]
    squares: Values = np.einsum("nkc,nkc->nk", difference, difference)
    return squares
