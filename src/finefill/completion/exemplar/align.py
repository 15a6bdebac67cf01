"""From the scale of matching to that of the photograph: region by region, not pixel by pixel.

A region's offset is scaled, and then shifted by a few pixels until the region continues what lies
around it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finefill.completion.exemplar.lines import Continued
from finefill.completion.exemplar.tiles import Indices, channel_sum
from finefill.completion.exemplar.window import Canvas

RING = 3  # pixels around a region that it is to continue
SAMPLES = 150  # of them that are compared at most
FEWEST = 6  # of them that are enough to compare
LARGEST = 120  # a difference, over the channels, that counts fully: another object begins there
COUNT_ON_LINE = 4  # pixels of a ring that one on a straight edge counts as much as, at most
STAY = 0.01  # by which share a shift of one pixel must be better to be preferred


@dataclass(frozen=True)
class Regions:
    """Which pixel belongs to which region.

    Attributes:
        pixels: (p, 2), all of the hole.
        label: (p,), the number of its region.
        offsets: (r, 2), of each region.
        noise: a small squared difference between colours.
    """

    pixels: Indices
    label: Indices
    offsets: Indices
    noise: float


def reach(zoom: float) -> int:
    """By how many pixels an offset may be wrong after scaling by ``zoom``, and is shifted."""
    return math.ceil(zoom / 2) + 1


def enlarged(low: Canvas, high: Canvas, regions: Regions, used: list[int]) -> Indices:
    """Offsets of regions on a canvas at a larger scale: (r, 2).

    Args:
        low: the canvas of the regions.
        high: the other; of the panels ``used`` only.
        regions: on ``low``.
        used: numbers of panels, ascending.
    """
    numbers, first = np.unique(regions.label, return_index=True)
    panels = np.zeros(len(regions.offsets), np.intp)
    sources = regions.pixels[first] + regions.offsets[numbers]
    panels[numbers] = low.panel_of(sources[:, 1])
    zoom = np.array(high.sizes[0]) / low.sizes[0]
    there = np.searchsorted(used, panels)
    moved = np.array(low.lefts)[panels] - low.margin
    moved_there = np.array(high.lefts)[there] - high.margin
    rows = np.rint(regions.offsets[:, 0] * zoom[0])
    columns = np.rint((regions.offsets[:, 1] - moved) * zoom[1]) + moved_there
    return np.stack([rows, columns], axis=1).astype(np.intp)


def align(canvas: Canvas, regions: Regions, most: int, drawn: Continued | None = None) -> Indices:
    """Offsets shifted by up to ``most`` pixels so that regions meet what lies around them: (r, 2).

    Regions with the longest border to known pixels come first; what is settled counts as known for
    those that follow. The mean absolute difference to a ring of settled pixels decides. Where a
    region lies on a straight edge, ``drawn`` is what that shows there, and counts too: an edge
    should not step.
    """
    pixels, label = regions.pixels, regions.label
    offsets, count = regions.offsets.copy(), len(regions.offsets)
    top, left = pixels.min(0) - RING - 1
    bottom, right = np.minimum(pixels.max(0) + RING + 2, canvas.known.shape)
    top, left = max(int(top), 0), max(int(left), 0)
    corner = np.array((top, left))
    here = (slice(top, bottom), slice(left, right))
    colours, settled = canvas.pixels[here].astype(np.int16), canvas.known[here].copy()
    rows, columns = (pixels - corner).T
    number = np.full(settled.shape, -1, np.intp)
    number[rows, columns] = label
    order = np.argsort(label, kind="stable")
    members = np.split(order, np.searchsorted(label[order], np.arange(1, count)))
    shifts = np.stack(np.meshgrid(*[np.arange(-most, most + 1)] * 2, indexing="ij"), axis=-1)
    shifts = shifts.reshape(-1, 2)
    lines = np.zeros(len(pixels), np.intp)  # what a pixel on a line counts beside one of a ring
    expected = np.zeros((len(pixels) if drawn else 0, 3), np.int16)
    if drawn:
        lines[drawn.number] = np.rint(COUNT_ON_LINE * drawn.share)
        expected[drawn.number] = np.rint(drawn.colours)

    for region in np.argsort(-_border(settled, rows, columns, label, count), kind="stable"):
        mine = members[region]
        if not mine.size:
            continue
        ring = _ring(number, settled, region, rows[mine], columns[mine])
        settled[rows[mine], columns[mine]] = True
        compared, wanted = ring + corner, colours[ring[:, 0], ring[:, 1]]
        counts = np.ones(len(ring), np.intp)
        on_line = _some(mine[lines[mine] > 0])
        if on_line.size:
            compared = np.concatenate([compared, pixels[on_line]])
            wanted = np.concatenate([wanted, expected[on_line]])
            counts = np.concatenate([counts, lines[on_line]])
        if len(compared) >= FEWEST:
            offsets[region] += _best_shift(
                canvas, compared, offsets[region], shifts, wanted, counts
            )
        at = pixels[mine] + offsets[region]
        colours[rows[mine], columns[mine]] = canvas.pixels[at[:, 0], at[:, 1]]
    return offsets


def _border(
    settled: NDArray[np.bool_], rows: Indices, columns: Indices, label: Indices, count: int
) -> Indices:
    """How many sides of each region's pixels are known."""
    border = np.zeros(count, np.intp)
    for row, column in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        beside = settled[
            np.clip(rows + row, 0, settled.shape[0] - 1),
            np.clip(columns + column, 0, settled.shape[1] - 1),
        ]
        border += np.bincount(label[beside], minlength=count)
    return border


