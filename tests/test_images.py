"""Reading, converting, putting back, writing."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from finefill import FinefillError
from finefill.images import (
    from_network,
    put_back,
    read_photo,
    to_network,
    turn,
    write_photo,
)

SIZE = (24, 20)  # height, width
HOLE = np.zeros(SIZE, bool)
HOLE[5:12, 6:15] = True


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


def test_every_value_survives_the_networks_range() -> None:
    values = np.arange(256, dtype=np.uint8)
    rgb = np.stack([values, values[::-1], np.roll(values, 7)], axis=1).reshape(16, 16, 3)
    net = to_network(rgb)
    assert net.shape == (1, 3, 16, 16)
    assert net.dtype == np.float32
    assert (net.min(), net.max()) == (-1.0, 1.0)
    assert net[0, 0, 0, 15] == np.float32(15) / np.float32(127.5) - 1
    np.testing.assert_array_equal(from_network(net), rgb)


def test_outputs_beyond_the_range_are_clipped() -> None:
    net = np.array([-3.0, 3.0, 0.0], np.float32).reshape(1, 3, 1, 1)
    assert from_network(net).tolist() == [[[0, 255, 128]]]


@pytest.mark.parametrize(
    ("mode", "extension"),
    [
        ("1", "png"), ("L", "png"), ("LA", "png"), ("P", "png"), ("RGB", "png"), ("RGBA", "png"),
        ("I;16", "png"), ("CMYK", "tif"), ("I;16", "tif"), ("1", "tif"), ("L", "bmp"),
        ("RGBA", "webp"), ("RGB", "webp"), ("P", "gif"), ("RGBA", "tif"),
    ],
)  # fmt: skip
def test_unmasked_samples_and_the_mode_stay(tmp_path: Path, mode: str, extension: str) -> None:
    image = picture(mode)
    source, target = tmp_path / f"in.{extension}", tmp_path / f"out.{extension}"
    image.save(source, **({"lossless": True} if extension == "webp" else {}))
    photo = read_photo(source)
    write_photo(photo, 255 - photo.rgb, HOLE, target)
    with Image.open(source) as before, Image.open(target) as after:
        assert (after.mode, after.size, after.format) == (before.mode, before.size, before.format)
        if mode == "P":  # GIF sorts its palette anew
            old, new = samples(before.convert("RGB")), samples(after.convert("RGB"))
        else:
            old, new = samples(before), samples(after)
    np.testing.assert_array_equal(old[~HOLE], new[~HOLE])
    assert (old[HOLE] != new[HOLE]).any()
    again = read_photo(target).rgb[HOLE].astype(int)
    expected = (255 - photo.rgb)[HOLE].astype(int)
    if mode in ("RGB", "RGBA", "CMYK"):
        np.testing.assert_array_equal(again, expected)
    elif mode != "1":  # grey, or the nearest of 32 colours
        assert np.abs(again - expected).mean() < 40


def test_a_palette_pixel_gets_the_nearest_opaque_colour(tmp_path: Path) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([255, 0, 0, 0, 0, 255, 250, 10, 10, 0, 255, 0])
    image.save(tmp_path / "in.png", transparency=0)  # exact red is the transparent entry
    photo = read_photo(tmp_path / "in.png")
    mask = np.zeros((16, 16), bool)
    mask[3, 4] = True
    red = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    result = np.asarray(put_back(photo, red, mask))
    assert result[3, 4] == 2
    assert (result[~mask] == 1).all()


def test_sixteen_bit_grey_keeps_the_low_byte() -> None:
    image = picture("I;16")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    photo = read_photo(buffer.getvalue())
    assert photo.rgb[0, 1].tolist() == [0, 0, 0]  # 77 / 257 rounds to 0
    assert photo.rgb[20, 0].tolist() == [round(20 * 2001 / 257)] * 3
    result = np.asarray(put_back(photo, np.full((*SIZE, 3), 200, np.uint8), HOLE))
    assert (result[HOLE] == 200 * 257).all()
    np.testing.assert_array_equal(result[~HOLE], np.asarray(image)[~HOLE])


def test_alpha_is_kept_but_a_wholly_erased_hole_becomes_opaque() -> None:
    image = picture("RGBA")
    half = np.array(image)
    half[5, 6, 3] = 0  # one pixel of the hole transparent, the others not
    fill = np.full((*SIZE, 3), 9, np.uint8)

    def alpha_after(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        result = np.array(put_back(read_photo(buffer.getvalue()), fill, HOLE))
        np.testing.assert_array_equal(result[~HOLE], pixels[~HOLE])
        return result[..., 3]

    np.testing.assert_array_equal(alpha_after(half), half[..., 3])
    erased = half.copy()
    erased[HOLE, 3] = 0
    assert (alpha_after(erased)[HOLE] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_orientation(tmp_path: Path, orientation: int, extension: str) -> None:
    upright = np.asarray(picture("RGB"))
    stored = turn(upright, orientation, back=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    source, target = tmp_path / f"in.{extension}", tmp_path / f"out.{extension}"
    Image.fromarray(stored).save(source, exif=exif)
    photo = read_photo(source)
    np.testing.assert_array_equal(photo.rgb, upright)
    fill = np.full_like(upright, 77)
    write_photo(photo, fill, HOLE, target)
    np.testing.assert_array_equal(
        read_photo(target).rgb, np.where(HOLE[..., None], fill, upright), strict=True
    )
    with Image.open(target) as after:
        assert after.getexif()[0x010F] == "Maker"
        if extension == "png":
            assert after.getexif()[0x0112] == orientation
            assert after.size == (stored.shape[1], stored.shape[0])
    if extension == "png":  # a format without the tag gets upright pixels
        write_photo(photo, fill, HOLE, tmp_path / "out.bmp")
        np.testing.assert_array_equal(
            np.asarray(Image.open(tmp_path / "out.bmp")), np.asarray(read_photo(target).rgb)
        )


def test_profile_resolution_and_jpeg_quality_stay(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source, target = tmp_path / "in.jpg", tmp_path / "out.JPEG"
    picture("RGB", 64, 64).save(
        source, quality=61, subsampling=1, icc_profile=profile, dpi=(300, 300), progressive=True
    )
    photo = read_photo(source)
    mask = np.zeros((64, 64), bool)
    mask[20:30, 20:30] = True
    write_photo(photo, photo.rgb, mask, target)
    with Image.open(source) as before, Image.open(target) as after:
        assert after.info["icc_profile"] == profile
        assert after.info["dpi"] == (300, 300)
        assert after.info["progressive"]
        assert after.quantization == before.quantization  # type: ignore[attr-defined]  # JPEG only
        assert after.layer == before.layer  # type: ignore[attr-defined]  # JPEG only
    for other in ("png", "webp", "tif"):
        write_photo(photo, photo.rgb, mask, tmp_path / f"out.{other}")
        with Image.open(tmp_path / f"out.{other}") as after:
            assert after.info["icc_profile"] == profile
            np.testing.assert_array_equal(np.asarray(after), photo.rgb)


@pytest.mark.parametrize(
    ("mode", "extension", "expected"),
    [
        ("RGBA", "jpg", "RGB"), ("LA", "jpg", "RGB"), ("P", "jpg", "RGB"), ("I;16", "jpg", "L"),
        ("1", "jpg", "L"), ("CMYK", "png", "RGB"), ("L", "webp", "RGB"), ("LA", "webp", "RGBA"),
        ("CMYK", "jpg", "CMYK"), ("I;16", "webp", "RGB"), ("LA", "bmp", "RGB"),
    ],
)  # fmt: skip
def test_formats_that_cannot_hold_the_mode(
    tmp_path: Path, mode: str, extension: str, expected: str
) -> None:
    picture(mode, 32, 32).save(tmp_path / "in.tif")
    photo = read_photo(tmp_path / "in.tif")
    mask = np.zeros((32, 32), bool)
    mask[:4] = True
    write_photo(photo, photo.rgb, mask, tmp_path / f"out.{extension}")
    with Image.open(tmp_path / f"out.{extension}") as after:
        assert (after.mode, after.size) == (expected, (32, 32))
        if extension == "png":
            np.testing.assert_array_equal(np.asarray(after), photo.rgb)
    if mode == "RGBA":  # onto white
        alpha = np.asarray(photo.stored)[..., 3:].astype(float) / 255
        white = photo.rgb * alpha + 255 * (1 - alpha)
        assert np.abs(read_photo(tmp_path / "out.jpg").rgb - white).mean() < 6


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


BAD = ["missing", "folder", "text.jpg", "empty.png", "cut.png", "cut.jpg"]


@pytest.mark.parametrize("case", [*BAD, "one pixel", "low", "float", "lab"])
def test_bad_files_are_named(tmp_path: Path, case: str) -> None:
    path, message = bad_files(tmp_path)[case]
    with pytest.raises(FinefillError, match=message) as error:
        read_photo(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_sixteen_bit_colour_is_refused() -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)  # 16 bits, RGB
    rows = zlib.compress((b"\0" + bytes(96)) * 16)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    with pytest.raises(FinefillError, match="16 bits per channel"):
        read_photo(png)
    with pytest.raises(FinefillError, match="16 bits per channel"):
        read_photo(b"P6\n16 16\n65535\n" + bytes(16 * 16 * 6))
    assert read_photo(b"P6\n16 16\n255\n" + bytes(16 * 16 * 3)).rgb.shape == (16, 16, 3)


def test_the_pixel_limit_can_be_set(tmp_path: Path) -> None:
    Image.new("1", (200, 100)).save(tmp_path / "a.png")
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(FinefillError, match=r"200x100 pixels .* 19999.*--max-pixels"):
        read_photo(tmp_path / "a.png", max_pixels=19999)
    assert read_photo(tmp_path / "a.png", max_pixels=20000).rgb.shape == (100, 200, 3)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_of_several_pictures_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.new("L", (20, 20), value) for value in (10, 200)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match=r"a\.tif has several pictures"):
        photo = read_photo(tmp_path / "a.tif")
    assert (photo.rgb == 10).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [("out.xyz", "unknown kind"), ("none/out.png", "make the folder"), ("d.png", "folder")],
)
def test_unwritable_outputs(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "d.png").mkdir()
    picture("RGB").save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    with pytest.raises(FinefillError, match=message):
        write_photo(photo, photo.rgb, HOLE, tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["d.png", "in.png"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    from finefill.images import replacing

    target = tmp_path / "out.png"
    target.write_bytes(b"old")

    def fill_up() -> None:
        with replacing(target) as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(FinefillError, match="No space"):
        fill_up()
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.png"]
