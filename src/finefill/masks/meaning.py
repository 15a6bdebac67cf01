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
MAX_BLACK_BORDER = 0.25  # of the border's pixels, in a mask that looks inverted
MAX_STRETCH = 0.01  # between the widths of a mask and its photo, at one height

# To tell a tight mask; chosen on street photographs other than those of the measured rates.
EDGE, INNER, OUTER = (-2, 5), (-12, -5), (8, 14)  # first and last ring (see _rings)
TIGHT = 1.2  # times the change further in and out that an object's outline shows
TIGHT_SIDE = 160  # pixels; larger holes (square root of their area) are looked at scaled down
TIGHT_GROW = 6  # pixels that make a tight mask wide enough


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
    keep_polarity: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Mask:
    """Read a mask file for a photo.

    White is to be completed, black is kept. A mask drawn in the alpha channel over a single
    colour is understood too: opaque is to be completed.

    Args:
        source: a path, the file's bytes, or a binary file.
        size: (height, width) of the upright photo.
        resize: scale a mask of another shape to the photo's; one that differs in size alone is
            scaled anyway.
        keep_polarity: take a mask that looks :func:`inverted` as it is.
        max_pixels: larger files are refused.

    Returns:
        (height, width) bool, upright, with pixels to complete and pixels to keep.

    Raises:
        FinefillError: no readable image, another shape, nothing or everything masked, or a
            photograph instead of a mask.

    Warns:
        UserWarning: the mask was taken from the alpha channel, turned the other way round or
            scaled, or the file is animated.
    """
    image, _ = decode(source, max_pixels=max_pixels)
    name = name_of(source)
    grey = turn(_grey(image, name), orientation_of(image))
    mask = grey >= THRESHOLD
    if not keep_polarity and inverted(mask):
        warnings.warn(
            f"{name}: the mask looks inverted ({mask.mean():.0%} white): taken the other way "
            "round; --keep-polarity takes it as it is",
            stacklevel=2,
        )
        mask = ~mask
    if not mask.any() and grey.any():
        raise FinefillError(
            f"{name}: the mask is empty: its brightest pixel has {grey.max()} of 255: paint what "
            "is to be completed white"
        )
    return check(fit(mask, size, name, resize=resize), name)


def inverted(mask: Mask) -> bool:
    """Whether white was most likely meant to be kept: little black, within a white border.

    A hole that covers most of the photo and nearly all of its border leaves next to nothing to
    complete from, so hardly anyone means it.
    """
    border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    black = 1 - float(border.mean()) if border.size else 1.0
    return bool(0.5 < mask.mean() < 1 and black <= MAX_BLACK_BORDER)


def fit(mask: Mask, size: tuple[int, int], name: str = "the mask", *, resize: bool = False) -> Mask:
    """The mask at the photo's size, with a warning where that needed scaling.

    Args:
        mask: (h, w) bool.
        size: (height, width) of the upright photo.
        name: what messages call the mask.
        resize: scale it without a word, even if its shape is another one.

    Returns:
        (height, width) bool; ``mask`` itself if it has that size.

    Raises:
        FinefillError: width and height have another ratio than the photo's (by more than 1%).

    Warns:
        UserWarning: it was scaled.
    """
    if mask.shape == size:
        return mask
    found, wanted = (f"{width}x{height}" for height, width in (mask.shape, size))
    told = f"{name}: the mask is {found} pixels, the photo {wanted}: "
    if not resize:
        if abs(mask.shape[1] * size[0] / (mask.shape[0] * size[1]) - 1) > MAX_STRETCH:
            raise FinefillError(
                f"{told}draw it at the photo's size, or accept scaling with --resize-mask"
            )
        warnings.warn(f"{told}scaled to fit", stacklevel=3)
    return scale(mask, size)


