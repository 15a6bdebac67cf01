"""The protocol of the paper's faces, at half its size."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from finefill.cli import cli
from finefill.data import Photos, Recipe, random_mask, read_exclusions, recipes
from finefill.errors import FinefillError
from finefill.evaluation import protocol
from finefill.reproduce.variants import Budget, base


class TestFacesOfThePaper:
    """CelebA at half its size: a random crop of 80x80, scaled to 64x64, squares of 24 to 40."""

    BUDGET = Budget(samples=320, size=64, crop=80)

    def test_crops_and_squares_are_the_papers_by_half(self) -> None:
        recipe = base(self.BUDGET)
        paper = recipes.celeba()
        assert (recipe.crop, recipe.size) == ((80, 80), 64)
        assert [2 * side for side in recipe.crop] == list(paper.crop)
        assert 2 * recipe.size == paper.size
        rng = np.random.default_rng(0)
        sides = [int(random_mask(rng, recipe).any(axis=0).sum()) for _ in range(300)]
        assert (min(sides), max(sides)) == (24, 40)
        with pytest.raises(FinefillError, match="--crop 60: give at least --size, 64"):
            Budget(size=64, crop=60)

    def test_the_test_crop_is_the_middle(self) -> None:
        image = np.zeros((109, 89, 3), np.uint8)
        image[14:94, 4:84] = 200  # 80x80, as far from each edge as its opposite
        assert np.unique(protocol.crop(image, 64, 80)).tolist() == [200]
        assert np.unique(protocol.crop(image, 64)).tolist() != [200]
        assert protocol.crop(image, 64, 500).shape == (64, 64, 3)

    def test_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def thin(budget: Budget) -> Recipe:
            return dataclasses.replace(
                base(budget), widths=(4, 8), depths=(1, 1), dilations=(2,), discriminator_width=4,
                vgg_layers=(("relu1_2", 1.0),), rec_samples=16, all_samples=16, balance_batches=1,
                discriminator_warmup=0, log_every=1, checkpoint_every=1, precision="fp32",
            )  # fmt: skip

        monkeypatch.setattr("finefill.reproduce.variants.base", thin)
        rng = np.random.default_rng(0)
        for name, count in (("train", 22), ("test", 2)):
            (tmp_path / name).mkdir()
            for i in range(count):
                coarse = Image.fromarray(rng.integers(0, 256, (5, 4, 3), np.uint8))
                coarse.resize((89, 109)).save(tmp_path / name / f"{i}.png")
        leaks = tmp_path / "leaks.txt"
        leaks.write_text("train 3.png\n* 7.png\n")
        words = ("figure8", "--train", tmp_path / "train", "--test", tmp_path / "test", "-o",
                 tmp_path / "runs", "--results", tmp_path / "results", "--subject", "celeba",
                 "--samples", 320, "--size", 64, "--crop", 80, "--quiet",
                 "--exclude", leaks)  # fmt: skip
        result = CliRunner().invoke(cli, ["reproduce", *map(str, words)])
        assert result.exit_code == 0, result.output
        stored = json.loads((tmp_path / "results" / "figure8-celeba.json").read_text("utf-8"))
        assert "--size 64 --crop 80" in stored["command"]
        assert f"--exclude {leaks}" in stored["command"]
        left = Photos([tmp_path / "train"], thin(self.BUDGET), exclude=read_exclusions(leaks))
        assert {row["data"] for row in stored["rows"].values()} == {left.fingerprint}
        everything = Photos([tmp_path / "train"], thin(self.BUDGET))
        assert everything.count == left.count + 2
        expected = protocol.load_test_set([tmp_path / "test"], size=64, side=80).sha256
        for kind in ("center", "random"):
            assert stored["masks"][kind]["data"]["sha256"] == expected
            assert {"raw", "ours"} == set(stored["masks"][kind]["methods"])
            assert {"lite0", "vgg16"} <= set(stored["masks"][kind]["methods"]["ours"])
