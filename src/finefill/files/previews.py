"""Previews inside EXIF, which still show what was removed: blanked, all else stays at its place."""

from __future__ import annotations

import re
import struct

_HEADS = {b"II*\0": "<", b"MM\0*": ">"}
_START = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]")


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
    return exif[:start] + without_pictures(bytes(block))[:end]


def without_pictures(data: bytes) -> bytes:
    """Bytes in which what looks like a JPEG file is blank."""
    blanked, at = bytearray(data), 0
    while found := _START.search(data, at):
        end = data.find(b"\xff\xd9", found.end()) + 2
        if end < 2:  # none ends any more
            break
        blanked[found.start() : end] = bytes(end - found.start())
        at = end
    return bytes(blanked)


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
