"""Image files <-> RGB uint8 <-> network floats: the only module that converts images.

A :class:`Photo` is an opened image file: its upright RGB pixels for the networks, and everything
needed to write it back as it was: size, mode, orientation, alpha, ICC profile, EXIF, resolution.
Pixels outside the mask go back sample by sample from the file's own mode, never through RGB, so
that they are bit-identical in lossless formats. Colours are completed in the file's own RGB space;
its ICC profile stays attached.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from finefill.errors import FinefillError

RGB = NDArray[np.uint8]
Source = str | os.PathLike[str] | bytes | IO[bytes]

MIN_SIDE = 16  # pixels; less than that holds nothing to complete from
MAX_PIXELS = 100_000_000  # a photograph has less; a decompression bomb more
ORIENTATION = 0x0112  # the EXIF tag

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
LOSSLESS_TIFF = ("raw", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "group4")

# EXIF orientation -> what turns the stored pixels upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_INVERSE = {6: 8, 8: 6}  # the others undo themselves

_GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L")
_COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_open_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Photo:
    """An opened image.

    Attributes:
        rgb: (H, W, 3) uint8, upright, without alpha.
        stored: the decoded first frame, in the file's mode and stored orientation.
        orientation: EXIF orientation 1-8 of ``stored``; 1 = upright.
        exif: the file's EXIF block as bytes, empty where there is none.
    """

    rgb: RGB
    stored: Image.Image
    orientation: int = 1
    exif: bytes = b""


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
            smaller than 16x16, or its mode cannot be kept (16-bit colour, 32-bit, LAB).

    Warns:
        UserWarning: the file is animated or has several pages; the first one is read.
    """
    image, exif = decode(source, max_pixels=max_pixels)
    return photo_of(image, name=name_of(source), exif=exif)


def photo_of(image: Image.Image, *, name: str = "the image", exif: bytes = b"") -> Photo:
    """Wrap a decoded Pillow image; ``name`` is what messages call it.

    Raises:
        FinefillError: its mode cannot be completed and kept, or it is too small.
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
    return Photo(turn(_to_rgb(image), orientation), image, orientation, exif)


def decode(source: Source, *, max_pixels: int = MAX_PIXELS) -> tuple[Image.Image, bytes]:
    """Decode the first frame of an image file, with its EXIF block; see :func:`read_photo`."""
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
                raise FinefillError(
                    f"{name}: {width}x{height} pixels are more than the limit of {max_pixels}: "
                    "raise it (--max-pixels) if the file can be trusted"
                )
            if _is_16_bit(image) and image.mode not in _GREY:
                raise FinefillError(
                    f"{name}: 16 bits per channel are kept for grey images only: "
                    "save it with 8 bits per channel first"
                )
            if getattr(image, "is_animated", False):
                warnings.warn(f"{name} has several pictures: only the first is used", stacklevel=3)
            image.load()
            return image, _exif_of(image)
        except FinefillError:
            raise
        except OSError as error:
            if error.errno is not None:  # from the file system, not from a decoder
                raise FinefillError(f"{name}: cannot be read: {error.strerror}") from None
            raise FinefillError(_damaged(name, error)) from error
        except Exception as error:
            # Pillow's decoders answer damaged files with exceptions of every kind.
            raise FinefillError(_damaged(name, error)) from error


def _is_16_bit(image: Image.Image) -> bool:
    """Whether the file stores more than 8 bits a sample, which Pillow would cut for colour."""
    tiles = getattr(image, "tile", [])
    return ";16" in str(tiles) or any(
        codec.startswith("ppm") and isinstance(arguments, tuple) and arguments[-1] > 255
        for codec, _, _, arguments in tiles
    )


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of a Pillow image, 1 to 8; 1 where there is none."""
    value = image.getexif().get(ORIENTATION, 1)
    return value if value in _UPRIGHT else 1


def turn(array: NDArray[np.uint8], orientation: int, *, back: bool = False) -> NDArray[np.uint8]:
    """Turn stored pixels (H, W) or (H, W, 3) upright; ``back`` turns upright ones as stored."""
    method = _UPRIGHT.get(_INVERSE.get(orientation, orientation) if back else orientation)
    image = Image.fromarray(array)
    return np.asarray(image if method is None else image.transpose(method))


