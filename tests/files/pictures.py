"""Pictures for the tests of files."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

SIZE = (24, 20)  # height, width
HOLE = np.zeros(SIZE, bool)
HOLE[5:12, 6:15] = True


# Of tests whose subject is another one than what a format gives up.
MAY_LOSE = pytest.mark.filterwarnings("ignore:.* does not keep its")


def told(match: str) -> contextlib.AbstractContextManager[Any]:
    """A warning that matches must come; none for an empty one."""
    return pytest.warns(UserWarning, match=match) if match else contextlib.nullcontext()


def picture(mode: str, height: int = SIZE[0], width: int = SIZE[1]) -> Image.Image:
    """A picture of the mode with every channel its own."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 255 // width, y * 255 // height, (x * y) % 256], axis=2).astype(np.uint8)
    alpha = ((x + y) * 5 % 255 + 1).astype(np.uint8)
    image = Image.fromarray(rgb)
    if mode in ("LA", "RGBA"):
        image = image.convert(mode)
        image.putalpha(Image.fromarray(alpha))
        return image
    if mode == "I;16":
        return Image.fromarray((y * 2001 + x * 77).astype(np.uint16))
    if mode == "P":
        return image.quantize(32)
    return image.convert(mode)


def samples(image: Image.Image) -> NDArray[Any]:
    """Samples of an image, palettes and CMYK as stored."""
    return np.asarray(image)


def with_key(mode: str) -> tuple[Image.Image, Any]:
    """A picture with a transparent colour, that of its first pixels, and that colour."""
    image = picture(mode)
    key = image.getpixel((0, 0))
    image.paste(key, (0, 0, SIZE[1], 4))
    return image, key


def seen(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W, 4) as viewers take it; what is under alpha 0 is black."""
    rgba = np.asarray(image.copy().convert("RGBA"))
    return np.where(rgba[..., 3:] > 0, rgba, np.uint8(0))


def tiny_jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (16, 16), value).save(buffer, "JPEG")
    return buffer.getvalue()


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name -> (file, what the message must say)."""
    good = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(good, "PNG")
    jpeg = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(jpeg, "JPEG")
    contents = {
        "text.jpg": (b"hello", "not an image"),
        "empty.png": (b"", "not an image"),
        "cut.png": (good.getvalue()[: len(good.getvalue()) // 2], "truncated"),
        "cut.jpg": (jpeg.getvalue()[: len(jpeg.getvalue()) // 2], "truncated"),
    }
    files = {"missing": (folder / "none.png", "No such file"), "folder": (folder, "directory")}
    for name, (data, message) in contents.items():
        (folder / name).write_bytes(data)
        files[name] = (folder / name, message)
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    files["one pixel"] = (folder / "one.png", "1x1 pixels are too few")
    Image.new("RGB", (40, 15)).save(folder / "low.png")
    files["low"] = (folder / "low.png", "40x15 pixels are too few")
    Image.new("F", (32, 32)).save(folder / "float.tif")
    files["float"] = (folder / "float.tif", "mode F")
    Image.new("LAB", (32, 32)).save(folder / "lab.tif")
    files["lab"] = (folder / "lab.tif", "mode LAB")
    return files
