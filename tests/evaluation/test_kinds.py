"""Masks by kind, photographs as they are, and files of more than 8 bits."""

from __future__ import annotations

import dataclasses
import json
import math
import tarfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from finefill.cli import cli
from finefill.data import iterate_images
from finefill.errors import FinefillError
from finefill.evaluation import kinds, protocol
from finefill.evaluation.baselines import mean_colour
from finefill.masks import LAMA, Mask, random_irregular, random_object
from finefill.masks.drawing import random_strokes
from tests.data.labelled import labelled, photographs


def evaluate(*words: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, words)])


class TestKinds:
    def test_the_hash_of_each_kind_does_not_change(self) -> None:
        disc = np.hypot(*np.mgrid[-20:21, -20:21]) <= 20
        found = {
            kind: kinds.make_masks(kind, 50, outlines=[disc]).sha256[:12]
            for kind in ("freeform", "narrow", "medium", "wide", "objects")
        }
        assert found == PUBLISHED

    def test_a_mask_depends_on_nothing_but_seed_and_number(self) -> None:
        for kind in LAMA:
            many, few = kinds.make_masks(kind, 6), kinds.make_masks(kind, 3)
            assert all(map(np.array_equal, many.masks, few.masks))
            assert kinds.make_masks(kind, 3, seed=1).sha256 != few.sha256

    def test_strokes_are_as_wide_as_their_kind(self) -> None:
        # Half the widest brush at 128 pixels is the farthest that a pixel of one stroke may be
        # from what is known; crossings are farther, but rare where strokes are thin.
        narrow, medium, wide = (kinds.make_masks(kind, 200) for kind in LAMA)
        means = [kinds.known_distances(holes).mean() for holes in (narrow, medium, wide)]
        assert means[0] < LAMA["narrow"].brush / 4
        assert means == sorted(means)
        assert all(0 < m.mean() <= 0.5 for holes in (narrow, medium, wide) for m in holes.masks)

    def test_boxes_stand_in_their_share_of_the_masks(self) -> None:
        """Masks of boxes alone are unions of rectangles: all corners are right angles."""
        # With thinner strokes, so that none is drawn again for covering more than half.
        kind = dataclasses.replace(LAMA["wide"], brush=20)
        rng = np.random.default_rng(0)
        masks = [random_irregular(rng, 256, 256, kind) for _ in range(300)]
        square = [mask for mask in masks if _is_of_boxes(mask)]
        assert len(square) / 300 == pytest.approx(0.3 / 1.3, abs=0.06)
        for mask in square:
            border = np.ones_like(mask)
            border[10:-10, 10:-10] = False  # the margin at 256
            assert not mask[border].any()

    def test_lengths_follow_the_shorter_side(self) -> None:
        holes = kinds.make_masks("center", [(128, 200), (64, 300)])
        assert [m.sum() for m in holes.masks] == [64 * 64, 32 * 32]
        assert holes.sha256 != kinds.make_masks("center", [(64, 300), (128, 200)]).sha256
        sides = [
            int(m.any(axis=0).sum()) for m in kinds.make_masks("random", [(256, 500)] * 60).masks
        ]
        assert 96 <= min(sides) < max(sides) <= 160

    def test_distance_to_the_known_by_hand(self) -> None:
        one, three = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
        one[4, 4] = True
        three[3:6, 3:6] = True  # eight pixels at 1, the middle at 2
        holes = kinds.MaskSet("", (one, three), "")
        assert kinds.known_distances(holes).tolist() == pytest.approx([1, 10 / 9])


class TestObjects:
    def test_they_keep_their_shape_anywhere(self) -> None:
        triangle = np.tri(40, dtype=bool)
        rng = np.random.default_rng(0)
        places = set()
        for _ in range(80):
            mask = random_object(rng, 100, 150, [triangle])
            assert 0.03 <= mask.mean() <= 0.12
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            side = len(rows)
            assert abs(side - len(columns)) <= 1
            # Half of its box, mirrored or not, up to the steps of its slope.
            assert mask.sum() / (side * len(columns)) == pytest.approx(0.5, abs=0.04)
            places.add((int(rows[0]), int(columns[0])))
        assert len(places) > 60

    def test_what_never_fits_is_told(self) -> None:
        with pytest.raises(FinefillError, match="no outline fits"):
            kinds.make_masks("objects", 1, outlines=[np.ones((1, 400), bool)])
        with pytest.raises(FinefillError, match="give some with --objects"):
            kinds.make_masks("objects", 1)


