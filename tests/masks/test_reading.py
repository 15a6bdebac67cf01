"""Mask files are read, and put right where they say something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import FinefillError
from finefill.errors import EmptyMaskError
from finefill.masks.reading import inverted, read_mask
from tests.masks.pictures import GREY, HOLE, SIZE, encoded


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_masks_of_every_mode(mode: str) -> None:
    image = Image.fromarray(GREY)
    if mode == "I;16":
        image = Image.fromarray(GREY.astype(np.uint16) * np.uint16(257))
    else:
        image = image.convert(mode)
    np.testing.assert_array_equal(read_mask(encoded(image), SIZE), HOLE)


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_jpeg_greys_and_soft_edges_pass(quality: int) -> None:
    found = read_mask(encoded(Image.fromarray(GREY), "JPEG", quality=quality), SIZE)
    assert (found != HOLE).mean() < 0.005


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (255, 0, 0)])
def test_a_mask_drawn_in_alpha(colour: tuple[int, int, int]) -> None:
    image = Image.new("RGBA", (SIZE[1], SIZE[0]), (*colour, 0))
    image.putalpha(Image.fromarray(GREY))
    with pytest.warns(UserWarning, match="alpha channel"):
        found = read_mask(encoded(image), SIZE)
    np.testing.assert_array_equal(found, HOLE)


OTHER = np.zeros(SIZE, bool)
OTHER[25:36, 40:55] = True


def strokes(*drawn: tuple[NDArray[np.bool_], tuple[int, int, int]]) -> Image.Image:
    """Opaque strokes on transparent ground."""
    pixels = np.zeros((*SIZE, 4), np.uint8)
    for where, colour in drawn:
        pixels[where] = (*colour, 255)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("colour", [(255, 0, 0), (90, 90, 90), (0, 0, 255), (120, 60, 20)])
def test_black_strokes_beside_others_are_completed_too(colour: tuple[int, int, int]) -> None:
    image = strokes((HOLE, colour), (OTHER, (0, 0, 0)))
    for drawn in (image, image.quantize(4)):
        with pytest.warns(UserWarning, match=r"opaque = complete; --mask-value transparent"):
            found = read_mask(encoded(drawn), SIZE)
        np.testing.assert_array_equal(found, HOLE | OTHER)


def test_opaque_black_beside_white_is_kept_aloud() -> None:
    image = strokes((HOLE, (255, 255, 255)), (OTHER, (0, 0, 0)))
    with pytest.warns(UserWarning, match="its opaque black is kept.*--mask-value opaque"):
        found = read_mask(encoded(image), SIZE)
    np.testing.assert_array_equal(found, HOLE)
    both = read_mask(encoded(image), SIZE, values=("opaque",))
    np.testing.assert_array_equal(both, HOLE | OTHER)
    ground = strokes((~OTHER, (0, 0, 0)), (HOLE, (255, 0, 0)))  # black all over, but for a corner
    with pytest.warns(UserWarning, match="its opaque black is kept"):
        np.testing.assert_array_equal(read_mask(encoded(ground), SIZE), HOLE)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.7])
def test_transparent_may_mean_complete(share: float) -> None:
    """Masks for edits by other programs: opaque stays; also where most of the photo is a hole."""
    hole = np.zeros(SIZE, bool)
    hole[:, : round(60 * share)] = True
    image = strokes((~hole, (0, 0, 0)))
    np.testing.assert_array_equal(read_mask(encoded(image), SIZE, values=("transparent",)), hole)
    with pytest.raises(FinefillError, match="no part of it is transparent"):
        read_mask(encoded(Image.fromarray(GREY)), SIZE, values=("transparent",))


def test_nothing_of_a_mask_is_opaque() -> None:
    """Wholly transparent: as of any mask, nothing of it is opaque, and all is transparent."""
    blank = encoded(strokes())
    with pytest.raises(EmptyMaskError, match="the mask is empty"):
        read_mask(blank, SIZE, values=("opaque",))
    for values in (("transparent",), ("opaque", "Transparent")):
        with pytest.raises(FinefillError, match="the mask is full"):
            read_mask(blank, SIZE, values=values)


@pytest.mark.parametrize("opacity", [255, 128])
def test_alpha_of_one_value_says_nothing(opacity: int) -> None:
    """The brighter of two greys is to be completed, as without alpha."""
    image = Image.fromarray(np.where(HOLE, 200, 90).astype(np.uint8)).convert("RGBA")
    image.putalpha(opacity)
    np.testing.assert_array_equal(read_mask(encoded(image), SIZE), HOLE)


def test_the_orientation_of_the_mask_counts() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    stored = Image.fromarray(np.rot90(GREY).copy())
    np.testing.assert_array_equal(read_mask(encoded(stored, exif=exif), SIZE), HOLE)


def test_another_shape_is_told_or_scaled() -> None:
    square = encoded(Image.fromarray(GREY[:, ::2].copy()))
    with pytest.raises(FinefillError, match=r"30x40 pixels, the photo 60x40.*--resize-mask"):
        read_mask(square, SIZE)
    found = read_mask(square, SIZE, resize=True)
    assert found.shape == SIZE
    assert (found != HOLE).mean() < 0.02


def test_another_size_of_the_same_shape_is_scaled() -> None:
    half = encoded(Image.fromarray(GREY[::2, ::2].copy()))
    with pytest.warns(UserWarning, match="30x20 pixels, the photo 60x40: scaled to fit"):
        found = read_mask(half, SIZE)
    assert (found != HOLE).mean() < 0.02
    np.testing.assert_array_equal(read_mask(half, SIZE, resize=True), found)  # no warning
    wide = np.zeros((100, 151), bool)  # 0.7% wider than 60x40, and 2% if it were 153
    wide[:9] = True
    with pytest.warns(UserWarning, match="scaled to fit"):
        assert read_mask(encoded(Image.fromarray(wide)), SIZE).sum() == 4 * 60  # 3.6 rows
    with pytest.raises(FinefillError, match="153x100"):
        read_mask(encoded(Image.fromarray(np.pad(wide, ((0, 0), (0, 2))))), SIZE)


def test_scratches_survive_scaling_down() -> None:
    scratch = np.zeros((400, 600), bool)
    scratch[:, 301] = True
    scratch[7] = True
    scratch[399, 0] = True
    with pytest.warns(UserWarning, match="scaled"):
        found = read_mask(encoded(Image.fromarray(scratch)), SIZE)
    expected = np.zeros(SIZE, bool)
    expected[:, 30] = True
    expected[0] = True
    expected[39, 0] = True
    np.testing.assert_array_equal(found, expected)


def inverse(hole: NDArray[np.bool_]) -> bytes:
    return encoded(Image.fromarray(~hole))


def test_an_inverted_mask_is_turned_round_aloud() -> None:
    share = 1 - HOLE.mean()  # 12 x 25 of 40 x 60: 87.5%
    with pytest.warns(UserWarning, match=rf"inverted \({share:.0%} white\).*--keep-polarity"):
        found = read_mask(inverse(HOLE), SIZE)
    np.testing.assert_array_equal(found, HOLE)
    np.testing.assert_array_equal(read_mask(inverse(HOLE), SIZE, keep_polarity=True), ~HOLE)


def test_an_inverted_scratch_survives_scaling_down() -> None:
    scratch = np.zeros((400, 600), bool)
    scratch[50:350, 301] = True
    with pytest.warns(UserWarning, match="inverted|scaled") as caught:
        found = read_mask(inverse(scratch), SIZE)
    assert len(caught) == 2
    assert found.sum() == 30
    assert found[5:35, 30].all()


def test_a_mask_in_alpha_may_be_inverted_too() -> None:
    image = Image.new("RGBA", (SIZE[1], SIZE[0]), (9, 9, 9, 0))
    image.putalpha(Image.fromarray(255 - GREY))  # erased what is to go
    with pytest.warns(UserWarning, match="alpha channel|inverted") as caught:
        found = read_mask(encoded(image), SIZE)
    assert len(caught) == 2
    np.testing.assert_array_equal(found, HOLE)


def test_what_looks_inverted() -> None:
    assert inverted(~HOLE)
    assert not inverted(HOLE)
    assert not inverted(np.ones(SIZE, bool))
    half = np.zeros(SIZE, bool)
    half[:, :40] = True  # 67%, but a third of the border is kept
    assert not inverted(half)
    car = np.zeros(SIZE, bool)
    car[20:, 10:50] = True  # cut off by the lower edge: 40 of 196 pixels of the border
    assert inverted(~car)
    car[20:, :] = True
    assert not inverted(~car)  # half the photo
    assert not inverted(np.zeros((1, 1), bool))


@pytest.mark.parametrize(("value", "message"), [(0, "empty"), (255, "full"), (1, "empty")])
def test_empty_and_full_masks(value: int, message: str) -> None:
    with pytest.raises(FinefillError, match=message):
        read_mask(encoded(Image.new("L", (60, 40), value)), SIZE)


def test_a_photograph_is_no_mask(demo_rgb: NDArray[np.uint8]) -> None:
    for kind in ("JPEG", "PNG"):
        with pytest.raises(FinefillError, match="looks like a photograph"):
            read_mask(encoded(Image.fromarray(demo_rgb), kind), (480, 640))


def test_missing_masks_are_named(tmp_path: Path) -> None:
    with pytest.raises(FinefillError, match=r"none\.png: cannot be read"):
        read_mask(tmp_path / "none.png", SIZE)
