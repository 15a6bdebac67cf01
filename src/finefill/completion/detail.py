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

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from finefill.completion.blend import blur, blur_where, meet_edges
from finefill.files import RGB
from finefill.masks import Mask

# Chosen on validation photographs, by PSNR, distance of VGG16 features and looking.
PATCH = 12  # pixels, side of a patch; two patches overlap by half
STEP = 2  # pixels between places where known patches are looked for
SOFT = 2  # radius in pixels of the blur whose loss is the detail
SMOOTH = 1  # radius in pixels of the blur whose loss is the network's own detail
OWN = 0.5  # share of that which stays: all of it can show as a grid
EDGE = 2  # radius in pixels within which the network's colours and the photo's are compared
COHERENCE = 0.5  # price of a neighbour that takes its detail from elsewhere
SWEEPS = 6  # over all patches, to settle that
ROUNDS = 2  # the first compares soft patches, the second sharp ones

_Values = NDArray[np.float32]


@dataclass(frozen=True)
class Matches:
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
    size = mask.shape
    known = small.astype(np.float32)
    soft = blur_where(known, ~hole, SOFT)
    met = meet_edges(known, fill.astype(np.float32), hole, EDGE)
    sharp = np.where(hole[..., None], met, known)
    base = np.where(hole[..., None], OWN * sharp + (1 - OWN) * blur(sharp, SMOOTH), known)
    result = _resize(base, size)
    matches = match(known, hole, soft, base)
    if matches is not None:
        lost = photo.astype(np.float32) - _resize(soft, size)
        result += transfer(lost, ~mask, matches, hole.shape)
    near = _around(mask, 4)
    result[near] = meet_edges(photo[near].astype(np.float32), result[near], mask[near], 1)
    rounded = np.rint(result).clip(0, 255).astype(np.uint8)
    completed: RGB = np.where(mask[..., None], rounded, photo)
    return completed


