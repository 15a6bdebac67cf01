"""What a file says besides its pixels: EXIF, XMP, IPTC, texts, tags; without previews of itself.

A preview embedded in a photograph still shows what was removed from it. So none is carried over:
neither the EXIF thumbnail, nor a JPEG picture inside a maker note, nor thumbnails in XMP and in
Photoshop's data.
"""

from __future__ import annotations

import warnings
from typing import IO, Any, NamedTuple

from PIL import Image

from finefill.files import containers, gaps, iptc, resolution, stacks, tiff, xmp
from finefill.files.containers import Chunks
from finefill.files.previews import without_pictures, without_previews
from finefill.files.resolution import Resolution
from finefill.files.tiff import ORIENTATION, RESOLUTION, Table, Value

SEGMENT = 65533  # bytes that a JPEG segment holds
XMP_HEADER = 29  # of which the name of XMP takes so many

_TEXTS_READ = (  # of PNG files, by Pillow and here
    "XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type iptc",
)  # fmt: skip
_NAME = b"Exif\0\0"
_HEADS = (b"II*\0", b"MM\0*")
_RESOLUTION = {282, 283, 296}
_RESOLUTION_IN_EXIF = ("WEBP", "AVIF", "HEIF", "JXL")
_TIFF_LOST = {
    tiff.SUB_IFDS: "the smaller or further pictures inside it",
    37724: "Photoshop's layers",
    52545: containers.CREDENTIALS,
}
# What not all formats hold, and those that do.
_HOLDS = {
    "EXIF": ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JXL"),
    "XMP": ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JXL"),
    "comment": ("JPEG", "GIF", "PNG"),
    "IPTC": ("JPEG", "PNG", "TIFF"),
    "resources of Photoshop": ("JPEG", "PNG", "TIFF"),
    "TIFF's own tags": ("TIFF",),
    "coordinates on the map (GeoTIFF)": ("TIFF",),
}


class Kept(NamedTuple):
    """What a file has besides its pixels, as far as it is kept; empty where there is none.

    Attributes:
        exif: the EXIF block, previews taken out.
        xmp: the XMP packet, previews and what no longer holds taken out.
        comment: of a JPEG or GIF file; a PNG file's text that is one.
        iptc: caption, keywords and more, as IPTC-IIM records.
        resources: Photoshop's image resources, without those that are kept elsewhere.
        tags: of a TIFF file, in its first table: places on a map, for instance.
        negative: a TIFF file stores white as zero.
        no_data: the sample of a TIFF file, as it is decoded, that says that there is no data.
        chunks: (name, contents) of a PNG file's chunks about colour, and of its texts.
        profile: a PNG file has an ICC profile, which counts for more than some of them.
        webp: bytes of the pixels of a lossy WebP file; 0 for all others.
        named: the format that the file's name tells; empty where it tells none.
        resolution: of the stored pixels; None where the file tells none.
        lost: what the file has that no output will have, each in some words.
        layout: how it stores its samples, in words, where an output of its format does not.
    """

    exif: bytes = b""
    xmp: bytes = b""
    comment: bytes = b""
    iptc: bytes = b""
    resources: bytes = b""
    tags: Table = {}  # noqa: RUF012  # tables are not changed
    negative: bool = False
    no_data: int | None = None
    chunks: Chunks = ()
    profile: bool = False
    webp: int = 0
    named: str = ""
    resolution: Resolution | None = None
    lost: tuple[str, ...] = ()
    layout: tuple[str, ...] = ()

    def not_held(self, fmt: str) -> list[str]:
        """What there is that a format does not hold, in words."""
        remark = containers.remark(self.chunks)
        comment = self.comment if remark is None else b""  # a PNG file's is named as a text
        found = {
            "EXIF": tiff.exif_table(self.exif).keys() - tiff.LAYOUT,
            "XMP": self.xmp,
            "comment": comment,
            "IPTC": self.iptc,
            "resources of Photoshop": self.resources,
            "TIFF's own tags": self.tags.keys() - tiff.GEO - _RESOLUTION - tiff.INKS,
            "coordinates on the map (GeoTIFF)": self.tags.keys() & tiff.GEO,
        }
        names = [name for name, data in found.items() if data and fmt not in _HOLDS[name]]
        if fmt == "PNG" and b"\0" in comment:  # which ends a text there
            names.append("comment with zeros")
        texts, others = containers.chunk_names(self.chunks)
        if fmt in ("JPEG", "GIF") and remark is not None:
            texts.remove(remark[0])
        colours = containers.colours_told(self.chunks, profile=self.profile)
        for words, kinds in (("texts", texts), ("chunks", others), ("colours", colours)):
            if kinds and fmt != "PNG":
                names.append(f"{words} of PNG ({', '.join(kinds)})")
        if fmt == "TIFF" and (tags := _places(tiff.exif_table(self.exif))):
            names.append(f"places in another file (EXIF's tags {', '.join(map(str, tags))})")
        if words := resolution.not_held(self.resolution, fmt):
            names.append(words)
        return names


