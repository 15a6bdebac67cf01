"""An exported model -> the same model in 8 bits, compared on photographs before it is kept.

Weights and the values between layers become integers of 8 bits, each with a scale of its own:
per output channel for weights, per layer for values, from the ranges that photographs give.
Processors multiply four of them where they multiply one float.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finefill import masks
from finefill.completion import CARD_KEY, Engine
from finefill.data import Pixels, iterate_images
from finefill.errors import FinefillError
from finefill.evaluation import metrics, protocol
from finefill.export import rewrite
from finefill.files import replacing, to_network
from finefill.masks import Mask

COUNT = 128  # photographs: every other one for the ranges, the rest for the comparison
LEAST = 16
PSNR_LOSS = 0.05  # dB that the mean may lose
FEATURE_LOSS = 0.01  # share by which the mean VGG16 distance may grow
# What runs on 8-bit values without leaving them.
_OPERATORS = ("Conv", "Relu", "Add", "Concat", "Resize", "DepthToSpace", "Slice")
_MARK = ("onnx.quant.pre_process", "onnxruntime.quant")  # or ONNX Runtime warns on the root logger


def quantize(
    path: str | os.PathLike[str], photos: Sequence[Path], output: Path, *, count: int = COUNT
) -> dict[str, Any]:
    """Write an 8-bit version of a model, unless its fills differ too much.

    The network's fills of square holes in held-out photographs are compared with the model's: the
    mean PSNR may fall by 0.05 dB, and, where VGG16 weights are at hand, the mean distance of VGG16
    features may grow by 1 %.

    Args:
        path: an .onnx file written by ``finefill export``.
        photos: folders or tar shards of the kind the model was trained on; not the test images.
        output: the .onnx file to write.
        count: photographs to use, the first ones of each of ``photos``.

    Returns:
        The card: the model's with ``int8``, which tells what the comparison gave.

    Raises:
        FinefillError: not a model, it is in 8 bits already, too few photographs, a package
            missing, or the fills differ.
    """
    try:
        import onnx
    except ImportError as error:
        raise FinefillError("quantising needs onnx: pip install 'finefill[train]'") from error

    exact = Engine(path, threads=1, convention="finefill")
    card = exact.card
    if "int8" in card:
        raise FinefillError(f"{path}: is in 8 bits already: give the model it was made from")
    crops = list(_crops(photos, count, card["trained_size"]))
    if len(crops) < LEAST:
        raise FinefillError(
            f"{', '.join(map(str, photos))}: {len(crops)} photographs are too few to quantise "
            f"with: give at least {LEAST}"
        )
    holes = _holes(len(crops), card)
    model = onnx.load(os.fspath(path))
    rewrite.full_weights(model)
    rewrite.faster(model)
    onnx.helper.set_model_props(model, {_MARK[0]: _MARK[1]})
    with tempfile.TemporaryDirectory() as folder:
        inner, small = Path(folder) / "exact.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, inner)
        _quantize(inner, small, integer_nodes(model.graph), crops[::2], holes[::2])
        model = onnx.load(small)
        onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(card)})
        onnx.save(model, small)
        found = compare(exact, Engine(small, threads=1), crops[1::2], holes[1::2])
        _guard(output, found)
        card["int8"] = {key: round(value, 5) for key, value in found.items()} | {
            "photographs": len(crops)
        }
        onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(card)})
        with replacing(output) as file:
            file.write(model.SerializeToString())
    return card


def compare(
    exact: Engine, small: Engine, crops: Sequence[Pixels], holes: Sequence[Mask]
) -> dict[str, float]:
    """How the fills of two models of one network differ, as means over photographs.

    Returns:
        ``psnr`` of the first model over the holes in dB and ``psnr_change``; where VGG16 weights
        are at hand ``vgg16``, its distance, and ``vgg16_change``, as a share of it; ``difference``,
        the mean absolute difference of the fills in [-1, 1].
    """
    names = [name for name in ("psnr", "vgg16") if name == "psnr" or not _missing()]
    measures = [m for m in metrics.select(names)[0] if m.region == metrics.HOLE]
    values: dict[str, list[tuple[float, float]]] = {measure.key: [] for measure in measures}
    differences = []
    for image, hole in zip(crops, holes, strict=True):
        damaged = protocol.corrupt(image, hole)
        fills = exact.fill(damaged, hole), small.fill(damaged, hole)
        differences.append(metrics.mean_l1(*fills, hole))
        for measure in measures:
            assert isinstance(measure, metrics.Metric)  # neither is of the whole set
            one, other = (measure.measure(image, fill, hole) for fill in fills)
            values[measure.key].append((one, other))
    found = {"difference": float(np.mean(differences))}
    for key, pairs in values.items():
        one, other = np.mean(pairs, axis=0)
        change = other - one if key == "psnr" else other / one - 1
        found |= {key: float(one), f"{key}_change": float(change)}
    return found


def integer_nodes(graph: Any) -> list[str]:
    """Names of the nodes to run in 8 bits: convolutions, and what lies between them.

    Convolutions with learned weights mix all channels; the smooth surroundings of
    :class:`finefill.nets.PlusGenerator`, whose fixed kernel keeps them apart, stay in float, and so
    does what comes before the first convolution or after the last: inputs and outputs.
    """
    inner = [node for node in graph.node if node.op_type in _OPERATORS]
    convolutions = {
        node.name
        for node in inner
        if node.op_type == "Conv"
        and all(one.i == 1 for one in node.attribute if one.name == "group")
    }
    after: set[str] = set()  # values that come of a convolution
    for node in graph.node:
        if node.name in convolutions or after & set(node.input):
            after |= set(node.output)
    before: set[str] = set()  # values that lead to one
    for node in reversed(graph.node):
        if node.name in convolutions or before & set(node.output):
            before |= set(node.input)
    return [
        node.name
        for node in inner
        if node.name in convolutions
        or (node.op_type != "Conv" and after & set(node.input) and before & set(node.output))
    ]


def _quantize(
    inner: Path, small: Path, nodes: list[str], crops: Sequence[Pixels], holes: Sequence[Mask]
) -> None:
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # no types there
        """The photographs, one after the other."""

        def __init__(self) -> None:
            self._pairs = iter(zip(crops, holes, strict=True))

        def get_next(self) -> dict[str, Any] | None:
            """What ONNX Runtime asks for, until None."""
            if (pair := next(self._pairs, None)) is None:
                return None
            hole = pair[1][None, None].astype(np.float32)
            return {"image": to_network(pair[0]) * (1 - hole), "mask": hole}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecations
        quantization.quantize_static(
            inner,
            small,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            # Weights of 7 bits: with 8, processors without VNNI overflow when they add products.
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=list(_OPERATORS),
            nodes_to_quantize=nodes,
        )


def _guard(output: Path, found: dict[str, float]) -> None:
    """Refuse what differs too much, or in a way that no limit is for."""
    if not found["psnr_change"] >= -PSNR_LOSS:
        raise FinefillError(
            f"{output}: not written, in 8 bits the fills lose {-found['psnr_change']:.3f} dB of "
            f"PSNR, more than {PSNR_LOSS}: use photographs like those the model was trained on"
        )
    if not found.get("vgg16_change", 0) <= FEATURE_LOSS:
        raise FinefillError(
            f"{output}: not written, in 8 bits the VGG16 distance grows by "
            f"{100 * found['vgg16_change']:.2f} %, more than {100 * FEATURE_LOSS:.0f} %: use "
            "photographs like those the model was trained on"
        )


def _crops(photos: Sequence[Path], count: int, size: int) -> Iterator[Pixels]:
    """Centre crops (size, size, 3), as many from each path."""
    share = -(-count // max(1, len(photos)))
    for path in photos:
        for name, image in itertools.islice(iterate_images([path]), share):
            if min(image.shape[:2]) < protocol.SMALLEST:
                raise FinefillError(f"{path}: {name} is too small; remove it")
            yield protocol.crop(image, size)


def _holes(count: int, card: dict[str, Any]) -> list[Mask]:
    """A square hole of the trained range for each photograph."""
    size, (low, high) = card["trained_size"], card["hole_range"]
    rng = np.random.default_rng(0)
    return [masks.random_square(rng, size, size, (low, high)) for _ in range(count)]


def _missing() -> bool:
    """Whether VGG16 weights are not at hand."""
    from finefill.nets import vgg16_at_hand

    return not vgg16_at_hand()
