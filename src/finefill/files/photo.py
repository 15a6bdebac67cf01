"""Image files <-> RGB uint8 <-> network floats: the only module that converts images.

A :class:`Photo` is an opened image file: its upright RGB pixels for the networks, and everything
needed to write it back as it was: size, mode, orientation, alpha, ICC profile, EXIF, resolution.
Pixels outside the mask go back sample by sample from the file's own mode, never through RGB, so
that they are bit-identical in lossless formats. The networks see sRGB; what they fill is converted
back to the colours of the file's ICC profile, which stays attached.
"""

from __future__ import annotations

import bisect
import contextlib
import io
import os
import secrets
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from finefill import deep, metadata
from finefill.colour import Colours, colours_of
from finefill.errors import FinefillError, NotAnImageError, OperationError, TooLargeError
from finefill.metadata import NOTHING, ORIENTATION, Kept

RGB = NDArray[np.uint8]
Source = str | os.PathLike[str] | bytes | IO[bytes]

MIN_SIDE = 16  # pixels; less than that holds nothing to complete from
SAMPLED = 1_000_000  # pixels up to which the quality of WebP is tried on the whole image
MAX_TEXT = 16 * 2**20  # bytes of a profile or text in a PNG file; more is a bomb
MAX_PIXELS = 100_000_000  # a photograph has less; a decompression bomb more

# Output formats by file name extension, with the modes each can store.
EXTENSIONS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF",
    ".tiff": "TIFF", ".bmp": "BMP", ".gif": "GIF", ".avif": "AVIF",
}  # fmt: skip
MODES = {
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I;16B"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
}
KEEPS_ORIENTATION_TAG = ("JPEG", "PNG", "WEBP", "AVIF")
KEEPS_PROFILE = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
LOSSLESS_TIFF = ("raw", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "group4")

_GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L")
_COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
# Orientation of stored pixels -> what turns them upright. Pillow's own exif_transpose would write
# all EXIF anew, and stumble over fields of a wrong type.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
# What Pillow's writers answer to what they cannot write, such as EXIF fields of a wrong type.
_UNWRITABLE = (
    OSError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, struct.error,
)  # fmt: skip
_open_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Photo:
    """An opened image.

    Attributes:
        rgb: (H, W, 3) uint8, sRGB, upright, without alpha.
        stored: the decoded first frame, in the file's mode and stored orientation.
        orientation: EXIF orientation 1-8 of ``stored``; 1 = upright.
        kept: EXIF, XMP and what else the file says.
        colours: between the ICC profile's colours and sRGB; None where they are taken as the same.
        samples: (H, W, channels) uint16 of a file with 16-bit colour, oriented as ``stored``, which
            has them rounded to 8 bits.
    """

    rgb: RGB
    stored: Image.Image
    orientation: int = 1
    kept: Kept = NOTHING
    colours: Colours | None = None
    samples: NDArray[np.uint16] | None = None


def to_network(rgb: RGB) -> NDArray[np.float32]:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in [-1, 1]: value / 127.5 - 1."""
    values = rgb.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def from_network(values: NDArray[np.float32]) -> RGB:
    """(1, 3, H, W) float32 -> (H, W, 3) uint8: rounded and clipped; undoes :func:`to_network`."""
    scaled = np.rint((values[0].transpose(1, 2, 0) + np.float32(1)) * np.float32(127.5))
    return np.ascontiguousarray(scaled.clip(0, 255).astype(np.uint8))


def read_photo(source: Source, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read an image file.

    Args:
        source: a path, the file's bytes, or a binary file.
        max_pixels: larger images are refused before they are decoded.

    Raises:
        FinefillError: there is no such file, it is no image or damaged, it is too large or
            smaller than 16x16, its mode cannot be kept (32-bit, LAB), or it has 16-bit colour
            and is neither PNG nor TIFF or the extra ``formats`` is not installed.

    Warns:
        UserWarning: the file is animated or has several pages: the first one is read; its ICC
            profile is damaged; it has 10 or 12 bits a sample (AVIF), which are cut to 8.
    """
    image, kept, samples = _decode(source, max_pixels, keep_deep=True)
    photo = photo_of(image, name=name_of(source))
    return replace(photo, kept=kept, samples=samples)


