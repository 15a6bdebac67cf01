"""JPEG XL, by imagecodecs of the extra ``formats``, which decodes and encodes the pixels alone.

What a file says of itself is read here: size, bits and colours from the beginning of its
codestream (ISO 18181-1, annex D), EXIF and XMP from the boxes around it (ISO 18181-2).
"""

from __future__ import annotations

import importlib.util
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.errors import FinefillError

_BARE = b"\xff\x0a"
_BOXED = b"\0\0\0\x0cJXL \r\n\x87\n"
_TYPE = b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
# Transfer curves, as in ITU-T H.273; both are written as 2 and a number of 4 bits.
_LINEAR, _SRGB = 8, 13
EFFORT = 4  # of 9: libjxl's own 7 takes ten times as long for files that are hardly smaller


class Header(NamedTuple):
    """What a codestream begins with.

    Attributes:
        size: (width, height), as stored.
        bits: of a sample; 0: they are no whole numbers.
        animated: it has several pictures.
        srgb: its colours are sRGB's, or grey with sRGB's curve.
        linear: the bit at which the curve's number is, if sRGB's colours are told to be linear.
    """

    size: tuple[int, int]
    bits: int = 8
    animated: bool = False
    srgb: bool = True
    linear: int | None = None


def is_jxl(head: bytes) -> bool:
    """Whether a file begins like this."""
    return head.startswith((_BARE, _BOXED))


def installed() -> bool:
    """Whether such files can be read and written."""
    return importlib.util.find_spec("imagecodecs") is not None


def boxes(data: bytes) -> dict[bytes, bytes]:
    """Name -> contents of a file's boxes; of a bare codestream, as ``jxlc``."""
    if data.startswith(_BARE):
        return {b"jxlc": data}
    found, at = dict[bytes, bytes](), 0
    while at + 8 <= len(data):
        size, name, start = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[start : start + 8]), at + 16
        end = at + size if size else len(data)
        if end < start:
            break
        content = data[start:end]
        if name == b"jxlp":  # a part of the codestream, after its number
            found[b"jxlc"] = found.get(b"jxlc", b"") + content[4:]
        else:
            found.setdefault(name, content)
        at = end
    return found


def header(codestream: bytes) -> Header:
    """Read the beginning of a codestream.

    Raises:
        ValueError: it is none.
    """
    if not codestream.startswith(_BARE):
        raise ValueError("no codestream")
    bits = _Bits(codestream[2:4096])
    size = bits.size()
    if bits.take(1):
        return Header(size)
    animated = False
    if bits.take(1):
        bits.take(3)  # orientation, which the decoder undoes
        if bits.take(1):
            bits.size()
        if bits.take(1):
            bits.preview()
        if animated := bool(bits.take(1)):
            for choices in (
                ((100, 0), (1000, 0), (1, 10), (1, 30)), ((1, 0), (1001, 0), (1, 8), (1, 10)),
                ((0, 0), (0, 3), (0, 16), (0, 32)),
            ):  # fmt: skip
                bits.choice(*choices)
            bits.take(1)
    depth = bits.depth()
    bits.take(1)
    for _ in range(bits.choice((0, 0), (1, 0), (2, 4), (1, 12))):
        bits.channel()
    bits.take(1)
    curve = bits.curve()
    linear = 16 + bits.place - 4 if curve == _LINEAR else None
    return Header(size, depth, animated, curve == _SRGB, linear)


class _Bits:
    """Takes numbers from bytes, the lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "little")
        self._count = self._left = 8 * len(data)

    @property
    def place(self) -> int:
        """How many were taken."""
        return self._count - self._left

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the codestream ends")
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        self._left -= count
        return value

    def choice(self, *choices: tuple[int, int]) -> int:
        """One of four: a number, and how many bits are to be added."""
        base, more = choices[self.take(2)]
        return base + self.take(more)

    def enum(self) -> int:
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))

    def size(self) -> tuple[int, int]:
        small = self.take(1)

        def side() -> int:
            if small:
                return 8 * (1 + self.take(5))
            return self.choice((1, 9), (1, 13), (1, 18), (1, 30))

        height = side()
        if ratio := self.take(3):
            across, down = _RATIOS[ratio - 1]
            return height * across // down, height
        return side(), height

    def preview(self) -> None:
        eighths = self.take(1)

        def side() -> None:
            if eighths:
                self.choice((16, 0), (32, 0), (1, 5), (33, 9))
            else:
                self.choice((1, 6), (65, 8), (321, 10), (1345, 12))

        side()
        if not self.take(3):
            side()

    def depth(self) -> int:
        if self.take(1):
            self.choice((32, 0), (16, 0), (24, 0), (1, 6))
            self.take(4)
            return 0
        return self.choice((8, 0), (10, 0), (12, 0), (1, 6))

    def channel(self) -> None:
        if self.take(1):  # alpha of 8 bits
            return
        kind = self.enum()
        self.depth()
        self.choice((0, 0), (3, 0), (4, 0), (1, 3))
        self.take(8 * self.choice((0, 0), (0, 4), (16, 5), (48, 10)))
        if kind == 0:
            self.take(1)
        elif kind == 2:
            self.take(64)
        elif kind == 5:
            self.choice((1, 0), (0, 2), (3, 4), (19, 8))

    def curve(self) -> int:
        """The number of the transfer curve of sRGB's primaries, or of grey; 0: it is neither."""
        if self.take(1):
            return _SRGB
        if self.take(1):  # a profile
            return 0
        space = self.enum()
        if space > 1 or self.enum() != 1:  # neither RGB nor grey, or another white than D65
            return 0
        if space == 0 and self.enum() != 1:
            return 0
        return 0 if self.take(1) else self.enum()


