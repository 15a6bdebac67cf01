"""Tiles and panoramas: where they are cut, and that their fills meet at the border."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from finefill import Engine, FinefillError, complete, load
from finefill.completion.photo import fill_photo, fill_with_report
from finefill.completion.plan import Box, Window
from finefill.completion.wrap import Wrap, moved, shift_of
from tests.cli.test_use import run
from tests.completion.pictures import Mask, drawn

ACROSS = drawn((64, 96), (20, 0, 24, 12), (20, 84, 24, 12))


@pytest.mark.parametrize(
    ("mask", "wrap", "shift"),
    [
        # Columns 3 to 8 of 12 are free: cut before column 6, which becomes the first.
        (drawn((10, 12), (4, 0, 2, 3), (4, 9, 2, 3)), "x", (0, 6)),
        # Columns 5 to 11 and 0 to 1, nine in a row around the border: cut before 5 + 9 // 2 = 9.
        (drawn((10, 12), (4, 2, 2, 3)), "x", (0, 3)),
        # Rows 6 to 9 and 0 to 3, eight: cut before row 6 + 4 = 10, which is the border itself.
        (drawn((10, 12), (4, 2, 2, 3)), "y", (0, 0)),
        (drawn((10, 12), (0, 2, 2, 3)), "y", (4, 0)),  # rows 2 to 9: before row 6; 10 - 6
        (drawn((10, 12), (0, 2, 2, 3)), "xy", (4, 3)),
        (drawn((10, 12), (0, 2, 2, 3)), None, (0, 0)),
        # No column is free; 7 and 8 have one masked pixel, the others three: cut before column 8.
        (drawn((10, 12), (0, 0, 1, 12), (4, 0, 2, 7), (4, 9, 2, 3)), "x", (0, 4)),
        (drawn((10, 12), (4, 0, 2, 12)), "x", (0, 0)),  # all alike: as it is
    ],
)
def test_cut_is_far_from_holes(mask: Mask, wrap: Wrap | None, shift: tuple[int, int]) -> None:
    assert shift_of(mask, wrap) == shift


def test_windows_are_told_in_pixels_of_the_photograph() -> None:
    window = Window(Box(2, 8, 3, 11), Box(4, 6, 4, 9), (6, 8), known=(Box(2, 3, 3, 4),))
    assert moved(window, (0, 0), (10, 12)) == window
    assert moved(window, (4, 6), (10, 12)) == Window(
        Box(8, 14, 9, 17), Box(0, 2, 10, 15), (6, 8), known=(Box(8, 9, 9, 10),)
    )


def step(image: NDArray[np.uint8], rows: slice) -> float:
    """The mean absolute difference of the last column to the first, over some rows."""
    return float(np.abs(image[rows, 0].astype(float) - image[rows, -1]).mean())


def test_stripes_go_on_across_the_border() -> None:
    # 3 periods in 96 columns; steepest, 60 * 2 pi 3 / 96 a pixel, at the border.
    wave = 128 + 60 * np.sin(2 * np.pi * 3 * (np.arange(96) + 0.5) / 96)
    truth = np.broadcast_to(np.rint(wave).astype(np.uint8)[None, :, None], (64, 96, 3)).copy()
    damaged = np.where(ACROSS[..., None], 255, truth).astype(np.uint8)
    filled = complete(damaged, ACROSS, wrap="x")
    np.testing.assert_array_equal(filled[~ACROSS], truth[~ACROSS])
    # No two neighbours of the truth differ by more than its slope and one level for rounding.
    assert step(filled, slice(20, 44)) <= 60 * 2 * np.pi * 3 / 96 + 1


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_tile_of_the_demo_photo_shows_no_seam(demo_rgb: NDArray[np.uint8], axis: Wrap) -> None:
    part = demo_rgb[260:480, :400].astype(float)
    weight = np.linspace(0, 1, 80)[None, :, None]
    blended = part[:, :320].copy()
    blended[:, :80] = part[:, 320:] * (1 - weight) + part[:, :80] * weight
    tile, mask = (
        np.rint(blended).astype(np.uint8),
        drawn((220, 320), (80, 0, 60, 30), (80, 290, 60, 30)),
    )
    given = (tile, mask) if axis == "x" else (tile.swapaxes(0, 1).copy(), mask.T.copy())
    steps = []
    for wrap in (None, axis):
        found = complete(*given, wrap=wrap)
        np.testing.assert_array_equal(found[~given[1]], given[0][~given[1]])
        upright = found if axis == "x" else found.swapaxes(0, 1)
        steps.append(step(upright, slice(80, 140)))
        inside = np.abs(np.diff(upright[80:140].astype(float), axis=1)).mean()
    assert steps[1] < steps[0]
    assert steps[1] < step(tile, slice(80, 140))
    assert steps[1] <= inside < steps[0]  # not larger than between other neighbours


def test_same_as_the_rolled_photograph(engine: Engine, demo_rgb: NDArray[np.uint8]) -> None:
    image = demo_rgb[:64, :96].copy()
    before = image.copy()
    rolled = fill_photo(engine, np.roll(image, 48, 1), np.roll(ACROSS, 48, 1))
    report = fill_with_report(engine, image, ACROSS, wrap="x")
    np.testing.assert_array_equal(report.rgb, np.roll(rolled, -48, 1))
    np.testing.assert_array_equal(image, before)
    assert [one.window.hole for one in report.filled] == [Box(20, 44, 84, 108)]
    assert report.warnings == []


def test_of_the_photo_as_it_is_shown(engine: Engine, demo_rgb: NDArray[np.uint8]) -> None:
    stored = Image.fromarray(demo_rgb[:96, :64])
    stored.getexif()[0x0112] = 6  # shown turned by 90 degrees: 96x64
    shown = ImageOps.exif_transpose(stored)
    mask = Image.fromarray(ACROSS).transpose(Image.Transpose.ROTATE_90)  # as the photo is stored
    found = complete(stored, mask, engine, wrap="x").transpose(Image.Transpose.ROTATE_270)
    expected = complete(np.asarray(shown), ACROSS, engine, wrap="x")
    np.testing.assert_array_equal(np.asarray(found), expected)


def test_a_hole_all_across_is_told(engine: Engine, demo_rgb: NDArray[np.uint8]) -> None:
    mask = drawn((64, 96), (20, 0, 8, 96))
    with pytest.warns(UserWarning, match="wrap x: no column is free of holes"):
        complete(demo_rgb[:64, :96].copy(), mask, engine, wrap="xy")


def test_what_is_no_border(
    engine: Engine,
    demo_rgb: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(FinefillError, match=r"^wrap: 'yx': use one of x, y, xy$"):
        complete(demo_rgb[:64, :96].copy(), ACROSS, engine, wrap="yx")  # type: ignore[call-overload]  # wrong on purpose
    photo, mask, out = tmp_path / "a.png", tmp_path / "m.png", tmp_path / "o.png"
    Image.fromarray(demo_rgb[:64, :96]).save(photo)
    Image.fromarray(ACROSS).save(mask)
    command = ["complete", str(photo), "--mask", str(mask), "-o", str(out)]
    assert run(monkeypatch, *command, "--wrap", "z") == 2
    assert "'z' is not one of 'x', 'y', 'xy'" in capsys.readouterr().err
    assert not out.exists()
    assert run(monkeypatch, *command, "--wrap", "x") == 0
    expected = complete(demo_rgb[:64, :96].copy(), ACROSS, load("places"), wrap="x")
    np.testing.assert_array_equal(np.asarray(Image.open(out)), expected)
