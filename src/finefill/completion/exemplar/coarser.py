"""The same at half the scale first: what it chooses is tried, and may be aimed at.

Where a hole is half as wide, more of its tiles touch what is known, and few offsets fill it. They
are offered at the scale of matching too. Where windows stand in rows, the fill that they make joins
the guide: it shows windows where the network's is vague. Elsewhere it would invite copies of what
stands there once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from finefill.completion.exemplar.align import Regions, enlarged
from finefill.completion.exemplar.candidates import Problem, candidates
from finefill.completion.exemplar.labels import choose_labels
from finefill.completion.exemplar.look import look_at
from finefill.completion.exemplar.repeats import repeats
from finefill.completion.exemplar.tiles import TILE, Indices, Tiles, tiles_of
from finefill.completion.exemplar.window import Canvas, matching_canvas, resized

# Chosen on validation photographs.
KEPT = 20  # offsets that a tile of half the scale chooses from
NEAREST = 5  # of those tiles, whose offsets are told
SHARE = np.float32(0.5)  # of the fill of half the scale in the guide; the rest is the network's


@dataclass(frozen=True)
class Half:
    """What half the scale chose.

    Attributes:
        offsets: (n, NEAREST or fewer, 2), of n tiles, the nearest's first; on their canvas, exact
            to a pixel or two.
        canvas: that canvas, its guide mixed with the fill of half the scale.
    """

    offsets: Indices
    canvas: Canvas


def at_half(canvas: Canvas, tiles: Tiles) -> Half | None:
    """Complete a canvas at half the scale.

    Args:
        canvas: at the scale of matching.
        tiles: of its hole.

    Returns:
        None where at half the scale a tile has nothing that it could be copied from.
    """
    half = halved(canvas)
    problem = Problem(look_at(half), tiles_of(half.hole))
    offered = candidates(problem, repeats(half).offsets, KEPT)
    if not len(offered) or not problem.possible(offered).any(1).all():
        return None
    chosen = choose_labels(problem, offered)
    middles = problem.tiles.middles
    each = Regions(middles, np.arange(len(chosen)), chosen, problem.look.noise)
    there = enlarged(half, canvas, each, list(range(len(canvas.lefts))))
    zoom = np.array(canvas.sizes[0]) / half.sizes[0]
    at = (tiles.middles - canvas.margin) / zoom + half.margin
    away = ((at[:, None] - middles) ** 2).sum(2)
    offsets = there[np.argsort(away, axis=1, kind="stable")[:, :NEAREST]]
    return Half(offsets, mixed(canvas, half, problem.tiles, chosen))


def halved(canvas: Canvas) -> Canvas:
    """A canvas of the same window at half the scale."""
    here = canvas.window
    window = canvas.pixels[here]
    height, width = canvas.sizes[0]
    guide = resized(window, (max(16, height // 2), max(16, width // 2)))
    whole = np.rint(window).clip(0, 255).astype(np.uint8)
    return matching_canvas(whole, ~canvas.known[here], canvas.hole[here], guide)


def mixed(canvas: Canvas, half: Canvas, tiles: Tiles, offsets: Indices) -> Canvas:
    """A canvas whose hole shows its guide and, SHARE of it, the fill of another scale.

    Args:
        canvas: not changed.
        half: the other, of the same window.
        tiles: of its hole.
        offsets: (n, 2), what each of them is copied from, on ``half``.
    """
    places = half.places
    tile = tiles.number[tuple((places // TILE + 1).T)]
    fill = half.pixels.copy()
    fill[tuple(places.T)] = half.pixels[tuple((places + offsets[tile]).T)]
    drawn = resized(fill[half.window], canvas.sizes[0])
    here, pixels = canvas.window, canvas.pixels.copy()
    hole = canvas.hole[here]
    pixels[here][hole] += SHARE * (drawn - pixels[here])[hole]
    return replace(canvas, pixels=pixels)
