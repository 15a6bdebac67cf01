"""Photographs are written as they were read; a file appears complete or not at all."""

from __future__ import annotations

import bisect
import contextlib
import io
import os
import re
import stat
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from finefill.errors import FinefillError, OperationError
from finefill.files import deep, heif, jxl, metadata, resolution, tiff
from finefill.files.colour import Colours, is_unused
from finefill.files.formats import (
    KEEPS_ORIENTATION_TAG,
    KEEPS_PROFILE,
    LOSSLESS,
    LOSSLESS_TIFF,
    LOSSY,
    MODES,
    holds,
    output_format,
)
from finefill.files.photo import (
    RGB,
    Photo,
    alpha_of,
    filled,
    in_srgb,
    put_back,
    rgb_of,
    space_of,
    turn,
    with_alpha,
    without_alpha,
)

# What `replacing` leaves behind when its process is killed.
PART = re.compile(r"\.(?P<name>.+)\.[0-9a-f]+\.part")
SAMPLED = 1_000_000  # pixels up to which the quality of WebP is tried on the whole image
# Ways to compress PNG, the fastest first, and zlib's own. On a part of the image one is chosen that
# is not much longer than zlib's own: run lengths for what is noisy, level 3 for drawings.
PNG_WAYS: tuple[dict[str, int], ...] = ({"compress_type": 3}, {"compress_level": 3}, {})
PNG_LONGER = 1.07  # so often as long as zlib's own a part may be
PNG_SAMPLED = 250_000  # pixels of that part
# Samples of 16 bits: what has none above DIM is dark with 8 bits; with a range of FLAT, it is flat.
DIM, FLAT = 65535 // 8, 65535 // 32
INKS = "its inks (CMYK becomes RGB)"
# Orientation of stored pixels -> what turns them upright. Pillow's own exif_transpose would write
# all EXIF anew, and stumble over fields of a wrong type.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
# What Pillow's writers answer to what they cannot write, such as EXIF fields of a wrong type.
_UNWRITABLE = (
    OSError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RuntimeError,
    struct.error,
)  # fmt: skip


