"""A photograph in memory, and its conversions: stored samples <-> RGB uint8 <-> network floats.

A :class:`Photo` is an opened image file: its upright RGB pixels for the networks, and everything
needed to write it back as it was: size, mode, orientation, alpha, ICC profile, EXIF, resolution.
Pixels outside the mask go back sample by sample from the file's own mode, never through RGB, so
that they are bit-identical in lossless formats. The networks see sRGB; what they fill is converted
back to the colours of the file's ICC profile, which stays attached.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.errors import FinefillError
from finefill.files.colour import Colours, colours_of
from finefill.files.gaps import gaps_in, no_data_of, staying, step_aside
from finefill.files.metadata import NOTHING, Kept, orientation_of
from finefill.files.spread import alpha_in

RGB = NDArray[np.uint8]
Levels = tuple[NDArray[np.int64], NDArray[np.int64]]
MIN_SIDE = 16  # pixels; less than that holds nothing to complete from
GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_PLAIN = ("L", "RGB", "RGBX", "CMYK", "YCbCr")  # each pixel for itself, of 8 bits
_CODE = np.array([1 << 16, 1 << 8, 1])  # makes one number of a colour
FEWEST = 8  # pixels beside a hole that tell a flat colour
FLAT = 0.6  # of those that look alike, with the very same samples
STRIP = 64  # rows that are converted at a time


class Photo(NamedTuple):
    """An opened image.

    Attributes:
        rgb: (H, W, 3) uint8, sRGB, upright, without alpha.
        stored: the decoded first frame, in the file's mode and stored orientation.
        orientation: EXIF orientation 1-8 of ``stored``; 1 = upright.
        kept: EXIF, XMP and what else the file says.
        colours: between the ICC profile's colours and sRGB; None where they are taken as the same.
        samples: (H, W, channels) uint16 of a file with 16-bit colour, oriented as ``stored``, which
            has them rounded to 8 bits.
        levels: samples of 16 bits that are shown as 0 and as 255, each (1,), or (C,) where the
            channels have their own (:func:`finefill.files.shown.for_network`); None: 0 and 65535,
            and fills have whole levels of 8 bits.
        no_data: the sample that says that a pixel holds nothing (GeoTIFF); None: there is none.
        gaps: (H, W) bool, oriented as ``stored``, pixels all of whose samples are ``no_data``;
            None: there are none.
    """

    rgb: RGB
    stored: Image.Image
    orientation: int = 1
    kept: Kept = NOTHING
    colours: Colours | None = None
    samples: NDArray[np.uint16] | None = None
    levels: Levels | None = None
    no_data: int | None = None
    gaps: NDArray[np.bool_] | None = None


def to_network(rgb: RGB, low: float = -1, high: float = 1) -> NDArray[np.float32]:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32: 0 becomes ``low``, 255 ``high``."""
    values = rgb.astype(np.float32) / np.float32(255 / (high - low)) + np.float32(low)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def from_network(values: NDArray[Any], low: float = -1, high: float = 1) -> RGB:
    """(1, 3, H, W) numbers -> (H, W, 3) uint8, rounded and clipped: undoes :func:`to_network`."""
    numbers = values[0].transpose(1, 2, 0).astype(np.float32, copy=False)
    scaled = np.rint((numbers - np.float32(low)) * np.float32(255 / (high - low)))
    return np.ascontiguousarray(scaled.clip(0, 255).astype(np.uint8))


