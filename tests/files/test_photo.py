"""Reading, converting, putting back, writing."""

from __future__ import annotations

import io
import os
import struct
import warnings
from pathlib import Path
from typing import Any
from zlib import compress, crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from finefill import FinefillError
from finefill.files.metadata import without_previews
from finefill.files.photo import alpha_of, from_network, photo_of, put_back, to_network, turn
from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.conftest import check_exif, exif_with
from tests.files.test_colour import PROFILES, profile_bytes

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
    # An object erased with a soft edge, and a mask drawn wider than it.
    wider = half.copy()
    wider[..., 3] = 255
    wider[6:11, 7:14, 3] = 3
    assert (alpha_after(wider) == wider[..., 3]).all()  # see-through was meant so
    wider[7:10, 8:13, 3] = 0
    assert (alpha_after(wider) == 255).all()
    wider[HOLE.argmax(0).max(), 15, 3] = 0  # the transparency goes on beside the hole
    assert (alpha_after(wider) == wider[..., 3]).all()


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


def test_reading_leaves_an_image_in_memory_alone() -> None:
    image, key = with_key("P")
    image.info["transparency"] = key
    palette = image.getpalette(None)
    photo = photo_of(image)
    result = put_back(photo, photo.rgb, HOLE)
    alpha_of(image)
    assert image.getpalette(None) == result.getpalette(None) == palette


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
    hidden = np.asarray(alpha_of(photo.stored)) == 0
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.gif")
    with Image.open(tmp_path / "out.gif") as after:
        np.testing.assert_array_equal((seen(after)[..., 3] == 0)[~HOLE], hidden[~HOLE])
        apart = np.abs(seen(after)[..., :3].astype(int) - photo.rgb)
    assert apart[~HOLE & ~hidden].mean() < 9


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


def test_colours_of_jpeg_are_not_sampled_more_than_they_were(
    tmp_path: Path, demo_rgb: NDArray[np.uint8]
) -> None:
    """4:4:0 and 4:1:1, which Pillow does not write, get full chroma; RGB stays RGB."""
    cv2 = pytest.importorskip("cv2")
    rgb, mask = demo_rgb[:160, :240], np.zeros((160, 240), bool)
    mask[20:60, 30:80] = True
    for name, factor in (("440", 0x121111), ("411", 0x411111)):
        source = tmp_path / f"{name}.jpg"
        quality = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
        assert cv2.imwrite(str(source), rgb[..., ::-1], quality)
    Image.fromarray(rgb).save(tmp_path / "rgb.jpg", quality=90, keep_rgb=True)
    for name in ("440", "411", "rgb"):
        photo = read_photo(tmp_path / f"{name}.jpg")
        write_photo(photo, photo.rgb, mask, tmp_path / "out.jpg")
        apart = np.abs(read_photo(tmp_path / "out.jpg").rgb.astype(int) - photo.rgb)
        assert apart.mean() < 0.35, name
        with Image.open(tmp_path / "out.jpg") as after:
            layers = after.layer  # type: ignore[attr-defined]  # JPEG only
            assert ([layer[0] for layer in layers] == [*b"RGB"]) == (name == "rgb")
            assert {layer[1:3] for layer in layers} == {(1, 1)}


def test_a_file_that_is_replaced_keeps_its_permissions_and_its_links(tmp_path: Path) -> None:
    target, link = tmp_path / "sub" / "private.png", tmp_path / "link.png"
    target.parent.mkdir()
    picture("RGB").save(target)
    target.chmod(0o600)
    link.symlink_to(target)
    photo = read_photo(link)
    write_photo(photo, 255 - photo.rgb, HOLE, link)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert (read_photo(target).rgb[HOLE] == 255 - photo.rgb[HOLE]).all()
    assert [path.name for path in target.parent.iterdir()] == ["private.png"]


def test_long_profiles_and_texts_of_png(tmp_path: Path) -> None:
    long = np.random.default_rng(0).bytes(1_500_000)
    texts = PngInfo()
    texts.add_itxt("Description", "x" * 1_500_000, zip=True)
    picture("RGB").save(tmp_path / "in.png", icc_profile=long, pnginfo=texts)
    with pytest.warns(UserWarning, match="profile is damaged"):
        photo = read_photo(tmp_path / "in.png")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.png")
    with pytest.warns(UserWarning, match="profile is damaged"):
        after = read_photo(tmp_path / "out.png")
    assert after.stored.info["icc_profile"] == long
    assert b"Description" in (tmp_path / "out.png").read_bytes()


