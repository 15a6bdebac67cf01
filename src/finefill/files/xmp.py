"""XMP packets without what is no longer true, or would show what was removed.

A packet is cut, not parsed and written again: all else in it stays byte for byte.
"""

from __future__ import annotations

import re

# Names that other programs put into the packet, by the address that stands for them.
_GAIN_MAP = rb"http://ns\.adobe\.com/hdr-gain-map/1\.0/|http://ns\.apple\.com/HDRGainMap/1\.0/"
_CONTAINER = (  # which further pictures and films follow in the file, and how long they are
    rb"http://ns\.google\.com/photos/1\.0/container/(?:item/)?"
    rb"|http://ns\.google\.com/photos/dd/1\.0/[^\"']*"
)
_INSIDE = rb"http://ns\.google\.com/photos/1\.0/(?:image|audio|depthmap)/"  # as base64
_MOTION = rb"[\w.-]+:(?:MotionPhoto|MicroVideo)\w*"
_EXTENDED = rb"xmpNote:HasExtendedXMP"
_THUMBNAILS = rb"[\w.-]+:Thumbnails"
_DECLARED = rb"""\sxmlns:([\w.-]+)\s*=\s*["'](?:%b)["']"""
MAX_PREFIXES = 16  # for one address; a packet has one
_ORIENTATION = rb"""\s?tiff:Orientation=["']\d["']|<tiff:Orientation>\d</tiff:Orientation>"""


def cleaned(xmp: bytes) -> tuple[bytes, list[str]]:
    """A packet that fits a file with one picture, and what it said of others.

    Thumbnails go without a word, as all previews do. A packet that is damaged, so that it cannot be
    cut, goes as a whole.
    """
    try:
        return _cleaned(xmp) if xmp else (b"", [])
    except ValueError:
        return b"", ["its XMP, which is damaged"]


def _cleaned(xmp: bytes) -> tuple[bytes, list[str]]:
    lost = []
    for told, names in (
        ("its gain map (HDR)", _names(xmp, _GAIN_MAP)),
        ("its film (motion photo)", [_MOTION]),
        ("pictures or sound inside its XMP", _names(xmp, _INSIDE)),
        ("", [*_names(xmp, _CONTAINER), _EXTENDED, _THUMBNAILS]),
    ):
        without = xmp
        for name in names:
            without = _without(without, name)
        if told and without != xmp and not (_MOTION in names and _is_off(xmp)):
            lost.append(told)
        xmp = without
    for address in (_GAIN_MAP, _INSIDE, _CONTAINER):
        xmp = re.sub(_DECLARED % address, b"", xmp)
    if b"GCamera:" not in xmp.replace(b"xmlns:GCamera", b""):
        xmp = re.sub(_DECLARED % rb"http://ns\.google\.com/photos/1\.0/camera/", b"", xmp)
    return xmp, lost


def without_orientation(xmp: bytes) -> bytes:
    """A packet that tells no orientation."""
    return re.sub(_ORIENTATION, b"", xmp)


def _is_off(xmp: bytes) -> bool:
    """Whether it says that the file is no motion photo."""
    return not re.search(rb"""(?:MotionPhoto|MicroVideo)(?:\s*=\s*["']|>)\s*[1-9]""", xmp)


def _names(xmp: bytes, address: bytes) -> list[bytes]:
    """Patterns of the names that belong to an address."""
    prefixes = dict.fromkeys(found[1] for found in re.finditer(_DECLARED % address, xmp))
    return [re.escape(prefix) + rb":[\w.-]+" for prefix in prefixes][:MAX_PREFIXES]


def _without(xmp: bytes, name: bytes) -> bytes:
    """Without elements and attributes whose name matches; in time that grows with the length.

    Raises:
        ValueError: an element does not end.
    """
    left, at = [], 0
    for opening in re.finditer(rb"<(%b)(?=[\s/>])" % name, xmp):
        if opening.start() < at:  # inside one that went
            continue
        left.append(xmp[at : opening.start()])
        at = xmp.index(b">", opening.end()) + 1
        if xmp[at - 2 : at] != b"/>":
            at = xmp.index(b">", xmp.index(b"</" + opening[1], at)) + 1
    left.append(xmp[at:])
    return re.sub(rb"""\s%b\s*=\s*(?:"[^"]*"|'[^']*')""" % name, b"", b"".join(left))
