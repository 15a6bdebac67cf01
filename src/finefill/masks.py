"""Masks: 1 (white, 255) = to be completed, 0 (black) = keep. The only module that decides this.

A mask in memory is a bool array (H, W), True = to be completed. Random masks take a NumPy
generator, so that a seed fixes them.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from finefill.errors import FinefillError
from finefill.images import MAX_PIXELS, Source, decode, name_of, orientation_of, turn

Mask = NDArray[np.bool_]

THRESHOLD = 128  # of 0..255: from here on a pixel is to be completed
# A pixel is neither black nor white if a channel lies between these. Masks that went through JPEG
# or have soft edges have some such pixels; a photograph has mostly such.
BLACK, WHITE = 48, 207
MAX_GREYS = 0.2


def binarize(values: NDArray[Any], name: str = "the mask") -> Mask:
    """The one decision what a mask's value means: white is to be completed.

    Args:
        values: (H, W) or (H, W, 1). Bool; or integers 0..255 (from 128 on: complete) or just
            0 and 1; or floats in [0, 1] (from 0.5 on) or in [0, 255].
        name: what messages call the mask.

    Returns:
        (H, W) bool, a new array.

    Raises:
        FinefillError: another shape or type, or values out of range.
    """
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise FinefillError(
            f"{name}: shape {values.shape}, type {values.dtype}: give (height, width) bool, "
            "or numbers from 0 (keep) to 255 (complete)"
        )
    if values.dtype.kind == "b" or not values.size:
        return values.astype(bool)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # so written that NaN fails too
        raise FinefillError(
            f"{name}: values from {low:g} to {high:g}: give 0 (keep) to 255 (complete)"
        )
    if high <= 1:
        return np.asarray(values >= 0.5)
    return np.asarray(values >= THRESHOLD)


def read_mask(
    source: Source,
    size: tuple[int, int],
    *,
    resize: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Mask:
    """Read a mask file for a photo.

    White is to be completed, black is kept. A mask drawn in the alpha channel over a single
    colour is understood too: opaque is to be completed.

    Args:
        source: a path, the file's bytes, or a binary file.
        size: (height, width) of the upright photo.
        resize: scale a mask of another size to the photo's.
        max_pixels: larger files are refused.

    Returns:
        (height, width) bool, upright, with pixels to complete and pixels to keep.

    Raises:
        FinefillError: no readable image, another size, nothing or everything masked, or a
            photograph instead of a mask.

    Warns:
        UserWarning: the mask was taken from the alpha channel, or the file is animated.
    """
    image, _ = decode(source, max_pixels=max_pixels)
    name = name_of(source)
    grey = turn(_grey(image, name), orientation_of(image))
    if grey.shape != size:
        found, wanted = (f"{width}x{height}" for height, width in (grey.shape, size))
        if not resize:
            raise FinefillError(
                f"{name}: the mask is {found} pixels, the photo {wanted}: "
                "draw it at the photo's size, or accept scaling with --resize-mask"
            )
        scaled = Image.fromarray(grey).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        grey = np.asarray(scaled)
    return check(grey >= THRESHOLD, name)


def of_image(image: Image.Image) -> Mask:
    """The mask that a Pillow image shows, (H, W) bool; see :func:`read_mask`."""
    return _grey(image, "the mask") >= THRESHOLD


def check(mask: Mask, name: str = "the mask") -> Mask:
    """Return ``mask`` if it has both pixels to complete and pixels to complete them from.

    Raises:
        FinefillError: it is empty or full.
    """
    if not mask.any():
        raise FinefillError(f"{name}: the mask is empty: paint what is to be completed white")
    if mask.all():
        raise FinefillError(
            f"{name}: the mask is full, nothing is left to complete from: paint what stays black"
        )
    return mask


def composite(image: NDArray[np.uint8], fill: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """``fill`` where ``mask`` is True, ``image`` elsewhere: (H, W, 3) uint8, a new array."""
    return np.where(mask[..., None], fill, image)


def _grey(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """A mask file's pixels as stored: (H, W) uint8."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    try:
        rgba = np.asarray(image.convert("RGBA"))
    except ValueError:
        raise FinefillError(
            f"{name}: masks of mode {image.mode} are not supported: save it as 8-bit grey"
        ) from None
    rgb, alpha = rgba[..., :3], rgba[..., 3]
    visible = rgb[alpha > 0]
    if alpha.min() < alpha.max() and (visible == visible[0]).all():
        warnings.warn(f"{name}: mask taken from its alpha channel: opaque = complete", stacklevel=3)
        return alpha
    # What is transparent counts as black.
    flat = (rgb.astype(np.uint16) * alpha[..., None] // 255).astype(np.uint8)
    low, high = flat.min(axis=2), flat.max(axis=2)
    greys = float(((high > BLACK) & (low < WHITE)).mean())
    if greys > MAX_GREYS:
        raise FinefillError(
            f"{name}: looks like a photograph, not a mask ({greys:.0%} of it is neither black "
            "nor white): give a black picture with what is to be completed in white"
        )
    return np.asarray(Image.fromarray(flat).convert("L"))


def center_square(height: int, width: int, side: int) -> Mask:
    """A square of ``side`` pixels in the middle: (height, width) bool."""
    mask = np.zeros((height, width), bool)
    top, left = (height - side) // 2, (width - side) // 2
    mask[top : top + side, left : left + side] = True
    return mask


def random_square(
    rng: np.random.Generator, height: int, width: int, sides: tuple[int, int] = (48, 80)
) -> Mask:
    """The paper's mask: a square with a side from ``sides`` (inclusive, pixels), anywhere."""
    side = int(rng.integers(sides[0], sides[1] + 1))
    return _box(rng, height, width, side, side)


def random_box(
    rng: np.random.Generator, height: int, width: int, sides: tuple[int, int] = (24, 80)
) -> Mask:
    """A rectangle with both sides from ``sides`` (inclusive, pixels), anywhere."""
    h, w = rng.integers(sides[0], sides[1] + 1, size=2)
    return _box(rng, height, width, int(h), int(w))


def random_strokes(rng: np.random.Generator, height: int, width: int) -> Mask:
    """Free-form mask: one to four connected brush strokes, as a hand would paint.

    Every stroke is a random walk of 2 to 6 segments with round joints; lengths and brush widths
    scale with the shorter side (at 128 px: segments 10-40 px, brush 10-28 px).
    """
    unit = min(height, width) / 128
    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 5))):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        brush = float(rng.uniform(10, 28)) * unit
        angle = float(rng.uniform(0, 2 * math.pi))
        for _ in range(int(rng.integers(2, 7))):
            angle += float(rng.normal(0, 0.8))
            length = float(rng.uniform(10, 40)) * unit
            nx = min(max(x + length * math.cos(angle), 0), width - 1)
            ny = min(max(y + length * math.sin(angle), 0), height - 1)
            draw.line((x, y, nx, ny), fill=1, width=max(1, round(brush)))
            for cx, cy in ((x, y), (nx, ny)):
                r = brush / 2
                draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=1)
            x, y = nx, ny
    # Not dtype=bool: Pillow's bytes of 255 would stay inside, and compiled code counts them.
    return np.array(image, np.uint8) > 0


def _box(rng: np.random.Generator, height: int, width: int, h: int, w: int) -> Mask:
    h, w = min(h, height), min(w, width)
    top = int(rng.integers(0, height - h + 1))
    left = int(rng.integers(0, width - w + 1))
    mask = np.zeros((height, width), bool)
    mask[top : top + h, left : left + w] = True
    return mask
