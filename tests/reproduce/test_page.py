"""Measures and the page of results."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finefill.evaluation import protocol
from finefill.evaluation.latent import latent_search
from finefill.reproduce import experiments, page
from finefill.reproduce.measure import Bench, curve, measure
from finefill.reproduce.variants import OURS
from tests.reproduce.small import SIZE


class TestPage:
    def test_sheets_show_images_from_all_over_the_set(self, bench: Bench) -> None:
        images = np.zeros((400, SIZE, SIZE, 3), np.uint8)
        test = protocol.TestSet(tuple(map(str, range(400))), images, "", 0)
        large = dataclasses.replace(bench, test=test)
        assert len(large.shown) == 12
        assert set(large.shown) <= set(large.few)
        assert large.shown[0] < 100
        assert large.shown[-1] > 300

    def test_a_section_from_training_to_page(self, bench: Bench, tmp_path: Path) -> None:
        experiment = dataclasses.replace(
            experiments.EXPERIMENTS["figure7"], variants=("no-dilation", "rec"), classical=("mean",)
        )
        facts, images = measure(bench, experiment)
        assert set(images) == {"figure7-center", "figure7-random"}
        facts["command"] = "finefill reproduce figure7"
        (tmp_path / "figure7.md").write_text("We find that it works.")
        page.write_section(tmp_path, "figure7", facts, images)
        text = (tmp_path / "README.md").read_text(encoding="utf-8")
        stored = json.loads((tmp_path / "figure7.json").read_text(encoding="utf-8"))
        for kind in ("center", "random"):
            methods = stored["masks"][kind]["methods"]
            assert list(methods) == ["rec", "mean", "no-dilation"]
            for numbers in methods.values():
                psnr = numbers["psnr"]
                assert f"| {psnr['mean']:.2f} [{psnr['low']:.2f}, {psnr['high']:.2f}] |" in text
                assert f"| {numbers['l1']['mean']:.4f} |" in text  # not every column has room
            assert set(stored["masks"][kind]["differences"]) == {"mean", "no-dilation"}
        assert "We find that it works." in text
        assert "48 samples, seed 0, cpu" in text
        assert "`finefill reproduce figure7`" in text
        assert text.count("Lite0 was not measured here.") == 2  # what is missing is said
        for name in ("figure7-random.webp", "figure7-curves.png", "figure7-parameters.png"):
            assert f"({name})" in text
            with Image.open(tmp_path / name) as picture:
                assert 100 < min(picture.size) <= max(picture.size) <= 1600
        assert not (tmp_path / "figure7-center.webp").exists()  # one sheet a section

    def test_an_interval_is_beside_the_mean_and_none_beside_a_number_of_the_set(
        self, tmp_path: Path
    ) -> None:
        methods = {
            name: {
                "psnr": {"mean": mean, "low": mean - 0.25, "high": mean + 1 / 3},
                "lite0": {"mean": 0.7780549, "low": 0.7693336, "high": 0.7873050464332103},
                "lite0_fd": {"mean": 45.96},
                "u_ids": {"mean": 0.005, "low": 0.0, "high": 0.0125},
                "l1": {"mean": 0.25, "low": 0.2, "high": 0.3},
                "seconds_per_image": 0.0125,
            }
            for name, mean in (("ours", 16.75), ("raw", 17.0))
        }
        hashed = {"sha256": "0" * 64}
        summary = {"data": {"images": 9, **hashed}, "masks": hashed, "seed": 0, "methods": methods}
        facts = {
            "command": "x",
            "rows": {
                name: {"title": name, "samples": 1, "seed": 0, "device": "cpu", "data": "d"}
                for name in methods
            },
            "masks": {"center": summary},
        }
        page.write_section(tmp_path, "figure8", facts, {}, "celeba")
        text = (tmp_path / "README.md").read_text(encoding="utf-8")
        assert (
            "| ours (`ours`) | 0.2500 | 16.75 [16.50, 17.08] | 0.778 [0.769, 0.787] | 46.0 | "
            "0.005 [0.000, 0.013] |" in text
        )
        stored = json.loads((tmp_path / "figure8-celeba.json").read_text(encoding="utf-8"))
        kept = stored["masks"]["center"]["methods"]["ours"]
        assert kept["psnr"] == {"mean": 16.75, "low": 16.5, "high": 17.083333}
        assert kept["lite0"]["high"] == 0.78730505

    def test_sections_of_earlier_calls_stay(self, bench: Bench, tmp_path: Path) -> None:
        for name in ("figure8", "figure2"):
            experiment = dataclasses.replace(
                experiments.EXPERIMENTS[name], variants=(OURS,), masks=("center",)
            )
            facts, images = measure(bench, experiment)
            facts["command"] = "x"
            page.write_section(tmp_path, name, facts, images)
        page.write_section(tmp_path, "figure2", facts, images, "faces")
        (tmp_path / "foreign.json").write_text('{"of": "somebody else"}')
        (tmp_path / "intro.md").write_text("## First\n")
        (tmp_path / "earlier.md").write_text("## Explored earlier\n")
        page.write_page(tmp_path)
        text = (tmp_path / "README.md").read_text(encoding="utf-8")
        first, *heads, last = [line for line in text.splitlines() if line.startswith("## ")]
        assert (first, last) == ("## First", "## Explored earlier")
        assert [head[:11] for head in heads] == ["## Figure 2", "## Figure 2", "## Figure 8"]
        assert heads[1] == f"{heads[0]} (faces)"

    def test_slow_search_is_measured_on_a_few_against_the_same_few(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("finefill.reproduce.measure.SEARCHED", 2)
        quick = functools.partial(latent_search, steps=20)
        monkeypatch.setattr("finefill.reproduce.methods.latent_search", quick)
        experiment = dataclasses.replace(
            experiments.EXPERIMENTS["figure6"], variants=("dcgan", OURS), classical=()
        )
        facts, images = measure(bench, experiment)
        few = facts["masks"]["center, 2 random images"]
        assert list(few["methods"]) == [OURS, experiments.LATENT]
        values = bench.done[OURS, "center"].values["psnr"][bench.few]
        assert few["methods"][OURS]["psnr"]["mean"] == pytest.approx(values.mean())
        assert images["figure6-center"].height > 4 * SIZE

    def test_the_curve_starts_with_the_shared_stage(self, bench: Bench) -> None:
        points = curve(bench.runs, bench.variants, OURS)
        assert [samples for samples, _ in points] == [12, 24, 36, 48]
