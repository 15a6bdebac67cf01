"""The decoder around the hole alone: what is computed, and that the fill stays the same."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper

from finefill.data import recipes
from finefill.export import rewrite
from finefill.export.model import _test_masks, _write, folded
from finefill.training import build
from tests.export.graphs import model_of

Run = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
MAKE = helper.make_node


def session(model: Any) -> Run:
    runner = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = runner.get_outputs()[0].name

    def run(image: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(runner.run([name], {"image": image, "mask": mask})[0])

    return run


@functools.cache
def exported(name: str) -> tuple[Any, Any]:
    """A recipe's generator as PyTorch exports it, and rewritten."""
    torch.manual_seed(0)
    net = folded(build.generator(recipes.get(name)).eval())
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "plain.onnx"
        patch.setattr(rewrite, "faster", lambda model: None)
        _write(net, path, {}, half=False)
        before = onnx.load(path)
    after = onnx.ModelProto.FromString(before.SerializeToString())
    rewrite.faster(after)
    onnx.checker.check_model(after, full_check=True)
    return before, after


def little(**change: Any) -> Any:
    """One level down and up: means of 2x2 blocks, added up over 3x3 blocks, repeated 2x2."""
    down: dict[str, Any] = {"strides": [2, 2]}
    up: dict[str, Any] = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    up |= {"nearest_mode": "floor"} | change.pop("up", {})
    sums: dict[str, Any] = {"pads": [1, 1, 1, 1]} | change
    nodes = [
        MAKE("Concat", ["image", "mask"], ["both"], "both", axis=1),
        MAKE("Conv", ["both", "mean"], ["half"], "down", **down),
        MAKE("Conv", ["half", "ones"], ["sums"], "sums", **sums),
        MAKE("Resize", ["sums", "", "scales"], ["whole"], "up", **up),
        MAKE("Conv", ["whole", "dot"], ["fill"], "last"),
    ]
    constants: dict[str, NDArray[Any]] = {
        "mean": np.full((1, 4, 2, 2), 0.25, np.float32),
        "ones": np.ones((1, 1, 3, 3), np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "dot": np.ones((3, 1, 1, 1), np.float32),
    }
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", channels, "H", "W"])
        for name, channels in (("image", 3), ("mask", 1), ("fill", 3))
    ]
    return model_of(nodes, values[:2], values[2:], constants)


