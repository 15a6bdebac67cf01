"""Image files are read: decoded within limits, refused where samples would be lost."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from finefill.errors import FinefillError, NotAnImageError, TooLargeError
from finefill.files import containers, deep, heif, jxl, metadata, stacks, tiff
from finefill.files.formats import EXTENSIONS
from finefill.files.metadata import Kept
from finefill.files.photo import COLOUR, Photo, photo_of, turn, with_gaps
from finefill.files.raw import raw_error, refuse_raw

Source = str | os.PathLike[str] | bytes | IO[bytes]
MAX_TEXT = 16 * 2**20  # bytes of a profile or text in a PNG file; more is a bomb
# Where a file of another kind has which first bytes, and what makes a photograph of it.
_OTHERS = (
    (0, b"\x76\x2f\x31\x01", "OpenEXR: map its tones first, and save it as TIFF or PNG of 16 bits"),
    (128, b"DICM", "DICOM: export its picture as TIFF or PNG of 16 bits first"),
    (0, b"%PDF", "PDF: save its page as PNG or TIFF first"),
    (0, b"8BPB", "a large Photoshop document (PSB): save it as TIFF first"),
)
# Readers that Pillow finds only by importing all it has, which takes long: they are imported first.
_READERS = ((0, b"II", "Tiff"), (0, b"MM", "Tiff"), (8, b"WEBP", "WebP"), (4, b"ftypavi", "Avif"))
_PROGRAMS = (b"%!PS", b"\xc5\xd0\xd3\xc6")  # which Pillow would give to Ghostscript
MAX_PIXELS = 100_000_000  # a photograph has less; a decompression bomb more
_limits_lock, _inside = threading.Lock(), 0
_limits: tuple[int | None, int] = (None, 0)


def read_photo(source: Source, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read an image file.

    Args:
        source: a path, the file's bytes, or a binary file.
        max_pixels: larger images are refused before they are decoded.

    Raises:
        FinefillError: there is no such file; it is no image, or damaged; it is too large, or
            smaller than 16x16. Its mode cannot be kept (32-bit, LAB). It has 16-bit colour and is
            none of PNG, TIFF and JPEG XL, or the extra ``formats`` is not installed.

    Warns:
        UserWarning: the file is animated or has several pages: the first one is read; its ICC
            profile is damaged; it has 10 or 12 bits a sample (AVIF, HEIC), which are cut
            to 8.
    """
    image, kept, samples = _decode(source, max_pixels, keep_deep=True)
    photo = photo_of(image, name=name_of(source))._replace(kept=kept, samples=samples)
    return with_gaps(photo, kept.no_data)


def decode(
    source: Source, *, max_pixels: int = MAX_PIXELS, cut: bool = False
) -> tuple[Image.Image, Kept]:
    """Decode the first frame of an image file, with what it says; see :func:`read_photo`.

    16-bit colour is refused, or cut to 8 bits if ``cut``.
    """
    image, kept, _ = _decode(source, max_pixels, keep_deep=False, cut=cut)
    return image, kept


