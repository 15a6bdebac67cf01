"""Which offset each tile takes: one energy over all tiles, lowered by passing messages.

The energy is what each tile's piece differs from its surroundings by (unary), and what neighbouring
tiles' pieces differ by where they overlap, plus a price for different offsets (pairwise). So the
cheapest labelling consists of few regions of one offset each, cut where the cut shows least (Kwatra
et al. 2003; Komodakis & Tziritas 2007, without their pruning; He & Sun 2012, who found that few
offsets are enough).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finefill.completion.exemplar.candidates import (
    IMPOSSIBLE,
    STRANGE,
    Problem,
    known_difference,
)
from finefill.completion.exemplar.lines import broken
from finefill.completion.exemplar.look import REACH, far_places, near_places
from finefill.completion.exemplar.tiles import AROUND, TILE, Indices, channel_sum
from finefill.completion.exemplar.window import Values

# Chosen on validation photographs.
SWEEPS = 3  # over all tiles, in four directions
TURNS = 6  # of single changes afterwards
PART = 32  # tiles, or pairs of them, that are compared at a time
# Price of a source blander than what is expected, by the square of what its activity lacks:
# squared differences alone prefer a blank wall to a window that is a pixel off.
BLAND = np.float32(60)
BAND = 2  # pixels on each side of two tiles' common edge that are compared


@dataclass(frozen=True)
class Edges:
    """Pairs of neighbours and what each pair of their labels costs.

    Attributes:
        pairs: (e, 2), numbers of nodes, the first before the second in the direction of sweeping.
        costs: (e, K, K) float32, by the label of the first and of the second.
        lines: (e,), pairs of one line get their messages at once; sweeps go by line.
    """

    pairs: Indices
    costs: Values
    lines: Indices


def choose_labels(problem: Problem, offsets: Indices) -> Indices:
    """The offset of each tile: (n, 2), out of the candidates (n, K, 2)."""
    look = problem.look
    unary = surroundings_difference(problem, offsets)
    unary += broken(look.canvas, look.lines, problem.tiles.middles, offsets)
    graph = overlaps(problem, offsets)
    labels = settle(unary, graph, min_sum(unary, graph, SWEEPS), problem.tiles.cells.sum(1))
    return offsets[np.arange(len(offsets)), labels]


def surroundings_difference(problem: Problem, offsets: Indices) -> Values:
    """(n, K): how much a tile's surroundings differ from those of where its offset points.

    Squared differences over the piece's known pixels and over both contexts, and what the source
    lacks in activity.
    """
    cost = known_difference(problem, offsets)
    look, wanted = problem.look, problem.contexts
    limits = np.array(look.usable.shape) - REACH - 1
    at = np.clip(problem.centres[:, None] + (offsets + 1) // 2, REACH, limits)
    width = look.usable.shape[1]
    corner = at[..., 0] * width + at[..., 1]  # (n, K)
    for image, places, values, weight in (
        (look.half, near_places(), wanted.near, wanted.near_weight),
        (look.wide, far_places(), wanted.far, wanted.far_weight),
    ):
        flat, shift = image.reshape(-1, image.shape[2]), places[:, 0] * width + places[:, 1]
        for some in _parts(len(cost)):
            found = flat.take(corner[some, :, None] + shift, axis=0)
            found -= values[some, None]
            found *= found
            squares = np.minimum(channel_sum(found), STRANGE)
            cost[some] += np.matmul(squares, weight[some, :, None])[..., 0]
    lively = look.wide[..., 3].ravel()
    expected = lively[problem.centres[:, 0] * width + problem.centres[:, 1]]
    cost += BLAND * np.maximum(expected[:, None] - lively[corner], 0) ** 2
    return np.minimum(cost, IMPOSSIBLE)


def overlaps(problem: Problem, offsets: Indices) -> list[Edges]:
    """What neighbouring tiles' labels cost: pairs side by side, and one above the other.

    Squared differences of both pieces in a band along the common edge, of the pixels in the hole,
    of which every second one is compared; different offsets cost one noise a pixel more.
    """
    canvas, tiles = problem.look.canvas, problem.tiles
    width = canvas.known.shape[1]
    flat, hole = canvas.pixels.reshape(-1, 3), canvas.hole.ravel()
    which = offsets[..., 0] * (2 * width) + offsets[..., 1]
    safe = np.where(problem.possible(offsets)[..., None], offsets, 0)
    corners = tiles.corners[:, 0] * width + tiles.corners[:, 1]
    sources = corners[:, None] + safe[..., 0] * width + safe[..., 1]
    along = np.arange(AROUND - BAND, AROUND + TILE + BAND)
    over = np.arange(AROUND + TILE - BAND, AROUND + TILE + BAND)
    found = []
    for pairs, step, lines, rows, columns in (
        (tiles.across, TILE, tiles.cells[:, 1], along, over),
        (tiles.down, TILE * width, tiles.cells[:, 0], over, along),
    ):
        first, second = pairs.T
        board = (rows[:, None] + columns) % 2 == 0  # the white squares
        band = (rows[:, None] * width + columns)[board]  # seen from the first one's piece
        costs = np.empty((len(pairs), offsets.shape[1], offsets.shape[1]), np.float32)
        for some in _parts(len(pairs)):
            weight = hole[corners[first[some], None] + band].astype(np.float32)[:, None, :, None]
            shape = len(weight), offsets.shape[1], 3 * len(band)
            ends = [
                (flat.take(sources[node[some], :, None] + shift, axis=0) * weight).reshape(shape)
                for node, shift in ((first, band), (second, band - step))
            ]
            costs[some] = squared_distances(*ends)
            # Saturates: a window cut a pixel off costs no more than a cut through another thing.
            most = STRANGE * weight.sum((1, 2))[:, :, None]
            costs[some] *= most / (most + costs[some] + 1)
        differ = which[first][:, :, None] != which[second][:, None]
        costs += np.float32(problem.look.noise * len(band)) * differ
        costs *= 2  # for the black squares
        found.append(Edges(pairs, costs, lines[first]))
    return found


def _parts(count: int) -> list[slice]:
    """PART at a time: bounds the memory, and stays in the processor's."""
    return [slice(first, first + PART) for first in range(0, count, PART)]