def write_photo(
    photo: Photo,
    rgb: RGB,
    mask: NDArray[np.bool_],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write :func:`put_back`'s image; the extension of ``path`` decides the format.

    JPEG from JPEG keeps the quantisation tables and the chroma subsampling, other JPEG has quality
    95 with full chroma. WebP is lossless, except from lossy WebP: then it has about the size that
    the file had. Where the format cannot hold the mode, alpha goes onto white, 16-bit samples
    become 8-bit, palettes and CMYK become RGB; where it cannot hold transparent colours, they
    become alpha. In GIF, alpha below 128 is transparent, and the rest goes onto white. Formats
    without an orientation tag get upright pixels. Previews in EXIF and XMP, which would show what
    was removed, are left out. The file appears complete or not at all. ``overwrite`` is as there.

    Raises:
        FinefillError: the extension is unknown or the file cannot be written.

    Warns:
        UserWarning: the format does not hold all that the file is (alpha, 16 bits, ICC profile,
            inks, more than 256 colours) or says, or is not written in the file's own layout (2 or
            4 bits, tiles, BigTIFF); EXIF, XMP or a comment is
            too long for JPEG: left out; the orientation stays. Samples of 16 bits that use little
            of their range are written with 8; soft alpha goes to GIF.
    """
    path = Path(path)
    fmt = output_format(path)
    if fmt in LOSSY and photo.kept.named == fmt and photo.stored.format in LOSSLESS:
        warnings.warn(
            f"{path}: {fmt} does not keep all pixels; the photo is {photo.stored.format} in spite "
            "of its name: name it so to keep them",
            stacklevel=2,
        )
    upright = fmt not in KEEPS_ORIENTATION_TAG
    image = put_back(photo, rgb, mask, overwrite=overwrite)
    image.info.pop("comment", None)  # what is left out, writers would take from there
    if upright and photo.orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[photo.orientation])
    whole = image
    image, keeps_profile = _for_format(image, fmt, photo.colours)
    lost = _lost(photo, whole, image, fmt, keeps_profile=keeps_profile)
    if fmt == "GIF" and image.mode in ("RGB", "RGBA"):
        wanted = image
        image = _keyed(image, path) if image.mode == "RGBA" else image.quantize(256)
        image.info = wanted.info | image.info
        lost += _colours_lost(wanted, image, mask)
    keeps_deep = image.mode in deep.MODES.get(fmt, ()) and image.mode == photo.stored.mode
    keeps_deep &= keeps_profile and (photo.colours is None or fmt in KEEPS_PROFILE)
    samples = photo.samples if keeps_deep else None
    if samples is not None:
        samples = filled(photo, samples.copy(), rgb, mask)
        samples = turn(samples, photo.orientation) if upright else samples
    elif (
        not image.mode.startswith("I;16") and _uses_16_bits(photo) and not _tell_narrow(photo, path)
    ):
        lost.append("its 16 bits (8 are left)")
    if lost:
        keep = [
            one for one in ("PNG", "TIFF") if one != fmt and not (one == "PNG" and INKS in lost)
        ]
        warnings.warn(
            f"{path}: {fmt} does not keep {', '.join(lost)}: choose {' or '.join(keep)} to keep it",
            stacklevel=2,
        )
    if photo.kept.layout and photo.stored.format == fmt:
        warnings.warn(
            f"{path}: {fmt} as it is written here does not keep its layout: "
            f"{', '.join(photo.kept.layout)}; the pixels are the same",
            stacklevel=2,
        )
    kept = photo.kept
    if upright and photo.orientation > 4:
        kept = kept._replace(exif=tiff.with_size(kept.exif, image.size))
    with replacing(path) as file:
        try:
            options = metadata.options(
                kept, fmt, photo.orientation, upright=upright, name=str(path)
            )
            tags, told = options.pop("tags", {}), options.pop("resolution", None)
            if told is not None and (told.unit != resolution.ASPECT or fmt == "JPEG"):
                options["dpi"] = told.dpi
            if fmt == "TIFF" and photo.kept.negative and image.mode in ("1", "L", "I;16", "I;16B"):
                image, tags[tiff.PHOTOMETRIC] = _negative(image), tiff.short(0)
            if fmt == "TIFF" and image.mode in ("P", "PA"):
                tags |= _colour_map(photo.stored)
            options |= _options(photo, image, fmt, keeps_profile=keeps_profile)
            if fmt == "HEIF":
                heif.save(image, file, options)
            elif fmt == "JXL":
                said = (options.get(name, b"") for name in ("exif", "xmp"))
                file.write(jxl.encoded(np.asarray(image) if samples is None else samples, *said))
            elif samples is None:
                image.save(_named(file, path.suffix), **options)
            else:
                deep.write(samples, image.mode, file, fmt, options)
            if tags:
                tiff.append(file, tags)
            if told is not None and fmt == "JPEG":
                resolution.in_jfif(file, told)
            elif told is not None and fmt == "PNG" and told.unit == resolution.ASPECT:
                aspect = struct.pack(">IIB", int(told.across), int(told.down), 0)
                resolution.in_png(file, b"pHYs", aspect)
        except _UNWRITABLE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise FinefillError(f"{path}: cannot be written as {fmt}: {error}") from error


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
    part = place.with_name(f".{place.name}.{os.urandom(4).hex()}.part")
    try:
        try:
            with open(part, "x+b") as file:
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


def _named(file: IO[bytes], suffix: str) -> Any:
    """A file by another name, for Pillow.

    By a name's extension it imports the one writer that it needs, by a format those of many.
    """

    class Named:
        name = f"photo{suffix}"

        def __getattr__(self, attribute: str) -> Any:
            return getattr(file, attribute)

    return Named()


def _negative(image: Image.Image) -> Image.Image:
    """A grey image with white as zero."""
    if not image.mode.startswith("I;16"):
        return ImageChops.invert(image)
    samples = np.asarray(image)
    return Image.fromarray((65535 - samples).astype(samples.dtype))


def _keyed(image: Image.Image, path: Path) -> Image.Image:
    """An RGBA image with a palette of which one colour is transparent, as GIF has it.

    Alpha below 128 becomes transparent, the rest goes onto white.

    Warns:
        UserWarning: there is soft alpha.
    """
    alpha = np.asarray(image.getchannel("A"))
    hidden = alpha < 128
    if ((alpha > 0) & (alpha < 255)).any():
        warnings.warn(
            f"{path}: GIF has no soft alpha: below one half it becomes transparent, "
            "the rest goes onto white: choose PNG or WebP to keep it",
            stacklevel=3,
        )
    seen = np.array(_onto_white(image))
    seen[hidden] = seen[~hidden][0] if not hidden.all() else 255  # takes no colour of its own
    reduced = Image.fromarray(seen).quantize(255)
    indices = np.array(reduced)
    indices[hidden] = 255
    palette = (reduced.getpalette() or [])[:765]
    result = Image.frombytes("P", image.size, indices.tobytes())
    result.putpalette(palette + [255] * (768 - len(palette)))
    result.info = dict(image.info)
    if hidden.any():
        result.info["transparency"] = 255
    return result


def _onto_white(image: Image.Image) -> Image.Image:
    """An RGBA image as RGB."""
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _lost(
    photo: Photo, before: Image.Image, after: Image.Image, fmt: str, *, keeps_profile: bool
) -> list[str]:
    """What of an image is given up for the modes of a format, by name; bits are not looked at.

    Args:
        photo: as read.
        before: the completed image in the photo's mode.
        after: in a mode of the format.
        fmt: the format.
        keeps_profile: whether the ICC profile still fits.
    """
    lost = []
    flattened = before.has_transparency_data and not after.has_transparency_data
    if flattened and np.asarray(alpha_of(before)).min() < 255:
        lost.append("its alpha (it goes onto white)")
    if photo.colours is not None and not (keeps_profile and fmt in KEEPS_PROFILE):
        lost.append("its colour profile (its colours become sRGB)")
    elif not (keeps_profile and fmt in KEEPS_PROFILE) and is_unused(
        photo.stored.info.get("icc_profile"), space_of(photo.stored.mode)
    ):
        lost.append("its colour profile (damaged, or of other samples than it has)")
    if before.mode == "CMYK" != after.mode:
        lost.append(INKS)
    elif before.mode == "YCbCr" != after.mode:
        lost.append("its YCbCr (it becomes RGB)")
    elif photo.stored.format == fmt and space_of(before.mode) == "L" != space_of(after.mode):
        lost.append("its one channel of grey (it becomes RGB)")
    return lost


def _colours_lost(before: Image.Image, after: Image.Image, mask: NDArray[np.bool_]) -> list[str]:
    """Whether a palette changes opaque pixels outside the mask, by name."""
    old, new = (np.asarray(with_alpha(image)) for image in (before, after))
    same = (old[..., :3] == new[..., :3]).all(axis=-1) | (old[..., 3] < 255) | mask
    return [] if same.all() else ["its colours (256 are left)"]


def _uses_16_bits(photo: Photo) -> bool:
    """Whether there are samples that 8 bits do not hold."""
    samples = photo.samples
    if samples is None and photo.stored.mode.startswith("I;16"):
        samples = np.asarray(photo.stored)
    return samples is not None and bool((samples % 257).any())


def _tell_narrow(photo: Photo, path: Path) -> bool:
    """Warn where samples of 16 bits go to 8 and use so little of the range that little is seen.

    Cameras and scanners of 10 and 12 bits store their samples so. Returns whether that is so.
    """
    stored, samples = photo.stored, photo.samples
    if samples is None:
        samples = np.asarray(stored)
    elif stored.mode in ("LA", "RGBA"):
        samples = samples[..., :-1]
    some = samples.reshape(-1)
    low, high = np.percentile(some[:: max(1, some.size // SAMPLED)], (0.1, 99.9)).astype(int)
    narrow = bool(low < high and (high <= DIM or high - low <= FLAT))
    if narrow:
        look = "dark" if high <= DIM else "flat"
        warnings.warn(
            f"{path}: its samples of 16 bits use only {low} to {high} of 0 to 65535, so that with "
            f"8 bits it is {look} ({low // 257} to {high // 257} of 255): "
            "write a 16-bit PNG or TIFF",
            stacklevel=3,
        )
    return narrow


def _colour_map(stored: Image.Image) -> tiff.Table:
    """The colours of a palette TIFF as its file has them, of 16 bits; Pillow writes 8 of them."""
    colours = getattr(stored, "tag_v2", {}).get(tiff.COLOUR_MAP, ())
    size = len(colours) // 3
    if stored.mode not in ("P", "PA") or not 0 < size <= 256:
        return {}
    planes = np.zeros((3, 256), "<u2")  # of 4 bits a sample there are 16 colours; 8 are written
    planes[:, :size] = np.reshape(colours, (3, -1))[:, :size]
    return {tiff.COLOUR_MAP: tiff.Value(tiff.SHORT, planes.tobytes())}


def _for_format(image: Image.Image, fmt: str, colours: Colours | None) -> tuple[Image.Image, bool]:
    """The image in a mode that the format holds, and whether its ICC profile still fits it."""
    if colours is not None and fmt not in KEEPS_PROFILE:
        image, colours = in_srgb(image, colours), None
    if image.mode in ("I;16B", "I;16L") and image.mode not in MODES[fmt]:
        native = Image.fromarray(np.asarray(image).astype("<u2"))
        native.info, image = image.info, native
    if holds(fmt, image):
        return image, True
    coloured = space_of(image.mode) == "RGB"
    if image.has_transparency_data:
        if not coloured and "LA" in MODES[fmt]:
            return Image.merge("LA", (without_alpha(image), alpha_of(image))), True
        image = with_alpha(image) if coloured else in_srgb(image, colours)
        if "RGBA" not in MODES[fmt]:
            image = _onto_white(image)
        return image, coloured
    plain = without_alpha(image)
    if plain.mode in MODES[fmt]:
        return plain, True
    return Image.fromarray(rgb_of(image, colours)), False


def _options(photo: Photo, image: Image.Image, fmt: str, *, keeps_profile: bool) -> dict[str, Any]:
    """Options of Pillow's writer for ``fmt`` that keep how the file was written."""
    stored = photo.stored
    info, options = stored.info, dict[str, Any]()
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
    elif fmt == "PNG":
        options |= _png_way(image)
    elif fmt == "WEBP":
        options["exact"] = True  # colours under alpha 0 stay too
        if photo.kept.webp:
            options["quality"] = _webp_quality(image, photo.kept.webp)
        else:
            # Half the time of WebP's own choice, for 1 % more bytes, or fewer (drawings).
            options |= {"lossless": True, "quality": 40, "method": 2}
    elif fmt == "AVIF":
        # One step faster than its own choice: two thirds of the time for 2 to 8 % more bytes.
        options |= {"quality": 90, "subsampling": "4:4:4", "speed": 7}
    elif fmt == "HEIF":
        options["quality"] = 90
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