def put_back(photo: Photo, rgb: RGB, mask: NDArray[np.bool_]) -> Image.Image:
    """The photo with its masked pixels taken from ``rgb``, in its own mode and orientation.

    Samples outside the mask are the stored ones. Alpha is kept; only where the whole hole is
    fully transparent (an object erased to transparency) it becomes opaque, or the completion
    could not be seen. In a palette image a masked pixel gets the nearest opaque colour of the
    palette; in a 1-bit image, black or white by a threshold.

    Args:
        photo: as read.
        rgb: (H, W, 3) uint8, upright.
        mask: (H, W) bool, upright, True = to be completed.
    """
    stored = photo.stored
    rgb = turn(rgb, photo.orientation, back=True)
    hole = turn(mask.astype(np.uint8), photo.orientation, back=True).astype(bool)
    samples = np.array(stored)
    fill = _in_mode_of(stored, rgb)
    if stored.mode in ("LA", "PA", "RGBA"):
        alpha = samples[..., -1]
        if not alpha[hole].any():
            alpha[hole] = 255
        samples[hole, :-1] = fill[hole]
    elif stored.mode == "P":
        samples[hole] = _nearest(_palette(stored), rgb[hole])
    else:
        samples[hole] = fill[hole]
    if stored.mode == "1":
        samples = np.packbits(samples, axis=1)
    result = stored.copy()  # with its palette, transparency, profile and EXIF
    result.frombytes(samples.tobytes())
    return result


def write_photo(
    photo: Photo, rgb: RGB, mask: NDArray[np.bool_], path: str | os.PathLike[str]
) -> None:
    """Write :func:`put_back`'s image; the extension of ``path`` decides the format.

    JPEG from JPEG keeps the quantisation tables and the chroma subsampling, other JPEG has quality
    95 with full chroma; WebP is lossless. Where the format cannot hold the mode, alpha goes onto
    white, 16-bit grey becomes 8-bit, palettes and CMYK become RGB. Formats without an orientation
    tag get upright pixels. The file appears complete or not at all.

    Raises:
        FinefillError: the extension is unknown or the file cannot be written.
    """
    path = Path(path)
    fmt = output_format(path)
    image = put_back(photo, rgb, mask)
    exif = photo.exif
    if fmt not in KEEPS_ORIENTATION_TAG:
        if photo.orientation in _UPRIGHT:
            image = image.transpose(_UPRIGHT[photo.orientation])
        exif = _without_orientation(exif) if fmt == "TIFF" else b""
    options = _options(photo.stored, image, fmt)
    if exif:
        options["exif"] = exif
    image = _for_format(image, fmt)
    with replacing(path) as file:
        try:
            image.save(file, format=fmt, **options)
        except (OSError, ValueError, KeyError) as error:
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

    Raises:
        FinefillError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with open(part, "wb") as file:
                yield file
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise FinefillError(
            f"{path}: cannot be written: {error.strerror}: choose another output"
        ) from error


def name_of(source: Source) -> str:
    """What messages call a source."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return "the image" if isinstance(source, bytes) else str(getattr(source, "name", "the image"))


def _open(file: IO[bytes]) -> Image.Image:
    # Pillow's own limit is a global with a warning below it; ours is an argument.
    with _open_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _damaged(name: str, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"{name}: not an image that can be read (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF …)"
    return f"{name}: damaged or truncated image: {str(error) or type(error).__name__}"


def _to_rgb(image: Image.Image) -> RGB:
    """Stored pixels as (H, W, 3) uint8, alpha ignored."""
    if image.mode.startswith("I;16"):
        grey = ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "CMYK":
        return np.asarray(_convert_cmyk(image, "RGB", image.info.get("icc_profile")))
    if image.mode in ("P", "PA"):  # by RGBA: straight to RGB Pillow warns about transparency
        return np.ascontiguousarray(np.asarray(image.convert("RGBA"))[..., :3])
    if image.mode in ("RGB", "RGBA"):
        return np.ascontiguousarray(np.asarray(image)[..., :3])
    return np.asarray(image.convert("RGB"))


def _in_mode_of(stored: Image.Image, rgb: RGB) -> NDArray[Any]:
    """RGB pixels as samples of the stored image's mode, without its alpha."""
    image = Image.fromarray(rgb)
    if stored.mode.startswith("I;16"):
        return np.asarray(image.convert("L")).astype(np.uint16) * np.uint16(257)
    if stored.mode == "1":
        return np.asarray(image.convert("L")) >= 128
    if stored.mode in ("L", "LA"):
        grey = np.asarray(image.convert("L"))
        return grey if stored.mode == "L" else grey[..., None]
    if stored.mode == "PA":
        flat = _nearest(_palette(stored), rgb.reshape(-1, 3))
        return flat.reshape(*rgb.shape[:2], 1)
    if stored.mode == "CMYK":
        return np.asarray(_convert_cmyk(image, "CMYK", stored.info.get("icc_profile")))
    return rgb if stored.mode in ("P", "RGB", "RGBA") else np.asarray(image.convert(stored.mode))


