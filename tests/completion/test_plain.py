"""Holes on one colour or plane, and photographs on one curve of colours."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import finefill
from finefill import Engine
from finefill.completion import plain
from finefill.completion.photo import fill_with_report
from finefill.completion.plan import plan
from tests.conftest import CARD


class NoNetwork(Engine):
    """An engine that must not be asked."""

    def fill_many(self, images: Any, masks: Any) -> Any:
        assert not images, "the network was asked"
        return []


@pytest.fixture
def none(model_path: Path) -> Engine:
    return NoNetwork(model_path, threads=1)


def hole(shape: tuple[int, ...], *boxes: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Boxes of left, top, width, height."""
    mask = np.zeros(shape[:2], bool)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = True
    return mask


@pytest.mark.parametrize(
    "colour", [(255, 235, 59), (18, 120, 200), (240, 240, 240), (255, 255, 255), (0, 0, 0)]
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_text_on_one_colour(none: Engine, colour: tuple[int, int, int], kind: str) -> None:
    page = Image.new("RGB", (400, 300), colour)
    ink = (255 - colour[0], 255 - colour[1], 255 - colour[2])
    ImageDraw.Draw(page).text((160, 115), "Hello text", fill=ink)
    buffer = io.BytesIO()
    page.save(buffer, kind, quality=90)
    image = np.asarray(Image.open(buffer))
    mask = hole(image.shape, (150, 100, 100, 50), (0, 250, 30, 50))  # and one at the corner
    result = finefill.complete(image, mask, none)
    assert (result[mask] == image[10, 10]).all()
    np.testing.assert_array_equal(result[~mask], image[~mask])


def test_a_plane_goes_on(none: Engine) -> None:
    rows, columns = np.mgrid[:200, :300]
    plane = np.stack([40 + rows * 0.5, 200 - columns * 0.4, 90 + 0.2 * (rows + columns)], axis=2)
    truth = np.rint(plane).astype(np.uint8)
    mask = hole(truth.shape, (60, 50, 120, 80), (200, 20, 9, 9))
    image = np.where(mask[..., None], np.uint8(7), truth)
    found = finefill.complete(image, mask, none)
    assert np.abs(found.astype(int) - truth).max() <= 1
    assert (found[mask] == truth[mask]).mean() > 0.9


def test_a_plane_is_not_drawn_beyond_its_ring(engine: Engine) -> None:
    """At the border nothing says that a gradient goes on: that is the network's."""
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None], 120, 0)
    image = np.repeat(ramp[..., None], 3, axis=2)
    mask = hole(image.shape, (0, 40, 40, 40))
    windows = plan(mask, CARD)
    assert plain.fill(image.copy(), mask.copy(), windows) == windows


def test_holes_of_one_group_that_are_plain_and_not(
    engine: Engine, demo_rgb: NDArray[np.uint8]
) -> None:
    image = demo_rgb[200:400, 100:300].copy()
    image[:, 100:] = (250, 250, 250)
    mask = hole(image.shape, (60, 60, 30, 30), (110, 60, 30, 30))
    right = hole(image.shape, (110, 60, 30, 30))
    result = fill_with_report(engine, image, mask, measure=True)
    assert (result.rgb[right] == 250).all()
    assert (result.rgb[mask & ~right] != 250).any()
    only = fill_with_report(engine, image, right, measure=True)
    assert only.confidence == 1.0
    assert [one.window.hole for one in only.filled] == [plan(right, CARD)[0].hole]


def test_texture_is_not_plain(demo_rgb: NDArray[np.uint8]) -> None:
    """Grain of one and a half levels is a photograph's, and its fill must have it too."""
    noise = np.random.default_rng(0).normal(0, 1.5, (120, 120, 3))
    sky = np.rint(np.array((90, 140, 220)) + noise).astype(np.uint8)
    mask = hole(sky.shape, (40, 40, 40, 40))
    windows = plan(mask, CARD)
    assert plain.fill(sky, mask.copy(), windows) == windows


def test_black_and_white_stays_grey(engine: Engine, demo_rgb: NDArray[np.uint8]) -> None:
    grey = np.asarray(Image.fromarray(demo_rgb).convert("L").convert("RGB"))
    mask = hole(grey.shape, (250, 170, 90, 80), (420, 300, 100, 80))
    for model in (engine, "places"):
        filled = finefill.complete(grey, mask, model)[mask]
        assert (filled == filled[:, :1]).all()
        assert filled.std() > 1


@pytest.mark.parametrize("dark", [(30, 18, 8), (0, 20, 60)])
@pytest.mark.parametrize("quality", [None, 85])
def test_toned_photographs_stay_on_their_curve(
    demo_rgb: NDArray[np.uint8], dark: tuple[int, int, int], quality: int | None
) -> None:
    """Sepia and cyanotype: from a dark tone to a light one."""
    light = np.array((255, 240, 205)) if dark[0] else np.array((240, 250, 255))
    grey = np.asarray(Image.fromarray(demo_rgb).convert("L")) / 255
    image = np.rint(np.array(dark) + grey[..., None] * (light - dark)).astype(np.uint8)
    if quality:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        image = np.asarray(Image.open(buffer))
    mask = hole(image.shape, (250, 170, 90, 80), (420, 300, 100, 80))
    filled = finefill.complete(image, mask)[mask]
    way = light - dark
    share = (filled - np.array(dark)) @ way / (way @ way)
    away = np.abs(filled - (np.array(dark) + share[:, None] * way)).max(axis=1)
    assert away.max() < (1 if quality is None else 8)


def test_colours_are_left_alone(demo_rgb: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    known = np.ones((80, 80), bool)
    fill = demo_rgb[:20, :20]
    assert plain.toned(fill, noise, known) is fill
    assert plain.toned(fill, noise, ~known) is fill
    grey = noise[..., :1].repeat(3, axis=2)
    grey[:8] = (200, 60, 60)  # a tenth is a red thing
    assert plain.toned(fill, grey, known) is fill


@pytest.mark.parametrize(
    ("mode", "colour"),
    [("L", 77), ("LA", (77, 255)), ("RGBA", (18, 120, 200, 255)), ("CMYK", (10, 20, 30, 120)),
     ("CMYK", (0, 0, 0, 200)), ("YCbCr", (100, 90, 160)), ("I;16", 12345), ("1", 1)],
)  # fmt: skip
@pytest.mark.parametrize("orientation", [1, 6])
def test_one_colour_in_its_own_samples(
    none: Engine, mode: str, colour: Any, orientation: int
) -> None:
    """Black ink alone stays black ink, though three others would look the same."""
    page = Image.new(mode, (160, 120), colour)
    page.getexif()[0x0112] = orientation
    mask = hole((120, 160), (50, 40, 60, 40))
    result = np.asarray(finefill.complete(page, mask, none))
    np.testing.assert_array_equal(result, np.asarray(page))
