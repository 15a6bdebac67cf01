"""IPTC (caption, keywords, copyright of press and archives) and Photoshop's image resources.

JPEG holds both in APP13 segments, TIFF in the tags 33723 and 34377, PNG in a text that ImageMagick
and ExifTool read. The layout of resources is that of "Adobe Photoshop File Formats
Specification", section "Image Resource Blocks".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

SEGMENT_NAME = b"Photoshop 3.0\0"
MAX_SEGMENT = 65533 - len(SEGMENT_NAME)
IIM = 0x0404  # the resource that holds IPTC
# Previews; ICC, EXIF and XMP, which are kept by themselves: they might hold previews too.
_DROPPED = (0x0409, 0x040C, 0x040F, 0x0422, 0x0423, 0x0424)
_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")
_TEXT = "Raw profile type iptc"


def split(resources: bytes) -> tuple[bytes, bytes]:
    """IPTC's records, and the other resources that are kept; both without previews."""
    records, others = b"", []
    for number, whole, data in _blocks(resources):
        if number == IIM:
            records = data
        elif number not in _DROPPED:
            others.append(whole)
    return records, b"".join(others)


def joined(records: bytes, others: bytes) -> bytes:
    """Resources of both; undoes :func:`split`."""
    if not records:
        return others
    head = b"8BIM" + struct.pack(">HHI", IIM, 0, len(records))
    return head + records + bytes(len(records) % 2) + others


def segments(resources: bytes) -> bytes:
    """APP13 segments of a JPEG file; long resources go on in the next one."""
    parts = [resources[at : at + MAX_SEGMENT] for at in range(0, len(resources), MAX_SEGMENT)]
    return b"".join(
        b"\xff\xed" + struct.pack(">H", 2 + len(SEGMENT_NAME) + len(part)) + SEGMENT_NAME + part
        for part in parts
    )


def of_text(text: str) -> bytes:
    """Resources of a PNG file's text: a name, a length and bytes in hexadecimal digits."""
    try:
        data = bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""
    data = data.removeprefix(SEGMENT_NAME)
    return joined(data, b"") if data.startswith(b"\x1c") else data


def text_of(resources: bytes) -> tuple[str, str]:
    """Name and contents of a PNG file's text; :func:`of_text` reads it."""
    digits = resources.hex()
    lines = [digits[at : at + 72] for at in range(0, len(digits), 72)]
    return _TEXT, "\n".join(["", "iptc", f"{len(resources):8}", *lines, ""])


def _blocks(resources: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, whole block and contents of each resource."""
    at = 0
    while resources[at : at + 4] in _SIGNATURES and len(resources) - at >= 12:
        (number,) = struct.unpack_from(">H", resources, at + 4)
        named = (resources[at + 6] + 2) // 2 * 2  # a length, and as many letters, made even
        start = at + 10 + named
        if start > len(resources):
            return
        (size,) = struct.unpack_from(">I", resources, start - 4)
        end = start + size
        if end > len(resources):
            return
        yield number, resources[at:end] + bytes(size % 2), resources[start:end]
        at = end + size % 2
