"""JPEG XL: read, and written back without loss."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from finefill import FinefillError
from finefill.files import jxl
from finefill.files.formats import usable
from finefill.files.photo import turn
from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.files.pictures import MAY_LOSE
from tests.files.test_colour import PROFILES, converted, profile_bytes

codecs = pytest.importorskip("imagecodecs", reason="needs the extra formats")


def samples(height: int, width: int, bands: int, bits: int) -> NDArray[Any]:
    rng = np.random.default_rng(bands * 100 + bits)
    shape = (height, width, bands) if bands > 1 else (height, width)
    return rng.integers(1, 2**bits, shape).astype(np.uint8 if bits <= 8 else np.uint16)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    bands=st.integers(1, 4),
    bits=st.sampled_from([8, 10, 12, 16]),
    height=st.integers(16, 70),
    width=st.integers(16, 70),
    boxed=st.booleans(),
)
def test_samples_stay(
    tmp_path: Path, bands: int, bits: int, height: int, width: int, boxed: bool
) -> None:
    before = samples(height, width, bands, bits)
    deep = {} if bits in (8, 16) else {"bitspersample": bits}
    data = codecs.jpegxl_encode(before, lossless=True, usecontainer=boxed, **deep)
    (tmp_path / "in.jxl").write_bytes(data)
    told = jxl.header(jxl.boxes(data)[b"jxlc"])
    assert (told.size, told.bits, told.srgb) == ((width, height), bits, bits == 8)
    with warnings.catch_warnings():  # the encoder tells of 16 bits that they are linear
        warnings.filterwarnings("ignore", ".* are not sRGB")
        photo = read_photo(tmp_path / "in.jxl")
    mask = np.zeros((height, width), bool)
    mask[3:9, 4:12] = True
    write_photo(photo, np.full_like(photo.rgb, 200), mask, tmp_path / "out.jxl")
    after = codecs.jpegxl_decode((tmp_path / "out.jxl").read_bytes())
    full = 255 if bits == 8 else 65535
    expected = np.rint(before.astype(float) * full / (2**bits - 1))
    np.testing.assert_array_equal(after[~mask], expected[~mask])
    colours = {1: 1, 2: 1, 3: 3, 4: 3}[bands]
    filled = after[mask] if bands == 1 else after[mask][:, :colours]
    assert (filled == 200 * (full // 255)).all()
    again = read_photo(tmp_path / "out.jxl")  # says nothing of odd colours
    np.testing.assert_array_equal(again.rgb[~mask], photo.rgb[~mask])


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("brotli", [False, True])
def test_what_the_file_says_stays(tmp_path: Path, orientation: int, brotli: bool) -> None:
    """EXIF's orientation does not count: the codestream's does, and decoders undo it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    upright = samples(24, 40, 3, 8)
    data = jxl.encoded(upright, exif.tobytes(), b"<x:xmpmeta/>")
    if brotli:
        start = data.index(b"xml ") - 4
        end = start + int.from_bytes(data[start : start + 4])
        packed = b"xml " + codecs.brotli_encode(b"<x:xmpmeta/>")
        new = (8 + len(packed)).to_bytes(4) + b"brob" + packed
        data = data[:start] + new + data[end:]
    (tmp_path / "in.jxl").write_bytes(data)
    for target in ("out.jxl", "out.jpg", "out.tif"):
        photo = read_photo(tmp_path / "in.jxl")
        assert (photo.rgb.shape, photo.orientation) == ((24, 40, 3), 1)
        write_photo(photo, photo.rgb, np.eye(24, 40, dtype=bool), tmp_path / target)
        again = read_photo(tmp_path / target)
        assert again.kept.xmp == b"<x:xmpmeta/>"
        assert again.rgb.shape == (24, 40, 3)
        assert b"Maker" in again.kept.exif


@MAY_LOSE
@pytest.mark.parametrize("orientation", [3, 6])
def test_other_formats_become_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = samples(24, 40, 3, 8)
    profile = profile_bytes(*PROFILES["p3"])
    stored = Image.fromarray(turn(upright, orientation, back=True))
    stored.save(tmp_path / "in.png", exif=exif)
    photo = read_photo(tmp_path / "in.png")
    write_photo(photo, photo.rgb, np.eye(24, 40, dtype=bool), tmp_path / "out.jxl")
    after = codecs.jpegxl_decode((tmp_path / "out.jxl").read_bytes())
    np.testing.assert_array_equal(after, upright)
    # It holds no ICC profile here: colours are converted to sRGB.
    wide = Image.fromarray(converted(upright, *PROFILES["p3"]))
    wide.save(tmp_path / "in.png", icc_profile=profile)
    photo = read_photo(tmp_path / "in.png")
    write_photo(photo, photo.rgb, np.eye(24, 40, dtype=bool), tmp_path / "out.jxl")
    np.testing.assert_array_equal(read_photo(tmp_path / "out.jxl").rgb, photo.rgb)
    deep = Path(tmp_path / "deep.png")
    deep.write_bytes(codecs.png_encode(samples(24, 40, 3, 16)))
    photo = read_photo(deep)
    write_photo(photo, photo.rgb, np.eye(24, 40, dtype=bool), tmp_path / "out.jxl")
    after = codecs.jpegxl_decode((tmp_path / "out.jxl").read_bytes())
    outside = ~np.eye(24, 40, dtype=bool)
    np.testing.assert_array_equal(after[outside], samples(24, 40, 3, 16)[outside])


def test_lossy_files_and_those_made_of_jpeg_are_read(demo_rgb: NDArray[np.uint8]) -> None:
    part = demo_rgb[200:280, 100:220]
    lossy = codecs.jpegxl_encode(part, distance=1.0)
    assert jxl.header(lossy).size == (120, 80)
    assert np.abs(read_photo(lossy).rgb.astype(int) - part).mean() < 4
    jpeg = codecs.jpegxl_encode_jpeg(codecs.jpeg8_encode(part, level=92))
    assert np.abs(read_photo(jpeg).rgb.astype(int) - part).mean() < 4


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = codecs.jpegxl_encode(samples(24, 40, 3, 8), lossless=True)
    with pytest.raises(FinefillError, match="40x24 pixels are more than the limit"):
        read_photo(data, max_pixels=959)
    for length in (2, 5, 12, 60, len(data) - 40):
        with pytest.raises(FinefillError) as error:
            read_photo(data[:length])
        assert "\n" not in str(error.value)
    floats = codecs.jpegxl_encode(np.random.default_rng(0).random((24, 40, 3), np.float32))
    linear = pytest.warns(UserWarning, match="its colours are not sRGB, and taken for it")
    with linear, pytest.raises(FinefillError, match="more than 16 bits"):
        read_photo(floats)
    film = codecs.jpegxl_encode(np.stack([samples(24, 40, 3, 8)] * 3), lossless=True)
    with pytest.warns(UserWarning, match="several pictures"):
        assert read_photo(film).rgb.shape == (24, 40, 3)
    (tmp_path / "in.jxl").write_bytes(data)
    assert usable(".jxl")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)  # as if it were not installed
    with pytest.raises(FinefillError, match=r"in\.jxl: JPEG XL needs the extra formats: pip"):
        read_photo(tmp_path / "in.jxl")
    assert not usable(".jxl")
