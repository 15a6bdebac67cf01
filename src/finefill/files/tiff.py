"""Tables of TIFF files and EXIF blocks: read, kept and appended with their types.

Pillow and tifffile read and write the pixels. What a file says besides stands in tables of tags
(TIFF 6.0, section 2; BigTIFF has wider fields). Neither of them writes the tags again as they were.
So a table that has them is put at the end of the file that they wrote.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import IO, NamedTuple

import numpy as np

ORIENTATION = 0x0112
PHOTOMETRIC = 0x0106
RESOLUTION = 0x011A
COLOUR_MAP = 0x0140
XMP = 0x02BC
EXIF, GPS, INTEROP = 0x8769, 0x8825, 0xA005
SUB_IFDS = 0x014A
IPTC, RESOURCES = 0x83BB, 0x8649
BYTE, SHORT, LONG, UNDEFINED = 1, 3, 4, 7
# What GDAL and others say of a map: pixel scale, tie points, transform, keys, metadata, no data.
GEO = {33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113}
# Tags that EXIF blocks of other formats hold too: texts about the picture, Windows' own among them.
TEXTS = {
    0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298,
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0xC4A5,
}  # fmt: skip
# What inks CMYK samples are, their number, and which samples are none and all of one (TIFF 6.0,
# section 16); the first two mostly say what the mode says.
INKS, DOTS = {332, 334}, 336
PIXELS = {40962, 40963}  # EXIF's width and height of the picture
# Tags that say how the pixels are stored, which the written file says itself.
LAYOUT = {
    254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282,
    283, 284, 288, 289, 290, 291, 292, 293, 296, 297, 317, 320, 321, 322, 323, 324, 325, 326, 327,
    328, 337, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519, 520,
    521, 529, 530, 531, 532, 559, 32781, 32995, 32996, 32997, 32998, 34675,
}  # fmt: skip
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8,
          17: 8, 18: 8}  # fmt: skip
_WORDS = {5: 4, 10: 4}  # bytes that change places with the byte order; others: the whole value
_OFFSETS = (4, 13, 16, 18)  # types of values that may be places in the file
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_DNG, _CFA, _LINEAR = 50706, 32803, 34892  # version of DNG; photometry of raw samples
MAX_PICTURES = 64  # that are looked at
PREVIEW = 512  # pixels that the longer side of an unmarked preview has at most


class Value(NamedTuple):
    """A tag's value: its type's number in TIFF 6.0, and its bytes in little-endian order."""

    kind: int
    data: bytes

    @property
    def numbers(self) -> tuple[int, ...]:
        """Whole numbers; none where the type has others."""
        code = _CODES.get(self.kind)
        if code is None:
            return ()
        return struct.unpack(f"<{len(self.data) // _SIZES[self.kind]}{code}", self.data)

    @property
    def is_offset(self) -> bool:
        """Whether it may be a place in the file, which another file has not."""
        return self.kind in _OFFSETS and len(self.data) == _SIZES[self.kind]


Table = dict[int, "Value | Table"]  # a table inside has its own entries


def short(number: int) -> Value:
    """A value of 16 bits."""
    return Value(SHORT, struct.pack("<H", number))


class Picture(NamedTuple):
    """The picture of a TIFF file that is the photo.

    Attributes:
        at: place of its table.
        table: its tags, and what only the file's first table says besides pixels.
        size: (width, height), as stored.
        preview: (width, height) of the file's first picture, where that is a preview of this one.
        raw: the file holds a sensor's samples, as cameras write them.
        big: the file is BigTIFF.
        odd: it is BigTIFF in big-endian order, which Pillow does not read.
        masked: another of the file's pages is a mask of it (TIFF 6.0, NewSubfileType).
        scaled: there are other pages, and all but masks are smaller versions of it.
        alone: there are no other pages but masks.
    """

    at: int
    table: Table
    size: tuple[int, int]
    preview: tuple[int, int] | None = None
    raw: bool = False
    big: bool = False
    odd: bool = False
    masked: bool = False
    scaled: bool = False
    alone: bool = True

    @property
    def orientation(self) -> int:
        """1 to 8."""
        value = _number(self.table, ORIENTATION, 1)
        return value if value in range(1, 9) else 1

    @property
    def negative(self) -> bool:
        """Whether white is stored as zero."""
        return _number(self.table, PHOTOMETRIC, 1) == 0

    @property
    def extra(self) -> tuple[int, ...]:
        """Kinds of the channels beyond colour: TIFF 6.0, ExtraSamples."""
        value = self.table.get(338)
        return value.numbers if isinstance(value, Value) else ()

    @property
    def signed(self) -> bool:
        """Whether samples are whole numbers with a sign."""
        return _number(self.table, 339, 1) == 2

    @property
    def tiled(self) -> bool:
        """Whether the samples lie in tiles (TIFF 6.0, section 15)."""
        return 322 in self.table

    @property
    def channels(self) -> int:
        """Samples of a pixel."""
        return _number(self.table, 277, 1)

    @property
    def bits(self) -> int:
        """Of the sample that has most."""
        value = self.table.get(258)
        return max(value.numbers, default=1) if isinstance(value, Value) else 1

    def data(self, tag: int) -> bytes:
        """A tag's bytes; empty where there is none."""
        value = self.table.get(tag)
        return value.data if isinstance(value, Value) else b""


