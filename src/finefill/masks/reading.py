"""Mask files are read, and put right where they are inverted, of another size or in the alpha."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.errors import FinefillError
from finefill.files import MAX_PIXELS, Source, decode, name_of, orientation_of, turn
from finefill.masks.meaning import THRESHOLD, Mask, check, scale

# A pixel is neither black nor white if a channel lies between these. Masks that went through JPEG
# or have soft edges have some such pixels; a photograph has mostly such.
BLACK, WHITE = 48, 207
MAX_GREYS = 0.2
MAX_BLACK_BORDER = 0.25  # of the border's pixels, in a mask that looks inverted
MAX_STRETCH = 0.01  # between the widths of a mask and its photo, at one height


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


def of_image(image: Image.Image) -> Mask:
    """The mask that a Pillow image shows, (H, W) bool; see :func:`read_mask`."""
    return _grey(image, "the mask") >= THRESHOLD


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
