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
from finefill.completion.exemplar.labels import Edges, min_sum
from finefill.completion.exemplar.tiles import TILE, Indices, Tiles
from finefill.completion.exemplar.window import Canvas, Values
from finefill.masks import Mask

AROUND = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
LONGEST = 16  # pixels in a row that a message goes on over in one sweep


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
FINE = Cutting(choices=2, sweeps=1, price=0.25)


def choices_of_tiles(tiles: Tiles, pixels: Indices, noise: float) -> tuple[Indices, Values]:
    """The tiles, by number, whose offset a pixel may take, and what that costs: (9, p) each.

    The cheapest come first. A tile's piece reaches one tile beyond it; further off its offset costs
    up to half a noise.
    """
    own = tiles.number[tuple((pixels // TILE + 1).T)]
    place = (pixels % TILE + 0.5) / TILE - 0.5  # in its tile, from its middle
    found, costs = [], []
    for row, column in AROUND:
        other = tiles.beside(row, column)[own]
        found.append(np.where(other >= 0, other, own))
        away = np.abs(place - (row, column)).max(1)
        costs.append(np.maximum(away - 1, 0) * noise * (other >= 0))
    choices, prices = np.stack(found), np.stack(costs).astype(np.float32)
    order = np.argsort(prices, axis=0, kind="stable")
    return np.take_along_axis(choices, order, 0), np.take_along_axis(prices, order, 0)


def cut(
    canvas: Canvas, regions: Regions, choices: Indices, prices: Values, how: Cutting
) -> Indices:
    """Choose a region for each pixel.

    Args:
        canvas: what is copied from; its margin is wide enough for all offsets and a pixel more.
        regions: their pixels, offsets and noise count.
        choices: (k, p), regions that a pixel chooses from; the first of equal cost wins.
        prices: (k, p), what each choice costs, ascending.
        how: see there.

    Returns:
        (p,), numbers of regions. Where no choice is known, the first.
    """
    width, pixels, offsets = canvas.known.shape[1], regions.pixels, regions.offsets
    shifts = offsets[:, 0] * width + offsets[:, 1]
    places = pixels[:, 0] * width + pixels[:, 1]
    known, colours = canvas.known.ravel(), canvas.pixels.reshape(-1, 3)
    label: Indices = choices[0].copy()
    unsure = np.flatnonzero(
        (choices[1:] != label).any(0) | ~known[places + shifts[label]]
    )  # most pixels lie amid their region
    mine, price = choices[:, unsure], prices[:, unsure]
    mine, price = _first_good(
        mine, price, known[places[unsure] + shifts[mine]], min(how.choices, len(mine))
    )
    label[unsure] = mine[0]
    open_ = price[1] < IMPOSSIBLE
    nodes, mine, unary = unsure[open_], mine[:, open_], price[:, open_]
    if not nodes.size:
        return label

    sources = np.where(unary < IMPOSSIBLE, places[nodes] + shifts[mine], 0)
    number, top, left = _numbered(pixels)
    node_of = np.full(len(pixels) + 1, -1, np.intp)  # the last: of what is not in the hole
    node_of[nodes] = np.arange(len(nodes))
    here = _planes(colours, sources)  # (3, k, n)
    fine = np.float32(how.price * regions.noise)
    there = (slice(None), pixels[nodes, 0] - top, pixels[nodes, 1] - left)
    open_here = node_of[number] >= 0
    turns = np.stack([_in_run(open_here, axis) for axis in (0, 1)])[there] % LONGEST
    graph = []
    for row, column in STEPS:
        step = row * width + column
        beyond = _planes(colours, sources + step)  # what each choice goes on with on that side
        beside = number[pixels[nodes, 0] - top + row, pixels[nodes, 1] - left + column]
        # A known pixel there: the choice should go on with it.
        at = np.flatnonzero((beside < 0) & known[places[nodes] + step])
        wanted = _planes(colours, places[nodes[at]] + step)
        unary[:, at] += 2 * _squares(beyond[..., at], wanted[:, None])
        # A pixel whose region is settled: both should show the same on both sides of the cut.
        at = np.flatnonzero((beside >= 0) & (node_of[beside] < 0))
        settled = label[beside[at]]
        there = places[beside[at]] + shifts[settled]
        unary[:, at] += _squares(beyond[..., at], _planes(colours, there)[:, None])
        unary[:, at] += _squares(here[..., at], _planes(colours, there - step)[:, None])
        unary[:, at] += fine * (mine[:, at] != settled)
        if row + column > 0:  # each pair of nodes once
            first = np.flatnonzero(node_of[beside] >= 0)
            second = node_of[beside[first]]
            before = _planes(colours, sources[:, second] - step)
            beyond, after = beyond.take(first, axis=-1), here.take(second, axis=-1)
            costs = _squares(beyond[:, :, None], after[:, None])
            costs += _squares(here.take(first, axis=-1)[:, :, None], before[:, None])
            costs += fine * (mine[:, None, first] != mine[None, :, second])
            pairs = np.stack([first, second], axis=1)
            graph.append(Edges(pairs, costs.transpose(2, 0, 1), turns[:, first][column]))
    best = min_sum(unary.T, graph, how.sweeps)
    label[nodes] = mine[best, np.arange(len(nodes))]
    return label


def _first_good(choices: Indices, prices: Values, good: Mask, count: int) -> tuple[Indices, Values]:
    """The first ``count`` different good ones of choices (k, n), and their prices.

    Where there are fewer, the first of all follows at the price IMPOSSIBLE.
    """
    chosen = np.repeat(choices[:1], count, axis=0)
    paid = np.full(chosen.shape, IMPOSSIBLE)
    found = np.zeros(choices.shape[1], np.intp)
    for choice, price, may in zip(choices, prices, good, strict=True):
        new = may & (found < count) & ~((chosen == choice) & (paid < IMPOSSIBLE)).any(0)
        at = np.flatnonzero(new)
        chosen[found[at], at] = choice[at]
        paid[found[at], at] = price[at]
        found[at] += 1
    return chosen, paid


def _numbered(pixels: Indices) -> tuple[Indices, int, int]:
    """The rectangle around pixels and one more on each side, its first row and its first column.

    It holds each pixel's number; -1 = none.
    """
    (top, left), (bottom, right) = pixels.min(0) - 1, pixels.max(0) + 2
    number = np.full((bottom - top, right - left), -1, np.intp)
    number[pixels[:, 0] - top, pixels[:, 1] - left] = np.arange(len(pixels))
    return number, int(top), int(left)


def _in_run(chosen: Mask, axis: int) -> Indices:
    """How many of the chosen stand in a row before each along an axis, (h, w); -1 for others."""
    place = np.arange(chosen.shape[axis]).reshape((-1, 1) if axis == 0 else (1, -1))
    last = np.maximum.accumulate(np.where(chosen, -1, place), axis=axis)
    return place - last - 1


def _planes(colours: NDArray[np.generic], places: Indices) -> Values:
    """(3, …) float32: colours (n, 3) by places (…)."""
    found = colours.take(places, axis=0)
    return np.moveaxis(found, -1, 0).astype(np.float32, order="C")


def _squares(first: Values, second: Values) -> Values:
    """(…): squared differences of colours (3, …)."""
    squares: Values = np.square(first[0] - second[0])
    for one, other in zip(first[1:], second[1:], strict=True):  # a plane at a time: in the cache
        difference = one - other
        difference *= difference
        squares += difference
    return squares
