"""Variants, the queue, measures, the page and object removal, on tiny networks."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock
from PIL import Image

from finefill.cli import cli
from finefill.data import Recipe, random_mask, recipes
from finefill.data.photos import Photos
from finefill.errors import FinefillError
from finefill.evaluation import metrics, protocol, sheets
from finefill.evaluation.latent import latent_search
from finefill.masks.drawing import center_square
from finefill.reproduce import experiments, page, removal
from finefill.reproduce.measure import Bench, cost, curve, measure
from finefill.reproduce.methods import load_method
from finefill.reproduce.queue import train_variants, with_parents
from finefill.reproduce.variants import OURS, PERCEPTUAL_SETS, Budget, Variant, base, variants
from finefill.training import checkpoint
from finefill.training.loop import train

SIZE = 32


def small() -> dict[str, Variant]:
    """The real variants, at 32 pixels with narrow networks and 48 samples each."""
    shrunk = {}
    for name, variant in variants(Budget(320, 64)).items():
        half = variant.recipe.rec_samples > 0, variant.recipe.all_samples > 0
        recipe = dataclasses.replace(
            variant.recipe,
            size=SIZE, crop=SIZE, shorter_side=SIZE, widths=(4, 8), depths=(1, 1),
            dilations=(2, 4), discriminator_width=4, validation=4, batch=4, balance_batches=1,
            discriminator_warmup=2, checkpoint_every=3, log_every=3,
            vgg_layers=(("relu1_1", 1.0),), perceptual_window=24,
            rec_samples=24 * half[0], all_samples=24 * half[1] * (2 - half[0]),
        )  # fmt: skip
        shrunk[name] = dataclasses.replace(variant, recipe=recipe)
    return shrunk


def samples_seen(run: Path) -> int:
    """Samples that a run's last checkpoint has seen."""
    return int(checkpoint.read_state(run / checkpoint.LAST)["samples"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(20):
        coarse = rng.integers(0, 256, (4, 4, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((40, 36), Image.Resampling.BICUBIC)
        smooth.save(path / f"{i:02}.png")
    return path


@pytest.fixture(scope="module")
def photos(folder: Path) -> Photos:
    return Photos([folder], small()[OURS].recipe)


@pytest.fixture(scope="module")
def runs(photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five variants, trained."""
    path = tmp_path_factory.mktemp("runs")
    names = [OURS, "rec", "no-dilation", "dcgan"]
    assert train_variants(names, small(), photos, path, device="cpu", quiet=True)
    return path


class TestVariants:
    @pytest.mark.parametrize("size", [64, 128])
    def test_every_variant_gets_the_same_samples(self, size: int) -> None:
        plans = variants(Budget(10_000, size))
        for name, variant in plans.items():
            samples = variant.recipe.rec_samples + variant.recipe.all_samples
            assert samples == (5_000 if name.endswith("stage1") else 10_000), name
            assert variant.recipe.size == size

    def test_a_child_shares_everything_of_the_first_stage(self) -> None:
        plans = variants(Budget())
        for variant in plans.values():
            if variant.parent is None:
                continue
            parent = plans[variant.parent].recipe
            same = ("seed", "size", "crop", "widths", "depths", "dilations", "generator", "batch",
                    "rec_samples", "rec_rates", "mask_mix", "reconstruction")  # fmt: skip
            assert all(getattr(variant.recipe, f) == getattr(parent, f) for f in same)

    def test_ablations_differ_in_what_they_say(self) -> None:
        plans = variants(Budget())

        def changed(name: str, other: str) -> set[str]:
            one, two = (dataclasses.asdict(plans[n].recipe) for n in (name, other))
            return {key for key in one if one[key] != two[key]}

        assert changed("adv", OURS) == {"perceptual_proportion"}
        assert changed("per", OURS) == {"adversarial_proportion"}
        assert changed("raw", OURS) == {"discriminator_sees"}
        assert changed("no-dilation", "rec") == {"dilated"}
        assert changed("no-intermediate", "rec") == {"intermediate"}
        assert changed("ce-generator", "rec") == {"generator"}
        for name in PERCEPTUAL_SETS:
            if name != "relu2_2+3_3+4_3":
                assert changed(f"vgg-{name}", OURS) == {"vgg_layers"}

    def test_experiments_name_existing_variants(self) -> None:
        plans = variants(Budget())
        for experiment in experiments.EXPERIMENTS.values():
            assert set(experiment.variants) <= set(plans)
            assert experiment.baseline in experiment.variants

    def test_the_full_generator_is_smaller_than_context_encoders(self) -> None:
        plans = variants(Budget(size=64))
        ours, theirs = (cost(plans[name].recipe)[0] for name in ("rec", "ce-generator"))
        assert ours < 10_000_000 < theirs

    def test_cost_by_hand(self) -> None:
        recipe = dataclasses.replace(
            base(Budget(size=64)), widths=(4, 8), depths=(1, 1), dilations=(2,)
        )
        # 2 a multiplication: 3x3 convolutions at 64 and at 32 pixels, a 4x4 deconvolution.
        full = 9 * (4 * 4 + 4 * 4 + 8 * 4 + 4 * 3) * 64**2  # first, carried, joined, last
        deep = 9 * (4 * 8 + 8 * 8) * 32**2 + 16 * 8 * 4 * 32**2
        assert cost(recipe)[1] == pytest.approx(2 * (full + deep) / 1e9)

    def test_the_generator_beyond_the_paper_costs_less_than_the_papers(self) -> None:
        plans = variants(Budget(size=128))
        assert 0 < cost(plans["plus"].recipe)[1] < cost(plans["rec"].recipe)[1]

    def test_bad_budgets(self) -> None:
        with pytest.raises(FinefillError, match="64 and 128"):
            Budget(size=100)
        with pytest.raises(FinefillError, match="--samples 5"):
            Budget(5)


class TestQueue:
    def test_parents_come_first_and_all_get_their_samples(self, runs: Path) -> None:
        assert with_parents([OURS, "no-dilation"], small()) == ["stage1", OURS, "no-dilation"]
        assert samples_seen(runs / "stage1") == 24
        assert {samples_seen(runs / n) for n in (OURS, "rec", "no-dilation", "dcgan")} == {48}

    def test_what_is_trained_stays_as_it_is(self, runs: Path, photos: Photos) -> None:
        before = (runs / OURS / checkpoint.LAST).stat().st_mtime_ns
        assert train_variants([OURS], small(), photos, runs, device="cpu", quiet=True)
        assert (runs / OURS / checkpoint.LAST).stat().st_mtime_ns == before

    def test_other_settings_are_refused(self, runs: Path, photos: Photos) -> None:
        plans = small()
        recipe = dataclasses.replace(plans[OURS].recipe, seed=5)
        plans[OURS] = dataclasses.replace(plans[OURS], recipe=recipe)
        with pytest.raises(FinefillError, match="ours: holds a run with other settings"):
            train_variants([OURS], plans, photos, runs, device="cpu", quiet=True)

    def test_stopped_in_time_and_gone_on(self, tmp_path: Path, photos: Photos) -> None:
        def work(deadline: float | None) -> bool:
            return train_variants(
                ["per"], small(), photos, tmp_path, deadline=deadline, device="cpu", quiet=True
            )

        assert not work(time.monotonic() - 1)
        assert not (tmp_path / "stage1").exists()
        stage = small()["stage1"].recipe
        assert not train(
            stage, photos, tmp_path / "stage1", max_minutes=0, device="cpu", quiet=True
        )
        assert 0 < samples_seen(tmp_path / "stage1") < 24
        assert work(None)
        assert samples_seen(tmp_path / "per") == 48

    def test_another_process_work_is_left_alone(
        self, tmp_path: Path, photos: Photos, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Waiting(Exception):
            pass

        def waits(seconds: float) -> None:
            raise Waiting

        monkeypatch.setattr("finefill.reproduce.queue.time.sleep", waits)
        with FileLock(tmp_path / "no-dilation.lock"), pytest.raises(Waiting):
            train_variants(
                ["no-dilation", "no-intermediate"],
                small(),
                photos,
                tmp_path,
                device="cpu",
                quiet=True,
            )
        assert samples_seen(tmp_path / "no-intermediate") == 48
        assert not (tmp_path / "no-dilation").exists()


@pytest.mark.parametrize("name", [OURS, "no-dilation", "dcgan"])
def test_a_trained_method_fills_the_hole_only_and_always_the_same(
    name: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = functools.partial(latent_search, steps=3)
    monkeypatch.setattr("finefill.reproduce.methods.latent_search", quick)
    image = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    hole = center_square(SIZE, SIZE, SIZE // 2)
    damaged = protocol.corrupt(image, hole)
    fill, state = load_method(runs / name)
    completed = fill(damaged.copy(), hole)
    assert np.array_equal(completed[~hole], image[~hole])
    assert not np.array_equal(completed[hole], damaged[hole])
    assert np.array_equal(completed, fill(damaged.copy(), hole))
    assert state["samples"] == 48
    with pytest.raises(FinefillError, match=r"--size|its size"):
        fill(np.zeros((35, 35, 3), np.uint8), np.eye(35, dtype=bool))


@pytest.fixture(scope="module")
def bench(folder: Path, runs: Path) -> Bench:
    test = protocol.load_test_set([folder], 6, SIZE)
    chosen, _ = metrics.select(["l1", "psnr", "seam"])
    return Bench(test, chosen, runs, small(), 0, {})


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
                assert f"| {numbers['psnr']['mean']:.2f} |" in text
            assert set(stored["masks"][kind]["differences"]) == {"mean", "no-dilation"}
        assert "We find that it works." in text
        assert "48 samples, seed 0, cpu" in text
        assert "`finefill reproduce figure7`" in text
        for name in ("figure7-random.webp", "figure7-curves.png", "figure7-parameters.png"):
            assert f"({name})" in text
            with Image.open(tmp_path / name) as picture:
                assert 100 < min(picture.size) <= max(picture.size) <= 1600
        assert not (tmp_path / "figure7-center.webp").exists()  # one sheet a section

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
        page.write_page(tmp_path)
        text = (tmp_path / "README.md").read_text(encoding="utf-8")
        heads = [line for line in text.splitlines() if line.startswith("## ")]
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


def labelled(path: Path) -> Path:
    """A street with two cars, the larger one of 40x20 pixels at (30, 60)."""
    path.mkdir()
    rng = np.random.default_rng(0)
    image = rng.integers(100, 120, (128, 160, 3), np.uint8)
    labels = np.zeros((128, 160), np.uint8)
    labels[60:80, 30:70] = removal.CAR
    labels[60:64, 100:110] = removal.CAR
    image[labels == removal.CAR] = (255, 0, 0)
    Image.fromarray(image).save(path / "street.png")
    Image.fromarray(labels).save(path / "street.labels.png")
    return path


class TestRemoval:
    def test_the_largest_object_with_a_margin(self, tmp_path: Path) -> None:
        ((name, image, mask),) = removal.removals([labelled(tmp_path / "data")])
        assert name == "street.png"
        assert image.shape == (128, 160, 3)
        rows, columns = np.nonzero(mask)
        grown = removal.GROW
        assert (rows.min(), rows.max()) == (60 - grown, 79 + grown)
        assert (columns.min(), columns.max()) == (30 - grown, 69 + grown)

    def test_nothing_to_remove(self, tmp_path: Path) -> None:
        with pytest.raises(FinefillError, match="no object of label 7"):
            removal.removals([labelled(tmp_path / "data")], label=7)

    def test_command(self, tmp_path: Path, model_path: Path) -> None:
        out = tmp_path / "results"
        words = ["reproduce", "figure9", "--test", labelled(tmp_path / "data"), "--results", out]
        result = CliRunner().invoke(cli, [*map(str, words), "--model", str(model_path)])
        assert result.exit_code == 0, result.output
        assert "## Figure 9" in (out / "README.md").read_text(encoding="utf-8")
        with Image.open(out / "figure9.webp") as sheet:
            pixels = np.asarray(sheet).astype(int)
        red = (pixels[..., 0] > 200) & (pixels[..., 1] < 90) & (pixels[..., 2] < 90)
        second = 160 + sheets.GAP  # where the completion begins
        assert red[:, 30:70].sum() > 400  # before: the car
        assert red[:, second + 26 : second + 74].sum() == 0  # after: gone
        assert red[:, second + 98 : second + 112].sum() > 20  # the other one is still there


def test_bad_commands(tmp_path: Path, folder: Path) -> None:
    for words, message in [
        (["figure3"], "unknown experiment 'figure3': choose from table1, figure2"),
        (["table1"], "give training photographs with --train"),
        (["table1", "--size", "50"], "--size 50"),
        (["figure9", "--model", "nobody"], "nobody: unknown model"),
    ]:
        words += ["--test", str(folder), "--results", str(tmp_path / "results")]
        result = CliRunner().invoke(cli, ["reproduce", *words])
        assert isinstance(result.exception, FinefillError), result.output
        assert message in str(result.exception)


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
        for name, count in (("train", 20), ("test", 2)):
            (tmp_path / name).mkdir()
            for i in range(count):
                coarse = Image.fromarray(rng.integers(0, 256, (5, 4, 3), np.uint8))
                coarse.resize((89, 109)).save(tmp_path / name / f"{i}.png")
        words = ("figure8", "--train", tmp_path / "train", "--test", tmp_path / "test", "-o",
                 tmp_path / "runs", "--results", tmp_path / "results", "--subject", "celeba",
                 "--samples", 320, "--size", 64, "--crop", 80, "--quiet")  # fmt: skip
        result = CliRunner().invoke(cli, ["reproduce", *map(str, words)])
        assert result.exit_code == 0, result.output
        stored = json.loads((tmp_path / "results" / "figure8-celeba.json").read_text("utf-8"))
        assert "--size 64 --crop 80" in stored["command"]
        expected = protocol.load_test_set([tmp_path / "test"], size=64, side=80).sha256
        for kind in ("center", "random"):
            assert stored["masks"][kind]["data"]["sha256"] == expected
            assert {"raw", "ours"} == set(stored["masks"][kind]["methods"])
            assert {"lite0", "vgg16"} <= set(stored["masks"][kind]["methods"]["ours"])
