"""Photographs in memory: converted for the network, put back bit for bit, turned."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image

from finefill.files.metadata import without_previews
from finefill.files.photo import alpha_of, from_network, put_back, to_network, turn
from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.files.pictures import HOLE, MAY_LOSE, SIZE, picture, samples, seen, with_key
from tests.files.test_colour import profile_bytes


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


@MAY_LOSE
def test_big_endian_grey_keeps_sixteen_bits(tmp_path: Path) -> None:
    grey = np.asarray(picture("I;16"))
    profile = profile_bytes(None, 1.0)
    Image.fromarray(grey.astype(">u2")).save(tmp_path / "in.tif", icc_profile=profile)
    photo = read_photo(tmp_path / "in.tif")
    assert photo.stored.mode == "I;16B"
    for name, mode in (("out.png", "I;16"), ("out.tif", "I;16B"), ("out.jpg", "L")):
        write_photo(photo, photo.rgb, HOLE, tmp_path / name)
        with Image.open(tmp_path / name) as after:
            assert (after.mode, after.info["icc_profile"]) == (mode, profile)
            if mode != "L":
                np.testing.assert_array_equal(np.asarray(after)[~HOLE], grey[~HOLE])


@pytest.mark.parametrize("source", ["gif", "png"])
def test_a_transparent_palette_colour(tmp_path: Path, source: str) -> None:
    image, key = with_key("P")
    image.save(tmp_path / f"in.{source}", transparency=key)
    with Image.open(tmp_path / f"in.{source}") as before:
        expected = seen(before)
    assert (expected[:4, :, 3] == 0).all()
    photo = read_photo(tmp_path / f"in.{source}")
    for target in ("gif", "png", "tif", "webp"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")
        with Image.open(tmp_path / f"out.{target}") as after:
            np.testing.assert_array_equal(seen(after)[~HOLE], expected[~HOLE])
            assert (seen(after)[HOLE, 3] == 255).all()


@MAY_LOSE
@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1", "I;16"])
@pytest.mark.parametrize("target", ["jpg", "png", "webp", "avif", "tif", "bmp", "gif"])
def test_transparent_colours_stay_or_become_alpha_or_white(
    tmp_path: Path, mode: str, target: str
) -> None:
    image, key = with_key(mode)
    image.save(tmp_path / "in.png", transparency=key)
    photo = read_photo(tmp_path / "in.png")
    hidden = (samples(image.convert("RGB")) == image.convert("RGB").getpixel((0, 0))).all(axis=2)
    if mode == "I;16":
        hidden = samples(image) == key
    assert hidden[:4].all()
    assert not hidden.all()
    write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")
    again = read_photo(tmp_path / f"out.{target}")
    if target in ("jpg", "bmp"):
        assert again.rgb[:4].mean() > 250
        return
    alpha = np.asarray(alpha_of(again.stored))
    np.testing.assert_array_equal(alpha[~HOLE] < 128, hidden[~HOLE])
    if target == "png":
        assert again.stored.mode == mode
        assert again.stored.info["transparency"] == key
    if target in ("webp", "tif"):
        np.testing.assert_array_equal(again.rgb[~HOLE], photo.rgb[~HOLE])
    if target == "tif":
        assert again.stored.mode == ("RGBA" if mode in ("P", "RGB") else "LA")


@MAY_LOSE
def test_a_transparent_grey_of_few_bits(tmp_path: Path) -> None:
    """Pillow gives the samples of 4 bits 8, but not the transparent one; it writes neither."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))

    rows = b"".join(b"\0" + bytes([0x05]) * 10 for _ in range(16))  # 0, 5, 0, 5 ...
    (tmp_path / "in.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 16, 4, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", 5))
        + chunk(b"IDAT", compress(rows))
        + chunk(b"IEND", b"")
    )
    photo = read_photo(tmp_path / "in.png")
    mask = np.zeros((16, 20), bool)
    mask[:4] = True
    write_photo(photo, np.full_like(photo.rgb, 9), mask, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as after:
        assert (seen(after)[4:, 1::2, 3] == 0).all()
        assert (seen(after)[4:, ::2, 3] == 255).all()


@pytest.mark.parametrize("level", [0, 200])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_a_fill_of_the_transparent_colour_stays_visible(
    tmp_path: Path, mode: str, level: int
) -> None:
    key = {"L": level, "RGB": (level,) * 3, "I;16": level * 257}[mode]
    picture(mode).save(tmp_path / "in.png", transparency=key)
    photo = read_photo(tmp_path / "in.png")
    fill = np.full_like(photo.rgb, level)
    fill[6, 7] = level + 9
    write_photo(photo, fill, HOLE, tmp_path / "out.png")
    again = read_photo(tmp_path / "out.png")
    assert (np.asarray(alpha_of(again.stored))[HOLE] == 255).all()
    assert np.abs(again.rgb.astype(int) - fill)[HOLE].max() <= 1
    np.testing.assert_array_equal(again.rgb[6, 7], fill[6, 7])
    np.testing.assert_array_equal(samples(again.stored)[~HOLE], samples(photo.stored)[~HOLE])


def test_a_palette_with_several_alphas(tmp_path: Path) -> None:
    image = picture("P")
    image.save(tmp_path / "in.png", transparency=bytes([0, 0, 0, 90, 128]))
    photo = read_photo(tmp_path / "in.png")
    alpha = np.asarray(alpha_of(photo.stored)).astype(int)
    with pytest.warns(UserWarning, match="no soft alpha"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.gif")
    with Image.open(tmp_path / "out.gif") as after:
        pixels = seen(after).astype(int)
    np.testing.assert_array_equal((pixels[..., 3] == 0)[~HOLE], (alpha < 128)[~HOLE])
    onto_white = (photo.rgb * alpha[..., None] + 255 * (255 - alpha[..., None])) / 255
    known = ~HOLE & (alpha >= 128)
    assert np.abs(pixels[known][:, :3] - onto_white[known]).max() <= 1


def test_a_soft_shadow_becomes_transparent_in_gif(tmp_path: Path) -> None:
    """Black of alpha 128 onto white is 127; no hidden colour comes to light."""
    pixels = np.zeros((24, 20, 4), np.uint8)
    pixels[..., :3] = (255, 0, 255)
    pixels[4:20, 4:16] = (90, 140, 60, 255)
    pixels[20] = (0, 0, 0, 1)
    pixels[21] = (0, 0, 0, 127)
    pixels[22] = (0, 0, 0, 128)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    with pytest.warns(UserWarning, match="onto white"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.gif")
    with Image.open(tmp_path / "out.gif") as image:
        after = seen(image)
    wanted = np.zeros((24, 20), bool)
    wanted[4:20, 4:16] = wanted[22] = True
    np.testing.assert_array_equal((after[..., 3] > 0)[~HOLE], wanted[~HOLE])
    assert (after[22] == (127, 127, 127, 255)).all()
    assert (after[12:20, 4:16] == (90, 140, 60, 255)).all()


def test_hard_alpha_goes_to_gif_without_a_word(tmp_path: Path) -> None:
    """As many colours as GIF has beside the transparent one, each exactly."""
    pixels = np.full((24, 20, 4), 255, np.uint8)
    pixels[..., 0] = np.arange(480).reshape(24, 20) % 255
    pixels[..., 1] = pixels[..., 0] // 2
    pixels[16:, 10:] = (1, 2, 3, 0)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.gif")
    with Image.open(tmp_path / "out.gif") as image:
        after = seen(image)
    np.testing.assert_array_equal(after[..., 3], pixels[..., 3])
    opaque = pixels[..., 3] > 0
    np.testing.assert_array_equal(after[opaque], pixels[opaque])


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
        with pytest.warns(UserWarning, match="BMP holds no EXIF: left out"):
            write_photo(photo, fill, HOLE, tmp_path / "out.bmp")
        np.testing.assert_array_equal(
            np.asarray(Image.open(tmp_path / "out.bmp")), np.asarray(read_photo(target).rgb)
        )


def test_an_uncompressed_thumbnail_is_blanked() -> None:
    entries = struct.pack("<HHIIHHIIHHII", 0x0103, 3, 1, 1, 0x0111, 4, 1, 60, 0x0117, 4, 1, 12)
    block = b"II*\0" + struct.pack("<IHI", 8, 0, 14)  # an empty IFD 0, then IFD 1 at 14
    block += struct.pack("<H", 3) + entries + bytes(4)
    block += bytes(60 - len(block)) + b"THUMBNAIL!!!" + b"more"
    assert without_previews(block) == b"II*\0" + struct.pack("<IHI", 8, 0, 0) + bytes(58) + b"more"
