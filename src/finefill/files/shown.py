"""What the networks are shown of a photo around a hole, and what they cannot fill: transparency.

Networks know opaque sRGB of 8 bits. So samples of 16 bits that use a small part of their range are
stretched, and colours that nobody sees, under transparency, give way to those beside them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.files.photo import Photo, alpha_of, rgb_of, turn
from finefill.files.spread import spread

FULL = 65535
USED = 0.5  # of the range: samples that use more are shown as they are
MARGIN = 128  # pixels around the hole that are looked at, at least
MOST = 1 << 20  # samples that are looked at
LEAST = 64  # levels of 16 bits that are stretched over 8, at least
ROWS = 256  # that are stretched at a time
FAINT = 32  # alpha below which a colour counts the less


def for_network(photo: Photo, mask: NDArray[np.bool_]) -> Photo:
    """The photo as the networks are to be shown it; what they fill goes back into it.

    Args:
        photo: as read.
        mask: (H, W) bool, upright, True = to be completed.

    Returns:
        The photo with other ``rgb`` where that helps, and with ``levels`` if it has 16 bits.
    """
    photo = _stretched(photo, mask)
    if not photo.stored.has_transparency_data:
        return photo
    alpha = turn(np.asarray(alpha_of(photo.stored)), photo.orientation)
    if alpha.min() >= FAINT:
        return photo
    known = np.where(mask, np.uint8(0), alpha)
    weights = np.minimum(known.astype(np.uint16) * (256 // FAINT), 255).astype(np.uint8)
    part = _around(mask, 2)
    if not weights[part].any():
        part = (slice(None), slice(None))
    if not weights[part].any():
        return photo
    rgb = photo.rgb.copy()
    # What is seen in the hole stays: by it one tells whether the mask is too tight.
    seen = mask[part] & (alpha[part] >= FAINT)
    rgb[part] = np.where(seen[..., None], rgb[part], spread(rgb[part], weights[part]))
    return replace(photo, rgb=rgb)


def _stretched(photo: Photo, mask: NDArray[np.bool_]) -> Photo:
    """With 16 bits: the photo's levels around the hole, and its ``rgb`` stretched over them."""
    stored, colours = photo.stored, photo.samples
    if stored.mode == "CMYK" or (colours is None and not stored.mode.startswith("I;16")):
        return photo
    values = np.asarray(stored) if colours is None else colours
    if values.ndim == 3:
        values = values[..., :1] if values.shape[2] == 2 else values[..., :3]
    hole = turn(mask, photo.orientation, back=True)
    tags = getattr(stored, "tag_v2", {})  # of an image that Pillow opened and nobody inverted
    negative = tags.get(262) == 0
    low, high = _levels(values, hole, stored)
    if high - low > FULL * USED:
        low, high = 0, FULL
        if not negative:
            return replace(photo, levels=(low, high))
    levels = (high, low) if negative else (low, high)
    scale = np.float32(255 / (levels[1] - levels[0]))
    shown: NDArray[np.uint8] = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), ROWS):  # bounds the memory
        rows = values[top : top + ROWS].astype(np.float32)
        shown[top : top + ROWS] = np.rint((rows - levels[0]) * scale).clip(0, 255)
    image = Image.fromarray(shown[..., 0] if shown.ndim == 3 and shown.shape[2] == 1 else shown)
    rgb = turn(rgb_of(image, photo.colours), photo.orientation)
    return replace(photo, rgb=rgb, levels=levels)


def _levels(
    values: NDArray[np.uint16], hole: NDArray[np.bool_], stored: Image.Image
) -> tuple[int, int]:
    """The least and the greatest of the samples around the hole, but for a few odd ones."""
    part = _around(hole, 1)
    known = ~hole[part]
    if stored.has_transparency_data:
        known &= np.asarray(alpha_of(stored))[part] > 0
    some = values[part][known]
    if not some.size:
        return 0, FULL
    some = some.reshape(-1)[:: max(1, some.size // MOST)]
    low, high = (float(value) for value in np.percentile(some, (0.1, 99.9)))
    spare = max((high - low) * 0.02, (LEAST - (high - low)) / 2)
    return max(0, int(low - spare)), min(FULL, int(np.ceil(high + spare)))


def _around(hole: NDArray[np.bool_], times: int) -> tuple[slice, slice]:
    """A box around the hole, wider by so many times its longer side, by ``MARGIN`` at least."""
    lines = [np.flatnonzero(hole.any(axis)) for axis in (1, 0)]
    margin = max(MARGIN, times * max(int(line[-1] - line[0]) for line in lines))
    rows, columns = (slice(max(0, line[0] - margin), line[-1] + 1 + margin) for line in lines)
    return rows, columns