def _convert_cmyk(image: Image.Image, mode: str, profile: bytes | None) -> Image.Image:
    """RGB -> CMYK or back, through the file's profile where it has a usable one."""
    if profile:
        from PIL import ImageCms

        try:
            ink: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb: Any = ImageCms.createProfile("sRGB")
            pair = (ink, srgb) if mode == "RGB" else (srgb, ink)
            converted = ImageCms.profileToProfile(image, *pair, outputMode=mode)
            assert converted is not None
            return converted
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged profile: as viewers do, go on without
    return image.convert(mode)


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


def _exif_of(image: Image.Image) -> bytes:
    exif = image.getexif()
    raw = image.info.get("exif")
    if isinstance(raw, bytes) and raw:
        parsed = Image.Exif()
        parsed.load(raw)
        if parsed.get(ORIENTATION, 1) == exif.get(ORIENTATION, 1):  # it may come from XMP too
            return raw
    if image.format == "TIFF":  # there EXIF shares its table with the image's layout
        kept = Image.Exif()
        for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298):  # texts
            if tag in exif:
                kept[tag] = exif[tag]
        for ifd in (0x8769, 0x8825):  # EXIF, GPS
            if values := exif.get_ifd(ifd):
                kept.get_ifd(ifd).update(values)
        exif = kept
    return exif.tobytes() if len(exif) else b""


def _without_orientation(exif: bytes) -> bytes:
    if not exif:
        return b""
    parsed = Image.Exif()
    parsed.load(exif)
    if ORIENTATION in parsed:
        del parsed[ORIENTATION]
    return parsed.tobytes() if len(parsed) else b""


def _for_format(image: Image.Image, fmt: str) -> Image.Image:
    if image.mode in MODES[fmt] and not (image.mode == "I;16B" and fmt != "TIFF"):
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray(_to_rgb(image)).convert("RGB" if "L" not in MODES[fmt] else "L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if "RGBA" in MODES[fmt]:
            return image
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    if image.mode in ("1", "L") and "L" in MODES[fmt]:
        return image.convert("L")
    return Image.fromarray(_to_rgb(image))


def _options(stored: Image.Image, image: Image.Image, fmt: str) -> dict[str, Any]:
    """Options of Pillow's writer for ``fmt`` that keep what the file had."""
    info, options = stored.info, dict[str, Any]()
    dpi = info.get("dpi")
    if dpi is not None and all(1 <= float(value) <= 65535 for value in dpi):
        options["dpi"] = (float(dpi[0]), float(dpi[1]))
    same_colours = image.mode in MODES[fmt] or image.mode in ("P", "PA", "RGBA")
    if fmt in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        # A grey or CMYK profile says nothing about RGB samples.
        options["icc_profile"] = info.get("icc_profile") if same_colours else None
    if fmt == "JPEG":
        tables = getattr(stored, "quantization", None)
        if tables and stored.mode == image.mode:
            from PIL.JpegImagePlugin import get_sampling

            options |= {"qtables": tables, "progressive": bool(info.get("progressive"))}
            if (sampling := get_sampling(stored)) >= 0:
                options["subsampling"] = sampling
        else:
            options |= {"quality": 95, "subsampling": 0}
    elif fmt == "WEBP":
        options |= {"lossless": True, "exact": True}  # exact: colours under alpha 0 stay too
    elif fmt == "AVIF":
        options["quality"] = 95
    elif fmt == "TIFF":
        compression = info.get("compression", "raw")
        options["compression"] = compression if compression in LOSSLESS_TIFF else "tiff_lzw"
    return options
