"""What the networks are shown of a photo around a hole, and what they cannot fill: transparency.

Networks know opaque sRGB of 8 bits. So samples of 16 bits that use a small part of their range are
stretched, and colours that nobody sees, under transparency, give way to those beside them.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.files.gaps import staying
from finefill.files.photo import Levels, Photo, opacity_of, rgb_of, turn
from finefill.files.spread import spread

FULL = 65535
USED = 0.5  # of the range: samples that use more are shown as they are
MARGIN = 128  # pixels around the hole that are looked at, at least
MOST = 1 << 20  # samples that are looked at
LEAST = 64  # levels of 16 bits that are stretched over 8, at least
ROWS = 256  # that are stretched at a time
BESIDE = 8  # pixels around the hole that a fill continues, at least
ENOUGH = 32  # levels of 8 bits for what is beside the hole, if it is dark
FEW = 8  # fewer are too few for most of it
APART = 16  # times the range of another channel: each has its own levels
DARK = FULL // 8  # samples up to that are dark
RARE = 0.1  # of the samples; fewer may be cut however bright the others are
FAINT = 32  # alpha below which a colour counts the less


def for_network(photo: Photo, mask: NDArray[np.bool_]) -> Photo:
    """The photo as the networks are to be shown it; what they fill goes back into it.

    Args:
        photo: as read.
        mask: (H, W) bool, upright, True = to be completed.

    Returns:
        The photo with other ``rgb`` where that helps, and with ``levels`` if it has 16 bits.

    Warns:
        UserWarning: beside the hole are samples of 16 bits too far apart for 8; some of the hole
            stays a gap of a map.
    """
    photo = _stretched(photo, mask)
    opacity = opacity_of(photo)
    if opacity is None or opacity.min() >= FAINT:
        return photo
    alpha = turn(opacity, photo.orientation)
    _tell_gaps(photo, mask)
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
    return photo._replace(rgb=rgb)


def hidden_of(photo: Photo) -> NDArray[np.bool_] | None:
    """Pixels that show nothing, transparent ones and gaps: (H, W) bool, upright; None: none."""
    opacity = opacity_of(photo)
    if opacity is None or opacity.min() >= FAINT:
        return None
    return turn(opacity, photo.orientation) < FAINT


def _tell_gaps(photo: Photo, mask: NDArray[np.bool_]) -> None:
    """Warn where some of the hole stays without data."""
    if photo.gaps is None:
        return
    stay = np.count_nonzero(staying(photo.gaps, turn(mask, photo.orientation, back=True)))
    if stay:
        warnings.warn(
            f"{stay:,} pixels of the hole lie among others without data (GDAL_NODATA) and stay so: "
            "draw the mask over all of a gap to fill it",
            stacklevel=3,
        )


def _stretched(photo: Photo, mask: NDArray[np.bool_]) -> Photo:
    """With 16 bits: the photo's levels around the hole, and its ``rgb`` stretched over them."""
    stored, colours = photo.stored, photo.samples
    if colours is None and not stored.mode.startswith("I;16"):
        return photo
    values = np.asarray(stored) if colours is None else colours
    if values.ndim == 3:
        bands = {"LA": 1, "CMYK": 4}.get(stored.mode, 3)
        values = values[..., :bands]
    hole = turn(mask, photo.orientation, back=True)
    tags = getattr(stored, "tag_v2", {})  # of an image that Pillow opened and nobody inverted
    negative = tags.get(262) == 0
    low, high = _levels(values, hole, photo)
    used = high - low > FULL * USED
    low, high = np.where(used, 0, low), np.where(used, FULL, high)
    levels = (high, low) if negative else (low, high)
    if used.all() and not negative:
        return photo._replace(levels=levels)
    zero = levels[0].astype(np.float32)
    scale = (255 / (levels[1] - levels[0])).astype(np.float32)
    shown: NDArray[np.uint8] = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), ROWS):  # bounds the memory
        rows = values[top : top + ROWS].astype(np.float32)
        shown[top : top + ROWS] = np.rint((rows - zero) * scale).clip(0, 255)
    shown = shown[..., 0] if shown.ndim == 3 and shown.shape[2] == 1 else shown
    image = Image.fromarray(shown)
    if stored.mode == "CMYK":  # four channels, which Pillow takes for RGBA
        image = Image.frombytes("CMYK", image.size, shown.tobytes())
    rgb = turn(rgb_of(image, photo.colours), photo.orientation)
    return photo._replace(rgb=rgb, levels=levels)


