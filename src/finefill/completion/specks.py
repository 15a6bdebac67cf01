"""Specks: holes of a few pixels, all at once and without the network.

So little is told best by what is right beside it. The colours go on smoothly from all sides, as a
mean with weights by distance (Shepard 1968); the grain on top of that is what the most similar
place nearby has beyond its own smooth continuation. Of squares of 3 and 5 pixels in held-out
photographs this is 2 to 5 dB better than the network and nearer in features, of 8 as good; of 10
worse in features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from finefill.completion.blend import LEAST, patches
from finefill.completion.plan import Box, Window, extent, pieces
from finefill.files import RGB
from finefill.masks import Mask

SIDE = 8  # pixels, the longest side of a speck
RIM = 4  # pixels around it that tell what it is like
PATCH = SIDE + 2 * RIM
REACH = 14  # pixels beyond a patch within which a similar one is looked for
AREA = PATCH + 2 * REACH
FALL = 6  # the weight of a pixel is its distance to minus this power
GRAIN = 0.5  # share of the similar place's grain: it is never quite the same
APART = 2  # free pixels between specks
MOST = 500_000  # masked pixels; more are taken apart without a list of them all
AT_ONCE = 64  # specks: bounds the memory; more at once are no faster

_Values = NDArray[np.float32]


def fill(image: RGB, mask: Mask, masked: Box | None = None) -> list[Window]:
    """Fill specks, from nothing but known pixels around each.

    Args:
        image: (H, W, 3) uint8; specks are filled in place.
        mask: (H, W) bool, what is not known; what was filled is known afterwards.
        masked: a box that holds all of it, which spares a look at the rest.

    Returns:
        What was filled, with the surroundings that were looked at. Nothing in photos less than
        ``AREA`` high or wide.
    """
    if min(mask.shape) < AREA:
        return []
    holes = find(mask, masked)
    done = [_filled(image, mask, some) for some in _parts(holes)]
    for rows, columns, colours in done:
        image[rows, columns] = colours
        mask[rows, columns] = False
    middles = _edges(holes).reshape(-1, 2, 2).sum(2)
    areas = np.clip((middles - AREA) // 2, 0, np.array(mask.shape) - AREA).tolist()
    return [
        Window(Box(top, top + AREA, left, left + AREA), hole, (AREA, AREA))
        for (top, left), hole in zip(areas, holes, strict=True)
    ]


def find(mask: Mask, masked: Box | None = None) -> list[Box]:
    """Bounding boxes of all that is small enough and stands alone, as :func:`fill` looks for it."""
    area = masked or extent(mask)
    part = mask[area.slices]
    rows = np.flatnonzero(part.any(axis=1))
    if not rows.size:
        return []
    part = part[rows]
    if np.count_nonzero(part) > MOST:
        return _small_pieces(mask, area)
    y, x = np.nonzero(part)
    y, x = area.top + rows[y], area.left + x
    boxes, alone = _alone(y, x)
    if not alone.all():
        rest = np.zeros(mask.shape, bool)
        rest[y[~alone], x[~alone]] = True
        boxes += _small_pieces(rest, area)
    return boxes


def _small_pieces(mask: Mask, area: Box) -> list[Box]:
    return [box for box in pieces(mask, area, APART) if box.side <= SIDE]


def _alone(y: NDArray[np.intp], x: NDArray[np.intp]) -> tuple[list[Box], Mask]:
    """Boxes of the specks around which nothing lies, and which of the pixels are told by that.

    Looked at are cells of ``SIDE`` by ``SIDE`` pixels: a speck lies in two by two of them at most,
    which have no neighbours.
    """
    row, column = y // SIDE + 1, x // SIDE + 1
    cells = np.zeros((int(row.max()) + 2, int(column.max()) + 2), np.int64)
    cells[row, column] = row * cells.shape[1] + column
    there = cells > 0
    labels = np.where(there, _of_neighbours(cells, np.maximum), 0)
    first = _of_neighbours(np.where(there, labels, cells.size), np.minimum)
    split = there & (first != _of_neighbours(labels, np.maximum))  # reaches on
    own = labels[row, column]
    alone = ~np.isin(own, labels[split])
    order = np.flatnonzero(alone)[np.argsort(own[alone], kind="stable")]
    if not order.size:
        return [], alone
    starts = np.flatnonzero(np.diff(own[order], prepend=-1))
    edges = np.stack(
        [
            np.minimum.reduceat(y[order], starts),
            np.maximum.reduceat(y[order], starts) + 1,
            np.minimum.reduceat(x[order], starts),
            np.maximum.reduceat(x[order], starts) + 1,
        ],
        axis=1,
    )
    small = (edges[:, 1::2] - edges[:, ::2] <= SIDE).all(axis=1)
    alone[order] = np.repeat(small, np.diff(starts, append=len(order)))
    return [Box(*edge) for edge in edges[small].tolist()], alone


def _of_neighbours(values: NDArray[np.int64], choose: Any) -> NDArray[np.int64]:
    """The largest or smallest of each cell and its eight neighbours, but at the border."""
    found = values.copy()
    lines = choose(choose(values[:-2], values[1:-1]), values[2:])
    found[1:-1, 1:-1] = choose(choose(lines[:, :-2], lines[:, 1:-1]), lines[:, 2:])
    return found


def _parts(holes: Sequence[Box]) -> Iterator[NDArray[np.intp]]:
    edges = _edges(holes)
    for first in range(0, len(holes), AT_ONCE):
        yield edges[first : first + AT_ONCE]


def _edges(holes: Sequence[Box]) -> NDArray[np.intp]:
    """(N, 4): top, bottom, left, right."""
    edges = [(hole.top, hole.bottom, hole.left, hole.right) for hole in holes]
    return np.array(edges, np.intp).reshape(-1, 4)


def _filled(
    image: RGB, mask: Mask, edges: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], RGB]:
    """Rows, columns and colours of the masked pixels of (N, 4) boxes."""
    limits = np.array(mask.shape)
    middle = np.stack([edges[:, 0] + edges[:, 1], edges[:, 2] + edges[:, 3]], axis=1) // 2
    corners = np.clip(middle - PATCH // 2, 0, limits - PATCH)
    areas = np.clip(middle - AREA // 2, 0, limits - AREA)
    known = ~patches(mask[..., None], corners, PATCH)  # (N, PATCH^2)
    wanted = _colours(image, corners)
    places = areas + _similar(image, mask, areas, wanted, known)
    lenders = _colours(image, places)

    share = known.astype(np.float32)[..., None]
    both = np.concatenate([wanted * share, lenders * share, share], axis=2)
    means = np.tensordot(both, _nearness(), axes=(1, 0)).swapaxes(1, 2)  # (N, PATCH^2, 7)
    means[..., :6] /= np.maximum(means[..., 6:], LEAST)
    values = means[..., :3] + GRAIN * (lenders - means[..., 3:6])

    down, right = (axis.reshape(-1) for axis in np.indices((PATCH, PATCH)))
    rows, columns = corners[:, :1] + down, corners[:, 1:] + right
    top, bottom, left, right = (edges[:, side : side + 1] for side in range(4))
    own = ~known & (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    return rows[own], columns[own], np.rint(values[own]).clip(0, 255).astype(np.uint8)


def _similar(
    image: RGB, mask: Mask, areas: NDArray[np.intp], wanted: _Values, known: Mask
) -> NDArray[np.intp]:
    """Where in each area the known patch lies that is most like the wanted one: (N, 2).

    Compared is the brightness of what is known, at half the size.
    """
    half, side = PATCH // 2, AREA // 2
    light = _quarters(_light(patches(image, areas, AREA)), AREA).reshape(-1, side, side)
    unknown = patches(mask[..., None], areas, AREA).reshape(-1, side, 2, side, 2)
    unknown = unknown[:, :, 0] | unknown[:, :, 1]
    unknown = unknown[..., 0] | unknown[..., 1]

    def candidates(values: NDArray[Any]) -> NDArray[Any]:
        views = sliding_window_view(values, (half, half), axis=(1, 2))
        return views.reshape(len(values), -1, half**2)

    middle = light.mean(axis=(1, 2))[:, None]
    light -= middle[..., None]
    share = _quarters(known.astype(np.float32), PATCH)
    goal = _quarters((_light(wanted.reshape(len(wanted), -1)) - middle) * known, PATCH)
    there = candidates(light)
    cost = np.matmul(there * there, share[..., None]) - 2 * np.matmul(there, goal[..., None])
    cost[candidates(unknown).any(axis=2)] = np.inf
    best = cost[..., 0].argmin(axis=1)
    count = side - half + 1
    return 2 * np.stack([best // count, best % count], axis=1)


def _quarters(values: _Values, side: int) -> _Values:
    """Means of 2x2 of (N, side^2): (N, side^2 / 4)."""
    rows = values.reshape(len(values), side // 2, 2, side)
    lines = rows[:, :, 0] + rows[:, :, 1]
    means = lines[..., ::2] + lines[..., 1::2]
    means *= np.float32(0.25)
    return means.reshape(len(values), -1)


def _light(colours: NDArray[Any]) -> _Values:
    """Means of three by three: (N, 3 K) -> (N, K)."""
    light = colours[:, ::3].astype(np.float32)
    light += colours[:, 1::3]
    light += colours[:, 2::3]
    light /= 3
    return light


def _colours(image: RGB, corners: NDArray[np.intp]) -> _Values:
    """(N, PATCH^2, 3)."""
    return patches(image, corners, PATCH).reshape(-1, PATCH**2, 3).astype(np.float32)


@cache
def _nearness() -> _Values:
    """The weight of each pixel of a patch for each other: (PATCH^2, PATCH^2)."""
    places = np.indices((PATCH, PATCH)).reshape(2, -1)
    squares = ((places[:, :, None] - places[:, None]) ** 2).sum(0)
    weights: _Values = (np.maximum(squares, 0.5) ** (-FALL / 2)).astype(np.float32)
    return weights
