"""Photographs of any size, in memory; properties over sizes, modes and masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from finefill import Engine, FinefillError, complete
from finefill.completion import confidence, photo
from finefill.completion.detail import add_detail
from finefill.completion.photo import fill_photo, fill_with_report
from finefill.completion.plan import plan
from tests.conftest import CARD, write_model
from tests.files.pictures import picture

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


def test_what_is_no_image_or_model(engine: Engine, demo_rgb: NDArray[np.uint8]) -> None:
    mask = np.ones((16, 16), bool)
    for image in ("photo.jpg", None, demo_rgb.tolist()[:2]):
        with pytest.raises(FinefillError, match=f"the image is a {type(image).__name__}: give"):
            complete(image, mask, engine)  # type: ignore[call-overload]  # that is the point
    for model in (None, 5, b"places"):
        with pytest.raises(FinefillError, match=f"the model is a {type(model).__name__}: give"):
            complete(demo_rgb, mask, model)  # type: ignore[call-overload]  # that is the point


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
    mask[24:104, 24:104] = True
    fill = engine.fill(rgb, mask)
    expected = add_detail(rgb, mask, rgb, mask, fill)
    assert (expected != fill).any()
    np.testing.assert_array_equal(fill_photo(engine, rgb, mask), expected)


def test_a_small_photo_is_seen_enlarged_without_what_is_masked(
    demo_rgb: NDArray[np.uint8], tmp_path: Path
) -> None:
    card = {**CARD, "detail": False, "recipe": {"name": "faces"}}
    engine = Engine(write_model(tmp_path / "faces.onnx", card), threads=1)
    rgb, mask = demo_rgb[300:364, 100:164].copy(), np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    seen = []
    fill_many = engine.fill_many
    engine.fill_many = lambda images, masks: (  # type: ignore[method-assign]  # only looks on
        seen.extend(zip(images, masks, strict=True)) or fill_many(images, masks)
    )
    result = fill_photo(engine, rgb, mask)
    ((small, hole),) = seen
    assert small.shape == (128, 128, 3)
    assert hole[32:96, 32:96].all()
    assert hole.sum() == 64 * 64
    # Between two pixels a quarter of one and three quarters of the other, where both are known.
    near, far = rgb[5, 3:5].astype(float)
    between = small[10:12, 7].astype(float)
    above, below = rgb[4, 3:5].astype(float), rgb[6, 3:5].astype(float)
    row = 0.75 * near + 0.25 * far
    assert np.allclose(between[0], 0.75 * row + 0.25 * (0.75 * above[0] + 0.25 * above[1]), atol=1)
    assert np.allclose(between[1], 0.75 * row + 0.25 * (0.75 * below[0] + 0.25 * below[1]), atol=1)
    rgb[mask] = (255, 0, 0)
    np.testing.assert_array_equal(fill_photo(engine, rgb, mask)[mask], result[mask])
    np.testing.assert_array_equal(seen[1][0][~hole], small[~hole])


@pytest.mark.parametrize("side", [60, 130])  # at the photo's resolution, and at a reduced scale
def test_arrays_may_lie_in_memory_as_they_like(
    engine: Engine, demo_rgb: NDArray[np.uint8], side: int
) -> None:
    """Turned, mirrored and read-only ones are filled as copies of them, and stay as they are."""
    rgb, mask = demo_rgb.copy(), np.zeros((480, 640), bool)
    mask[150 : 150 + side, 200 : 200 + side] = True
    turned, hole = rgb[::-1].swapaxes(0, 1), mask[::-1].T
    expected = complete(turned.copy(), hole.copy(), engine, fill="network")
    rgb.setflags(write=False)
    mask.setflags(write=False)
    np.testing.assert_array_equal(complete(turned, hole, engine, fill="network"), expected)
    np.testing.assert_array_equal(rgb, demo_rgb)
    assert mask.sum() == side**2
    own = demo_rgb.copy()[::-1].swapaxes(0, 1)
    assert fill_with_report(engine, own, hole, fill="network", overwrite=True).rgb is own
    np.testing.assert_array_equal(own, expected)


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


def test_a_photo_is_filled_in_place_only_if_wanted(
    engine: Engine, demo_rgb: NDArray[np.uint8]
) -> None:
    image, mask = demo_rgb[:200, :300].copy(), np.zeros((200, 300), bool)
    mask[60:110, 100:180] = mask[20:24, 30:34] = True
    before, hole = image.copy(), mask.copy()
    expected = fill_with_report(engine, image, mask).rgb
    np.testing.assert_array_equal(image, before)
    report = fill_with_report(engine, image, mask, overwrite=True)
    assert report.rgb is image
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(mask, hole)


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


def test_a_window_for_each_hole_and_nothing_from_the_others(
    engine: Engine, demo_rgb: NDArray[np.uint8]
) -> None:
    """Two holes far apart come out as each one alone does."""
    both, masks_of = np.zeros((480, 640), bool), []
    for top, left in ((40, 60), (380, 500)):
        mask = np.zeros((480, 640), bool)
        mask[top : top + 50, left : left + 50] = True
        masks_of.append(mask)
        both |= mask
    result = fill_photo(engine, demo_rgb, both)
    for mask in masks_of:
        np.testing.assert_array_equal(result[mask], fill_photo(engine, demo_rgb, mask)[mask])


def test_later_windows_know_what_earlier_ones_filled(
    tmp_path: Path, demo_rgb: NDArray[np.uint8]
) -> None:
    """As if one window had been completed after the other, each on the result of the last."""
    plain = Engine(write_model(tmp_path / "plain.onnx", {**CARD, "detail": False}), threads=1)
    mask = np.zeros((200, 640), bool)
    mask[90:100, 20:600] = True
    expected, left = demo_rgb[:200].copy(), mask.copy()
    windows = plan(mask, plain.card)
    assert len(windows) > 5
    for window in windows:
        part, unknown = expected[window.box.slices], left[window.box.slices]
        fill = plain.fill(part, unknown)
        expected[window.hole.slices] = fill[window.hole.within(window.box).slices]
        left[window.hole.slices] = False
    np.testing.assert_array_equal(fill_photo(plain, demo_rgb[:200], mask), expected)


def test_the_detail_of_a_huge_hole_is_made_at_a_reduced_scale(
    engine: Engine, demo_rgb: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = np.zeros((480, 640), bool)
    mask[100:340, 200:500] = True
    monkeypatch.setattr(photo, "DETAIL_PIXELS", 100_000)  # of 307,200
    result = fill_photo(engine, demo_rgb, mask)
    np.testing.assert_array_equal(result[~mask], demo_rgb[~mask])
    monkeypatch.undo()
    full = fill_photo(engine, demo_rgb, mask)
    difference = np.abs(result[mask].astype(int) - full[mask])
    assert 0 < difference.mean() < 12


def test_a_report_tells_windows_and_what_to_look_at(
    engine: Engine, demo_rgb: NDArray[np.uint8]
) -> None:
    mask = np.zeros((480, 640), bool)
    mask[20:60, 20:60] = True
    mask[200:440, 300:600] = True
    report = fill_with_report(engine, demo_rgb, mask)
    np.testing.assert_array_equal(report.rgb, fill_photo(engine, demo_rgb, mask))
    assert [one.window for one in report.filled] == plan(mask, engine.card)
    assert report.confidence is None
    assert report.warnings == [
        "the hole of 300x240 pixels at 300,200 is completed at 27% of the photo's resolution: "
        "model small does holes up to about 260 pixels well"
    ]
    measured = fill_with_report(engine, demo_rgb, mask, measure=True)
    np.testing.assert_array_equal(measured.rgb, report.rgb)
    values = [one.confidence for one in measured.filled]
    assert all(value is not None and 0.5 < value <= 1 for value in values)
    assert measured.confidence == min(value for value in values if value is not None)


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


def test_a_mask_drawn_on_the_turned_image(engine: Engine) -> None:
    image = Image.new("RGB", (40, 32))
    image.getexif()[0x0112] = 6
    mask = np.zeros((40, 32), bool)
    mask[5:9, 5:9] = True
    with pytest.raises(FinefillError, match=r"one size: turn the image first, PIL\.ImageOps\.exif"):
        complete(image, mask, engine)
    assert complete(ImageOps.exif_transpose(image), mask, engine).size == (32, 40)


def test_images_without_pixels(engine: Engine) -> None:
    for image in (np.zeros((0, 0, 3), np.uint8), Image.new("RGB", (0, 0))):
        with pytest.raises(FinefillError, match="0x0"):
            complete(image, np.zeros((0, 0), bool), engine)


def test_modes_that_cannot_be_kept(engine: Engine) -> None:
    mask = np.eye(32, dtype=bool)
    with pytest.raises(FinefillError, match="mode F"):
        complete(Image.new("F", (32, 32)), mask, engine)


def test_disagreement_is_a_root_mean_square() -> None:
    fill, hole = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool)
    hole[:2] = True
    other = fill.copy()
    other[0] = 250  # half of the hole's pixels differ by 250; what lies outside does not count
    other[2:] = 99
    assert confidence.disagreement(fill, other, hole) == pytest.approx(250 / 2**0.5)


def test_confidence_falls_where_left_and_right_are_not_alike(tmp_path: Path) -> None:
    """A model that shifts what it sees: its fill of the mirror image is shifted the other way."""
    from onnx import TensorProto, helper, save

    def values(name: str, channels: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, "H", "W"])

    def ints(name: str, *numbers: int) -> Any:
        return helper.make_tensor(name, TensorProto.INT64, [len(numbers)], numbers)

    graph = helper.make_graph(
        [
            helper.make_node("Pad", ["image", "pads"], ["wide"], mode="edge"),
            helper.make_node("Slice", ["wide", "first", "last", "axis"], ["fill"]),
            helper.make_node("Identity", ["mask"], ["unused"]),
        ],
        "shift",
        [values("image", 3), values("mask", 1)],
        [values("fill", 3)],
        [
            ints("pads", 0, 0, 0, 64, 0, 0, 0, 0),
            ints("first", 0),
            ints("last", -64),
            ints("axis", 3),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = {**CARD, "detail": False}
    helper.set_model_props(model, {"finefill_card": json.dumps(card)})
    save(model, str(tmp_path / "shift.onnx"))
    shift = Engine(tmp_path / "shift.onnx", threads=1)
    mask = np.zeros((128, 128), bool)
    mask[40:88, 40:88] = True
    even = np.full((128, 128, 3), 90, np.uint8)
    assert fill_with_report(shift, even, mask, measure=True).confidence is not None
    sides = even.copy()
    sides[:, :40], sides[:, 88:] = 40, 200
    # Columns 40 to 87 come from 64 pixels left or right: 40 mostly, and from there 0 or the hole.
    report = fill_with_report(shift, sides, mask, measure=True)
    assert report.confidence is not None
    assert report.confidence < 0.2
    assert report.warnings == [
        f"the hole of 48x48 pixels at 40,40: low confidence ({report.confidence:.2f}): look at it"
    ]
    # The same fills of a model whose card says that so much is usual.
    unlike = confidence.DOUBT * (1 / report.confidence - 1)
    helper.set_model_props(model, {"finefill_card": json.dumps({**card, "doubt": 3 * unlike})})
    save(model, str(tmp_path / "bolder.onnx"))
    bolder = Engine(tmp_path / "bolder.onnx", threads=1)
    report = fill_with_report(bolder, sides, mask, measure=True)
    assert report.confidence == pytest.approx(0.75)
    assert report.warnings == []


def test_values_of_a_pillow_mask(engine: Engine, demo_rgb: NDArray[np.uint8]) -> None:
    part = demo_rgb[:64, :64]
    erased = np.full((64, 64, 4), 255, np.uint8)
    erased[20:30, 20:30, 3] = 0
    mask = Image.fromarray(erased)
    hole = np.zeros((64, 64), bool)
    hole[20:30, 20:30] = True
    by_values = complete(part, mask, engine, values=["transparent"])
    np.testing.assert_array_equal(by_values, complete(part, hole, engine))
    np.testing.assert_array_equal(by_values[~hole], part[~hole])
    with pytest.raises(FinefillError, match="choose from a Pillow mask: compare an array"):
        complete(part, hole, engine, values=["1"])
    with pytest.raises(FinefillError, match=r"a text, 'transparent': give a list"):
        complete(part, mask, engine, values="transparent")