def _ring(
    number: Indices, settled: NDArray[np.bool_], region: int, rows: Indices, columns: Indices
) -> Indices:
    """(s, 2): settled pixels up to RING steps from a region, up to some SAMPLES of them."""
    top, left = max(rows.min() - RING, 0), max(columns.min() - RING, 0)
    box = (slice(top, rows.max() + RING + 1), slice(left, columns.max() + RING + 1))
    region_here = number[box] == region
    wide = region_here
    for _ in range(RING):
        wider = wide.copy()
        wider[1:] |= wide[:-1]
        wider[:-1] |= wide[1:]
        wider[:, 1:] |= wide[:, :-1]
        wider[:, :-1] |= wide[:, 1:]
        wide = wider
    ring: Indices = np.argwhere(wide & ~region_here & settled[box]) + np.array((top, left))
    return _some(ring)


def _some(places: Indices) -> Indices:
    """Of places (s, …), at most SAMPLES, evenly."""
    return places[:: len(places) // SAMPLES + 1]


def _best_shift(
    canvas: Canvas,
    ring: Indices,
    offset: Indices,
    shifts: Indices,
    wanted: NDArray[np.int16],
    counts: Indices,
) -> Indices:
    """The shift of an offset by which pixels find best what is wanted of them: (2,).

    None, (0, 0), where too little is known there.

    Args:
        canvas: what is copied from.
        ring: (s, 2), the pixels.
        offset: (2,).
        shifts: (k, 2), those that are tried.
        wanted: (s, 3), their colours.
        counts: (s,), what each pixel counts.
    """
    height, width = canvas.known.shape
    rows, columns = (ring + offset).T
    at = np.clip(rows + shifts[:, :1], 0, height - 1) * width  # (k, s)
    at += np.clip(columns + shifts[:, 1:], 0, width - 1)
    known = canvas.known.ravel().take(at)
    found = canvas.pixels.reshape(-1, 3).take(at, axis=0).astype(np.int16)
    found -= wanted
    difference = np.minimum(channel_sum(np.abs(found)), LARGEST)  # at most 3 x 255
    counted = known * counts
    count = counted.sum(1)
    cost = (difference * counted).sum(1) / np.maximum(count, 1)
    cost = (cost + 1) * (1 + STAY * np.abs(shifts).sum(1))  # of equals, the nearest
    cost[2 * count < counts.sum()] = np.inf
    best = int(cost.argmin())
    return shifts[best] if np.isfinite(cost[best]) else np.zeros(2, np.intp)
