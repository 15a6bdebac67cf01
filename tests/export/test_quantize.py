"""Rewrites of exported graphs, and models in 8 bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper
from PIL import Image

from finefill.completion.catalog import locate
from finefill.completion.engine import CARD_KEY, Engine
from finefill.data import recipes
from finefill.errors import FinefillError
from finefill.evaluation import metrics
from finefill.export import quantize as quantizing
from finefill.export import rewrite
from finefill.export.model import export
from finefill.export.quantize import integer_nodes, quantize
from finefill.training import checkpoint, loop
from tests.conftest import crops
from tests.export.graphs import model_of


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of the bundled photograph that overlap, 150x150."""
    return crops(tmp_path_factory.mktemp("photos"), 5, (110, 90), (150, 150))


@pytest.fixture(scope="module")
def small(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model `places-fp32` in 8 bits."""
    output = tmp_path_factory.mktemp("models") / "small.onnx"
    quantize(locate("places-fp32"), [photos], output)
    return output


def graph(nodes: list[Any], constants: dict[str, NDArray[Any]]) -> Any:
    """A model from x (1, C, H, W) to y."""
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", "C", "H", "W"])
        for name in ("x", "y")
    ]
    return model_of(nodes, values[:1], values[1:], constants)


def run(model: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (y,) = session.run(None, {"x": x})
    return np.asarray(y)


def test_a_deconvolution_becomes_a_convolution_by_hand() -> None:
    """One pixel of 1: the kernel appears around it, its outermost ring but one cut off."""
    kernel = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    node = helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], "up", strides=[2, 2], pads=[1, 1, 1, 1]
    )
    model = graph([node], {"w": kernel})
    rewrite.deconvolutions(model)
    onnx.checker.check_model(model, full_check=True)
    assert [one.op_type for one in model.graph.node] == ["Conv", "DepthToSpace", "Slice"]
    x = np.zeros((1, 1, 3, 3), np.float32)
    x[0, 0, 1, 1] = 1
    expected = np.zeros((6, 6), np.float32)
    expected[1:5, 1:5] = kernel[0, 0]  # input row 1 begins at output row 2 * 1 - 1
    np.testing.assert_array_equal(run(model, x)[0, 0], expected)


@pytest.mark.parametrize("relu", [False, True])
def test_deconvolutions_equal_pytorch(relu: bool) -> None:
    torch.manual_seed(0)
    deconvolution = torch.nn.ConvTranspose2d(5, 3, 4, 2, 1)
    weights = {name: p.detach().numpy() for name, p in deconvolution.named_parameters()}
    out = "z" if relu else "y"
    nodes = [
        helper.make_node(
            "ConvTranspose",
            ["x", "weight", "bias"],
            [out],
            "up",
            strides=[2, 2],
            pads=[1, 1, 1, 1],
        )
    ]
    nodes += [helper.make_node("Relu", ["z"], ["y"], "relu")] if relu else []
    model = graph(nodes, weights)
    rewrite.deconvolutions(model)
    assert "ConvTranspose" not in {node.op_type for node in model.graph.node}
    x = torch.randn(2, 5, 4, 7)
    with torch.inference_mode():
        expected = deconvolution(x)
        expected = expected.relu() if relu else expected
    np.testing.assert_allclose(run(model, x.numpy()), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [1, 1], "pads": [1, 1, 1, 1]},
        {"strides": [2, 2], "pads": [0, 0, 0, 0]},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "group": 2},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ],
    ids=str,
)
def test_other_deconvolutions_stay(attributes: dict[str, Any]) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], "up", **attributes)
    model = graph([node], {"w": np.ones((2, 2, 4, 4), np.float32)})
    before = model.SerializeToString()
    rewrite.deconvolutions(model)
    assert model.SerializeToString() == before


def test_the_8_bit_model_fills_like_the_exact_one(photos: Path, small: Path) -> None:
    exact, engine = Engine(locate("places-fp32")), Engine(small)
    told = engine.card.pop("int8")
    assert told["photographs"] == 16
    assert abs(told["psnr_change"]) <= 0.05
    assert {k: v for k, v in engine.card.items() if k != "int8"} == exact.card
    with Image.open(photos / "00.png") as photo:
        image = np.asarray(photo)
    mask = np.zeros(image.shape[:2], bool)
    mask[40:100, 50:110] = True
    one, other = exact.fill(image, mask), engine.fill(image, mask)
    np.testing.assert_array_equal(other[~mask], image[~mask])
    assert 0 < metrics.mean_l1(one, other, mask) < 0.03  # not the same network run twice


def test_its_convolutions_are_in_8_bits_and_its_file_is_smaller(small: Path) -> None:
    assert small.stat().st_size < 0.6 * locate("places-fp32").stat().st_size
    nodes = onnx.load(small).graph.node
    makers = {output: node for node in nodes for output in node.output}
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    whole = [c for c in convolutions if makers.get(c.input[1]) is None]
    assert len(convolutions) == 32
    assert [helper.get_node_attr_value(c, "group") for c in whole] == [4]  # smooth surroundings
    for node in convolutions:
        if node is not whole[0]:
            assert makers[node.input[0]].op_type == "DequantizeLinear"


def test_what_lies_between_convolutions_is_in_8_bits() -> None:
    weight = np.ones((1, 1, 1, 1), np.float32)
    make = helper.make_node
    model = graph(
        [
            make("Relu", ["x"], ["a"], "before"),
            make("Conv", ["a", "w"], ["b"], "first"),
            make("Relu", ["b"], ["c"], "relu"),
            make("Add", ["a", "c"], ["d"], "between"),
            make("Exp", ["d"], ["e"], "not an integer operator"),
            make("Conv", ["e", "w"], ["f"], "last"),
            make("Add", ["f", "x"], ["y"], "after"),
        ],
        {"w": weight},
    )
    assert integer_nodes(model.graph) == ["first", "relu", "between", "last"]


def test_what_drifts_is_not_written(photos: Path, tmp_path: Path) -> None:
    """Ranges from grey photographs cut off all that colourful ones need."""
    grey = tmp_path / "photos"
    grey.mkdir()
    for number, path in enumerate(sorted(photos.iterdir())):
        with Image.open(path) as photo:  # every other one is calibrated with
            flat = Image.new("RGB", photo.size, (127, 127, 127))
            (photo if number % 2 else flat).save(grey / path.name)
    output = tmp_path / "out.onnx"
    with pytest.raises(FinefillError, match=r"not written, in 8 bits the fills lose \d+\.\d+ dB"):
        quantize(locate("places-fp32"), [grey], output)
    assert sorted(tmp_path.iterdir()) == [grey]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"psnr_change": -0.051}, "lose 0.051 dB"),
        ({"psnr_change": float("nan")}, "lose"),
        ({"psnr_change": 0.0, "vgg16_change": 0.0101}, "grows by 1.01 %"),
        ({"psnr_change": 0.0, "vgg16_change": float("nan")}, "grows by"),
    ],
    ids=str,
)
def test_limits(found: dict[str, float], message: str) -> None:
    with pytest.raises(FinefillError, match=message):
        quantizing._guard(Path("out.onnx"), found)
    quantizing._guard(Path("out.onnx"), {"psnr_change": -0.049, "vgg16_change": 0.0099})
    quantizing._guard(Path("out.onnx"), {"psnr_change": -0.049})  # without VGG16 weights


def test_what_cannot_be_quantised_is_told(photos: Path, small: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.onnx"
    with pytest.raises(FinefillError, match="is in 8 bits already"):
        quantize(small, [photos], output)
    with pytest.raises(FinefillError, match="15 photographs are too few"):
        quantize(locate("places-fp32"), [photos], output, count=15)
    with pytest.raises(FinefillError, match="no such file"):
        quantize(locate("places-fp32"), [tmp_path / "missing"], output)


def test_export_in_8_bits(photos: Path, tmp_path: Path) -> None:
    """From a run of both kinds of generator's parts, deconvolutions and joined levels."""
    settings = ["rec_samples=24", "all_samples=0", "precision=fp32", "checkpoint_every=50"]
    recipe = recipes.override(recipes.tiny(), settings)
    run_folder = tmp_path / "run"
    assert loop.train(recipe, [photos], run_folder, device="cpu", quiet=True)
    output = tmp_path / "model.onnx"
    card = export(run_folder / checkpoint.LAST, output, {"name": "mine"}, photos=[photos])
    assert card["difference"] < 1e-4  # of the exact graph from PyTorch
    assert abs(card["int8"]["psnr_change"]) <= 0.05
    del card["difference"]
    assert Engine(output).card == card
    model = onnx.load(output)
    (text,) = (entry.value for entry in model.metadata_props if entry.key == CARD_KEY)
    assert json.loads(text) == card
    assert [entry.key for entry in model.metadata_props] == [CARD_KEY]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "run"]
