"""`finefill evaluate`."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from finefill.cli import cli
from finefill.errors import FinefillError
from finefill.evaluation import kinds, protocol, sheets
from tests.evaluation.sets import photos, run


class TestCommand:
    def test_model_and_baselines_end_to_end(self, tmp_path: Path, model_path: Path) -> None:
        data, out = photos(tmp_path / "photos", 4), tmp_path / "new" / "out"
        words = ("--model", model_path, "--baseline", "mean", "--baseline", "telea")
        result = run(*words, "--data", data, "--masks", "random", "-o", out)
        assert result.exit_code == 0, result.output
        assert sorted(p.name for p in out.iterdir()) == [
            "best-and-worst-mean.png",
            "best-and-worst-small-network-alone.png",
            "best-and-worst-small.png",
            "best-and-worst-telea.png",
            "per-image.csv",
            "sheet.png",
            "summary.json",
            "summary.md",
        ]
        facts = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        with open(out / "per-image.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        methods = ["small", "small, network alone", "mean", "telea"]
        assert [row["method"] for row in rows] == [m for m in methods for _ in range(4)]
        for method, numbers in facts["methods"].items():
            for key in ("l1", "l2", "psnr", "ssim", "seam", "vgg16", "l1_image"):
                mean = np.mean([float(row[key]) for row in rows if row["method"] == method])
                assert numbers[key]["mean"] == pytest.approx(mean, abs=1e-5)
                assert numbers[key]["low"] <= numbers[key]["mean"] <= numbers[key]["high"]
        # Smooth pictures: continuing the surroundings must beat one flat colour.
        assert facts["methods"]["telea"]["l1"]["mean"] < facts["methods"]["mean"]["l1"]["mean"]
        assert facts["masks"]["sha256"] == kinds.make_masks("random", 4).sha256
        assert facts["masks"]["sha256"] in result.output
        assert facts["data"]["sha256"] == protocol.load_test_set([data]).sha256
        assert facts["models"]["small"]["card"]["name"] == "small"
        page = (out / "summary.md").read_text(encoding="utf-8")
        assert f"{facts['methods']['small']['psnr']['mean']:.2f}" in page
        with Image.open(out / "sheet.png") as sheet:
            tile = 128 + sheets.GAP
            assert sheet.size == (
                sheets.LABEL_WIDTH + 4 * tile + sheets.GAP,
                sheets.HEADER + 6 * tile + sheets.GAP,
            )

    def test_a_crop_is_the_centre_square_scaled(self, tmp_path: Path) -> None:
        pixels = np.zeros((109, 89, 3), np.uint8)
        pixels[14:94, 4:84] = 200  # 80x80 in the middle
        (tmp_path / "photos").mkdir()
        Image.fromarray(pixels).save(tmp_path / "photos" / "a.png")
        words = ("--baseline", "mean", "--data", tmp_path / "photos", "--metric", "l1")
        errors = []
        for name, extra in (("all", ()), ("crop", ("--crop", 80))):
            result = run(*words, "--size", 64, *extra, "-o", tmp_path / name)
            assert result.exit_code == 0, result.output
            facts = json.loads((tmp_path / name / "summary.json").read_text(encoding="utf-8"))
            assert facts["data"]["size"] == [64, 64]
            errors.append(facts["methods"]["mean"]["l1"]["mean"])
        assert errors[0] > 0.01  # black around the square darkens the mean
        assert errors[1] == 0
        assert "--crop 80" in facts["command"]

    def test_differences_are_paired(self, tmp_path: Path) -> None:
        data, out = photos(tmp_path / "photos", 5), tmp_path / "out"
        words = ("--baseline", "telea", "--baseline", "mean", "--metric", "l1", "--metric", "psnr")
        assert run(*words, "--data", data, "-o", out).exit_code == 0
        facts = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        with open(out / "per-image.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        l1 = {m: [float(r["l1"]) for r in rows if r["method"] == m] for m in ("telea", "mean")}
        difference = np.array(l1["telea"]) - l1["mean"]
        found = facts["differences"]["mean"]["l1"]
        assert found["mean"] == pytest.approx(difference.mean(), abs=1e-5)
        assert difference.min() <= found["low"] < found["mean"] < found["high"] <= difference.max()
        assert set(facts["differences"]) == {"mean"}
        assert "seam" not in facts["methods"]["telea"]

    def test_other_size(self, tmp_path: Path) -> None:
        data, out = photos(tmp_path / "photos", 2), tmp_path / "out"
        words = ("--baseline", "mean", "--metric", "psnr", "--size", 64)
        assert run(*words, "--data", data, "--masks", "random", "-o", out).exit_code == 0
        facts = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        assert facts["data"]["size"] == [64, 64]
        assert facts["masks"]["sha256"] == kinds.make_masks("random", 2, 0, 64).sha256

    def test_a_training_run_is_a_method(self, tmp_path: Path) -> None:
        from finefill.data import recipes
        from finefill.training.loop import train

        data = photos(tmp_path / "photos", 12)
        recipe = recipes.override(recipes.tiny(), ["rec_samples=8", "all_samples=0"])
        assert train(recipe, [data], tmp_path / "mine", device="cpu", quiet=True)
        words = ("--run", tmp_path / "mine", "--metric", "l1", "--size", 32, "-o", tmp_path / "out")
        result = run(*words, "--data", data)
        assert result.exit_code == 0, result.output
        facts = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
        assert 0 < facts["methods"]["mine"]["l1"]["mean"] < 2
        assert facts["methods"]["mine"]["changed_outside_the_hole"] == 0

    def test_the_recorded_command_repeats_the_numbers(self, tmp_path: Path) -> None:
        data, out = photos(tmp_path / "two photos", 2), tmp_path / "out"
        words = ("--baseline", "mean", "--data", data, "--masks", "freeform", "--seed", 3)
        assert run(*words, "--limit", 1, "-o", out).exit_code == 0
        first = json.loads((out / "summary.json").read_text())
        program, *again = shlex.split(first["command"])
        assert program == "finefill"
        assert CliRunner().invoke(cli, again).exit_code == 0
        second = json.loads((out / "summary.json").read_text())
        assert second["data"] == first["data"]
        assert second["masks"] == first["masks"]
        assert second["methods"]["mean"]["l2"] == first["methods"]["mean"]["l2"]

    def test_bad_input_is_told_and_leaves_nothing(self, tmp_path: Path) -> None:
        data, out = photos(tmp_path / "photos", 1), tmp_path / "out"
        for words, message in [
            (["--data", data], "nothing to evaluate"),
            (["--data", data, "--baseline", "mean", "--baseline", "mean"], "called 'mean'"),
            (["--data", data, "--baseline", "magic"], "no baseline 'magic'"),
            (["--data", data, "--baseline", "mean", "--metric", "beauty"], "metric 'beauty'"),
            (["--data", data, "--outputs", tmp_path / "none"], "none: no such folder"),
            (["--data", data, "--run", tmp_path / "none"], "none: no checkpoint"),
            (["--data", data, "--model", "nobody"], "nobody: unknown model"),
            (["--data", data, "--model", tmp_path / "no.onnx"], r"no\.onnx: no such model"),
            (["--data", tmp_path / "none", "--baseline", "mean"], "none: no such file"),
            (["--data", data, "--baseline", "mean", "--masks", "x.png"], r"--masks x\.png"),
        ]:
            result = run(*words, "-o", out)
            assert isinstance(result.exception, FinefillError), result.output
            with pytest.raises(FinefillError, match=message):
                raise result.exception
            assert not out.exists()

    def test_output_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        data = photos(tmp_path / "photos", 1)
        result = run("--data", data, "--baseline", "mean", "-o", tmp_path / "out")
        assert isinstance(result.exception, FinefillError)
        assert "choose another folder" in str(result.exception)
        assert (tmp_path / "out").read_text() == "mine"
