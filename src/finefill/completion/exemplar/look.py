"""What pieces are compared by: colours close by, and blurred colours and activity further around.

The same structure stands at many places of a wall. Which of them continues the wall is told by what
lies around, more than by the few known pixels beside a piece.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from finefill.completion.blend import blur, blur_where, spread, widened
from finefill.completion.detail import around
from finefill.completion.exemplar.lines import NONE, Lines
from finefill.completion.exemplar.tiles import channel_sum
from finefill.completion.exemplar.window import Canvas, Values
from finefill.masks import Mask

# Chosen on validation photographs. Contexts are compared at half the scale of matching.
NEAR = 6  # pixels: half the side of the near context
FAR = 8  # samples along each side of the far context
STRIDE = 3  # pixels between two of them
REACH = 12  # pixels on each side that a context may see
NEAR_WEIGHT = 2.0  # of a sample of the near context, beside 1 of a known pixel of the piece
FAR_WEIGHT = 7.2  # of all samples of the far context together
WITHIN = 16  # pixels from a hole: what goes on there tells what is expected in it
# Weights of a pixel of the guide beside a known one, in the near and the far context.
DRAWN = (0.08, 0.3)  # where the network drew it
COPIED = (0.15, 0.6)  # where half of it is copied
LEAST, MOST = 20.0, 200.0  # levels squared, of the noise
LIVELIER = 2.0  # a fill may be than the guide: where that is blank (a sky), it should stay so
ACTIVITY = 2.0  # weight of the activity beside colours


@dataclass(frozen=True)
class Look:
    """A canvas as it is compared.

    Attributes:
        canvas: at the scale of matching, lines drawn into its hole.
        lines: the straight edges that cross the hole.
        half: (H/2, W/2, 3) float32, the colours at half the scale.
        wide: (H/2, W/2, 4) float32, blurred colours and ACTIVITY x activity.
        trust_near: (H/2, W/2) float32, 1 where known, at least the guide's weight in the hole, 0
            elsewhere.
        trust_far: the same.
        usable: (H/2, W/2) bool, centres whose 3x3 pixels are known.
        noise: a small squared difference between colours: the median of neighbours', within limits.
    """

    canvas: Canvas
    lines: Lines
    half: Values
    wide: Values
    trust_near: Values
    trust_far: Values
    usable: Mask
    noise: float


@dataclass(frozen=True)
class Contexts:
    """What surrounds some centres: values (n, d, C) and their weights (n, d), near and far."""

    near: Values
    near_weight: Values
    far: Values
    far_weight: Values


def look_at(
    canvas: Canvas,
    lines: Lines = NONE,
    trust: Values | None = None,
    guide: tuple[float, float] = DRAWN,
) -> Look:
    """Compute all that pieces of a canvas are compared by.

    Args:
        canvas: at the scale of matching, or half of it, lines drawn into its hole.
        lines: the straight edges that cross the hole.
        trust: (H, W) float32, how far what is drawn is to be trusted; None: nothing is.
        guide: what its pixels in the hole count, in the near and the far context.
    """
    drawn = np.float32(0) if trust is None else halve(trust[..., None])[..., 0]
    half = halve(canvas.pixels)
    known = halve(canvas.known[..., None].astype(np.float32))[..., 0] > 0.99
    hole = halve(canvas.hole[..., None].astype(np.float32))[..., 0] > 0
    wide = np.concatenate([blur(half, 1), ACTIVITY * activity(half, known, hole)], axis=2)
    return Look(
        canvas,
        lines,
        half,
        wide,
        np.where(known, 1, np.maximum(guide[0] * hole, drawn)).astype(np.float32),
        np.where(known, 1, np.maximum(guide[1] * hole, drawn)).astype(np.float32),
        _all_known_around(known),
        _noise(canvas),
    )


def activity(image: Values, known: Mask, hole: Mask) -> Values:
    """How much goes on around each pixel: (h, w, 1).

    The mean of |d/dx| + |d/dy| of the mean of the channels, over the known pixels within some 6; in
    the hole, that of its surroundings, at most LIVELIER times that of the guide.
    """
    grey = channel_sum(image) * np.float32(1 / image.shape[2])
    both = known.copy()
    both[1:] &= known[:-1]
    both[:, 1:] &= known[:, :-1]
    gradient = np.zeros_like(grey)
    gradient[1:] += np.abs(grey[1:] - grey[:-1])
    gradient[:, 1:] += np.abs(grey[:, 1:] - grey[:, :-1])
    mean = blur_where(gradient[..., None], both, 3)
    if not hole.any():
        return mean
    near = around(hole, WITHIN)
    weight = both[near][..., None].astype(np.float32)
    drawn = blur(gradient[near][..., None], 3)
    expected = np.minimum(spread(mean[near] * weight, weight), LIVELIER * drawn)
    np.copyto(mean[near], expected, where=hole[near][..., None])
    return mean


def halve(image: Values) -> Values:
    """Means of 2x2 pixels of an image with even sides."""
    pairs = image[::2] + image[1::2]
    return (pairs[:, ::2] + pairs[:, 1::2]) * np.float32(0.25)


def quartered(look: Look) -> Look:
    """The same at half that scale: what is searched through."""
    down, right = (side % 2 for side in look.usable.shape)

    def halved(values: Values) -> Values:
        return halve(widened(values, 0, (down, right)))

    return replace(
        look,
        half=halved(look.half),
        wide=halved(look.wide),
        trust_near=halved(look.trust_near[..., None])[..., 0],
        trust_far=halved(look.trust_far[..., None])[..., 0],
        usable=look.usable[::2, ::2],
    )


def near_places() -> NDArray[np.intp]:
    """(72, 2): rows and columns of the near context around its centre, as on a chessboard."""
    rows, columns = np.meshgrid(*[np.arange(-NEAR, NEAR)] * 2, indexing="ij")
    chosen = (rows + columns) % 2 == 0
    return np.stack([rows[chosen], columns[chosen]], axis=1)


def far_places() -> NDArray[np.intp]:
    """(64, 2): rows and columns of the far context around its centre."""
    steps = STRIDE * np.arange(FAR) - (STRIDE * (FAR - 1) + 1) // 2
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)


def coarse_places() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(36, 2) and (16, 2): of the near and the far context where all is seen at half the scale."""
    side = np.arange(-NEAR // 2, NEAR // 2)
    wide = STRIDE * (np.arange(FAR // 2) - FAR // 4) + 1
    near, far = (
        np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
        for steps in (side, wide)
    )
    return near, far


def contexts(look: Look, centres: NDArray[np.intp]) -> Contexts:
    """What surrounds centres (n, 2) at half scale; nearer pixels count more."""
    return sampled(look, centres, near_places(), far_places(), 1)


def sampled(
    look: Look,
    centres: NDArray[np.intp],
    near: NDArray[np.intp],
    far: NDArray[np.intp],
    pixel: int,
) -> Contexts:
    """The same from other places, (d, 2) each, where pixels are ``pixel`` times as wide."""
    near_fall = np.exp(-(((near + 0.5) * pixel / NEAR) ** 2).sum(1))
    far_fall = np.exp(-0.7 * (((far + 0.5) * pixel / REACH) ** 2).sum(1))
    across = np.array((look.usable.shape[1], 1))
    near_at, far_at = ((centres @ across)[:, None] + places @ across for places in (near, far))
    near_weight = look.trust_near.ravel()[near_at] * near_fall.astype(np.float32)
    far_weight = look.trust_far.ravel()[far_at] * far_fall.astype(np.float32)
    far_weight /= np.maximum(far_weight.sum(1, keepdims=True), np.float32(1e-6))
    return Contexts(
        look.half.reshape(-1, 3).take(near_at, axis=0),
        np.float32(NEAR_WEIGHT * pixel) * near_weight,
        look.wide.reshape(-1, 4).take(far_at, axis=0),
        np.float32(FAR_WEIGHT) * far_weight,
    )


def _all_known_around(known: Mask) -> Mask:
    usable = np.zeros_like(known)
    rows = known[:-2] & known[1:-1] & known[2:]
    usable[1:-1, 1:-1] = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    return usable


def _noise(canvas: Canvas) -> float:
    """Median squared difference, over the channels, of known neighbours in a row."""
    both = canvas.known[:, 1:] & canvas.known[:, :-1]
    difference = (canvas.pixels[:, 1:] - canvas.pixels[:, :-1]).reshape(-1, 3)
    difference = difference.take(np.flatnonzero(both), axis=0)
    squares = np.einsum("pc,pc->p", difference, difference)
    if not squares.size:
        return LEAST
    middle = len(squares) // 2
    return min(max(float(np.partition(squares, middle)[middle]), LEAST), MOST)