def photo_of(image: Image.Image, *, name: str = "the image") -> Photo:
    """Wrap a decoded Pillow image; ``name`` is what messages call it.

    Raises:
        FinefillError: its mode cannot be completed and kept, or it is too small.

    Warns:
        UserWarning: its ICC profile is damaged.
    """
    if image.mode not in _GREY + _COLOUR:
        raise FinefillError(
            f"{name}: images of mode {image.mode} are not supported: "
            "convert it to 8-bit RGB or to 8- or 16-bit grey first"
        )
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise FinefillError(
            f"{name}: {width}x{height} pixels are too few: at least {MIN_SIDE}x{MIN_SIDE} needed"
        )
    orientation = orientation_of(image)
    colours = colours_of(image.info.get("icc_profile"), _space(image.mode), name)
    return Photo(turn(_to_rgb(image, colours), orientation), image, orientation, colours=colours)


def decode(source: Source, *, max_pixels: int = MAX_PIXELS) -> tuple[Image.Image, Kept]:
    """Decode the first frame of an image file, with what it says; see :func:`read_photo`.

    16-bit colour is refused.
    """
    image, kept, _ = _decode(source, max_pixels, keep_deep=False)
    return image, kept


def _decode(
    source: Source, max_pixels: int, *, keep_deep: bool
) -> tuple[Image.Image, Kept, NDArray[np.uint16] | None]:
    name = name_of(source)
    with contextlib.ExitStack() as stack:
        try:
            file: IO[bytes]
            if isinstance(source, bytes):
                file = io.BytesIO(source)
            elif isinstance(source, str | os.PathLike):
                file = stack.enter_context(open(source, "rb"))
            else:
                file = source
            image = _open(file)
            width, height = image.size
            if width * height > max_pixels:
                raise TooLargeError(
                    f"{name}: {width}x{height} pixels are more than the limit of {max_pixels}: "
                    "raise it (--max-pixels) if the file can be trusted"
                )
            if image.format == "TIFF":
                _refuse_odd_tiff(image, name)
            deep_colour = _is_16_bit(image) and image.mode in ("LA", *_COLOUR)
            if deep_colour and not keep_deep:
                raise FinefillError(
                    f"{name}: 16 bits per channel are read for grey images and photos only: "
                    "save it with 8 bits per channel first"
                )
            if getattr(image, "is_animated", False):
                warnings.warn(f"{name} has several pictures: only the first is used", stacklevel=4)
            metadata.forget_texts(image)  # "interlace" would change how the pixels are read
            _scale_key(image)
            image.load()
            metadata.forget_texts(image)  # those after the pixels
            if image.format == "AVIF" and metadata.deep_avif(file):
                warnings.warn(f"{name} has more than 8 bits a sample: cut to 8", stacklevel=4)
            kept = metadata.kept_of(image, file)
            if not deep_colour:
                return image, kept, None
            samples, orientation = deep.read(file, image, name)
            samples = turn(samples, orientation)
            return deep.cut(samples, image), kept, samples
        except FinefillError:
            raise
        except OSError as error:
            if error.errno is not None:  # from the file system, not from a decoder
                raise FinefillError(f"{name}: cannot be read: {error.strerror}") from None
            raise _damaged(name, error) from error
        except Exception as error:
            # Pillow's decoders answer damaged files with exceptions of every kind.
            raise _damaged(name, error) from error


def _is_16_bit(image: Image.Image) -> bool:
    """Whether the file stores more than 8 bits a sample, which Pillow would cut for colour."""
    tiles = getattr(image, "tile", [])
    if image.format == "TIFF":
        bits: Any = image.getexif().get(0x0102, 1)  # BitsPerSample
        return bool(np.max(bits) > 8)
    if image.format == "JPEG2000":
        return _bits_of_jpeg2000(image) > 8
    return ";16" in str(tiles) or any(
        codec == "SGI16"
        or (codec.startswith("ppm") and isinstance(arguments, tuple) and arguments[-1] > 255)
        for codec, _, _, arguments in tiles
    )


def _bits_of_jpeg2000(image: Any) -> int:
    """Bits of the first component, from the codestream's SIZ marker (ISO 15444-1, A.5.1)."""
    file = image.fp
    at = file.tell()
    file.seek(0)
    head = file.read(65536)
    file.seek(at)
    found = head.find(b"\xff\x4f\xff\x51")
    return (head[found + 42] & 0x7F) + 1 if 0 <= found < len(head) - 42 else 8


