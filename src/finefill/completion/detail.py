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
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from finefill.completion.blend import LEAST, REACH, blur, blur_where, meet_edges, patches, widened
from finefill.files import RGB
from finefill.masks import Mask

# Chosen on validation photographs, by PSNR, distance of VGG16 features and looking.
PATCH = 12  # pixels, side of a patch; two patches overlap by half
STEP = 3  # pixels between places where known patches are looked for
SOFT = 2  # radius in pixels of the blur whose loss is the detail
SMOOTH = 1  # radius in pixels of the blur whose loss is the network's own detail
OWN = 0.5  # share of that which stays: all of it can show as a grid
EDGE = 2  # radius in pixels within which the network's colours and the photo's are compared
COHERENCE = 0.5  # price of a neighbour that takes its detail from elsewhere
SWEEPS = 3  # over all patches, to settle that

GRID = PATCH // 2  # pixels between patches of the fill
CELL = PATCH // STEP  # steps in a patch
HALF = GRID // STEP  # steps between patches of the fill
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
    known = small.astype(np.float32)
    soft = blur_where(known, ~hole, SOFT)
    base = known.copy()
    near = around(hole, REACH)
    inside, part = hole[near][..., None], known[near]
    sharp = np.where(
        inside, meet_edges(part, fill[near].astype(np.float32), hole[near], EDGE), part
    )
    base[near] = np.where(inside, OWN * sharp + (1 - OWN) * blur(sharp, SMOOTH), part)

    matches = match(known, hole, soft, base)
    completed, near = photo.copy(), around(mask, REACH)
    if mask.shape == hole.shape:
        result = base[near]
        if matches is not None:
            result = result + transfer(known - soft, matches, near)
    else:
        result = _enlarged(photo, mask, near, soft, base, matches)
    met = meet_edges(photo[near].astype(np.float32), result, mask[near], 1)
    rounded = np.rint(met, out=met).clip(0, 255, out=met).astype(np.uint8)
    np.copyto(completed[near], rounded, where=mask[near][..., None])
    return completed