def match(known: _Values, hole: Mask, soft: _Values, base: _Values) -> Matches | None:
    """Find for each patch that touches the hole the known patch to take detail from.

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
    touched = _any_in_patch(hole)
    rows, columns = (_places(length, PATCH // 2) for length in touched.shape)
    cells = np.argwhere(touched[np.ix_(rows, columns)])  # of the grid that targets lie on
    targets = np.stack([rows[cells[:, 0]], columns[cells[:, 1]]], axis=1)
    places = STEP * np.argwhere(~touched[::STEP, ::STEP])
    if not len(places):
        return None

    looks = [(soft, np.where(hole[..., None], base, soft))]
    for _ in range(ROUNDS):
        image, goal = looks[-1]
        wanted, candidates = _patches(goal, targets), _patches(image, places)
        # |c - w|^2 without |w|^2, which does not change the order.
        distance = (candidates**2).sum(1) - 2 * wanted @ candidates.T
        nearest = Matches(targets, places[distance.argmin(1)])
        matches = cohere(nearest, cells, touched, image, wanted)
        detail = transfer(known - soft, ~hole, matches, hole.shape)
        looks.append((known, np.where(hole[..., None], base + detail, known)))
    return matches


def cohere(
    nearest: Matches, cells: NDArray[np.intp], touched: Mask, image: _Values, wanted: _Values
) -> Matches:
    """Let neighbours take their detail from neighbouring places where that costs little.

    The nearest patch alone is often the same for many targets, and shows as a repeated pattern.
    Each target may take over a neighbour's offset to its source (Ashikhmin 2001); what it chooses
    minimises |source - target|^2 plus COHERENCE median(|nearest - target|^2) for every neighbour
    with another offset.

    Args:
        nearest: what to start from.
        cells: (K, 2), row and column of each target on the targets' grid.
        touched: (h', w') bool, corners of patches that touch the hole.
        image: (h, w, 3), where sources are compared.
        wanted: (K, 3 PATCH^2), what they are compared with.
    """
    targets, sources = nearest.targets, nearest.sources.copy()
    number = np.full(cells.max(0) + 3, -1)  # of the target on each cell, with a border of none
    number[cells[:, 0] + 1, cells[:, 1] + 1] = np.arange(len(cells))
    steps = ((0, 1), (2, 1), (1, 0), (1, 2))  # up, down, left, right
    around = np.stack([number[cells[:, 0] + y, cells[:, 1] + x] for y, x in steps], axis=1)
    data = ((_patches(image, sources) - wanted) ** 2).sum(1)
    penalty = COHERENCE * float(np.median(data))

    still = 0  # turns in a row that changed nothing
    for turn in range(2 * SWEEPS):
        if still == 2:
            break
        before = sources.copy()
        mine = np.flatnonzero(cells.sum(1) % 2 == turn % 2)  # as on a chessboard: neighbours rest
        offsets = sources - targets
        neighbours = offsets[around[mine]]  # (k, 4, 2)
        there = around[mine] >= 0

        def broken(offset: NDArray[np.intp], others: Any = neighbours, there: Any = there) -> Any:
            return (there & (others != offset[:, None]).any(-1)).sum(1)

        best = data[mine] + penalty * broken(offsets[mine])
        for side in range(len(steps)):
            source = targets[mine] + neighbours[:, side]
            usable = there[:, side] & (source >= 0).all(1) & (source < touched.shape).all(1)
            usable[usable] = ~touched[tuple(source[usable].T)]
            cost = np.full(len(mine), np.inf)
            cost[usable] = ((_patches(image, source[usable]) - wanted[mine[usable]]) ** 2).sum(1)
            energy = cost + penalty * broken(neighbours[:, side])
            better = energy < best
            best[better], data[mine[better]] = energy[better], cost[better]
            sources[mine[better]] = source[better]
        still = still + 1 if (sources == before).all() else 0
    return Matches(targets, sources)


def transfer(detail: _Values, known: Mask, matches: Matches, scale_of: tuple[int, ...]) -> _Values:
    """Lay the sources' detail over the targets, with soft overlaps.

    Args:
        detail: (H, W, 3), what blurring takes from the photo, at any resolution.
        known: (H, W) bool, where ``detail`` may be taken from.
        matches: corners of patches in an image of the shape ``scale_of``.
        scale_of: (h, w), h <= H and w <= W.

    Returns:
        (H, W, 3) float32, the mean of the patches on each pixel, 0 where there is none.
    """
    height, width = known.shape
    zoom = np.array([height / scale_of[0], width / scale_of[1]])
    rows, columns = np.ceil(PATCH * zoom).astype(int)
    weight = np.outer(_bump(rows), _bump(columns))[..., None]
    usable = detail * known[..., None]
    sums, weights = np.zeros_like(detail), np.zeros((height, width, 1), np.float32)
    corners = (np.rint(at * zoom).astype(int) for at in (matches.targets, matches.sources))
    for (y, x), (v, u) in zip(*corners, strict=True):
        y, v = min(y, height - rows), min(v, height - rows)
        x, u = min(x, width - columns), min(u, width - columns)
        sums[y : y + rows, x : x + columns] += weight * usable[v : v + rows, u : u + columns]
        weights[y : y + rows, x : x + columns] += weight
    np.divide(sums, weights, out=sums, where=weights > 0)
    return sums


def _around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The rectangle around a hole, wider by a margin."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (
        slice(max(rows[0] - margin, 0), rows[-1] + 1 + margin),
        slice(max(columns[0] - margin, 0), columns[-1] + 1 + margin),
    )


def _places(length: int, step: int) -> NDArray[np.intp]:
    """0, step, 2 step … and the last place, of ``length`` places."""
    return np.unique(np.append(np.arange(0, length, step), length - 1))


def _any_in_patch(hole: Mask) -> Mask:
    """Whether a patch touches the hole, for each of its corners: (h - PATCH + 1, w - PATCH + 1)."""
    found = hole
    for axis in (0, 1):
        lines, length = np.moveaxis(found, axis, 0), 1  # each is True for ``length`` lines
        while length < PATCH:
            step = min(length, PATCH - length)
            lines = lines[step:] | lines[:-step]
            length += step
        found = np.moveaxis(lines, 0, axis)
    return found


def _patches(image: _Values, corners: NDArray[np.intp]) -> _Values:
    """(K, 3 PATCH^2), one row a patch."""
    views = sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
    return views[corners[:, 0], corners[:, 1]].reshape(len(corners), 3 * PATCH**2)


def _bump(length: int) -> _Values:
    """A Hann window without its zeros."""
    return np.hanning(length + 2)[1:-1].astype(np.float32)


def _resize(image: _Values, shape: tuple[int, ...]) -> _Values:
    """Bicubic, channel by channel, without rounding."""
    if image.shape[:2] == shape:
        return image.copy()
    size = (shape[1], shape[0])
    planes = (Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(3))
    scaled = [np.asarray(p.resize(size, Image.Resampling.BICUBIC)) for p in planes]
    return np.stack(scaled, axis=-1)
