"""Fills that meet the photograph at the hole's edge: gradient-domain blending.

What a fill lacks at the edge is added to it, spread smoothly over the whole hole; so its gradients
stay and its edge disappears, as in Poisson blending (Perez et al. 2003). The smooth spread is
interpolated directly, as in mean-value cloning (Farbman et al. 2009), by push and pull over a
pyramid (Gortler et al. 1996): time in proportion to the pixels, and no equations to solve.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.masks import Mask

_Values = NDArray[np.float32]
TRUST = 12  # levels of 255; a difference of so much at the edge counts half
QUARTER = np.float32(0.25)


def meet_edges(known: _Values, fill: _Values, hole: Mask, radius: int) -> _Values:
    """Shift the colours of a fill so that they go on from those around the hole.

    A large difference counts little: there another object begins, or what a mask drawn too tight
    has left of one, whose colour does not belong into the whole hole.

    Args:
        known: (h, w, 3), right outside the hole.
        fill: (h, w, 3), right inside the hole.
        hole: (h, w) bool.
        radius: of the blur, in pixels, within which colours on both sides of the edge are compared.

    Returns:
        (h, w, 3) float32; only what lies in the hole means anything.
    """
    outside = (~hole)[..., None].astype(np.float32)
    lacking = blur_where(known, ~hole, radius) - blur_where(fill, hole, radius)
    largest = np.abs(lacking).max(axis=2, keepdims=True)
    weight = np.where(hole[..., None] & (blur(outside, 1) > 0), 1 / (1 + (largest / TRUST) ** 2), 0)
    weight = weight.astype(np.float32)
    return fill + blur(spread(lacking * weight, weight), 1)


def spread(values: _Values, weight: _Values) -> _Values:
    """Fill what has no value with smooth averages of the nearest that have one.

    Args:
        values: (h, w, 3), each times its weight.
        weight: (h, w, 1) in [0, 1]: 1 where there is a value, 0 where there is none.

    Returns:
        (h, w, 3) float32; the values where the weight is 1.
    """
    height, width = values.shape[:2]
    if max(height, width) <= 2:
        mean = values.sum((0, 1)) / np.maximum(weight.sum(), np.float32(1e-6))
        return np.broadcast_to(mean, values.shape)
    means, weights = _halve(values), _halve(weight)
    # One value among four pixels is enough to know them.
    known = np.minimum(4 * weights, 1, dtype=np.float32)
    means *= known
    means /= np.maximum(weights, np.float32(1e-6))
    coarse = spread(means, known)
    size = 2 * coarse.shape[1], 2 * coarse.shape[0]
    planes = (Image.fromarray(np.ascontiguousarray(coarse[..., c])) for c in range(3))
    fine = [np.asarray(p.resize(size, Image.Resampling.BILINEAR)) for p in planes]
    smooth: _Values = np.stack(fine, axis=-1)[:height, :width]
    return values + (1 - weight) * smooth


def blur_where(image: _Values, chosen: Mask, radius: int) -> _Values:
    """Mean of the chosen pixels around each pixel; 0 where there is none."""
    share = chosen[..., None].astype(np.float32)
    mean = blur(image * share, radius)
    mean /= np.maximum(blur(share, radius), np.float32(1e-6))
    return mean


def blur(image: _Values, radius: int) -> _Values:
    """Two box means of 2 radius + 1 pixels along each axis; edges are repeated."""
    for _ in range(2):
        for axis in (0, 1):
            first, last = np.take(image, [0], axis), np.take(image, [-1], axis)
            padded = np.concatenate([first] * radius + [image] + [last] * radius, axis)
            parts = np.moveaxis(padded, axis, 0)
            length = image.shape[axis]
            sums = parts[:length].copy()
            for shift in range(1, 2 * radius + 1):
                sums += parts[shift : shift + length]
            sums /= 2 * radius + 1
            image = np.moveaxis(sums, 0, axis)
    return image


def _halve(image: _Values) -> _Values:
    """Means of 2x2 pixels, (ceil(h / 2), ceil(w / 2), C); what is missing counts as 0."""
    height, width = image.shape[:2]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)))
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) * QUARTER
