"""Resolution: both axes, in each format's own unit, and pixels that are not square."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from finefill import FinefillError
from finefill.files import tiff
from finefill.files.reading import read_photo
from finefill.files.resolution import ASPECT, CM, INCH, Resolution, in_png
from finefill.files.writing import write_photo
from tests.files.pictures import HOLE, MAY_LOSE, picture, told


def fax(across: int, down: int, orientation: int = 1) -> bytes:
    """EXIF of so many pixels an inch."""
    return tiff.block(
        {
            tiff.ORIENTATION: tiff.short(orientation),
            282: tiff.Value(5, struct.pack("<II", across, 1)),
            283: tiff.Value(5, struct.pack("<II", down, 1)),
            296: tiff.short(2),
        }
    )


@pytest.mark.parametrize("source", ["jpg", "webp", "avif"])
@pytest.mark.parametrize("target", ["jpg", "png", "tif", "bmp", "webp", "avif"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_exif_alone_tells_two_axes(
    tmp_path: Path, source: str, target: str, orientation: int
) -> None:
    picture("RGB").save(tmp_path / f"in.{source}", exif=fax(204, 98, orientation))
    photo = read_photo(tmp_path / f"in.{source}")
    hole = HOLE.T if orientation == 6 else HOLE
    write_photo(photo, photo.rgb, hole, tmp_path / f"out.{target}")
    after = read_photo(tmp_path / f"out.{target}").kept.resolution
    assert after is not None
    upright = orientation == 6 and target in ("tif", "bmp")
    expected = (98, 204) if upright else (204, 98)
    # PNG and BMP have whole pixels a metre: half of one is 0.0127 an inch.
    assert after.dpi == pytest.approx(expected, abs=0.0128 if target in ("png", "bmp") else 0)
    with Image.open(tmp_path / f"out.{target}") as image:  # as another reader finds it
        if target in ("jpg", "png", "tif", "bmp"):
            assert image.info["dpi"] == pytest.approx(expected, abs=0.0128)


@pytest.mark.parametrize("source", ["jpg", "png", "tif", "bmp"])
@pytest.mark.parametrize("target", ["webp", "avif", "jxl", "heic"])
def test_resolution_goes_into_exif(tmp_path: Path, source: str, target: str) -> None:
    if target in ("jxl", "heic"):
        pytest.importorskip("imagecodecs" if target == "jxl" else "pillow_heif")
    picture("RGB").save(tmp_path / f"in.{source}", dpi=(300, 150))
    photo = read_photo(tmp_path / f"in.{source}")
    write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")
    after = read_photo(tmp_path / f"out.{target}")
    said = tiff.exif_table(after.kept.exif)
    assert after.kept.resolution is not None
    assert after.kept.resolution.dpi == pytest.approx((300, 150), abs=0.0128)
    assert {282, 283, 296} <= said.keys()


def not_square(path: Path, fmt: str) -> Path:
    """Pixels that are twice as high as wide: two across for one down."""
    options: dict[str, Any] = {"dpi": (2, 1)}
    if fmt == "tif":
        options = {"tiffinfo": {282: 2.0, 283: 1.0, 296: 1}}
    picture("RGB").save(path, **options)
    with open(path, "r+b") as file:
        if fmt == "jpg":
            file.seek(13)
            assert file.read(5) == b"\1\0\2\0\1"
            file.seek(13)
            file.write(b"\0")
    if fmt == "png":
        picture("RGB").save(path)
        with open(path, "r+b") as file:
            in_png(file, b"pHYs", struct.pack(">IIB", 2, 1, 0))
    return path


@MAY_LOSE
@pytest.mark.parametrize("source", ["jpg", "png", "tif"])
def test_pixels_that_are_not_square(tmp_path: Path, source: str) -> None:
    photo = read_photo(not_square(tmp_path / f"in.{source}", source))
    assert photo.kept.resolution == Resolution(2, 1, ASPECT)
    for target in ("jpg", "png", "tif"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")
        with Image.open(tmp_path / f"out.{target}") as image:
            image.load()
            if target == "jpg":
                assert (image.info["jfif_unit"], image.info["jfif_density"]) == (0, (2, 1))
            elif target == "png":
                assert image.info["aspect"] == (2, 1)
            else:
                assert image.info["resolution"] == (2, 1)
    for target in ("webp", "avif", "bmp", "gif"):
        with told("holds no pixels that are not square: left out$"):
            write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")


def test_pixels_by_centimetre_stay_in_jpeg(tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "in.jpg", dpi=(118, 59))
    data = bytearray((tmp_path / "in.jpg").read_bytes())
    data[13] = 2
    (tmp_path / "in.jpg").write_bytes(data)
    photo = read_photo(tmp_path / "in.jpg")
    assert photo.kept.resolution == Resolution(118, 59, CM)
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.jpg")
    assert (tmp_path / "out.jpg").read_bytes()[13:18] == b"\2\0\x76\0\x3b"
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    assert read_photo(tmp_path / "out.tif").kept.resolution == Resolution(118, 59, CM)


def test_gif_holds_no_resolution(tmp_path: Path) -> None:
    picture("L").save(tmp_path / "in.png", dpi=(300, 300))
    photo = read_photo(tmp_path / "in.png")
    assert photo.kept.resolution is not None
    assert photo.kept.resolution.unit == INCH
    with told("GIF holds no resolution: left out$"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.gif")


def bmp16(masks: tuple[int, int, int], value: int) -> bytes:
    """A BMP file of 16x16 pixels of one value, 16 bits each (BITFIELDS)."""
    head = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 16, 3, 512, 0, 0, 0, 0)
    body = head + struct.pack("<III", *masks) + struct.pack("<H", value) * 256
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 66) + body


def test_bmp_of_16_bits_a_pixel(tmp_path: Path) -> None:
    """31 of 31, 32 of 63 and 0 of 31: 255, 130 (32 * 255 / 63 = 129.5) and 0."""
    (tmp_path / "in.bmp").write_bytes(bmp16((0xF800, 0x7E0, 0x1F), 31 << 11 | 32 << 5))
    red, green, blue = read_photo(tmp_path / "in.bmp").rgb[8, 8]
    assert (red, blue) == (255, 0)
    assert green in (129, 130)
    (tmp_path / "in.bmp").write_bytes(bmp16((0xF00, 0xF0, 0xF), 0xF80))
    with pytest.raises(FinefillError, match="BMP of these bits a channel cannot be read: save it"):
        read_photo(tmp_path / "in.bmp")
