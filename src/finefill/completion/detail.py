"""Fine detail for a fill, from the photograph itself (patch transfer, after Wexler et al. 2007).

A network that saw few photographs knows what belongs into a hole, and roughly of which colour, but
draws it soft; and a fill that was made at reduced scale is soft in any case. The photograph around
the hole has the grain, leaves, waves and bricks. For every patch of the fill, the most similar
patch of the known photograph is looked up, and what it has over its own soft version is added.
Structure and colour stay those of the network.

Patches are matched at the scale the network worked at; their detail can be taken from the
photograph at a higher resolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.completion.blend import (
    LEAST,
    REACH,
    blur,
    blur_where,
    meet_edges,
    patches,
    squares,
    widened,
)
from finefill.files import RGB
from finefill.masks import Mask, composite, threefold

# Chosen on validation photographs, by PSNR, distance of VGG16 features and looking.
PATCH = 12  # pixels, side of a patch; two patches overlap by half
STEP = 3  # pixels between places where known patches are looked for
SOFT = 2  # radius in pixels of the blur whose loss is the detail
SMOOTH = 1  # radius in pixels of the blur whose loss is the network's own detail
OWN = 0.5  # share of that which stays: all of it can show as a grid
SOFTER = np.float32(2.5)  # how much finer frequencies of a fill count when a patch is looked up
COHERENCE = 0.5  # price of a neighbour that takes its detail from elsewhere
SWEEPS = 2  # over all patches, to settle that

GRID = PATCH // 2  # pixels between patches of the fill
CELL = PATCH // STEP  # steps in a patch
HALF = GRID // STEP  # steps between patches of the fill
AT_ONCE = 50_000  # numbers of patches that are laid at a time: they stay in the cache
FAR = np.float32(1e30)  # what no squared distance of patches reaches
BICUBIC = 3  # pixels that its filter sees on each side, and one for rounding

_Values = NDArray[np.float32]


class Matches(NamedTuple):
    """Which known patch lends its detail to which patch of the fill: corners as (K, 2) rows."""

    targets: NDArray[np.intp]
    sources: NDArray[np.intp]


def add_detail(photo: RGB, mask: Mask, small: RGB, hole: Mask, fill: RGB) -> RGB:
    """Complete a photo with a soft fill and detail from around the hole.

    Args:
        photo: (H, W, 3) uint8; not changed.
        mask: (H, W) bool, True = hole.
        small: (h, w, 3) uint8, the photo at the network's scale, h <= H and w <= W.
        hole: (h, w) bool, the mask at that scale.
        fill: (h, w, 3) uint8, the network's fill of ``small``, right inside ``hole``.

    Returns:
        (H, W, 3) uint8, a new array, equal to ``photo`` outside ``mask``. Where the photo has no
        patch without a hole, the fill is scaled up and nothing is added.
    """
    base = composite(small, fill, hole).astype(np.float32)
    soft = blur(base, SOFT)
    matches = match(base, hole)
    near = around(hole, REACH)
    inner, inside = base[near], hole[near]
    smooth = blur_where(inner, inside, SMOOTH)
    np.copyto(inner, OWN * inner + (1 - OWN) * smooth, where=threefold(inside))

    completed, near = photo.copy(), around(mask, REACH)
    if mask.shape == hole.shape:
        result = base[near]
        if matches is not None:
            result = result + transfer(base - soft, matches, near)
    else:
        result = _enlarged(photo, mask, near, soft, base, matches)
    met = meet_edges(photo[near].astype(np.float32), result, mask[near], 1)
    rounded = np.rint(met, out=met).clip(0, 255, out=met).astype(np.uint8)
    np.copyto(completed[near], rounded, where=threefold(mask[near]))
    return completed


def match(image: _Values, hole: Mask) -> Matches | None:
    """Find for each patch that touches the hole the known patch to take detail from.

    Patches of the fill lie on a grid of half a patch, known ones on one of ``STEP`` pixels; so does
    every place that a patch can take over from its neighbour. A fill is softer than what belongs
    there: its frequencies count ``SOFTER`` times.

    Args:
        image: (h, w, 3), with a soft fill in the hole.
        hole: (h, w) bool.

    Returns:
        The matches; None where no patch of the image is free of holes.
    """
    if min(hole.shape) < PATCH:
        return None
    down, right = (-length % GRID for length in hole.shape)  # the grid ends on the last pixel
    shape = hole.shape[0] + down, hole.shape[1] + right
    usable = ~_touched(_padded(hole, shape, True))
    places = np.argwhere(usable)
    if not len(places):
        return None
    hole = _padded(hole, shape, False)
    cells = np.argwhere(_touched(hole)[::HALF, ::HALF])
    look = described(widened(image, 0, (down, right)) if down or right else image)
    candidates = patches(look, places, CELL)
    inside = np.logical_or.reduce(_blocks(hole[..., None]), axis=2)
    look[..., 3:] *= np.where(inside, SOFTER, np.float32(1))[..., None]
    cost, constant = _distances(patches(look, HALF * cells, CELL), candidates)
    chosen = cohere(cost, constant, cells, places, usable)
    return Matches(GRID * cells, STEP * places[chosen])


def cohere(
    cost: _Values,
    constant: _Values,
    cells: NDArray[np.intp],
    places: NDArray[np.intp],
    usable: Mask,
) -> NDArray[np.intp]:
    """Let neighbours take their detail from neighbouring places where that costs little.

    The nearest patch alone is often the same for many targets, and shows as a repeated pattern.
    Each target may take over a neighbour's offset to its source (Ashikhmin 2001); what it chooses
    minimises |source - target|^2 plus COHERENCE median(|nearest - target|^2) for every neighbour
    with another offset.

    Args:
        cost: (K, N + 1), |source - target|^2 of each target with each place, less a constant; the
            last column, ``FAR``, is that of no place.
        constant: (K,), of each target.
        cells: (K, 2), row and column of each target on the targets' grid.
        places: (N, 2), row and column of each known patch, in steps.
        usable: (h', w') bool, which places, in steps, are among them.

    Returns:
        (K,), which of the places each target takes its detail from.
    """
    chosen: NDArray[np.intp] = cost.argmin(axis=1)
    count, (height, width) = len(cells), usable.shape
    # Places have one number in a grid three times as large: there no offset leads outside.
    index = np.full((3 * height, 3 * width), -1)
    index[height + places[:, 0], width + places[:, 1]] = np.arange(len(places))
    index = index.ravel()
    across = np.array([3 * width, 1])
    targets = (HALF * cells + (height, width)) @ across
    # Of no target: so large that it leads to the last of the grid, which is no place.
    offsets = np.append((places[chosen] - HALF * cells) @ across, len(index))

    number = np.full(cells.max(0) + 3, -1)  # of the target on each cell, with a border of none
    number[cells[:, 0] + 1, cells[:, 1] + 1] = np.arange(count)
    steps = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))  # itself, up, down, left, right
    around_it = np.stack([number[cells[:, 0] + y, cells[:, 1] + x] for y, x in steps], axis=1)
    # The median, of NumPy's without its import of masked arrays.
    starts = np.arange(count)[:, None] * cost.shape[1]  # of each target's row
    nearest = np.maximum(cost[np.arange(count), chosen] + constant, 0)
    nearest.partition(count // 2)
    penalty = np.float32(COHERENCE * nearest[count // 2])
    costs = cost.ravel()

    # As on a chessboard: neighbours rest.
    colours = [np.flatnonzero(cells.sum(1) % 2 == colour) for colour in (0, 1)]
    turns = [
        (mine, around_it[mine], targets[mine, None], starts[mine], np.arange(len(mine)))
        for mine in colours
    ]
    still = 0  # turns in a row that changed nothing
    for mine, hood, target, start, row in turns * SWEEPS:
        options = offsets[hood]  # (k, 5)
        broken = options[:, :, None] != options[:, None, 1:]
        found = index.take(target + options, mode="clip")
        # One before the start of a row is the end of another: of no place.
        energy = costs[start + found] + penalty * broken.sum(2, dtype=np.float32)
        best = energy.argmin(axis=1)  # the first of equals: its own
        chosen[mine] = found[row, best]
        offsets[mine] = options[row, best]
        still = 0 if best.any() else still + 1
        if still == 2:
            break
    return chosen


def transfer(
    image: NDArray[Any],
    matches: Matches,
    part: tuple[slice, slice],
    zoom: tuple[float, float] = (1, 1),
) -> _Values:
    """Lay the sources over the targets, with soft overlaps.

    Args:
        image: (h, w, 3), where the sources are; uint8 or float32.
        matches: corners of patches; targets on multiples of ``GRID``.
        part: rows and columns of the result.
        zoom: height and width of ``image`` by those of what was matched, 1 or more.

    Returns:
        (h', w', 3) float32, the mean of the patches on each pixel, 0 where there is none.
    """
    # Rounded down, or a source might reach into the hole. Halves of targets are all rounded up, or
    # two that are two cells apart might overlap.
    rows, columns = size = (PATCH * np.array(zoom)).astype(int)
    sources = (matches.sources * zoom).astype(int)
    targets = (matches.targets * zoom + 0.5).astype(int)
    starts = np.minimum(targets.min(0), [side.start for side in part])
    stops = np.maximum(targets.max(0) + size, [side.stop for side in part])
    targets -= starts
    height, width = stops - starts
    sums = np.zeros((height, width, 3), np.float32)
    weights = np.zeros((height, width, 1), np.float32)
    weight = np.outer(_bump(rows), _bump(columns))
    threefold = weight.repeat(3, axis=1)
    if image.strides[1:] != (3 * image.itemsize, image.itemsize):  # rows may lie apart, no more
        image = np.ascontiguousarray(image)
    lent = squares(image, rows, columns)
    laid, weighed = (squares(one, rows, columns) for one in (sums, weights))
    kinds = matches.targets // GRID % 2 @ (2, 1)
    at_once = max(1, AT_ONCE // threefold.size)
    for kind in range(4):
        mine = np.flatnonzero(kinds == kind)
        for first in range(0, len(mine), at_once):
            some = mine[first : first + at_once]
            y, x = targets[some].T
            v, u = sources[some].T
            laid[y, x] += lent[v, u] * threefold
            weighed[y, x] += weight
    sums /= np.maximum(weights, LEAST, out=weights)
    y, x = (slice(side.start - at, side.stop - at) for side, at in zip(part, starts, strict=True))
    return sums[y, x]


def _enlarged(
    photo: RGB,
    mask: Mask,
    near: tuple[slice, slice],
    soft: _Values,
    base: _Values,
    matches: Matches | None,
) -> _Values:
    """A part of the photo with the soft fill scaled up and the detail of the photo's own scale.

    The detail of a patch is what the photo has over its soft version there. The soft versions are
    laid together at the network's scale, so that the hole alone is scaled up.
    """
    scale_of = soft.shape[:2]
    parts, places = [], []
    for side, full, small in zip(near, mask.shape, scale_of, strict=True):
        start, stop = side.start * small / full, side.stop * small / full
        first = max(int(start) - BICUBIC, 0)
        parts.append(slice(first, min(math.ceil(stop) + BICUBIC, small)))
        places.append((start - first, stop - first))
    part, shape = (parts[0], parts[1]), (near[0].stop - near[0].start, near[1].stop - near[1].start)
    if matches is None:
        return _resized(base[part], places, shape)
    zoom = mask.shape[0] / scale_of[0], mask.shape[1] / scale_of[1]
    enlarged = _resized(base[part] - transfer(soft, matches, part), places, shape)
    enlarged += transfer(photo, matches, near, zoom)
    return enlarged


def around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The rectangle around a hole, wider by a margin, within the mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    return (
        slice(max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, height)),
        slice(max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, width)),
    )


def _padded(hole: Mask, shape: tuple[int, int], beyond: bool) -> Mask:
    """A mask, and what comes after it up to (height, width)."""
    wide = np.full(shape, beyond)
    wide[: hole.shape[0], : hole.shape[1]] = hole
    return wide


def _touched(hole: Mask) -> Mask:
    """Whether a patch touches the hole, for each of its corners on multiples of ``STEP``."""
    for _ in (0, 1):  # rows, then columns
        lines = np.logical_or.reduce(hole.reshape(-1, STEP, hole.shape[1]), axis=1)
        both = lines[1:] | lines[:-1]
        hole = (both[2:] | both[:-2]).T  # CELL = 4 steps
    return hole


def described(image: _Values) -> _Values:
    """What patches are compared by: (h / STEP, w / STEP, 8) for each block of ``STEP`` pixels.

    Its mean colour, and of its brightness the five lowest frequencies above that (DCT): squared
    differences are about those of all its pixels, of which there are three times as many numbers.
    """
    return _blocks(image) @ _waves()


def _blocks(image: NDArray[Any]) -> NDArray[Any]:
    """(h, w, C) as blocks of pixels, one after the other: (h / STEP, w / STEP, STEP^2 C)."""
    height, width, channels = image.shape
    rows, columns = height // STEP, width // STEP
    blocks = image.reshape(rows, STEP, columns, STEP * channels).swapaxes(1, 2)
    return blocks.reshape(rows, columns, STEP**2 * channels)


@cache
def _waves() -> _Values:
    """(3 STEP^2, 8), of length 1: the mean of each colour; of brightness the cosines of (rows,
    columns) (0, 1), (1, 0), (0, 2), (2, 0) and (1, 1) half periods.
    """
    turns = np.pi / STEP * np.outer(np.arange(STEP), np.arange(STEP) + 0.5)
    lines = np.cos(turns)
    lines /= np.linalg.norm(lines, axis=1, keepdims=True)
    pairs = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 1))
    means = np.tile(np.eye(3) / STEP, (STEP**2, 1))
    waves = np.stack([np.outer(lines[y], lines[x]).ravel() for y, x in pairs], axis=1)
    return np.hstack([means, waves.repeat(3, axis=0) * 3**-0.5]).astype(np.float32)


def _distances(wanted: _Values, candidates: _Values) -> tuple[_Values, _Values]:
    """|wanted - candidate|^2 for each pair, (K, N), less |wanted|^2, which is given too, (K,).

    Behind them one more column, ``FAR``: (K, N + 1).
    """
    count, length = wanted.shape
    targets = np.empty((count, length + 1), np.float32)
    np.multiply(wanted, -2, out=targets[:, :-1])
    targets[:, -1] = 1
    sources = np.zeros((len(candidates) + 1, length + 1), np.float32)
    sources[:-1, :-1] = candidates
    sources[:-1, -1] = np.einsum("ij,ij->i", candidates, candidates)
    sources[-1, -1] = FAR
    return targets @ sources.T, np.einsum("ij,ij->i", wanted, wanted)


@cache
def _bump(length: int) -> _Values:
    """A Hann window without its zeros."""
    return np.hanning(length + 2)[1:-1].astype(np.float32)


def _resized(
    image: _Values, part: Sequence[tuple[float, float]], shape: tuple[int, int]
) -> _Values:
    """Rows and columns of an image, scaled to ``shape``: bicubic, each channel, not rounded."""
    (top, bottom), (left, right) = part
    size, box = (shape[1], shape[0]), (left, top, right, bottom)
    result = np.empty((*shape, 3), np.float32)
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
        result[..., channel] = np.asarray(plane.resize(size, Image.Resampling.BICUBIC, box))
    return result
