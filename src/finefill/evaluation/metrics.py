"""Errors of a completion over its hole, by the conventions of the paper's Table 1.

Images are uint8 RGB (H, W, 3), masks bool (H, W) with True = completed. Every value is taken over
the hole's pixels and channels only, on the scale where 0..255 maps to [-1, 1] (so a difference of
one grey level is 1/127.5). A set's value is the mean of its per-image values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finefill.masks import Mask

Pixels = NDArray[np.uint8]
Values = NDArray[np.float64]

# The smallest error 8-bit images can have (one value of a 1000x1000 hole off by one) gives a PSNR
# of 113 dB in theory; an exact completion would give infinity and make every mean infinite.
IDENTICAL_PSNR = 120.0


def mean_l1(original: Pixels, completed: Pixels, mask: Mask) -> float:
    """Mean absolute difference over the hole, in [0, 2]."""
    return float(np.abs(_differences(original, completed, mask)).mean())


def mean_l2(original: Pixels, completed: Pixels, mask: Mask) -> float:
    """Mean squared difference over the hole, in [0, 4]."""
    return float(np.square(_differences(original, completed, mask)).mean())


def psnr(original: Pixels, completed: Pixels, mask: Mask) -> float:
    """Peak signal-to-noise ratio over the hole in dB: 10 log10(2^2 / mean L2), peak 2.

    An exact completion counts as ``IDENTICAL_PSNR``.
    """
    error = mean_l2(original, completed, mask)
    return min(IDENTICAL_PSNR, 10 * math.log10(4 / error)) if error else IDENTICAL_PSNR


def _differences(original: Pixels, completed: Pixels, mask: Mask) -> Values:
    """Completed minus original in the hole: (hole pixels, 3), in [-2, 2]."""
    return (completed[mask].astype(np.float64) - original[mask]) / 127.5


@dataclass(frozen=True)
class Metric:
    """A named per-image measure; ``measure(original, completed, mask)`` gives one number."""

    key: str
    label: str
    digits: int
    higher_is_better: bool
    measure: Callable[[Pixels, Pixels, Mask], float]


METRICS: tuple[Metric, ...] = (
    Metric("l1", "mean L1", 4, False, mean_l1),
    Metric("l2", "mean L2", 4, False, mean_l2),
    Metric("psnr", "PSNR (dB)", 2, True, psnr),
)


@dataclass(frozen=True)
class Summary:
    """Mean of per-image values with the ends of its bootstrap interval."""

    mean: float
    low: float
    high: float


def summarise(
    values: Values, *, seed: int = 0, resamples: int = 2000, confidence: float = 0.95
) -> Summary:
    """Mean of ``values`` (N,) and its percentile bootstrap interval (Efron 1979).

    The interval says how far the mean would move with other images of the same kind. It is a
    function of the seed.
    """
    rng = np.random.default_rng(seed)
    count = len(values)
    means = np.array([values[rng.integers(count, size=count)].mean() for _ in range(resamples)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Summary(float(values.mean()), float(low), float(high))
