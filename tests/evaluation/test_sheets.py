"""Contact sheets."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from finefill.evaluation import kinds, protocol, sheets
from finefill.evaluation.baselines import load_baseline
from tests.evaluation.sets import CENTER, grey


class TestSheet:
    def test_every_tile_is_where_it_belongs(self) -> None:
        images = np.stack([grey(10 * i) for i in range(15)])
        test = protocol.TestSet(tuple("abcdefghijklmno"), images, "", 0)
        holes = kinds.make_masks("center", 15)
        shown = sheets.pick(15, 24, seed=0)
        assert shown == list(range(15))
        result = protocol.evaluate(test, holes, load_baseline("mean"), keep=shown)
        sheet = np.asarray(sheets.contact_sheet(test, holes, {"mean": result}, shown))
        tile = 128 + sheets.GAP
        block = sheets.HEADER + 3 * tile + sheets.GAP
        assert sheet.shape == (2 * block, sheets.LABEL_WIDTH + 12 * tile + sheets.GAP, 3)
        # Image 13 is the second of the second block.
        y, x = block + sheets.HEADER, sheets.LABEL_WIDTH + tile
        original, damaged, completed = (
            sheet[y + row * tile : y + row * tile + 128, x : x + 128] for row in range(3)
        )
        assert np.array_equal(original, images[13])
        assert np.array_equal(damaged, protocol.corrupt(images[13], CENTER, 255))
        assert np.array_equal(completed, result.completions[13])
        labels = sheet[y : y + 3 * tile, : sheets.LABEL_WIDTH]
        assert all((labels[row * tile : row * tile + 128] < 100).any() for row in range(3))

    def test_best_and_worst_by_psnr(self) -> None:
        values = {"psnr": np.array([3.0, 9.0, 1.0, 5.0, 7.0])}
        result = protocol.MethodResult(values, np.zeros(5), {}, {}, 0)
        assert sheets.ranked(result, 2) == ([1, 4], [0, 2])
        assert sheets.ranked(result, 12) == ([1, 4], [0, 2])  # no image is both

    def test_the_choice_is_the_seeds(self) -> None:
        assert sheets.pick(500, 24, 0) == sheets.pick(500, 24, 0) != sheets.pick(500, 24, 1)
        assert len(set(sheets.pick(500, 24, 0))) == 24


def test_plots_have_few_colours_and_look_alike():
    figure = Figure(figsize=(4, 2))
    axes = figure.add_subplot()
    for slope in range(9):
        axes.plot([0, 1], [0, slope])
    large = io.BytesIO()
    figure.savefig(large, format="png", dpi=sheets.PLOT_DPI)
    small = sheets.plot_png(figure)
    assert len(small) < len(large.getvalue()) / 2
    before, after = Image.open(large).convert("RGB"), Image.open(io.BytesIO(small))
    assert after.size == (440, 220)
    off = np.abs(np.asarray(before, np.int16) - np.asarray(after.convert("RGB"), np.int16))
    assert off.mean() < 1
    assert off.max() < 64
