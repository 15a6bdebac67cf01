"""Image files are read: decoded within limits, refused where samples would be lost."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
from dataclasses import replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from finefill.errors import FinefillError, NotAnImageError, TooLargeError
from finefill.files import deep, metadata
from finefill.files.metadata import Kept
from finefill.files.photo import COLOUR, Photo, photo_of, turn

Source = str | os.PathLike[str] | bytes | IO[bytes]
MAX_TEXT = 16 * 2**20  # bytes of a profile or text in a PNG file; more is a bomb
MAX_PIXELS = 100_000_000  # a photograph has less; a decompression bomb more
_open_lock = threading.Lock()


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
            deep_colour = _is_16_bit(image) and image.mode in ("LA", *COLOUR)
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