def photo_of(image: Image.Image, *, name: str = "the image") -> Photo:
    """Wrap a decoded Pillow image; ``name`` is what messages call it.

    Raises:
        FinefillError: its mode cannot be completed and kept, or it is too small.

    Warns:
        UserWarning: its ICC profile is damaged.
    """
    if image.mode not in GREY + COLOUR:
        raise FinefillError(
            f"{name}: images of mode {image.mode} are not supported: "
            "convert it to 8-bit RGB or to 8- or 16-bit grey first"
        )
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise FinefillError(
            f"{name}: {width}x{height} pixels are too few: at least {MIN_SIDE}x{MIN_SIDE} needed"
        )
    image.load()  # Pillow turns TIFF upright when it loads
    orientation = orientation_of(image)
    colours = colours_of(image.info.get("icc_profile"), space_of(image.mode), name)
    photo = Photo(turn(rgb_of(image, colours), orientation), image, orientation, colours=colours)
    return with_gaps(photo, no_data_of(getattr(image, "tag_v2", {}), image.mode))


def with_gaps(photo: Photo, value: int | None) -> Photo:
    """The photo with a no-data value, and the gaps that it tells of."""
    if value is None:
        return photo
    samples = np.asarray(photo.stored) if photo.samples is None else photo.samples
    colours = len(photo.stored.getbands()) - (photo.stored.mode in ("LA", "PA", "RGBA"))
    return photo._replace(no_data=value, gaps=gaps_in(samples, value, colours))


def opacity_of(photo: Photo) -> NDArray[np.uint8] | None:
    """How much of each pixel is seen: (H, W), oriented as stored; 0 where it is no data.

    None where all is opaque.
    """
    seen = np.asarray(alpha_of(photo.stored)) if photo.stored.has_transparency_data else None
    if photo.gaps is None:
        return seen
    return np.where(photo.gaps, np.uint8(0), np.uint8(255) if seen is None else seen)


def turn(array: NDArray[Any], orientation: int, *, back: bool = False) -> NDArray[Any]:
    """Turn stored pixels (H, W) or (H, W, C) upright; ``back`` turns upright ones as stored."""
    if back:
        orientation = {6: 8, 8: 6}.get(orientation, orientation)  # the others undo themselves
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def put_back(
    photo: Photo, rgb: RGB, mask: NDArray[np.bool_], *, overwrite: bool = False
) -> Image.Image:
    """The photo with its masked pixels taken from ``rgb``, in its own mode and orientation.

    Samples outside the mask are the stored ones. Alpha in the hole is filled too, from what is
    around it (:func:`finefill.files.spread.alpha_in`): what was erased to transparency in an opaque
    picture becomes opaque, a label on transparent ground transparent. A transparent colour is
    treated alike: where it does not belong, a fill of that colour moves by one level. So do samples
    that would be no data (GeoTIFF); gaps of a map in the hole are filled, but for what lies nearest
    to other gaps. In a palette image a masked pixel gets the nearest colour of the palette; in a
    1-bit image, black or white by a threshold. 16-bit colour is rounded to 8 bits;
    :func:`write_photo` keeps it.

    Args:
        photo: as read.
        rgb: (H, W, 3) uint8, sRGB, upright.
        mask: (H, W) bool, upright, True = to be completed.
        overwrite: the photo is not needed any more: its stored image may be changed and returned,
            which spares a copy of a JPEG.
    """
    stored = photo.stored
    plain = stored.mode in _PLAIN and photo.no_data is None
    plain = plain and not stored.has_transparency_data and bool(mask.any())
    # A copy has its palette, transparency, profile and EXIF. Images of other readers than JPEG's
    # have tags besides, which writers would take over from them and not from a copy.
    result = stored if overwrite and plain and stored.format == "JPEG" else stored.copy()
    if plain:
        part, hole, where = _part_of_hole(photo, rgb, mask)
        samples = np.array(stored.crop(where))
        before = _part_of_hole(photo, photo.rgb, mask)[0] if _has_alike(photo) else part
        samples[hole] = _as_samples(photo, samples, part[hole], before, hole)
        size = (where[2] - where[0], where[3] - where[1])
        result.paste(Image.frombytes(stored.mode, size, samples.tobytes()), where[:2])
        return result
    samples = filled(photo, np.array(stored), rgb, mask)
    if stored.mode == "1":
        samples = np.packbits(samples, axis=1)
    result.frombytes(samples.tobytes())
    return result


