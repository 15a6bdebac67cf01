"""Straight edges that run into a hole, and which of them continue each other across it.

Points and directions are complex numbers, across + 1j down, in pixels of the scale of matching.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finefill.completion.blend import blur
from finefill.completion.exemplar.strips import (
    AROUND,
    FINE,
    Complex,
    Numbers,
    levels,
    moving_sums,
    steps_across,
    strips,
)
from finefill.completion.exemplar.tiles import Indices
from finefill.completion.exemplar.window import Values
from finefill.masks import Mask, grow

# Chosen on validation photographs.
GAP = 2  # pixels between the hole and where edges are sought
CONTRAST = 5.0  # levels of grey a pixel, that an edge must have there
COHERENT = 0.5  # of 1, that gradients around it must keep to one direction
ALONE = 2  # pixels within which only the strongest edge of a direction counts
MOST = 100  # edges, the strongest: bounds time and memory where all is edges
MOST_AROUND = 5  # pixels for each of them
BEYOND = 16  # pixels by which an edge is followed away from the hole
SEEN = 0.625  # of them that must be known
NEXT = 3  # of them, next to the hole, that must all be known
PART = 4  # pixels of them that are one part
STEP = 20.0  # levels, over the channels, between the sides of an edge, in each part of it
SLACK = 2.0  # pixels across by which an edge may lie off where it is seen first
TURN = 0.3  # tangent of the angle by which its direction may be off
TURNS = 25  # directions that are tried
ALMOST = 0.97  # of the best line's step: the mean of lines that have more is taken
SHORTEST = 10  # pixels between two ends of a line
BEND = 0.09  # radians between the directions of the two
MISS, MISS_MORE = 1.5, 0.045  # pixels, and of those between them, by which one may miss the other
MISSED = 3.0  # pixels by which a pair is e times less clear
ALIKE = 0.8  # cosine between the steps of the two
FAINTER = 0.45  # of one's step, that the other's must have
INSIDE = 0.7  # of a line that must lie in the hole
AGAIN = 8  # pixels by which an edge that is sought where another points to is followed
ASIDE = 3.0  # pixels across by which it may lie off there
ONCE = 2.5  # pixels between the ends of two lines, within which they are one, found twice
UPRIGHT = 0.85  # sine of the angle from which on a line is upright
LASTS = 0.85  # of its length in the hole, that an upright line must be seen on one side: the edges
# of windows one above the other are in line too, but do not go on between them
CUT = 0.5  # of its length in the hole, in place of that where the photograph ends before
FAR = 64  # pixels by which a line is followed for that, at most
KEEPS = 0.4  # of its step that it must keep
SMOOTH = 5  # pixels along it, over which that is averaged


@dataclass(frozen=True)
class Ends:
    """Straight edges that run into a hole.

    Attributes:
        at: (m,), where each is seen first.
        out: (m,) of length 1, the directions away from the hole.
        steps: (m, 3) float32, mean colours on the side of 1j * out less those on the other.
    """

    at: Complex
    out: Complex
    steps: Values

    @property
    def sizes(self) -> Values:
        """(m,): the lengths of the steps, in levels."""
        sizes: Values = np.sqrt((self.steps**2).sum(1))
        return sizes

    def of(self, number: Indices) -> Ends:
        """(k,) of them, by their numbers: (k,)."""
        return Ends(self.at[number], self.out[number], self.steps[number])


def edges_around(pixels: Values, known: Mask, hole: Mask) -> tuple[Complex, Complex]:
    """Strong edges GAP outside of a hole, at most MOST.

    The structure tensor, averaged over 3x3 pixels, tells directions (Förstner & Gülch 1987).

    Args:
        pixels: (h, w, 3) float32.
        known: (h, w) bool.
        hole: (h, w) bool, some of it.

    Returns:
        (m,), places, row by row; and (m,) of length 1, directions from dark to bright.
    """
    rows, columns = (np.flatnonzero(hole.any(axis)) for axis in (1, 0))
    margin = GAP + 4  # edges lie at GAP + 1; their tensor sees two pixels more
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    here = (slice(top, rows[-1] + margin + 1), slice(left, columns[-1] + margin + 1))
    grey, known, hole = pixels[here].mean(axis=2), known[here], hole[here]
    both = known[1:-1, :-2] & known[1:-1, 2:] & known[:-2, 1:-1] & known[2:, 1:-1]
    gradient = np.zeros(grey.shape, np.complex64)
    gradient[1:-1, 1:-1] = (
        grey[1:-1, 2:] - grey[1:-1, :-2] + 1j * (grey[2:, 1:-1] - grey[:-2, 1:-1])
    )
    gradient[1:-1, 1:-1] *= both * np.float32(0.5)
    double, squared = gradient**2, np.abs(gradient) ** 2
    tensor = blur(np.stack([double.real, double.imag, squared], axis=2).astype(np.float32), 1)
    strong = squared >= CONTRAST**2
    places = np.argwhere(grow(hole, GAP + 1) & ~grow(hole, GAP) & known & strong)
    order = np.argsort(-squared[tuple(places.T)], kind="stable")[: MOST * MOST_AROUND]
    places = places[order]  # the strongest first
    at = tuple(places.T)
    mean = tensor[at][:, 0] + 1j * tensor[at][:, 1]
    direction = np.exp(0.5j * np.angle(mean))
    direction *= np.where((direction * np.conj(gradient[at])).real < 0, -1, 1)
    near = np.abs(places[:, None] - places).max(2) <= ALONE
    near &= (np.conj(direction[:, None]) * direction).real > ALIKE
    beaten = np.tril(near, -1).any(1)  # by one before it
    good = np.flatnonzero((np.abs(mean) >= COHERENT * tensor[at][:, 2]) & ~beaten)[:MOST]
    good = good[np.argsort(order[good])]  # row by row again
    return (places[good, 1] + left) + 1j * (places[good, 0] + top), direction[good]


def follow(pixels: Values, known: Mask, hole: Mask, at: Complex, across: Complex) -> Ends:
    """Fit straight lines to edges that run into a hole, as far as BEYOND away from it.

    Args:
        pixels: (h, w, 3) float32.
        known: (h, w) bool.
        hole: (h, w) bool.
        at: (m,), places where edges are seen.
        across: (m,) of length 1, directions across them.

    Returns:
        m or fewer: edges that pass the hole, bend, or have less than STEP somewhere are left out.
    """
    out = 1j * across
    ahead, behind = (_in(hole, at + way * (GAP + 3) * out) for way in (1, -1))
    at, out = at[ahead != behind], np.where(ahead, -out, out)[ahead != behind]
    fits, least = fitted(pixels, known, at, out, BEYOND, TURN, SLACK)
    return fits.of(np.flatnonzero(least >= STEP))


def fitted(
    pixels: Values,
    known: Mask,
    at: Complex,
    out: Complex,
    length: int,
    turn: float,
    slack: float,
    wanted: Values | None = None,
) -> tuple[Ends, Numbers]:
    """The lines with the largest step along them, of different slopes and shifts.

    Args:
        pixels: (h, w, 3) float32.
        known: (h, w) bool.
        at: (m,), where lines are sought.
        out: (m,) of length 1, their directions.
        length: pixels along them, a multiple of PART.
        turn: tangent of the angle by which a direction may be off.
        slack: pixels across by which a place may be off.
        wanted: (m, 3), the steps that are sought; None: those seen at the places.

    Returns:
        (m) lines, and (m,) the least step over a line's parts, in levels: minus infinity where too
        little of it is known.
    """
    half = round((slack + turn * length + 2) * FINE)
    offsets = np.arange(-half, half + 1) / FINE
    inside, colours = strips(pixels, known, at, out, length, offsets)
    # Means of three samples on both sides: (m, length, S - 6).
    side = colours[:, :, 1:-1] + colours[:, :, :-2] + colours[:, :, 2:]
    step = (side[:, :, 4:] - side[:, :, :-4]) / 3
    seen = inside[:, :, 3:-3] & inside[:, :, 6:] & inside[:, :, :-6]
    middle, along = step.shape[2] // 2, np.arange(length)
    first = step[:, :PART, middle - 1 : middle + 2].mean((1, 2)) if wanted is None else wanted
    first = first / np.maximum(np.sqrt((first**2).sum(1, keepdims=True)), np.float32(1e-6))
    strength = np.einsum("mbsc,mc->mbs", step, first) * seen
    shifts = np.arange(-slack * FINE, slack * FINE + 1) / FINE
    tried = np.meshgrid(shifts, np.linspace(-turn, turn, TURNS), indexing="ij")
    shift, slope = (values.ravel() for values in tried)
    where = np.rint((shift[:, None] + slope[:, None] * along) * FINE).astype(np.intp) + middle
    values = strength[:, along, where]  # (m, lines, length)
    total = values.sum(2)
    best, each = total.argmax(1), np.arange(len(at))
    visible = seen[each[:, None], along, where[best]]
    shape = len(at), length // PART, PART
    counts = visible.reshape(shape).sum(2)
    parts = values[each, best].reshape(shape).sum(2) / np.maximum(counts, 1)
    least = np.where(counts > 1, parts, np.inf).min(1, initial=np.inf)
    enough = (visible.sum(1) >= SEEN * length) & visible[:, :NEXT].all(1)
    mean = (step[each[:, None], along, where[best]] * visible[..., None]).sum(1)
    mean /= np.maximum(visible.sum(1), 1)[:, None]
    # Between the lines tried: the mean of those that are almost as good.
    near = np.maximum(total - ALMOST * total.max(1, keepdims=True, initial=0), 0)
    near /= np.maximum(near.sum(1, keepdims=True), 1e-6)
    at = at + 1j * out * (near @ shift)
    out = out * (1 + 1j * (near @ slope))
    ends = Ends(at, out / np.abs(out), mean.astype(np.float32))
    return ends, np.where(enough, least, -np.inf)


def paired(ends: Ends, hole: Mask) -> Indices:
    """Which ends continue each other across a hole.

    Their directions agree, each meets the other, and their sides differ in the same way.

    Args:
        ends: (m) of them.
        hole: (h, w) bool.

    Returns:
        (n, 2), numbers of ends, the clearest pairs first. An end is in one pair at most.
    """
    chord = ends.at - ends.at[:, None]
    length = np.abs(chord)
    bend = np.abs(np.angle(-ends.out[:, None] * np.conj(ends.out)))
    miss = _aside(chord, ends.out[:, None])
    miss = np.maximum(miss, miss.T)
    good = (length >= SHORTEST) & (bend <= BEND) & (miss <= MISS + MISS_MORE * length)
    good &= (np.conj(chord) * -ends.out[:, None]).real > 0
    good &= _same(ends.steps[:, None], ends.steps)
    pairs = np.argwhere(np.triu(good, 1))
    clear = ends.sizes[pairs].min(1) * np.exp(-miss[tuple(pairs.T)] / MISSED)
    free = np.ones(len(ends.at), bool)
    kept = []
    for one, other in pairs[np.argsort(-clear, kind="stable")]:
        between = np.linspace(ends.at[one], ends.at[other], round(length[one, other]))
        if free[one] and free[other] and _in(hole, between).mean() >= INSIDE:
            free[[one, other]] = False
            kept.append((one, other))
    return np.array(kept, np.intp).reshape(-1, 2)


def answered(pixels: Values, known: Mask, hole: Mask, ends: Ends) -> tuple[Complex, Values]:
    """Straight edges across a hole of which only one end was found.

    The other is sought where the first points to, the same step there: it may be fainter and
    shorter than what is found without knowing where.

    Args:
        pixels: (h, w, 3) float32.
        known: (h, w) bool.
        hole: (h, w) bool.
        ends: (m), those without another.

    Returns:
        (n, 2), the ends of n of them, that found first before the other; and (n, 2, 3), their
        steps. The clearest first: those whose fainter end has the largest step.
    """
    length, share = _through(hole, ends)
    there = ends.at - ends.out * (length + GAP)
    others, least = fitted(pixels, known, there, -ends.out, AGAIN, BEND, ASIDE, -ends.steps)
    good = (length >= SHORTEST) & (share >= INSIDE) & _same(ends.steps, others.steps)
    good &= least >= np.maximum(STEP, FAINTER * ends.sizes)
    good &= _aside(others.at - ends.at, ends.out) <= MISS + MISS_MORE * length
    clear = np.minimum(ends.sizes, others.sizes)
    order = np.flatnonzero(good)[np.argsort(-clear[good], kind="stable")]
    both = np.stack([ends.at, others.at], axis=1)[order]
    return both, np.stack([ends.steps, others.steps], axis=1)[order]


def found_once(at: Complex, steps: Values) -> Mask:
    """Which lines are not one before them, found again.

    An edge may be seen at several places of a hole's border, and be sought from both of its ends.

    Args:
        at: (n, 2), the lines' ends, the clearest line first.
        steps: (n, 2, 3), the ends' steps.

    Returns:
        (n,) bool: False where both ends of a line before, either one first, lie within ONCE of its
        own and show the same side brighter. The edges of a thin bar differ in that.
    """
    kept = np.zeros(len(at), bool)
    for number in range(len(at)):
        again = [
            (np.abs(at[kept] - at[number, ::way]) <= ONCE).all(1)
            & ((steps[kept] * steps[number, ::way]).sum(2) > 0).all(1)
            for way in (1, -1)
        ]
        kept[number] = not np.any(again)
    return kept


def lasting(pixels: Values, known: Mask, at: Complex, steps: Values) -> Mask:
    """Which lines go on outside of a hole: all but upright ones that are seen too shortly.

    Upright ones must be seen on one side for LASTS of their length, or of what is known there if
    that is at least CUT of it.

    Args:
        pixels: (h, w, 3) float32.
        known: (h, w) bool.
        at: (n, 2), the lines' ends.
        steps: (n, 2, 3), the ends' steps.

    Returns:
        (n,) bool.
    """
    out = apart(at)
    length = np.abs(at[:, 1:] - at[:, :1])
    seen, possible = _extents(pixels, known, at, out, steps)
    wanted = np.maximum(np.minimum(length, possible), CUT * length)
    lasts: Mask = (np.abs(out[:, 0].imag) <= UPRIGHT) | (seen >= LASTS * wanted).any(1)
    return lasts


def _extents(
    pixels: Values, known: Mask, at: Complex, out: Complex, steps: Values
) -> tuple[Indices, Indices]:
    """How far lines are seen beyond their ends, and how far they could be.

    Args:
        pixels: (h, w, 3) float32.
        known: (h, w) bool.
        at: (n, 2), their ends.
        out: (n, 2) of length 1, directions away from the hole.
        steps: (n, 2, 3), the ends' steps.

    Returns:
        (n, 2) each, pixels, at most FAR: those where KEEPS of a step is kept, and those where what
        lies around a line is known.
    """
    half = round((SLACK + 0.5) * FINE) + AROUND
    inside, colours = strips(pixels, known, at, out, FAR, np.arange(-half, half + 1) / FINE)
    # What is kept at each place across, pixel by pixel: a line may lie a little aside.
    kept = np.moveaxis(steps_across(levels(colours, steps)), 3, 2)
    visible: Mask = np.all(inside[..., half - AROUND : half + AROUND + 1], axis=3)
    weight = visible[:, :, None].astype(np.float32)

    def smoothed(values: Values) -> Values:
        return moving_sums(np.pad(values, [(0, 0)] * 3 + [(SMOOTH // 2, SMOOTH // 2)]), SMOOTH)

    goes_on = (smoothed(kept * weight) / np.maximum(smoothed(weight), 1)).max(2) >= KEEPS

    def until(good: Mask) -> Indices:
        return np.where(good.all(2), FAR, (~good).argmax(2))

    return until(goes_on & visible), until(visible)


def apart(at: Complex) -> Complex:
    """(n, 2) of length 1: from each of two ends away from the other."""
    chord = at[:, 1:] - at[:, :1]
    unit: Complex = chord / np.maximum(np.abs(chord), 1e-6)
    return unit * (-1, 1)


def _aside(away: Complex, out: Complex) -> Numbers:
    """(…): by how many pixels lines in directions ``out`` miss what is ``away`` from them."""
    return np.abs((np.conj(1j * out) * away).real)


def _same(steps: Values, others: Values) -> Mask:
    """Whether ends that look away from each other show the same step: (…) bool.

    What lies on the left of the one lies on the right of the other: their steps are opposite.

    Args:
        steps: (…, 3), of the one.
        others: (…, 3), of the other.
    """
    size, other = (np.sqrt((values**2).sum(-1)) for values in (steps, others))
    alike = -(steps * others).sum(-1) >= ALIKE * size * other
    same: Mask = alike & (np.minimum(size, other) >= FAINTER * np.maximum(size, other))
    return same


def _through(hole: Mask, ends: Ends) -> tuple[Numbers, Numbers]:
    """How far edges go on until they leave a hole for good, and how much of that is hole.

    Args:
        hole: (h, w) bool.
        ends: (m).

    Returns:
        (m,), pixels; and (m,), shares: 0 where an edge meets nothing of the hole.
    """
    away = np.arange(1, 1 + sum(hole.shape))
    places = ends.at[:, None] - ends.out[:, None] * away
    inside = _in(hole, places)
    inside &= (places.real >= 0) & (places.real <= hole.shape[1] - 1)
    inside &= (places.imag >= 0) & (places.imag <= hole.shape[0] - 1)
    length = len(away) - inside[:, ::-1].argmax(1)
    return length.astype(float), inside.sum(1) / length


def _in(mask: Mask, places: Complex) -> Mask:
    """(…) bool, whether places, rounded, are in a mask."""
    rows = np.clip(np.rint(places.imag).astype(np.intp), 0, mask.shape[0] - 1)
    columns = np.clip(np.rint(places.real).astype(np.intp), 0, mask.shape[1] - 1)
    inside: Mask = mask[rows, columns]
    return inside