NOTHING = Kept()


def forget_texts(image: Image.Image) -> None:
    """Take a PNG file's texts out of ``image.info``; :func:`kept_of` finds them in the file.

    Under a name of Pillow's own, such as "dpi", a text would be taken for what Pillow says there.
    """
    if image.format == "PNG":
        for key, value in list(image.info.items()):
            if isinstance(value, str) and key not in _TEXTS_READ:
                del image.info[key]


def kept_of(image: Image.Image, file: IO[bytes], picture: tiff.Picture | None = None) -> Kept:
    """What ``image``, already decoded from ``file``, is to keep.

    An EXIF block that is none is taken out of ``image.info``, where Pillow would stumble over it.

    Args:
        image: as decoded.
        file: is read again.
        picture: the one of a TIFF file that ``image`` is.
    """
    exif = image.info.get("exif")
    if image.format == "JXL" and isinstance(exif, bytes):  # the decoder has turned it
        image.info["exif"] = exif = tiff.with_orientation(exif, 1)
    if isinstance(exif, bytes) and exif.removeprefix(_NAME)[:4] not in _HEADS:
        del image.info["exif"]
    comment = b"" if image.format == "PNG" else image.info.get("comment", b"")
    kept = Kept(
        exif=without_previews(_exif_of(image)),
        comment=comment.encode() if isinstance(comment, str) else comment,
    )
    resources = b""
    if picture is not None:
        kept, resources = _of_tiff(kept, picture, image.mode)
    elif image.format in ("JPEG", "MPO"):
        kept = kept._replace(lost=tuple(containers.jpeg_lost(image, file)))
        name = iptc.SEGMENT_NAME  # long resources go on in the next segment
        parts: list[tuple[str, bytes]] = image.applist  # type: ignore[attr-defined]  # JPEG only
        resources = b"".join(data[len(name) :] for _, data in parts if data.startswith(name))
    elif image.format == "PNG":
        chunks, lost = containers.png_chunks(file)
        _, comment = containers.remark(chunks) or ("", b"")
        profile = bool(image.info.get("icc_profile"))
        kept = kept._replace(chunks=chunks, profile=profile, comment=comment, lost=tuple(lost))
        resources = iptc.of_text(image.info.pop("Raw profile type iptc", ""))
    elif image.format == "WEBP":
        webp, lost = containers.webp_chunks(file)
        kept = kept._replace(webp=webp, lost=tuple(lost))
    elif image.format == "GIF":
        kept = kept._replace(lost=tuple(containers.gif_lost(file)))
    elif image.format in ("AVIF", "HEIF", "JXL"):
        kept = kept._replace(lost=tuple(containers.boxes_lost(file)))
    if image.format in ("TIFF", "HEIF", "JXL"):  # which decoders turn upright
        kept = kept._replace(exif=tiff.with_size(kept.exif, image.size))
    records, others = iptc.split(resources)
    packet = image.info.get("xmp", b"")
    packet, lost = xmp.cleaned(packet.encode() if isinstance(packet, str) else packet)
    return kept._replace(
        xmp=packet,
        iptc=kept.iptc or records,
        resources=others,
        resolution=resolution.resolution_of(image, kept.exif, kept.tags),
        lost=tuple(dict.fromkeys((*kept.lost, *lost))),
    )


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of a Pillow image, 1 to 8; 1 where there is none.

    What XMP says does not count, as in browsers; Pillow takes it.
    """
    exif = image.info.get("exif")
    if isinstance(exif, bytes) or "xmp" in image.info or "XML:com.adobe.xmp" in image.info:
        told = tiff.exif_table(_exif_of(image)).get(ORIENTATION)
        value: object = told.numbers[:1] if isinstance(told, Value) else ()
        value = value[0] if isinstance(value, tuple) and value else 1
    else:
        value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def options(
    kept: Kept, fmt: str, orientation: int, *, upright: bool, name: str = "the output"
) -> dict[str, Any]:
    """Options of Pillow's writer for ``fmt`` that write what is kept.

    Args:
        kept: of the photo.
        fmt: Pillow's name of the format.
        orientation: of the photo.
        upright: the pixels were turned, so that the orientation must not be told.
        name: what messages call the output.

    Returns:
        The options; for TIFF ``tags``, a table for :func:`finefill.files.tiff.append`; for JPEG,
        PNG and BMP ``resolution``.

    Warns:
        UserWarning: the format does not hold all of it, or it is too long for a JPEG file; of what
            is left out the orientation stays.
    """
    if missing := kept.not_held(fmt):
        warnings.warn(f"{name}: {fmt} holds no {', no '.join(missing)}: left out", stacklevel=4)
    exif, packet = kept.exif, kept.xmp
    if upright and orientation != 1:
        packet = xmp.without_orientation(packet)
    told = kept.resolution
    if told is not None and upright and orientation > 4:
        told = told.turned()
    if told is not None and told.unit != resolution.ASPECT and fmt in _RESOLUTION_IN_EXIF:
        exif = resolution.in_exif(exif, told)
    resources = iptc.joined(kept.iptc, kept.resources)
    found = dict[str, Any]()
    if fmt == "JPEG":
        parts = {"exif": exif, "xmp": packet, "comment": kept.comment}
        for part, data in parts.items():
            if len(data) > SEGMENT - (XMP_HEADER if part == "xmp" else 0):
                warnings.warn(
                    f"{name}: {part}: too long for a JPEG file: it is left out", stacklevel=4
                )
                if part == "exif" and orientation != 1:
                    found[part] = tiff.block({ORIENTATION: tiff.short(orientation)})
            else:
                found[part] = data
        found["extra"] = iptc.segments(resources)
    elif fmt == "PNG":
        from PIL.PngImagePlugin import PngInfo  # not for files of other formats

        texts = PngInfo()
        for chunk, contents in kept.chunks:
            texts.add(chunk, contents)
        if kept.comment and b"\0" not in kept.comment and containers.remark(kept.chunks) is None:
            texts.add_text("Comment", _text_of(kept.comment))
        if packet:
            texts.add_itxt("XML:com.adobe.xmp", packet.decode("utf-8", "replace"))
        if resources:
            texts.add_text(*iptc.text_of(resources), zip=True)
        found = {"exif": exif, "pnginfo": texts}
    elif fmt == "TIFF":
        found = {"tags": _tiff_tags(kept, packet)}
        if told is not None and RESOLUTION not in found["tags"]:
            found["tags"] |= resolution.table_of(told)
    elif fmt in ("WEBP", "AVIF"):
        found = {"exif": exif, "xmp": packet}
    elif fmt == "HEIF":  # libheif turns what it writes by what is told
        exif = tiff.with_orientation(exif, 1)
        found = {"exif": exif, "xmp": xmp.without_orientation(packet)}
    elif fmt == "JXL":  # its decoders turn by the codestream alone
        found = {"exif": tiff.with_orientation(exif, 1), "xmp": packet}
    elif fmt == "GIF":
        found = {"comment": kept.comment}
    if fmt in ("JPEG", "PNG", "BMP") and not resolution.not_held(told, fmt):
        found["resolution"] = told
    return {name: data for name, data in found.items() if data}


def _of_tiff(kept: Kept, picture: tiff.Picture, mode: str) -> tuple[Kept, bytes]:
    """What a TIFF file's table says, and Photoshop's resources in it.

    ``mode`` is that of the decoded image.

    The orientation is not among it: Pillow turns the pixels upright.
    """
    texts: Table = {}
    tags: Table = {}
    lost = list[str]()
    unknown = list[str]()
    for tag, value in picture.table.items():
        if isinstance(value, dict):
            texts[tag] = value
        elif tag in (tiff.XMP, tiff.IPTC, tiff.RESOURCES):
            continue
        elif tag in _TIFF_LOST:
            lost.append(_TIFF_LOST[tag])
        elif tag in tiff.INKS | {tiff.DOTS} and mode != "CMYK":
            continue
        elif tag in tiff.TEXTS:
            texts[tag] = value
        elif tag not in tiff.LAYOUT or tag in _RESOLUTION:
            if value.is_offset:
                unknown.append(str(tag))
            else:
                tags[tag] = value._replace(data=without_pictures(value.data))
    description, planes, whose = stacks.of_one_plane(picture)
    if description is not None:
        texts[stacks.DESCRIPTION] = description
    if planes > 1:
        lost.append(f"that it has {planes} pictures, in {whose}'s description")
    if unknown:
        lost.append(f"its TIFF tags {', '.join(unknown)}")
    if picture.orientation > 4 and 282 in tags and 283 in tags:
        tags[282], tags[283] = tags[283], tags[282]
    no_data = None
    if isinstance(told := tags.get(gaps.TAG), Value):
        negative = picture.negative and mode in ("1", "L", "LA", "I;16")
        no_data = gaps.value_of(told.data, mode, picture.bits, negative=negative)
        if no_data is not None and (mode == "LA" or picture.bits in (2, 4)):
            # Written are 8 bits and black as zero, whatever the file has.
            written = 255 - no_data if picture.negative and mode == "L" else no_data
            tags[gaps.TAG] = told._replace(data=b"%d\0" % written)
    if picture.orientation != 1 and (places := tags.keys() & tiff.GEO - {gaps.TAG}):
        for tag in places:
            del tags[tag]
        lost.append("its coordinates on the map (GeoTIFF), because its pixels are turned upright")
    records, resources = (picture.data(tag) for tag in (tiff.IPTC, tiff.RESOURCES))
    if records[:1] != b"\x1c" and records[3:4] == b"\x1c":  # some write it as numbers of 32 bits
        records = tiff.swapped(tiff.LONG, records[: len(records) // 4 * 4], ">")
    kept = kept._replace(
        exif=without_previews(tiff.block(texts)),
        iptc=records,
        tags=tags,
        negative=picture.negative,
        no_data=no_data,
        lost=tuple(lost),
    )
    return kept, resources


def _places(table: Table) -> list[int]:
    """Tags that may be places in the file, which another file has not."""
    return [
        tag
        for tag, value in table.items()
        if not isinstance(value, dict) and tag not in tiff.LAYOUT and value.is_offset
    ]


def _tiff_tags(kept: Kept, packet: bytes) -> Table:
    table = tiff.exif_table(kept.exif)
    left_out = tiff.LAYOUT | set(_places(table))
    found = {
        tag: value for tag, value in table.items() if isinstance(value, dict) or tag not in left_out
    }
    found |= kept.tags
    for tag, data in (
        (tiff.XMP, packet),
        (tiff.IPTC, kept.iptc),
        (tiff.RESOURCES, iptc.joined(kept.iptc, kept.resources) if kept.resources else b""),
    ):
        if data:
            found[tag] = Value(tiff.BYTE if tag == tiff.XMP else tiff.UNDEFINED, data)
    return found


def _text_of(comment: bytes) -> str:
    """A comment's letters: no format says how they are written; UTF-8, where it fits."""
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")


def _exif_of(image: Image.Image) -> bytes:
    raw = image.info.get("exif")
    if raw is None and isinstance(text := image.info.get("Raw profile type exif"), str):
        try:
            raw = bytes.fromhex("".join(text.split("\n")[3:]))
        except ValueError:
            raw = None
    if not isinstance(raw, bytes) or not raw:
        return b""
    return raw if raw.startswith(_NAME) else _NAME + raw  # WebP leaves the name out
