"""Colour of a fill drawn to its surroundings (a membrane, after Pérez et al., Poisson editing).

A network trained on few photographs misses the tone of an unusual one, and the eye sees that as
the outline of the hole. Where fill and photograph meet, their local means are compared; the
difference is spread over the hole as smoothly as can be (it solves Laplace's equation) and added.
Texture and structure stay those of the network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finefill.images import RGB
from finefill.masks import Mask

RADIUS = 2  # pixels: half-width of the windows whose means are compared
SWEEPS = 24  # of relaxation on every level; coarse to fine, so few are enough
_Values = NDArray[np.float32]


def match_edges(image: RGB, fill: RGB, mask: Mask) -> RGB:
    """Shift the colours of ``fill`` inside the hole so that they meet those around it.

    Args:
        image: (H, W, 3) uint8, right outside the hole.
        fill: (H, W, 3) uint8, right inside the hole.
        mask: (H, W) bool, True = hole.

    Returns:
        (H, W, 3) uint8, a new array; only what lies in the hole means anything.
    """
    inner = mask & (box_sums((~mask)[..., None].astype(np.float32), 1)[..., 0] > 0)
    if not inner.any():
        return fill.copy()
    difference = np.zeros(fill.shape, np.float32)
    around = _local_mean(image.astype(np.float32), ~mask)
    within = _local_mean(fill.astype(np.float32), mask)
    difference[inner] = (around - within)[inner]
    shift = harmonic(difference, inner, mask)
    result: RGB = np.rint(fill + shift).clip(0, 255).astype(np.uint8)
    return result


def harmonic(values: _Values, given: Mask, region: Mask) -> _Values:
    """Solve Laplace's equation in ``region`` with ``values`` fixed where ``given``.

    No flow through the other edges of the region. Coarse to fine: each level starts from the
    solution at half the resolution, so few sweeps come within some per cent of the exact one.

    Args:
        values: (H, W, C) float32, read where ``given``.
        given: (H, W) bool, inside ``region``.
        region: (H, W) bool.

    Returns:
        (H, W, C) float32; 0 outside the region.
    """
    start = np.zeros_like(values)
    if max(region.shape) > 4:
        coarse = harmonic(_halved(values, given), _any_of_four(given), _any_of_four(region))
        doubled = coarse.repeat(2, axis=0).repeat(2, axis=1)
        start = doubled[: region.shape[0], : region.shape[1]]
    inside = region[..., None].astype(np.float32)
    fixed = np.where(given[..., None], values, 0)
    free = (region & ~given)[..., None]
    neighbours = np.maximum(_four(inside), 1)
    x = np.where(free, start, fixed)
    for _ in range(SWEEPS):
        x = np.where(free, _four(x) / neighbours, fixed)
    return x.astype(np.float32)


def box_sums(values: _Values, radius: int) -> _Values:
    """Sums over squares of 2 radius + 1 pixels around each pixel, cut at the edges: (H, W, C)."""
    for axis in (0, 1):
        sums = np.cumsum(values, axis=axis, dtype=np.float64)
        sums = np.concatenate([np.zeros_like(np.take(sums, [0], axis)), sums], axis)
        at = np.arange(values.shape[axis])
        high = np.minimum(at + radius + 1, len(at))
        low = np.maximum(at - radius, 0)
        values = (np.take(sums, high, axis) - np.take(sums, low, axis)).astype(np.float32)
    return values


def _local_mean(values: _Values, where: Mask) -> _Values:
    """Mean of the pixels ``where`` in the window around each pixel; 0 where there is none."""
    weight = where[..., None].astype(np.float32)
    count = np.maximum(box_sums(weight, RADIUS), np.float32(1))
    return np.asarray(box_sums(values * weight, RADIUS) / count, np.float32)


def _four(x: _Values) -> _Values:
    """Sum of the four neighbours of each pixel, 0 beyond the edges."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    total: _Values = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return total


def _fours(x: NDArray[np.float32]) -> _Values:
    """Sums over 2x2 blocks, odd sizes padded with 0: (H, W, C) -> (ceil(H/2), ceil(W/2), C)."""
    height, width = x.shape[:2]
    padded = np.pad(x, ((0, height % 2), (0, width % 2), (0, 0)))
    rows = padded[0::2] + padded[1::2]
    total: _Values = rows[:, 0::2] + rows[:, 1::2]
    return total


def _any_of_four(mask: Mask) -> Mask:
    return np.asarray(_fours(mask[..., None].astype(np.float32))[..., 0] > 0)


def _halved(values: _Values, given: Mask) -> _Values:
    weight = given[..., None].astype(np.float32)
    return np.asarray(_fours(values * weight) / np.maximum(_fours(weight), 1), np.float32)
