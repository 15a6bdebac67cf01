"""Photographs of any size: a window around each group of holes, scaled to what the net knows.

The networks know holes up to a certain size with about as much context around them. So every
group of holes gets a window: at the photo's resolution where the group is small enough, otherwise
scaled down until it is, and the fill scaled up again; where the model's card asks for it, the fine
detail then comes from the photograph, at full resolution. Wide groups of thin holes (scratches,
writing) go piece by piece at the photo's resolution. Only masked pixels change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.catalog import load
from finefill.detail import add_detail
from finefill.engine import Engine, check_arrays
from finefill.errors import FinefillError
from finefill.images import MIN_SIDE, RGB, photo_of, put_back, turn
from finefill.masks import Mask, binarize, check, of_image

NEAR = 48  # pixels: holes nearer to each other than that are completed together
# The side of a window in sides of its hole. Measured on street photographs with holes of 40 to
# 160 pixels: much wider windows than those the networks were trained on cost up to 0.9 dB.
CONTEXT = 2.0


@dataclass(frozen=True)
class Box:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, the ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing (H, W) arrays."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, other: Box) -> Box:
        """The same box, counted from the corner of ``other``."""
        top, left = other.top, other.left
        return Box(self.top - top, self.bottom - top, self.left - left, self.right - left)

    @property
    def side(self) -> int:
        """The longer side."""
        return max(self.bottom - self.top, self.right - self.left)


@overload
def complete(
    image: NDArray[np.uint8], mask: NDArray[Any] | Image.Image, model: str | Engine = "places"
) -> NDArray[np.uint8]: ...
@overload
def complete(
    image: Image.Image, mask: NDArray[Any] | Image.Image, model: str | Engine = "places"
) -> Image.Image: ...
def complete(
    image: NDArray[np.uint8] | Image.Image,
    mask: NDArray[Any] | Image.Image,
    model: str | Engine = "places",
) -> NDArray[np.uint8] | Image.Image:
    """Complete the masked part of a photograph.

    Args:
        image: (H, W, 3) uint8 RGB, or a Pillow image of mode 1, L, LA, P, PA, RGB, RGBA, CMYK,
            YCbCr or I;16; from 16x16 pixels up; not changed.
        mask: pixel for pixel as ``image`` is in memory: (H, W) or (H, W, 1) bool, 0..255 or
            0..1, or a Pillow image; True or white = to be completed.
        model: a name that ``finefill models`` lists, the path of an .onnx file, or an engine.

    Returns:
        What was given, array or Pillow image of the same size and mode; pixels outside the mask
        are the same.

    Raises:
        FinefillError: an argument cannot be used; the message tells which and what would.
    """
    engine = model if isinstance(model, Engine) else load(model)
    hole = _mask_of(mask)
    if isinstance(image, np.ndarray):
        check_arrays(image, hole)
        return fill_photo(engine, image, check(hole))
    photo = photo_of(image)
    if hole.shape != (image.height, image.width):
        raise FinefillError(
            f"the mask is {hole.shape[1]}x{hole.shape[0]} pixels, the image {image.width}x"
            f"{image.height}: both must have one size"
        )
    upright = turn(check(hole).astype(np.uint8), photo.orientation).astype(bool)
    return put_back(photo, fill_photo(engine, photo.rgb, upright), upright)


def fill_photo(engine: Engine, image: RGB, mask: Mask) -> RGB:
    """Complete an upright photo of any size.

    Args:
        engine: the model.
        image: (H, W, 3) uint8; not changed.
        mask: (H, W) bool, True = to be completed.

    Returns:
        (H, W, 3) uint8, a new array, equal to ``image`` outside the mask.
    """
    check_arrays(image, mask)
    result, left = image.copy(), mask.copy()
    card = engine.card
    largest = int(card["hole_range"][1])
    pieces = [piece for group in groups(mask, NEAR) for piece in _pieces(mask, group, largest)]
    for group in pieces:
        scale = min(1.0, largest / group.side)
        side = max(int(card["trained_size"]), round(CONTEXT * group.side * scale))
        window = window_around(group, round(side / scale), mask.shape)
        part, part_left = result[window.slices], left[window.slices]  # views of our own copies
        fill = _fill_window(engine, part, part_left, scale)
        own = np.zeros_like(part_left)  # other groups in the window wait for their turn
        inside = group.within(window).slices
        own[inside] = part_left[inside]
        part[own] = fill[own]
        part_left[own] = False  # the next windows take it for known
    return result


def groups(mask: Mask, near: int) -> list[Box]:
    """Bounding boxes of groups of masked pixels with ``near`` or more free pixels between them.

    Boxes are cut at free rows and columns, recursively (an X-Y cut), so two interlocking holes
    come as one.
    """
    return _cut(mask, Box(0, mask.shape[0], 0, mask.shape[1]), near)


def window_around(box: Box, side: int, shape: tuple[int, ...]) -> Box:
    """A square of ``side`` pixels around ``box``, pushed or cut to lie in (height, width)."""

    def span(start: int, end: int, limit: int) -> tuple[int, int]:
        length = min(side, limit)
        first = min(max((start + end - length) // 2, 0), limit - length)
        return first, first + length

    return Box(*span(box.top, box.bottom, shape[0]), *span(box.left, box.right, shape[1]))


def _pieces(mask: Mask, group: Box, largest: int) -> list[Box]:
    """The group as it is; or, if it is large but thin everywhere, in pieces up to ``largest``."""
    if group.side <= largest or _has_square(mask[group.slices], largest // 2):
        return [group]
    return [
        piece
        for top in range(group.top, group.bottom, largest)
        for left in range(group.left, group.right, largest)
        for piece in _cut(
            mask,
            Box(top, min(top + largest, group.bottom), left, min(left + largest, group.right)),
            largest,
        )
    ]


def _has_square(mask: Mask, side: int) -> bool:
    """Whether a square of ``side`` pixels lies wholly in the mask."""
    if min(mask.shape) < side:
        return False
    sums = np.pad(mask, ((1, 0), (1, 0))).astype(np.int32).cumsum(axis=0).cumsum(axis=1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return bool((inside == side * side).any())


def _cut(mask: Mask, box: Box, near: int) -> list[Box]:
    part = mask[box.slices]
    rows = [(box.top + a, box.top + b) for a, b in _runs(np.any(part, axis=1), near)]
    columns = [(box.left + a, box.left + b) for a, b in _runs(np.any(part, axis=0), near)]
    boxes = [Box(*row, *column) for row in rows for column in columns]
    if len(boxes) <= 1:
        return boxes
    return [smaller for piece in boxes for smaller in _cut(mask, piece, near)]


def _runs(used: NDArray[np.bool_], near: int) -> list[tuple[int, int]]:
    """(start, end) of the runs of True, those with fewer than ``near`` False between joined."""
    at = np.flatnonzero(used)
    if not at.size:
        return []
    gaps = np.flatnonzero(np.diff(at) > near)
    starts = np.concatenate([at[:1], at[gaps + 1]])
    ends = np.concatenate([at[gaps], at[-1:]]) + 1
    return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def _fill_window(engine: Engine, image: RGB, mask: Mask, scale: float) -> RGB:
    """Complete a window by the network at ``scale`` <= 1 times its resolution.

    The result has the window's size; its fine detail is the photo's where the card asks for that.
    """
    small, hole = _shrink(image, mask, scale)
    fill = engine.fill(small, hole)
    if engine.card["detail"]:
        return add_detail(image, mask, small, hole, fill)
    if hole.shape == mask.shape:
        return fill
    height, width = mask.shape
    return np.asarray(Image.fromarray(fill).resize((width, height), Image.Resampling.BICUBIC))


def _shrink(image: RGB, mask: Mask, scale: float) -> tuple[RGB, Mask]:
    """Image and mask at ``scale``; what the hole touches at all belongs to it."""
    height, width = mask.shape
    size = (max(MIN_SIDE, round(width * scale)), max(MIN_SIDE, round(height * scale)))
    if size[0] >= width and size[1] >= height:
        return image, mask
    # Area averages: outside the pixels that the hole touches at all, nothing of it is mixed in.
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
    share = Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BOX)
    hole = np.asarray(share) > 1e-4
    if hole.all():
        raise FinefillError("the mask leaves too little of the photo to complete it from")
    return small, hole


def _mask_of(mask: NDArray[Any] | Image.Image) -> Mask:
    if isinstance(mask, Image.Image):
        return of_image(mask)
    return binarize(np.asarray(mask))
