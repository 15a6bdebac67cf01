"""What a TIFF file's description says of a stack of pictures: ImageJ's, OME's and tifffile's.

Only one picture is written. A description that still tells of three would make other programs look
for pictures that are not there.
"""

from __future__ import annotations

import json
import math
import re
from typing import NamedTuple

from finefill.files import tiff
from finefill.files.tiff import Value

DESCRIPTION = 0x010E
_IMAGEJ = b"ImageJ="
_IMAGEJ_STACK = ("images", "channels", "slices", "frames", "hyperstack", "mode", "loop", "fps")
_OME = re.compile(r"<(?:\w+:)?OME[\s>]")
_SIZE = re.compile(r'\b(Size[ZCT])="(\d{1,9})"')


class _Element(NamedTuple):
    """A part of an XML text: where it is, its namespace's prefix, and itself."""

    start: int
    end: int
    prefix: str
    text: str


def of_one_plane(picture: tiff.Picture) -> tuple[Value | None, int, str]:
    """The picture's description for a file that has only this picture.

    Returns:
        The description; how many pictures the file's own tells of, 1 where it tells nothing; whose
        way of telling it is.
    """
    value = picture.table.get(DESCRIPTION)
    if not isinstance(value, Value):
        return None, 1, ""
    data = value.data.rstrip(b"\0")
    text, planes, whose = data.decode("utf-8", "surrogateescape"), 1, ""
    if data.startswith(_IMAGEJ):
        text, planes, whose = *_imagej(text), "ImageJ"
    elif _OME.search(text[:4096]):
        text, planes, whose = *_ome(text, picture.channels), "OME"
    elif text.startswith('{"shape":'):
        text, planes, whose = *_shaped(text, picture), "tifffile"
    data = text.encode("utf-8", "surrogateescape") + b"\0"
    return (
        (value if data.rstrip(b"\0") == value.data.rstrip(b"\0") else Value(2, data)),
        planes,
        whose,
    )


def _imagej(text: str) -> tuple[str, int]:
    lines = text.split("\n")
    said = dict(line.partition("=")[::2] for line in lines)
    count = said.get("images", "")
    if not re.fullmatch("[0-9]{1,9}", count) or int(count) < 2:
        return text, 1
    return "\n".join(one for one in lines if one.split("=")[0] not in _IMAGEJ_STACK), int(count)


def _ome(text: str, samples: int) -> tuple[str, int]:
    """OME-XML (schema 2016-06): of the first Image, with the Plane and Channel that are left."""
    images = _elements(text, "Image")
    first = images[0].text if images else ""
    sizes = dict(_SIZE.findall(first))
    channels = max(int(sizes.get("SizeC", 1)) // samples, 1)
    planes = channels * int(sizes.get("SizeZ", 1)) * int(sizes.get("SizeT", 1))
    if planes < 2 and len(images) < 2:
        return text, 1
    one = {"SizeZ": 1, "SizeT": 1, "SizeC": samples}
    kept = _SIZE.sub(lambda found: f'{found[1]}="{one[found[1]]}"', first)
    for name in ("Channel", "Plane", "TiffData"):
        for number, found in reversed(list(enumerate(_elements(kept, name)))):
            stays = number == 0
            if name == "Plane":
                stays = all(f'The{axis}="0"' in found.text for axis in "ZCT")
            text_of = found.text if stays else ""
            if stays and name == "TiffData":
                text_of = f'<{found.prefix}TiffData IFD="0" PlaneCount="1"/>'
            kept = kept[: found.start] + text_of + kept[found.end :]
    for image in reversed(images[1:]):
        text = text[: image.start] + text[image.end :]
    start = images[0].start
    return text[:start] + kept + text[start + len(first) :], max(planes, len(images))


def _elements(text: str, name: str) -> list[_Element]:
    """The elements of a name, which are not inside each other."""
    found, at = list[_Element](), 0
    opening = re.compile(rf"<(\w+:|){name}(?=[\s/>])[^>]*>")
    while head := opening.search(text, at):
        at = head.end()
        if not head.group().endswith("/>"):
            close = text.find(f"</{head[1]}{name}>", at)
            if close < 0:  # it does not end
                break
            at = text.index(">", close) + 1
        found.append(_Element(head.start(), at, head[1], text[head.start() : at]))
    return found


def _shaped(text: str, picture: tiff.Picture) -> tuple[str, int]:
    try:
        said = json.loads(text)
        shape = [int(side) for side in said["shape"]]
    except (ValueError, TypeError, RecursionError):
        return text, 1
    width, height = picture.size if picture.orientation < 5 else picture.size[::-1]
    one = [height, width] + ([picture.channels] if picture.channels > 1 else [])
    if shape == one:
        return text, 1
    said.pop("axes", None)
    return json.dumps(said | {"shape": one}), max(math.prod(shape) // math.prod(one), 1)