def test_tiff_that_pillow_would_cut_is_refused(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    five = np.zeros((*SIZE, 5), np.uint8)
    for channels, extra in ((4, ["unspecified"]), (5, ["unassalpha", "unspecified"])):
        path = tmp_path / f"{channels}.tif"
        tifffile.imwrite(path, five[..., :channels], photometric="rgb", extrasamples=extra)
        with pytest.raises(FinefillError, match=f"{path}: has {channels} channels"):
            read_photo(path)
    image = picture("I;16")
    image.save(tmp_path / "12.tif")
    data = (tmp_path / "12.tif").read_bytes()
    bits = struct.pack("<HHIHH", 0x0102, 3, 1, 16, 0)
    assert data.count(bits) == 1
    (tmp_path / "12.tif").write_bytes(
        data.replace(bits, struct.pack("<HHIHH", 0x0102, 3, 1, 12, 0))
    )
    with pytest.raises(FinefillError, match="12 bits a sample"):
        read_photo(tmp_path / "12.tif")


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


def tiny_jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (16, 16), value).save(buffer, "JPEG")
    return buffer.getvalue()


def camera_exif(order: str) -> bytes:
    """EXIF as cameras write it: a maker note with a preview, and a thumbnail at the end.

    Laid out by hand, after TIFF 6.0; what Pillow writes has neither.
    """
    note = b"MAKER\0" + tiny_jpeg(10) + b"end of note"
    thumbnail = tiny_jpeg(20)
    # The header is 8 bytes, an IFD 2 + 12 per entry + 4.
    sub = 8 + 2 + 2 * 12 + 4
    note_at = sub + 2 + 12 + 4
    second = note_at + len(note) + len(note) % 2
    thumbnail_at = second + 2 + 2 * 12 + 4

    def ifd(following: int, *entries: tuple[int, int, int, int]) -> bytes:
        packed = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
        return struct.pack(order + "H", len(entries)) + packed + struct.pack(order + "I", following)

    maker = int.from_bytes(b"ABC\0", "little" if order == "<" else "big")
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    block += ifd(second, (0x010F, 2, 4, maker), (0x8769, 4, 1, sub))
    block += ifd(0, (0x927C, 7, len(note), note_at)) + note + bytes(len(note) % 2)
    block += ifd(0, (0x0201, 4, 1, thumbnail_at), (0x0202, 4, 1, len(thumbnail)))
    assert len(block) == thumbnail_at
    return b"Exif\0\0" + block + thumbnail


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="1" dc:title="kept">'
    b"<xmp:Thumbnails><rdf:Alt>PREVIEW</rdf:Alt></xmp:Thumbnails></rdf:Description></x:xmpmeta>"
)


XMP_PLAIN = XMP.replace(b"<xmp:Thumbnails><rdf:Alt>PREVIEW</rdf:Alt></xmp:Thumbnails>", b"")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("source", ["jpg", "png", "webp", "avif"])
def test_exif_and_xmp_stay_without_previews(tmp_path: Path, source: str, order: str) -> None:
    exif = camera_exif(order)
    parsed = Image.Exif()
    parsed.load(exif)
    assert parsed.get_ifd(ExifTags.IFD.IFD1)[0x0202] == len(tiny_jpeg(20))
    options: dict[str, Any] = {"exif": exif, "xmp": XMP}
    if source == "png":
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options = {"exif": exif, "pnginfo": texts}
    picture("RGB").save(tmp_path / f"in.{source}", **options)
    photo = read_photo(tmp_path / f"in.{source}")
    note = b"MAKER\0" + bytes(len(tiny_jpeg(10))) + b"end of note"
    for target in ("jpg", "png", "webp", "avif", "tif"):
        path = tmp_path / f"out.{target}"
        write_photo(photo, photo.rgb, HOLE, path)
        data = path.read_bytes()
        assert b"PREVIEW" not in data
        for value in (10, 20):
            assert tiny_jpeg(value)[160:] not in data  # its pixels
        with Image.open(path) as after:
            after.load()
            said = after.getexif()
            assert said[0x010F] == "ABC"
            assert said.get_ifd(0x8769)[0x927C] == note
            assert b'dc:title="kept"' in bytes(after.info["xmp"])
            assert not said.get_ifd(ExifTags.IFD.IFD1)
            if target not in ("tif", "avif"):  # the block as it was, at the same places
                kept = bytes(after.info["exif"]).removeprefix(b"Exif\0\0")
                assert kept.index(note) == exif.removeprefix(b"Exif\0\0").index(b"MAKER")


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\0\0", b"Exif\0\0what", b"MM\0*\0\0\0\x08"]
)
def test_damaged_exif_passes(tmp_path: Path, exif: bytes) -> None:
    assert without_previews(exif) == exif
    for source in ("jpg", "png", "webp"):
        picture("RGB").save(tmp_path / f"in.{source}", exif=exif)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow's, of corrupt EXIF
            photo = read_photo(tmp_path / f"in.{source}")
            for target in ("jpg", "png", "webp", "avif", "tif", "bmp", "gif"):
                write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")
                assert read_photo(tmp_path / f"out.{target}").rgb.shape == photo.rgb.shape