def _refuse_odd_tiff(image: Image.Image, name: str) -> None:
    """Raise a FinefillError where Pillow would drop a TIFF file's samples or misread them."""
    tags: Any = image.getexif()
    channels = int(tags.get(0x0115, 1))  # SamplesPerPixel
    if channels > len(image.getbands()):
        raise FinefillError(
            f"{name}: has {channels} channels, of which {len(image.getbands())} could be kept: "
            "save it without the others first"
        )
    bits = int(np.max(tags.get(0x0102, 1)))  # BitsPerSample
    if 8 < bits < 16:
        raise FinefillError(f"{name}: {bits} bits a sample: save it with 8 or 16 bits first")


def _scale_key(image: Image.Image) -> None:
    """Scale the transparent grey of a PNG file with 2 or 4 bits a sample as Pillow does samples."""
    key, tiles = image.info.get("transparency"), getattr(image, "tile", [])
    if image.mode == "L" and isinstance(key, int) and tiles:
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}.get(str(tiles[0][3]), 1)


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of a Pillow image, 1 to 8; 1 where there is none."""
    value = image.getexif().get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


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


def put_back(photo: Photo, rgb: RGB, mask: NDArray[np.bool_]) -> Image.Image:
    """The photo with its masked pixels taken from ``rgb``, in its own mode and orientation.

    Samples outside the mask are the stored ones. Alpha is kept; only where the hole is fully
    transparent, or has transparent pixels and all around it is opaque (an object erased to
    transparency, and a mask drawn wider), it becomes opaque, or the completion could not be seen.
    In a palette image a masked pixel gets the nearest opaque colour of the
    palette; in a 1-bit image, black or white by a threshold. Where the file has a transparent
    colour, a fill of that colour moves by one level. 16-bit colour is rounded to 8 bits;
    :func:`write_photo` keeps it.

    Args:
        photo: as read.
        rgb: (H, W, 3) uint8, sRGB, upright.
        mask: (H, W) bool, upright, True = to be completed.
    """
    stored = photo.stored
    result = stored.copy()  # with its palette, transparency, profile and EXIF
    samples = _filled(photo, np.array(stored), rgb, mask)
    if stored.mode == "1":
        samples = np.packbits(samples, axis=1)
    result.frombytes(samples.tobytes())
    return result


def _filled(photo: Photo, samples: NDArray[Any], rgb: RGB, mask: NDArray[np.bool_]) -> NDArray[Any]:
    """``samples``, oriented as stored, with the masked ones replaced in place."""
    mode = photo.stored.mode
    hole = turn(mask, photo.orientation, back=True)
    fill = _in_mode_of(photo.stored, turn(rgb, photo.orientation, back=True)[hole], photo.colours)
    if samples.dtype == np.uint16 and not mode.startswith("I;16"):
        fill = fill.astype(np.uint16) * np.uint16(257)
    if mode in ("LA", "PA", "RGBA"):
        if _erased(samples[..., -1], hole):
            samples[hole, -1] = np.iinfo(samples.dtype).max
        samples[hole, :-1] = fill
    else:
        samples[hole] = _beside_key(fill, photo.stored)
    return samples


def _erased(alpha: NDArray[Any], hole: NDArray[np.bool_]) -> bool:
    """Whether what the hole has of transparency is an object that was erased.

    That is so where the hole is transparent all over, or where it has transparent pixels and
    everything next to it is opaque: then a mask was drawn wider than what was erased.
    """
    inside = alpha[hole]
    if not inside.any():
        return True
    if inside.all():
        return False
    beside = np.zeros_like(hole)
    beside[1:] |= hole[:-1]
    beside[:-1] |= hole[1:]
    beside[:, 1:] |= hole[:, :-1]
    beside[:, :-1] |= hole[:, 1:]
    return bool((alpha[beside & ~hole] == np.iinfo(alpha.dtype).max).all())


def _beside_key(fill: NDArray[Any], stored: Image.Image) -> NDArray[Any]:
    """Samples in the stored mode, those that are its transparent colour moved by one level."""
    key, mode = stored.info.get("transparency"), stored.mode
    if not isinstance(key, int | tuple) or not (mode in ("L", "RGB") or mode.startswith("I;16")):
        return fill  # a palette's fill is opaque already, and 1 bit has no other level
    levels = fill[:, None] if fill.ndim == 1 else fill
    found, last = (levels == key).all(axis=1), levels[:, -1]
    last[found] = np.where(last[found] > 0, last[found] - 1, 1)
    return fill


def write_photo(
    photo: Photo, rgb: RGB, mask: NDArray[np.bool_], path: str | os.PathLike[str]
) -> None:
    """Write :func:`put_back`'s image; the extension of ``path`` decides the format.

    JPEG from JPEG keeps the quantisation tables and the chroma subsampling, other JPEG has quality
    95 with full chroma. WebP is lossless, except from lossy WebP: then it has about the size that
    the file had. Where the format cannot hold the mode, alpha goes onto white, 16-bit samples
    become 8-bit, palettes and CMYK become RGB; where it cannot hold transparent colours, they
    become alpha. Formats without an orientation tag get upright pixels. Previews in EXIF and XMP,
    which would show what was removed, are left out. The file appears complete or not at all.

    Raises:
        FinefillError: the extension is unknown or the file cannot be written.

    Warns:
        UserWarning: EXIF, XMP or a comment is too long for JPEG, and left out; the orientation
            stays.
    """
    path = Path(path)
    fmt = output_format(path)
    upright = fmt not in KEEPS_ORIENTATION_TAG
    image = put_back(photo, rgb, mask)
    image.info.pop("comment", None)  # what is left out, writers would take from there
    if upright and photo.orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[photo.orientation])
    image, keeps_profile = _for_format(image, fmt, photo.colours)
    keeps_deep = image.mode in deep.MODES.get(fmt, ()) and image.mode == photo.stored.mode
    samples = photo.samples if keeps_deep else None
    if samples is not None:
        samples = _filled(photo, samples.copy(), rgb, mask)
        samples = turn(samples, photo.orientation) if upright else samples
    with replacing(path) as file:
        try:
            options = metadata.options(photo.kept, fmt, photo.orientation, upright=upright)
            options |= _options(photo, image, fmt, keeps_profile=keeps_profile)
            if samples is None:
                image.save(file, format=fmt, **options)
            else:
                deep.write(samples, image.mode, file, fmt, options)
        except _UNWRITABLE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise FinefillError(f"{path}: cannot be written as {fmt}: {error}") from error


def output_format(path: str | os.PathLike[str]) -> str:
    """The format that the extension of ``path`` names.

    Raises:
        FinefillError: it is none that can be written, or no file can be made there.
    """
    path = Path(path)
    if (fmt := EXTENSIONS.get(path.suffix.lower())) is None:
        raise FinefillError(f"{path}: unknown kind of output: use one of {' '.join(EXTENSIONS)}")
    if path.is_dir():
        raise FinefillError(f"{path}: cannot be written: it is a folder: name a file")
    if not path.parent.is_dir():
        raise FinefillError(f"{path}: cannot be written: make the folder {path.parent} first")
    return fmt


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new binary file beside ``path`` that takes its place when the block ends well.

    It gets the permissions of the file that it replaces. Where ``path`` is a symbolic link, it
    replaces what that points to.

    Raises:
        FinefillError: the file cannot be written.
    """
    place = Path(os.path.realpath(path))
    # By chance: threads, and processes of several machines, may write the same file at once.
    part = place.with_name(f".{place.name}.{secrets.randbits(32)}.part")
    try:
        try:
            with open(part, "xb") as file:
                with contextlib.suppress(FileNotFoundError):
                    part.chmod(stat.S_IMODE(place.stat().st_mode))
                yield file
            os.replace(part, place)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OperationError(
            f"{path}: cannot be written: {error.strerror}: choose another output"
        ) from error


