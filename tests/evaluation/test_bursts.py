"""Bursts with a truth: shaded objects and their shadows pasted onto a photograph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from finefill.cli import cli
from finefill.errors import FinefillError
from finefill.evaluation import bursts, protocol
from finefill.evaluation.baselines import load_baseline
from finefill.masks import Mask

Pixels = NDArray[np.uint8]
FRAMES = 7


@pytest.fixture(scope="module")
def scene(demo_rgb: Pixels) -> tuple[Pixels, list[Pixels], list[Mask], list[Mask]]:
    """The plate, frames with noise, and in each where the object and where its shadow is.

    A red ball, lit from the left, wanders over the photograph with a soft shadow to its right; in
    the last frame there is none.
    """
    plate = demo_rgb[100:340, 60:380].copy()
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: plate.shape[0], : plate.shape[1]]
    frames, balls, shadows = [], [], []
    for i in range(FRAMES):
        y, x = 70 + 15 * i, 50 + 34 * i
        ball = np.hypot(rows - y, columns - x) < 18
        shadow = (np.hypot((rows - y - 14) / 0.45, columns - x - 26) < 24) & ~ball
        if i == FRAMES - 1:
            ball, shadow = np.zeros_like(ball), np.zeros_like(ball)
        frame = plate.astype(float)
        frame[shadow] *= 0.55
        light = 1 - 0.025 * (columns - x + 18)
        frame[ball] = (light[..., None] * (235.0, 40.0, 30.0))[ball]
        frame += rng.normal(0, 1.5, frame.shape)
        frames.append(frame.clip(0, 255).round().astype(np.uint8))
        balls.append(ball)
        shadows.append(shadow)
    return plate, frames, balls, shadows


@pytest.fixture
def folder(scene: tuple[Pixels, list[Pixels], list[Mask], list[Mask]], tmp_path: Path) -> Path:
    target = tmp_path / "bursts" / "yard"
    target.mkdir(parents=True)
    for i, frame in enumerate(scene[1]):
        Image.fromarray(frame).save(target / f"{i}.png")
    return tmp_path / "bursts"


def agreement(found: Mask, true: Mask) -> float:
    """Intersection over union."""
    return float((found & true).sum() / (found | true).sum())


def test_the_median_is_the_scene_without_what_passes(
    scene: tuple[Pixels, list[Pixels], list[Mask], list[Mask]],
) -> None:
    plate, frames, _, _ = scene
    found = bursts.clean_plate(frames)
    assert np.abs(found.astype(int) - plate).mean() < 1
    assert np.abs(found.astype(int) - plate).max() < 12  # no trace of a ball: noise


def test_object_and_shadow_are_told_apart(
    scene: tuple[Pixels, list[Pixels], list[Mask], list[Mask]],
) -> None:
    plate, frames, balls, shadows = scene
    for frame, ball, shadow in zip(frames[:-1], balls, shadows, strict=False):
        thing, both = bursts.passing(frame, plate)
        assert agreement(thing, ball) > 0.75
        assert thing[ball].mean() > 0.99  # nothing of it is left
        assert agreement(both, ball | shadow) > 0.75
        assert both[shadow].mean() > 0.95
        assert thing[shadow].mean() < 0.35
        assert not (thing & ~both).any()
    assert not bursts.passing(frames[-1], plate)[1].any()


def test_a_brighter_frame_is_no_object(demo_rgb: Pixels) -> None:
    plate = demo_rgb[:200, :200] // 2
    frame = (plate * 1.3).clip(0, 255).astype(np.uint8)
    assert not bursts.passing(frame, bursts.exposed_as(plate, frame))[1].any()


def test_cases_have_the_plate_in_their_holes(
    folder: Path, scene: tuple[Pixels, list[Pixels], list[Mask], list[Mask]]
) -> None:
    plate, frames, _, _ = scene
    (test, objects), (again, wide) = bursts.load_bursts(folder)
    assert (objects.kind, wide.kind) == ("object", "object and shadow")
    assert test.names == again.names == tuple(f"yard/{i}.png" for i in range(FRAMES - 1))
    assert wide.share > 1.3 * objects.share
    for image, frame, mask in zip(again.images, frames, wide.masks, strict=False):
        assert np.array_equal(image[~mask], frame[~mask])
        assert np.abs(image[mask].astype(int) - plate[mask]).mean() < 2


def test_command_scores_both(folder: Path, tmp_path: Path) -> None:
    words = ["evaluate", "--baseline", "telea", "--baseline", "mean", "--bursts", str(folder)]
    words += ["--metric", "psnr", "--limit", "2", "-o", str(tmp_path / "o")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "o" / "summary.json").read_text(encoding="utf-8"))["masks"]
    assert [one["masks"]["kind"] for one in facts] == ["object", "object and shadow"]
    for one, (test, holes) in zip(facts, bursts.load_bursts(folder, 2), strict=True):
        assert one["data"]["images"] == 2
        alone = protocol.evaluate(test, holes, load_baseline("telea")).values["psnr"].mean()
        assert one["methods"]["telea"]["psnr"]["mean"] == pytest.approx(alone)
        assert one["methods"]["telea"]["psnr_outside"] == "Infinity"
    assert (tmp_path / "o" / "object-and-shadow" / "sheet.png").is_file()


def test_what_is_no_burst(tmp_path: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(FinefillError, match=match):
            bursts.load_bursts(tmp_path / "b")

    refused("no such folder")
    (tmp_path / "b" / "s").mkdir(parents=True)
    refused("no photographs in it")
    for i in range(2):
        Image.new("RGB", (40, 30), "grey").save(tmp_path / "b" / "s" / f"{i}.png")
    refused("2 frames: a median needs at least 3")
    Image.new("RGB", (40, 30), "grey").save(tmp_path / "b" / "s" / "2.png")
    refused("nothing stands before any scene's median")
    Image.new("RGB", (41, 30), "grey").save(tmp_path / "b" / "s" / "3.png")
    refused(r"3\.png: 41x30 pixels, 0\.png has 40x30")
