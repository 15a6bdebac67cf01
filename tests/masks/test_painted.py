"""What is painted over in the photo itself: hard edges, smeared ones, soft brushes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from finefill import FinefillError
from finefill.completion import fill_photo, load
from finefill.files import photo_of, read_photo
from finefill.masks import grow
from finefill.masks.painted import colour, erased

RED = (255, 0, 0)
BOX = np.zeros((240, 320), bool)
BOX[100:140, 100:200] = True


def decoded(rgb: NDArray[np.uint8], kind: str, **options: Any) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind, **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


def red(rgb: NDArray[np.uint8]) -> int:
    """Pixels that look red."""
    channels = rgb.astype(int)
    return int((channels[..., 0] - channels[..., 1:].max(axis=2) > 60).sum())


@pytest.fixture(scope="module")
def meadow(demo_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return demo_rgb[220:460, 200:520]


def brushed(
    rgb: NDArray[np.uint8], paint: tuple[int, int, int], softness: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The photo under a soft brush's stroke, and how much of each pixel is paint."""
    stroke = Image.new("L", (rgb.shape[1], rgb.shape[0]))
    ImageDraw.Draw(stroke).line((80, 90, 240, 150), fill=255, width=round(14 + 2 * softness))
    stroke = stroke.filter(ImageFilter.GaussianBlur(softness))
    image = Image.fromarray(rgb)
    image.paste(paint, (0, 0), stroke)
    return np.asarray(image), np.asarray(stroke) / 255


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 92}), ("JPEG", {"quality": 60}), ("WEBP", {"quality": 85}),
        ("JPEG", {"quality": 92, "subsampling": "4:2:2"}),
    ],
)  # fmt: skip
def test_what_sampling_smears_belongs_to_it(
    meadow: NDArray[np.uint8], kind: str, options: dict[str, Any]
) -> None:
    """Colour is stored for two by two pixels, and two beside an edge get some of it."""
    image = decoded(np.where(BOX[..., None], np.uint8(RED), meadow), kind, **options)
    found = colour(image, "#FF0000")
    assert found[grow(BOX, 2)].mean() > 0.95
    assert not found[~grow(BOX, 6)].any()
    assert red(fill_photo(load("places"), image, found)) <= 2


def test_a_hard_edge_is_widened_by_a_pixel_in_lossy_files(meadow: NDArray[np.uint8]) -> None:
    image = np.where(BOX[..., None], np.uint8(RED), meadow)
    np.testing.assert_array_equal(colour(image, "red"), BOX)
    image = decoded(image, "JPEG", quality=92, subsampling="4:4:4")
    np.testing.assert_array_equal(colour(image, "red"), grow(BOX, 1))


def test_round_corners_of_a_hard_box_belong_to_it(meadow: NDArray[np.uint8]) -> None:
    """A few pixels beside it, half paint, among many that have none."""
    rows, columns = np.nonzero(BOX)
    mixed = np.zeros_like(BOX)
    mixed[rows.min() - 1, columns.min() : columns.min() + 12] = True
    image = np.where(BOX[..., None], np.uint8(RED), meadow)
    image[mixed] = (image[mixed].astype(int) + RED) // 2
    found = colour(image, "red")
    assert found[BOX | mixed].all()
    assert not found[~grow(BOX | mixed, 1)].any()


@pytest.mark.parametrize("paint", [(255, 0, 0), (0, 255, 0), (255, 0, 255), (0, 0, 255)])
@pytest.mark.parametrize("softness", [1.5, 3, 10])
def test_a_soft_brush(
    meadow: NDArray[np.uint8], paint: tuple[int, int, int], softness: float
) -> None:
    image, share = brushed(meadow, paint, softness)
    found = colour(image, "#{:02X}{:02X}{:02X}".format(*paint))
    assert found[share > 0.15].mean() > 0.99
    assert (found & (share == 0)).sum() < 0.1 * found.sum()


