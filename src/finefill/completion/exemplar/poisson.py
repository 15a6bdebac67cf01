"""Regions get the brightness and colour of what they meet: a smooth correction is added.

Its jumps undo those at seams and at the hole's edge, its gradients are zero elsewhere, in the least
squares (Perez et al. 2003). Large jumps count little: there something else begins, and to undo
them would tint a whole region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finefill.completion.exemplar.tiles import Indices
from finefill.completion.exemplar.window import Canvas, Values

TRUST = 14  # levels of 255; a jump of so much counts half
ITERATIONS = 40
ENOUGH = 3e-2  # of the right side's norm: a residual of so much is small enough
DAMPING = np.float32(0.9)  # of a Jacobi step
TINY = np.float32(1e-12)
SMALLEST = 4  # pixels, of a side of the coarsest system
CACHED = 10_000  # pixels, of a plane; larger ones are multiplied one at a time to stay in the cache
HALF, QUARTER = np.float32(0.5), np.float32(0.25)


@dataclass(frozen=True)
class System:
    """A x = b on a rectangle: A the weighted differences of neighbours, a symmetric matrix.

    Attributes:
        diagonal: (h, w) float32, more than 0.
        right: (h, w), the weight of the difference to the pixel on the right; 0 in the last column.
        below: (h, w), to the pixel below; 0 in the last row.
    """

    diagonal: Values
    right: Values
    below: Values

    def times(self, x: Values) -> Values:
        """A x, for x of (C, h, w)."""
        product = self.diagonal * x
        right, below = self.right[:, :-1], self.below[:-1]
        for one, of in zip(product, x, strict=True) if x[0].size > CACHED else ((product, x),):
            part = right * of[..., 1:]
            one[..., :-1] -= part
            np.multiply(right, of[..., :-1], out=part)
            one[..., 1:] -= part
            part = below * of[..., 1:, :]
            one[..., :-1, :] -= part
            np.multiply(below, of[..., :-1, :], out=part)
            one[..., 1:, :] -= part
        return product

    def coarser(self) -> System:
        """A at half the size: there differences of neighbours reach over twice the distance."""
        right, below = _even(self.right), _even(self.below)
        # What a diagonal has beyond its pixel's weights ties it to what is known.
        tied = _even(self.diagonal - _weights_around(self.right, self.below))
        ties = tied[::2, ::2] + tied[::2, 1::2] + tied[1::2, ::2] + tied[1::2, 1::2]
        right = HALF * (right[::2, 1::2] + right[1::2, 1::2])
        below = HALF * (below[1::2, ::2] + below[1::2, 1::2])
        diagonal = np.maximum(ties + _weights_around(right, below), np.float32(1e-6))
        return System(diagonal, right, below)


def _weights_around(right: Values, below: Values) -> Values:
    """The sum of the weights of each pixel's differences to the four around it: (h, w)."""
    total = right + below
    total[:, 1:] += right[:, :-1]
    total[1:] += below[:-1]
    return total


def blended(canvas: Canvas, pixels: Indices, offsets: Indices) -> Values:
    """The colours of the hole's pixels, copied from their offsets and corrected: (p, 3) float32.

    Args:
        canvas: its margin is at least a pixel wider than offsets need.
        pixels: (p, 2), all of its hole.
        offsets: (p, 2), where each is copied from, seen from itself.
    """
    width = canvas.known.shape[1]
    places = pixels[:, 0] * width + pixels[:, 1]
    sources = places + offsets[:, 0] * width + offsets[:, 1]
    colours, known = canvas.pixels.reshape(-1, 3), canvas.known.ravel()
    system, wanted = equations(colours, known, pixels, places, sources, width)
    correction = solve(system, wanted)
    top, left = pixels.min(0)
    copied = colours[sources].astype(np.float32)
    corrected: Values = copied + correction[:, pixels[:, 0] - top, pixels[:, 1] - left].T
    return corrected


def equations(
    colours: NDArray[np.uint8],
    known: NDArray[np.bool_],
    pixels: Indices,
    places: Indices,
    sources: Indices,
    width: int,
) -> tuple[System, Values]:
    """What the correction is to meet: A and b, (3, h, w), on the rectangle around the pixels.

    Args:
        colours: (n, 3) uint8, of a canvas, row by row.
        known: (n,) bool.
        pixels: (p, 2), rows and columns to be filled.
        places: (p,), their numbers on the canvas.
        sources: (p,), the numbers of what they are copied from.
        width: of the canvas.
    """
    top, left = pixels.min(0)
    height, across = np.ptp(pixels, axis=0) + 1
    number = np.full((height + 2, across + 2), -1, np.intp)
    number[pixels[:, 0] - top + 1, pixels[:, 1] - left + 1] = np.arange(len(pixels))
    # Tiny: what no equation reaches has the correction 0.
    diagonal = np.full(len(pixels), 1e-6, np.float32)
    wanted = np.zeros((len(pixels), 3), np.float32)
    weights = []
    for row, column in ((0, 1), (1, 0)):
        step = row * width + column
        other = number[pixels[:, 0] - top + 1 + row, pixels[:, 1] - left + 1 + column]
        first = np.flatnonzero(other >= 0)
        second = other[first]
        weight = np.zeros(len(pixels), np.float32)
        weight[first] = 1
        seam = sources[first] + step != sources[second]
        jump, trust = _seam_jumps(colours, known, sources[first[seam]], sources[second[seam]], step)
        weight[first[seam]] = trust
        diagonal[first] += weight[first]
        diagonal[second] += weight[first]
        wanted[first[seam]] -= trust[:, None] * jump
        wanted[second[seam]] += trust[:, None] * jump
        for way in (step, -step):  # known pixels after, and before
            edge = np.flatnonzero(known[places + way])
            jump, trust = _edge_jumps(colours, known, places[edge] + way, sources[edge] + way)
            diagonal[edge] += trust
            wanted[edge] += trust[:, None] * jump
        weights.append(weight)

    def dense(values: Values, empty: float) -> Values:
        plane = np.full((height, across, *values.shape[1:]), empty, np.float32)
        plane[pixels[:, 0] - top, pixels[:, 1] - left] = values
        return plane

    system = System(dense(diagonal, 1), dense(weights[0], 0), dense(weights[1], 0))
    return system, np.ascontiguousarray(np.moveaxis(dense(wanted, 0), 2, 0))