def watched(model: Any, names: list[str], feed: dict[str, NDArray[Any]]) -> list[tuple[int, ...]]:
    """The shapes of values within a model."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for name in names:
        model.graph.output.append(helper.make_empty_tensor_value_info(name))
    runner = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return [value.shape for value in runner.run(names, feed)]


def test_the_box_and_its_margin_by_hand() -> None:
    """Hole in rows 6 to 9, columns 0 to 2 of 32x40: rows 3 and 4, columns 0 and 1 of the half.

    One more on each side for the 3x3 sums, where there is one: rows 2 to 5, columns 0 to 2.
    """
    model = little()
    rewrite.around_hole(model)
    onnx.checker.check_model(model, full_check=True)
    mask = np.zeros((1, 1, 32, 40), np.float32)
    mask[..., 6:10, 0:3] = 1
    image = np.full((1, 3, 32, 40), 0.5, np.float32) * (1 - mask)
    feed = {"image": image, "mask": mask}
    assert watched(model, ["sums", "fill_part"], feed) == [(1, 1, 4, 3), (1, 3, 4, 3)]
    fill = session(model)(image, mask)
    np.testing.assert_array_equal(fill[:, :, mask[0, 0] == 0], 0.5)
    np.testing.assert_allclose(fill, np.where(mask == 1, session(little())(image, mask), image))
    # Row 6 is of row 3 of the half, column 0 of column 0: sums over rows 2 to 4, columns 0 and 1.
    # A block is 4 * 0.25 * (0.5 * 3) = 1.5 where all is known and 4 * 0.25 where all is hole; half
    # of the blocks of column 1 is known.
    expected = (1.5 + 1.5) + 2 * (1 + 1.25)
    np.testing.assert_allclose(fill[0, :, 6, 0], expected)


def test_a_batch_gets_the_box_of_all_its_holes() -> None:
    model = little()
    rewrite.around_hole(model)
    mask = np.zeros((2, 1, 32, 32), np.float32)
    mask[0, 0, 10:12, 10:12] = 1
    mask[1, 0, 20:22, 14:15] = 1
    feed = {"image": np.zeros((2, 3, 32, 32), np.float32), "mask": mask}
    # Rows 5 to 10 and columns 5 to 7 of the half, and one more on each side.
    assert watched(model, ["sums"], feed) == [(2, 1, 8, 5)]


def test_without_a_hole_nothing_is_cut_off() -> None:
    model = little()
    rewrite.around_hole(model)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 16, 24)).astype(np.float32)
    mask = np.zeros((1, 1, 16, 24), np.float32)
    assert watched(model, ["sums"], {"image": image, "mask": mask}) == [(1, 1, 8, 12)]
    np.testing.assert_array_equal(session(model)(image, mask), image)


@pytest.mark.parametrize("name", ["celeba", "scenes"])
def test_slow_operators_are_gone(name: str) -> None:
    before, after = ({node.op_type for node in model.graph.node} for model in exported(name))
    assert before & {"ConvTranspose", "Transpose"}
    assert not after & {"ConvTranspose", "Cast", "Transpose"}


@pytest.mark.parametrize("name", ["celeba", "scenes"])
def test_the_fill_stays_the_same(name: str) -> None:
    before, after = map(session, exported(name))
    rng = np.random.default_rng(0)
    for mask in _test_masks(rng, 8):
        count, _, *size = mask.shape
        image = rng.uniform(-1, 1, (count, 3, *size)).astype(np.float32) * (1 - mask)
        expected = np.where(mask == 1, before(image, mask), image)
        np.testing.assert_allclose(after(image, mask), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["celeba", "scenes"])
def test_the_last_convolution_sees_little_more_than_the_hole(name: str) -> None:
    _, after = exported(name)
    before = onnx.ModelProto.FromString(exported(name)[0].SerializeToString())
    last = [node.output[0] for node in after.graph.node if node.op_type == "Conv"][-1]
    rewrite.faster(before)
    scale = rewrite._scales(before.graph)[last]
    mask = np.zeros((1, 1, 128, 128), np.float32)
    mask[..., 32:96, 32:96] = 1
    feed = {"image": np.zeros((1, 3, 128, 128), np.float32), "mask": mask}
    ((*_, height, width),) = watched(after, [last], feed)
    # Three convolutions are at its level: 3 more on each side.
    assert height == width == 64 // scale + 2 * 3


def test_once_is_enough() -> None:
    model = little()
    rewrite.faster(model)
    once = model.SerializeToString()
    rewrite.faster(model)
    assert model.SerializeToString() == once


@pytest.mark.parametrize(
    "change",
    [
        {"up": {"coordinate_transformation_mode": "half_pixel"}},
        {"up": {"mode": "linear"}},
        {"pads": [2, 2, 0, 0]},
    ],
    ids=str,
)
def test_other_graphs_stay(change: dict[str, Any]) -> None:
    model = little(**change)
    before = model.SerializeToString()
    rewrite.around_hole(model)
    assert model.SerializeToString() == before


@pytest.mark.parametrize("name", ["paris", "scenes"])
def test_weights_have_the_names_and_values_they_had_before(name: str) -> None:
    before, after = (rewrite.convolutions(model) for model in exported(name))
    torch.manual_seed(0)
    state = folded(build.generator(recipes.get(name)).eval()).state_dict()
    names = {key for key in state if key.endswith((".weight", ".bias"))}
    assert before.keys() == after.keys() == names
    for key, values in after.items():
        assert np.array_equal(values, before[key])
        assert np.array_equal(values, state[key].numpy())