def test_white_and_black_strokes(meadow: NDArray[np.uint8]) -> None:
    """Texture leans to them by itself, but not around a stroke on average: its soft rim does."""
    image, share = brushed(meadow, (0, 0, 0), 3)
    found = colour(image, "black")
    assert found[share > 0.15].mean() > 0.99
    assert found[~grow(share > 0, 2)].sum() < 50  # no shades of the meadow but some beside it
    image, share = brushed(meadow, (255, 255, 255), 3)
    with pytest.warns(UserWarning, match="white is found in 2 places, .* own there too"):
        found = colour(image, "white")  # some of the snow is white too
    assert found[share > 0.15].mean() > 0.99


@pytest.mark.parametrize(
    "options", [None, {"quality": 92}, {"quality": 80, "subsampling": "4:4:4"}]
)
def test_shades_of_the_photo_are_no_black_paint(
    meadow: NDArray[np.uint8], options: dict[str, Any] | None
) -> None:
    """Half of the meadow is so dark that much of it is as near to black as the paint may be."""
    dark = meadow.copy()
    dark[:, 210:] = dark[:, 210:] // 6
    assert (np.linalg.norm(dark.astype(float), axis=2) < 30).sum() > 15000
    image = np.where(BOX[..., None], np.uint8(0), dark)
    if options:
        image = decoded(image, "JPEG", **options)
    found = colour(image, "black")
    assert found[grow(BOX, 1) if options else BOX].all()
    assert (found & ~grow(BOX, 1)).sum() < 200  # shades that touch the paint


def test_thin_black_lines_and_places_that_cannot_be_told_apart(meadow: NDArray[np.uint8]) -> None:
    line = np.zeros((240, 320), bool)
    line[60:61, 30:200] = True
    with pytest.warns(UserWarning, match="black is found in 2 places"):
        found = colour(np.where((BOX | line)[..., None], np.uint8(0), meadow), "black")
    assert found[BOX | line].all()
    assert (found & ~grow(BOX | line, 1)).sum() < 200
    more = BOX.copy()
    more[:30, 200:240] = True  # flat, and black: painted, or a black sky's
    with pytest.warns(UserWarning, match="black is found in 2 places"):
        found = colour(np.where(more[..., None], np.uint8(0), meadow), "black")
    assert found[more].all()
    assert (found & ~grow(more, 1)).sum() < 200
    corner = np.zeros_like(BOX)
    corner[:30, :40] = True
    with pytest.warns(UserWarning, match="found up to the photo's border"):
        colour(np.where(corner[..., None], np.uint8(0), meadow), "black")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_erased(meadow: NDArray[np.uint8], mode: str, orientation: int) -> None:
    """A soft eraser's rim too, or it would stay half transparent."""
    alpha = np.where(BOX, 0, 255).astype(np.uint8)
    if mode == "P":
        image = Image.fromarray(meadow).quantize(255)
        indices = np.where(BOX, 255, np.asarray(image)).astype(np.uint8)
        erased_one = Image.fromarray(indices)
        erased_one.putpalette([*(image.getpalette() or []), 0, 0, 0][:768])
        options: dict[str, Any] = {"transparency": 255}
    else:
        alpha[99, 100:200] = 200
        erased_one = Image.fromarray(meadow).convert(mode)
        erased_one.putalpha(Image.fromarray(alpha))
        options = {}
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    erased_one.save(buffer, "PNG", exif=exif, **options)
    found = erased(read_photo(buffer.getvalue()))
    expected = alpha < 255
    np.testing.assert_array_equal(found, np.rot90(expected, -1) if orientation == 6 else expected)


def test_an_opaque_photo_has_nothing_erased(meadow: NDArray[np.uint8]) -> None:
    for mode in ("RGB", "RGBA"):
        photo = photo_of(Image.fromarray(meadow).convert(mode))
        with pytest.raises(FinefillError, match=r"^p\.png: nothing in it is transparent"):
            erased(photo, "p.png")


def test_what_still_leans_to_the_colour_is_told(meadow: NDArray[np.uint8]) -> None:
    rows = np.abs(np.arange(240) - 120) / 120  # 1.05 - 1.5 rows: 76 pixels to nothing
    share = np.clip(1.05 - 1.5 * rows, 0, 1)[:, None, None]
    image = np.rint(meadow * (1 - share) + np.array(RED) * share).astype(np.uint8)
    with pytest.warns(UserWarning, match=r"^p\.jpg: around what is painted in #FF0000.*--grow"):
        colour(image, "#FF0000", name="p.jpg")