class TestWhole:
    def test_photographs_are_measured_as_they_are(self, tmp_path: Path) -> None:
        data = photographs(tmp_path / "photos", (300, 200), (90, 128))
        test = protocol.load_test_set([data], whole=True)
        assert test.shapes == [(200, 300), (128, 90)]
        holes = kinds.make_masks("center", test.shapes)
        result = protocol.evaluate(test, holes, mean_colour)
        expected = [
            np.abs(np.rint(x[~m].mean(axis=0)) - x[m]).mean() / 127.5
            for x, m in zip(test.images, holes.masks, strict=True)
        ]
        assert result.values["l1"] == pytest.approx(expected)
        assert np.isinf(result.outside).all()

    def test_what_changed_outside_is_found_far_from_the_hole(self, tmp_path: Path) -> None:
        data = photographs(tmp_path / "photos", (400, 300))
        test = protocol.load_test_set([data], whole=True)
        holes = kinds.make_masks("center", test.shapes)

        def careless(image: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
            changed = image.copy()
            changed[0, 0] = np.where(image[0, 0] < 200, image[0, 0] + 51, image[0, 0] - 51)
            return changed  # by 0.4 on the [-1, 1] scale

        result = protocol.evaluate(test, holes, careless)
        known = 400 * 300 - 150 * 150
        assert result.outside[0] == pytest.approx(10 * math.log10(4 / (0.16 / known)))
        assert result.trespassed == 1

    def test_thin_strokes_do_not_vanish_for_networks(self) -> None:
        mask = np.zeros((2000, 2000), bool)
        mask[1000] = True
        image = np.zeros((2000, 2000, 3), np.uint8)
        small, _, hole = protocol._for_networks(image, image, mask)
        assert small.shape[:2] == hole.shape == (1024, 1024)
        assert hole.any(axis=1).sum() in (1, 2)
        assert hole.any(axis=0).all()

    def test_command(self, tmp_path: Path, model_path: Path) -> None:
        data = photographs(tmp_path / "photos", (300, 200), (90, 128))
        words = ("--metric", "psnr", "--metric", "lite0", "--masks", "random")
        result = evaluate(
            "--model", model_path, "--data", data, "--whole", *words, "-o", tmp_path / "o"
        )
        assert result.exit_code == 0, result.output
        facts = json.loads((tmp_path / "o" / "summary.json").read_text(encoding="utf-8"))
        assert list(facts["methods"]) == ["small"]
        assert float(facts["methods"]["small"]["psnr_outside"]) == math.inf
        assert facts["methods"]["small"]["lite0"]["mean"] > 0
        assert facts["masks"]["known_distance"] > 5
        page = (tmp_path / "o" / "summary.md").read_text(encoding="utf-8")
        assert "| ∞ |" in page
        assert "Over the whole image" not in page


def test_ways_of_filling_are_methods(tmp_path: Path, model_path: Path) -> None:
    data = photographs(tmp_path / "photos", (160, 140))
    words = ("--model", model_path, "--data", data, "--metric", "psnr", "--whole")
    ways = ("--fill", "network", "--fill", "regions")
    result = evaluate(*words, *ways, "-o", tmp_path / "o")
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "o" / "summary.json").read_text(encoding="utf-8"))
    assert list(facts["methods"]) == ["small, network", "small, regions"]
    numbers = [method["psnr"]["mean"] for method in facts["methods"].values()]
    assert numbers[0] != numbers[1]
    assert facts["command"].count("--fill") == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--whole", "--size", 64), "--size says nothing with --whole"),
        (("--whole", "--crop", 80), "--crop says nothing with --whole"),
        (("--objects", "x", "--masks", "wide"), "--objects says nothing with --masks wide"),
        (("--bursts", "x", "--masks", "wide"), "--masks says nothing with --bursts"),
        (("--pair-count", 3), "--pair-count says nothing without --pairs"),
    ],
)
def test_what_would_say_nothing_is_refused(
    given: tuple[object, ...], message: str, tmp_path: Path
) -> None:
    result = evaluate("--baseline", "mean", *given, "-o", tmp_path / "o")
    assert isinstance(result.exception, FinefillError)
    assert str(result.exception) == f"{message}: leave it out"
    assert not (tmp_path / "o").exists()


