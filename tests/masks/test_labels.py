"""What masks of other values than black and white say: labels, palettes, 16 bits, alpha, soft."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

import finefill
from finefill import Engine, FinefillError
from finefill.masks import binarize, of_image, read_mask

SIZE = (240, 320)
PLACES = ((20, 20), (80, 60), (150, 90), (30, 120))  # x, y of four objects of 30x30
HOLE = np.zeros(SIZE, bool)
for left, top in PLACES:
    HOLE[top : top + 30, left : left + 30] = True


def objects(*values: int, ground: int = 0, kind: Any = np.uint8) -> NDArray[Any]:
    """The four objects, each of its value."""
    drawn = np.full(SIZE, ground, kind)
    for value, (x, y) in zip(values, PLACES, strict=True):
        drawn[y : y + 30, x : x + 30] = value
    return drawn


def coloured(*colours: tuple[int, int, int], ground: tuple[int, int, int]) -> NDArray[np.uint8]:
    drawn = np.full((*SIZE, 3), ground, np.uint8)
    for colour, (x, y) in zip(colours, PLACES, strict=True):
        drawn[y : y + 30, x : x + 30] = colour
    return drawn


def voc(indices: NDArray[np.uint8]) -> Image.Image:
    """With the palette of Pascal VOC: bit k of an index is bit 7 - k // 3 of channel k % 3."""
    image = Image.fromarray(indices)
    image.putpalette(
        [
            sum(((index >> (3 * level + channel)) & 1) << (7 - level) for level in range(3))
            for index in range(256)
            for channel in range(3)
        ]
    )
    return image


