"""Which windows of a photograph the network sees, and at which scale: pure geometry.

The networks know holes up to a certain size with about as much context around them. So every
group of holes gets a window: at the photo's resolution where the group is small enough, otherwise
scaled down until it is. Wide groups of thin holes (scratches, writing) go piece by piece at the
photo's resolution. The plan is a plain list that can be looked at;
:mod:`finefill.completion.photo` carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finefill.files import MIN_SIDE
from finefill.masks import Mask

NEAR = 48  # pixels: holes nearer to each other than that are completed together
# Holes that would be completed together at a reduced scale are taken apart down to this distance:
# each by itself may be small enough for the photo's resolution.
APART = 8
# In sides of the largest hole that needs no reduced scale: what is thin enough to be completed
# piece by piece, though it is long. Bands of 24 to 64 pixels across street photographs are
# 1.1 dB better so than at a reduced scale.
THIN = 0.8
# In sides of its group: a place up to so large is completed apart from the thin rest of it.
SPOT = 0.6
# The side of a window in sides of its hole. Measured on street photographs with holes of 40 to
# 160 pixels: much wider windows than those the networks were trained on cost up to 0.9 dB.
CONTEXT = 2.0
# The same for models that get their detail from the surroundings, at least and at most, and the
# least share of the trained size. Between both a window has ``ENOUGH`` of that size. Measured with
# holes of 8 to 150 pixels: not worse than in wider windows, and up to a third faster. In faces,
# where position tells what belongs there, up to 0.6 dB worse.
LEAST_CONTEXT = 1.6
SMALL_CONTEXT = 3.0
ENOUGH = 0.625
SMALLEST = 0.5
# How much larger than it is a photo is seen at most, where it is smaller than the trained size.
# Faces of 89 and 64 pixels, the middle half masked, are 3.5 dB better when they are seen at 128.
ENLARGED = 2.0
LONGEST = 4.0  # of its shorter side, that a hole may be long to be completed as a whole
FULLEST = 0.25  # of its bounding box, that such a hole fills at least


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, the ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing (H, W) arrays."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def side(self) -> int:
        """The longer side."""
        return max(self.shape)

    def within(self, other: Box) -> Box:
        """The same box, counted from the corner of ``other``, cut to lie in it."""
        height, width = other.shape
        top, left = other.top, other.left
        return Box(
            max(self.top - top, 0),
            min(self.bottom - top, height),
            max(self.left - left, 0),
            min(self.right - left, width),
        )


class Window(NamedTuple):
    """One piece of work for the network.

    Attributes:
        box: what the network sees, in pixels of the photo.
        hole: the masked pixels in here are this window's to fill, and no other window's.
        size: (height, width) at which the network sees ``box``; larger than it, at most twice,
            only where the photo is smaller than what the network was trained on.
        turn: 0, 1 … Windows of one turn need nothing from each other.
        known: the holes of windows of earlier turns that ``box`` sees; what they were filled with
            counts as known. All else that is masked is unknown.
    """

    box: Box
    hole: Box
    size: tuple[int, int]
    turn: int = 0
    known: tuple[Box, ...] = ()

    @property
    def scale(self) -> float:
        """The side the network sees by that of the photo, at most ``ENLARGED``.

        Of the longer sides, which rounding to whole pixels changes least.
        """
        full, side = max(zip(self.box.shape, self.size, strict=True))
        return side / full


def plan(mask: Mask, card: Mapping[str, Any], masked: Box | None = None) -> list[Window]:
    """The windows that complete a photo, in the order in which they are filled.

    Args:
        mask: (H, W) bool, True = to be completed; H and W from 16 up.
        card: the model's: ``trained_size``, ``hole_range``, ``size_multiple``; ``detail`` allows
            small windows for small holes, without it a ``recipe`` enlarges small photos; with
            ``fixed_size`` (height, width) the network takes nothing else, and windows are of that
            size where the photo is.
        masked: a box that holds all masked pixels, which spares a look at the rest.

    Returns:
        Windows inside (H, W), sorted by turn; every masked pixel lies in the ``hole`` of exactly
        one. No side of a ``size`` is longer than :func:`largest_input`. An empty list where
        nothing is masked.
    """
    largest = int(card["hole_range"][1])
    found = _cut(mask, masked or _whole(mask), NEAR)
    holes = [piece for group in found for piece in _pieces(mask, group, largest)]
    return _in_turns([_window(hole, mask.shape, card) for hole in holes])


def wholes(mask: Mask, holes: Sequence[Box]) -> list[list[Box]]:
    """Which boxes hold parts of one hole: masked pixels touch across their common edge.

    What is long, or fills little of its bounding box (a scratch, a ring), stays in pieces: as a
    whole it would be seen too small.

    Args:
        mask: (H, W) bool, True = to be completed.
        holes: boxes that do not overlap.

    Returns:
        Every box once.
    """
    leader = list(range(len(holes)))

    def lead(index: int) -> int:
        while leader[index] != index:
            index = leader[index]
        return index

    at_top: dict[int, list[int]] = {}
    at_left: dict[int, list[int]] = {}
    for index, hole in enumerate(holes):
        at_top.setdefault(hole.top, []).append(index)
        at_left.setdefault(hole.left, []).append(index)
    for index, hole in enumerate(holes):
        for other in at_top.get(hole.bottom, []):
            columns = slice(max(hole.left, holes[other].left), min(hole.right, holes[other].right))
            if (mask[hole.bottom - 1, columns] & mask[hole.bottom, columns]).any():
                leader[lead(other)] = lead(index)
        for other in at_left.get(hole.right, []):
            rows = slice(max(hole.top, holes[other].top), min(hole.bottom, holes[other].bottom))
            if (mask[rows, hole.right - 1] & mask[rows, hole.right]).any():
                leader[lead(other)] = lead(index)
    found: dict[int, list[Box]] = {}
    for index, hole in enumerate(holes):
        found.setdefault(lead(index), []).append(hole)
    result = []
    for parts in found.values():
        box = bounds(parts)
        compact = box.side <= LONGEST * min(box.shape) and mask[box.slices].mean() >= FULLEST
        result += [parts] if compact else [[part] for part in parts]
    return result


def bounds(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of them."""
    return Box(
        min(box.top for box in boxes),
        max(box.bottom for box in boxes),
        min(box.left for box in boxes),
        max(box.right for box in boxes),
    )