def picture_of(file: IO[bytes]) -> Picture:
    """Find the photo among a TIFF file's pictures: the first, unless that is its preview.

    Cameras, raw developers and scanners put a preview first and the picture after it, or into the
    preview's own table (TIFF 6.0, NewSubfileType; TIFF Technical Note 1, SubIFDs).

    Raises:
        ValueError: it is no TIFF file.
    """
    tables = Tables(file)
    found = list(islice(tables.chain(), MAX_PICTURES))
    if not found:
        raise ValueError("no picture")
    first = found[0][1]
    places = first.get(SUB_IFDS)
    inside = [] if places is None else [(at, tables.read(at)[0]) for at in places.numbers[:16]]
    raw = _DNG in first or any(
        _number(table, PHOTOMETRIC, 0) in (_CFA, _LINEAR) for _, table in found + inside
    )
    small, marked = _size(first), _is_reduced(first)
    others = [
        (at, table)
        for at, table in found[1:] + inside
        if not _is_reduced(table) and (marked or _is_preview(small, _size(table)))
    ]
    at, table = max(others, key=lambda one: _size(one[1])[0], default=found[0])
    said: Table = {}
    if at != found[0][0]:
        said = {tag: value for tag, value in first.items() if tag not in LAYOUT | {SUB_IFDS}}
    said |= table
    preview = small if at != found[0][0] else None
    odd = tables.big and tables.order == ">"
    rest = [one for place, one in found if place != at]
    unmasked = [one for one in rest if not _is_mask(one)]
    return Picture(
        at,
        with_below(tables, said),
        _size(table),
        preview,
        raw,
        tables.big,
        odd,
        masked=len(unmasked) < len(rest),
        scaled=bool(unmasked) and all(map(_is_reduced, unmasked)),
        alone=not unmasked,
    )


def as_pillow_reads(file: IO[bytes], picture: Picture) -> IO[bytes]:
    """The file, or a copy of it whose first picture is the photo, in a kind that Pillow reads.

    Of 16-bit grey with white as zero, Pillow reads little-endian files only, and as its negative:
    the copy has the samples as they are, with black as zero.
    """
    tables = Tables(file)
    negative = picture.negative and picture.bits == 16
    if picture.at == tables.first and not negative:
        return file
    file.seek(0)
    copy = bytearray(file.read())
    long = "Q" if tables.big else "I"
    struct.pack_into(tables.order + long, copy, 8 if tables.big else 4, picture.at)
    if negative:
        head, entry = (8, 20) if tables.big else (2, 12)
        (count,) = struct.unpack_from(tables.order + ("Q" if tables.big else "H"), copy, picture.at)
        for at in range(picture.at + head, picture.at + head + count * entry, entry):
            if struct.unpack_from(tables.order + "H", copy, at)[0] == PHOTOMETRIC:
                struct.pack_into(tables.order + "H", copy, at + entry - (8 if tables.big else 4), 1)
    return io.BytesIO(copy)


def _number(table: Mapping[int, Value | Table], tag: int, otherwise: int) -> int:
    value = table.get(tag)
    numbers = value.numbers if isinstance(value, Value) else ()
    return numbers[0] if numbers else otherwise


def _size(table: Mapping[int, Value | Table]) -> tuple[int, int]:
    return _number(table, 256, 0), _number(table, 257, 0)


def _is_reduced(table: Mapping[int, Value | Table]) -> bool:
    """Whether it is marked as a smaller version of another picture, or as a mask."""
    return bool(_number(table, 254, 0) & 5) or _number(table, 255, 1) == 2


def _is_mask(table: Mapping[int, Value | Table]) -> bool:
    """Whether it says which pixels of another picture count."""
    return bool(_number(table, 254, 0) & 4)


