"""HEIC, as phones write it: read, written as asked for, named where it cannot be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import FinefillError
from finefill.files.formats import output_format, remedy, usable
from finefill.files.photo import turn
from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.files.test_besides import FILM, PHONE
from tests.files.test_colour import PROFILES, converted, profile_bytes

heif = pytest.importorskip("pillow_heif", reason="needs the extra formats")
BOX = np.s_[20:50, 30:70]


def save(path: Path, rgb: NDArray[Any], **options: Any) -> Path:
    heif.from_pillow(Image.fromarray(rgb)).save(path, quality=-1, chroma=444, **options)
    return path


def hole(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    mask = np.zeros(rgb.shape[:2], bool)
    mask[BOX] = True
    return mask


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("target", ["out.heic", "out.jpg", "out.avif", "out.png", "out.tif"])
def test_phones_photographs(
    tmp_path: Path, demo_rgb: NDArray[np.uint8], orientation: int, target: str
) -> None:
    """Upright, whatever the orientation; EXIF says so; colours and XMP stay."""
    upright = demo_rgb[200:280, 100:220]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    exif.get_ifd(0x8825)[1] = "N"
    stored = turn(upright, orientation, back=True)
    source = save(tmp_path / "in.heic", stored, exif=exif.tobytes(), xmp=b"<x:xmpmeta/>")
    photo = read_photo(source)
    assert (photo.stored.format, photo.orientation) == ("HEIF", 1)
    assert photo.rgb.shape == upright.shape
    assert np.abs(photo.rgb.astype(int) - upright).max() <= 3
    write_photo(photo, np.full_like(photo.rgb, 200), hole(photo.rgb), tmp_path / target)
    again = read_photo(tmp_path / target)
    assert again.stored.format == {"out.heic": "HEIF", "out.jpg": "JPEG", "out.tif": "TIFF"}.get(
        target, target[4:].upper()
    )
    assert (again.rgb.shape, again.orientation) == (upright.shape, 1)
    assert np.abs(again.rgb.astype(int) - photo.rgb)[~hole(photo.rgb)].mean() < 2
    assert abs(again.rgb[25:45, 35:65].mean() - 200) < 2
    with _opened(tmp_path / target) as image:
        assert image.getexif()[0x010F] == "Maker"
        assert image.getexif().get_ifd(0x8825)[1] == "N"
    assert again.kept.xmp == b"<x:xmpmeta/>"


def _opened(path: Path) -> Image.Image:
    image: Image.Image = heif.HeifImageFile(path) if path.suffix == ".heic" else Image.open(path)
    return image


@pytest.mark.parametrize("source", ["in.jpg", "in.png", "in.webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_other_formats_become_heic(
    tmp_path: Path, demo_rgb: NDArray[np.uint8], source: str, orientation: int
) -> None:
    """libheif turns by EXIF, or by XMP where that says nothing: neither does any more."""
    upright = demo_rgb[200:280, 100:220]
    exif = Image.Exif()
    exif[0x0112] = orientation
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    options: dict[str, Any] = {} if source == "in.png" else {"xmp": packet}
    if orientation > 1:
        options["exif"] = exif
    Image.fromarray(turn(upright, orientation, back=True)).save(tmp_path / source, **options)
    photo = read_photo(tmp_path / source)
    write_photo(photo, photo.rgb, hole(photo.rgb), tmp_path / "out.heic")
    again = read_photo(tmp_path / "out.heic")
    assert again.rgb.shape == upright.shape
    assert np.abs(again.rgb.astype(int) - photo.rgb).mean() < 2


def test_alpha_grey_and_profiles(tmp_path: Path, demo_rgb: NDArray[np.uint8]) -> None:
    part = demo_rgb[200:280, 100:220]
    rgba = np.dstack([part, np.full(part.shape[:2], 255, np.uint8)])
    rgba[:, 60:, 3] = 90
    write = save(tmp_path / "alpha.heic", rgba)
    photo = read_photo(write)
    write_photo(photo, photo.rgb, hole(photo.rgb), tmp_path / "out.heic")
    after = np.asarray(read_photo(tmp_path / "out.heic").stored)
    assert np.abs(after[..., 3].astype(int) - rgba[..., 3])[~hole(part)].max() <= 8
    grey = read_photo(save(tmp_path / "grey.heic", part[..., 1]))
    write_photo(grey, grey.rgb, hole(part), tmp_path / "out.heic")
    assert read_photo(tmp_path / "out.heic").rgb.shape == part.shape
    profile = profile_bytes(*PROFILES["p3"])
    wide = Image.fromarray(converted(part, *PROFILES["p3"]))
    wide.info["icc_profile"] = profile
    heif.from_pillow(wide).save(tmp_path / "wide.heic", quality=-1, chroma=444)
    photo = read_photo(tmp_path / "wide.heic")
    assert np.abs(photo.rgb.astype(int) - part).mean() < 1.5
    write_photo(photo, photo.rgb, hole(photo.rgb), tmp_path / "out.heic")
    assert read_photo(tmp_path / "out.heic").stored.info["icc_profile"] == profile


def test_what_is_not_kept_is_told(tmp_path: Path, demo_rgb: NDArray[np.uint8]) -> None:
    part = demo_rgb[200:280, 100:220]
    film = FILM[:4] + b"mpvd" + FILM[8:24]
    source = save(tmp_path / "in.heic", part, xmp=PHONE)
    source.write_bytes(source.read_bytes() + film)
    with pytest.warns(UserWarning, match=r"its film \(motion photo\); its gain map \(HDR\)"):
        read_photo(source)
    ten = heif.from_bytes("RGB;10", (64, 64), bytes(64 * 64 * 6))
    ten.save(tmp_path / "ten.heic", quality=90)
    with pytest.warns(UserWarning, match="more than 8 bits a sample: cut to 8"):
        read_photo(tmp_path / "ten.heic")
    save(tmp_path / "hlg.heic", part, color_primaries=9, transfer_characteristics=18)
    with pytest.warns(UserWarning, match=r"told by code points \(nclx\)"):
        read_photo(tmp_path / "hlg.heic")
    several = heif.from_pillow(Image.fromarray(part))
    several.add_from_pillow(Image.fromarray(part[:60]))
    several.save(tmp_path / "two.heic")
    with pytest.warns(UserWarning, match="several pictures: only the first"):
        assert read_photo(tmp_path / "two.heic").rgb.shape == part.shape


def test_damaged_files_are_one_line(tmp_path: Path, demo_rgb: NDArray[np.uint8]) -> None:
    data = save(tmp_path / "in.heic", demo_rgb[200:280, 100:220]).read_bytes()
    for length in (20, 200, 600, len(data) - 900):
        with pytest.raises(FinefillError) as error:
            read_photo(data[:length])
        assert "\n" not in str(error.value)
    with pytest.raises(FinefillError, match="120x80 pixels are more than the limit"):
        read_photo(data, max_pixels=9599)


def test_without_the_extra_it_is_named(
    tmp_path: Path, demo_rgb: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "in.heic", demo_rgb[200:280, 100:220])
    assert usable(".HEIC")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    told = r"in\.heic: HEIC needs the extra formats: pip install 'finefill\[formats\]'"
    with pytest.raises(FinefillError, match=told):
        read_photo(tmp_path / "in.heic")
    assert not usable(".HEIC")
    assert remedy(".HEIC").startswith("HEIC needs the extra formats")
    assert remedy(".NEF") == "camera raw must be developed first"
    assert remedy(".tga") == ""
    with pytest.raises(FinefillError, match=r"out\.heic: cannot be written: HEIC needs"):
        output_format(tmp_path / "out.heic")