def opened(
    data: bytes, found: dict[bytes, bytes], told: Header, name: str
) -> tuple[Image.Image, NDArray[np.uint16] | None]:
    """Decode a file's first picture, upright.

    Args:
        data: the file.
        found: its :func:`boxes`.
        told: its :func:`header`.
        name: what messages call it.

    Returns:
        The image, of 8 bits or I;16; and (H, W, channels) uint16 of deeper colour, or None.

    Raises:
        FinefillError: imagecodecs is not installed, or samples could not be kept.
    """
    codecs = library(name)
    if not 0 < told.bits <= 16:
        raise FinefillError(f"{name}: its samples have more than 16 bits: save it with 16 first")
    samples = codecs.jpegxl_decode(data, index=0 if told.animated else None)
    samples = samples[..., None] if samples.ndim == 2 else samples
    if samples.ndim != 3 or samples.shape[2] not in _MODES or samples.dtype.kind != "u":
        raise FinefillError(f"{name}: JPEG XL of this layout cannot be kept: save it as PNG first")
    most, full = 2**told.bits - 1, 255 if told.bits <= 8 else 65535
    if most != full:
        samples = (samples.astype(np.uint32) * full + most // 2) // most
    deep = samples.astype(np.uint16) if full > 255 else None
    if deep is not None and deep.shape[2] == 1:
        image, deep = Image.fromarray(deep[..., 0]), None
    else:
        eight = samples if deep is None else (samples.astype(np.uint32) + 128) // 257
        shown = np.ascontiguousarray(eight.astype(np.uint8))
        height, width, bands = shown.shape
        image = Image.frombytes(_MODES[bands], (width, height), shown.tobytes())
    image.format = "JXL"
    if b"brob" in found:  # compressed; its name first
        packed = found.pop(b"brob")
        found.setdefault(packed[:4], codecs.brotli_decode(packed[4:]))
    if exif := found.get(b"Exif", b"")[4:]:
        image.info["exif"] = b"Exif\0\0" + exif
    if packet := found.get(b"xml "):
        image.info["xmp"] = packet
    return image, deep


def encoded(samples: NDArray[Any], exif: bytes, xmp: bytes) -> bytes:
    """A file without loss of (H, W) or (H, W, channels) uint8 or uint16."""
    made = boxes(library("the output").jpegxl_encode(samples, lossless=True, effort=EFFORT))
    codestream = made[b"jxlc"]
    if (at := header(codestream).linear) is not None:
        # The library tells of 16 bits that they are linear, by which viewers show them too bright.
        number = int.from_bytes(codestream[:4096], "little") ^ ((_LINEAR - 2 ^ _SRGB - 2) << at)
        codestream = number.to_bytes(len(codestream[:4096]), "little") + codestream[4096:]
    parts = []
    if exif:
        parts.append((b"Exif", bytes(4) + exif.removeprefix(b"Exif\0\0")))
    if xmp:
        parts.append((b"xml ", xmp))
    if b"jxll" in made:  # a level that decoders must know
        parts.insert(0, (b"jxll", made[b"jxll"]))
    if not parts:
        return codestream
    parts.append((b"jxlc", codestream))
    framed = [(8 + len(data)).to_bytes(4) + name + data for name, data in parts]
    return _BOXED + _TYPE + b"".join(framed)


def library(name: str) -> Any:
    """The library imagecodecs.

    Raises:
        FinefillError: it is not installed.
    """
    try:
        import imagecodecs
    except ImportError as error:
        raise FinefillError(
            f"{name}: JPEG XL needs the extra formats: pip install 'finefill[formats]', "
            "or save it as PNG"
        ) from error
    return imagecodecs