def _is_preview(small: tuple[int, int], large: tuple[int, int]) -> bool:
    """Whether an unmarked picture is so much smaller than another of the same shape."""
    if not 0 < max(small) <= PREVIEW or max(large) < 2 * max(small):
        return False
    # The shorter side of a preview is rounded, hence by a pixel.
    return all(
        abs(large[1 - side] * small[side] / large[side] - small[1 - side]) <= 1
        for side in (0, 1)
        if large[side] and small[side] == max(small)
    )


class Tables:
    """Reads the tables of a TIFF file or EXIF block.

    Raises:
        ValueError: it is neither.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Read the header; ``file`` stays open and is moved about in."""
        self._file = file
        self._end = file.seek(0, io.SEEK_END)
        file.seek(0)
        head = file.read(16)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        version = struct.unpack_from(self.order + "H", head, 2)[0] if self.order else 0
        if len(head) < 8 or version not in (42, 43) or (version == 43 and len(head) < 16):
            raise ValueError("not a TIFF file")
        self.big = version == 43
        self.first: int = struct.unpack_from(
            self.order + ("Q" if self.big else "I"), head, 8 if self.big else 4
        )[0]

    def read(self, at: int) -> tuple[dict[int, Value], int]:
        """The table at a place, and the place of the one after it (0: none).

        What is damaged is left out.
        """
        count_size, entry_size, field = (8, 20, 8) if self.big else (2, 12, 4)
        word, long = ("Q", "Q") if self.big else ("H", "I")
        found = dict[int, Value]()
        self._file.seek(at)
        head = self._file.read(count_size)
        if len(head) < count_size:
            return found, 0
        (count,) = struct.unpack(self.order + word, head)
        entries = self._file.read(min(count, 1 << 16) * entry_size)
        after = self._file.read(field)
        left = self._end  # a table that says more than the file holds is none
        for start in range(0, len(entries) - entry_size + 1, entry_size):
            tag, kind, length = struct.unpack_from(self.order + "HH" + long, entries, start)
            size = length * _SIZES.get(kind, 0)
            data = entries[start + entry_size - field : start + entry_size]
            if not size or (left := left - size) < 0:
                continue
            if size > field:
                self._file.seek(struct.unpack(self.order + long, data)[0])
                data = self._file.read(size)
            if len(data) >= size:
                found.setdefault(tag, Value(kind, swapped(kind, data[:size], self.order)))
        return found, struct.unpack(self.order + long, after)[0] if len(after) == field else 0

    def chain(self) -> Iterator[tuple[int, dict[int, Value]]]:
        """Place and table of each picture of the file, in order."""
        at, seen = self.first, set[int]()
        while at and at not in seen and len(seen) < MAX_PICTURES:
            seen.add(at)
            table, following = self.read(at)
            yield at, table
            at = following

    def below(self, value: Value | None) -> Table:
        """The table that a value points to, with the one about interoperability inside."""
        if value is None or not value.numbers:
            return {}
        found: Table = dict(self.read(value.numbers[0])[0])
        if isinstance(inner := found.pop(INTEROP, None), Value) and (below := self.below(inner)):
            found[INTEROP] = below
        return found


def append(file: IO[bytes], added: Table) -> None:
    """Give the first picture of a TIFF file more tags, or others: its table is written anew.

    Args:
        file: open for reading and writing; in classic TIFF, not BigTIFF.
        added: what is put in; where the file has such a tag, instead of it.
    """
    tables = Tables(file)
    file.seek(tables.first)
    (count,) = struct.unpack(tables.order + "H", file.read(2))
    entries = {}
    for _ in range(count):
        entry = file.read(12)
        entries[struct.unpack(tables.order + "H", entry[:2])[0]] = entry
    following = file.read(4)
    entries |= _written(file, added, tables.order)
    place = _end(file)
    file.write(struct.pack(tables.order + "H", len(entries)))
    file.write(b"".join(entry for _, entry in sorted(entries.items())) + following)
    file.seek(4)
    file.write(struct.pack(tables.order + "I", place))
    file.seek(0, io.SEEK_END)


def block(table: Table) -> bytes:
    """An EXIF block, its name before it, that holds a table; empty for an empty one."""
    if not table:
        return b""
    file = io.BytesIO(b"II*\0" + bytes(4))
    place = _put(file, table, "<")
    file.seek(4)
    file.write(struct.pack("<I", place))
    return b"Exif\0\0" + file.getvalue()


