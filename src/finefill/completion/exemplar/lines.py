"""Straight edges that enter a hole on one side and leave it on another: kerbs, cornices, poles.

What is known on both sides tells how such an edge goes through the hole. Its colours are drawn
there before pieces are compared, and count almost as if they were known. Offsets along it are
offered, and those from where it would not go on cost more. To complete lines before the rest is
due to Sun et al. 2005, who have them drawn by hand; here they are found.

Points and directions are complex numbers, across + 1j down, in pixels of the scale of matching.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from finefill.completion.exemplar.ends import (
    BEYOND,
    GAP,
    KEEPS,
    answered,
    apart,
    edges_around,
    follow,
    found_once,
    lasting,
    paired,
)
from finefill.completion.exemplar.strips import (
    AROUND,
    FINE,
    Complex,
    levels,
    steps_across,
    strips,
)
from finefill.completion.exemplar.tiles import Indices
from finefill.completion.exemplar.window import Canvas, Values
from finefill.masks import Mask

# Chosen on validation photographs.
NEARER = 0.01  # of its step, that a place one pixel further off must show more to be preferred
WIDE = 4  # pixels on each side of a line whose colours are continued
AVERAGED = 8  # pixels along each end, over which they are averaged
DIFFERENT = 40.0  # levels, over the channels: where the ends differ so much, half is trusted
TRUST = np.float32(0.5)  # of a pixel drawn on a line, beside 1 of a known one
CROSSED = 4.0  # pixels from the middle of a tile to a line that crosses it
FIRST, APART = 8, 4  # pixels beyond an end of the first source that is offered, and between two
OFFERED = 12  # sources along a line
BESIDE = (1, 2)  # pixels from a line whose colours, of both sides, tell its step
# The same in a profile: the numbers of its samples on the one side, and on the other.
SIDES = tuple([WIDE * FINE + sign * FINE * pixels for pixels in BESIDE] for sign in (-1, 1))
BROKEN = np.float32(200_000)  # price of a piece that nothing of a line goes through


@dataclass(frozen=True)
class Lines:
    """Straight edges across a hole.

    Attributes:
        ends: (n, 2), where each enters the hole, and where it leaves it.
        profiles: (n, 2, 2 WIDE FINE + 1, 3) float32, the colours across each end, from the side of
            -1j * (leaves - enters) to that of 1j times it.
    """

    ends: Complex
    profiles: Values

    @property
    def steps(self) -> Values:
        """(n, 2, 3): colours beside each end, on the side of 1j * (leaves - enters) less others."""
        one, other = (self.profiles[:, :, side].mean(2) for side in SIDES)
        steps: Values = other - one
        return steps


NONE = Lines(np.empty((0, 2), np.complex128), np.empty((0, 2, 2 * WIDE * FINE + 1, 3), np.float32))


def find_lines(canvas: Canvas) -> Lines:
    """The straight edges that cross a canvas's hole.

    Args:
        canvas: at the scale of matching.

    Returns:
        Those seen clearly on both sides of the hole, the clearest first; then those that one side
        points to. Each edge once.
    """
    here, corner = canvas.window, complex(canvas.lefts[0], canvas.margin)
    pixels = np.ascontiguousarray(canvas.pixels[here], np.float32)
    known, hole = np.ascontiguousarray(canvas.known[here]), canvas.hole[here]
    ends = follow(pixels, known, hole, *edges_around(pixels, known, hole))
    pairs = paired(ends, hole)
    pairs = pairs[lasting(pixels, known, ends.at[pairs], ends.steps[pairs])]
    alone = ends.of(np.setdiff1d(np.arange(len(ends.at)), pairs))
    at, steps = answered(pixels, known, hole, alone)
    lasts = lasting(pixels, known, at, steps)
    at = np.concatenate([ends.at[pairs], at[lasts]])
    at = at[found_once(at, np.concatenate([ends.steps[pairs], steps[lasts]]))]
    return Lines(at + corner, _profiles(pixels, known, at, apart(at), AVERAGED))


def enlarged_lines(low: Canvas, high: Canvas, lines: Lines) -> Lines:
    """Lines on a canvas of a larger scale, their ends moved to where its pixels show them.

    Args:
        low: the canvas of the lines.
        high: of the same window.
        lines: on ``low``.

    Returns:
        As many, on ``high``. An end moves across its line, by at most one pixel of ``low``, to
        where it keeps KEEPS of its step; where that is nowhere, it is only scaled.
    """
    zoom = np.array(high.sizes[0]) / low.sizes[0]
    reach = math.ceil(zoom.max())
    at = lines.ends - complex(low.lefts[0], low.margin)
    at = (at.real + 0.5) * zoom[1] - 0.5 + 1j * ((at.imag + 0.5) * zoom[0] - 0.5)
    rows, columns = high.places.T
    margin = (BEYOND + GAP) * reach
    top, left = max(rows.min() - margin, 0), max(columns.min() - margin, 0)
    here = (slice(top, rows.max() + margin + 1), slice(left, columns.max() + margin + 1))
    pixels, known = high.pixels[here].astype(np.float32), high.known[here]
    corner = complex(left, top)
    at += complex(high.lefts[0], high.margin) - corner
    out = apart(at)
    steps = lines.steps * np.array((-1, 1), np.float32)[:, None]  # towards 1j * out
    half = reach * FINE + AROUND
    across = np.arange(-half, half + 1) / FINE
    inside, colours = strips(pixels, known, at, out, BEYOND * reach // 2, across)
    seen = np.all(inside, axis=3, keepdims=True)
    mean = (levels(colours, steps) * seen).sum(2) / np.maximum(seen.sum(2), 1)
    shifts = across[AROUND:-AROUND]
    kept = steps_across(mean) - NEARER * np.abs(shifts)
    at = at + 1j * out * np.where(kept.max(2) >= KEEPS, shifts[kept.argmax(2)], 0)
    return Lines(at + corner, _profiles(pixels, known, at, out, AVERAGED * reach))


@dataclass(frozen=True)
class Continued:
    """What lines show in a hole.

    Attributes:
        number: (q,), of the hole's pixels, ascending, those that lie on lines or beside them.
        colours: (q, 3) float32, of both ends of each line, mixed by the distance to them.
        share: (q,) float32, how sure they are: 1 on a line, less beside it and where the ends
            differ.
    """

    number: Indices
    colours: Values
    share: Values


def continued(canvas: Canvas, lines: Lines) -> Continued:
    """What lines show in the hole of a canvas; nothing where there are none.

    Args:
        canvas: only its hole counts.
        lines: those that cross it.
    """
    places = canvas.places
    at = places[:, 1] + 1j * places[:, 0]
    colours, weights = np.zeros((len(at), 3), np.float32), np.zeros(len(at), np.float32)
    most = np.zeros(len(at), np.float32)
    for (first, second), profiles in zip(lines.ends, lines.profiles, strict=True):
        seen = (at - first) / (second - first)  # 0 at the first, 1 at the second
        across = seen.imag * abs(second - first)
        mine = np.flatnonzero((seen.real >= 0) & (seen.real <= 1) & (np.abs(across) <= WIDE))
        sample = (across[mine] + WIDE) * FINE
        before = np.minimum(sample.astype(np.intp), profiles.shape[1] - 2)
        rest = (sample - before)[:, None].astype(np.float32)
        one, other = profiles[:, before] * (1 - rest) + profiles[:, before + 1] * rest
        share = seen.real[mine, None].astype(np.float32)
        differ = np.sqrt(((one - other) ** 2).sum(1))
        weight = (1 - np.abs(across[mine]) / (WIDE + 1)) / (1 + (differ / DIFFERENT) ** 2)
        colours[mine] += weight[:, None] * (one * (1 - share) + other * share)
        weights[mine] += weight
        most[mine] = np.maximum(most[mine], weight)
    number = np.flatnonzero(weights)
    return Continued(number, colours[number] / weights[number, None], most[number])


def draw(canvas: Canvas, drawn: Continued) -> tuple[Canvas, Values]:
    """Draw what lines show into the hole of a canvas.

    Args:
        canvas: not changed.
        drawn: what lines show in its hole.

    Returns:
        The canvas, the colours of the lines mixed into what was there; and (H, W) float32, how far
        they are to be trusted: TRUST on a line, less beside it and where the ends differ, 0
        elsewhere.
    """
    trust = np.zeros(canvas.hole.shape, np.float32)
    if not len(drawn.number):
        return canvas, trust
    rows, columns = canvas.places[drawn.number].T
    pixels, share = canvas.pixels.astype(np.float32), drawn.share[:, None]
    pixels[rows, columns] *= 1 - share
    pixels[rows, columns] += share * drawn.colours
    trust[rows, columns] = TRUST * drawn.share
    return replace(canvas, pixels=pixels), trust


def along(lines: Lines, middles: Indices) -> Indices:
    """Offsets that keep to the line crossing a tile, and lead out of the hole: (n, OFFERED, 2).

    Where no line crosses, 0. Of two lines the one that is nearer counts.

    Args:
        lines: those that cross the hole.
        middles: (n, 2), rows and columns of the tiles' middles.
    """
    offsets = np.zeros((len(middles), OFFERED, 2), np.intp)
    nearest = np.full(len(middles), np.inf)
    beyond = FIRST + APART * np.arange(OFFERED // 2)
    for first, second in lines.ends:
        mine, seen = _crossed(first, second, middles)
        nearer = np.abs(seen.imag) < nearest[mine]
        mine, seen = mine[nearer], seen[nearer]
        nearest[mine] = np.abs(seen.imag)
        length = abs(second - first)
        there = [-seen.real[:, None] - beyond, length - seen.real[:, None] + beyond]
        steps = np.concatenate(there, axis=1) * (second - first) / length
        offsets[mine] = np.rint(np.stack([steps.imag, steps.real], axis=2))
    return offsets


def broken(canvas: Canvas, lines: Lines, middles: Indices, offsets: Indices) -> Values:
    """The price of offsets from where lines that cross a tile would not go on: (n, K).

    BROKEN, times the square of the share of the line's step that is missing there.

    Args:
        canvas: what is copied from.
        lines: those that cross its hole.
        middles: (n, 2), rows and columns of the tiles' middles.
        offsets: (n, K, 2).
    """
    price = np.zeros(offsets.shape[:2], np.float32)
    height, width = canvas.known.shape
    colours = canvas.pixels.reshape(-1, 3)
    for (first, second), steps in zip(lines.ends, lines.steps, strict=True):
        mine, seen = _crossed(first, second, middles)
        length = abs(second - first)
        points = seen.real[:, None] + np.arange(-CROSSED, CROSSED + 1, 2)  # (m, 5), on the line
        share = np.clip(points / length, 0, 1)[..., None].astype(np.float32)
        wanted = (1 - share) * steps[0] + share * steps[1]  # (m, 5, 3)
        found = np.zeros((*offsets[mine].shape[:2], *points.shape[1:], 3), np.float32)
        for sign, pixels in product((1, -1), BESIDE):
            at = first + (points + 1j * sign * pixels) * (second - first) / length
            rows = np.rint(at.imag).astype(np.intp)[:, None] + offsets[mine, :, None, 0]
            columns = np.rint(at.real).astype(np.intp)[:, None] + offsets[mine, :, None, 1]
            place = np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)
            found += np.float32(sign / len(BESIDE)) * colours.take(place, axis=0)
        kept = np.einsum("mkpc,mpc->mkp", found, wanted)
        kept /= np.maximum((wanted**2).sum(2), 1)[:, None]
        price[mine] += BROKEN * ((1 - np.clip(kept, 0, 1)) ** 2).mean(2)
    return price


def _profiles(pixels: Values, known: Mask, at: Complex, out: Complex, length: int) -> Values:
    """The profiles of lines, averaged over some pixels along each end: see :class:`Lines`.

    Args:
        pixels: (h, w, 3) float32.
        known: (h, w) bool.
        at: (n, 2), the lines' ends.
        out: (n, 2) of length 1, directions away from the hole.
        length: pixels.

    Returns:
        (n, 2, 2 WIDE FINE + 1, 3) float32, of known pixels; 0 where none is known.
    """
    across = np.arange(-WIDE * FINE, WIDE * FINE + 1) / FINE
    inside, colours = strips(pixels, known, at, out, length, across)
    weight = inside[..., None].astype(np.float32)
    profiles: Values = (colours * weight).sum(2) / np.maximum(weight.sum(2), 1)
    profiles[:, 0] = profiles[:, 0, ::-1]  # that end looks the other way
    return profiles


def _crossed(first: complex, second: complex, middles: Indices) -> tuple[Indices, Complex]:
    """Which tiles a line crosses, and where.

    Args:
        first: an end of the line.
        second: the other.
        middles: (n, 2), rows and columns of the tiles' middles.

    Returns:
        (m,), numbers of tiles; and (m,), their middles seen from the first end: pixels along the
        line + 1j * pixels across.
    """
    at = middles[:, 1] + 1j * middles[:, 0]
    seen = (at - first) * abs(second - first) / (second - first)
    within = (seen.real >= 0) & (seen.real <= abs(second - first))
    mine = np.flatnonzero(within & (np.abs(seen.imag) <= CROSSED))
    return mine, seen[mine]