def test_all_kinds_make_one_table(tmp_path: Path) -> None:
    data, streets = photographs(tmp_path / "photos", (130, 130)), labelled(tmp_path / "streets")
    words = ("--data", data, "--metric", "psnr", "--masks", "all", "--size", 64)
    result = evaluate("--baseline", "mean", *words, "--objects", streets, "-o", tmp_path / "o",
                      "--write-inputs", tmp_path / "in")  # fmt: skip
    assert result.exit_code == 0, result.output
    page = (tmp_path / "o" / "summary.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in page.splitlines() if " | mean | " in line]
    assert rows == [f"| {kind}" for kind in kinds.MASK_KINDS]
    facts = json.loads((tmp_path / "o" / "summary.json").read_text(encoding="utf-8"))["masks"]
    for kind, summary in zip(kinds.MASK_KINDS, facts, strict=True):
        alone = json.loads((tmp_path / "o" / kind / "summary.json").read_text(encoding="utf-8"))
        assert alone == summary
        assert (tmp_path / "in" / kind / "masks" / "0.png").is_file()
    # The completions of others come in folders by kind too.
    theirs = tmp_path / "theirs"
    for kind in kinds.MASK_KINDS:
        (theirs / kind).mkdir(parents=True)
        with Image.open(tmp_path / "in" / kind / "originals" / "0.png") as image:
            image.save(theirs / kind / "0.png")
    perfect = evaluate("--outputs", theirs, *words, "--objects", streets, "-o", tmp_path / "p")
    assert perfect.exit_code == 0, perfect.output
    assert perfect.output.count("| theirs | **120.00**") == 2 * len(kinds.MASK_KINDS)
    without = evaluate("--baseline", "mean", *words, "-o", tmp_path / "q")
    assert "without objects: outlines come from labelled photographs" in without.output


class TestDeep:
    """A grey ramp of 0 to 255, in all that it can be stored in."""

    RAMP = np.repeat(np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[None], 32, 0), 4, 1)

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_grey_of_16_bits_is_read_as_it_looks(self, suffix: str, tmp_path: Path) -> None:
        Image.fromarray(self.RAMP.astype(np.uint16) * 257).save(tmp_path / f"ramp.{suffix}")
        ((_, image),) = iterate_images([tmp_path])
        assert np.array_equal(image, np.repeat(self.RAMP[..., None], 3, 2))

    def test_colour_of_16_bits_too(self, tmp_path: Path) -> None:
        colours = np.stack([self.RAMP, self.RAMP[:, ::-1], self.RAMP // 2], -1)
        tifffile.imwrite(tmp_path / "c.tif", colours.astype(np.uint16) * 257, photometric="rgb")
        ((_, image),) = iterate_images([tmp_path])
        assert np.array_equal(image, colours)

    @pytest.mark.parametrize(
        ("dtype", "message"),
        [("float32", "images of mode F are not"), ("int32", "its samples have signs")],
    )
    def test_samples_without_a_range_are_refused(
        self, dtype: str, message: str, tmp_path: Path
    ) -> None:
        tifffile.imwrite(tmp_path / "ramp.tif", self.RAMP.astype(dtype))
        with pytest.raises(FinefillError, match=rf"ramp\.tif: {message}"):
            list(iterate_images([tmp_path]))

    def test_in_shards_outputs_and_training(self, tmp_path: Path) -> None:
        data, theirs = photographs(tmp_path / "photos", (128, 128)), tmp_path / "theirs"
        with Image.open(data / "0.png") as image:
            grey = np.asarray(image.convert("L"))
        Image.fromarray(grey).save(data / "0.png")
        theirs.mkdir()
        Image.fromarray(grey.astype(np.uint16) * 257).save(theirs / "0.tif")
        words = ("--data", data, "--metric", "psnr", "-o", tmp_path / "o")
        perfect = evaluate("--outputs", theirs, *words)
        assert "| theirs | **120.00**" in perfect.output
        tifffile.imwrite(theirs / "0.tif", grey.astype("float32"))
        refused = evaluate("--outputs", theirs, *words)
        assert isinstance(refused.exception, FinefillError)
        assert "0.tif: images of mode F are not supported" in str(refused.exception)
        with tarfile.open(tmp_path / "t.tar", "w") as tar:
            tar.add(theirs / "0.tif", "x/0.tif")
        trained = CliRunner().invoke(
            cli,
            ["train", "--recipe", "tiny", "--data", str(tmp_path / "t.tar"), "-o", str(tmp_path)],
        )
        assert isinstance(trained.exception, FinefillError)
        assert "t.tar: x/0.tif: images of mode F are not supported" in str(trained.exception)


def _is_of_boxes(mask: Mask) -> bool:
    """Whether every 2x2 neighbourhood along the edge is that of axis-parallel, long sides."""
    rows = np.diff(mask.astype(int), axis=0)  # horizontal edges: runs of at least a box's part
    return all(len(run) == 0 or _runs(run) >= 5 for run in rows)


def _runs(steps: NDArray[np.int_]) -> int:
    """Length of the shortest run of equal non-zero steps."""
    ends = np.flatnonzero(np.diff(np.concatenate([[0], steps, [0]])))
    lengths = [int(stop - start) for start, stop in pairwise(ends) if steps[start] != 0]
    return min(lengths, default=10**6)


PUBLISHED = {
    "freeform": "15b58d123924",
    "narrow": "c67fac428101",
    "medium": "1bf35a53089b",
    "wide": "a5c6454bb860",
    "objects": "6ae0c6e990f4",
}


def test_masks_hold_nothing_but_0_and_1() -> None:
    mask = random_strokes(np.random.default_rng(0), 128, 128)
    assert set(np.unique(mask.view(np.uint8))) == {0, 1}
