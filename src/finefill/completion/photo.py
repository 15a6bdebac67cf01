"""Photographs of any size: carries out a :mod:`finefill.completion.plan` on the pixels.

What is read, scaled and computed is the windows around the holes; of the whole photo there is one
copy, the result. Only masked pixels change.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.completion import confidence, plain, specks
from finefill.completion import wrap as wrapping
from finefill.completion.catalog import load
from finefill.completion.detail import add_detail
from finefill.completion.engine import Engine, check_arrays
from finefill.completion.exemplar import FILLS, Fill, Way, allowed, structured, thin
from finefill.completion.plan import (
    CONTEXT,
    Box,
    Window,
    bounds,
    extent,
    plan,
    wholes,
    window_around,
)
from finefill.completion.wrap import Wrap, check_wrap
from finefill.errors import FinefillError
from finefill.files import RGB, for_network, hidden_of, photo_of, put_back, turn
from finefill.masks import Mask, binarize, check, of_image, threefold
from finefill.masks import scale as scale_mask

CHUNK = 32  # windows whose network inputs are kept at a time
# Of a window that detail is added to at once; holes with larger windows get theirs at a reduced
# scale. Bounds the memory: about 100 bytes a pixel.
DETAIL_PIXELS = 4_000_000
SEEN = 0.2  # of a window; where less is, the colours spread from there stand for what is hidden
LOOKED_AT = 80  # pixels, of a hole whose surroundings are looked at


class Filled(NamedTuple):
    """What became of one window.

    Attributes:
        window: the piece of the plan; with ``wrap`` it may end beyond the bottom or right border,
            and goes on at the other one.
        way: "network"; "regions": copied from around the hole; "plain": one colour or plane;
            "specks": a few pixels, continued from beside them.
        confidence: 0 to 1 (see :mod:`finefill.completion.confidence`); None: not measured.
        warning: why its fill should be looked at, in a sentence; empty = nothing known against it.
    """

    window: Window
    way: Way
    confidence: float | None
    warning: str


class Report(NamedTuple):
    """A completed photo and how its holes were filled.

    Attributes:
        rgb: (H, W, 3) uint8.
        filled: one entry a window, in the order in which they were filled.
        notes: what is to be told about all of it.
    """

    rgb: RGB
    filled: tuple[Filled, ...]
    notes: tuple[str, ...] = ()

    @property
    def confidence(self) -> float | None:
        """The lowest one; None where none was measured."""
        return min(
            (one.confidence for one in self.filled if one.confidence is not None), default=None
        )

    @property
    def ways(self) -> tuple[str, ...]:
        """By which ways the holes were filled, each once."""
        return tuple(dict.fromkeys(one.way for one in self.filled))

    @property
    def warnings(self) -> list[str]:
        """What is to be told, each once."""
        found = (*self.notes, *(one.warning for one in self.filled if one.warning))
        return list(dict.fromkeys(found))


@overload
def complete(
    image: NDArray[np.uint8],
    mask: NDArray[Any] | Image.Image,
    model: str | Engine = "places",
    *,
    fill: Fill = "auto",
    wrap: Wrap | None = None,
    values: Collection[str] = (),
) -> NDArray[np.uint8]: ...
@overload
def complete(
    image: Image.Image,
    mask: NDArray[Any] | Image.Image,
    model: str | Engine = "places",
    *,
    fill: Fill = "auto",
    wrap: Wrap | None = None,
    values: Collection[str] = (),
) -> Image.Image: ...
def complete(
    image: NDArray[np.uint8] | Image.Image,
    mask: NDArray[Any] | Image.Image,
    model: str | Engine = "places",
    *,
    fill: Fill = "auto",
    wrap: Wrap | None = None,
    values: Collection[str] = (),
) -> NDArray[np.uint8] | Image.Image:
    """Complete the masked part of a photograph.

    Args:
        image: (H, W, 3) uint8 RGB, or a Pillow image of mode 1, L, LA, P, PA, RGB, RGBA, CMYK,
            YCbCr or I;16; from 16x16 pixels up; not changed.
        mask: pixel for pixel as ``image`` is in memory: (H, W) or (H, W, 1) bool, 0..255 or
            0..1, labels, or a Pillow image; True, white, or all labels but the background = to be
            completed.
        model: a name that ``finefill models`` lists, the path of an .onnx file, or an engine.
        fill: "network": by the network; "regions": copied in large pieces from around the hole,
            which continues facades, windows and tiles; "auto": what suits each hole's surroundings.
        wrap: for tiles and panoramas: "x": what leaves the image, as it is shown, at the left goes
            on at the right; "y": at the top and the bottom; "xy": both; None: neither.
        values: of a Pillow mask, what is to be completed: numbers of a grey or palette mask,
            "#RRGGBB", "transparent", "opaque"; none: what the mask itself tells.

    Returns:
        What was given, array or Pillow image of the same size and mode; pixels outside the mask
        are the same.

    Raises:
        FinefillError: an argument cannot be used; the message tells which and what would.

    Warns:
        UserWarning: a Pillow image whose mask is its alpha channel or whose ICC profile is damaged;
            a hole that regions were asked for, where for a part of it nothing to copy was found; a
            hole that goes across all of an image that is to wrap.
    """
    if not isinstance(image, np.ndarray | Image.Image):
        raise FinefillError(
            f"the image is a {type(image).__name__}: give a NumPy array or a Pillow image"
        )
    if not isinstance(model, str | os.PathLike | Engine):
        raise FinefillError(
            f"the model is a {type(model).__name__}: give a name, the path of a file, or an Engine"
        )
    engine = model if isinstance(model, Engine) else load(model)
    hole = _mask_of(mask, values)
    if isinstance(image, np.ndarray):
        check_arrays(image, hole)
        return _told(fill_with_report(engine, image, check(hole), fill=fill, wrap=wrap), fill)
    photo = photo_of(image)
    if hole.shape != (image.height, image.width):
        turned = hole.shape == image.size and photo.orientation != 1
        exchanged = ": turn the image first, PIL.ImageOps.exif_transpose(image)" if turned else ""
        raise FinefillError(
            f"the mask is {hole.shape[1]}x{hole.shape[0]} pixels, the image {image.width}x"
            f"{image.height}: both must have one size{exchanged}"
        )
    upright = turn(check(hole).astype(np.uint8), photo.orientation).astype(bool)
    photo = for_network(photo, upright)
    report = fill_with_report(
        engine,
        photo.rgb,
        upright,
        fill=fill,
        wrap=wrap,
        hidden=hidden_of(photo),
        overwrite=True,
    )
    filled = _told(report, fill)
    return put_back(photo, filled, upright)


def fill_photo(
    engine: Engine, image: RGB, mask: Mask, *, fill: Fill = "auto", wrap: Wrap | None = None
) -> RGB:
    """Complete an upright photo of any size.

    Args:
        engine: the model.
        image: (H, W, 3) uint8; not changed.
        mask: (H, W) bool, True = to be completed.
        fill: as for :func:`complete`.
        wrap: as for :func:`complete`.

    Returns:
        (H, W, 3) uint8, a new array, equal to ``image`` outside the mask.
    """
    return fill_with_report(engine, image, mask, fill=fill, wrap=wrap).rgb


def fill_with_report(
    engine: Engine,
    image: RGB,
    mask: Mask,
    *,
    measure: bool = False,
    fill: Fill = "auto",
    wrap: Wrap | None = None,
    hidden: Mask | None = None,
    overwrite: bool = False,
) -> Report:
    """Complete an upright photo as :func:`fill_photo` does, and tell how sure the fills are.

    Args:
        engine: the model.
        image: (H, W, 3) uint8; not changed, unless ``overwrite``.
        mask: (H, W) bool, True = to be completed.
        measure: run the network a second time on every window to measure the confidence, unless
            nothing is known about the model's. Without it only holes too large for the model are
            warned of, which costs nothing.
        fill: as for :func:`complete`.
        wrap: as for :func:`complete`.
        hidden: (H, W) bool, what shows nothing (:func:`finefill.files.hidden_of`): no region is
            copied from there.
        overwrite: fill in ``image`` itself, and spare a copy of the photo; not where ``wrap``
            rolls it.

    Returns:
        The photo, equal to ``image`` outside the mask, and an entry for each window.

    Raises:
        FinefillError: shapes or types do not fit, ``wrap`` is unknown, or the model does not allow
            such a ``fill``.
    """
    check_arrays(image, mask)
    card = engine.card
    check_fill(fill, card)
    check_wrap(wrap)
    unmeasured = confidence.unmeasured(card) if measure else ""
    measured = measure and not unmeasured
    notes = (*filter(None, [unmeasured]), *wrapping.notes(mask, wrap))
    shift = wrapping.shift_of(mask, wrap)
    if any(shift):
        result, left = np.roll(image, shift, (0, 1)), np.roll(mask, shift, (0, 1))
        hidden = None if hidden is None else np.roll(hidden, shift, (0, 1))
        masked = extent(left)
    else:
        result, masked = image if overwrite else image.copy(), extent(mask)
        # Not a copy: pages of zeros cost nothing until they are touched.
        left = np.zeros(mask.shape, bool)
        left[masked.slices] = mask[masked.slices]
    sure_of_it = 1.0 if measured else None
    tiny = specks.fill(result, left, masked) if fill == "auto" and card["detail"] else []
    filled = [Filled(one, "specks", sure_of_it, "") for one in tiny]
    drawn: list[tuple[Window, float | None]] = []
    regions = fill == "regions" or (fill == "auto" and allowed(card))
    unsure = np.zeros(left.shape if regions else (0, 0), bool)  # what the network drew
    for planned in _chunks(plan(left, card, masked)):
        windows = plain.fill(result, left, planned)
        filled += [Filled(one, "plain", sure_of_it, "") for one in planned if one not in windows]
        inputs = [_shrink(result, _unseen(left, window, hidden), window) for window in windows]
        smalls, holes = [small for small, _ in inputs], [hole for _, hole in inputs]
        fills = engine.fill_many(smalls, holes)
        surenesses: list[float | None] = [None] * len(windows)
        if measured:
            surenesses = [*confidence.measure(engine, smalls, holes, fills)]
        for window, small, hole, guess in zip(windows, smalls, holes, fills, strict=True):
            unseen = _unseen(left, window, hidden)
            _put(result, left, unseen, window, small, hole, guess, detail=card["detail"])
            own = window.hole.slices
            if regions:
                unsure[own] |= left[own]
            left[own] = False
        drawn += zip(windows, surenesses, strict=True)
    ways: dict[Box, Way] = {}
    if regions:
        ways = _copy_regions(result, unsure, [window for window, _ in drawn], fill, hidden)
    for window, sure in drawn:
        way = ways.get(window.hole, "network")
        shown = wrapping.moved(window, shift, mask.shape)
        warning = confidence.warning(shown, sure, card, way)
        if fill == "regions" and way == "network":
            warning = f"{confidence.name_of(shown)}: for a part of it nothing to copy was found"
        filled.append(Filled(window, way, sure, warning))
    if any(shift):
        result = np.roll(result, (-shift[0], -shift[1]), (0, 1))
        filled = [
            one._replace(window=wrapping.moved(one.window, shift, mask.shape)) for one in filled
        ]
    return Report(result, tuple(filled), notes)


def check_fill(fill: str, card: Mapping[str, Any]) -> None:
    """Refuse what is no way of filling, or none that a model, by its card, allows."""
    if fill not in FILLS:
        raise FinefillError(f"fill: {fill!r}: use one of {', '.join(FILLS)}")
    if fill == "regions" and not allowed(card):
        raise FinefillError(
            f"fill: model {card['name']} does not allow regions: use auto or network"
        )


def _chunks(windows: list[Window]) -> Iterator[list[Window]]:
    """Windows that need nothing from each other, up to ``CHUNK`` at a time."""
    for _, some in groupby(windows, key=lambda window: window.turn):
        turn_of_them = list(some)
        for first in range(0, len(turn_of_them), CHUNK):
            yield turn_of_them[first : first + CHUNK]


def _unknown(mask: Mask, window: Window) -> Mask:
    """What of a window is not known when its turn comes: (h, w) bool, a new array."""
    left = mask[window.box.slices].copy()
    for hole in window.known:
        left[hole.within(window.box).slices] = False
    return left


def _unseen(mask: Mask, window: Window, hidden: Mask | None) -> Mask:
    """What of a window is not known, and what is hidden, unless that is most of it."""
    unknown = _unknown(mask, window)
    if hidden is None:
        return unknown
    unseen = unknown | hidden[window.box.slices]
    return unseen if np.count_nonzero(~unseen) >= SEEN * unseen.size else unknown


def _shrink(image: RGB, unknown: Mask, window: Window) -> tuple[RGB, Mask]:
    """A window's pixels and hole at the network's scale; what the hole touches at all is of it."""
    part, size = image[window.box.slices], window.size
    if size == unknown.shape:
        return part.copy(), unknown
    hole = scale_mask(unknown, size)
    if hole.all():
        raise FinefillError("the mask leaves too little of the photo to complete it from")
    if window.scale > 1:
        return _enlarge(part, unknown, size), hole
    # Area averages: outside the pixels that the hole touches at all, nothing of it is mixed in.
    return _resized(part, size, Image.Resampling.BOX), hole


def _enlarge(part: RGB, unknown: Mask, size: tuple[int, int]) -> RGB:
    """A window's pixels, scaled up from those that are known alone; the rest is of no account."""

    def larger(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        how = Image.Resampling.BILINEAR  # its weights are never negative
        return np.asarray(Image.fromarray(plane).resize((size[1], size[0]), how))

    known = (~unknown).astype(np.float32)
    weight = np.maximum(larger(known), 1e-6)
    planes = [larger(part[..., channel] * known) / weight for channel in range(3)]
    return np.rint(np.stack(planes, 2)).clip(0, 255).astype(np.uint8)


def _copy_regions(
    result: RGB, unknown: Mask, windows: Sequence[Window], fill: Fill, hidden: Mask | None
) -> dict[Box, Way]:
    """Complete whole holes in the photo from around them; the network's fills are the guide.

    Args:
        result: (H, W, 3) uint8, with the network's fills; changed in place.
        unknown: (H, W) bool, what the network filled; what is settled is taken out, in place.
        windows: the network's.
        fill: "regions", or "auto", which leaves to the network what suits it.
        hidden: (H, W) bool, what shows nothing; not copied.

    Returns:
        The way of each window's hole.
    """
    ways: dict[Box, Way] = {}
    unseen = unknown if hidden is None else unknown | hidden
    for parts in wholes(unknown, [window.hole for window in windows]):
        way: Way = "network"
        hole = bounds(parts)
        if fill == "regions" or _suits_regions(result, unseen, hole):
            way = _put_regions(result, unknown, unseen, hole)
        for part in parts:
            unknown[part.slices] = False
            if hidden is not None:
                unseen[part.slices] = hidden[part.slices]
            ways[part] = way
    return ways


def _suits_regions(result: RGB, unseen: Mask, hole: Box) -> bool:
    """Whether the surroundings of a hole are such that regions continue them better."""
    scale = min(1.0, LOOKED_AT / hole.side)
    if thin(hole, scale):
        return False
    box = window_around(hole, round(CONTEXT * hole.side), unseen.shape)
    part, missing = result[box.slices], unseen[box.slices]
    if scale < 1:
        size = round(box.shape[0] * scale), round(box.shape[1] * scale)
        part = _resized(part, size, Image.Resampling.BOX)
        missing = scale_mask(missing, size)
    return structured(part, missing)


def _put_regions(result: RGB, unknown: Mask, unseen: Mask, hole: Box) -> Way:
    """Complete a hole in the photo from around it, the fill that is there for a guide.

    Tells by which way it is completed: "network" where nothing to copy is found for a part of it.
    """
    from finefill.completion.exemplar import fill_hole  # few calls come here

    part, own = result[hole.slices], unknown[hole.slices]  # views
    copied = fill_hole(result, unseen, hole, part.copy(), hole)
    if copied is None:
        return "network"
    box = window_around(hole, round(CONTEXT * hole.side), unknown.shape)
    copied = plain.toned(copied, result[box.slices], ~unknown[box.slices])
    np.copyto(part, copied, where=threefold(own))
    return "regions"


def _told(report: Report, fill: Fill) -> RGB:
    """A report's photo; warns where what was asked for could not be done."""
    for note in report.notes:
        warnings.warn(note, stacklevel=3)
    for one in report.filled:
        if fill == "regions" and one.way == "network":
            warnings.warn(one.warning, stacklevel=3)
    return report.rgb


def _put(
    result: RGB,
    left: Mask,
    unknown: Mask,
    window: Window,
    small: RGB,
    hole: Mask,
    fill: RGB,
    *,
    detail: bool,
) -> None:
    """Write a window's fill into the photo, with the photo's fine detail if ``detail``."""
    part = result[window.box.slices]  # a view
    inside = window.hole.within(window.box)
    if detail:
        if unknown.size <= DETAIL_PIXELS:
            fill = add_detail(part, unknown, small, hole, fill)
        else:
            factor = (DETAIL_PIXELS / unknown.size) ** 0.5
            size = (int(unknown.shape[0] * factor), int(unknown.shape[1] * factor))
            size = (max(size[0], hole.shape[0]), max(size[1], hole.shape[1]))
            middle = _resized(part, size, Image.Resampling.BOX)
            fill = add_detail(middle, scale_mask(unknown, size), small, hole, fill)
    own = left[window.hole.slices]  # holes of other windows wait for their turn
    section = plain.toned(_section(fill, inside, unknown.shape), part, ~unknown)
    np.copyto(part[inside.slices], section, where=threefold(own))


def _section(fill: RGB, inside: Box, shape: tuple[int, ...]) -> RGB:
    """A box of a fill that is scaled up to ``shape``, only there."""
    if fill.shape[:2] == shape:
        return fill[inside.slices]
    down, right = fill.shape[0] / shape[0], fill.shape[1] / shape[1]
    box = (inside.left * right, inside.top * down, inside.right * right, inside.bottom * down)
    size = (inside.right - inside.left, inside.bottom - inside.top)
    return np.asarray(Image.fromarray(fill).resize(size, Image.Resampling.BICUBIC, box))


def _resized(image: RGB, size: tuple[int, int], how: Image.Resampling) -> RGB:
    """(h, w, 3) at another size (height, width)."""
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), how))


def _mask_of(mask: NDArray[Any] | Image.Image, values: Collection[str]) -> Mask:
    if isinstance(values, str):
        raise FinefillError(f"the values are a text, {values!r}: give a list, [{values!r}]")
    if isinstance(mask, Image.Image):
        return of_image(mask, values)
    if values:
        raise FinefillError("values choose from a Pillow mask: compare an array, mask == 15")
    numbers = np.asarray(mask)
    # What says it already is taken as it is: it is only read, and a copy takes its time.
    return numbers if numbers.dtype == bool and numbers.ndim == 2 else binarize(numbers)
