"""What pieces of twice the reach would choose: offsets found at half the scale.

Where a hole is half as wide, more of its tiles touch what is known, and few offsets fill it. They
are offered at the scale of matching too, and keep together there what single tiles would not.
"""

from __future__ import annotations

import numpy as np

from finefill.completion.exemplar.align import Regions, enlarged
from finefill.completion.exemplar.candidates import Problem, candidates
from finefill.completion.exemplar.labels import choose_labels
from finefill.completion.exemplar.look import look_at
from finefill.completion.exemplar.tiles import Indices, Tiles, tiles_of
from finefill.completion.exemplar.window import Canvas, matching_canvas, resized

# Chosen on validation photographs.
KEPT = 20  # offsets that a tile of half the scale chooses from
NEAREST = 5  # of those tiles, whose offsets are told


def offsets_at_half(canvas: Canvas, tiles: Tiles) -> Indices:
    """What tiles at half the scale choose: (n, NEAREST or fewer, 2), the nearest's first.

    Args:
        canvas: at the scale of matching.
        tiles: of its hole, n of them.

    Returns:
        Offsets on ``canvas``, exact to a pixel or two; none, (n, 0, 2), where at half the scale a
        tile has nothing that it could be copied from.
    """
    half = halved(canvas)
    problem = Problem(look_at(half), tiles_of(half.hole))
    offered = candidates(problem, KEPT)
    if not len(offered) or not problem.possible(offered).any(1).all():
        return np.empty((len(tiles.cells), 0, 2), np.intp)
    chosen = choose_labels(problem, offered)
    middles = problem.tiles.middles
    each = Regions(middles, np.arange(len(chosen)), chosen, problem.look.noise)
    there = enlarged(half, canvas, each, list(range(len(canvas.lefts))))
    zoom = np.array(canvas.sizes[0]) / half.sizes[0]
    at = (tiles.middles - canvas.margin) / zoom + half.margin
    away = ((at[:, None] - middles) ** 2).sum(2)
    return there[np.argsort(away, axis=1, kind="stable")[:, :NEAREST]]


def halved(canvas: Canvas) -> Canvas:
    """A canvas of the same window at half the scale."""
    height, width = canvas.sizes[0]
    top, left = canvas.margin, canvas.lefts[0]
    here = (slice(top, top + height), slice(left, left + width))
    window = canvas.pixels[here]
    guide = resized(window, (max(16, height // 2), max(16, width // 2)))
    whole = np.rint(window).clip(0, 255).astype(np.uint8)
    return matching_canvas(whole, ~canvas.known[here], canvas.hole[here], guide)
