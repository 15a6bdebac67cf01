"""Completion by regions: what a hole is filled with is copied from around it, in large pieces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from finefill.completion.exemplar.align import Regions, align, enlarged, reach
from finefill.completion.exemplar.candidates import Problem, candidates
from finefill.completion.exemplar.coarser import at_half
from finefill.completion.exemplar.labels import choose_labels
from finefill.completion.exemplar.lines import (
    NONE,
    Continued,
    Lines,
    continued,
    draw,
    enlarged_lines,
    find_lines,
)
from finefill.completion.exemplar.look import COPIED, look_at
from finefill.completion.exemplar.poisson import blended
from finefill.completion.exemplar.repeats import repeats
from finefill.completion.exemplar.seams import COARSE, FINE, choices_of_tiles, cut
from finefill.completion.exemplar.tiles import Indices, channel_sum, tiles_of
from finefill.completion.exemplar.window import (
    AROUND,
    LONGEST,
    MATCHED,
    PANELS,
    Canvas,
    Values,
    at_size,
    full_canvas,
    matching_canvas,
    scaled_slices,
)
from finefill.completion.plan import Box, window_around
from finefill.files import RGB
from finefill.masks import Mask

STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))
# Of a squared difference to what a line shows, beside 1 of one at a cut. Chosen on validation
# photographs.
PRICE_OFF_LINE = np.float32(0.25)
# Of a window at once; larger holes are completed at a reduced scale. Bounds the memory: the
# canvas has some four times its pixels.
WINDOW_PIXELS = 6_000_000
# Pixels at the scale of matching by which what is copied may lie beyond a region's own sources:
# cuts move, regions are shifted, and a ring around them is compared.
SLACK = 11


def fill_hole(photo: RGB, unknown: Mask, hole: Box, guide: RGB, guided: Box) -> RGB | None:
    """Complete a hole of a photograph with regions from around it.

    Args:
        photo: (H, W, 3) uint8; not changed.
        unknown: (H, W) bool, all that is masked and not yet filled.
        hole: what of that to fill is in here.
        guide: (h, w, 3) uint8, another fill, at any scale; it says roughly what belongs there.
        guided: what of the photo ``guide`` shows; ``hole`` lies in it.

    Returns:
        (h, w, 3) uint8, the pixels of ``hole``, completed. None where for a part of it nothing to
        copy is found, mostly because too little is known around it.
    """
    side = max(round(AROUND * hole.side), guided.side, MATCHED)
    box = window_around(hole, side, unknown.shape)
    window, missing, inside = photo[box.slices], unknown[box.slices], hole.within(box)
    scale = min(1.0, (WINDOW_PIXELS / missing.size) ** 0.5)
    if scale < 1:
        size = round(missing.shape[0] * scale), round(missing.shape[1] * scale)
        window, missing = at_size(window, missing, size)
    target = np.zeros_like(missing)
    part = scaled_slices(inside, missing.shape[0] / box.shape[0], missing.shape[1] / box.shape[1])
    target[part] = missing[part]
    middle = (hole.shape[0] * hole.shape[1]) ** 0.5  # of its sides
    zoom = max(1.0, middle * scale / MATCHED, hole.side * scale / LONGEST)
    size = max(16, round(missing.shape[0] / zoom)), max(16, round(missing.shape[1] / zoom))
    filled = fill_window(window, missing, target, _guide_in(box, size, inside, guide, guided))
    if filled is None:
        return None
    if scale == 1:
        return filled[inside.slices]
    across, down = filled.shape[1] / box.shape[1], filled.shape[0] / box.shape[0]
    cut = (inside.left * across, inside.top * down, inside.right * across, inside.bottom * down)
    shape = (inside.shape[1], inside.shape[0])
    return np.asarray(Image.fromarray(filled).resize(shape, Image.Resampling.BICUBIC, cut))


def fill_window(window: RGB, unknown: Mask, hole: Mask, guide: Values) -> RGB | None:
    """Complete a window from itself.

    Args:
        window: (H, W, 3) uint8; not changed.
        unknown: (H, W) bool, what of it is masked.
        hole: (H, W) bool, what of that is to be filled.
        guide: (h, w, 3) float32 in 0..255, a fill at the scale of matching; right in the hole.

    Returns:
        (H, W, 3) uint8, a new array, equal to ``window`` outside ``hole``. None where for a
        part of it nothing to copy is found.
    """
    low = matching_canvas(window, unknown, hole, guide)
    lines = find_lines(low)
    regions = match(low, lines)
    if regions is None and len(lines.ends):
        # Where little is known, most places that the search finds cannot be copied from. What
        # lines draw into the hole leads it to others, and may leave a tile with nothing.
        lines = NONE
        regions = match(low, lines)
    if regions is None:
        return None
    needed = parts_needed(low, regions, hole.shape)
    used = sorted(needed)
    margin = 2 * reach(hole.shape[0] / guide.shape[0]) + 4
    high = full_canvas(window, unknown, hole, needed, margin)
    fine = at_full_size(low, high, regions, lines, used)
    if fine is None:
        return None
    colours = blended(high, fine.pixels, fine.offsets[fine.label])
    result = window.copy()
    rows, columns = (fine.pixels - high.margin).T
    result[rows, columns] = np.rint(colours).clip(0, 255).astype(np.uint8)
    return result


def match(canvas: Canvas, lines: Lines) -> Regions | None:
    """The hole of a canvas at the scale of matching, in regions of one offset each.

    None where a tile has nothing that it could be copied from.
    """
    tiles, again = tiles_of(canvas.hole), repeats(canvas)
    shown = continued(canvas, lines)
    drawn, trust = draw(canvas, shown)
    half = at_half(drawn, tiles)
    if half is not None and again.rows:
        # The same hole, another guide: what the lines show is the same.
        look = look_at(draw(half.canvas, shown)[0], lines, trust, COPIED)
    else:
        look = look_at(drawn, lines, trust)
    problem = Problem(look, tiles)
    offered = candidates(problem, again.offsets, further=None if half is None else half.offsets)
    if not problem.possible(offered).any(1).all():
        return None
    offsets, region_of = np.unique(choose_labels(problem, offered), axis=0, return_inverse=True)
    pixels = canvas.places
    near, prices = choices_of_tiles(problem.tiles, pixels, problem.look.noise)
    coarse = Regions(pixels, region_of.ravel()[near[0]], offsets, problem.look.noise)
    return replace(coarse, label=cut(canvas, coarse, region_of.ravel()[near], prices, COARSE))


def parts_needed(low: Canvas, regions: Regions, shape: tuple[int, ...]) -> dict[int, Box]:
    """What of each panel may be copied where the window has a shape, by the panel's number.

    Of the window itself, 0, all.
    """
    needed = {0: Box(0, shape[0], 0, shape[1])}
    sources = regions.pixels + regions.offsets[regions.label]
    panels = low.panel_of(sources[:, 1])
    for number in set(panels.tolist()) - {0}:
        size = np.array(PANELS[number].size(shape))
        at = sources[panels == number] - (low.margin, low.lefts[number])
        zoom = size / low.sizes[number]
        top, left = np.clip((at.min(0) - SLACK) * zoom, 0, size - 1).astype(int).tolist()
        bottom, right = np.clip((at.max(0) + SLACK) * zoom, 1, size).astype(int).tolist()
        needed[number] = Box(top, max(bottom, top + 1), left, max(right, left + 1))
    return needed


def at_full_size(
    low: Canvas, high: Canvas, regions: Regions, lines: Lines, used: list[int]
) -> Regions | None:
    """The same regions on the canvas of the window's own scale, their offsets and cuts renewed.

    Args:
        low: the canvas of the regions.
        high: the other, of the panels ``used`` only.
        regions: on ``low``.
        lines: the straight edges that cross the hole of ``low``.
        used: numbers of panels, ascending.

    Returns:
        None where a pixel can be copied from nowhere.
    """
    around, pixels = labels_around(low, high, regions), high.places
    fine = Regions(pixels, around[0], enlarged(low, high, regions, used), regions.noise)
    zoom = high.sizes[0][0] / low.sizes[0][0]
    if zoom > 1:
        drawn = continued(high, enlarged_lines(low, high, lines)) if len(lines.ends) else None
        fine = replace(fine, offsets=align(high, fine, reach(zoom), drawn))
        prices = off_lines(high, fine, around, drawn)
        fine = replace(fine, label=cut(high, fine, around, prices, FINE))
    return _all_known(high, fine)


def off_lines(
    canvas: Canvas, regions: Regions, choices: Indices, drawn: Continued | None
) -> Values:
    """What choices of regions cost where lines would not go on with them: (k, p).

    Args:
        canvas: what is copied from.
        regions: their pixels and offsets count.
        choices: (k, p), regions that a pixel chooses from.
        drawn: what lines show; None: there are none, and nothing costs.
    """
    prices = np.zeros(choices.shape, np.float32)
    if drawn:
        at = regions.pixels[drawn.number] + regions.offsets[choices[:, drawn.number]]
        found = canvas.pixels[at[..., 0], at[..., 1]] - drawn.colours
        prices[:, drawn.number] = PRICE_OFF_LINE * drawn.share * channel_sum(found * found)
    return prices


def labels_around(low: Canvas, high: Canvas, regions: Regions) -> Indices:
    """The labels that a pixel of a larger canvas's hole may have: (3, p).

    Those of the smaller canvas's pixel that it lies in, and of the two that are nearest to it above
    or below that, and left or right of it.
    """
    # Only around the hole: the canvas is many times as large.
    corner = regions.pixels.min(0) - low.margin
    number = np.full(regions.pixels.max(0) + 1 + low.margin - corner, -1, np.intp)
    number[tuple((regions.pixels - corner).T)] = regions.label
    for _ in range(2):  # roundings may lead out of the hole
        for row, column in STEPS:
            number = np.where(number < 0, np.roll(number, (row, column), (0, 1)), number)
    zoom = np.array(high.sizes[0]) / low.sizes[0]
    at = (high.places - high.margin + 0.5) / zoom
    pixel = at.astype(np.intp)
    rows, columns = (pixel + low.margin - corner).T
    down, right = np.where(at - pixel < 0.5, -1, 1).T
    own = number[rows, columns]
    beside = number[rows + down, columns], number[rows, columns + right]
    return np.stack([own, *(np.where(label >= 0, label, own) for label in beside)])


def _all_known(canvas: Canvas, regions: Regions) -> Regions | None:
    """The regions, pixels that would be copied from what is not known moved to another one."""
    label = regions.label.copy()
    at = regions.pixels + regions.offsets[label]
    lost = np.flatnonzero(~canvas.known[at[:, 0], at[:, 1]])
    for region in np.argsort(-np.bincount(label), kind="stable"):
        if not lost.size:
            break
        at = regions.pixels[lost] + regions.offsets[region]
        inside = ((at >= 0) & (at < canvas.known.shape)).all(1)
        inside[inside] = canvas.known[tuple(at[inside].T)]
        label[lost[inside]] = region
        lost = lost[~inside]
    return None if lost.size else replace(regions, label=label)


def _guide_in(box: Box, size: tuple[int, int], hole: Box, guide: RGB, guided: Box) -> Values:
    """The guide as a window's fill: (h, w, 3) float32, right in ``hole``, a box of the window.

    Args:
        box: the window, in the photo's pixels as ``guided``.
        size: (h, w).
        hole: counted from the window's corner.
        guide: of what ``guided`` shows.
        guided: see there.
    """
    result = np.zeros((*size, 3), np.float32)
    down, across = size[0] / box.shape[0], size[1] / box.shape[1]
    rows, columns = scaled_slices(hole, down, across)
    zoom = guide.shape[0] / guided.shape[0], guide.shape[1] / guided.shape[1]
    top, bottom = ((row / down + box.top - guided.top) * zoom[0] for row in (rows.start, rows.stop))
    left, right = (
        (column / across + box.left - guided.left) * zoom[1]
        for column in (columns.start, columns.stop)
    )
    seen = (
        max(left, 0.0), max(top, 0.0), min(right, guide.shape[1]), min(bottom, guide.shape[0]),
    )  # fmt: skip
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    part = Image.fromarray(guide).resize(shape, Image.Resampling.BICUBIC, seen)
    result[rows, columns] = np.asarray(part)
    return result
