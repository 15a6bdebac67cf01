"""Label Studio's brush masks: run lengths of RGBA samples, packed into bits (thi.ng's rle-pack).

A stream of bits, the highest of a byte first: the number of samples (32 bits), the width of a
sample less one (5), four widths of lengths less one (4 each). Then blocks: whether one sample
repeats (1), which of the four widths its length has (2), the length less one, and the sample, or
as many of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from finefill.errors import FinefillError
from finefill.masks.meaning import Mask
from finefill.masks.shapes import NothingDrawn

_CHANNELS = 4


def brush_mask(packed: Any, size: tuple[int, int], name: str) -> Mask:
    """What a brush has painted: where alpha is above 0.

    Args:
        packed: the bytes, as numbers 0 to 255.
        size: (height, width) of the image.
        name: what messages call it.

    Returns:
        (height, width) bool.

    Raises:
        NothingDrawn: it has painted nothing.
        FinefillError: they are damaged, or for another size.
    """
    height, width = size
    total = height * width * _CHANNELS
    try:
        bits = np.unpackbits(np.array(packed, np.uint8))
        samples = _unpacked(bits, total)
    except (ValueError, OverflowError, TypeError):
        raise FinefillError(
            f"{name}: its run lengths are damaged, or not for {width}x{height} pixels: export the "
            "file again"
        ) from None
    mask = np.asarray(samples.reshape(height, width, _CHANNELS)[..., 3] > 0)
    if not mask.any():
        raise NothingDrawn(f"{name}: nothing is painted")
    return mask


def _unpacked(bits: NDArray[np.uint8], total: int) -> NDArray[np.uint8]:
    """The samples of a stream of bits, of which there must be so many; else a ValueError."""
    text = bits.tobytes().translate(bytes([48, 49]) + bytes(254)).decode("ascii")
    place = 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        if place > len(text):
            raise ValueError("the stream ends")
        return int(text[place - count : place], 2)

    if take(32) != total:
        raise ValueError("another number of samples")
    wide = take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    if wide > 8:
        raise ValueError("samples of more than 8 bits")
    result = np.empty(total, np.uint8)
    at = 0
    weights = 1 << np.arange(wide - 1, -1, -1)
    while at < total:
        repeats = take(1)
        end = at + take(lengths[take(2)]) + 1
        if end > total:
            raise ValueError("more samples than there are")
        if repeats:
            result[at:end] = take(wide)
        else:
            count = (end - at) * wide
            some = bits[place : place + count]
            place += count
            if place > len(text):
                raise ValueError("the stream ends")
            result[at:end] = some.reshape(-1, wide) @ weights
        at = end
    return result