def scale(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask at another size (height, width); nothing of it gets lost, however thin.

    Where the mask shrinks, a pixel that it touches at all belongs to it; where it grows, its
    edges are drawn smoothly.
    """
    small = _shrink(_shrink(mask, size[0], 0), size[1], 1)
    if small.shape == size:
        return small
    grey = Image.fromarray(small.astype(np.uint8) * np.uint8(255))
    large = grey.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(large) >= THRESHOLD


def grow(mask: Mask, pixels: int) -> Mask:
    """The mask and all that lies up to ``pixels`` from it (a dilation by a disc): a new array."""
    result = mask.copy()
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size or pixels <= 0:
        return result
    height, width = mask.shape
    pixels = min(pixels, height + width)
    top, bottom = max(rows[0] - pixels, 0), min(rows[-1] + 1 + pixels, height)
    left, right = max(columns[0] - pixels, 0), min(columns[-1] + 1 + pixels, width)
    part, grown = mask[top:bottom, left:right], result[top:bottom, left:right]
    wide, reach = part.copy(), 0  # the mask and what lies up to ``reach`` beside it
    # From the disc's top to its middle: each row of the disc is at least as wide as the last.
    for y in range(pixels, -1, -1):
        while (reach + 1) ** 2 + y**2 <= pixels**2:
            reach += 1
            wide[:, reach:] |= part[:, :-reach]
            wide[:, :-reach] |= part[:, reach:]
        over = max(len(wide) - y, 0)
        grown[y:] |= wide[:over]
        grown[:over] |= wide[y:]
    return result


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


def too_tight(image: NDArray[np.uint8], mask: Mask) -> int:
    """By how many pixels to grow a mask that ends at the edge of its object, or inside it.

    What such a mask leaves of the object grows back. The colours change most across an object's
    outline; here their change along the way out of the mask is compared in rings around its edge
    with rings further in and further out. Measured on labelled street photographs: the exact mask
    of a car and one 3 pixels within it are found in 9 of 10 cases; of masks 8 pixels wider than
    the car, 1 in 50 is taken for tight; of those that follow no object, 1 in 3.

    Args:
        image: (H, W, 3) uint8, what the mask was drawn for.
        mask: (H, W) bool.

    Returns:
        Pixels, 0 for a mask that looks wide enough, is too thin or small to tell, or lies on
        a single colour (the object is erased already).
    """
    area = np.count_nonzero(mask)
    if not area:
        return 0
    factor = max(1.0, math.sqrt(area) / TIGHT_SIDE)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    longest = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    factor = max(factor, longest / (6 * TIGHT_SIDE))  # a few holes all over a large photo
    margin = math.ceil((OUTER[1] + 2) * factor)
    window = tuple(slice(max(at[0] - margin, 0), at[-1] + 1 + margin) for at in (rows, columns))
    part, hole = image[window], mask[window]
    if factor > 1:
        height, width = (max(1, round(length / factor)) for length in hole.shape)
        box = Image.Resampling.BOX
        part = np.asarray(Image.fromarray(part).resize((width, height), box))
        hole = scale(hole, (height, width))
    if min(hole.shape) < 3:
        return 0

    rings = _rings(hole)
    colours = part[rings < EDGE[0]].astype(np.int16)
    if not len(colours):
        return 0
    plain = np.abs(colours - np.median(colours, axis=0)).max(axis=1) <= 8
    change = _change_across(part.astype(np.float32), rings)

    def mean(first: int, last: int) -> float:
        chosen = (rings >= first) & (rings <= last)
        # Too few pixels say nothing; infinite change there makes no mask tight.
        return float(change[chosen].mean()) if np.count_nonzero(chosen) >= 40 else math.inf

    at_edge = mean(*EDGE)
    if plain.mean() > 0.9 or math.isinf(at_edge):
        return 0
    tight = at_edge > TIGHT * (mean(*INNER) + mean(*OUTER)) / 2
    return math.ceil(TIGHT_GROW * factor) if tight else 0


def composite(image: NDArray[np.uint8], fill: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """``fill`` where ``mask`` is True, ``image`` elsewhere: (H, W, 3) uint8, a new array."""
    return np.where(mask[..., None], fill, image)


def _grey(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """A mask file's pixels as stored: (H, W) uint8."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("1", "L") and "transparency" not in image.info:  # as most masks are
        plain = image.convert("L")
        counts = plain.histogram()
        _refuse_photographs(sum(counts[BLACK + 1 : WHITE]) / max(1, sum(counts)), name)
        return np.asarray(plain)
    try:
        # A copy: Pillow changes the palette of what it converts.
        rgba = np.asarray(image.copy().convert("RGBA"))
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
    _refuse_photographs(greys, name)
    return np.asarray(Image.fromarray(flat).convert("L"))


def _refuse_photographs(greys: float, name: str) -> None:
    """Raise a FinefillError if a share ``greys`` of neither black nor white is no mask's."""
    if greys > MAX_GREYS:
        raise FinefillError(
            f"{name}: looks like a photograph, not a mask ({greys:.0%} of it is neither black "
            "nor white): give a black picture with what is to be completed in white"
        )


def _shrink(mask: Mask, length: int, axis: int) -> Mask:
    """The mask with one axis cut down to ``length``: any pixel that it touches at all is True."""
    before = mask.shape[axis]
    if length >= before:
        return mask
    index = np.arange(length)
    starts, ends = index * before // length, -(-(index + 1) * before // length)
    # Pairs (start, end), every second result is between two pairs; ends must lie inside.
    pairs = np.stack([starts, ends], axis=1).ravel()
    pads = [(0, int(a == axis)) for a in range(2)]
    padded = np.pad(mask, pads)
    found = np.logical_or.reduceat(padded, pairs, axis=axis)
    return found[::2] if axis == 0 else found[:, ::2]


def _rings(mask: Mask) -> NDArray[np.int8]:
    """Distance from the mask's edge in pixels, rounded up: 1, 2 … outside, 0, -1 … inside."""
    rings = np.where(mask, INNER[0] - 1, OUTER[1] + 1).astype(np.int8)
    for n in range(OUTER[1], 0, -1):
        rings[grow(mask, n) & ~mask] = n
    for n in range(1 - INNER[0], 0, -1):
        rings[grow(~mask, n) & mask] = 1 - n
    return rings


def _change_across(image: NDArray[np.float32], rings: NDArray[np.int8]) -> NDArray[np.float32]:
    """How fast the colours of (h, w, 3) change from ring to ring: (h, w)."""
    for axis in (0, 1):
        image = _smooth(image, axis)
    way = rings.astype(np.float32)
    for axis in (0, 1):
        way = _smooth(way, axis)
    down, right = np.gradient(way)
    length = np.hypot(down, right) + np.float32(1e-3)
    change_down, change_right = np.gradient(image, axis=(0, 1))
    across = change_down * (down / length)[..., None] + change_right * (right / length)[..., None]
    return np.asarray(np.sqrt((across**2).sum(axis=2)), np.float32)


def _smooth(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Binomial weights 1 4 6 4 1 along an axis; edges are repeated."""
    for _ in range(2):
        pads = [(1, 1) if a == axis else (0, 0) for a in range(values.ndim)]
        padded = np.moveaxis(np.pad(values, pads, mode="edge"), axis, 0)
        smooth = padded[:-2] + 2 * padded[1:-1] + padded[2:]
        values = np.moveaxis(smooth * np.float32(0.25), 0, axis)
    return values


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
