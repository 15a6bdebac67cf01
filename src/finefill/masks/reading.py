"""Mask files are read, and put right where they are inverted, of another size or in the alpha."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageColor

from finefill.errors import FinefillError, NotThereError
from finefill.files import MAX_PIXELS, Source, decode, name_of, orientation_of, turn
from finefill.masks.meaning import (
    BLACK,
    Mask,
    binarize,
    called_by_numbers,
    check,
    inverted,
    of_flat,
    of_soft,
    scale,
)

# A pixel is neither black nor white if a channel lies between BLACK and this. Masks that went
# through JPEG or have soft edges have some such pixels; a photograph has mostly such.
WHITE = 207
MAX_GREYS = 0.2
MAX_STRETCH = 0.01  # between the widths of a mask and its photo, at one height
GREY = 24  # between the channels of a grey, at most
MANY_COLOURS = 64  # of 4096, with 16 levels a channel: what is drawn has fewer, a photograph more
SMOOTH = 3  # levels between a grey and the mean of those beside it; a photograph has texture
MAX_TEXTURE = 0.03  # of the greys
MIN_BLACK = 0.1  # of a mask with wide soft edges
LOSSY = ("JPEG", "MPO", "AVIF", "JPEG2000")


class Placing(TypedDict):
    """How what is drawn lies on a photo, for :func:`placed`."""

    orientation: int
    drawn: str | None


class _Pixels(NamedTuple):
    """What a mask file shows.

    Attributes:
        values: (H, W, C) whole numbers, C = 1 for grey and 3 for colours; black where the file is
            transparent.
        indices: (H, W), into the palette, where the file has one.
        visible: (H, W) bool, where something is to be seen; None: everywhere, or nowhere.
        blank: nothing is to be seen anywhere, all is transparent; its colours may say more.
        lossy: whether the pixels went through lossy compression.
    """

    values: NDArray[Any]
    indices: NDArray[np.uint8] | None = None
    visible: Mask | None = None
    lossy: bool = False
    blank: bool = False


def read_mask(
    source: Source,
    size: tuple[int, int],
    *,
    resize: bool = False,
    keep_polarity: bool = False,
    max_pixels: int = MAX_PIXELS,
    values: Collection[str] = (),
    orientation: int = 1,
    drawn: str | None = None,
) -> Mask:
    """Read a mask file for a photo.

    White is to be completed, black is kept; of labels, all but the background is completed. A mask
    drawn on transparent ground is understood too: opaque is to be completed.

    Args:
        source: a path, the file's bytes, or a binary file.
        size: (height, width) of the upright photo.
        resize: scale a mask of another shape to the photo's; one that differs in size alone is
            scaled anyway.
        keep_polarity: take a mask that looks :func:`inverted` as it is.
        max_pixels: larger files are refused.
        values: what is to be completed: numbers of a grey or palette file, ``#RRGGBB``,
            ``transparent`` or ``opaque``. Empty: what the file shows.
        orientation: the photo's EXIF orientation, 1 to 8.
        drawn: ``shown`` if the mask was drawn on the upright photo, ``stored`` if on the photo as
            its file has it, before its EXIF orientation turns it; None: not known, see
            :func:`placed`. A mask with an EXIF orientation of its own is turned by that alone.

    Returns:
        (height, width) bool, upright, with pixels to complete and pixels to keep.

    Raises:
        FinefillError: no readable image, another shape, nothing or everything masked, or a
            photograph instead of a mask.

    Warns:
        UserWarning: it is a label mask; the mask was taken from the alpha channel, from half of a
            dark grey on, turned the other way round or scaled; or the file is animated.
    """
    image, kept = decode(source, max_pixels=max_pixels, cut=True)
    name = name_of(source)
    lossy = image.format in LOSSY or kept.webp > 0
    if values:
        mask = _with_values(_pixels(image, name, lossy), values, name)
    else:
        mask = _meant(image, name, lossy=lossy, keep_polarity=keep_polarity)
        if not keep_polarity and inverted(mask):
            warnings.warn(
                f"{name}: the mask looks inverted ({mask.mean():.0%} white): taken the other way "
                "round; --keep-polarity takes it as it is",
                stacklevel=2,
            )
            mask = ~mask
    if (own := orientation_of(image)) != 1:
        mask, drawn = turn(mask, own), "shown"
    mask = placed(mask, size, name, resize=resize, orientation=orientation, drawn=drawn)
    return check(mask, name)


def placed(
    mask: Mask,
    size: tuple[int, int],
    name: str = "the mask",
    *,
    resize: bool = False,
    orientation: int = 1,
    drawn: str | None = None,
    size_known: bool = True,
) -> Mask:
    """A drawn mask as it lies on the upright photo, at the photo's size.

    Args:
        mask: (h, w) bool.
        size: (height, width) of the upright photo.
        name: what messages call the mask.
        resize: see :func:`fit`.
        orientation: the photo's EXIF orientation, 1 to 8.
        drawn: on the photo as it is ``shown`` (upright) or as it is ``stored``; None: as shown,
            unless the size tells that it was not.
        size_known: whether the mask's size tells anything.

    Returns:
        (height, width) bool.

    Raises:
        FinefillError: see :func:`fit`; or the mask was drawn on the photo as stored, and ``drawn``
            does not say so.

    Warns:
        UserWarning: it was scaled, or may have been drawn on the photo as stored.
    """
    stored = stored_size(size, orientation)
    if drawn == "stored":
        return turn(fit(mask, stored, name, resize=resize), orientation)
    if orientation != 1 and drawn is None:
        if mask.shape in (size, stored):
            as_shown, as_stored = mask.shape == size, mask.shape == stored
        else:
            as_shown, as_stored = _alike(mask.shape, size), _alike(mask.shape, stored)
        if as_stored and not as_shown:
            raise FinefillError(
                f"{name}: the mask is {_text(mask.shape)} pixels, the photo, turned as its EXIF "
                f"orientation says, {_text(size)}: if the mask was drawn before that turn, turn it "
                "too with --mask-drawn stored"
            )
        if as_stored or not size_known:
            warnings.warn(
                f"{name}: taken as drawn on the photo as it is shown, turned by its EXIF "
                "orientation: --mask-drawn shown if that is so, --mask-drawn stored if not",
                stacklevel=3,
            )
    return fit(mask, size, name, resize=resize)


def stored_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(height, width) of the upright photo as its file has them."""
    return (size[1], size[0]) if orientation in (5, 6, 7, 8) else size


