"""How densely a file's pixels stand, or how much wider than high they are: read and written.

The formats tell it in units of their own: JFIF (its segment APP0), PNG (pHYs), BMP, and EXIF or
TIFF (tags 282, 283 and 296), which WebP, AVIF, HEIC and JPEG XL have.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import IO, NamedTuple

from PIL import Image

from finefill.files import tiff
from finefill.files.tiff import RESOLUTION, Table, Value

UNIT = 0x0128
ASPECT, INCH, CM = 1, 2, 3  # TIFF 6.0, ResolutionUnit
_MOST = 65535  # that JFIF holds
_NAME = b"Exif\0\0"


class Resolution(NamedTuple):
    """Pixels along each axis by inch or centimetre, or their ratio alone (``ASPECT``)."""

    across: float
    down: float
    unit: int = INCH

    @property
    def dpi(self) -> tuple[float, float]:
        """Pixels by inch; with ``ASPECT`` the ratio."""
        factor = 2.54 if self.unit == CM else 1
        return self.across * factor, self.down * factor

    def turned(self) -> Resolution:
        """Of an image whose axes have changed places."""
        return Resolution(self.down, self.across, self.unit)


def resolution_of(image: Image.Image, exif: bytes, tags: Table) -> Resolution | None:
    """What a file says; None where it says nothing, or only that its pixels are square.

    Args:
        image: as opened by Pillow.
        exif: the EXIF block, which counts where the format itself says nothing.
        tags: of a TIFF file.
    """
    info = image.info
    if image.format == "TIFF":
        return of_table(tags)
    found = None
    if image.format in ("JPEG", "MPO") and "jfif_density" in info:
        unit = {0: ASPECT, 1: INCH, 2: CM}.get(info["jfif_unit"], 0)
        across, down = info["jfif_density"]
        found = _checked(across, down, unit)
    elif "aspect" in info:  # PNG
        across, down = info["aspect"]
        found = _checked(across, down, ASPECT)
    elif image.format not in ("JPEG", "MPO") and isinstance(dpi := info.get("dpi"), tuple):
        found = _checked(float(dpi[0]), float(dpi[1]), INCH)
    return found or of_table(tiff.exif_table(exif))


def of_table(table: Table) -> Resolution | None:
    """What the tags of TIFF or EXIF say."""
    sides = [_rational(table.get(RESOLUTION + side)) for side in (0, 1)]
    unit = table.get(UNIT)
    number = unit.numbers[:1] if isinstance(unit, Value) else ()
    return _checked(sides[0], sides[1], number[0] if number else INCH)


def table_of(found: Resolution) -> Table:
    """The tags of TIFF and EXIF."""
    from fractions import Fraction  # few files come here

    sides = [Fraction(side).limit_denominator(10_000) for side in found[:2]]
    table: Table = {
        RESOLUTION + at: Value(5, struct.pack("<II", side.numerator, side.denominator))
        for at, side in enumerate(sides)
    }
    return table | {UNIT: tiff.short(found.unit)}


def in_exif(exif: bytes, found: Resolution) -> bytes:
    """An EXIF block that says this too; all else stays at its place."""
    if of_table(tiff.exif_table(exif)) == found:
        return exif
    if not exif:
        return tiff.block(table_of(found))
    file = io.BytesIO(exif.removeprefix(_NAME))
    try:
        tiff.append(file, table_of(found))
    except (struct.error, ValueError):  # a damaged block
        return exif
    return _NAME + file.getvalue()


def in_jfif(file: IO[bytes], found: Resolution) -> None:
    """Let the JPEG file, which has a JFIF segment of pixels by inch, say the resolution's own unit.

    Pillow writes no other unit (JFIF 1.02: 0 is the ratio alone, 2 centimetres).
    """
    sides = (int(found.across), int(found.down))
    if found.unit == INCH or sides != found[:2]:
        return
    file.seek(0)
    if file.read(11)[6:] == b"JFIF\0":
        file.seek(13)
        file.write(struct.pack(">BHH", 0 if found.unit == ASPECT else 2, *sides))
    file.seek(0, io.SEEK_END)


def in_png(file: IO[bytes], name: bytes, data: bytes) -> None:
    """Put a chunk before the PNG file's first samples; Pillow writes it not, or otherwise."""
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        file.seek(int.from_bytes(head[:4]) + 4, io.SEEK_CUR)
    at = file.seek(-len(head), io.SEEK_CUR)
    rest = file.read()
    file.seek(at)
    whole = name + data
    file.write(struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole)) + rest)


def not_held(found: Resolution | None, fmt: str) -> str:
    """What a format does not hold of it, in words; empty where it holds all."""
    if found is None:
        return ""
    if found.unit == ASPECT:
        whole = all(side == int(side) <= _MOST for side in found[:2])
        kept = fmt == "TIFF" or (fmt in ("JPEG", "PNG") and whole)
        return "" if kept else "pixels that are not square"
    fits = all(1 <= side <= _MOST for side in found.dpi)
    return "" if fmt != "GIF" and (fits or fmt not in ("JPEG", "BMP")) else "resolution"


def _rational(value: Value | Table | None) -> float:
    if not isinstance(value, Value) or value.kind != 5 or len(value.data) != 8:
        return 0
    above, below = struct.unpack("<II", value.data)
    return above / below if below else 0


def _checked(across: float, down: float, unit: int) -> Resolution | None:
    sides = (across, down)
    if unit not in (ASPECT, INCH, CM) or not all(
        0 < one < 1e6 and math.isfinite(one) for one in sides
    ):
        return None
    return None if unit == ASPECT and across == down else Resolution(across, down, unit)
