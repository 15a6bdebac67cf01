"""What image files hold besides a picture, by walking through their parts; none is decoded."""

from __future__ import annotations

import re
import zlib
from typing import IO, Any

from PIL import Image

CREDENTIALS = "its content credentials (C2PA), which do not hold for a changed picture"
GAIN_MAP = "its gain map (HDR)"
# Chunks of a PNG file that say what its samples mean, or hold text.
_PNG_COLOUR = (b"cHRM", b"cICP", b"gAMA", b"sRGB")
_CICP_SRGB = bytes([1, 13])  # primaries and transfer (ITU-T H.273)
_SRGB = {
    b"gAMA": (45455,),
    b"cHRM": (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}
_ROUNDED = 100  # hundred-thousandths
_PNG_SAMPLES = (b"sBIT", b"bKGD")  # in the samples' own depth
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PNG_KEPT = (*_PNG_COLOUR, *_PNG_SAMPLES, *_PNG_TEXTS)
_REMARKS = ("comment", "description")  # texts that are a comment in other formats, the best first
# Those that are written anew, or tell when the picture was last changed; pictures that follow are
# told of elsewhere.
_PNG_KNOWN = (
    b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"iCCP", b"pHYs", b"eXIf", b"acTL",
    b"fcTL", b"fdAT", b"iDOT", b"CgBI", b"tIME",
)  # fmt: skip
# Texts that are kept as EXIF, IPTC or XMP, or that hold such with a preview.
_PNG_ELSEWHERE = (b"XML:com.adobe.xmp\0", b"Raw profile type ")
MAX_CHUNK = 1 << 24  # bytes
_WEBP_KNOWN = (
    b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"EXIF", b"XMP ", b"ANIM", b"ANMF",
)  # fmt: skip
# Names that JPEG segments begin with which are kept elsewhere, or tell nothing of the picture.
_JPEG_KNOWN = (
    b"JFIF\0", b"JFXX\0", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0",
    b"MPF\0", b"FPXR\0", b"Photoshop 3.0\0", b"Adobe", b"Ducky", b"urn:iso:std:iso:ts:21496:-1\0",
)  # fmt: skip
_JPEG_NAMED = {
    b"http://ns.adobe.com/xmp/extension/\0": "its extended XMP",
    b"FLIR\0": "its thermal data (FLIR)",
}
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # a marker that ends a scan's data
_PADDING = b"\0\r\n \xff"
_FILM = re.compile(rb"\0\0\0.ftyp(?:mp4|isom|qt|avc|M4V|3gp)", re.DOTALL)
_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")

Chunks = tuple[tuple[bytes, bytes], ...]


def jpeg_lost(image: Any, file: IO[bytes]) -> list[str]:
    """What of a JPEG file's segments, and of what follows its picture, is not kept."""
    lost, unknown, credentials = list[str](), list[str](), set[bytes]()
    for name, data in image.applist:
        if name == "COM" or data.startswith(_JPEG_KNOWN):
            continue
        told = [text for head, text in _JPEG_NAMED.items() if data.startswith(head)]
        if name == "APP11" and data.startswith(b"JP") and b"jumb" in data[:64]:
            box = data[2:4]  # it may go on in further segments
            if b"c2pa" in data[:128]:
                credentials.add(box)
            told = [CREDENTIALS if box in credentials else "its JUMBF boxes"]
        lost += told
        if not told:
            unknown.append(name)
    if unknown:
        lost.append(f"its segments {', '.join(dict.fromkeys(unknown))}")
    if [name for name, _ in image.applist].count("COM") > 1:
        lost.append("all but the last of its comments")
    after = _after_jpeg(file)
    film = _FILM.search(after)
    if film:
        lost.append("its film (motion photo)")
    if image.format != "MPO":  # it tells of its pictures
        if after.lstrip(b"\0\r\n ").startswith(b"\xff\xd8\xff"):
            lost.append(GAIN_MAP if b"hdrgm:" in after else "another picture after it")
        elif after and not film:
            lost.append(f"{len(after):,} bytes after its end")
    return lost


def _after_jpeg(file: IO[bytes]) -> bytes:
    """What follows the end of the first picture (ISO 10918-1, annex B); padding is nothing."""
    file.seek(0)
    data = file.read()
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return b""
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker == 0xD9:
            return data[at + 2 :] if data[at + 2 :].strip(_PADDING) else b""
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
            if marker == 0xDA:
                found = _SCAN_END.search(data, at)
                if found is None:
                    return b""
                at = found.start()
    return b""


def png_chunks(file: IO[bytes]) -> tuple[Chunks, list[str]]:
    """(name, contents) of what a PNG file's chunks say besides the picture; what is not kept.

    A chunk that nobody here knows is kept where its name says that it may be copied though the
    picture changed (PNG, third edition, 5.4).
    """
    found, lost, unknown = [], [], []
    file.seek(24)
    kept = _PNG_KEPT if file.read(1)[:1] in (b"\x08", b"\x10") else _PNG_COLOUR + _PNG_TEXTS
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length, name = int.from_bytes(head[:4]), head[4:]
        may_be_copied = name[3:].islower() and name[1:2].islower()
        if (name in kept or (may_be_copied and name not in _PNG_KNOWN)) and length < MAX_CHUNK:
            data = file.read(length)
            if not data.startswith(_PNG_ELSEWHERE) or name not in _PNG_TEXTS:
                found.append((name, data))
            file.seek(4, 1)
            continue
        if name == b"caBX":
            lost.append(CREDENTIALS)
        elif name not in _PNG_KNOWN:
            unknown.append(name.decode("latin-1"))
        file.seek(length + 4, 1)
    if unknown:
        lost.append(f"its chunks {', '.join(dict.fromkeys(unknown))}")
    return tuple(found), lost


def remark(chunks: Chunks) -> tuple[str, bytes] | None:
    """Name and contents, in UTF-8, of the PNG text that is a comment in other formats."""
    found = dict[str, tuple[str, bytes]]()
    for kind, data in chunks:
        name = _text_name(data)
        if kind in _PNG_TEXTS and name.lower() in _REMARKS and (text := _text(kind, data)):
            found.setdefault(name.lower(), (name, text))
    return next((found[name] for name in _REMARKS if name in found), None)


def chunk_names(chunks: Chunks) -> tuple[list[str], list[str]]:
    """Names of the PNG texts, and of the chunks that are neither texts nor about colour."""
    texts = [_text_name(data) for kind, data in chunks if kind in _PNG_TEXTS]
    others = [kind.decode("latin-1") for kind, _ in chunks if kind not in _PNG_KEPT]
    return list(dict.fromkeys(texts)), list(dict.fromkeys(others))


def colours_told(chunks: Chunks, *, profile: bool) -> list[str]:
    """Names of the chunks by which a PNG file's samples are no sRGB.

    A profile and an sRGB chunk count for more than gAMA and cHRM, and cICP for more than all (PNG,
    third edition, 11.3.2).

    Args:
        chunks: of :func:`png_chunks`.
        profile: the file has an ICC profile.
    """
    told = dict(chunks)
    if b"cICP" in told:
        return [] if told[b"cICP"][:2] == _CICP_SRGB else ["cICP"]
    if profile or b"sRGB" in told:
        return []
    return [
        name.decode()
        for name, usual in _SRGB.items()
        if (data := told.get(name)) is not None and not _nearly(data, usual)
    ]


def _nearly(data: bytes, usual: tuple[int, ...]) -> bool:
    """Whether a chunk holds these numbers of four bytes, but for rounding."""
    found = [int.from_bytes(data[at : at + 4]) for at in range(0, len(data), 4)]
    return len(found) == len(usual) and all(
        abs(one - other) <= _ROUNDED for one, other in zip(found, usual, strict=True)
    )


def _text_name(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("latin-1")


def _text(kind: bytes, data: bytes) -> bytes:
    """A PNG text in UTF-8 (PNG, third edition, 11.3.3); empty where it is damaged or too long."""
    _, _, rest = data.partition(b"\0")
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    elif packed:
        rest = rest[1:]
    if packed:
        try:
            reader = zlib.decompressobj()
            rest = reader.decompress(rest, MAX_CHUNK)
            rest = rest if reader.eof else b""
        except zlib.error:
            return b""
    return rest if kind == b"iTXt" else rest.decode("latin-1").encode()


def webp_chunks(file: IO[bytes]) -> tuple[int, list[str]]:
    """Bytes of a still WebP file's lossy pixels, alpha included (0: lossless); what is not kept."""
    size, lossy, unknown, lost = 0, False, list[str](), list[str]()
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"VP8 ", b"ALPH"):
            size += length
            lossy |= name == b"VP8 "
        elif name == b"C2PA":
            lost.append(CREDENTIALS)
        elif name not in _WEBP_KNOWN:
            unknown.append(name.decode("latin-1"))
        file.seek(length + length % 2, 1)
    if unknown:
        lost.append(f"its chunks {', '.join(dict.fromkeys(unknown))}")
    return size if lossy else 0, lost


def gif_lost(file: IO[bytes]) -> list[str]:
    """What a GIF file has that Pillow neither reads nor writes."""
    file.seek(0)
    return ["its XMP"] if b"\x21\xff\x0bXMP DataXMP" in file.read() else []


def boxes_lost(file: IO[bytes]) -> list[str]:
    """What an AVIF, HEIC or JPEG XL file has besides its picture, and what is not kept.

    Their boxes are those of ISO 14496-12.
    """
    file.seek(0)
    head = file.read(1 << 16)
    boxes = _top_boxes(file)
    lost = [CREDENTIALS] if _C2PA_BOX in head or b"jumb" in boxes else []
    if b"infe" in head and (b"tmap" in head or b"aux:hdrgainmap" in head):
        lost.append(GAIN_MAP)
    if b"aux:depth" in head or b"auxid:2" in head:
        lost.append("its depth map")
    if b"mpvd" in boxes:
        lost.append("its film (motion photo)")
    return lost


def _top_boxes(file: IO[bytes]) -> list[bytes]:
    found, at = list[bytes](), 0
    end = file.seek(0, 2)
    while at + 8 <= end and len(found) < 64:
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4])
        found.append(head[4:8])
        if size == 1:
            size = int.from_bytes(head[8:16])
        if size < 8:
            break
        at += size
    return found


def deep_avif(file: IO[bytes]) -> bool:
    """Whether an AVIF file has 10 or 12 bits a sample; AV1-ISOBMFF, section 2.3.3."""
    file.seek(0)
    head = file.read(1 << 16)
    at = head.find(b"av1C")
    return 0 <= at < len(head) - 6 and bool(head[at + 6] & 0x40)


def odd_colours(file: IO[bytes], image: Image.Image) -> bool:
    """Whether an AVIF or HEIC file tells other colours than sRGB's without an ICC profile.

    The box ``colr`` of kind ``nclx`` holds code points of ITU-T H.273: 1 and 2 are those of sRGB or
    not told, as transfer also 6, 13 and 14 to 15, which 8 bits hardly tell apart.
    """
    if image.info.get("icc_profile"):
        return False
    file.seek(0)
    head = file.read(1 << 16)
    at = head.find(b"colrnclx")
    if not 0 <= at <= len(head) - 12:
        return False
    primaries, transfer = (int.from_bytes(head[at + n : at + n + 2]) for n in (8, 10))
    return primaries not in (1, 2) or transfer not in (1, 2, 6, 13, 14, 15)