def by_numbers(
    draw: Callable[..., Mask],
    size: tuple[int, int],
    *,
    orientation: int = 1,
    drawn: str | None = None,
    wrap: str | None = None,
) -> Mask:
    """A mask given by coordinates, on the upright photo.

    Args:
        draw: makes the mask of (height, width) bool for a photo of that size; where ``wrap`` is
            given, its second argument is that, as it lies there.
        size: (height, width) of the upright photo.
        orientation: the photo's EXIF orientation, 1 to 8.
        drawn: ``stored`` if the coordinates count the stored photo's pixels.
        wrap: "x", "y" or "xy": what lies beyond a border of the upright photo goes on at the other
            one; None: it is cut off.
    """
    if drawn == "stored":
        if orientation in (5, 6, 7, 8) and wrap in ("x", "y"):
            wrap = "y" if wrap == "x" else "x"
        size = stored_size(size, orientation)
    mask = draw(size) if wrap is None else draw(size, wrap)
    return turn(mask, orientation) if drawn == "stored" else mask


def fit(mask: Mask, size: tuple[int, int], name: str = "the mask", *, resize: bool = False) -> Mask:
    """The mask at the photo's size, with a warning where that needed scaling.

    Args:
        mask: (h, w) bool.
        size: (height, width) of the upright photo.
        name: what messages call the mask.
        resize: scale it without a word, even if its shape is another one.

    Returns:
        (height, width) bool; ``mask`` itself if it has that size.

    Raises:
        FinefillError: width and height have another ratio than the photo's (by more than 1%).

    Warns:
        UserWarning: it was scaled.
    """
    if mask.shape == size:
        return mask
    told = f"{name}: the mask is {_text(mask.shape)} pixels, the photo {_text(size)}: "
    if not resize:
        if not _alike(mask.shape, size):
            exchanged = "width and height are exchanged: turn it back, "
            other = "draw it at the photo's size, "
            told += exchanged if _alike(mask.shape[::-1], size) else other
            raise FinefillError(f"{told}or accept scaling with --resize-mask")
        warnings.warn(f"{told}scaled to fit", stacklevel=3)
    return scale(mask, size)


