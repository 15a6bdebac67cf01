"""Classical fills."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from finefill.errors import FinefillError
from finefill.evaluation import kinds, metrics, protocol
from finefill.evaluation.baselines import BASELINES, load_baseline
from tests.evaluation.sets import CENTER, grey


class TestBaselines:
    @pytest.mark.parametrize("name", list(BASELINES))
    def test_fills_the_hole_only_and_always_the_same(self, name: str) -> None:
        image = np.random.default_rng(3).integers(90, 110, (128, 128, 3), np.uint8)
        damaged = protocol.corrupt(image, CENTER, 255)
        before, hole = damaged.copy(), CENTER.copy()
        fill = load_baseline(name)
        completed = fill(damaged, hole)
        assert np.array_equal(damaged, before)
        assert np.array_equal(hole, CENTER)
        assert np.array_equal(completed[~CENTER], image[~CENTER])
        assert completed[CENTER].min() >= 85  # made of the surroundings, not of the white hole
        assert completed[CENTER].max() <= 115
        assert np.array_equal(completed, fill(damaged, hole))

    def test_mean_colour_is_that_of_the_known_pixels(self) -> None:
        image = grey(255)
        image[:64], image[64:] = (10, 20, 30), (20, 40, 61)
        completed = load_baseline("mean")(protocol.corrupt(image, CENTER), CENTER)
        assert (completed[CENTER] == (15, 30, 46)).all()  # 45.5 to even

    def test_patchmatch_continues_a_texture(self) -> None:
        stripes = grey(60)
        stripes[(np.arange(128) // 6) % 2 == 0] = 200
        damaged = protocol.corrupt(stripes, CENTER)
        errors = {
            name: metrics.mean_l1(stripes, load_baseline(name)(damaged, CENTER), CENTER)
            for name in ("mean", "patchmatch")
        }
        assert errors["patchmatch"] < 0.1 < 0.5 < errors["mean"]

    def test_missing_package_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cv2", None)  # what an import of it then meets
        with pytest.raises(FinefillError, match=r"OpenCV is not installed.*finefill\[baselines\]"):
            load_baseline("telea")

    def test_unknown_name(self) -> None:
        with pytest.raises(FinefillError, match="no baseline 'magic'; there are mean, telea"):
            load_baseline("magic")


def test_biharmonic_fills_free_form_holes() -> None:
    ramp = np.repeat(np.repeat(np.arange(128, dtype=np.uint8)[:, None], 128, 1)[..., None], 3, 2)
    for hole in kinds.make_masks("freeform", 3).masks:
        completed = load_baseline("biharmonic")(protocol.corrupt(ramp, hole), hole)
        assert np.array_equal(completed[~hole], ramp[~hole])
        assert np.abs(completed.astype(int) - ramp)[hole].mean() < 10  # a ramp is biharmonic
