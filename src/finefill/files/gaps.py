"""Pixels that hold nothing: where all samples have the no-data value that GDAL tells of in GeoTIFF.

Maps have such gaps around a sheet, under clouds, beyond a sensor's swath. They are unknown, as
transparent pixels are; and a fill must not have their value, or programs would see a new gap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finefill.files.spread import alpha_in

TAG = 42113  # GDAL_NODATA: a number as text
_SCALES = {("L", 2): 85, ("L", 4): 17}  # by which Pillow multiplies samples of so few bits
_MOST = {"1": 1, "P": 255, "PA": 255}


def value_of(text: bytes | str, mode: str, bits: int, *, negative: bool) -> int | None:
    """The no-data value as it stands in decoded samples; None where they cannot have it.

    Args:
        text: what the tag says.
        mode: Pillow's, of the decoded image.
        bits: of a sample in the file.
        negative: the file stores white as zero, and the samples have been inverted.
    """
    letters = text.decode("latin-1") if isinstance(text, bytes) else text
    try:
        number = float(letters.strip("\0 \n\t"))
    except ValueError:
        return None
    most = _MOST.get(mode, 65535 if bits > 8 else 255)
    scale = _SCALES.get((mode, bits), 1)
    if not math.isfinite(number) or number != int(number) or not 0 <= number * scale <= most:
        return None
    value = int(number) * scale
    return most - value if negative else value


def no_data_of(tags: Mapping[int, Any], mode: str) -> int | None:
    """The no-data value of an image that Pillow opened, by its ``tag_v2``."""
    text = tags.get(TAG)
    if not isinstance(text, bytes | str):
        return None
    bits = tags.get(258, (8,))
    negative = tags.get(262) == 0 and mode in ("1", "L")  # those Pillow inverts
    return value_of(text, mode, max(np.atleast_1d(bits)), negative=negative)


def gaps_in(samples: NDArray[Any], value: int, colours: int) -> NDArray[np.bool_] | None:
    """Pixels whose colour samples all are no data: (H, W) bool; None where there are none.

    Args:
        samples: (H, W) or (H, W, C).
        value: no data.
        colours: channels without alpha.
    """
    found = np.asarray(samples == value)
    if found.ndim == 3:
        found = np.asarray(found[..., :colours].all(axis=2))
    return found if found.any() else None


def step_aside(fill: NDArray[Any], value: int) -> None:
    """Move samples that are no data by one, in place: each channel for itself, as GDAL reads it."""
    if fill.dtype == bool:
        fill[fill == bool(value)] = not value
    else:
        fill[fill == value] = value - 1 if value > 0 else 1


def staying(gaps: NDArray[np.bool_], hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which pixels of a hole stay gaps: what was one, and has one for its nearest neighbour.

    So the edge of a map stays where it is, and a gap that is masked as a whole is filled.

    Returns:
        (N,) bool, in the order of ``gaps[hole]``.
    """
    nearest = alpha_in(np.where(gaps, np.uint8(255), np.uint8(0)), hole)
    return np.asarray(gaps[hole] & (nearest > 0))