def test_an_uncompressed_thumbnail_is_blanked() -> None:
    entries = struct.pack("<HHIIHHIIHHII", 0x0103, 3, 1, 1, 0x0111, 4, 1, 60, 0x0117, 4, 1, 12)
    block = b"II*\0" + struct.pack("<IHI", 8, 0, 14)  # an empty IFD 0, then IFD 1 at 14
    block += struct.pack("<H", 3) + entries + bytes(4)
    block += bytes(60 - len(block)) + b"THUMBNAIL!!!" + b"more"
    assert without_previews(block) == b"II*\0" + struct.pack("<IHI", 8, 0, 0) + bytes(58) + b"more"


@pytest.mark.parametrize("source", ["jpg", "png", "webp", "avif", "tif"])
def test_an_orientation_in_xmp_alone_does_not_count(tmp_path: Path, source: str) -> None:
    """Browsers do not turn such pictures; the packet goes back as it came."""
    said = XMP_PLAIN.replace(b'tiff:Orientation="1"', b'tiff:Orientation="6"')
    options: dict[str, Any] = {"xmp": said}
    if source == "png":
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", said.decode())
        options = {"pnginfo": texts}
    if source == "tif":
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[700] = said
        options = {"tiffinfo": info}
    picture("RGB").save(tmp_path / f"in.{source}", **options)
    photo = read_photo(tmp_path / f"in.{source}")
    assert (photo.orientation, photo.rgb.shape[:2]) == (1, SIZE)
    for target in ("jpg", "png", "webp", "avif", "tif"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")
        again = read_photo(tmp_path / f"out.{target}")
        assert (again.orientation, again.rgb.shape[:2]) == (1, SIZE)
        assert again.kept.xmp == said
        assert b"Exif" not in (tmp_path / f"out.{target}").read_bytes()[:4096]


def test_a_turned_photo_tells_no_orientation_in_xmp(tmp_path: Path) -> None:
    said = XMP.replace(b'tiff:Orientation="1"', b'tiff:Orientation="6"')
    exif = Image.Exif()
    exif[0x0112] = 6
    picture("RGB").save(tmp_path / "in.jpg", xmp=said, exif=exif)
    photo = read_photo(tmp_path / "in.jpg")
    assert photo.orientation == 6
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[4:8, 4:8] = True
    for name in ("out.tif", "out.jpg"):
        write_photo(photo, photo.rgb, mask, tmp_path / name)
        again = read_photo(tmp_path / name)
        assert again.rgb.shape == photo.rgb.shape
        assert again.orientation == (1 if name == "out.tif" else 6)
        assert b"kept" in again.kept.xmp
        assert (b"tiff:Orientation" in again.kept.xmp) == (name == "out.jpg")


def test_comments_and_texts_stay(tmp_path: Path) -> None:
    for extension in ("jpg", "gif"):
        picture("P").convert("L").save(tmp_path / f"in.{extension}", comment=b"a remark")
        photo = read_photo(tmp_path / f"in.{extension}")
        write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{extension}")
        with Image.open(tmp_path / f"out.{extension}") as after:
            assert after.info["comment"] == b"a remark"
    texts = PngInfo()
    texts.add_text("Title", "A street", zip=True)
    texts.add_itxt("Description", "Straße")
    texts.add(b"gAMA", struct.pack(">I", 100000))
    picture("RGB").save(tmp_path / "in.png", pnginfo=texts, dpi=(72, 72))
    photo = read_photo(tmp_path / "in.png")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as after:
        after.load()
        assert after.info["Title"] == "A street"
        assert after.info["Description"] == "Straße"
        assert after.info["gamma"] == 1.0


LAYOUT = {0x0100: 9, 0x0101: 7, 0x0152: 2, 0x0112: 6, 0x0106: 1}  # of another image


def test_exif_in_tiff_does_not_describe_another_image(tmp_path: Path) -> None:
    exif = exif_with(LAYOUT)
    exif.get_ifd(0x8825)[1] = "N"
    picture("RGB").save(tmp_path / "in.jpg", exif=exif)
    photo = read_photo(tmp_path / "in.jpg")
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[4:8, 4:8] = True
    source = photo
    for name in ("out.tif", "again.tif", "out.jpg"):  # from TIFF as well
        write_photo(source, photo.rgb, mask, tmp_path / name)
        source = read_photo(tmp_path / name)
        assert (source.rgb.shape, source.orientation) == (photo.rgb.shape, 1)
        if name != "out.jpg":
            np.testing.assert_array_equal(source.rgb, photo.rgb)
        with Image.open(tmp_path / name) as after:
            said = after.getexif()
            check_exif(said)
            assert said.get_ifd(0x8825)[1] == "N"


# Texts named as Pillow names other things.
NAMES = (
    "background", "compression", "dpi", "duration", "exif", "icc_profile", "interlace", "loop",
    "palette", "transparency", "version", "xmp",
)  # fmt: skip


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_texts_are_not_taken_for_what_pillow_says(tmp_path: Path, name: str, late: bool) -> None:
    texts = PngInfo()
    texts.add_itxt(name, "group4")
    image = picture("P")
    image.save(tmp_path / "in.png", pnginfo=texts)
    if late:
        data = (tmp_path / "in.png").read_bytes()
        start = data.index(b"iTXt") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4])
        data = data[:start] + data[end:-12] + data[start:end] + data[-12:]
        (tmp_path / "in.png").write_bytes(data)
    photo = read_photo(tmp_path / "in.png")
    np.testing.assert_array_equal(photo.rgb, np.asarray(image.convert("RGB")))
    for target in ("jpg", "png", "webp", "avif", "tif", "bmp", "gif"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")
        assert read_photo(tmp_path / f"out.{target}").rgb.shape == photo.rgb.shape
    assert photo.kept.chunks  # Pillow itself cannot read one called "interlace"
    assert read_photo(tmp_path / "out.png").kept.chunks == photo.kept.chunks


def test_exif_fields_of_a_wrong_type(tmp_path: Path) -> None:
    entries = struct.pack("<HHII", 0x0112, 3, 1, 6)
    entries += struct.pack("<HHI", 0x011A, 2, 2) + b"a\0\0\0"  # the resolution as text
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    picture("RGB").save(tmp_path / "in.jpg", exif=exif)
    photo = read_photo(tmp_path / "in.jpg")
    assert photo.orientation == 6
    for target in ("jpg", "png", "webp", "tif", "bmp", "gif"):
        write_photo(photo, photo.rgb, HOLE.T, tmp_path / f"out.{target}")
        assert read_photo(tmp_path / f"out.{target}").rgb.shape == photo.rgb.shape
    with pytest.raises(FinefillError, match=r"out\.avif: cannot be written as AVIF"):
        write_photo(photo, photo.rgb, HOLE.T, tmp_path / "out.avif")  # Pillow writes all anew


def test_what_a_writer_cannot_write_is_one_line(tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    photo.stored.info["duration"] = "long"
    with pytest.raises(FinefillError, match=r"out\.gif: cannot be written as GIF"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.gif")
    assert os.listdir(tmp_path) == ["in.png"]


def test_what_is_too_long_for_jpeg_is_told(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    picture("RGB").save(tmp_path / "in.png", exif=exif)
    photo = read_photo(tmp_path / "in.png")
    with pytest.warns(UserWarning, match="exif: too long for a JPEG file"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.jpg")
    assert read_photo(tmp_path / "out.jpg").kept.exif == b""


@pytest.mark.parametrize("where", ["exif", "xmp"])
def test_the_orientation_stays_where_the_rest_is_too_long(tmp_path: Path, where: str) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    texts = PngInfo()
    if where == "exif":
        exif[0x010E] = "x" * 70_000
    else:
        said = XMP.replace(b'tiff:Orientation="1"', b'tiff:Orientation="6"')
        texts.add_itxt("XML:com.adobe.xmp", said.decode() + " " * 70_000)
    picture("RGB").save(tmp_path / "in.png", exif=exif, pnginfo=texts)
    photo = read_photo(tmp_path / "in.png")
    assert photo.orientation == 6
    with pytest.warns(UserWarning, match=f"{where}: too long for a JPEG file"):
        write_photo(photo, photo.rgb, HOLE.T, tmp_path / "out.jpg")
    again = read_photo(tmp_path / "out.jpg")
    assert (again.orientation, again.rgb.shape) == (6, photo.rgb.shape)
    assert (again.stored.getexif().get(0x010F) == "Maker") == (where == "xmp")


def test_a_comment_too_long_for_jpeg_is_left_out(tmp_path: Path) -> None:
    picture("L").save(tmp_path / "in.gif", comment=b"x" * 70_000)
    photo = read_photo(tmp_path / "in.gif")
    with pytest.warns(UserWarning, match="comment: too long for a JPEG file"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.jpg")
    assert read_photo(tmp_path / "out.jpg").kept.comment == b""
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.gif")
    assert read_photo(tmp_path / "out.gif").kept.comment == b"x" * 70_000


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("quality", [60, 80, 92])
def test_lossy_webp_keeps_about_its_size(
    tmp_path: Path, demo_rgb: NDArray[np.uint8], quality: int, alpha: bool
) -> None:
    image = Image.fromarray(demo_rgb[:256, :320])
    if alpha:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "in.webp", quality=quality)
    photo = read_photo(tmp_path / "in.webp")
    mask = np.zeros(photo.rgb.shape[:2], bool)
    mask[20:60, 20:60] = True
    write_photo(photo, photo.rgb, mask, tmp_path / "out.webp")
    before, after = (os.path.getsize(tmp_path / name) for name in ("in.webp", "out.webp"))
    assert 0.9 < after / before < 1.15
    apart = np.abs(read_photo(tmp_path / "out.webp").rgb.astype(int) - photo.rgb)
    assert apart[~mask].mean() < 3


def test_webp_of_other_sources_is_lossless(tmp_path: Path, demo_rgb: NDArray[np.uint8]) -> None:
    image = Image.fromarray(demo_rgb[:64, :64])
    image.save(tmp_path / "in.webp", lossless=True, exif=Image.Exif(), icc_profile=b"x" * 9)
    image.save(tmp_path / "in.jpg")
    image.save(tmp_path / "in.png")
    mask = np.zeros((64, 64), bool)
    mask[:9, :9] = True
    for name in ("in.jpg", "in.png"):
        photo = read_photo(tmp_path / name)
        write_photo(photo, photo.rgb, mask, tmp_path / "out.webp")
        np.testing.assert_array_equal(read_photo(tmp_path / "out.webp").rgb, photo.rgb)
    with pytest.warns(UserWarning, match="profile is damaged"):
        photo = read_photo(tmp_path / "in.webp")
    assert photo.kept.webp == 0


def test_large_lossy_webp_is_tried_on_a_part(tmp_path: Path, demo_rgb: NDArray[np.uint8]) -> None:
    large = Image.fromarray(demo_rgb).resize((1184, 864), Image.Resampling.BICUBIC)
    large.save(tmp_path / "in.webp", quality=80)
    photo = read_photo(tmp_path / "in.webp")
    mask = np.zeros((864, 1184), bool)
    mask[:9, :9] = True
    write_photo(photo, photo.rgb, mask, tmp_path / "out.webp")
    before, after = (os.path.getsize(tmp_path / name) for name in ("in.webp", "out.webp"))
    assert 0.85 < after / before < 1.2


def test_avif_stays_near(tmp_path: Path, demo_rgb: NDArray[np.uint8]) -> None:
    Image.fromarray(demo_rgb[:128, :160]).save(tmp_path / "in.avif", quality=80)
    photo = read_photo(tmp_path / "in.avif")
    mask = np.zeros((128, 160), bool)
    mask[20:60, 20:60] = True
    write_photo(photo, 255 - photo.rgb, mask, tmp_path / "out.avif")
    after = read_photo(tmp_path / "out.avif").rgb
    assert np.abs(after.astype(int) - photo.rgb)[~mask].mean() < 2
    assert np.abs(after.astype(int) - (255 - photo.rgb))[mask].mean() < 4


def test_ten_bit_avif_is_told(tmp_path: Path, demo_rgb: NDArray[np.uint8]) -> None:
    codecs = pytest.importorskip("imagecodecs", reason="only it writes 10-bit AVIF")
    deep = demo_rgb[:64, :64].astype(np.uint16) * 4
    (tmp_path / "in.avif").write_bytes(codecs.avif_encode(deep, bitspersample=10))
    with pytest.warns(UserWarning, match=r"in\.avif has more than 8 bits a sample: cut to 8"):
        read_photo(tmp_path / "in.avif")


# Modes, with the extensions of formats that hold them without loss.
HOLDERS = {
    "1": ("png", "tif", "bmp"), "L": ("png", "tif", "bmp"), "LA": ("png", "tif"),
    "P": ("png", "tif", "bmp"), "RGB": ("png", "tif", "bmp", "webp"), "CMYK": ("tif",),
    "RGBA": ("png", "tif", "webp"), "I;16": ("png", "tif"),
}  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), mode=st.sampled_from(list(HOLDERS)), orientation=st.integers(1, 8))
def test_unmasked_pixels_stay_in_every_format(
    tmp_path: Path, data: st.DataObject, mode: str, orientation: int
) -> None:
    source, target = (data.draw(st.sampled_from(HOLDERS[mode])) for _ in range(2))
    height, width = data.draw(st.integers(16, 40)), data.draw(st.integers(16, 40))
    profiled = data.draw(st.booleans()) and mode in ("RGB", "RGBA", "P") and "bmp" not in target
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {} if source == "bmp" else {"exif": exif}
    if profiled:
        options["icc_profile"] = profile_bytes(*PROFILES["p3"])
    if source == "webp":
        options |= {"lossless": True, "exact": True}
    picture(mode, height, width).save(tmp_path / f"in.{source}", **options)
    photo = read_photo(tmp_path / f"in.{source}")
    hole = np.zeros(photo.rgb.shape[:2], bool)
    top, left = data.draw(st.integers(0, hole.shape[0] - 1)), data.draw(st.integers(0, 15))
    hole[top : top + 9, left : left + 7] = True
    write_photo(photo, 255 - photo.rgb, hole, tmp_path / f"out.{target}")
    again = read_photo(tmp_path / f"out.{target}")
    assert again.stored.mode == mode
    before, after = (turn(samples(image.stored), image.orientation) for image in (photo, again))
    if mode == "P":
        before, after = photo.rgb, again.rgb
    np.testing.assert_array_equal(after[~hole], before[~hole])


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


def test_sixteen_bit_colour_of_other_formats_is_refused() -> None:
    with pytest.raises(FinefillError, match="16 bits per channel are kept in PNG and TIFF only"):
        read_photo(b"P6\n16 16\n65535\n" + bytes(16 * 16 * 6))
    assert read_photo(b"P6\n16 16\n255\n" + bytes(16 * 16 * 3)).rgb.shape == (16, 16, 3)
    for size in (1, 2):  # bytes a sample of an SGI file
        head = struct.pack(">hBBHHHH", 474, 0, size, 3, 16, 16, 3).ljust(512, b"\0")
        file = head + bytes(16 * 16 * 3 * size)
        if size == 1:
            assert read_photo(file).rgb.shape == (16, 16, 3)
        else:
            with pytest.raises(FinefillError, match="16 bits per channel"):
                read_photo(file)


def test_sixteen_bit_jpeg_2000_is_refused() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = np.arange(16 * 16 * 3).reshape(16, 16, 3)
    for codec in ("jp2", "j2k"):
        file = imagecodecs.jpeg2k_encode(values.astype(np.uint8), codecformat=codec)
        assert read_photo(file).rgb.shape == (16, 16, 3)
        file = imagecodecs.jpeg2k_encode((values * 80).astype(np.uint16), codecformat=codec)
        with pytest.raises(FinefillError, match="16 bits per channel"):
            read_photo(file)


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
    from finefill.files.writing import replacing

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