def _part_of_hole(
    photo: Photo, rgb: RGB, mask: NDArray[np.bool_]
) -> tuple[RGB, NDArray[np.bool_], tuple[int, int, int, int]]:
    """Pixels and mask of a box a pixel around the hole, turned as stored; that box as stored."""
    hole = turn(mask, photo.orientation, back=True)
    rows, columns = (np.flatnonzero(hole.any(axis)) for axis in (1, 0))
    top, left = max(rows[0] - 1, 0), max(columns[0] - 1, 0)
    bottom, right = min(rows[-1] + 2, hole.shape[0]), min(columns[-1] + 2, hole.shape[1])
    upright = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    part = rgb[tuple(slice(max(at[0] - 1, 0), at[-1] + 2) for at in upright)]
    part = turn(part, photo.orientation, back=True)
    box = (int(left), int(top), int(right), int(bottom))
    return part, hole[top:bottom, left:right], box


def filled(photo: Photo, samples: NDArray[Any], rgb: RGB, mask: NDArray[np.bool_]) -> NDArray[Any]:
    """``samples``, oriented as stored, with the masked ones replaced in place."""
    stored, mode = photo.stored, photo.stored.mode
    hole = turn(mask, photo.orientation, back=True)
    pixels = turn(rgb, photo.orientation, back=True)[hole]
    before = turn(photo.rgb, photo.orientation, back=True)
    opacity = opacity_of(photo)
    hidden = None if opacity is None else opacity < 255  # that is not what photo.rgb has there
    fill = _as_samples(photo, samples, pixels, before, hole, hidden)
    told = photo.no_data is not None and (photo.samples is None or samples.dtype.itemsize == 2)
    if told:  # 16 bits that were rounded to 8 have no such value
        step_aside(fill, photo.no_data or 0)
    left = samples[hole] if told and photo.gaps is not None else None
    if mode in ("LA", "PA", "RGBA"):
        samples[hole, -1] = alpha_in(samples[..., -1], hole)
        samples[hole, :-1] = fill
    elif stored.has_transparency_data:
        alpha = alpha_in(np.asarray(alpha_of(stored)), hole)
        samples[hole] = _with_key(fill, alpha, stored)
    else:
        samples[hole] = fill
    if left is not None and photo.gaps is not None:
        stays = staying(photo.gaps, hole)
        samples[hole] = np.where(stays if left.ndim == 1 else stays[:, None], left, samples[hole])
    return samples


def _has_alike(photo: Photo) -> bool:
    """Whether several of the photo's samples may have one colour of sRGB, and all can be seen."""
    if photo.stored.has_transparency_data:
        return False
    return photo.colours is not None or photo.stored.mode in ("CMYK", "YCbCr")


