"""HEIC, as phones write it, by pillow-heif of the extra ``formats``; imported when one comes."""

from __future__ import annotations

import importlib.util
from typing import IO, Any

from PIL import Image

from finefill.errors import FinefillError

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_heif(head: bytes) -> bool:
    """Whether a file of these first bytes, that Pillow does not know, is HEIC or HEIF."""
    return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def installed() -> bool:
    """Whether such files can be read and written."""
    return importlib.util.find_spec("pillow_heif") is not None


def opened(file: IO[bytes], name: str) -> Image.Image:
    """Open a file; libheif turns it upright, and decodes it when it is loaded.

    Raises:
        FinefillError: pillow-heif is not installed.
    """
    file.seek(0)
    image: Image.Image = _library(name).HeifImageFile(file)
    return image


def save(image: Image.Image, file: IO[bytes], options: dict[str, Any]) -> None:
    """Write an upright image of mode L, RGB or RGBA; options as of Pillow's other writers."""
    plain = image.copy()
    plain.info = {}  # from which the library would take more
    library = _library("the output")
    library.from_pillow(plain).save(file, chroma=444, **options)


def _library(name: str) -> Any:
    try:
        import pillow_heif
    except ImportError as error:
        raise FinefillError(
            f"{name}: HEIC needs the extra formats: pip install 'finefill[formats]', "
            "or save it as JPEG"
        ) from error
    return pillow_heif