def name_of(source: Source) -> str:
    """What messages call a source."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return "the image" if isinstance(source, bytes) else str(getattr(source, "name", "the image"))


def _open(file: IO[bytes]) -> Image.Image:
    # Pillow's own limit is a global with a warning below it; ours is an argument.
    # So is that for what a PNG file says, which profiles of cameras and printers go beyond.
    with _open_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        longest, PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_CHUNK, MAX_TEXT
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
            PngImagePlugin.MAX_TEXT_CHUNK = longest


def _damaged(name: str, error: Exception) -> FinefillError:
    if isinstance(error, UnidentifiedImageError):
        return NotAnImageError(
            f"{name}: not an image that can be read (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF …)"
        )
    return FinefillError(
        f"{name}: damaged or truncated image: {str(error) or type(error).__name__}"
    )


def _space(mode: str) -> str:
    """The mode among L, RGB, CMYK whose ICC profiles a mode's samples may have."""
    return "L" if mode in _GREY else "CMYK" if mode == "CMYK" else "RGB"


def _plain(image: Image.Image) -> Image.Image:
    """An image of mode L, RGB or CMYK with the colours of ``image``; alpha is ignored."""
    if image.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype("u1"))
    if image.mode in ("P", "PA"):  # by RGBA: straight to RGB Pillow warns about transparency
        image = _rgba(image)
    return image.convert(_space(image.mode))


