"""What a file says besides its pixels: EXIF, XMP, comment, texts; without previews of itself.

A preview embedded in a photograph still shows what was removed from it. So none is carried over:
neither the EXIF thumbnail, nor a JPEG picture inside a maker note, nor thumbnails in XMP.
"""

from __future__ import annotations

import re
import struct
import warnings
from dataclasses import dataclass
from typing import IO, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

ORIENTATION = 0x0112  # the EXIF tag
XMP = 0x02BC  # the TIFF tag
SEGMENT = 65533  # bytes that a JPEG segment holds
XMP_HEADER = 29  # of which the name of XMP takes so many

# Chunks of a PNG file that say what its samples mean, or hold text.
_PNG_CHUNKS = (b"cHRM", b"cICP", b"gAMA", b"sRGB", b"tEXt", b"zTXt", b"iTXt")
_TEXTS_READ = ("XML:com.adobe.xmp", "Raw profile type exif", "comment")  # by Pillow, and here
_ELSEWHERE = (b"XML:com.adobe.xmp\0", b"Raw profile type ")  # texts that are kept as EXIF or XMP
_TIFF_TEXTS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_EXIF_IFDS = (0x8769, 0x8825)  # EXIF, GPS
_INTEROP = 0xA005  # a table inside EXIF's
_NAME = b"Exif\0\0"
_HEADS = {b"II*\0": "<", b"MM\0*": ">"}
_JPEG = re.compile(rb"\xff\xd8\xff[\xc0-\xfe].*?\xff\xd9", re.DOTALL)
_XMP_THUMBNAILS = re.compile(rb"<(\w+):Thumbnails\b.*?</\1:Thumbnails\s*>", re.DOTALL)
_XMP_ORIENTATION = re.compile(
    rb"""\s*tiff:Orientation=["']\d["']|<tiff:Orientation>\d</tiff:Orientation>"""
)


@dataclass(frozen=True)
class Kept:
    """What a file has besides its pixels, as far as it is kept; empty where there is none.

    Attributes:
        exif: the EXIF block, previews taken out.
        xmp: the XMP packet, previews taken out.
        comment: of a JPEG or GIF file.
        chunks: (name, contents) of a PNG file's chunks about colour, and of its texts.
        webp: bytes of the pixels of a lossy WebP file; 0 for all others.
    """

    exif: bytes = b""
    xmp: bytes = b""
    comment: bytes = b""
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    webp: int = 0


NOTHING = Kept()


def forget_texts(image: Image.Image) -> None:
    """Take a PNG file's texts out of ``image.info``; :func:`kept_of` finds them in the file.

    Under a name of Pillow's own, such as "dpi", a text would be taken for what Pillow says there.
    """
    if image.format == "PNG":
        for key, value in list(image.info.items()):
            if isinstance(value, str) and key not in _TEXTS_READ:
                del image.info[key]


def kept_of(image: Image.Image, file: IO[bytes]) -> Kept:
    """What ``image``, already decoded from ``file``, is to keep.

    An EXIF block that is none is taken out of ``image.info``, where Pillow would stumble over it.
    """
    exif = image.info.get("exif")
    if isinstance(exif, bytes) and exif.removeprefix(_NAME)[:4] not in _HEADS:
        del image.info["exif"]
    xmp, comment = image.info.get("xmp", b""), image.info.get("comment", b"")
    return Kept(
        exif=without_previews(_exif_of(image)),
        xmp=_XMP_THUMBNAILS.sub(b"", xmp.encode() if isinstance(xmp, str) else xmp),
        comment=comment.encode() if isinstance(comment, str) else comment,
        chunks=_png_chunks(file) if image.format == "PNG" else (),
        webp=_lossy_webp(file) if image.format == "WEBP" else 0,
    )


def options(kept: Kept, fmt: str, orientation: int, *, upright: bool) -> dict[str, Any]:
    """Options of Pillow's writer for ``fmt`` that write what is kept.

    Args:
        kept: of the photo.
        fmt: Pillow's name of the format.
        orientation: of the photo.
        upright: the pixels were turned, so that the orientation must not be told.

    Warns:
        UserWarning: it is too long for a JPEG file, and left out, but for the orientation.
    """
    exif, xmp = kept.exif, kept.xmp
    if upright:
        xmp = _XMP_ORIENTATION.sub(b"", xmp)
    found = dict[str, Any]()
    if fmt == "JPEG":
        parts = {"exif": exif, "xmp": xmp, "comment": kept.comment}
        for name, data in parts.items():
            if len(data) > SEGMENT - (XMP_HEADER if name == "xmp" else 0):
                warnings.warn(f"{name}: too long for a JPEG file: it is left out", stacklevel=4)
            else:
                found[name] = data
        if not found.keys() >= {"exif", "xmp"}:  # either may have told it
            found["exif"] = _with_orientation(found.get("exif", b""), orientation)
    elif fmt == "PNG":
        texts = PngInfo()
        for chunk, contents in kept.chunks:
            texts.add(chunk, contents)
        if xmp:
            texts.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        found = {"exif": exif, "pnginfo": texts}
    elif fmt == "TIFF":
        tags = Image.Exif()
        if exif:
            tags.load(exif)
        tags = _without_layout(tags)
        if xmp:
            tags[XMP] = xmp
        found = {"exif": tags}
    elif fmt in ("WEBP", "AVIF"):
        found = {"exif": exif, "xmp": xmp}
    elif fmt == "GIF":
        found = {"comment": kept.comment}
    return {name: data for name, data in found.items() if data}


