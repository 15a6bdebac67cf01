"""16-bit colour: read, put back bit for bit, written with all that the file says."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from finefill import FinefillError
from finefill.files.photo import turn
from finefill.files.reading import decode, read_photo
from finefill.files.shown import for_network
from finefill.files.writing import write_photo
from tests.conftest import check_exif, exif_with
from tests.files.pictures import MAY_LOSE, told
from tests.files.test_colour import ADOBE, PROFILES, converted, profile_bytes

imagecodecs = pytest.importorskip("imagecodecs", reason="needs the extra formats")
tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")

SIZE = (24, 20)
HOLE = np.zeros(SIZE, bool)
HOLE[5:12, 6:15] = True


def picture(channels: int) -> NDArray[np.uint16]:
    """All 16 bits in use, every channel its own; (24, 20, channels)."""
    rng = np.random.default_rng(channels)
    return rng.integers(1, 65536, (*SIZE, channels)).astype(np.uint16)


def save(path: Path, samples: NDArray[np.uint16], **options: Any) -> Path:
    if path.suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(samples))
    else:
        alpha = ["unassalpha"] if samples.shape[2] == 4 else None
        options = {"photometric": "rgb", "extrasamples": alpha, "metadata": None} | options
        tifffile.imwrite(path, samples, **options)
    return path


def samples_of(path: Path) -> NDArray[np.uint16]:
    """As another reader sees them."""
    if path.suffix == ".png":
        return np.asarray(imagecodecs.png_decode(path.read_bytes()))
    return np.asarray(tifffile.imread(path))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    channels=st.sampled_from([2, 3, 4]),
    source=st.sampled_from(["in.png", "in.tif"]),
    target=st.sampled_from(["out.png", "out.tif"]),
    level=st.integers(0, 255),
    box=st.tuples(st.integers(0, 22), st.integers(0, 18), st.integers(1, 9), st.integers(1, 9)),
)
def test_unmasked_samples_stay(
    tmp_path: Path,
    channels: int,
    source: str,
    target: str,
    level: int,
    box: tuple[int, int, int, int],
) -> None:
    if channels == 2:  # Pillow opens no such TIFF files
        source = target = source.replace("tif", "png")
    before = picture(channels)
    photo = read_photo(save(tmp_path / source, before))
    top, left, height, width = box
    hole = np.zeros(SIZE, bool)
    hole[top : top + height, left : left + width] = True
    write_photo(photo, np.full_like(photo.rgb, level), hole, tmp_path / target)
    after = samples_of(tmp_path / target)
    assert (after.dtype, after.shape) == (np.uint16, before.shape)
    np.testing.assert_array_equal(after[~hole], before[~hole])
    colours = 1 if channels == 2 else 3
    assert (after[hole][:, :colours] == level * 257).all()
    np.testing.assert_array_equal(read_photo(tmp_path / target).samples, after)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_kinds_of_tiff(tmp_path: Path, compression: str | None, planes: str, order: str) -> None:
    before = picture(3)
    tifffile.imwrite(
        tmp_path / "in.tif",
        before if planes == "contig" else np.moveaxis(before, -1, 0),
        photometric="rgb",
        planarconfig=planes,
        compression=compression,
        byteorder=order,
        metadata=None,
    )
    photo = read_photo(tmp_path / "in.tif")
    np.testing.assert_array_equal(photo.rgb, np.rint(before / 257).astype(np.uint8))
    write_photo(photo, 255 - photo.rgb, HOLE, tmp_path / "out.tif")
    after = samples_of(tmp_path / "out.tif")
    np.testing.assert_array_equal(after[~HOLE], before[~HOLE])
    np.testing.assert_array_equal(after[HOLE], (255 - photo.rgb)[HOLE] * np.uint16(257))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ["in.png", "in.tif"])
@pytest.mark.parametrize("target", ["out.png", "out.tif"])
def test_orientation(tmp_path: Path, orientation: int, source: str, target: str) -> None:
    upright = picture(3)
    stored = turn(upright, orientation, back=True)
    if source == "in.png":
        exif = Image.Exif()
        exif[0x0112] = orientation
        write_png_with(tmp_path / source, stored, exif=exif)
    else:
        tags = [(0x0112, "H", 1, orientation, True)]
        save(tmp_path / source, stored, extratags=tags)
    photo = read_photo(tmp_path / source)
    np.testing.assert_array_equal(photo.rgb, np.rint(upright / 257).astype(np.uint8))
    write_photo(photo, np.full_like(photo.rgb, 77), HOLE, tmp_path / target)
    after = read_photo(tmp_path / target)
    assert after.samples is not None
    expected = np.where(HOLE[..., None], np.uint16(77 * 257), upright)
    np.testing.assert_array_equal(turn(after.samples, after.orientation), expected)


def write_png_with(path: Path, samples: NDArray[np.uint16], **options: Any) -> None:
    """A PNG file with what Pillow writes for ``options`` before its pixels."""
    small = io.BytesIO()
    Image.new("RGB", (1, 1)).save(small, "PNG", **options)
    said = small.getvalue()[33:]  # after the header
    pixels = imagecodecs.png_encode(samples)
    idat = said.index(b"IDAT") - 4
    after = idat + 12 + int.from_bytes(said[idat : idat + 4])
    path.write_bytes(pixels[:33] + said[:idat] + pixels[33:-12] + said[after:])


@pytest.mark.parametrize("target", ["out.png", "out.tif"])
def test_what_the_file_says_stays(tmp_path: Path, target: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x829D] = 2.8  # f-number
    exif.get_ifd(0x8825)[1] = "N"
    profile = profile_bytes(ADOBE, 563 / 256)
    info: Any = {"icc_profile": profile, "dpi": (300, 300)}
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>here</x:xmpmeta>")
    texts.add_text("Title", "A street")
    write_png_with(tmp_path / "in.png", picture(3), exif=exif, pnginfo=texts, **info)
    source = tmp_path / "in.png"
    for _ in range(2):  # the second time from the format just written
        photo = read_photo(source)
        titled = target == "out.tif" and source.suffix == ".png"
        with told(r"TIFF holds no texts of PNG \(Title\): left out" if titled else ""):
            write_photo(photo, photo.rgb, HOLE, tmp_path / target)
        with Image.open(tmp_path / target) as after:
            after.load()
            assert after.info["icc_profile"] == profile
            assert after.info["dpi"] == pytest.approx((300, 300), abs=0.01)
            assert b"here" in bytes(after.info["xmp"])
            said = after.getexif()
            assert said[0x010F] == "Maker"
            assert float(said.get_ifd(0x8769)[0x829D]) == pytest.approx(2.8)
            assert said.get_ifd(0x8825)[1] == "N"
            if target == "out.png":
                assert after.info["Title"] == "A street"
        source = (tmp_path / target).rename(tmp_path / f"again.{target[-3:]}")


def test_exif_in_tiff_does_not_describe_another_image(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exif = exif_with({0x0100: 9, 0x0101: 7, 0x0152: 2})  # sizes and kind of alpha of another
    write_png_with(tmp_path / "in.png", picture(3), exif=exif)
    photo = read_photo(tmp_path / "in.png")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    assert capfd.readouterr().err == ""
    np.testing.assert_array_equal(samples_of(tmp_path / "out.tif")[~HOLE], picture(3)[~HOLE])
    with Image.open(tmp_path / "out.tif") as after:
        check_exif(after.getexif())


@pytest.mark.parametrize(("name", "kind"), [("in.png", "PNG"), ("in.tif", "TIFF")])
def test_the_format_is_known(tmp_path: Path, name: str, kind: str) -> None:
    assert read_photo(save(tmp_path / name, picture(3))).stored.format == kind


def test_a_wide_profile(tmp_path: Path, demo_rgb: NDArray[np.uint8]) -> None:
    part = demo_rgb[200:224, 200:220]
    wide = converted(part, *PROFILES["p3"]).astype(np.uint16) * np.uint16(257)
    write_png_with(tmp_path / "in.png", wide, icc_profile=profile_bytes(*PROFILES["p3"]))
    photo = read_photo(tmp_path / "in.png")
    assert np.abs(photo.rgb.astype(int) - part).mean() < 1
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.png")
    after = samples_of(tmp_path / "out.png")
    assert np.abs(after[HOLE].astype(int) - wide[HOLE]).mean() < 257
    np.testing.assert_array_equal(after[~HOLE], wide[~HOLE])


def test_other_outputs_have_8_bits(tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path / "in.png", picture(3)))
    with told(r"BMP does not keep its 16 bits \(8 are left\): choose PNG or TIFF to keep it$"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.bmp")
    np.testing.assert_array_equal(read_photo(tmp_path / "out.bmp").rgb, photo.rgb)
    whole = picture(3) // 257 * 257  # 8 bits hold them
    photo = read_photo(save(tmp_path / "in.png", whole))
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.bmp")
    np.testing.assert_array_equal(read_photo(tmp_path / "out.bmp").rgb, (whole // 257))


@MAY_LOSE
def test_16_bit_cmyk(tmp_path: Path) -> None:
    before = picture(4)
    options = {"photometric": "separated", "extrasamples": None}
    photo = read_photo(save(tmp_path / "in.tif", before, **options))
    white = np.full_like(photo.rgb, 255)
    write_photo(photo, white, HOLE, tmp_path / "out.tif")
    after = samples_of(tmp_path / "out.tif")
    np.testing.assert_array_equal(after[~HOLE], before[~HOLE])
    assert (after[HOLE] == 0).all()  # no ink
    write_photo(photo, white, HOLE, tmp_path / "out.png")  # holds no CMYK
    assert read_photo(tmp_path / "out.png").stored.mode == "RGB"


@pytest.mark.parametrize(("times", "offset"), [(257, 0), (16, 0), (4, 100)])
def test_16_bit_cmyk_has_its_own_levels(tmp_path: Path, times: int, offset: int) -> None:
    """Inks of a part of the range: a fill equal to what is shown gives the samples back."""
    rows, columns = np.mgrid[:96, :96]
    inks = [columns * 2, rows * 2, rows + columns, rows * 0]  # black is not used
    before = (np.dstack(inks) * times + offset).astype(np.uint16)
    hole = np.zeros((96, 96), bool)
    hole[30:60, 40:70] = True
    options = {"photometric": "separated", "extrasamples": None}
    photo = for_network(read_photo(save(tmp_path / "in.tif", before, **options)), hole)
    assert photo.rgb[30:60, 40:70].std() > 15  # not one flat light tone
    write_photo(photo, photo.rgb, hole, tmp_path / "out.tif")
    after = samples_of(tmp_path / "out.tif")
    np.testing.assert_array_equal(after[~hole], before[~hole])
    step = (190 * times) / 255  # of 8 bits over the range
    found = after[hole].astype(int) - before[hole]
    # Where inks do not begin at 0, the spare 2% below the least looks like a little black.
    assert np.abs(found[:, :3]).mean() < (3 if offset else 1) * step
    assert len(np.unique(after[hole][:, 0])) >= 30  # a column each, not steps of 257
    # Black, of which there is none, stays within the spare 2% below the least.
    assert np.abs(found[:, 3]).max() <= 0.03 * 190 * times


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FinefillError, match="16 bits per channel"):
        decode(save(tmp_path / "in.png", picture(3)))
    times_alpha = {"extrasamples": ["assocalpha"]}
    with pytest.raises(FinefillError, match="multiplied by alpha"):
        read_photo(save(tmp_path / "in.tif", picture(4), **times_alpha))
    cut = (tmp_path / "in.png").read_bytes()[:900]
    with pytest.raises(FinefillError, match="damaged or truncated"):
        read_photo(cut)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)  # as if it were not installed
    with pytest.raises(
        FinefillError, match=r"in\.png: 16 bits .* pip install 'finefill\[formats\]"
    ):
        read_photo(tmp_path / "in.png")