def _alike(shape: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """Whether two (height, width) have about the same ratio."""
    return abs(shape[1] * size[0] / (shape[0] * size[1]) - 1) <= MAX_STRETCH


def _text(size: tuple[int, ...]) -> str:
    return f"{size[1]}x{size[0]}"


def of_image(image: Image.Image, values: Collection[str] = ()) -> Mask:
    """The mask that a Pillow image shows, (H, W) bool; see :func:`read_mask`."""
    if values:
        return _with_values(_pixels(image, "the mask", image.format in LOSSY), values, "the mask")
    return _meant(image, "the mask", lossy=image.format in LOSSY, keep_polarity=True)


def _meant(image: Image.Image, name: str, *, lossy: bool, keep_polarity: bool) -> Mask:
    """What a mask file says, as stored: (H, W) bool."""
    if image.mode in ("1", "L") and "transparency" not in image.info:
        counts = image.convert("L").histogram()
        if not any(counts[1:-1]):  # as most masks are
            return np.asarray(image.convert("L")) > 0
    if image.mode == "F":
        return binarize(np.asarray(image), name)
    pixels = _pixels(image, name, lossy)
    visible = pixels.visible
    if visible is not None and (mask := _from_alpha(pixels, visible, name)) is not None:
        return mask
    indices = pixels.indices
    called = None if indices is None else _by_index(pixels.values, indices)
    mask = of_flat(pixels.values, name, lossy=lossy, keep_polarity=keep_polarity, called=called)
    if mask is not None:
        return mask
    _refuse_photographs(pixels.values, name)
    if pixels.values.shape[2] == 3:
        flat = np.asarray(Image.fromarray(pixels.values).convert("L"))
    else:
        flat = pixels.values[..., 0]
    return of_soft(flat, name, lossy=lossy)


def _pixels(image: Image.Image, name: str, lossy: bool) -> _Pixels:
    """The pixels of a mask file in grey, colours or a palette."""
    transparent = image.has_transparency_data
    if image.mode[0] in "IF" and not transparent:
        values = np.asarray(image)
        if not 0 <= values.min(initial=0) <= values.max(initial=0) < 2**31:
            bits = 8 if values.max(initial=0) < 256 else 16
            below = " without values below 0 (0 is what stays)" if values.min(initial=0) < 0 else ""
            raise FinefillError(
                f"{name}: its values run from {values.min():g} to {values.max():g}: save it as "
                f"{bits}-bit grey{below}"
            )
        return _Pixels(values.astype(np.int64)[..., None])
    if image.mode in ("1", "L") and not transparent:
        return _Pixels(np.asarray(image.convert("L"))[..., None], lossy=lossy)
    indices = np.asarray(image) if image.mode == "P" else None
    if not transparent and image.mode == "RGB":
        red, green, blue = image.split()
        if not any(ImageChops.difference(red, one).getbbox() for one in (green, blue)):
            return _Pixels(np.asarray(red)[..., None], lossy=lossy)
    try:
        # A copy: Pillow changes the palette of what it converts.
        rgba = np.asarray(image.copy().convert("RGBA"))
    except ValueError:
        raise FinefillError(
            f"{name}: masks of mode {image.mode} are not supported: save it as 8-bit grey"
        ) from None
    rgb, visible = rgba[..., :3], None
    if transparent and rgba[..., 3].min() < rgba[..., 3].max():
        alpha = rgba[..., 3]
        visible = alpha > alpha.max() // 2
        rgb = np.where(visible[..., None], rgb, np.uint8(0))
    if (rgb == rgb[..., :1]).all():
        rgb = rgb[..., :1]
    blank = transparent and not rgba[..., 3].any()
    return _Pixels(np.ascontiguousarray(rgb), indices, visible, lossy, blank)


def _from_alpha(pixels: _Pixels, visible: Mask, name: str) -> Mask | None:
    """The mask that is drawn on transparent ground; None where its opaque black is ground too.

    That is so where black covers most of the picture, or is drawn there with white and no other
    colour: then it is a mask in black and white. A photograph of which a part is erased shows what
    is to be completed by being transparent.
    """
    shown = pixels.values[visible]
    bins = np.unique((shown >> 4).astype(np.int64) @ (16 ** np.arange(shown.shape[1])))
    if len(bins) > MANY_COLOURS and shown.shape[1] == 3:
        warnings.warn(
            f"{name}: a picture of which a part is erased: what is transparent is completed",
            stacklevel=4,
        )
        return ~visible
    black = shown.max(axis=1) <= BLACK
    others = shown[~black]
    white = (
        others.size and others.min(axis=1).max() > WHITE and np.ptp(others, axis=1).max() <= GREY
    )
    if black.any() and others.size and (white or black.sum() > visible.size / 2):
        warnings.warn(
            f"{name}: its opaque black is kept, as what is transparent is: --mask-value opaque "
            "completes all that is opaque, --mask-value transparent what is not",
            stacklevel=4,
        )
        return None
    warnings.warn(
        f"{name}: mask taken from its alpha channel: opaque = complete; "
        "--mask-value transparent completes what is transparent",
        stacklevel=4,
    )
    return visible


def _by_index(values: NDArray[Any], indices: NDArray[np.uint8]) -> Any:
    """What to call a palette's colours: by their indices."""
    used, first = np.unique(indices, return_index=True)
    colours = values.reshape(-1, values.shape[2])[first].tolist()

    def called(value: NDArray[np.int64]) -> str:
        return next(
            str(index) for index, colour in zip(used, colours, strict=True)
            if colour == value.tolist()
        )  # fmt: skip

    return called


def _with_values(pixels: _Pixels, wanted: Collection[str], name: str) -> Mask:
    """Where a mask has one of the values that the user names."""
    numbers = pixels.indices
    if numbers is None and pixels.values.shape[2] == 1:
        numbers = pixels.values[..., 0]
    result = np.zeros(pixels.values.shape[:2], bool)
    tolerance = 24 if pixels.lossy else 0
    for text in wanted:
        if (word := text.strip().lower()) in ("transparent", "opaque"):
            if pixels.blank:
                result |= word == "transparent"
                continue
            if pixels.visible is None:
                raise FinefillError(
                    f"{name}: --mask-value {text}: no part of it is transparent: give a number or "
                    "#RRGGBB, or save it with its alpha channel"
                )
            result |= pixels.visible if word == "opaque" else ~pixels.visible
            continue
        if text.strip().isascii() and text.strip().isdigit():
            if numbers is None:
                raise FinefillError(
                    f"{name}: --mask-value {text}: the mask has colours: give one as #RRGGBB"
                )
            found = np.abs(numbers.astype(np.int64) - int(text)) <= tolerance
        else:
            try:
                colour = ImageColor.getrgb(text)[:3]
            except ValueError:
                raise FinefillError(
                    f"{name}: --mask-value {text}: give a number, or a colour as #RRGGBB"
                ) from None
            distance = np.abs(pixels.values.astype(np.int64) - colour).max(axis=2)
            found = distance <= tolerance
        if pixels.visible is not None:
            found &= pixels.visible
        if not found.any():
            raise NotThereError(f"{name}: --mask-value {text}: {_there(pixels, numbers)}", (text,))
        result |= found
    return result


def _there(pixels: _Pixels, numbers: NDArray[Any] | None) -> str:
    """What values a mask has, for who asked for another."""
    values = numbers[..., None] if numbers is not None else pixels.values
    counts: dict[str, int] = {}
    for value, count in zip(
        *np.unique(values.reshape(-1, values.shape[2]), axis=0, return_counts=True), strict=True
    ):
        counts[called_by_numbers(value)] = int(count)
    common = sorted(counts, key=counts.__getitem__, reverse=True)[:10]
    return f"no pixel has it: choose from {', '.join(common)}{' …' if len(counts) > 10 else ''}"


def _refuse_photographs(values: NDArray[Any], name: str) -> None:
    """Raise a FinefillError if so much is neither black nor white that it is no mask."""
    if values.dtype != np.uint8:
        return
    low, high = values.min(axis=2), values.max(axis=2)
    greys = (high > BLACK) & (low < WHITE)
    share = float(greys.mean())
    if share <= MAX_GREYS:
        return
    if values.shape[2] == 1 and _is_feathered(values[..., 0], greys):
        return
    raise FinefillError(
        f"{name}: looks like a photograph, not a mask ({share:.0%} of it is neither black "
        "nor white): give a black picture with what is to be completed in white"
    )


def _is_feathered(grey: NDArray[np.uint8], greys: Mask) -> bool:
    """Whether greys are a wide soft edge on black: smooth, and black to begin with."""
    level = grey.astype(np.int16)
    middle = level[1:-1, 1:-1]
    beside = level[:-2, 1:-1] + level[2:, 1:-1] + level[1:-1, :-2] + level[1:-1, 2:]
    rough = np.abs(4 * middle - beside) > 4 * SMOOTH
    texture = rough[greys[1:-1, 1:-1]]
    smooth = texture.size > 0 and texture.mean() <= MAX_TEXTURE
    return bool(smooth and (grey <= BLACK).mean() >= MIN_BLACK)
