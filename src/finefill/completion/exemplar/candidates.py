"""Offsets that may be good for a tile: found by context, corrected by a pixel, lent by others,
and those at which the photograph repeats itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from finefill.completion.blend import patches
from finefill.completion.exemplar.look import (
    Contexts,
    Look,
    contexts,
    far_places,
    near_places,
)
from finefill.completion.exemplar.repeats import repeats
from finefill.completion.exemplar.tiles import PIECE, TILE, Indices, Tiles, channel_sum
from finefill.completion.exemplar.window import Values
from finefill.masks import Mask

# Chosen on validation photographs.
SEARCHED = 16  # offsets that the search gives each tile
KEPT = 40  # offsets that a tile chooses from
LENT = 3  # of a tile's best that it lends to each of twelve around it
GROUP = 2  # tiles along each side of a square that is searched for as one
POSITIONS = 4096  # positions that are compared at a time: bounds the memory
LENDERS = (
    (0, 2), (2, 0), (0, -2), (-2, 0), (4, 0), (0, 4), (-4, 0), (0, -4),
    (2, 2), (-2, 2), (2, -2), (-2, -2),
)  # fmt: skip
NEIGHBOURS = np.array([(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)])
# A squared difference of colours, over the channels, that counts fully: more tells no more.
STRANGE = np.float32(4000)
IMPOSSIBLE = np.float32(1e9)


@dataclass(frozen=True)
class Problem:
    """Tiles to be filled, and what they are compared by."""

    look: Look
    tiles: Tiles

    @cached_property
    def sources(self) -> Mask:
        """(H - PIECE + 1, W - PIECE + 1) bool: corners of pieces that are known all over."""
        sums = np.pad(~self.look.canvas.known, ((1, 0), (1, 0))).cumsum(0, np.int32)
        sums = sums.cumsum(1, np.int32)
        unknown = sums[PIECE:, PIECE:] - sums[:-PIECE, PIECE:]
        unknown -= sums[PIECE:, :-PIECE] - sums[:-PIECE, :-PIECE]
        known: Mask = unknown == 0
        return known

    @cached_property
    def centres(self) -> Indices:
        """(n, 2): the tiles' middles at half scale."""
        return (self.tiles.cells * TILE + TILE // 2) // 2

    @cached_property
    def contexts(self) -> Contexts:
        """Of all tiles."""
        return contexts(self.look, self.centres)

    @cached_property
    def known(self) -> Values:
        """(n, PIECE, PIECE) float32: 1 where a piece is known."""
        rows, columns = self.tiles.corners.T
        pieces = sliding_window_view(self.look.canvas.known, (PIECE, PIECE))
        known: Values = pieces[rows, columns].astype(np.float32)
        return known

    def possible(self, offsets: Indices) -> Mask:
        """(n, K) bool: whether what (n, K, 2) offsets point at is known."""
        at = self.tiles.corners[:, None] + offsets
        inside: Mask = np.all((at >= 0) & (at < self.sources.shape), axis=-1)
        at = np.where(inside[..., None], at, 0)
        possible: Mask = inside & self.sources[at[..., 0], at[..., 1]]
        return possible


def candidates(problem: Problem, kept: int = KEPT, further: Indices | None = None) -> Indices:
    """(n, kept, 2): distinct possible offsets of each tile, the last repeated where few are.

    Args:
        problem: the tiles.
        kept: how many.
        further: (n, K, 2), offsets from elsewhere, which come first, the first of them corrected
            by a pixel; None: none.
    """
    own, costs = corrected(problem, search(problem))
    order = np.argsort(costs, axis=1, kind="stable")[:, :LENT, None]
    best = np.take_along_axis(own, order, 1)
    lent = [own]
    if further is not None and further.size:
        lent = [corrected(problem, further[:, :1])[0], further, own]
    again = repeats(problem.look.canvas)
    lent.append(np.broadcast_to(again, (len(own), *again.shape)))
    for row, column in LENDERS:
        lender = problem.tiles.beside(row, column)
        lent.append(np.where((lender >= 0)[:, None, None], best[lender], best))
    every = np.concatenate(lent, axis=1)
    return distinct(every, problem.possible(every), kept)


def search(problem: Problem) -> Indices:
    """The offsets at which the surroundings are most alike: (n, SEARCHED, 2), the best first.

    Squares of tiles are searched for as one, at every second pixel and every panel; local minima
    of the weighted squared difference of contexts count.
    """
    groups, which = np.unique(problem.tiles.cells // GROUP, axis=0, return_inverse=True)
    which = which.ravel()
    sums = [np.bincount(which, problem.centres[:, axis]) for axis in (0, 1)]
    centres = (np.stack(sums, axis=1) / np.bincount(which)[:, None]).astype(np.intp)
    wanted = contexts(problem.look, centres)
    places, costs = [], []
    for top, left, cost in _compared(problem.look, wanted):
        count = min(SEARCHED, cost[0].size)
        flat = _minima_only(cost).reshape(len(groups), -1)
        best = np.argpartition(flat, count - 1, axis=1)[:, :count]
        rows, columns = np.divmod(best, cost.shape[2])
        places.append(np.stack([rows + top, columns + left], axis=2))
        costs.append(np.take_along_axis(flat, best, 1))
    every, cost = np.concatenate(places, axis=1), np.concatenate(costs, axis=1)
    order = np.argsort(cost, axis=1, kind="stable")[:, :SEARCHED, None]
    offsets = 2 * (np.take_along_axis(every, order, 1) - centres[:, None])
    return offsets[which]


def corrected(problem: Problem, offsets: Indices) -> tuple[Indices, Values]:
    """Offsets shifted by up to a pixel so that the known pixels of each piece differ least.

    Args:
        problem: the tiles.
        offsets: (n, K, 2).

    Returns:
        (n, K, 2) offsets and (n, K) sums of squared differences.
    """
    count, each = offsets.shape[:2]
    around = (offsets[:, :, None] + NEIGHBOURS).reshape(count, -1, 2)
    costs = known_difference(problem, around).reshape(count, each, len(NEIGHBOURS))
    costs[:, :, len(NEIGHBOURS) // 2] -= np.float32(1e-3)  # where all are alike, stay
    best = costs.argmin(2)
    return offsets + NEIGHBOURS[best], np.take_along_axis(costs, best[..., None], 2)[..., 0]


def known_difference(problem: Problem, offsets: Indices) -> Values:
    """Sums of squared differences over the known pixels of each piece: (n, K).

    What is not possible costs IMPOSSIBLE.
    """
    possible = problem.possible(offsets)
    difference = np.zeros(possible.shape, np.float32)
    border = np.flatnonzero(problem.known.any((1, 2)))
    corners = problem.tiles.corners[border]
    pixels = problem.look.canvas.pixels
    wanted = patches(pixels, corners, PIECE)
    at = corners[:, None] + np.where(possible[border, :, None], offsets[border], 0)
    for number, row in enumerate(border):
        found = patches(pixels, at[number], PIECE)
        found -= wanted[number]
        found *= found
        squares = np.minimum(channel_sum(found.reshape(-1, PIECE, PIECE, 3)), STRANGE)
        difference[row] = np.tensordot(squares, problem.known[row], 2)
    difference[~possible] = IMPOSSIBLE
    return difference


def distinct(offsets: Indices, possible: Mask, count: int) -> Indices:
    """The first ``count`` different possible ones of (n, K, 2), in their order.

    Where there are fewer, others follow.
    """
    keys = np.where(possible, offsets[..., 0] * 100_003 + offsets[..., 1], np.iinfo(np.intp).max)
    order = np.argsort(keys, axis=1, kind="stable")
    ranked = np.take_along_axis(keys, order, 1)
    new = np.ones_like(possible)
    new[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    first = np.zeros_like(possible)
    np.put_along_axis(first, order, new, 1)
    chosen = np.argsort(~(first & possible), axis=1, kind="stable")[:, :count]
    return np.take_along_axis(offsets, chosen[..., None], 1)


def _compared(look: Look, wanted: Contexts) -> Iterator[tuple[int, int, Values]]:
    """Panel by panel: first row and column at half scale, and (n, rows, columns) costs.

    |s - t|^2 weighted by w is a product of matrices, w s^2 - 2 w t s, and a constant.
    """
    near, far = near_places(), far_places()
    half, wide = np.moveaxis(look.half, 2, 0).copy(), np.moveaxis(look.wide, 2, 0).copy()
    planes = [
        (near, [*half, (half * half).sum(0)]),
        (far, [*wide, (wide * wide).sum(0)]),
    ]
    factors = np.concatenate(
        [
            _factors(wanted.near, wanted.near_weight),
            _factors(wanted.far, wanted.far_weight),
        ],
        axis=1,
    )
    constant = _constant(wanted.near, wanted.near_weight) + _constant(wanted.far, wanted.far_weight)
    margin = look.canvas.margin // 2
    for left, (height, width) in zip(look.canvas.lefts, look.canvas.sizes, strict=True):
        rows, columns, first = -(-height // 2), -(-width // 2), left // 2
        cost = np.empty((len(factors), rows, columns), np.float32)
        most = max(1, POSITIONS // columns)  # rows at a time
        memory = np.empty(factors.shape[1] * min(most, rows) * columns, np.float32)
        for top in range(0, rows, most):
            count = min(most, rows - top)
            seen = memory[: factors.shape[1] * count * columns].reshape(-1, count, columns)
            line = 0
            for places, images in planes:
                corners = (places + np.array((margin + top, first))).tolist()
                for image in images:
                    for y, x in corners:
                        seen[line] = image[y : y + count, x : x + columns]
                        line += 1
            product = factors @ seen.reshape(len(seen), -1)
            cost[:, top : top + count] = product.reshape(len(factors), count, columns)
        cost += constant[:, None, None]
        cost[:, ~look.usable[margin : margin + rows, first : first + columns]] = np.inf
        yield margin, first, cost


def _factors(values: Values, weight: Values) -> Values:
    """(n, (C + 1) d): what (C + 1) planes at d places are multiplied by."""
    linear = -2 * weight[..., None] * values  # (n, d, C)
    factors = np.concatenate([linear, weight[..., None]], axis=2).swapaxes(1, 2)
    return factors.reshape(len(values), -1)


def _constant(values: Values, weight: Values) -> Values:
    squares: Values = np.einsum("nd,ndc,ndc->n", weight, values, values)
    return squares


def _minima_only(cost: Values) -> Values:
    """Costs (n, h, w) that no one beside is lower than; infinite elsewhere. In place."""
    least = np.full_like(cost, np.inf)
    np.minimum(least[:, 1:], cost[:, :-1], out=least[:, 1:])
    np.minimum(least[:, :-1], cost[:, 1:], out=least[:, :-1])
    np.minimum(least[:, :, 1:], cost[:, :, :-1], out=least[:, :, 1:])
    np.minimum(least[:, :, :-1], cost[:, :, 1:], out=least[:, :, :-1])
    np.copyto(cost, np.inf, where=cost > least)
    return cost
