"""Evaluation on masks, names and files that are not as usual."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from finefill.cli import cli
from finefill.errors import FinefillError
from finefill.evaluation import features, kinds, outputs, protocol
from finefill.evaluation.baselines import load_baseline
from finefill.masks.drawing import center_square, random_strokes


def test_masks_hold_nothing_but_0_and_1() -> None:
    mask = random_strokes(np.random.default_rng(0), 128, 128)
    assert set(np.unique(mask.view(np.uint8))) == {0, 1}


def test_biharmonic_fills_free_form_holes() -> None:
    ramp = np.repeat(np.repeat(np.arange(128, dtype=np.uint8)[:, None], 128, 1)[..., None], 3, 2)
    for hole in kinds.make_masks("freeform", 3).masks:
        completed = load_baseline("biharmonic")(protocol.corrupt(ramp, hole), hole)
        assert np.array_equal(completed[~hole], ramp[~hole])
        assert np.abs(completed.astype(int) - ramp)[hole].mean() < 10  # a ramp is biharmonic


@pytest.mark.parametrize("name", ["../../x.png", "{absolute}/x.png", "a/../../x.png"])
def test_names_cannot_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        file = io.BytesIO()
        Image.new("RGB", (130, 130)).save(file, "PNG")
        member = tarfile.TarInfo(name.format(absolute=tmp_path))
        member.size = len(file.getvalue())
        tar.addfile(member, io.BytesIO(file.getvalue()))
    test = protocol.load_test_set([tmp_path / "t.tar"])
    with pytest.raises(FinefillError, match="leads out of its folder"):
        outputs.write_inputs(tmp_path / "a" / "b", test, kinds.make_masks("center", 1))
    assert not list(tmp_path.rglob("*.png"))


def test_bad_outputs_are_found_before_anything_is_written(tmp_path: Path) -> None:
    for folder, side in (("photos", 128), ("theirs", 64)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (side, side)).save(tmp_path / folder / "0.png")
    words = ["--data", "photos", "--outputs", "theirs", "--write-inputs", "in", "-o", "out"]
    words = [str(tmp_path / w) if not w.startswith("-") else w for w in words]
    result = CliRunner().invoke(cli, ["evaluate", *words])
    assert isinstance(result.exception, FinefillError)
    assert "64x64" in str(result.exception)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos", "theirs"]


def test_a_full_cache_still_sees_each_image_once_for_all_metrics() -> None:
    extract = features.Vgg16()
    extract._room = 0
    seen: list[int] = []
    extract._net.register_forward_hook(lambda *_: seen.append(1))
    x, y = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    for hole in (center_square(32, 32, 16), np.ones((32, 32), bool)):
        extract.distance(x, y, hole)
        extract.embedding(x, hole)
        extract.embedding(y, hole)
    assert len(seen) == 2
