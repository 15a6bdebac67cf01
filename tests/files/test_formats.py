"""What each format can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from finefill.files.photo import turn
from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.files.pictures import picture, samples, told
from tests.files.test_colour import PROFILES, profile_bytes


@pytest.mark.parametrize(
    ("mode", "extension", "expected", "gone"),
    [
        ("RGBA", "jpg", "RGB", "alpha"), ("LA", "jpg", "RGB", "alpha"), ("P", "jpg", "RGB", ""),
        ("I;16", "jpg", "L", "16 bits"), ("1", "jpg", "L", ""), ("CMYK", "png", "RGB", "inks"),
        ("L", "webp", "RGB", ""), ("LA", "webp", "RGBA", ""), ("CMYK", "jpg", "CMYK", ""),
        ("I;16", "webp", "RGB", "16 bits"), ("LA", "bmp", "RGB", "alpha"),
        ("RGB", "gif", "P", r"colours \(256 are left"), ("P", "gif", "P", ""),
        ("CMYK", "webp", "RGB", "inks"), ("RGB", "jpg", "RGB", ""), ("L", "gif", "P", ""),
    ],
)  # fmt: skip
def test_formats_that_cannot_hold_the_mode(
    tmp_path: Path, mode: str, extension: str, expected: str, gone: str
) -> None:
    picture(mode, 32, 32).save(tmp_path / "in.tif")
    photo = read_photo(tmp_path / "in.tif")
    mask = np.zeros((32, 32), bool)
    mask[:4] = True
    with told(f"does not keep its {gone}" if gone else ""):
        write_photo(photo, photo.rgb, mask, tmp_path / f"out.{extension}")
    with Image.open(tmp_path / f"out.{extension}") as after:
        assert (after.mode, after.size) == (expected, (32, 32))
        if extension == "png":
            np.testing.assert_array_equal(np.asarray(after), photo.rgb)
    if mode == "RGBA":  # onto white
        alpha = np.asarray(photo.stored)[..., 3:].astype(float) / 255
        white = photo.rgb * alpha + 255 * (1 - alpha)
        assert np.abs(read_photo(tmp_path / "out.jpg").rgb - white).mean() < 6


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