def solve(system: System, wanted: Values, accuracy: float = ENOUGH) -> Values:
    """x of A x = b, (C, h, w), by conjugate gradients, preconditioned by one multigrid cycle.

    Until the residual's norm is ``accuracy`` of that of b.
    """
    levels = [system]
    while min(levels[-1].diagonal.shape) > SMALLEST:
        levels.append(levels[-1].coarser())
    x, residual = np.zeros_like(wanted), wanted.copy()
    enough = accuracy**2 * float(np.vdot(wanted, wanted))
    better = _cycle(levels, residual)
    direction = better.copy()
    slope = _dots(residual, better)
    for _ in range(ITERATIONS):
        if float(np.vdot(residual, residual)) <= enough:
            break
        image = system.times(direction)
        length = slope / np.maximum(_dots(direction, image), TINY)
        x += length * direction
        residual -= length * image
        better = _cycle(levels, residual)
        last, slope = slope, _dots(residual, better)
        direction *= slope / np.maximum(last, TINY)
        direction += better
    return x


def _seam_jumps(
    colours: NDArray[np.uint8],
    known: NDArray[np.bool_],
    first: Indices,
    second: Indices,
    step: int,
) -> tuple[Values, Values]:
    """Between neighbours of two regions: what the correction has to rise by, and how far to trust
    that.

    The step between the two should be the mean of the steps that both regions have there.
    """
    here, there = _floats(colours, first), _floats(colours, second)
    after, before = _floats(colours, first + step), _floats(colours, second - step)
    can_after, can_before = (known[at, None] for at in (first + step, second - step))
    steps = (after - here) * can_after + (there - before) * can_before
    count = can_after.astype(np.float32) + can_before
    jump = np.where(count > 0, steps / np.maximum(count, 1) - (there - here), 0).astype(np.float32)
    return jump, _trust(jump)


def _edge_jumps(
    colours: NDArray[np.uint8], known: NDArray[np.bool_], beside: Indices, after: Indices
) -> tuple[Values, Values]:
    """At the hole's edge: what the region goes on with is to become the known pixel there."""
    jump = _floats(colours, beside) - _floats(colours, after)
    return jump, _trust(jump) * known[after]


def _trust(jump: Values) -> Values:
    trust: Values = 1 / (1 + (np.abs(jump).max(1, initial=0) / np.float32(TRUST)) ** 2)
    return trust


def _floats(colours: NDArray[np.uint8], places: Indices) -> Values:
    return colours.take(places, axis=0).astype(np.float32)


def _cycle(levels: Sequence[System], residual: Values) -> Values:
    """About the x of A x = residual: a Jacobi step, the same at half the size, a Jacobi step."""
    system = levels[0]
    x = residual / system.diagonal
    x *= DAMPING
    if len(levels) == 1:
        return x
    rest = system.times(x)
    np.subtract(residual, rest, out=rest)
    x += _doubled(_cycle(levels[1:], _halved(rest)), residual.shape)
    rest = system.times(x)
    np.subtract(residual, rest, out=rest)
    rest /= system.diagonal
    rest *= DAMPING
    x += rest
    return x


def _doubled(x: Values, shape: tuple[int, ...]) -> Values:
    """(C, h, w) at twice the size, interpolated linearly, edges repeated, and cut to a shape."""
    for axis in (1, 2):
        x = x.swapaxes(axis, 1)
        longer = np.empty((x.shape[0], 2 * x.shape[1], x.shape[2]), np.float32)
        far = QUARTER * x
        near = x - far
        np.add(near[:, 1:], far[:, :-1], out=longer[:, 2::2])
        np.add(near[:, :-1], far[:, 1:], out=longer[:, 1:-1:2])
        longer[:, 0], longer[:, -1] = x[:, 0], x[:, -1]
        x = longer.swapaxes(axis, 1)
    return x[:, : shape[1], : shape[2]]


def _halved(x: Values) -> Values:
    """(C, h, w) at half the size: the transpose of :func:`_doubled`, as matrices."""
    x = _even(x)
    for axis in (1, 2):
        x = x.swapaxes(axis, 1)
        first, second = x[:, ::2], x[:, 1::2]
        shorter = first + second
        shorter *= np.float32(0.75)
        far = QUARTER * second
        shorter[:, 1:] += far[:, :-1]
        shorter[:, -1] += far[:, -1]
        np.multiply(first, QUARTER, out=far)
        shorter[:, :-1] += far[:, 1:]
        shorter[:, 0] += far[:, 0]
        x = shorter.swapaxes(axis, 1)
    return x


def _even(values: Values) -> Values:
    """(…, h, w) with even sides, zeros added."""
    height, width = values.shape[-2:]
    if not (height % 2 or width % 2):
        return values
    even = np.zeros((*values.shape[:-2], height + height % 2, width + width % 2), np.float32)
    even[..., :height, :width] = values
    return even


def _dots(first: Values, second: Values) -> Values:
    """(C, 1, 1): a scalar product for each channel."""
    products: Values = np.einsum("chw,chw->c", first, second)
    return products[:, None, None]