def _decode(
    source: Source, max_pixels: int, *, keep_deep: bool, cut: bool = False
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
            refuse_raw(file, name)
            file, picture = _picture_of(file, name)
            try:
                image, samples = _opened(file, name, max_pixels)
            except UnidentifiedImageError:
                if picture is None:
                    raise
                image, samples = deep.grey_with_alpha(file, picture, name)
            width, height = image.size
            _check_size(width, height, max_pixels, name)
            if width * height > (Image.MAX_IMAGE_PIXELS or width * height):
                stack.enter_context(_no_limits())
            if picture is not None:
                _refuse_odd_tiff(image, name, picture, whole=cut)
            deep_colour = samples is not None or (
                _is_16_bit(image, picture) and image.mode in ("L", "LA", *COLOUR)
            )
            if deep_colour and not keep_deep and not cut:
                raise FinefillError(
                    f"{name}: 16 bits per channel are read for grey images and photos only: "
                    "save it with 8 bits per channel first"
                )
            several = bool(getattr(image, "is_animated", False))
            if picture is not None:  # ImageJ's long stacks have one table for all
                several &= not (picture.scaled or picture.alone)
                several |= stacks.of_one_plane(picture)[1] > 1
            if picture is not None and picture.preview:
                sizes = ["x".join(map(str, size)) for size in (picture.preview, picture.size)]
                warnings.warn(
                    f"{name}: its first picture, {sizes[0]}, is a preview: the one of {sizes[1]} "
                    "is used, and the others are left out",
                    stacklevel=4,
                )
            elif several:
                warnings.warn(f"{name} has several pictures: only the first is used", stacklevel=4)
            if picture is not None and not picture.preview:
                _tell_others(picture, name)
            layout = _layout(image, picture)
            metadata.forget_texts(image)  # "interlace" would change how the pixels are read
            _scale_key(image)
            _load(image)
            if image.format == "PPM" and image.mode == "I":  # grey of 16 bits
                image = _as(image, np.asarray(image).astype("<u2"))
            metadata.forget_texts(image)  # those after the pixels
            if _is_cut(image, file):
                warnings.warn(f"{name} has more than 8 bits a sample: cut to 8", stacklevel=4)
            if image.format in ("AVIF", "HEIF") and containers.odd_colours(file, image):
                warnings.warn(
                    f"{name}: its colours are told by code points (nclx), not by a profile: "
                    "they are taken for sRGB",
                    stacklevel=4,
                )
            if picture is not None and not picture.data(tiff.RESOLUTION):
                image.info.pop("dpi", None)  # made up by Pillow
            kept = metadata.kept_of(image, file, picture)
            named = EXTENSIONS.get(os.path.splitext(name)[1].lower(), "")
            kept = kept._replace(named=named, layout=layout)
            if kept.lost and keep_deep:
                warnings.warn(f"{name}: left out: {'; '.join(kept.lost)}", stacklevel=4)
            if kept.negative and image.mode.startswith("I;16"):
                image = _inverted(image)  # as Pillow does with fewer bits
            if not deep_colour or samples is not None or cut:
                return image, kept, samples
            samples, orientation = deep.read(file, image, name)
            samples = turn(samples, orientation)
            return deep.cut(samples, image), kept, samples
        except FinefillError:
            raise
        except OSError as error:
            if error.errno is not None:  # from the file system, not from a decoder
                raise FinefillError(f"{name}: cannot be read: {error.strerror}") from None
            if "bitfields" in str(error):
                raise FinefillError(
                    f"{name}: BMP of these bits a channel cannot be read: "
                    "save it with 24 bits a pixel first"
                ) from error
            raise _damaged(name, error) from error
        except Exception as error:
            # Pillow's decoders answer damaged files with exceptions of every kind.
            raise _damaged(name, error) from error


def _picture_of(file: IO[bytes], name: str) -> tuple[IO[bytes], tiff.Picture | None]:
    """The file so that its first picture is the photo, and of TIFF that picture."""
    try:
        picture = tiff.picture_of(file)
    except ValueError:  # another format, or for Pillow to refuse
        picture = None
    if picture is not None and picture.raw:
        raise raw_error(name)
    if picture is not None and picture.odd:
        raise FinefillError(f"{name}: BigTIFF in big-endian order: save it in little-endian first")
    if picture is not None:
        file = tiff.as_pillow_reads(file, picture)
    file.seek(0)
    return file, picture


def _opened(
    file: IO[bytes], name: str, max_pixels: int
) -> tuple[Image.Image, NDArray[np.uint16] | None]:
    """Open a file with Pillow, or with what the extra ``formats`` adds; and its deep samples."""
    head = file.read(12)
    file.seek(0)
    if head[:4] in _PROGRAMS:
        raise NotAnImageError(f"{name}: EPS is a program, not an image: save it as PNG first")
    if head.startswith(b"\xff\xd8\xff") and (image := _opened_jpeg(file)) is not None:
        return image, None
    for at, mark, reader in _READERS:
        if head[at:].startswith(mark):
            importlib.import_module(f"PIL.{reader}ImagePlugin")
    try:
        with _no_limits():
            return Image.open(file), None
    except UnidentifiedImageError:
        file.seek(0)
        head = file.read(132)
        for at, mark, kind in _OTHERS:
            if head[at:].startswith(mark):
                raise NotAnImageError(f"{name}: is {kind}") from None
        if heif.is_heif(head):
            return heif.opened(file, name), None
        if not jxl.is_jxl(head):
            raise
    file.seek(0)
    data = file.read()
    found = jxl.boxes(data)
    told = jxl.header(found.get(b"jxlc", b""))
    _check_size(*told.size, max_pixels, name)
    for text, holds in (
        (" has several pictures: only the first is used", told.animated),
        (": its colours are not sRGB, and taken for it", not told.srgb),
    ):
        if holds:
            warnings.warn(f"{name}{text}", stacklevel=5)
    return jxl.opened(data, found, told, name)


def _opened_jpeg(file: IO[bytes]) -> Image.Image | None:
    """A JPEG file, opened without Pillow's readers of other formats, which take long to import."""
    # What Image.open passes over, before it asks the other readers.
    with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
        return JpegImagePlugin.jpeg_factory(file)
    file.seek(0)
    return None


def _check_size(width: int, height: int, max_pixels: int, name: str) -> None:
    if width * height > max_pixels:
        raise TooLargeError(
            f"{name}: {width}x{height} pixels are more than the limit of {max_pixels}: "
            "raise it (--max-pixels) if the file can be trusted"
        )


def _is_cut(image: Image.Image, file: IO[bytes]) -> bool:
    """Whether the decoder cuts more than 8 bits a sample to 8."""
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8)) > 8
    return image.format == "AVIF" and containers.deep_avif(file)


