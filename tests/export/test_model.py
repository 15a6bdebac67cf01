"""A run becomes a model that equals its network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from finefill import Engine
from finefill.data import recipes
from finefill.errors import FinefillError
from finefill.export.model import difference, export, folded, load_generator
from finefill.training import checkpoint, loop
from tests.training.runs import LENGTH, RECIPE


def test_export_equals_the_network(finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.onnx"
    card = export(finished / checkpoint.LAST, output, {"name": "mine", "terms": "none"})
    assert card["difference"] < 1e-4
    engine = Engine(output)
    assert engine.card["name"] == "mine"
    assert engine.card["samples"] == LENGTH * RECIPE.batch
    assert engine.card["size_multiple"] == 4
    net, _ = load_generator(finished / checkpoint.LAST)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded(net).modules())
    image = np.full((37, 50, 3), 90, np.uint8)
    mask = np.zeros((37, 50), bool)
    mask[10:20, 10:30] = True
    filled = engine.fill(image, mask)
    assert (filled[~mask] == 90).all()
    # The comparison can fail: other weights are found out.
    torch.manual_seed(1)
    net.last.weight.data.normal_()
    assert difference(net, output) > 1e-2
    with pytest.raises(FinefillError, match="unknown field 'nmae'"):
        export(finished / checkpoint.LAST, output, {"nmae": "typo"})


def test_half_weights_halve_the_file_and_change_little(photos: Path, tmp_path: Path) -> None:
    settings = ["widths=[32,32]", "depths=[1,2]", "rec_samples=8", "all_samples=0"]
    recipe = recipes.override(RECIPE, settings)
    assert loop.train(recipe, [photos], tmp_path / "run", device="cpu", quiet=True)
    path = tmp_path / "run" / checkpoint.LAST
    export(path, tmp_path / "whole.onnx", {})
    card = export(path, tmp_path / "half.onnx", {}, half_weights=True)
    assert card["difference"] < 1e-4
    assert 0 < card["rounding"] < 5e-3
    sizes = [(tmp_path / name).stat().st_size for name in ("half.onnx", "whole.onnx")]
    assert sizes[0] < 0.65 * sizes[1]
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    fills = [
        Engine(tmp_path / n).fill(image, mask).astype(int) for n in ("half.onnx", "whole.onnx")
    ]
    assert abs(fills[0] - fills[1]).max() <= 3


def test_a_graph_that_disagrees_is_not_kept(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finefill.export.model.TOLERANCE", 1e-12)
    with pytest.raises(FinefillError, match="differs from PyTorch"):
        export(finished / checkpoint.LAST, tmp_path / "model.onnx", {})
    assert list(tmp_path.iterdir()) == []