def extent(mask: Mask) -> Box:
    """The smallest box that holds all masked pixels; an empty one where there are none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return Box(0, 0, 0, 0)
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    return Box(top, bottom, int(columns[0]), int(columns[-1]) + 1)


def largest_input(card: Mapping[str, Any]) -> int:
    """The longest side of what the network is given, in pixels."""
    if "fixed_size" in card:
        return max(map(int, card["fixed_size"]))
    multiple = int(card["size_multiple"])
    longest = max(int(card["trained_size"]), MIN_SIDE, round(CONTEXT * int(card["hole_range"][1])))
    return -(-longest // multiple) * multiple


def groups(mask: Mask, near: int) -> list[Box]:
    """Bounding boxes of groups of masked pixels with ``near`` or more free pixels between them.

    Boxes are cut at free rows and columns, recursively (an X-Y cut), so two interlocking holes
    come as one.
    """
    return _cut(mask, _whole(mask), near)


def pieces(mask: Mask, area: Box, near: int) -> list[Box]:
    """As :func:`groups`, in an area; faster where there are many far from each other."""
    return [part for group in _cut(mask, area, NEAR) for part in _cut(mask, group, near)]


def _whole(mask: Mask) -> Box:
    return Box(0, mask.shape[0], 0, mask.shape[1])


def window_around(box: Box, side: int | tuple[int, int], shape: tuple[int, ...]) -> Box:
    """A window around ``box``, pushed or cut to lie in (height, width).

    Args:
        box: what it is put around.
        side: its (height, width); one number for a square.
        shape: (height, width) of the photo.
    """
    sides = (side, side) if isinstance(side, int) else side

    def span(start: int, end: int, wanted: int, limit: int) -> tuple[int, int]:
        length = min(wanted, limit)
        first = min(max((start + end - length) // 2, 0), limit - length)
        return first, first + length

    rows = span(box.top, box.bottom, sides[0], shape[0])
    return Box(*rows, *span(box.left, box.right, sides[1], shape[1]))


def _window(hole: Box, shape: tuple[int, ...], card: Mapping[str, Any]) -> Window:
    trained, largest = int(card["trained_size"]), int(card["hole_range"][1])
    multiple = int(card["size_multiple"])
    scale = min(1.0, largest / hole.side)
    if "fixed_size" in card:
        fixed = tuple(card["fixed_size"])
        box = window_around(hole, (round(fixed[0] / scale), round(fixed[1] / scale)), shape)
        return _at_scale(box, hole, scale, fixed)
    if card.get("recipe") and not card.get("detail"):  # trained by finefill, at one size
        scale = max(scale, min(ENLARGED, trained / min(shape), largest / hole.side))
    seen = hole.side * scale
    side = max(trained, round(CONTEXT * seen))
    if card.get("detail"):
        most = max(SMALLEST * trained, min(SMALL_CONTEXT * seen, ENOUGH * trained))
        side = round(max(LEAST_CONTEXT * seen, most, MIN_SIDE))
    if scale == 1:  # real surroundings instead of mirrored ones, and windows of the same size
        side = -(-side // multiple) * multiple
    box = window_around(hole, round(side / scale), shape)
    larger = max(scale, 1)
    return _at_scale(box, hole, scale, (round(box.shape[0] * larger), round(box.shape[1] * larger)))


def _at_scale(box: Box, hole: Box, scale: float, most: tuple[int, int]) -> Window:
    """The window of a box that is seen at a scale, at no more than ``most`` (height, width)."""
    sides = (max(MIN_SIDE, round(length * scale)) for length in box.shape)
    height, width = (min(some) for some in zip(sides, most, strict=True))
    return Window(box, hole, (height, width))


def _in_turns(windows: list[Window]) -> list[Window]:
    """The same windows with ``turn`` and ``known``: what comes first is known to what it touches.

    So the result is that of one window after the other, in far fewer steps.
    """
    if len(windows) < 2:
        return windows
    holes = np.array([_edges(window.hole) for window in windows])
    turns = np.zeros(len(windows), int)
    result = []
    for index, window in enumerate(windows):
        top, bottom, left, right = _edges(window.box)
        earlier = holes[:index]
        seen = np.flatnonzero(
            (earlier[:, 0] < bottom)
            & (earlier[:, 1] > top)
            & (earlier[:, 2] < right)
            & (earlier[:, 3] > left)
        )
        turns[index] = 1 + turns[seen].max() if seen.size else 0
        known = tuple(windows[at].hole for at in seen)
        result.append(Window(window.box, window.hole, window.size, int(turns[index]), known))
    return sorted(result, key=lambda window: (window.turn, window.size))


def _edges(box: Box) -> tuple[int, int, int, int]:
    return box.top, box.bottom, box.left, box.right


def _pieces(mask: Mask, group: Box, largest: int) -> list[Box]:
    """The group as it is where it is small enough; otherwise taken apart where that can be.

    What is thin everywhere comes in pieces up to ``largest``; what has gaps, hole by hole; what is
    wide in one place, that place and the rest around it.
    """
    if group.side <= largest:
        return [group]
    side = int(THIN * largest) + 1
    corners = _squares(mask[group.slices], side)
    if not corners.any():
        tiles = [
            Box(top, min(top + largest, group.bottom), left, min(left + largest, group.right))
            for top in range(group.top, group.bottom, largest)
            for left in range(group.left, group.right, largest)
        ]
        # As on a chessboard, or what one begins all of them would go on with, in streaks.
        rank = {
            tile: (tile.top - group.top + tile.left - group.left) // largest % 2 for tile in tiles
        }
        tiles.sort(key=rank.__getitem__)
        return [piece for tile in tiles for piece in _cut(mask, tile, largest)]
    parts = _cut(mask, group, APART)
    if len(parts) == 1:
        wide = _widest(corners, group, side)
        if wide.side > SPOT * group.side:
            return parts
        parts = [part for box in _around(group, wide) for part in _cut(mask, box, APART)]
        return [*(piece for part in parts for piece in _pieces(mask, part, largest)), wide]
    parts.sort(key=lambda part: part.side)  # the smaller, the surer what belongs there
    return [piece for part in parts for piece in _pieces(mask, part, largest)]


def _squares(mask: Mask, side: int) -> Mask:
    """Upper left corners of all squares of ``side`` pixels that lie wholly in the mask."""
    if min(mask.shape) < side:
        return np.zeros((0, 0), bool)
    for axis in (0, 1):
        inside, length = np.moveaxis(mask, axis, 0), 1  # ``length`` masked pixels in a row
        while length < side:
            step = min(length, side - length)
            inside = inside[step:] & inside[:-step]
            length += step
        mask = np.moveaxis(inside, 0, axis)
    return mask


def _widest(corners: Mask, group: Box, side: int) -> Box:
    """The largest place of a group where squares fit, and a quarter of a square around it."""
    places = groups(corners, side)
    place = max(places, key=lambda place: place.shape[0] * place.shape[1])
    margin = side // 4
    return Box(
        max(group.top + place.top - margin, group.top),
        min(group.top + place.bottom - 1 + side + margin, group.bottom),
        max(group.left + place.left - margin, group.left),
        min(group.left + place.right - 1 + side + margin, group.right),
    )


def _around(group: Box, inner: Box) -> list[Box]:
    """What of a box is not in a box within it: above, below, left and right."""
    return [
        Box(group.top, inner.top, group.left, group.right),
        Box(inner.bottom, group.bottom, group.left, group.right),
        Box(inner.top, inner.bottom, group.left, inner.left),
        Box(inner.top, inner.bottom, inner.right, group.right),
    ]


def _cut(mask: Mask, box: Box, near: int) -> list[Box]:
    found, left = [], [box]  # no recursion: masks can be nested deeper than Python's stack
    while left:
        box = left.pop()
        part = mask[box.slices]
        rows = _runs(np.any(part, axis=1), near)
        columns = _runs(np.any(part[rows[0][0] : rows[-1][1]], axis=0), near) if rows else []
        boxes = [
            Box(box.top + top, box.top + bottom, box.left + first, box.left + last)
            for top, bottom in rows
            for first, last in columns
        ]
        if len(boxes) > 1:
            left.extend(reversed(boxes))
        else:
            found.extend(boxes)
    return found


def _runs(used: NDArray[np.bool_], near: int) -> list[tuple[int, int]]:
    """(start, end) of the runs of True, those with fewer than ``near`` False between joined."""
    at = np.flatnonzero(used)
    if not at.size:
        return []
    first, last = int(at[0]), int(at[-1])
    if last - first < at.size:  # one run, as of most holes
        return [(first, last + 1)]
    gaps = np.flatnonzero(np.diff(at) > near)
    starts = np.concatenate([at[:1], at[gaps + 1]])
    ends = np.concatenate([at[gaps], at[-1:]]) + 1
    return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
