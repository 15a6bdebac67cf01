"""Writing files: quality, permissions, and what is left when it fails."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw

from finefill import FinefillError
from finefill.completion.verify import verify_file
from finefill.files.photo import photo_of, put_back, turn
from finefill.files.reading import read_photo
from finefill.files.writing import PART, replacing, write_photo
from tests.files.pictures import HOLE, picture, told


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


@pytest.mark.parametrize("kind", ["photo", "noise", "drawing", "palette", "small"])
def test_png_is_not_much_longer_than_it_was(
    tmp_path: Path, demo_rgb: NDArray[np.uint8], kind: str
) -> None:
    """Whichever way of compressing is the fastest for it; run lengths alone double a drawing."""
    rng = np.random.default_rng(0)
    if kind == "photo":
        image = Image.fromarray(np.tile(demo_rgb, (2, 2, 1)))
    elif kind == "noise":
        image = Image.fromarray(rng.integers(0, 256, (600, 800, 3), np.uint8))
    elif kind == "small":
        image = Image.fromarray(demo_rgb[:40, :50])
    else:
        image = Image.new("RGB", (1200, 900), "white")
        draw = ImageDraw.Draw(image)
        for corners in rng.integers(0, 1200, (200, 4)).tolist():
            draw.line(corners, fill=tuple(corners[:3]), width=3)
        if kind == "palette":
            image = image.quantize(64)
    image.save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    mask = np.zeros((image.height, image.width), bool)
    mask[20:30, 20:30] = True
    write_photo(photo, photo.rgb, mask, tmp_path / "out.png")
    before, after = ((tmp_path / name).stat().st_size for name in ("in.png", "out.png"))
    assert after <= 1.1 * before
    np.testing.assert_array_equal(read_photo(tmp_path / "out.png").rgb, photo.rgb)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_hole_alone_is_put_back_where_it_is(mode: str, orientation: int) -> None:
    image = picture(mode, 40, 30)
    image.getexif()[0x0112] = orientation
    photo = photo_of(image)
    rgb, mask = photo.rgb.copy(), np.zeros(photo.rgb.shape[:2], bool)
    mask[3:9, 5:12], mask[20, 17] = True, True
    rgb[mask] = 255
    found, hole = put_back(photo, rgb, mask), turn(mask, orientation, back=True)
    white = np.asarray(Image.new("RGB", (30, 40), "white").convert(mode))
    np.testing.assert_array_equal(np.asarray(found)[hole], white[hole])
    np.testing.assert_array_equal(np.asarray(found)[~hole], np.asarray(image)[~hole])


def test_alpha_that_a_formats_writer_gives_up_is_told(tmp_path: Path) -> None:
    """BMP with four masks, version 4 of its header, which Pillow reads and does not write."""
    pixels = np.full((20, 24, 4), 200, np.uint8)  # blue, green, red, alpha; from below
    pixels[..., 3] = 77
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 108, 24, 20, 1, 32, 3, 24 * 20 * 4, 0, 0, 0, 0)
    head += (masks + b"BGRs").ljust(108 - 40, b"\0")
    data = b"BM" + struct.pack("<IHHI", 14 + 108 + pixels.size, 0, 0, 122) + head
    (tmp_path / "in.bmp").write_bytes(data + pixels.tobytes())
    photo = read_photo(tmp_path / "in.bmp")
    assert photo.stored.mode == "RGBA"
    mask = np.zeros((20, 24), bool)
    mask[4:9, 4:9] = True
    with pytest.warns(UserWarning, match=r"BMP does not keep its alpha \(it goes onto white\)"):
        write_photo(photo, photo.rgb, mask, tmp_path / "out.bmp")
    write_photo(photo, photo.rgb, mask, tmp_path / "out.png")


def test_what_a_killed_process_leaves_is_known_by_its_name(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.b.png"):
        (left,) = os.listdir(tmp_path)
    part = PART.fullmatch(left)
    assert part is not None
    assert part["name"] == "a.b.png"
    assert os.listdir(tmp_path) == ["a.b.png"]


def test_a_lossless_file_under_a_lossy_name_is_told(tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "in.jpg", "PNG")
    photo = read_photo(tmp_path / "in.jpg")
    with pytest.warns(UserWarning, match=r"out\.jpg: JPEG does not keep all pixels; .* is PNG in"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.jpg")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.png")  # what was asked for
    picture("RGB").save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.jpg")  # so was this


def test_all_that_a_format_gives_up_is_told_at_once(tmp_path: Path) -> None:
    """Alpha, bits and inks, whichever way the format was chosen; and the format that has them."""
    tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
    values = np.arange(24 * 20 * 4).reshape(24, 20, 4) * 34  # 0 to 65246
    tifffile.imwrite(
        tmp_path / "a.tif",
        values.astype(np.uint16),
        photometric="rgb",
        extrasamples=["unassalpha"],
        metadata=None,
    )
    photo = read_photo(tmp_path / "a.tif")
    with told(
        r"b\.jpg: JPEG does not keep its alpha \(it goes onto white\), its 16 bits \(8 are left\): "
        "choose PNG or TIFF to keep it$"
    ):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "b.jpg")
    with told(r"b\.webp: WEBP does not keep its 16 bits \(8 are left\): choose"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "b.webp")
    picture("CMYK").save(tmp_path / "c.tif")
    photo = read_photo(tmp_path / "c.tif")
    with told(r"PNG does not keep its inks \(CMYK becomes RGB\): choose TIFF to keep it$"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "c.png")
    picture("RGBA").save(tmp_path / "q.jpg", "PNG")  # under another name
    photo = read_photo(tmp_path / "q.jpg")
    with told("JPEG does not keep all pixels"), told("JPEG does not keep its alpha"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "r.jpg")
    opaque = picture("RGBA")
    opaque.putalpha(255)
    opaque.save(tmp_path / "d.png")
    photo = read_photo(tmp_path / "d.png")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "d.jpg")  # nothing is lost: nothing is told


def test_grey_that_comes_back_in_colour_is_told(tmp_path: Path) -> None:
    picture("L").save(tmp_path / "in.avif")
    photo = read_photo(tmp_path / "in.avif")
    assert photo.stored.mode == "L"
    with told(r"AVIF does not keep its one channel of grey \(it becomes RGB\)"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.avif")


def test_verification_does_not_pass_colours_that_gif_changed(tmp_path: Path) -> None:
    few = Image.fromarray(np.asarray(picture("RGB").quantize(200).convert("RGB")))
    few.save(tmp_path / "few.png")
    photo = read_photo(tmp_path / "few.png")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "few.gif")
    assert verify_file(photo, HOLE, tmp_path / "few.gif").startswith("unchanged: 417 of 480")
    picture("RGB").save(tmp_path / "many.png")
    photo = read_photo(tmp_path / "many.png")
    with told("GIF does not keep its colours"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "many.gif")
    with pytest.raises(FinefillError, match=r"of 417 pixels outside the mask differ.*choose PNG"):
        verify_file(photo, HOLE, tmp_path / "many.gif")


@pytest.mark.parametrize("target", ["out.jpg", "out.png", "out.tif", "out.webp"])
@pytest.mark.parametrize("source", ["photo.jpg", "photo.png", "photo.tif"])
def test_a_photo_that_is_overwritten_gives_the_same_file(
    source: str, target: str, tmp_path: Path
) -> None:
    """And without being told so, nothing of what was read changes."""
    image = picture("RGB")
    image.save(tmp_path / source, exif=image.getexif(), dpi=(300, 200))
    files = []
    for overwrite in (False, True):
        photo = read_photo(tmp_path / source)
        before = np.array(photo.stored)
        fill = np.full_like(photo.rgb, 77)
        write_photo(photo, fill, HOLE, tmp_path / target, overwrite=overwrite)
        if not overwrite:
            np.testing.assert_array_equal(np.array(photo.stored), before)
        files.append((tmp_path / target).read_bytes())
    assert files[0] == files[1]
