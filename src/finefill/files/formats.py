"""What each file format can hold."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from finefill.errors import FinefillError
from finefill.files import heif, jxl, raw

# Output formats by file name extension, with the modes each can store.
EXTENSIONS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF",
    ".tiff": "TIFF", ".bmp": "BMP", ".gif": "GIF", ".avif": "AVIF", ".jpe": "JPEG",
    ".jfif": "JPEG", ".heic": "HEIF", ".heif": "HEIF", ".jxl": "JXL",
}  # fmt: skip
MODES = {
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I;16B"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "HEIF": ("L", "RGB", "RGBA"),
    "JXL": ("L", "LA", "RGB", "RGBA", "I;16"),
}
_EXTRA = {"HEIF": heif.installed, "JXL": jxl.installed}
_REMEDIES = {
    "HEIF": "HEIC needs the extra formats: pip install 'finefill[formats]'",
    "JXL": "JPEG XL needs the extra formats: pip install 'finefill[formats]'",
}
KEEPS_ORIENTATION_TAG = ("JPEG", "PNG", "WEBP", "AVIF")
KEEPS_PROFILE = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
LOSSLESS = ("PNG", "TIFF", "BMP", "GIF")
LOSSY = ("JPEG", "AVIF", "HEIF")  # as they are written here
LOSSLESS_TIFF = (
    "raw", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "zstd", "lzma",
    "tiff_ccitt", "group3", "group4",
)  # fmt: skip


def usable(extension: str) -> bool:
    """Whether files of an extension, in any case, can be read and written here."""
    fmt = EXTENSIONS.get(extension.lower())
    return fmt is not None and (fmt not in _EXTRA or _EXTRA[fmt]())


def remedy(extension: str) -> str:
    """What makes files of an extension usable, in a sentence; empty where nothing is known."""
    if extension.lower() in raw.EXTENSIONS:
        return "camera raw must be developed first"
    return _REMEDIES.get(EXTENSIONS.get(extension.lower(), ""), "")


def output_format(path: str | os.PathLike[str]) -> str:
    """The format that the extension of ``path`` names.

    Raises:
        FinefillError: it is none that can be written, or no file can be made there.
    """
    path = Path(path)
    if (fmt := EXTENSIONS.get(path.suffix.lower())) is None:
        raise FinefillError(f"{path}: unknown kind of output: use one of {' '.join(EXTENSIONS)}")
    if not usable(path.suffix):
        raise FinefillError(f"{path}: cannot be written: {remedy(path.suffix)}")
    if path.is_dir():
        raise FinefillError(f"{path}: cannot be written: it is a folder: name a file")
    if not path.parent.is_dir():
        raise FinefillError(f"{path}: cannot be written: make the folder {path.parent} first")
    return fmt


def holds(fmt: str, image: Image.Image) -> bool:
    """Whether the format has the image's mode, with its transparent colours if there are any."""
    if image.mode not in MODES[fmt]:
        return False
    if not image.has_transparency_data or image.getbands()[-1] == "A":
        return True
    single = isinstance(image.info.get("transparency"), int)
    return fmt == "PNG" or (fmt == "GIF" and single)