def _load(image: Image.Image) -> None:
    """Decode; without the XMP packet, by which Pillow turns TIFF pictures."""
    packet = image.info.pop("xmp", None) if image.format == "TIFF" else None
    image.load()
    if packet is not None:
        image.info["xmp"] = packet


def _inverted(image: Image.Image) -> Image.Image:
    """A 16-bit image with white as zero, as others have it."""
    samples = np.asarray(image)
    return _as(image, (np.iinfo(samples.dtype).max - samples).astype(samples.dtype))


def _as(image: Image.Image, samples: NDArray[Any]) -> Image.Image:
    """Other samples of a grey image."""
    result = Image.fromarray(samples)
    result.info, result.format = image.info, image.format
    return result


def _is_16_bit(image: Image.Image, picture: tiff.Picture | None) -> bool:
    """Whether the file stores more than 8 bits a sample, which Pillow would cut for colour."""
    tiles = getattr(image, "tile", [])
    if picture is not None:
        return picture.bits > 8
    if image.format == "JPEG2000":
        return _bits_of_jpeg2000(image) > 8
    # Of 5, 6 and 5 bits a channel, BGR;16 has 16 a pixel.
    return ";16" in str(tiles).replace("BGR;16", "") or any(
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


def _refuse_odd_tiff(image: Image.Image, name: str, picture: tiff.Picture, *, whole: bool) -> None:
    """Raise a FinefillError where Pillow would drop a TIFF file's samples or misread them.

    ``whole``: whole numbers of 32 bits are wanted, which may have signs.
    """
    bands = len(image.getbands())
    if picture.channels > bands:
        raise FinefillError(
            f"{name}: has {picture.channels} channels, of which {bands} could be kept: "
            "save it without the others first"
        )
    if picture.signed and not (whole and image.mode == "I"):
        raise FinefillError(f"{name}: its samples have signs: save it without them first")
    if 8 < picture.bits < 16:
        raise FinefillError(
            f"{name}: {picture.bits} bits a sample: save it with 8 or 16 bits first"
        )


def _tell_others(picture: tiff.Picture, name: str) -> None:
    """Warn of what a TIFF file has beside its picture, and of alpha that is kept otherwise."""
    for text, holds in (
        (
            "left out: its mask of the pixels that count (GDAL's internal mask), so that the "
            "others count too: give it a no-data value or alpha first",
            picture.masked,
        ),
        ("left out: its smaller versions (overviews)", picture.scaled),
        (
            "its colours are stored multiplied by alpha: they are written without that, and "
            "look the same",
            deep.ASSOCIATED in picture.extra,
        ),
    ):
        if holds:
            warnings.warn(f"{name}: {text}", stacklevel=5)


def _layout(image: Image.Image, picture: tiff.Picture | None) -> tuple[str, ...]:
    """How an image, not yet decoded, stores its samples, where nobody here writes them so."""
    if picture is not None:
        few = picture.bits if picture.bits in (2, 4) else 0
        odd = {
            "tiles (strips are written)": picture.tiled,
            "BigTIFF (classic TIFF is written)": picture.big,
        }
    else:
        tiles = getattr(image, "tile", []) if image.format == "PNG" else []
        few = {"L;2": 2, "L;4": 4}.get(str(tiles[0][3]), 0) if tiles else 0
        odd = {}
    bits = [f"{few} bits a sample (8 are written, of the same levels)"] if few else []
    return (*bits, *(words for words, holds in odd.items() if holds))


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


@contextlib.contextmanager
def _no_limits() -> Iterator[None]:
    """Pillow's own limits, which are global, are off: of pixels ours is an argument.

    What a PNG file says may be longer too: profiles of cameras and printers are. Several threads
    may be inside at once; the limits are back when the last one leaves.
    """
    from PIL import PngImagePlugin  # files of some formats come without

    global _inside, _limits
    with _limits_lock:
        if not _inside:
            _limits = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
        _inside += 1
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = None, MAX_TEXT
    try:
        yield
    finally:
        with _limits_lock:
            _inside -= 1
            if not _inside:
                Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = _limits


def _damaged(name: str, error: Exception) -> FinefillError:
    if isinstance(error, UnidentifiedImageError):
        return NotAnImageError(
            f"{name}: not an image that can be read (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF …)"
        )
    told = " ".join(str(error).split()) or type(error).__name__
    return FinefillError(f"{name}: damaged or truncated image: {told}")