def _as_samples(
    photo: Photo,
    samples: NDArray[Any],
    pixels: RGB,
    rgb: RGB,
    hole: NDArray[np.bool_],
    hidden: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """A fill as samples of the photo's mode and bits, without alpha; as :func:`_as_beside`."""
    ring = _beside(hole) & ~(hole if hidden is None else hole | hidden)
    fill = _as_beside(photo, samples, pixels, rgb, ring)
    fill = _on_levels(photo, fill, hole, samples.dtype)
    if samples.dtype.itemsize == 2 or photo.levels is not None:
        _go_on_flat(fill, samples[ring], pixels @ _CODE, rgb[ring] @ _CODE)
    if samples.dtype.itemsize == 2 and np.count_nonzero(ring) >= FEWEST:
        low, high = photo.levels or (0, 65535)
        _go_on_plane(fill, samples, hole, ring, np.abs(np.subtract(high, low)) / 255)
    return fill


def _go_on_flat(
    fill: NDArray[Any], beside: NDArray[Any], wanted: NDArray[Any], shown: NDArray[Any]
) -> None:
    """Give a fill, in place, the very samples of a flat colour beside the hole that it goes on.

    Several samples of 16 bits are shown alike; where one of them has most of what looks so, the
    colour is flat and that sample is its own.

    Args:
        fill: (N,) or (N, C) samples.
        beside: (K,) or (K, C), with alpha or without, beside the hole.
        wanted: (N,) numbers of the colours that the fill was.
        shown: (K,) those that ``beside`` looks like.
    """
    colours, counts = np.unique(shown, return_counts=True)
    for colour in np.intersect1d(colours[counts >= FEWEST], wanted):
        found = beside[shown == colour]
        kinds, number = np.unique(found, axis=0, return_counts=True)
        if number.max() >= FLAT * len(found):
            sample = kinds[number.argmax()]
            fill[wanted == colour] = sample if fill.ndim == 1 else sample[: fill.shape[1]]


def _go_on_plane(
    fill: NDArray[Any],
    samples: NDArray[Any],
    hole: NDArray[np.bool_],
    ring: NDArray[np.bool_],
    level: NDArray[Any],
) -> None:
    """Give a fill, in place, the samples of the plane that all beside the hole lie on exactly.

    Least squares; only where no sample is off by more than one and the fill is that plane already
    but for the rounding to 8 bits.

    Args:
        fill: (N,) or (N, C) samples.
        samples: (h, w) or (h, w, C), with alpha or without.
        hole: (h, w) bool.
        ring: (h, w) bool, beside the hole.
        level: samples in a level of 8 bits, (), (1,) or (C,).
    """
    places, inside = np.argwhere(ring), np.argwhere(hole)
    middle = places.mean(axis=0)
    ones = np.ones((len(places), 1)), np.ones((len(inside), 1))
    at, wanted = np.hstack([ones[0], places - middle]), np.hstack([ones[1], inside - middle])
    beside = samples[ring].reshape(len(places), -1)[:, : fill.size // len(fill)].astype(float)
    plane = np.linalg.lstsq(at, beside, rcond=None)[0]
    if np.abs(at @ plane - beside).max() > 1:
        return
    values = np.rint(wanted @ plane).clip(0, 65535)
    if (np.abs(values - fill.reshape(values.shape)) <= 1.5 * level + 1).all():
        fill[...] = values.reshape(fill.shape)


def _beside(hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is above, below, left or right of a pixel of the hole; much of the hole is too."""
    ring = np.zeros_like(hole)
    for axis in (0, 1):
        lines, result = np.moveaxis(hole, axis, 0), np.moveaxis(ring, axis, 0)
        result[1:] |= lines[:-1]
        result[:-1] |= lines[1:]
    return ring


def _as_beside(
    photo: Photo,
    samples: NDArray[Any],
    pixels: RGB,
    rgb: RGB,
    ring: NDArray[np.bool_],
) -> NDArray[Any]:
    """A fill as samples of the photo's mode; what looks like a pixel beside the hole has its.

    Many CMYK samples look the same, and all colours beyond sRGB like its brightest: what goes on in
    one colour must go on in its inks.

    Args:
        photo: as read.
        samples: (h, w) or (h, w, C), around the hole; oriented as stored.
        pixels: (N, 3) uint8, the fill.
        rgb: (h, w, 3) uint8, what the samples look like, oriented as stored.
        ring: (h, w) bool, beside the hole and opaque.
    """
    fill = np.array(_in_mode_of(photo.stored, pixels, photo.colours, photo.no_data))
    if samples.dtype != np.uint8 or not _has_alike(photo):
        return fill
    beside, first = np.unique(rgb[ring] @ _CODE, return_index=True)
    if beside.size:
        wanted = pixels @ _CODE
        at = np.minimum(np.searchsorted(beside, wanted), len(beside) - 1)
        same = beside[at] == wanted
        colours = samples[ring][first[at[same]]]
        fill[same] = colours if fill.ndim == 1 else colours[..., : fill.shape[1]]
    return fill


def _on_levels(
    photo: Photo, fill: NDArray[Any], hole: NDArray[np.bool_], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """A fill of 8 bits as samples of a type, where the photo has 16 bits on its own levels."""
    if dtype.itemsize == 2:  # of either byte order
        return _in_16_bits(fill, hole, photo.levels)
    if photo.levels is None:
        return fill
    deep = _in_16_bits(fill, hole, photo.levels).astype(np.uint32)
    return ((deep + 128) // 257).astype(np.uint8)


def _in_16_bits(
    fill: NDArray[np.uint8], hole: NDArray[np.bool_], levels: Levels | None
) -> NDArray[np.uint16]:
    """A fill of 8 bits as samples of 16, on the photo's levels.

    Between two levels of 8 bits stands what the average of the fill's pixels around one says, so
    that a gradient has no steps; a pixel moves by half a level of 8 bits at most.
    """
    if levels is None:
        return fill.astype(np.uint16) * np.uint16(257)
    channels = fill.shape[1] if fill.ndim == 2 else 1
    lows, highs = (np.broadcast_to(ends, channels) for ends in levels)
    rows, columns = (np.flatnonzero(hole.any(axis)) for axis in (1, 0))
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    inside = hole[part]
    result = np.empty(fill.shape, np.uint16)
    planes = (_channels(array) for array in (fill, result))
    for values, target, low, high in zip(*planes, lows, highs, strict=True):
        plane = np.zeros(inside.shape, np.float32)
        plane[inside] = values
        mean = (_sums(plane) / np.maximum(_sums(inside.astype(np.float32)), 1))[inside]
        exact = np.clip(mean, values - np.float32(0.5), values + np.float32(0.5)).clip(0, 255)
        target[:] = np.rint(low + exact * ((high - low) / 255)).clip(0, 65535)
    return result


def _channels(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Views of the channels of (N,) or (N, C)."""
    return [array] if array.ndim == 1 else [array[:, index] for index in range(array.shape[1])]


def _sums(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over 5x5 pixels; what lies outside counts as 0."""
    for axis in (0, 1):
        wide = np.pad(plane, [(2, 2) if side == axis else (0, 0) for side in (0, 1)])
        shifts = [wide.take(range(at, at + plane.shape[axis]), axis) for at in range(5)]
        plane = np.add.reduce(shifts)
    return plane


def _with_key(fill: NDArray[Any], alpha: NDArray[Any], stored: Image.Image) -> NDArray[Any]:
    """Samples in the stored mode: its transparent colour where alpha is, elsewhere another."""
    key, mode = stored.info.get("transparency"), stored.mode
    if mode == "P":
        palette = _palette(stored)
        some = alpha < 255  # the others have their opaque colour
        wanted = np.column_stack([palette[fill[some], :3], alpha[some]])
        fill[some] = _nearest(_premultiplied(palette), _premultiplied(wanted))
        return fill
    if not isinstance(key, int | tuple):
        return fill
    hidden = alpha < 128
    if mode == "1":
        return np.equal(hidden, bool(key))
    levels = fill[:, None] if fill.ndim == 1 else fill
    found, last = (levels == key).all(axis=1) & ~hidden, levels[:, -1]
    last[found] = np.where(last[found] > 0, last[found] - 1, 1)
    levels[hidden] = key
    return fill


def space_of(mode: str) -> str:
    """The mode among L, RGB, CMYK whose ICC profiles a mode's samples may have."""
    return "L" if mode in GREY else "CMYK" if mode == "CMYK" else "RGB"


def without_alpha(image: Image.Image) -> Image.Image:
    """An image of mode L, RGB or CMYK with the colours of ``image``; alpha is ignored."""
    if image.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype("u1"))
    if image.mode in ("P", "PA"):  # by RGBA: straight to RGB Pillow warns about transparency
        image = with_alpha(image)
    space = space_of(image.mode)
    return image if image.mode == space else image.convert(space)


def with_alpha(image: Image.Image) -> Image.Image:
    """``image`` as RGBA; a copy of palette images, whose own palette Pillow would change."""
    return (image.copy() if image.mode == "P" else image).convert("RGBA")


def alpha_of(image: Image.Image) -> Image.Image:
    """The transparency of an image, as stored: mode L."""
    if image.mode.startswith("I;16"):  # there Pillow looks for no transparent colour
        opaque = np.asarray(image) != image.info.get("transparency")
        return Image.fromarray(opaque.astype(np.uint8) * np.uint8(255))
    return with_alpha(image).getchannel("A")


def rgb_of(image: Image.Image, colours: Colours | None) -> RGB:
    """Stored pixels as (H, W, 3) uint8 in sRGB, alpha ignored."""
    plain = without_alpha(image)
    if colours is not None:
        return colours.to_srgb(plain)
    width, height = plain.size
    result = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, STRIP):  # Pillow's own way takes three copies of it all
        strip = plain.crop((0, top, width, min(top + STRIP, height)))
        result[top : top + STRIP] = np.asarray(strip.convert("RGB"))
    return result


def _in_mode_of(
    stored: Image.Image, pixels: RGB, colours: Colours | None, no_data: int | None
) -> NDArray[Any]:
    """(N, 3) pixels in sRGB as samples of the stored image's mode, without its alpha.

    In a palette, the colour that is no data is not taken.
    """
    mode, space = stored.mode, space_of(stored.mode)
    if colours is not None:
        values = colours.from_srgb(pixels)
    else:
        values = np.array(Image.fromarray(pixels[None]).convert(space))[0]
    if mode == "1":
        return np.greater_equal(values, 128)
    if mode in ("P", "PA"):
        palette = _palette(stored)
        opaque = np.flatnonzero(palette[:, 3] == palette[:, 3].max())
        opaque = opaque[opaque != no_data] if (opaque != no_data).any() else opaque
        values = opaque[_nearest(palette[opaque, :3], values)].astype(np.uint8)
    elif mode not in (space, "LA", "RGBA") and not mode.startswith("I;16"):
        values = np.asarray(Image.fromarray(values[None]).convert(mode))[0]
    return values[:, None] if mode in ("LA", "PA") else values


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    """(K, 4) colours and their alpha."""
    assert image.palette is not None
    if "A" in image.palette.mode:
        return np.array(image.getpalette("RGBA"), np.uint8).reshape(-1, 4)
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    alpha = np.full(len(colours), 255, np.uint8)
    transparency = image.info.get("transparency")
    if isinstance(transparency, bytes):
        alpha[: len(transparency)] = np.frombuffer(transparency, np.uint8)[: len(alpha)]
    elif isinstance(transparency, int) and transparency < len(alpha):
        alpha[transparency] = 0
    return np.column_stack([colours, alpha])


def _premultiplied(rgba: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 4) colours as they are over black, and alpha, in which they rather should agree."""
    alpha = rgba[:, 3:].astype(np.float32)
    return np.hstack([rgba[:, :3] * alpha / 255, 2 * alpha])


def _nearest(points: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.intp]:
    """Index of the nearest of (K, C) points to each of (N, C)."""
    points = points.astype(np.float32)
    found = np.empty(len(wanted), np.intp)
    norms = (points**2).sum(axis=1)
    for start in range(0, len(wanted), 65536):  # bounds the memory: 64 MiB at a time
        part = wanted[start : start + 65536].astype(np.float32)
        found[start : start + 65536] = (norms - 2 * part @ points.T).argmin(axis=1)
    return found


def in_srgb(image: Image.Image, colours: Colours | None) -> Image.Image:
    """The image as RGB or RGBA in sRGB."""
    result = Image.fromarray(rgb_of(image, colours))
    if image.has_transparency_data:
        result.putalpha(alpha_of(image))
    return result