def with_orientation(exif: bytes, orientation: int) -> bytes:
    """An EXIF block that tells this orientation, if it tells one; all else stays at its place."""
    data = bytearray(exif)
    start = len(exif) - len(exif.removeprefix(b"Exif\0\0"))
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2], "<")
    try:
        (first,) = struct.unpack_from(order + "I", data, start + 4)
        (count,) = struct.unpack_from(order + "H", data, start + first)
        for at in range(start + first + 2, start + first + 2 + 12 * count, 12):
            if struct.unpack_from(order + "H", data, at)[0] == ORIENTATION:
                struct.pack_into(order + "HIHH", data, at + 2, SHORT, 1, orientation, 0)
    except struct.error:  # a damaged block
        return exif
    return bytes(data)


def with_size(exif: bytes, size: tuple[int, int]) -> bytes:
    """An EXIF block whose width and height change places if they are those before a turn.

    Args:
        exif: the block; all else stays at its place.
        size: (width, height) of the turned picture.
    """
    width, height = size
    inner = exif_table(exif).get(EXIF)
    if width == height or not isinstance(inner, dict):
        return exif
    told = [inner.get(tag) for tag in sorted(PIXELS)]
    if [one.numbers for one in told if isinstance(one, Value)] != [(height,), (width,)]:
        return exif
    data = bytearray(exif)
    start = len(exif) - len(exif.removeprefix(b"Exif\0\0"))
    order = {b"II": "<", b"MM": ">"}[exif[start : start + 2]]

    def entries(table: int) -> dict[int, int]:
        (count,) = struct.unpack_from(order + "H", data, start + table)
        places = range(start + table + 2, start + table + 2 + 12 * count, 12)
        return {struct.unpack_from(order + "H", data, at)[0]: at for at in places}

    (first,) = struct.unpack_from(order + "I", data, start + 4)
    (below,) = struct.unpack_from(order + "I", data, entries(first)[EXIF] + 8)
    across, down = (entries(below)[tag] + 2 for tag in sorted(PIXELS))  # type, count and value
    data[across : across + 10], data[down : down + 10] = (
        data[down : down + 10],
        data[across : across + 10],
    )
    return bytes(data)


def exif_table(exif: bytes) -> Table:
    """What an EXIF block says in its first table and those below it; empty where it is damaged."""
    try:
        tables = Tables(io.BytesIO(exif.removeprefix(b"Exif\0\0")))
        return with_below(tables, tables.read(tables.first)[0])
    except (ValueError, struct.error):
        return {}


def with_below(tables: Tables, table: Mapping[int, Value | Table]) -> Table:
    """A table whose EXIF and GPS tables are in it, not somewhere in the file."""
    found: Table = dict(table)
    for tag in (EXIF, GPS):
        place = table.get(tag)
        if inner := tables.below(place if isinstance(place, Value) else None):
            found[tag] = inner
        else:
            found.pop(tag, None)
    return found


def _written(file: IO[bytes], table: Table, order: str) -> dict[int, bytes]:
    """Put long values and the tables inside at the file's end; return the entries."""
    entries = {}
    for tag, value in table.items():
        if isinstance(value, dict):
            kind, length, data = LONG, 1, struct.pack(order + "I", _put(file, value, order))
        else:
            kind, length = value.kind, len(value.data) // _SIZES[value.kind]
            data = swapped(kind, value.data, order)
        if len(data) > 4:
            place = _end(file)
            file.write(data)
            data = struct.pack(order + "I", place)
        entries[tag] = struct.pack(order + "HHI", tag, kind, length) + data.ljust(4, b"\0")
    return entries


def _put(file: IO[bytes], table: Table, order: str) -> int:
    """Write a table and what is in it at the file's end; return its place."""
    entries = _written(file, table, order)
    place = _end(file)
    file.write(struct.pack(order + "H", len(entries)))
    file.write(b"".join(entry for _, entry in sorted(entries.items())) + bytes(4))
    return place


def _end(file: IO[bytes]) -> int:
    """The next even place after the end, where the file now stands."""
    end = file.seek(0, io.SEEK_END)
    file.write(bytes(end % 2))
    return end + end % 2


def swapped(kind: int, data: bytes, order: str) -> bytes:
    """Bytes of values of a type in the other order, if ``order`` is not little-endian."""
    width = _WORDS.get(kind, _SIZES[kind])
    if order == "<" or width == 1:
        return data
    return np.frombuffer(data, f"<u{width}").byteswap().tobytes()