def _png_way(image: Image.Image) -> dict[str, int]:
    """The fastest of ``PNG_WAYS`` that makes a file not much longer than zlib's own way."""
    part = _sample(image, PNG_SAMPLED, 16)

    def length(way: dict[str, int]) -> int:
        target = io.BytesIO()
        part.save(target, "PNG", icc_profile=None, exif=None, **way)
        return target.tell()

    *faster, own = PNG_WAYS
    limit = PNG_LONGER * length(own)
    return next((way for way in faster if length(way) <= limit), own)


def _sample(image: Image.Image, pixels: int, rows: int) -> Image.Image:
    """About so many pixels of a larger image, in evenly spread strips of so many rows."""
    width, height = image.size
    period = rows * -(-width * height // pixels)
    if period == rows or period > height:
        return image
    count = height // period  # strips that are whole
    sample = image.crop((0, 0, width, rows * count))
    for number in range(count):
        top = number * period
        sample.paste(image.crop((0, top, width, top + rows)), (0, number * rows))
    return sample


def _webp_quality(image: Image.Image, size: int) -> int:
    """The quality at which lossy WebP has about ``size`` bytes; tried on a part of large images."""
    height = image.height
    image = _sample(image, SAMPLED, 64)  # of whole macroblocks
    size = size * image.height // height

    def too_large(quality: int) -> bool:
        target = io.BytesIO()
        image.save(target, "WEBP", quality=quality, exact=True, icc_profile=None)
        return target.tell() > size

    return bisect.bisect_left(range(100), True, lo=40, hi=99, key=too_large)