def without_previews(exif: bytes) -> bytes:
    """An EXIF block without its thumbnail and without JPEG pictures in its maker note.

    All else stays at its place, because maker notes point to places in the block.
    """
    start = len(exif) - len(re.sub(rb"^(Exif\0\0){1,2}", b"", exif, count=1))
    block = bytearray(exif[start:])
    try:
        end = _cut_thumbnail(block)
    except (KeyError, struct.error):  # a damaged block
        end = len(block)
    for found in _JPEG.finditer(bytes(block)):
        block[found.start() : found.end()] = bytes(found.end() - found.start())
    return exif[:start] + bytes(block[:end])


def _cut_thumbnail(block: bytearray) -> int:
    """Blank the thumbnail (IFD 1) and all that points to it; return where the block now ends.

    The layout is that of TIFF 6.0, sections 2 and 8.
    """
    if not block:
        return 0
    order = _HEADS[bytes(block[:4])]
    (first,) = struct.unpack_from(order + "I", block, 4)
    (entries,) = struct.unpack_from(order + "H", block, first)
    pointer = first + 2 + 12 * entries
    (second,) = struct.unpack_from(order + "I", block, pointer)
    if not second:
        return len(block)
    values = dict[int, int]()
    (entries,) = struct.unpack_from(order + "H", block, second)
    for at in range(second + 2, second + 2 + 12 * entries, 12):
        tag, kind = struct.unpack_from(order + "HH", block, at)
        (values[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), block, at + 8)
    end = len(block)
    for where, length in ((0x0201, 0x0202), (0x0111, 0x0117)):  # a JPEG; or one strip
        if where in values and length in values and values[where] < len(block):
            last = min(values[where] + values[length], len(block))
            if last == end:
                end = values[where]
            block[values[where] : last] = bytes(last - values[where])
    last = min(second + 2 + 12 * entries + 4, len(block))
    block[second:last] = bytes(last - second)
    struct.pack_into(order + "I", block, pointer, 0)
    return end


def _exif_of(image: Image.Image) -> bytes:
    raw = image.info.get("exif")
    if isinstance(raw, bytes) and raw:  # WebP leaves the name out
        return raw if raw.startswith(_NAME) else _NAME + raw
    exif = image.getexif()
    if image.format == "TIFF":
        exif = _without_layout(exif)
    return exif.tobytes() if len(exif) else b""


def _without_layout(exif: Image.Exif) -> Image.Exif:
    """Its texts, EXIF and GPS, which in TIFF share their table with the layout of the image.

    The orientation is not among them: TIFF files have upright pixels.
    """
    kept = Image.Exif()
    for tag in _TIFF_TEXTS:
        text = exif.get(tag)
        if isinstance(text, str):  # read as Latin-1; of what is not bytes, only ASCII is written
            text = text.encode("latin-1", "replace")
        if isinstance(text, bytes):
            kept[tag] = text
    for ifd in _EXIF_IFDS:
        if values := exif.get_ifd(ifd):
            if _INTEROP in values:  # a place in the old block
                values = {**values, _INTEROP: exif.get_ifd(_INTEROP)}
            kept.get_ifd(ifd).update(values)
            kept[ifd] = 0  # its place is known when it is written
    return kept


def _with_orientation(exif: bytes, orientation: int) -> bytes:
    parsed = Image.Exif()
    if exif:
        parsed.load(exif)
    if parsed.get(ORIENTATION, 1) == orientation:
        return exif
    parsed[ORIENTATION] = orientation
    return parsed.tobytes()


def _png_chunks(file: IO[bytes]) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4])
        if head[4:] in _PNG_CHUNKS and length < 1 << 24:
            data = file.read(length)
            if not data.startswith(_ELSEWHERE):
                found.append((head[4:], data))
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)
    return tuple(found)


def _lossy_webp(file: IO[bytes]) -> int:
    """Bytes of the lossy pixels of a still WebP file, alpha included; 0 where it is lossless."""
    size, lossy = 0, False
    file.seek(12)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        if head[:4] in (b"VP8 ", b"ALPH"):
            size += length
            lossy |= head[:4] == b"VP8 "
        file.seek(length + length % 2, 1)
    return size if lossy else 0


def deep_avif(file: IO[bytes]) -> bool:
    """Whether an AVIF file has 10 or 12 bits a sample; AV1-ISOBMFF, section 2.3.3."""
    file.seek(0)
    head = file.read(1 << 16)
    at = head.find(b"av1C")
    return 0 <= at < len(head) - 6 and bool(head[at + 6] & 0x40)
