"""Offsets at which a photograph repeats itself: rows of windows, bricks, tiles, blinds.

Few offsets are enough to complete what people built, and they are seen in what is known (He & Sun
2012). Here they are the peaks of the correlation of the known gradients with themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finefill.completion.exemplar.tiles import Indices, channel_sum
from finefill.completion.exemplar.window import Canvas, Values
from finefill.masks import Mask

# Chosen on validation photographs.
REPEATS = 8  # offsets, at most
NEAREST = 6  # pixels at the scale of matching; nearer, everything is like itself
OVERLAP = 0.15  # of the known pixels that must be known at the other place too
FLAT = np.float32(8)  # levels; an edge of so much counts half
ALIKE = 0.15  # of 1: a correlation that tells of repetition
DISTANT = 14  # pixels: what repeats itself so far away is larger than bricks, as windows are


@dataclass(frozen=True)
class Repeats:
    """How the first panel of a canvas repeats itself.

    Attributes:
        offsets: (k, 2), at which it is most like itself, the best first.
        rows: whether large things stand in rows, as windows do: whether it is like itself
            DISTANT pixels away or more.
    """

    offsets: Indices
    rows: bool


def repeats(canvas: Canvas) -> Repeats:
    """Find where the first panel of a canvas repeats itself.

    The normalised correlation of the gradients of known pixels, by the Fourier transform; its
    local maxima count. With each offset comes its opposite.
    """
    height, width = canvas.sizes[0]
    here = canvas.window
    known = canvas.known[here]
    grey = channel_sum(canvas.pixels[here]) * np.float32(1 / 3)
    # Half of the plane, and a row: the rest is the same, turned.
    likeness, overlap = (values[height - 2 :] for values in correlation(grey, known))
    rows, columns = np.arange(-1, height)[:, None], np.arange(1 - width, width)
    hidden = rows**2 + columns**2 < NEAREST**2
    hidden |= overlap < OVERLAP * np.count_nonzero(known)
    hidden[0] = True
    likeness = np.where(hidden, np.float32(-1), likeness)
    around = np.maximum(np.maximum(likeness[:-2], likeness[1:-1]), likeness[2:])
    around = np.maximum(np.maximum(around[:, :-2], around[:, 1:-1]), around[:, 2:])
    inner = likeness[1:-1, 1:-1]
    peaks = np.argwhere((inner == around) & (inner >= ALIKE)) + 1
    best = np.argsort(-likeness[tuple(peaks.T)], kind="stable")[: REPEATS // 2]
    found = peaks - np.array((1, width - 1))
    offsets = found[best]
    both: Indices = np.stack([offsets, -offsets], axis=1).reshape(-1, 2)
    return Repeats(both, bool(((found**2).sum(1) >= DISTANT**2).any()))


def correlation(grey: Values, known: Mask) -> tuple[Values, Values]:
    """Of an image's gradients with themselves, at all offsets: (2h - 1, 2w - 1), -1 to 1.

    Args:
        grey: (h, w) float32.
        known: (h, w) bool; gradients between others do not count.

    Returns:
        The correlation, offset 0 in the middle, and how many known pixels it was taken over.
    """
    both = known[:-1, :-1] & known[1:, :-1] & known[:-1, 1:]
    across, down = grey[:-1, 1:] - grey[:-1, :-1], grey[1:, :-1] - grey[:-1, :-1]
    length = np.hypot(across, down)
    # Strong edges say where, not how much.
    share = both / (length + FLAT)
    height, width = grey.shape
    size = _quick(2 * height - 1), _quick(2 * width - 1)

    def transform(values: NDArray[Any]) -> NDArray[np.complexfloating]:
        return np.fft.rfft2(values.astype(np.float64), size)

    def inverse(spectrum: NDArray[np.inexact]) -> Values:
        whole = np.fft.irfft2(spectrum, size).astype(np.float32)
        # Negative offsets stand at its end.
        whole = np.roll(whole, (height - 1, width - 1), (0, 1))
        return whole[: 2 * height - 1, : 2 * width - 1]

    ones, squares = transform(both), transform((share * length) ** 2)
    product = inverse(_power(transform(share * across)) + _power(transform(share * down)))
    first = inverse(np.conj(squares) * ones)
    second = first[::-1, ::-1]  # what is at one offset from here is there at its opposite
    count = inverse(_power(ones))
    return product / np.sqrt(np.maximum(first * second, np.float32(1e-3))), count


def _power(spectrum: NDArray[np.complexfloating]) -> NDArray[np.floating]:
    return spectrum.real**2 + spectrum.imag**2


def _quick(length: int) -> int:
    """The next length that a Fourier transform is quick for: factors of 2, 3 and 5 alone."""
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1
