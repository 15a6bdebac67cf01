"""Reading files, and refusing those that cannot be read."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finefill import FinefillError
from finefill.errors import NotAnImageError
from finefill.files.photo import alpha_of, photo_of, put_back
from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.files.pictures import HOLE, SIZE, bad_files, picture, with_key


def test_reading_leaves_an_image_in_memory_alone() -> None:
    image, key = with_key("P")
    image.info["transparency"] = key
    palette = image.getpalette(None)
    photo = photo_of(image)
    result = put_back(photo, photo.rgb, HOLE)
    alpha_of(image)
    assert image.getpalette(None) == result.getpalette(None) == palette


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


GREY = (np.arange(48 * 64).reshape(48, 64) * 21).astype(np.uint16)  # up to 64,491


def test_sixteen_bit_grey_of_other_formats(tmp_path: Path) -> None:
    """PGM keeps its samples, in the order of a Netpbm file (the high byte first)."""
    for most in (65535, 64491, 4095):
        samples = GREY.astype(int) % (most + 1)
        data = b"P5 64 48 %d\n" % most + samples.astype(">u2").tobytes()
        photo = read_photo(data)
        assert photo.stored.mode == "I;16"
        # Netpbm's samples are fractions of the largest.
        wanted = np.rint(samples.astype(float) * 65535 / most)
        assert np.abs(np.asarray(photo.stored).astype(float) - wanted).max() <= 1
    hole = np.zeros((48, 64), bool)
    hole[20:30, 20:30] = True
    photo = read_photo(b"P5 64 48 65535\n" + GREY.astype(">u2").tobytes())
    write_photo(photo, photo.rgb, hole, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as written:
        np.testing.assert_array_equal(np.asarray(written)[~hole], GREY[~hole])
    # SGI: Pillow would cut it to 8 bits.
    head = struct.pack(">HBBHHHH", 474, 0, 2, 2, 64, 48, 1).ljust(512, b"\0")
    with pytest.raises(FinefillError, match="16 bits per channel are kept in PNG and TIFF only"):
        read_photo(head + GREY.astype(">u2").tobytes())


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


@pytest.mark.parametrize("head", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xc5\xd0\xd3\xc6" + bytes(30)])
def test_no_program_is_run(head: bytes) -> None:
    """Pillow hands EPS to Ghostscript, where that is installed."""
    with pytest.raises(FinefillError, match="EPS is a program, not an image"):
        read_photo(head + b"%%BoundingBox: 0 0 20 20\n")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x76\x2f\x31\x01\x02\0\0\0", "is OpenEXR: map its tones first"),
        (bytes(128) + b"DICM\2\0\0\0", "is DICOM: export its picture"),
        (b"%PDF-1.7\n", "is PDF: save its page"),
    ],
)
def test_other_kinds_of_files_are_refused_by_name(data: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(data)
    with pytest.raises(NotAnImageError, match=rf"in\.png: {told}"):
        read_photo(tmp_path / "in.png")