def match(known: _Values, hole: Mask, soft: _Values, base: _Values) -> Matches | None:
    """Find for each patch that touches the hole the known patch to take detail from.

    Twice: first by what the photo looks like softly, then, with the detail that this gave, by all
    of it. Patches of the fill lie on a grid of half a patch, known ones on one of ``STEP`` pixels;
    so does every place that a patch can take over from its neighbour.

    Args:
        known: (h, w, 3), right outside the hole.
        hole: (h, w) bool.
        soft: (h, w, 3), ``known`` blurred.
        base: (h, w, 3), the soft fill in the hole, ``known`` elsewhere.

    Returns:
        The matches; None where no patch of the photo is free of holes.
    """
    if min(hole.shape) < PATCH:
        return None
    down, right = (-length % GRID for length in hole.shape)  # the grid ends on the last pixel
    beyond = ((0, down), (0, right))
    usable = ~_touched(np.pad(hole, beyond, constant_values=True))
    places = np.argwhere(usable)
    if not len(places):
        return None
    touched = ~usable
    if down or right:
        hole = np.pad(hole, beyond)
        touched = _touched(hole)
        known, soft, base = (widened(it, 0, (down, right)) for it in (known, soft, base))
    cells = np.argwhere(touched[::HALF, ::HALF])
    first, last = cells.min(0), cells.max(0)
    part = (
        slice(GRID * first[0], GRID * last[0] + PATCH),
        slice(GRID * first[1], GRID * last[1] + PATCH),
    )
    inside = hole[part][..., None]

    def matched(image: _Values, goal: _Values) -> Matches:
        wanted = patches(goal, HALF * (cells - first), CELL)
        cost, constant = _distances(wanted, patches(image, places, CELL))
        chosen = cohere(cost, constant, cells, places, usable)
        return Matches(GRID * cells, STEP * places[chosen])

    # What is soft is compared at a third of the size: a ninth of the work.
    matches = matched(_pooled(soft), _pooled(np.where(inside, base[part], soft[part])))
    detail = transfer(known - soft, matches, part)
    return matched(described(known), described(np.where(inside, base[part] + detail, known[part])))


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
        cost: (K, N), |source - target|^2 of each target with each place, less a constant.
        constant: (K,), of each target.
        cells: (K, 2), row and column of each target on the targets' grid.
        places: (N, 2), row and column of each known patch, in steps.
        usable: (h', w') bool, which places, in steps, are among them.

    Returns:
        (K,), which of the places each target takes its detail from.
    """
    chosen: NDArray[np.intp] = cost.argmin(axis=1)
    height, width = usable.shape
    # Places have one number in a grid three times as large: there no offset leads outside.
    index = np.full((3 * height, 3 * width), -1)
    index[height + places[:, 0], width + places[:, 1]] = np.arange(len(places))
    index = index.ravel()
    across = np.array([3 * width, 1])
    targets = (HALF * cells + (height, width)) @ across
    offsets = (places[chosen] - HALF * cells) @ across

    number = np.full(cells.max(0) + 3, -1)  # of the target on each cell, with a border of none
    number[cells[:, 0] + 1, cells[:, 1] + 1] = np.arange(len(cells))
    steps = ((0, 1), (2, 1), (1, 0), (1, 2))  # up, down, left, right
    around_it = np.stack([number[cells[:, 0] + y, cells[:, 1] + x] for y, x in steps], axis=1)
    # The median, of NumPy's without its import of masked arrays.
    nearest = np.maximum(cost[np.arange(len(cells)), chosen] + constant, 0)
    middle = np.partition(nearest, len(cells) // 2)[len(cells) // 2]
    penalty = np.float32(COHERENCE * middle)

    # As on a chessboard: neighbours rest.
    colours = [np.flatnonzero(cells.sum(1) % 2 == colour) for colour in (0, 1)]
    turns = [(mine, around_it[mine], around_it[mine] >= 0) for mine in colours]
    still = 0  # turns in a row that changed nothing
    rows = [np.arange(len(mine)) for mine in colours]
    for (mine, neighbours, there), row in zip(turns * SWEEPS, rows * SWEEPS, strict=True):
        options = np.concatenate([offsets[mine, None], offsets[neighbours]], axis=1)  # (k, 5)
        broken = (options[:, :, None] != options[:, None, 1:]) & there[:, None]
        found = index[targets[mine, None] + options]
        energy = cost[mine[:, None], found] + penalty * broken.sum(2, dtype=np.float32)
        energy[found < 0] = np.inf
        energy[:, 1:][~there] = np.inf
        best = energy.argmin(axis=1)  # the first of equals: its own
        chosen[mine] = found[row, best]
        offsets[mine] = options[row, best]
        still = 0 if best.any() else still + 1
        if still == 2:
            break
    return chosen


def transfer(detail: _Values, matches: Matches, part: tuple[slice, slice]) -> _Values:
    """Lay the sources' detail over the targets, with soft overlaps, at the network's scale.

    Args:
        detail: (h, w, 3), what blurring takes from the photo.
        matches: corners of patches; targets on multiples of ``GRID``.
        part: rows and columns of the result, as far as the targets' grid goes at most.

    Returns:
        (h', w', 3) float32, the mean of the patches on each pixel, 0 where there is none.
    """
    cells = matches.targets // GRID
    starts = np.array([side.start for side in part])
    first = np.minimum(cells.min(0), starts // GRID)
    ends = np.maximum(cells.max(0) + 2, [-(-side.stop // GRID) for side in part])
    rows, columns = ends - first
    cells = cells - first
    weight = np.outer(_bump(PATCH), _bump(PATCH))[..., None]
    lent = patches(detail, matches.sources, PATCH).reshape(-1, PATCH, PATCH, 3)
    weighted = np.empty((*lent.shape[:3], 4), np.float32)
    np.multiply(lent, weight, out=weighted[..., :3])
    weighted[..., 3:] = weight
    quarters = weighted.reshape(-1, 2, GRID, 2, GRID, 4)
    sums = np.zeros((rows, columns, GRID, GRID, 4), np.float32)
    for down in (0, 1):  # each target covers four cells of the grid, and no cell twice
        for right in (0, 1):
            sums[cells[:, 0] + down, cells[:, 1] + right] += quarters[:, down, :, right]
    means = sums[..., :3]
    means /= np.maximum(sums[..., 3:], LEAST)
    image = means.swapaxes(1, 2).reshape(rows * GRID, columns * GRID, 3)
    top, left = starts - GRID * first
    height, width = (side.stop - side.start for side in part)
    return image[top : top + height, left : left + width]


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
    detail = _transfer_at_scale(photo, mask, near, matches, scale_of)
    return detail + _resized(base[part] - transfer(soft, matches, part), places, shape)


def _transfer_at_scale(
    photo: RGB,
    mask: Mask,
    near: tuple[slice, slice],
    matches: Matches,
    scale_of: tuple[int, ...],
) -> _Values:
    """As :func:`transfer`, of the photo itself, for a part of it.

    Args:
        photo: (H, W, 3) uint8.
        mask: (H, W) bool, True = hole.
        near: rows and columns of the result.
        matches: corners of patches in an image of the shape ``scale_of``.
        scale_of: (h, w), h <= H and w <= W.
    """
    height, width = mask.shape
    zoom = np.array([height / scale_of[0], width / scale_of[1]])
    rows, columns = np.ceil(PATCH * zoom).astype(int)
    weight = np.outer(_bump(rows), _bump(columns))
    threefold = weight.repeat(3, axis=1)
    top, bottom, left, right = near[0].start, near[0].stop, near[1].start, near[1].stop
    sums = np.zeros((bottom - top, 3 * (right - left)), np.float32)
    weights = np.zeros((bottom - top, right - left), np.float32)
    targets = np.rint(matches.targets * zoom).astype(int)
    sources = (matches.sources * zoom).astype(int)  # so that a source never reaches into the hole
    flat = np.ascontiguousarray(photo).reshape(height, -1)
    for (y, x), (v, u) in zip(targets.tolist(), sources.tolist(), strict=True):
        y, v = min(y, height - rows), min(v, height - rows)
        x, u = min(x, width - columns), min(u, width - columns)
        first, last = max(top - y, 0), min(bottom - y, rows)
        begin, end = max(left - x, 0), min(right - x, columns)
        if first >= last or begin >= end:
            continue
        piece = flat[v + first : v + last, 3 * (u + begin) : 3 * (u + end)]
        at = slice(y + first - top, y + last - top)
        sums[at, 3 * (x + begin - left) : 3 * (x + end - left)] += (
            threefold[first:last, 3 * begin : 3 * end] * piece
        )
        weights[at, x + begin - left : x + end - left] += weight[first:last, begin:end]
    means = sums.reshape(*weights.shape, 3)
    means /= np.maximum(weights, LEAST)[..., None]
    return means


def around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The rectangle around a hole, wider by a margin, within the mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    return (
        slice(max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, height)),
        slice(max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, width)),
    )


def _touched(hole: Mask) -> Mask:
    """Whether a patch touches the hole, for each of its corners on multiples of ``STEP``."""
    height, width = hole.shape
    rows = np.logical_or.reduce(hole.reshape(height // STEP, STEP, width), axis=1)
    found = np.logical_or.reduce(rows.reshape(height // STEP, width // STEP, STEP), axis=2)
    touched: Mask = np.logical_or.reduce(sliding_window_view(found, (CELL, CELL)), axis=(2, 3))
    return touched


def _pooled(image: _Values) -> _Values:
    """Means of ``STEP`` by ``STEP`` pixels."""
    rows = sum((image[shift::STEP] for shift in range(1, STEP)), start=image[::STEP])
    cells = sum((rows[:, shift::STEP] for shift in range(1, STEP)), start=rows[:, ::STEP])
    cells *= np.float32(1 / STEP**2)
    return cells


def described(image: _Values) -> _Values:
    """What patches are compared by: (h / STEP, w / STEP, 8) for each block of ``STEP`` pixels.

    Its mean colour, and of its brightness the five lowest frequencies above that (DCT): squared
    differences are about those of all its pixels, of which there are three times as many numbers.
    """
    height, width = image.shape[:2]
    light = (image[..., 0] + image[..., 1] + image[..., 2]) * np.float32(3**-0.5)
    blocks = light.reshape(height // STEP, STEP, width // STEP, STEP).swapaxes(1, 2)
    waves = blocks.reshape(height // STEP, width // STEP, STEP**2) @ _waves()
    return np.concatenate([_pooled(image) * np.float32(STEP), waves], axis=2)


@cache
def _waves() -> _Values:
    """(STEP^2, 5), orthonormal: the cosines of (rows, columns) (0, 1), (1, 0), (0, 2), (2, 0) and
    (1, 1) half periods.
    """
    turns = np.pi / STEP * np.outer(np.arange(STEP), np.arange(STEP) + 0.5)
    lines = np.cos(turns)
    lines /= np.linalg.norm(lines, axis=1, keepdims=True)
    pairs = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 1))
    return np.stack([np.outer(lines[y], lines[x]).ravel() for y, x in pairs], axis=1).astype(
        np.float32
    )


def _distances(wanted: _Values, candidates: _Values) -> tuple[_Values, _Values]:
    """|wanted - candidate|^2 for each pair, (K, N), less |wanted|^2, which is given too, (K,)."""
    count, length = wanted.shape
    targets = np.empty((count, length + 1), np.float32)
    np.multiply(wanted, -2, out=targets[:, :-1])
    targets[:, -1] = 1
    sources = np.empty((len(candidates), length + 1), np.float32)
    sources[:, :-1] = candidates
    sources[:, -1] = np.einsum("ij,ij->i", candidates, candidates)
    return targets @ sources.T, np.einsum("ij,ij->i", wanted, wanted)


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
