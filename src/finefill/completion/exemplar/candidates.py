"""Offsets that may be good for a tile: found by context, corrected by a pixel, lent by others,
and those at which the photograph repeats itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from finefill.completion.exemplar.lines import along
from finefill.completion.exemplar.look import (
    Contexts,
    Look,
    coarse_places,
    contexts,
    quartered,
    sampled,
)
from finefill.completion.exemplar.tiles import PIECE, Indices, Tiles, channel_sum
from finefill.completion.exemplar.window import Values
from finefill.masks import Mask

# Chosen on validation photographs.
SEARCHED = 12  # offsets that the search gives each tile
KEPT = 32  # offsets that a tile chooses from
LENT = 2  # of a tile's best that it lends to each of twelve around it
GROUP = 2  # tiles along each side of a square that is searched for as one
LENDERS = (
    (0, 2), (2, 0), (0, -2), (-2, 0), (4, 0), (0, 4), (-4, 0), (0, -4),
    (2, 2), (-2, 2), (2, -2), (-2, -2),
)  # fmt: skip
# The search goes by every fourth pixel: what lies between is tried by these shifts, no shift first.
SHIFTS = np.array([(row, column) for row in (0, -1, 1, 2) for column in (0, -1, 1, 2)])
BOARD = np.indices((PIECE, PIECE)).sum(0) % 2 == 0  # the white squares of a piece
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
        return self.tiles.middles // 2

    @cached_property
    def contexts(self) -> Contexts:
        """Of all tiles."""
        return contexts(self.look, self.centres)

    @cached_property
    def known(self) -> Mask:
        """(n, PIECE, PIECE) bool: where a piece is known."""
        rows, columns = self.tiles.corners.T
        pieces = sliding_window_view(self.look.canvas.known, (PIECE, PIECE))
        known: Mask = pieces[rows, columns]
        return known

    def possible(self, offsets: Indices) -> Mask:
        """(n, K) bool: whether what (n, K, 2) offsets point at is known."""
        rows = self.tiles.corners[:, :1] + offsets[..., 0]
        columns = self.tiles.corners[:, 1:] + offsets[..., 1]
        height, width = self.sources.shape
        possible: Mask = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        possible &= self.sources.ravel().take(rows * width + columns, mode="clip")
        return possible


def candidates(
    problem: Problem, again: Indices, kept: int = KEPT, further: Indices | None = None
) -> Indices:
    """(n, kept, 2): distinct possible offsets of each tile, the last repeated where few are.

    Args:
        problem: the tiles.
        again: (k, 2), offsets at which the photograph repeats itself.
        kept: how many.
        further: (n, K, 2), offsets from elsewhere, which come first, the first of them corrected
            by a pixel; None: none.
    """
    own, costs = corrected(problem, search(problem))
    first = []
    if len(problem.look.lines.ends):
        first = [along(problem.look.lines, problem.tiles.middles)]
        own = np.concatenate([*first, own], axis=1)
        costs = np.concatenate([known_difference(problem, first[0], BOARD), costs], axis=1)
    own = np.take_along_axis(own, np.argsort(costs, axis=1, kind="stable")[..., None], 1)
    best, rest = own[:, :LENT], own[:, LENT:]
    if further is not None and further.size:
        first += [corrected(problem, further[:, :1])[0], further]
    offered = [*first, best]
    offered.append(np.broadcast_to(again, (len(own), *again.shape)))
    lenders = np.stack([problem.tiles.beside(row, column) for row, column in LENDERS], axis=1)
    lenders = np.where(lenders >= 0, lenders, np.arange(len(own))[:, None])
    offered += [best[lenders, rank] for rank in range(best.shape[1])]
    every = np.concatenate([*offered, rest], axis=1)
    return distinct(every, problem.possible(every), kept)


def search(problem: Problem) -> Indices:
    """The offsets at which the surroundings are most alike: (n, SEARCHED, 2), the best first.

    Squares of tiles are searched for as one, at every fourth pixel of every panel; minima along
    rows or columns of the weighted squared difference of contexts count.
    """
    groups, which = np.unique(problem.tiles.cells // GROUP, axis=0, return_inverse=True)
    which = which.ravel()
    sums = [np.bincount(which, problem.centres[:, axis]) for axis in (0, 1)]
    middles = np.stack(sums, axis=1) / np.bincount(which)[:, None]
    centres: Indices = (middles / 2).astype(np.intp)
    corner, cost = _compared(problem.look, centres)
    flat = _minima_only(cost).reshape(len(groups), -1)
    count = min(SEARCHED, flat.shape[1])
    best = np.argpartition(flat, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(flat, best, 1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, 1)
    places = np.stack(np.divmod(best, cost.shape[2]), axis=2) + corner
    offsets: Indices = 4 * (places - centres[:, None])
    return offsets[which]


def corrected(problem: Problem, offsets: Indices) -> tuple[Indices, Values]:
    """Offsets shifted by up to two pixels so that the known pixels of each piece differ least.

    Args:
        problem: the tiles.
        offsets: (n, K, 2).

    Returns:
        (n, K, 2) offsets and (n, K) sums of squared differences, of every second known pixel.
    """
    count, each = offsets.shape[:2]
    around = (offsets[:, :, None] + SHIFTS).reshape(count, -1, 2)
    costs = known_difference(problem, around, BOARD).reshape(count, each, len(SHIFTS))
    best = costs.argmin(2)  # where all are alike, the first: none
    return offsets + SHIFTS[best], np.take_along_axis(costs, best[..., None], 2)[..., 0]


def known_difference(problem: Problem, offsets: Indices, seen: Mask | None = None) -> Values:
    """Sums of squared differences over the known pixels of each piece: (n, K).

    Of those alone that are ``seen``, (PIECE, PIECE) bool. What is not possible costs IMPOSSIBLE.
    """
    possible = problem.possible(offsets)
    difference = np.zeros(possible.shape, np.float32)
    known = problem.known if seen is None else problem.known & seen
    known = known.reshape(len(possible), -1)
    colours = problem.look.canvas.pixels
    width = colours.shape[1]
    colours = colours.reshape(-1, 3)
    corners = problem.tiles.corners @ np.array((width, 1))
    shifts = np.where(possible, offsets[..., 0] * width + offsets[..., 1], 0)
    in_piece = (np.arange(PIECE)[:, None] * width + np.arange(PIECE)).ravel()
    for tile in np.flatnonzero(known.any(1)):
        places = corners[tile] + in_piece[known[tile]]
        found = colours.take(places + shifts[tile][:, None], axis=0)
        found -= colours.take(places, axis=0)
        found *= found
        difference[tile] = np.minimum(channel_sum(found), STRANGE).sum(1)
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


def _compared(look: Look, centres: Indices) -> tuple[Indices, Values]:
    """How much the contexts of centres (n, 2) differ from those of all places, at a quarter scale.

    |s - t|^2 weighted by w is a product of matrices, w s^2 - 2 w t s, and a constant.

    Returns:
        The first place, and (n, rows, columns) costs, infinite where nothing may be copied.
    """
    look, first = quartered(look), look.canvas.margin // 4
    near, far = coarse_places()
    wanted = sampled(look, centres, near, far, 2)
    rows, columns = (side - 2 * first for side in look.usable.shape)
    factors, seen, constants = [], [], []
    for image, places, values, weight in (
        (look.half, near, wanted.near, wanted.near_weight),
        (look.wide, far, wanted.far, wanted.far_weight),
    ):
        planes = np.moveaxis(image, 2, 0)
        planes = np.concatenate([planes, (planes * planes).sum(0, keepdims=True)])
        factors.append(_factors(values, weight))
        constants.append(_constant(values, weight))
        seen += [
            plane[first + y : first + y + rows, first + x : first + x + columns]
            for plane in planes
            for y, x in places.tolist()
        ]
    cost = np.concatenate(factors, axis=1) @ np.stack(seen).reshape(len(seen), -1)
    cost = cost.reshape(len(centres), rows, columns)
    cost += (constants[0] + constants[1])[:, None, None]
    cost[:, ~look.usable[first : first + rows, first : first + columns]] = np.inf
    return np.array((first, first)), cost


def _factors(values: Values, weight: Values) -> Values:
    """(n, (C + 1) d): what (C + 1) planes at d places are multiplied by."""
    linear = -2 * weight[..., None] * values  # (n, d, C)
    factors = np.concatenate([linear, weight[..., None]], axis=2).swapaxes(1, 2)
    return factors.reshape(len(values), -1)


def _constant(values: Values, weight: Values) -> Values:
    squares: Values = np.einsum("nd,ndc,ndc->n", weight, values, values)
    return squares


def _minima_only(cost: Values) -> Values:
    """Costs (n, h, w) with none lower beside them in their row, or in their column; infinite
    elsewhere.
    """
    lower = np.zeros(cost.shape, bool)
    lower[:, 1:] = cost[:, 1:] > cost[:, :-1]
    lower[:, :-1] |= cost[:, :-1] > cost[:, 1:]
    beside = np.zeros(cost.shape, bool)
    beside[:, :, 1:] = cost[:, :, 1:] > cost[:, :, :-1]
    beside[:, :, :-1] |= cost[:, :, :-1] > cost[:, :, 1:]
    lower &= beside
    np.copyto(cost, np.float32(np.inf), where=lower)
    return cost