def _levels(values: NDArray[np.uint16], hole: NDArray[np.bool_], photo: Photo) -> Levels:
    """The least and the greatest of the samples around the hole, but for a few odd ones.

    One pair for all channels, which keeps their balance; where a channel uses so little of what
    another uses that it would be lost, one pair for each.

    Warns:
        UserWarning: beside the hole are samples too far apart for 8 bits.
    """
    known = ~hole
    if (opacity := opacity_of(photo)) is not None:
        known &= opacity > 0
    wide, near = (_some(values, known, _around(hole, *reach)) for reach in ((1,), (1 / 8, BESIDE)))
    if not wide.size:
        return np.array([0]), np.array([FULL])
    near = near if near.size else wide
    found = [_range(wide[:, at], near[:, at]) for at in range(wide.shape[1])]
    spans = [high - low for low, high, _ in found]
    # Inks mix, and black may be missing: they have one range.
    if photo.stored.mode == "CMYK" or max(spans) < APART * min(spans):
        found = [_range(wide.reshape(-1), near.reshape(-1))]
    if any(lost for *_, lost in found):
        warnings.warn(
            "beside the hole are dark samples of 16 bits and some that are far brighter, which "
            "8 bits for the network cannot tell apart together: the fill may lose the dark ones; "
            "complete what is bright by a mask of its own first",
            stacklevel=4,
        )
    return np.array([low for low, *_ in found]), np.array([high for _, high, _ in found])


def _some(
    values: NDArray[np.uint16], known: NDArray[np.bool_], part: tuple[slice, slice]
) -> NDArray[np.uint16]:
    """(N, C) known samples of a part, not too many."""
    some = values[part][known[part]]
    some = some.reshape(len(some), -1)
    return some[:: max(1, some.size // MOST)]


def _range(wide: NDArray[np.uint16], near: NDArray[np.uint16]) -> tuple[int, int, bool]:
    """Levels for (N,) samples around a hole and those beside it; whether dark ones are lost.

    Where a few that are far away would leave the ones beside the hole too few levels of 8 bits,
    such as a lamp in the dark, the far ones are cut: a fill continues what is beside it.
    """
    low, high = (float(value) for value in np.percentile(wide, (0.1, 99.9)))
    least, middle, most = (float(value) for value in np.percentile(near, (1, 75, 99)))
    span = max(most - least, LEAST / 2)
    shown = span * 255 / max(high - low, 1)  # levels of 8 bits for what is beside the hole
    lost = False
    if shown < ENOUGH:
        spare = span * (255 / ENOUGH - 1) / 2  # leaves so many levels for them
        inside = wide[(wide >= least - spare) & (wide <= most + spare)]
        rare = inside.size >= (1 - RARE) * wide.size and shown < FEW / 2
        if inside.size and (most <= DARK or rare):
            low, high = (float(value) for value in np.percentile(inside, (0.1, 99.9)))
    else:
        bulk = middle - least
        lost = middle <= DARK and LEAST <= bulk < FEW * (high - low) / 255
    spare = max((high - low) * 0.02, (LEAST - (high - low)) / 2)
    return max(0, int(low - spare)), min(FULL, int(np.ceil(high + spare))), lost


def _around(hole: NDArray[np.bool_], times: float, least: int = MARGIN) -> tuple[slice, slice]:
    """A box around the hole, wider by so many times its longer side, by ``least`` at least."""
    lines = [np.flatnonzero(hole.any(axis)) for axis in (1, 0)]
    margin = max(least, int(times * max(int(line[-1] - line[0]) for line in lines)))
    rows, columns = (slice(max(0, line[0] - margin), line[-1] + 1 + margin) for line in lines)
    return rows, columns
