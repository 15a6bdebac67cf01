"""Photographs of any size, in memory; properties over sizes, modes and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from conftest import CARD, write_model
from finefill import Engine, FinefillError, complete
from finefill.detail import add_detail
from finefill.photo import Box, fill_photo, groups, window_around
from test_images import picture

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"]


@st.composite
def masks(draw: st.DrawFn, height: int, width: int) -> NDArray[np.bool_]:
    """One to four boxes, neither empty nor full."""
    mask = np.zeros((height, width), bool)
    for _ in range(draw(st.integers(1, 4))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        bottom, right = draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width))
        mask[top:bottom, left:right] = True
    if mask.mean() > 0.5:  # leave enough to complete from
        edge = draw(st.sampled_from([slice(None, 4), slice(-4, None)]))
        mask[edge] = False
    return mask


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), mode=st.sampled_from(MODES), orientation=st.sampled_from([1, 3, 6, 7]))
def test_size_mode_and_unmasked_pixels_stay(
    engine: Engine, data: st.DataObject, mode: str, orientation: int
) -> None:
    height, width = data.draw(st.integers(16, 150)), data.draw(st.integers(16, 150))
    mask = data.draw(masks(height, width))
    image = picture(mode, height, width)
    image.getexif()[0x0112] = orientation
    before = np.array(image)
    result = complete(image, mask, engine)
    assert (result.mode, result.size) == (image.mode, image.size)
    np.testing.assert_array_equal(np.asarray(result)[~mask], before[~mask])
    np.testing.assert_array_equal(np.asarray(image), before)


def test_arrays_and_images_agree(engine: Engine, demo_rgb: NDArray[np.uint8]) -> None:
    rgb = demo_rgb[:200, :300]  # not contiguous
    mask = np.zeros((200, 300), bool)
    mask[60:110, 100:180] = True
    result = complete(rgb, mask, engine)
    assert isinstance(result, np.ndarray)
    assert (result[mask] != rgb[mask]).any()
    from_image = complete(Image.fromarray(rgb), Image.fromarray(mask), engine)
    assert isinstance(from_image, Image.Image)
    np.testing.assert_array_equal(np.asarray(from_image), result)
    drawn = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    drawn.paste((255, 255, 255, 255), (100, 60, 180, 110))
    with pytest.warns(UserWarning, match="alpha channel"):
        np.testing.assert_array_equal(complete(rgb, drawn, engine), result)
    for other in (mask[..., None], mask.astype(np.uint8), mask * 255.0):
        np.testing.assert_array_equal(complete(rgb, other, engine), result)


def test_a_small_image_is_one_run_of_the_network(
    engine: Engine, demo_rgb: NDArray[np.uint8]
) -> None:
    rgb = demo_rgb[300:428, 100:228]
    mask = np.zeros((128, 128), bool)
    mask[32:96, 40:104] = True
    fill = engine.fill(rgb, mask)
    expected = add_detail(rgb, mask, rgb, mask, fill)
    assert (expected != fill).any()
    np.testing.assert_array_equal(fill_photo(engine, rgb, mask), expected)


def test_without_detail_in_the_card_the_fill_is_the_networks(
    tmp_path: Path, demo_rgb: NDArray[np.uint8]
) -> None:
    plain = Engine(write_model(tmp_path / "plain.onnx", {**CARD, "detail": False}), threads=1)
    rgb = demo_rgb[300:428, 100:228]
    mask = np.zeros((128, 128), bool)
    mask[32:96, 40:104] = True
    np.testing.assert_array_equal(fill_photo(plain, rgb, mask), plain.fill(rgb, mask))


def test_a_large_hole_takes_its_colours_from_around_it(engine: Engine) -> None:
    image = np.full((500, 700, 3), (200, 30, 90), np.uint8)
    mask = np.zeros((500, 700), bool)
    mask[100:400, 150:550] = True
    image[mask] = (0, 255, 0)  # must leave no trace, at the edges of the hole neither
    result = fill_photo(engine, image, mask)
    assert np.abs(result.astype(int) - (200, 30, 90)).max() <= 1


def test_thin_holes_are_filled_at_full_resolution(engine: Engine) -> None:
    # Two sides of different colours and a scratch along both: scaled down to one window, the
    # neighbourhoods would mix; piece by piece they stay apart.
    image = np.full((64, 900, 3), 20, np.uint8)
    image[:, 450:] = 220
    mask = np.zeros((64, 900), bool)
    mask[30:34] = True
    result = fill_photo(engine, image, mask)
    assert np.abs(result[30:34, :300].astype(int) - 20).max() <= 1
    assert np.abs(result[30:34, 600:].astype(int) - 220).max() <= 1


def test_a_single_known_pixel_is_too_little_for_a_large_photo(engine: Engine) -> None:
    mask = np.ones((300, 300), bool)
    mask[0, 0] = False
    with pytest.raises(FinefillError, match="too little"):
        complete(np.zeros((300, 300, 3), np.uint8), mask, engine)


def test_groups() -> None:
    mask = np.zeros((300, 400), bool)
    assert groups(mask, 10) == []
    mask[5:20, 10:30] = True
    mask[5:20, 39:50] = True  # 9 free columns between: the same group
    mask[200:220, 12:14] = True
    mask[100:290, 300:390] = True
    found = {Box(5, 20, 10, 50), Box(100, 290, 300, 390), Box(200, 220, 12, 14)}
    assert set(groups(mask, 10)) == found


def test_windows_stay_in_the_picture() -> None:
    assert window_around(Box(10, 20, 10, 20), 30, (100, 100)) == Box(0, 30, 0, 30)
    assert window_around(Box(50, 60, 80, 100), 40, (100, 100)) == Box(35, 75, 60, 100)
    assert window_around(Box(5, 10, 50, 60), 40, (20, 100)) == Box(0, 20, 35, 75)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((32, 32), bool), "empty"),
        (np.ones((32, 32), bool), "full"),
        (np.ones((32, 33), bool), "32"),
        (np.ones((32, 32, 3), bool), "shape"),
        (np.zeros((0, 0), bool), "0"),
    ],
)
def test_masks_that_do_not_fit(engine: Engine, mask: NDArray[np.bool_], message: str) -> None:
    for image in (np.zeros((32, 32, 3), np.uint8), Image.new("L", (32, 32))):
        with pytest.raises(FinefillError, match=message):
            complete(image, mask, engine)


def test_images_without_pixels(engine: Engine) -> None:
    for image in (np.zeros((0, 0, 3), np.uint8), Image.new("RGB", (0, 0))):
        with pytest.raises(FinefillError, match="0x0"):
            complete(image, np.zeros((0, 0), bool), engine)


def test_modes_that_cannot_be_kept(engine: Engine) -> None:
    mask = np.eye(32, dtype=bool)
    with pytest.raises(FinefillError, match="mode F"):
        complete(Image.new("F", (32, 32)), mask, engine)
