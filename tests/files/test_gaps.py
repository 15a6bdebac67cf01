"""No-data values of GeoTIFF: gaps are unknown, stay where they are, and no fill makes a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import Engine, complete
from finefill.completion import fill_with_report
from finefill.errors import FinefillError
from finefill.files import for_network, hidden_of, read_photo, write_photo
from finefill.files.gaps import gaps_in, staying, step_aside, value_of
from finefill.masks.painted import erased
from tests.files.pictures import MAY_LOSE

tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")

SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE]
GAP = X >= 56
INSIDE = np.zeros((SIDE, SIDE), bool)  # far from the gap
INSIDE[20:30, 10:20] = True
OVER = np.zeros((SIDE, SIDE), bool)  # over the edge of the gap
OVER[40:60, 46:66] = True
TEXTURE = (80 + 30 * np.sin(X / 3) + 30 * np.sin(Y / 5)).astype(np.uint8)


@pytest.mark.parametrize(
    ("text", "mode", "bits", "negative", "value"),
    [
        (b"0\0", "L", 8, False, 0),
        (b"255\0", "RGB", 8, False, 255),
        ("-9999", "I;16", 16, False, None),  # of a file of numbers with signs, cut by its maker
        ("nan", "L", 8, False, None),
        ("256", "L", 8, False, None),
        ("256", "I;16", 16, False, 256),
        ("65535.0", "I;16", 16, False, 65535),
        ("1.5", "I;16", 16, False, None),
        ("6.5535e+04", "I;16", 16, False, 65535),
        ("0", "L", 8, True, 255),
        ("10", "I;16", 16, True, 65525),
        ("3", "L", 4, False, 51),
        ("2", "L", 2, True, 85),
        ("1", "1", 1, False, 1),
        ("none", "L", 8, False, None),
        ("", "L", 8, False, None),
        ("1e400", "L", 8, False, None),
    ],
)
def test_value(text: Any, mode: str, bits: int, negative: bool, value: int | None) -> None:
    assert value_of(text, mode, bits, negative=negative) == value


def test_all_channels_of_a_gap_are_no_data() -> None:
    samples = np.array([[[0, 0, 0, 9], [0, 0, 1, 0], [0, 0, 0, 0]]], np.uint8)
    found = gaps_in(samples, 0, 3)  # the fourth is alpha
    assert found is not None
    assert found.tolist() == [[True, False, True]]
    assert gaps_in(samples, 7, 3) is None


def test_step() -> None:
    for dtype, value, wanted in ((np.uint8, 0, 1), (np.uint8, 255, 254), (np.uint16, 500, 499)):
        fill = np.array([[value, 9, value], [value, value, value]], dtype)
        step_aside(fill, value)
        assert fill.tolist() == [[wanted, 9, wanted], [wanted] * 3]
    one_bit = np.array([True, False])
    step_aside(one_bit, 0)
    assert one_bit.tolist() == [True, True]


def test_what_stays() -> None:
    gaps = np.zeros((1, 8), bool)
    gaps[0, 4:] = True
    hole = np.zeros((1, 8), bool)
    hole[0, 2:7] = True  # its gaps at 4, 5, 6; known are 1 and 7, of which 7 is a gap
    # 4 is three from both: the nearest comes from the left or the right; 2 and 3 had data.
    assert staying(gaps, hole).tolist()[:2] == [False, False]
    assert staying(gaps, hole).tolist()[3:] == [True, True]
    assert not staying(gaps, gaps).any()  # masked as a whole


def store(path: Path, samples: NDArray[Any], value: str, **options: Any) -> Path:
    options = {"photometric": "rgb" if samples.ndim == 3 else "minisblack"} | options
    tag = (42113, "s", len(value) + 1, value, False)
    tifffile.imwrite(path, samples, metadata=None, extratags=[tag], **options)
    return path


def samples_of(kind: str, no_data: int) -> NDArray[Any]:
    """A texture beside a gap."""
    grey: NDArray[Any] = TEXTURE
    if kind.endswith("16"):
        grey = TEXTURE.astype(np.uint16) * 16 + 500
    samples = np.dstack([grey, grey + 5, grey + 9]) if kind.startswith("rgb") else grey
    samples = samples.copy()
    samples[GAP] = no_data
    return samples


@pytest.mark.parametrize(
    ("kind", "white"),
    [(kind, False) for kind in ("grey", "grey 16", "rgb", "rgb 16")]
    + [("grey", True), ("grey 16", True)],
)
@pytest.mark.parametrize("mark", [0, -1])
def test_gaps_do_not_bleed_and_fills_make_none(
    tmp_path: Path, engine: Engine, kind: str, mark: int, white: bool
) -> None:
    no_data = mark % (65536 if kind.endswith("16") else 256)
    samples = samples_of(kind, no_data)
    options = {"photometric": "miniswhite"} if white else {}
    path = store(tmp_path / "in.tif", samples, str(no_data), **options)
    photo = read_photo(path)
    with pytest.warns(UserWarning, match="pixels of the hole lie among others without data"):
        shown = for_network(photo, OVER)
    hidden = hidden_of(shown)
    assert hidden is not None
    np.testing.assert_array_equal(hidden, GAP)
    report = fill_with_report(engine, shown.rgb, OVER, hidden=hidden)
    write_photo(shown, report.rgb, OVER, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        page = written.pages[0]
        after = page.asarray()
        assert page.tags[42113].value == str(no_data)
        assert page.photometric.name == ("MINISWHITE" if white else page.photometric.name)
    np.testing.assert_array_equal(after[~OVER], samples[~OVER])
    data = OVER & ~GAP
    assert not (after[data] == no_data).any()  # of no channel
    # The texture goes on between its least and its greatest, give or take.
    low, high = samples[~GAP].min(), samples[~GAP].max()
    spare = (high - low) // 8
    assert low - min(spare, low) <= after[data].min()
    assert after[data].max() <= high + spare
    assert (after[OVER & GAP] == no_data).sum() > 0.9 * after[OVER & GAP].size


@pytest.mark.parametrize(
    ("kind", "no_data", "level", "wanted"),
    [("grey", 0, 0, 1), ("grey", 255, 255, 254), ("rgb", 0, 0, 1), ("rgb", 255, 255, 254)],
)
def test_fills_step_aside(tmp_path: Path, kind: str, no_data: int, level: int, wanted: int) -> None:
    path = store(tmp_path / "in.tif", samples_of(kind, no_data), str(no_data))
    photo = for_network(read_photo(path), INSIDE)
    write_photo(photo, np.full((SIDE, SIDE, 3), level, np.uint8), INSIDE, tmp_path / "out.tif")
    assert (tifffile.imread(tmp_path / "out.tif")[INSIDE] == wanted).all()


def test_16_bits_step_aside_by_the_smallest_step(tmp_path: Path) -> None:
    samples = samples_of("grey 16", 0)
    photo = for_network(read_photo(store(tmp_path / "in.tif", samples, "0")), INSIDE)
    write_photo(photo, photo.rgb, INSIDE, tmp_path / "plain.tif")
    value = int(tifffile.imread(tmp_path / "plain.tif")[INSIDE][0])  # one that the fill has
    samples[GAP] = value
    photo = for_network(read_photo(store(tmp_path / "in.tif", samples, str(value))), INSIDE)
    write_photo(photo, photo.rgb, INSIDE, tmp_path / "out.tif")
    before, after = (tifffile.imread(tmp_path / f"{name}.tif")[INSIDE] for name in ("plain", "out"))
    assert (before == value).any()
    np.testing.assert_array_equal(after, np.where(before == value, value - 1, before))


@MAY_LOSE
def test_few_bits_and_palettes(tmp_path: Path) -> None:
    # Four bits, no data 15: written with eight, where that is 255.
    packed = np.zeros((SIDE, SIDE), np.uint8) + 7
    packed[GAP] = 15
    tifffile.imwrite(
        tmp_path / "four.tif",
        (packed[:, ::2] << 4) | packed[:, 1::2],
        photometric="minisblack",
        metadata=None,
        extratags=[(42113, "s", 3, "15", False)],
    )
    data = bytearray((tmp_path / "four.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "four.tif") as file:
        for tag, value in ((258, 4), (256, SIDE)):
            place = file.pages[0].tags[tag].valueoffset
            data[place : place + 2] = value.to_bytes(2, "little")
    (tmp_path / "four.tif").write_bytes(data)
    photo = read_photo(tmp_path / "four.tif")
    assert photo.no_data == 255
    assert photo.gaps is not None
    np.testing.assert_array_equal(photo.gaps, GAP)
    write_photo(photo, np.full((SIDE, SIDE, 3), 255, np.uint8), INSIDE, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].tags[42113].value == "255"
        after = file.asarray()
    assert (after[INSIDE] == 254).all()
    assert (after[GAP] == 255).all()
    assert (after[~GAP & ~INSIDE] == 7 * 17).all()

    # Index 0 is no data, and black as well as 1: a black fill is 1.
    colours = np.zeros((3, 256), np.uint16)
    colours[:, 2] = 40000
    index = np.full((SIDE, SIDE), 2, np.uint8)
    index[GAP] = 0
    path = store(tmp_path / "p.tif", index, "0", photometric="palette", colormap=colours)
    photo = read_photo(path)
    write_photo(photo, np.zeros((SIDE, SIDE, 3), np.uint8), INSIDE, tmp_path / "po.tif")
    after = tifffile.imread(tmp_path / "po.tif")
    assert set(after[INSIDE].tolist()) == {1}
    np.testing.assert_array_equal(after[~INSIDE], index[~INSIDE])


def test_a_gap_that_is_masked_is_filled(tmp_path: Path, engine: Engine) -> None:
    hole = np.zeros((SIDE, SIDE), bool)
    hole[30:44, 20:34] = True
    samples = samples_of("rgb", 0)
    samples[:] = np.where(GAP[..., None], 60, samples)
    samples[hole] = 0
    path = store(tmp_path / "in.tif", samples, "0")
    photo = read_photo(path)
    np.testing.assert_array_equal(erased(photo), hole)  # --mask-alpha finds it
    shown = for_network(photo, hole)  # tells nothing
    report = fill_with_report(engine, shown.rgb, hole, hidden=hidden_of(shown))
    write_photo(shown, report.rgb, hole, tmp_path / "out.tif")
    after = tifffile.imread(tmp_path / "out.tif")
    assert after[hole].min() > 0
    np.testing.assert_array_equal(after[~hole], samples[~hole])
    with pytest.raises(FinefillError, match="nothing in it is transparent"):
        erased(read_photo(tmp_path / "out.tif"))


def test_an_image_that_pillow_opened(tmp_path: Path, engine: Engine) -> None:
    samples = samples_of("rgb", 0)
    path = store(tmp_path / "in.tif", samples, "0")
    with Image.open(path) as image, pytest.warns(UserWarning, match="without data"):
        after = np.asarray(complete(image, OVER, engine))
    np.testing.assert_array_equal(after[~OVER], samples[~OVER])
    assert after[OVER & ~GAP].min() > 20  # the texture's least is 20


def test_regions_are_not_copied_from_what_is_hidden(engine: Engine) -> None:
    rows, columns = np.mgrid[:160, :160]
    rgb = np.repeat((columns // 4 % 2 * 90 + rows // 5 % 2 * 60 + 60)[..., None], 3, 2)
    rgb = rgb.astype(np.uint8)
    hole = np.zeros((160, 160), bool)
    hole[70:90, 70:90] = True
    hidden = np.ones((160, 160), bool)
    hidden[66:94, 66:94] = False  # leaves a rim that is too narrow to copy from
    free = fill_with_report(engine, rgb, hole, fill="regions")
    assert free.ways == ("regions",)
    told = fill_with_report(engine, rgb, hole, fill="regions", hidden=hidden)
    assert told.ways == ("network",)
    assert "for a part of it nothing to copy was found" in told.warnings[0]