def squared_distances(first: Values, second: Values) -> Values:
    """(e, K, L): of all pairs of vectors (e, K, d) and (e, L, d)."""
    squares = [np.einsum("ekd,ekd->ek", ends, ends) for ends in (first, second)]
    costs = np.matmul(first, second.swapaxes(1, 2))
    costs *= -2
    costs += squares[0][:, :, None]
    costs += squares[1][:, None]
    distances: Values = np.maximum(costs, 0, out=costs)
    return distances


def min_sum(unary: Values, graph: Sequence[Edges], sweeps: int) -> Indices:
    """Labels of low energy by min-sum message passing (loopy belief propagation; Pearl 1988).

    Args:
        unary: (n, K) float32.
        graph: sets of edges; each is swept forth, then each back.
        sweeps: how often.

    Returns:
        (n,) the label whose min-marginal is least.
    """
    belief = unary.copy()
    forth: list[_Line] = []
    back: list[_Line] = []
    for edges in graph:
        order = np.argsort(edges.lines, kind="stable")
        first, second = edges.pairs[order].T
        messages = np.zeros((2, len(order), unary.shape[1]), np.float32)
        cuts = [0, *(np.flatnonzero(np.diff(edges.lines[order])) + 1), len(order)]
        each = len(order) // (len(cuts) - 1)  # edges of a line
        both = [
            _by_source(edges.costs[order].transpose(axes), each) for axes in ((1, 0, 2), (2, 0, 1))
        ]
        for some in [slice(*ends) for ends in itertools.pairwise(cuts)]:
            ahead, behind = messages[:, some]
            forth.append(_Line(first[some], second[some], both[0][:, some], ahead, behind))
            back.append(_Line(second[some], first[some], both[1][:, some], behind, ahead))
    for _ in range(sweeps):
        for line in forth:
            line.send(belief)
        for line in reversed(back):
            line.send(belief)
    best: Indices = belief.argmin(1)
    return best


def _by_source(costs: Values, each: int) -> Values:
    """(K, e, K) laid out so that what there is more of, labels or edges of a line, is the last."""
    if each > len(costs):
        return costs.swapaxes(1, 2).copy().swapaxes(1, 2)
    return costs.copy()


@dataclass(frozen=True)
class _Line:
    """Edges of one line and one direction.

    Attributes:
        source: (e,) nodes, all different, as are those of ``target``.
        target: (e,) nodes.
        costs: (K, e, K), by the label of the source first, so that the least over it is found
            row by row; by the label of the target last.
        messages: (e, K), from sources to targets, renewed by :meth:`send`.
        answers: (e, K), from targets to sources.
    """

    source: Indices
    target: Indices
    costs: Values
    messages: Values
    answers: Values

    def send(self, belief: Values) -> None:
        """Renew the messages; add what is new in them to the targets' beliefs."""
        told = belief.take(self.source, axis=0)
        told -= self.answers
        new = np.minimum.reduce(told.T[:, :, None] + self.costs, axis=0)
        new -= np.minimum.reduce(new.T.copy(), axis=0)[:, None]
        told = belief.take(self.target, axis=0)
        told += new - self.messages
        belief[self.target] = told
        self.messages[:] = new


def settle(unary: Values, graph: Sequence[Edges], labels: Indices, parity: Indices) -> Indices:
    """Let single nodes take the label that is best beside their neighbours'.

    Iterated conditional modes (Besag 1986), every second node at a time: ``parity``, even or odd,
    differs between neighbours.
    """
    labels = labels.copy()
    for turn in range(TURNS):
        energy = unary.copy()
        for edges in graph:
            first, second = edges.pairs.T
            each = np.arange(len(first))
            # Each node is the first, and the second, of one pair at most.
            energy[second] += edges.costs[each, labels[first]]
            energy[first] += edges.costs[each, :, labels[second]]
        mine = parity % 2 == turn % 2
        labels[mine] = energy[mine].argmin(1)
    return labels