def encoded(image: Image.Image | NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    drawn = image if isinstance(image, Image.Image) else Image.fromarray(image)
    drawn.save(buffer, kind, **options)
    return buffer.getvalue()


RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
LABELS = {
    "numbers": (encoded(objects(30, 90, 150, 210)), "0 is completed: 30, 90, 150, 210"),
    "small numbers": (encoded(objects(1, 2, 3, 4)), "0 is completed: 1, 2, 3, 4"),
    "VOC": (encoded(voc(objects(15, 9, 1, 20))), "0 is completed: 1, 9, 15, 20"),
    "16 bits": (
        encoded(objects(300, 1000, 26001, 3, kind=np.uint16)),
        "0 is completed: 3, 300, 1000, 26001",
    ),
    "colours": (
        encoded(coloured(RED, GREEN, BLUE, YELLOW, ground=(0, 0, 0))),
        "#000000 is completed: #0000FF, #00FF00, #FF0000, #FFFF00",
    ),
    "colours on white": (
        encoded(coloured(RED, GREEN, BLUE, YELLOW, ground=(255, 255, 255))),
        "#FFFFFF is completed: ",
    ),
    "inverted": (encoded(objects(45, 105, 165, 0, ground=255)), "255 is completed: 0, 45, 105"),
    "TIFF": (encoded(objects(7, 7, 9, 200), "TIFF"), "0 is completed: 7, 9, 200"),
    "GIF": (encoded(objects(30, 90, 150, 210), "GIF"), "0 is completed: "),
    "BMP": (encoded(objects(30, 90, 150, 210), "BMP"), "0 is completed: 30"),
    "lossless WebP": (
        encoded(Image.fromarray(objects(1, 2, 3, 4)).convert("RGB"), "WEBP", lossless=True),
        "0 is completed: 1, 2, 3, 4",
    ),
}


@pytest.mark.parametrize("case", LABELS)
def test_all_labels_but_the_background_are_completed(case: str) -> None:
    data, told = LABELS[case]
    with pytest.warns(UserWarning, match="label mask") as caught:
        found = read_mask(data, SIZE)
    assert len(caught) == 1
    assert told in str(caught[0].message)
    np.testing.assert_array_equal(found, HOLE)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("quality", [40, 80])
@pytest.mark.parametrize("colour", [False, True])
def test_labels_survive_lossy_compression(kind: str, quality: int, colour: bool) -> None:
    drawn = objects(40, 90, 150, 210)
    if colour:
        drawn = coloured(RED, GREEN, BLUE, YELLOW, ground=(0, 0, 0))
    with pytest.warns(UserWarning, match="a label mask of 5 values"):
        found = read_mask(
            encoded(Image.fromarray(drawn).convert("RGB"), kind, quality=quality), SIZE
        )
    edge = np.asarray(Image.fromarray(HOLE).convert("L").filter(ImageFilter.MaxFilter(9))) > 0
    assert found[HOLE].mean() > 0.98
    assert not found[~edge].any()


@pytest.mark.parametrize("what", ["L", "P"])
def test_the_border_of_voc_belongs_to_the_object(what: str) -> None:
    labels = objects(15, 9, 1, 20)
    wide = np.asarray(Image.fromarray(HOLE).convert("L").filter(ImageFilter.MaxFilter(7))) > 0
    labels[wide & ~HOLE] = 255
    image = voc(labels) if what == "P" else Image.fromarray(labels)
    with pytest.warns(UserWarning, match=r"0 is completed: 1, 9, 15, 20, 255 \(255: the border"):
        np.testing.assert_array_equal(read_mask(encoded(image), SIZE), wide)
    found = read_mask(encoded(image), SIZE, values=["9", "15"])
    np.testing.assert_array_equal(found, (labels == 9) | (labels == 15))


def test_a_value_or_colour_is_chosen() -> None:
    found = read_mask(encoded(objects(30, 90, 150, 210)), SIZE, values=["90"])
    np.testing.assert_array_equal(found, objects(0, 1, 0, 0) > 0)
    data = encoded(coloured(RED, GREEN, BLUE, YELLOW, ground=(0, 0, 0)))
    found = read_mask(data, SIZE, values=["#FF0000", "blue"])
    np.testing.assert_array_equal(found, objects(1, 0, 1, 0) > 0)
    found = read_mask(encoded(voc(objects(15, 9, 1, 20))), SIZE, values=["#800000"])
    np.testing.assert_array_equal(found, objects(0, 0, 1, 0) > 0)
    found = read_mask(encoded(objects(0, 0, 0, 0, ground=255)), SIZE, values=["0"])
    np.testing.assert_array_equal(found, HOLE)
    for value, message in (
        ("#111111", "no pixel has it: choose from #000000, #"),
        ("red-ish", "give a number, or a colour"),
    ):  # fmt: skip
        with pytest.raises(FinefillError, match=rf"--mask-value {value}: {message}"):
            read_mask(data, SIZE, values=[value])
    with pytest.raises(FinefillError, match="--mask-value 7: no pixel has it: choose from 0, 30"):
        read_mask(encoded(objects(30, 90, 150, 210)), SIZE, values=["7"])
    with pytest.raises(FinefillError, match="the mask has colours: give one as #RRGGBB"):
        read_mask(data, SIZE, values=["3"])


def test_a_scene_without_background_is_refused() -> None:
    scene = np.zeros(SIZE, np.uint8)
    scene[:100], scene[100:150], scene[150:], scene[150:200, 50:150] = 3, 2, 12, 21
    with pytest.raises(FinefillError, match=r"none of whose 4 values is plainly the background.*"
                       "--mask-value from 2, 3, 12, 21"):  # fmt: skip
        read_mask(encoded(scene), SIZE)
    np.testing.assert_array_equal(read_mask(encoded(scene), SIZE, values=["21"]), scene == 21)


ONE = objects(0, 1, 0, 0) > 0
TWO_VALUES = {
    "0 and 1": ONE.astype(np.uint8),
    "0 and 57": ONE * np.uint8(57),
    "16 bits, 0 and 1": ONE.astype(np.uint16),
    "16 bits, 0 and 255": ONE * np.uint16(255),
    "16 bits, 0 and 4095": ONE * np.uint16(4095),
    "16 bits, 0 and 65535": ONE * np.uint16(65535),
    "32 bits": ONE * np.int32(70000),
    "floats": ONE.astype(np.float32),
    "red": ONE[..., None] * np.array((255, 0, 0), np.uint8),
    "dark blue": ONE[..., None] * np.array((0, 0, 90), np.uint8),
}


@pytest.mark.parametrize("case", TWO_VALUES)
def test_of_two_values_the_larger_is_completed(case: str) -> None:
    drawn = TWO_VALUES[case]
    kind = "TIFF" if drawn.dtype.itemsize == 4 else "PNG"
    np.testing.assert_array_equal(read_mask(encoded(drawn, kind), SIZE), ONE)
    if drawn.ndim == 2:
        np.testing.assert_array_equal(binarize(drawn), ONE)
        np.testing.assert_array_equal(of_image(Image.fromarray(drawn)), ONE)


@pytest.mark.parametrize("kind", ["RGB", "LA"])
def test_colours_of_16_bits(kind: str) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    grey = ONE * np.uint16(65535)
    planes = [grey] * 3 if kind == "RGB" else [grey, np.full_like(grey, 65535)]
    data = imagecodecs.png_encode(np.dstack(planes))
    np.testing.assert_array_equal(read_mask(data, SIZE), ONE)


def test_one_object_of_voc() -> None:
    np.testing.assert_array_equal(read_mask(encoded(voc(ONE * np.uint8(1))), SIZE), ONE)


def test_two_values_far_from_black_and_white_are_told() -> None:
    with pytest.warns(UserWarning, match="its two values are 150 and 200: the larger"):
        np.testing.assert_array_equal(read_mask(encoded(objects(150, 200, 150, 150, ground=150)),
                                                SIZE), ONE)  # fmt: skip


def test_lossy_noise_on_black_is_no_mask() -> None:
    noise = np.random.default_rng(0).integers(0, 4, SIZE).astype(np.uint8)
    for kind in ("JPEG", "WEBP"):
        with pytest.raises(FinefillError, match="the mask is empty"):
            read_mask(encoded(Image.fromarray(noise).convert("RGB"), kind, quality=95), SIZE)


def coverage() -> NDArray[np.float64]:
    """A disc, anti-aliased: the share of each pixel that it covers."""
    large = Image.new("L", (4 * SIZE[1], 4 * SIZE[0]))
    ImageDraw.Draw(large).ellipse((480, 320, 720, 560), fill=255)
    return np.asarray(large.resize(SIZE[::-1], Image.Resampling.BOX)) / 255


def test_brushes_on_transparent_ground() -> None:
    share = coverage()
    alpha = np.rint(share * 160)[..., None]
    # As a canvas stores it: premultiplied and rounded, so that the rim's colours differ.
    violet = np.rint(np.rint(np.array((138, 43, 226)) * alpha / 255) * 255 / np.maximum(alpha, 1))
    white = np.full((*SIZE, 3), 255.0)
    for colours, opaque in ((violet, alpha), (white, np.rint(share * 102)[..., None])):
        data = encoded(np.dstack([colours, opaque]).astype(np.uint8))
        with pytest.warns(UserWarning, match="alpha channel: opaque = complete"):
            found = read_mask(data, SIZE)
        assert found[share > 0.52].all()
        assert not found[share < 0.48].any()


def test_two_brushes_on_transparent_ground() -> None:
    drawn = np.zeros((*SIZE, 4), np.uint8)
    drawn[ONE] = (138, 43, 226, 160)
    drawn[20:50, 20:50] = (255, 255, 0, 160)
    with pytest.warns(UserWarning, match="alpha channel"):
        found = read_mask(encoded(drawn), SIZE)
    np.testing.assert_array_equal(found, objects(1, 1, 0, 0) > 0)


def test_black_and_white_on_transparent_ground() -> None:
    drawn = np.zeros((*SIZE, 4), np.uint8)
    drawn[100:] = (0, 0, 0, 255)
    drawn[150:180, 100:200] = (255, 255, 255, 255)
    expected = np.zeros(SIZE, bool)
    expected[150:180, 100:200] = True
    with pytest.warns(UserWarning, match="its opaque black is kept"):
        np.testing.assert_array_equal(read_mask(encoded(drawn), SIZE), expected)


def test_a_photograph_with_an_erased_part(demo_rgb: NDArray[np.uint8]) -> None:
    rgb = demo_rgb[: SIZE[0], : SIZE[1]]
    drawn = np.dstack([rgb, np.where(ONE, 0, 255).astype(np.uint8)])
    with pytest.warns(UserWarning, match="what is transparent is completed"):
        np.testing.assert_array_equal(read_mask(encoded(drawn), SIZE), ONE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("radius", [1, 5, 20, 40])
def test_soft_edges(kind: str, radius: int) -> None:
    """A straight edge, blurred, crosses half of white where it was."""
    drawn = np.zeros((480, 640), np.uint8)
    drawn[120:360, 160:480] = 255
    soft = Image.fromarray(drawn).filter(ImageFilter.GaussianBlur(radius))
    found = read_mask(encoded(soft, kind, quality=90), (480, 640))
    assert found.sum() == pytest.approx(240 * 320, rel=0.08)  # round corners
    assert np.flatnonzero(found[240])[[0, -1]] == pytest.approx([160, 479], abs=1)
    assert np.flatnonzero(found[:, 320])[[0, -1]] == pytest.approx([120, 359], abs=1)


def test_gradients_are_no_labels() -> None:
    """Each of 256 values lies on a stripe of five columns."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 5)[None].repeat(200, 0)
    np.testing.assert_array_equal(read_mask(encoded(ramp), ramp.shape), ramp >= 128)


def test_a_dark_soft_mask_is_told() -> None:
    soft = np.rint(coverage() * 100).astype(np.uint8)
    soft = np.asarray(Image.fromarray(soft).filter(ImageFilter.GaussianBlur(30)))
    with pytest.warns(UserWarning, match=rf"its brightest pixel has {soft.max()} of 255"):
        found = read_mask(encoded(soft), SIZE)
    np.testing.assert_array_equal(found, soft >= (int(soft.max()) + 1) // 2)


def test_a_trimap_is_taken_from_its_middle_grey_on() -> None:
    trimap = np.zeros(SIZE, np.uint8)
    trimap[50:150, 50:150], trimap[60:140, 60:140] = 128, 255
    with pytest.warns(UserWarning, match="0 is completed: 128, 255"):
        np.testing.assert_array_equal(read_mask(encoded(trimap), SIZE), trimap > 0)
    # One of two pixels is a soft edge.
    trimap[50:150, 50:150], trimap[52:148, 52:148] = 128, 255
    np.testing.assert_array_equal(read_mask(encoded(trimap), SIZE), trimap > 0)


def test_thin_lines_of_labels() -> None:
    lines = Image.new("L", SIZE[::-1])
    draw = ImageDraw.Draw(lines)
    for value, corners in (
        (3, (10, 10, 300, 200)),
        (7, (10, 200, 90, 120)),
        (200, (200, 9, 210, 99)),
    ):
        draw.line(corners, fill=value)
    with pytest.warns(UserWarning, match="0 is completed: 3, 7, 200"):
        np.testing.assert_array_equal(read_mask(encoded(lines), SIZE), np.asarray(lines) > 0)


def beside(*values: Any, channels: int = 1, kind: Any = np.uint8) -> NDArray[Any]:
    """Boxes of 60x60, each touching the next, from (20, 100) on."""
    drawn = np.zeros((*SIZE, channels), kind)
    for at, value in enumerate(values):
        drawn[100:160, 20 + 60 * at : 80 + 60 * at] = value
    return drawn[..., 0] if channels == 1 else drawn


def rows(number: int) -> NDArray[np.uint8]:
    """Lines of text under each other: each borders on the ground at its short ends alone."""
    drawn = np.zeros(SIZE, np.uint8)
    for at in range(number):
        drawn[10 + 7 * at : 17 + 7 * at, 50:130] = at + 1
    return drawn


def discs(*values: int) -> NDArray[np.uint8]:
    image = Image.new("L", SIZE[::-1])
    for at, value in enumerate(values):
        ImageDraw.Draw(image).ellipse((40 + 60 * at, 80, 100 + 60 * at, 140), fill=value)
    return np.asarray(image)


def nested() -> NDArray[np.uint8]:
    """A label within another one."""
    drawn = np.zeros(SIZE, np.uint8)
    drawn[50:150, 50:150], drawn[60:140, 60:140] = 1, 2
    return drawn


TOUCHING = {
    "two": (beside(1, 2), 7200),
    "two of unlike sizes": (np.where(np.arange(320) < 30, 1, 2) * (beside(1, 1) > 0), 7200),
    "three": (beside(1, 2, 3), 10800),
    "100 and 200": (beside(100, 200), 7200),
    "200 and 100": (beside(200, 100), 7200),
    "16 bits": (beside(300, 26001, kind=np.uint16), 7200),
    "red, green": (beside(RED, GREEN, channels=3), 7200),
    "blue, yellow": (beside(BLUE, YELLOW, channels=3), 7200),
    "small": (beside(1, 2)[::10, ::10], 72),
    "12 lines": (rows(12), 12 * 7 * 80),
    "30 lines": (rows(30), 30 * 7 * 80),
    "discs": (discs(1, 2), None),
    "bright discs": (discs(100, 200), None),
    "nested": (nested(), 10000),
}


@pytest.mark.parametrize("case", TOUCHING)
def test_labels_that_touch(case: str) -> None:
    """None of them is taken for the soft edge of the next one."""
    drawn, count = TOUCHING[case]
    expected = drawn > 0 if drawn.ndim == 2 else drawn.any(axis=2)
    assert count in (None, np.count_nonzero(expected))
    if drawn.dtype == np.int64:
        drawn = drawn.astype(np.uint8)
    with pytest.warns(UserWarning, match="label mask"):
        found = read_mask(encoded(drawn), expected.shape)
    np.testing.assert_array_equal(found, expected)
    if drawn.ndim == 2:
        with pytest.warns(UserWarning, match="label mask"):
            np.testing.assert_array_equal(binarize(drawn), expected)


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.integers(1, 65535), min_size=4, max_size=4, unique=True),
    ground=st.sampled_from([0, 65535]),
)
def test_arrays_of_labels(values: list[int], ground: int) -> None:
    """Whatever their numbers, all of them are completed."""
    if ground in values:
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drawn = objects(*values, ground=ground, kind=np.uint16)
        found = read_mask(encoded(drawn), SIZE)
    np.testing.assert_array_equal(found, HOLE)
    assert "label mask" in str(caught[0].message)


def test_labels_in_python(engine: Engine, demo_rgb: NDArray[np.uint8]) -> None:
    image = demo_rgb[: SIZE[0], : SIZE[1]]
    expected = finefill.complete(image, HOLE, engine)
    for mask in (
        objects(30, 90, 150, 200), objects(1, 2, 3, 400, kind=np.int64),
        objects(1, 2, 3, 4, kind=np.float32), Image.fromarray(objects(30, 90, 150, 200)),
        voc(objects(15, 9, 1, 20)),
    ):  # fmt: skip
        with pytest.warns(UserWarning, match="label mask of 5 values"):
            np.testing.assert_array_equal(finefill.complete(image, mask, engine), expected)
    for plain in (HOLE.astype(np.uint8), HOLE * 255, HOLE * 0.7, HOLE[..., None]):
        np.testing.assert_array_equal(finefill.complete(image, plain, engine), expected)
    found = finefill.complete(image, Image.fromarray(HOLE.astype(np.uint8)), engine)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("largest", "remedy"), [(9, "8-bit grey without values below 0"), (300, "16-bit grey without")]
)
def test_values_below_zero_are_told_with_a_remedy_that_holds_them(
    largest: int, remedy: str
) -> None:
    drawn = objects(-1, 1, 2, largest, kind=np.int32)
    buffer = io.BytesIO()
    Image.fromarray(drawn).save(buffer, "TIFF")
    with pytest.raises(
        FinefillError, match=f"values run from -1 to {largest}: save it as {remedy}"
    ):
        read_mask(buffer.getvalue(), SIZE)


def test_pillow_masks_by_their_values() -> None:
    drawn = objects(15, 9, 1, 20)
    np.testing.assert_array_equal(of_image(Image.fromarray(drawn), ["9"]), drawn == 9)
    rgba = np.dstack([drawn] * 3 + [np.where(drawn == 15, 0, 255).astype(np.uint8)])
    found = of_image(Image.fromarray(rgba), ["transparent"])
    np.testing.assert_array_equal(found, drawn == 15)