def _rgba(image: Image.Image) -> Image.Image:
    """``image`` as RGBA; a copy of palette images, whose own palette Pillow would change."""
    return (image.copy() if image.mode == "P" else image).convert("RGBA")


def alpha_of(image: Image.Image) -> Image.Image:
    """The transparency of an image, as stored: mode L."""
    if image.mode.startswith("I;16"):  # there Pillow looks for no transparent colour
        opaque = np.asarray(image) != image.info.get("transparency")
        return Image.fromarray(opaque.astype(np.uint8) * np.uint8(255))
    return _rgba(image).getchannel("A")


def _to_rgb(image: Image.Image, colours: Colours | None) -> RGB:
    """Stored pixels as (H, W, 3) uint8 in sRGB, alpha ignored."""
    plain = _plain(image)
    return np.array(plain.convert("RGB")) if colours is None else colours.to_srgb(plain)


def _in_mode_of(stored: Image.Image, pixels: RGB, colours: Colours | None) -> NDArray[Any]:
    """(N, 3) pixels in sRGB as samples of the stored image's mode, without its alpha."""
    mode, space = stored.mode, _space(stored.mode)
    if colours is not None:
        values = colours.from_srgb(pixels)
    else:
        values = np.array(Image.fromarray(pixels[None]).convert(space))[0]
    if mode == "1":
        return np.greater_equal(values, 128)
    if mode.startswith("I;16"):
        return values.astype(np.uint16) * np.uint16(257)
    if mode in ("P", "PA"):
        values = _nearest(_palette(stored), values)
    elif mode not in (space, "LA", "RGBA"):
        values = np.asarray(Image.fromarray(values[None]).convert(mode))[0]
    return values[:, None] if mode in ("LA", "PA") else values


def _palette(image: Image.Image) -> NDArray[np.float32]:
    """(K, 3) colours; those that are not opaque are infinitely far away."""
    assert image.palette is not None
    colours = np.array(image.getpalette("RGB"), np.float32).reshape(-1, 3)
    alpha = np.full(len(colours), 255)
    transparency = image.info.get("transparency")
    if isinstance(transparency, bytes):
        alpha[: len(transparency)] = np.frombuffer(transparency, np.uint8)[: len(alpha)]
    elif isinstance(transparency, int) and transparency < len(alpha):
        alpha[transparency] = 0
    if "A" in image.palette.mode:
        alpha = np.array(image.getpalette("RGBA")).reshape(-1, 4)[:, 3]
    colours[alpha < alpha.max()] = np.inf
    return colours


def _nearest(palette: NDArray[np.float32], rgb: RGB) -> NDArray[np.uint8]:
    """Index of the nearest palette colour of each of (M, 3) pixels."""
    found = np.empty(len(rgb), np.uint8)
    usable = np.flatnonzero(np.isfinite(palette[:, 0]))
    colours = palette[usable]
    norms = (colours**2).sum(axis=1)
    for start in range(0, len(rgb), 65536):  # bounds the memory: 64 MiB at a time
        part = rgb[start : start + 65536].astype(np.float32)
        found[start : start + 65536] = usable[(norms - 2 * part @ colours.T).argmin(axis=1)]
    return found


