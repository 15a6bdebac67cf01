"""16-bit colour in PNG and TIFF files, which Pillow would cut to 8 bits; JPEG XL is elsewhere.

imagecodecs (PNG) and tifffile (TIFF) read and write the samples; both belong to the extra
``formats`` and are imported only here, when such a file comes. What a file says besides its
samples goes through Pillow, as everywhere.
"""

from __future__ import annotations

import io
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.errors import FinefillError
from finefill.files import tiff
from finefill.files.photo import turn

Samples = NDArray[np.uint16]

# Formats with the modes of colour that they hold with 16 bits, and that Pillow opens.
MODES = {
    "PNG": ("LA", "RGB", "RGBA"),
    "TIFF": ("LA", "RGB", "RGBA", "CMYK"),
    "JXL": ("LA", "RGB", "RGBA"),
}
ASSOCIATED, _SEPARATE = 1, 2  # TIFF 6.0, ExtraSamples: colours are multiplied by alpha
_COMPRESSION = {"raw": None, "tiff_lzw": "lzw"}  # Pillow's names -> tifffile's; others: deflate


def read(file: IO[bytes], image: Image.Image, name: str) -> tuple[Samples, int]:
    """The samples of ``image``'s file and the EXIF orientation that Pillow has undone in ``image``.

    Returns:
        (H, W, channels) uint16 as stored; 1 to 8, in which turning them makes ``image``'s size.

    Raises:
        FinefillError: it is not PNG or TIFF, has a layout that cannot be kept, or the extra
            ``formats`` is not installed.
    """
    if image.format not in ("PNG", "TIFF"):
        raise FinefillError(
            f"{name}: 16 bits per channel are kept in PNG and TIFF only: convert it to one of them"
        )
    imagecodecs, tifffile = _libraries(name)
    file.seek(0)
    orientation = 1
    if image.format == "PNG":
        samples = imagecodecs.png_decode(file.read())
    else:
        with tifffile.TiffFile(file) as opened:
            page = opened.pages[0]
            samples = page.asarray()
            if page.planarconfig == 2 and samples.ndim == 3:  # one plane after the other
                samples = np.moveaxis(samples, 0, -1)
            if ASSOCIATED in page.extrasamples:
                raise FinefillError(
                    f"{name}: 16-bit colours multiplied by alpha cannot be kept: "
                    "save it with unassociated alpha"
                )
            if 0x0112 in page.tags:
                orientation = int(page.tags[0x0112].value)
    turns = orientation in (5, 6, 7, 8)
    shape = image.size if turns else (image.height, image.width)
    bands = samples.shape[2:]
    fits = bands in ((2,), (len(image.getbands()),))  # Pillow makes RGBA of grey with alpha
    fits = fits and image.mode in MODES[image.format]
    if samples.dtype != np.uint16 or samples.shape[:2] != shape or not fits:
        raise FinefillError(
            f"{name}: 16 bits per channel in this layout cannot be kept: save it with 8 bits"
        )
    return samples, orientation


def grey_with_alpha(
    file: IO[bytes], picture: tiff.Picture, name: str
) -> tuple[Image.Image, Samples | None]:
    """The upright image of a TIFF file of grey with alpha in a layout that Pillow does not open.

    Returns:
        The image, of mode LA and 8 bits, and its samples if they have 16.

    Raises:
        FinefillError: it is no such file, or tifffile is not installed.
    """
    if picture.channels != 2 or picture.bits not in (8, 16) or picture.extra != (_SEPARATE,):
        raise FinefillError(
            f"{name}: TIFF of {picture.channels} channels of {picture.bits} bits in this layout "
            "cannot be read: save it as grey or RGB of 8 or 16 bits first"
        )
    _, tifffile = _libraries(name)
    file.seek(0)
    with tifffile.TiffFile(file) as opened:
        page = opened.pages[0]
        samples = page.asarray()
        if page.planarconfig == 2:
            samples = np.moveaxis(samples, 0, -1)
        profile = page.tags.valueof(34675)
    if picture.negative:
        samples = samples.copy()
        samples[..., 0] = np.iinfo(samples.dtype).max - samples[..., 0]
    samples = turn(samples, picture.orientation)
    eight = samples if samples.dtype == np.uint8 else (samples.astype(np.uint32) + 128) // 257
    size = (samples.shape[1], samples.shape[0])
    image = Image.frombytes("LA", size, np.ascontiguousarray(eight.astype(np.uint8)).tobytes())
    image.format = "TIFF"
    if profile:
        image.info["icc_profile"] = profile
    if packet := picture.data(tiff.XMP):
        image.info["xmp"] = packet
    return image, samples if samples.dtype == np.uint16 else None


def cut(samples: Samples, image: Image.Image) -> Image.Image:
    """The upright samples rounded to 8 bits as an image, with what ``image`` says besides."""
    rounded = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    mode = "LA" if samples.shape[2] == 2 else image.mode
    result = Image.frombytes(mode, image.size, rounded.tobytes())
    result.info, result.format = dict(image.info), image.format
    return result


def write(samples: Samples, mode: str, file: IO[bytes], fmt: str, options: dict[str, Any]) -> None:
    """Write (H, W, channels) uint16 with the ``options`` of Pillow's writer for ``fmt``."""
    imagecodecs, tifffile = _libraries("the output")
    if fmt == "PNG":
        # All but the header and the samples is of a file of one pixel that Pillow writes.
        small = io.BytesIO()
        Image.new(mode, (1, 1)).save(small, "PNG", **options)
        picture = [c for c in _chunks(imagecodecs.png_encode(samples)) if c[4:8] != b"IEND"]
        file.write(small.getvalue()[:8] + picture[0])
        for chunk in _chunks(small.getvalue()):
            if chunk[4:8] == b"IDAT":
                file.writelines(picture[1:])
            elif chunk[4:8] != b"IHDR":
                file.write(chunk)
        return
    compression = _COMPRESSION.get(options["compression"], "zlib")
    colours, alpha = {"CMYK": ("separated", 4), "LA": ("minisblack", 1)}.get(mode, ("rgb", 3))
    tifffile.imwrite(
        file,
        samples,
        byteorder="<",
        photometric=colours,
        planarconfig="contig",
        extrasamples=["unassalpha"] if samples.shape[2] > alpha else None,
        compression=compression,
        predictor=compression is not None,
        resolution=options.get("dpi"),
        resolutionunit="INCH" if "dpi" in options else None,
        iccprofile=options.get("icc_profile"),
        metadata=None,
        software=False,
    )


def _chunks(png: bytes) -> list[bytes]:
    found, at = [], 8
    while at < len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4])
        found.append(png[at:end])
        at = end
    return found


def _libraries(name: str) -> tuple[Any, Any]:
    try:
        import imagecodecs
        import tifffile
    except ImportError as error:
        raise FinefillError(
            f"{name}: 16 bits per channel need the extra formats: "
            "pip install 'finefill[formats]', or save it with 8 bits per channel"
        ) from error
    return imagecodecs, tifffile
