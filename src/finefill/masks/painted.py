"""What is marked in the photo itself: painted over in one colour, or erased to transparency."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from finefill.errors import FinefillError
from finefill.files import RGB, Photo, opacity_of, turn
from finefill.masks.meaning import Mask, grow

TOLERANCE = 30.0  # Euclidean distance of RGB values
# Pixels around what is painted in which a brush's rim is looked for: farther while there is one.
REACHES = (12, 24, 48)
GROUND = 8  # pixels beyond, from which the colour of the ground is taken
LEANING = 0.08  # of the way from the ground's colour to the paint's, of a pixel that has paint
TELLS = 0.08  # of the way beyond the ground's, on average around the mask: that is warned of
FEW = 0.2  # of the pixels beside what is painted; if fewer lean to it, they do so by chance
CHANCE, PLAINLY = 0.03, 0.25  # so few do where nothing is mixed; a pixel that leans so far is
RIM = 0.15  # as LEANING, on average of the pixels beside what is painted: it has a soft rim
RIM_ENDS = 0.1  # which ends where the average is less; a pixel more is taken anyway
COLOURLESS = 40  # between the channels; photos have such colours of their own
EXACT = 8.0  # Euclidean distance of what is painted from its colour; shades are farther
BLOCK = 4  # pixels apart, of places that are one
SOLID, FLAT, LEAST = 16, 0.6, 12  # pixels amid others, share of exact ones, number: of paint
BESIDE_MOST = 0.05  # of the solid pixels of the largest place; fewer are a shade's
ONE_COLOUR = 0.99  # share of painted pixels that have the very same colour, in lossless files
DISTINCT = 40.0  # Euclidean distance of the paint from the ground; nearer ones cannot be told

_Values = NDArray[np.float32]


def colour(
    image: RGB, wanted: str, *, tolerance: float = TOLERANCE, name: str = "the photo"
) -> Mask:
    """The mask of what is painted over in one colour in the photo itself.

    A brush's soft rim, and what JPEG smears beyond an edge, has less of the colour than
    ``tolerance`` allows. It is found by its place on the way from the colour of the ground
    around to that of the paint. Black, grey and white count where they are flat, as paint is.

    Args:
        image: (H, W, 3) uint8.
        wanted: ``#RRGGBB`` or a colour's name.
        tolerance: largest Euclidean distance of RGB values, 0 to 442.
        name: what messages call the photo.

    Returns:
        (H, W) bool: paint of one colour with hard edges as it is; else a pixel wider.

    Raises:
        FinefillError: it is no colour, or nothing is painted in it.

    Warns:
        UserWarning: around the mask the photo still leans to the colour; or it is a black, grey or
            white that the photo may have of its own.
    """
    try:
        target = ImageColor.getrgb(wanted)[:3]
    except ValueError:
        raise FinefillError(f"colour {wanted}: give it as #RRGGBB, as #FF0000 for red") from None
    squares = np.zeros(image.shape[:2], np.int32)
    for channel, value in enumerate(target):
        squares += (image[..., channel].astype(np.int32) - value) ** 2
    core = squares <= tolerance**2
    if not core.any():
        nearest = math.ceil(math.sqrt(int(squares.min())))
        raise FinefillError(
            f"{name}: nothing is painted in {wanted}: the nearest colour is {nearest} away from it "
            f"(--mask-tolerance {tolerance:g}): give the colour that was painted with"
        )
    if max(target) - min(target) <= COLOURLESS:
        core, places, at_border = _places(core, squares <= EXACT**2)
        if places > 1 or at_border:
            where = f"in {places} places" if places > 1 else "up to the photo's border"
            warnings.warn(
                f"{name}: {wanted} is found {where}, and may be the photo's own there too: all of "
                "it is completed: mark with a colour that the photo has not, or give --mask",
                stacklevel=2,
            )
    for reach in REACHES:
        mask, clean = _with_rim(image, core, np.array(target, np.float32), reach)
        if clean:
            return mask
    warnings.warn(
        f"{name}: around what is painted in {wanted} the colours still lean to it, and the fill "
        "will too: widen the mask with --grow",
        stacklevel=2,
    )
    return mask


def erased(photo: Photo, name: str = "the photo") -> Mask:
    """The mask of what is erased to transparency in the photo itself, or has no data (GeoTIFF).

    Args:
        photo: as read.
        name: what messages call the photo.

    Returns:
        (H, W) bool, upright: where the photo is not fully opaque, or has no data.

    Raises:
        FinefillError: it is opaque everywhere.
    """
    opacity = opacity_of(photo)
    if opacity is not None and opacity.min() < 255:
        return turn(opacity, photo.orientation) < 255
    raise FinefillError(f"{name}: nothing in it is transparent: erase what is to be completed")


def _with_rim(image: RGB, core: Mask, paint: _Values, reach: int) -> tuple[Mask, bool]:
    """What is painted, with its rim up to ``reach`` pixels wide; and whether no more is around."""
    rows, columns = (np.flatnonzero(core.any(axis=axis)) for axis in (1, 0))
    margin = 2 * (reach + GROUND)
    window = tuple(slice(max(at[0] - margin, 0), at[-1] + 1 + margin) for at in (rows, columns))
    part = core[window]
    near = grow(part, reach)
    lean = _leaning(image[window], ~near, paint, reach + GROUND)
    ground = lean[~near]
    # Texture leans to black and white by itself, and a meadow a little to green.
    usual, spread = (float(ground.mean()), float(ground.std())) if ground.size else (0.0, 0.0)
    rim = (lean > usual + max(LEANING, 3 * spread)) & near
    beside = grow(part, 1) & ~part
    leaning = float(rim[beside].mean()) if beside.any() else 0.0
    mixed = rim & beside  # at round corners, say
    if leaning <= CHANCE:
        mixed &= lean > usual + PLAINLY
    if hard := leaning < FEW:
        rim = part
    width = _rim_of(lean - usual, part, reach)
    painted = _connected(part, rim) | grow(part, width)
    last = near & ~grow(part, reach - 1)
    ends = not last.any() or painted[last].mean() <= FEW / 4
    exact = hard and width == 0 and _is_flat(image[core])
    painted = painted | mixed if exact else grow(painted, 1)
    mask = np.zeros_like(core)
    mask[window] = painted
    around = lean[grow(painted, 2) & ~painted] - usual
    clean = not around.size or (
        ends
        and around.mean() <= TELLS + spread
        and np.quantile(around, 0.95) <= 2 * TELLS + 3 * spread
    )
    return mask, bool(clean)


def _rim_of(lean: _Values, core: Mask, reach: int) -> int:
    """How wide a soft rim all around what is painted is: 0 to ``reach`` pixels.

    By the average of each ring of pixels, in which the texture of the ground cancels out; black and
    white have no other way to be told from it.

    Args:
        lean: (h, w), beyond the ground's own.
        core: (h, w), what is painted.
        reach: the farthest ring.
    """
    inner = core
    for width in range(reach):
        outer = grow(inner, 1)
        ring = outer & ~inner
        if not ring.any() or lean[ring].mean() <= (RIM_ENDS if width else RIM):
            return width
        inner = outer
    return reach


def _is_flat(pixels: RGB) -> bool:
    """Whether (N, 3) pixels are paint as it was put there: many of one colour, without noise."""
    if len(pixels) < SOLID:
        return False
    usual = np.median(pixels, axis=0).astype(np.uint8)
    return bool((pixels == usual).all(axis=1).mean() >= ONE_COLOUR)


def _places(core: Mask, exact: Mask) -> tuple[Mask, int, bool]:
    """What of a colour is flat, as paint is, and not a shade of the photo.

    Args:
        core: (H, W) bool, near the colour.
        exact: (H, W) bool, what of it has the very colour, but for a few levels.

    Returns:
        The core without the other places, or all where no place is flat; how many places are
        left; whether one is at the photo's border.
    """
    rows, columns = np.nonzero(core)
    cells = rows // BLOCK, columns // BLOCK
    numbers = _numbered(cells, core.shape)[cells]
    sizes = np.bincount(numbers)
    solid = exact & ~grow(~exact, 1)
    counts = [np.bincount(numbers, some[rows, columns], len(sizes)) for some in (exact, solid)]
    solid_enough = counts[1] >= max(SOLID, BESIDE_MOST * counts[1].max())
    flat = solid_enough | ((counts[0] >= FLAT * sizes) & (counts[0] >= LEAST))
    if not flat[1:].any():
        flat[1:] = True
    kept = flat[numbers]
    rows, columns = rows[kept], columns[kept]
    result = np.zeros_like(core)
    result[rows, columns] = True
    height, width = core.shape
    border = (rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1)
    return result, int(np.count_nonzero(flat[1:] & (sizes[1:] > 0))), bool(border.any())


def _numbered(
    cells: tuple[NDArray[np.intp], NDArray[np.intp]], shape: tuple[int, ...]
) -> NDArray[np.intp]:
    """Numbers, from 1, of the places that cells of ``BLOCK`` pixels form with their neighbours."""
    width = shape[1] // BLOCK + 3  # with empty cells around
    left = set(((cells[0] + 1) * width + cells[1] + 1).tolist())
    numbers = np.zeros((shape[0] // BLOCK + 3) * width, np.intp)
    steps = [down * width + across for down in (-1, 0, 1) for across in (-1, 0, 1)]
    count = 0
    while left:
        count += 1
        waiting = [left.pop()]
        while waiting:
            cell = waiting.pop()
            numbers[cell] = count
            found = [cell + step for step in steps if cell + step in left]
            left.difference_update(found)
            waiting += found
    return numbers.reshape(-1, width)[1:, 1:]


def _leaning(image: RGB, ground_there: Mask, paint: _Values, radius: int) -> _Values:
    """How far each pixel lies on the way from the ground's colour to the paint's: (h, w), 0 to 1.

    Compared is what tells the paint from the ground best, colour or brightness: a smeared edge has
    the ground's brightness, and only the paint's hue.
    """
    values = _opponent(image.astype(np.float32))
    share = _mean_around(ground_there.astype(np.float32), radius)
    sums = [_mean_around(values[..., channel] * ground_there, radius) for channel in range(3)]
    ground = np.stack(sums, axis=-1) / np.maximum(share, 1e-6)[..., None]
    way = _opponent(paint[None, None]) - ground
    hue = np.hypot(way[..., 1], way[..., 2])
    weights = np.ones_like(way)
    weights[..., 0] = hue < DISTINCT  # the brightness of a clear hue's rim says nothing
    length = (way**2 * weights).sum(axis=-1)
    along = ((values - ground) * way * weights).sum(axis=-1) / np.maximum(length, 1e-6)
    along[(length < DISTINCT**2) | (share <= 0)] = 0
    return np.asarray(along.clip(0, 1), np.float32)


def _opponent(rgb: _Values) -> _Values:
    """Brightness and two differences of colours, (…, 3), as in YCbCr but of RGB's lengths."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([light, 0.713 * (red - light), 0.564 * (blue - light)], axis=-1)


def _mean_around(values: _Values, radius: int) -> _Values:
    """The mean of (h, w) over squares of 2 radius + 1 pixels; beyond the border is nothing."""
    for axis in (0, 1):
        sums = np.cumsum(values, axis=axis, dtype=np.float64)
        sums = np.moveaxis(sums, axis, 0)
        sums = np.concatenate([np.zeros_like(sums[:1]), sums])
        length = len(sums) - 1
        first = np.maximum(np.arange(length) - radius, 0)
        last = np.minimum(np.arange(length) + radius + 1, length)
        means = (sums[last] - sums[first]) / (2 * radius + 1)
        values = np.moveaxis(means.astype(np.float32), 0, axis)
    return values


def _connected(core: Mask, rim: Mask) -> Mask:
    """The core and what of the rim hangs together with it."""
    result = core
    while True:
        wider = result | (grow(result, 1) & rim)
        if (wider == result).all():
            return result
        result = wider