def _for_format(image: Image.Image, fmt: str, colours: Colours | None) -> tuple[Image.Image, bool]:
    """The image in a mode that the format holds, and whether its ICC profile still fits it."""
    if colours is not None and fmt not in KEEPS_PROFILE:
        image, colours = _in_srgb(image, colours), None
    if image.mode in ("I;16B", "I;16L") and image.mode not in MODES[fmt]:
        native = Image.fromarray(np.asarray(image).astype("<u2"))
        native.info, image = image.info, native
    if _holds(fmt, image):
        return image, True
    coloured = _space(image.mode) == "RGB"
    if image.has_transparency_data:
        if not coloured and "LA" in MODES[fmt]:
            return Image.merge("LA", (_plain(image), alpha_of(image))), True
        image = _rgba(image) if coloured else _in_srgb(image, colours)
        if "RGBA" not in MODES[fmt]:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image).convert("RGB")
        return image, coloured
    plain = _plain(image)
    if plain.mode in MODES[fmt]:
        return plain, True
    return Image.fromarray(_to_rgb(image, colours)), False


def _holds(fmt: str, image: Image.Image) -> bool:
    """Whether the format has the image's mode, with its transparent colours if there are any."""
    if image.mode not in MODES[fmt]:
        return False
    if not image.has_transparency_data or image.getbands()[-1] == "A":
        return True
    single = isinstance(image.info.get("transparency"), int)
    return fmt == "PNG" or (fmt == "GIF" and single)


def _in_srgb(image: Image.Image, colours: Colours | None) -> Image.Image:
    """The image as RGB or RGBA in sRGB."""
    result = Image.fromarray(_to_rgb(image, colours))
    if image.has_transparency_data:
        result.putalpha(alpha_of(image))
    return result


def _options(photo: Photo, image: Image.Image, fmt: str, *, keeps_profile: bool) -> dict[str, Any]:
    """Options of Pillow's writer for ``fmt`` that keep how the file was written."""
    stored = photo.stored
    info, options = stored.info, dict[str, Any]()
    dpi = info.get("dpi")
    if dpi is not None and all(1 <= float(value) <= 65535 for value in dpi):
        options["dpi"] = (float(dpi[0]), float(dpi[1]))
    if fmt in KEEPS_PROFILE:
        options["icc_profile"] = info.get("icc_profile") if keeps_profile else None
    if fmt == "JPEG":
        tables = getattr(stored, "quantization", None)
        if tables and stored.mode == image.mode:
            from PIL.JpegImagePlugin import get_sampling

            options |= {"qtables": tables, "progressive": bool(info.get("progressive"))}
            # Pillow writes three ways of sampling; others (4:4:0, 4:1:1) get full chroma.
            options["subsampling"] = max(get_sampling(stored), 0)
            options["keep_rgb"] = _stores_rgb(stored)
        else:
            options |= {"quality": 95, "subsampling": 0}
    elif fmt == "WEBP":
        options["exact"] = True  # colours under alpha 0 stay too
        if photo.kept.webp:
            options["quality"] = _webp_quality(image, photo.kept.webp)
        else:
            options["lossless"] = True
    elif fmt == "AVIF":
        options |= {"quality": 90, "subsampling": "4:4:4"}
    elif fmt == "TIFF":
        compression = info.get("compression", "raw")
        options["compression"] = compression if compression in LOSSLESS_TIFF else "tiff_lzw"
    return options


def _stores_rgb(image: Any) -> bool:
    """Whether a JPEG file holds red, green and blue, not luma and chroma (libjpeg's rule)."""
    if image.mode != "RGB" or "jfif" in image.info:
        return False
    if (told := image.info.get("adobe_transform")) is not None:
        return bool(told == 0)
    return [component[0] for component in image.layer] == [*b"RGB"]


def _webp_quality(image: Image.Image, size: int) -> int:
    """The quality at which lossy WebP has about ``size`` bytes; tried on a part of large images."""
    width, height = image.size
    if width * height > SAMPLED:  # evenly spread strips of whole macroblocks
        period = 64 * -(-width * height // SAMPLED)
        image = Image.fromarray(np.asarray(image)[np.arange(height) % period < 64])
        size = size * image.height // height

    def too_large(quality: int) -> bool:
        target = io.BytesIO()
        image.save(target, "WEBP", quality=quality, exact=True, icc_profile=None)
        return target.tell() > size

    return bisect.bisect_left(range(100), True, lo=40, hi=99, key=too_large)
