"""tools/average-models.py: the mean of two exported models."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from finefill import Engine
from finefill.completion import catalog
from tests.conftest import CARD, call_tool, write_model

call = functools.partial(call_tool, "average-models.py")


def weights(path: Path) -> dict[str, np.ndarray]:
    tensors = onnx.load(path).graph.initializer
    return {t.name: numpy_helper.to_array(t) for t in tensors if ".weight" in t.name}


def test_the_mean_of_two_models(tmp_path: Path) -> None:
    """`places` and itself with every weight tripled: the mean has every weight doubled."""
    one, three, mean = (tmp_path / f"{name}.onnx" for name in ("one", "three", "mean"))
    one.write_bytes(catalog.locate("places-fp32").read_bytes())
    model = onnx.load(one)
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if ".weight" in tensor.name:
            tensor.CopyFrom(numpy_helper.from_array(3 * value, tensor.name))
    onnx.save(model, three)
    result = call(one, three, "-o", mean)
    assert result.returncode == 0, result.stderr
    before, after = weights(one), weights(mean)
    assert before.keys() == after.keys()
    assert len(before) > 20
    for name, value in before.items():  # of which float16 is not exact
        np.testing.assert_allclose(after[name], 2 * value, rtol=1e-3, atol=1e-6)
    assert Engine(mean).card == Engine(one).card


def test_models_that_have_no_mean(tmp_path: Path) -> None:
    small = write_model(tmp_path / "small.onnx", CARD)
    exact, mean = catalog.locate("places-fp32"), tmp_path / "mean.onnx"
    cases = {
        "another network": (exact, small),
        "8 bits": (catalog.locate("places"),),
        "no such": (tmp_path / "none.onnx",),
    }
    for message, models in cases.items():
        result = call(*models, "-o", mean)
        assert result.returncode == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1, result.stderr
    assert not mean.exists()
