"""What a hole can be completed from: the photograph around it, also mirrored, smaller and larger.

These *panels* stand side by side on one *canvas*. So an offset on the canvas tells everything about
where a pixel is copied from: the place, and whether mirrored or scaled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.completion.blend import spread
from finefill.completion.detail import around
from finefill.completion.plan import Box
from finefill.files import RGB
from finefill.masks import Mask, grow, scale

Values = NDArray[np.float32]

# Chosen on validation photographs, by distance of features and by looking.
AROUND = 3.5  # side of the window in sides of its hole
MATCHED = 64  # pixels, the geometric mean of a hole's sides where pieces are matched, at most
LONGEST = 100  # pixels, its longer side there
MARGIN = 24  # pixels around each panel at that scale: what a context sees beyond its panel


@dataclass(frozen=True)
class Panel:
    """A variant of the window: mirrored left to right, or scaled by a factor."""

    mirrored: bool = False
    factor: float = 1.0

    def size(self, whole: tuple[int, ...]) -> tuple[int, int]:
        """(height, width) where the window has ``whole``."""
        return max(16, round(whole[0] * self.factor)), max(16, round(whole[1] * self.factor))


# The first must be the window itself: the hole lies there. Mirrored and scaled ones continue what
# recedes, as the front of a house along a street does.
PANELS = (Panel(), Panel(mirrored=True), Panel(factor=0.85), Panel(factor=1.18))


@dataclass(frozen=True)
class Canvas:
    """Panels side by side, each with a margin of repeated edges around it.

    Attributes:
        pixels: (H, W, 3), uint8 or float32 in 0..255; H and W are even.
        known: (H, W) bool, what may be copied.
        hole: (H, W) bool, what is to be filled; in the first panel only.
        lefts: the column at which each panel begins.
        sizes: (height, width) of each panel.
        margin: the row at which every panel begins.
    """

    pixels: NDArray[Any]
    known: Mask
    hole: Mask
    lefts: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    margin: int

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """(p, 2), rows and columns of the hole's pixels, row by row."""
        rows, columns = (np.flatnonzero(self.hole.any(axis)) for axis in (1, 0))
        if not rows.size:
            return np.empty((0, 2), np.intp)
        top, left = rows[0], columns[0]
        part = self.hole[top : rows[-1] + 1, left : columns[-1] + 1]
        places: NDArray[np.intp] = np.argwhere(part) + np.array((top, left))
        return places

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the first panel: the window itself."""
        (height, width), top, left = self.sizes[0], self.margin, self.lefts[0]
        return slice(top, top + height), slice(left, left + width)

    def panel_of(self, columns: NDArray[np.intp]) -> NDArray[np.intp]:
        """The panels, by number, that columns lie in."""
        starts = np.array(self.lefts) - self.margin
        return np.searchsorted(starts, columns, side="right") - 1


def lay_out(panels: Sequence[tuple[NDArray[Any], Mask]], hole: Mask, margin: int) -> Canvas:
    """Put panels side by side.

    Args:
        panels: (h, w, 3) pixels and (h, w) bool, what of them is known; the first is the window.
        hole: (h, w) bool, what of the first is to be filled.
        margin: in pixels.
    """
    tallest = max(known.shape[0] for _, known in panels)
    rows = 2 * margin + tallest + tallest % 2
    widths = [2 * margin + known.shape[1] + known.shape[1] % 2 for _, known in panels]
    starts = [sum(widths[:number]) for number in range(len(panels))]
    pixels = np.empty((rows, sum(widths), 3), panels[0][0].dtype)
    known = np.zeros(pixels.shape[:2], bool)
    for start, width, (image, shown) in zip(starts, widths, panels, strict=True):
        bottom, right = margin + shown.shape[0], margin + shown.shape[1]
        known[margin:bottom, start + margin : start + right] = shown
        part = pixels[:, start : start + width]  # a view
        part[margin:bottom, margin:right] = image
        part[margin:bottom, :margin] = image[:, :1]
        part[margin:bottom, right:] = image[:, -1:]
        part[:margin], part[bottom:] = part[margin], part[bottom - 1]
    target = np.zeros(known.shape, bool)
    target[margin : margin + hole.shape[0], margin : margin + hole.shape[1]] = hole
    sizes = tuple(shown.shape for _, shown in panels)
    return Canvas(pixels, known, target, tuple(start + margin for start in starts), sizes, margin)


def matching_canvas(window: RGB, unknown: Mask, hole: Mask, guide: Values) -> Canvas:
    """The canvas at the scale of matching, in float32.

    Args:
        window: (H, W, 3) uint8.
        unknown: (H, W) bool, what of it is masked.
        hole: (H, W) bool, what of that is to be filled now.
        guide: (h, w, 3) float32 in 0..255, a fill of the window at the scale of matching; right in
            the hole only.
    """
    size = guide.shape[:2]
    small, missing = at_size(window, unknown, size)
    target = missing & scale(hole, (size[0], size[1]))
    first: Values = small.astype(np.float32)
    if not np.array_equal(target, missing):
        # Nothing of what is masked may be seen: other holes get the smooth colours around them.
        seen = (~missing)[..., None].astype(np.float32)
        first = spread(first * seen, seen)
    np.copyto(first, guide, where=target[..., None])
    panels: list[tuple[NDArray[Any], Mask]] = []
    for panel in PANELS:
        image, masked = first, missing
        if panel.factor != 1:
            there = panel.size(size)
            scaled, masked = at_size(window, unknown, there)
            image, near = scaled.astype(np.float32), around(masked, 0)
            np.copyto(image[near], resized(first, there, near), where=masked[near][..., None])
        if panel.mirrored:
            image, masked = image[:, ::-1], masked[:, ::-1]
        panels.append((image, ~masked))
    return lay_out(panels, target, MARGIN)


def full_canvas(
    window: RGB, unknown: Mask, hole: Mask, needed: Mapping[int, Box], margin: int
) -> Canvas:
    """The canvas at the window's own scale, in uint8, of some panels.

    Args:
        window: (H, W, 3) uint8.
        unknown: (H, W) bool.
        hole: (H, W) bool.
        needed: what of a panel, by number, may be copied; the rest need not be scaled. With the
            window itself, 0.
        margin: in pixels.
    """
    panels: list[tuple[NDArray[Any], Mask]] = []
    for number in sorted(needed):
        panel, part = PANELS[number], needed[number]
        size = panel.size(unknown.shape)
        if panel.mirrored:
            part = Box(part.top, part.bottom, size[1] - part.right, size[1] - part.left)
        image, masked = at_size(window, unknown, size, part)
        if panel.mirrored:
            image, masked = image[:, ::-1], masked[:, ::-1]
        panels.append((image, ~masked))
    return lay_out(panels, hole, margin)


def at_size(
    window: RGB, unknown: Mask, size: tuple[int, ...], part: Box | None = None
) -> tuple[RGB, Mask]:
    """A window at another size, and what of it is masked, or has anything masked mixed in.

    Where only a part is needed, all around it counts as masked.
    """
    if window.shape[:2] == size:
        return window, unknown
    part = part or Box(0, size[0], 0, size[1])
    how = _filter(window.shape, size)
    down, across = window.shape[0] / size[0], window.shape[1] / size[1]
    box = (part.left * across, part.top * down, part.right * across, part.bottom * down)
    image = np.zeros((*size, 3), np.uint8)
    scaled = Image.fromarray(window).resize((part.shape[1], part.shape[0]), how, box)
    image[part.slices] = np.asarray(scaled)
    # An area average mixes what it touches; a bicubic enlargement two pixels on each side.
    touched = unknown if how is Image.Resampling.BOX else grow(unknown, 2)
    masked = np.ones(size, bool)
    masked[part.slices] = scale(touched, (size[0], size[1]))[part.slices]
    return image, masked


def scaled_slices(box: Box, down: float, across: float) -> tuple[slice, slice]:
    """The pixels that a box touches after scaling its rows and columns."""
    return (
        slice(int(box.top * down), math.ceil(round(box.bottom * down, 6))),
        slice(int(box.left * across), math.ceil(round(box.right * across, 6))),
    )


def resized(
    image: Values, size: tuple[int, ...], part: tuple[slice, slice] | None = None
) -> Values:
    """(h, w, 3) float32 at another size (height, width); of that a part where only it is needed."""
    how = _filter(image.shape, size)
    rows, columns = part or (slice(0, size[0]), slice(0, size[1]))
    down, across = image.shape[0] / size[0], image.shape[1] / size[1]
    box = columns.start * across, rows.start * down, columns.stop * across, rows.stop * down
    shape = columns.stop - columns.start, rows.stop - rows.start
    planes = (Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(image, 2, 0))
    return np.stack([np.asarray(p.resize(shape, how, box)) for p in planes], axis=2)


def _filter(shape: tuple[int, ...], size: tuple[int, ...]) -> Image.Resampling:
    grows = size[0] > shape[0] or size[1] > shape[1]
    return Image.Resampling.BICUBIC if grows else Image.Resampling.BOX
