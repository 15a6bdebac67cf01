"""A trained run -> one .onnx file with its card, compared with PyTorch before it is kept."""

from __future__ import annotations

import copy
import datetime
import json
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from finefill.completion import CARD_KEY, Engine
from finefill.data import from_json
from finefill.errors import FinefillError, OperationError
from finefill.export import rewrite
from finefill.files import replacing
from finefill.nets import CompletionNet
from finefill.training import build, checkpoint

TOLERANCE = 1e-4  # largest difference from PyTorch allowed, in [-1, 1]
OPSET = 18
CARD_FIELDS = (
    *("name", "version", "domain", "licence", "terms", "data", "metrics"),
    *("detail", "regions", "doubt"),
)


def load_generator(path: Path) -> tuple[CompletionNet, dict[str, Any]]:
    """The generator of a checkpoint (the averaged one where there is one), in eval mode.

    Returns:
        The network and the checkpoint's state (step, samples, recipe as JSON, device, …).

    Raises:
        FinefillError: not a checkpoint.
    """
    tensors, state = checkpoint.load(path)
    net = build.generator(from_json(state["recipe"]))
    averaged = any(name.startswith("average.") for name in tensors)
    checkpoint.load_net("average" if averaged else "generator", net, tensors)
    return net.eval().requires_grad_(False), state


def folded(net: CompletionNet) -> CompletionNet:
    """A copy of an eval-mode generator with each BN folded into the convolution before it."""
    result = copy.deepcopy(net)
    # PyTorch types the fusion for one class at a time, a Sequential's item is any module.
    for block in result.modules():
        if isinstance(block, nn.Sequential) and len(block) in (2, 3):
            conv, norm = block[0], block[1]
            if isinstance(norm, nn.BatchNorm2d):
                transposed = isinstance(conv, nn.ConvTranspose2d)
                block[0] = fuse_conv_bn_eval(conv, norm, transpose=transposed)  # type: ignore[type-var]  # as said above
                block[1] = nn.Identity()
    return result


def export(
    path: Path,
    output: Path,
    about: Mapping[str, object],
    *,
    half_weights: bool = False,
    photos: Sequence[Path] = (),
) -> dict[str, Any]:
    """Write a checkpoint's generator as ONNX: batch, height and width free.

    Args:
        path: a checkpoint file.
        output: the .onnx file to write; kept only if it agrees with PyTorch.
        half_weights: store convolution weights rounded to float16: half the file. They are float32
            again when the file is loaded, so it runs as fast; PyTorch is compared with the same
            rounded weights, and the card tells what the rounding changed (``rounding``).
        about: what only people know, for the card: name, version, domain, licence, terms, data,
            metrics. ``detail``: fills get their fine detail from the photograph. ``regions``:
            regions of the photograph may fill a hole (as ``detail`` where not told). ``doubt``: the
            levels of 255 from which on two fills that differ are doubted.
        photos: folders or tar shards of photographs; with them the file is in 8 bits, a third of
            the time, and compared with the exact one (see :mod:`finefill.export.quantize`).

    Returns:
        The card, with ``difference``, the largest found between ONNX Runtime and PyTorch.

    Raises:
        FinefillError: not a checkpoint, an unknown field in ``about``, a package missing, the
            exported graph disagrees, its 8-bit version differs too much, or the disk refuses.
    """
    _check(about)
    net, state = load_generator(path)
    recipe = from_json(state["recipe"])
    card: dict[str, Any] = {
        "name": recipe.name,
        "version": "1",
        "domain": "unknown",
        "licence": "unknown",
        "terms": "unknown",
        "data": f"sha256 {state['data']}",
        "metrics": {},
        "detail": False,
        "regions": about.get("detail", False),
        **about,
        "trained_size": recipe.size,
        "hole_range": [round(side * recipe.size / 128) for side in recipe.square_sides],
        "size_multiple": net.size_multiple,
        "samples": state["samples"],
        "date": datetime.date.today().isoformat(),
        "device": state["device"],
        "recipe": json.loads(state["recipe"]),
        "parameters": net.parameter_count(),
    }
    try:
        with tempfile.TemporaryDirectory() as folder:
            graph = Path(folder) / "model.onnx"
            deployed = folded(net)
            if half_weights:
                round_weights(deployed)
                card["rounding"] = rounding(net, deployed)
            _write(deployed, graph, card, half_weights)
            card["difference"] = difference(deployed, graph)
            if card["difference"] >= TOLERANCE:
                raise FinefillError(
                    f"{output}: not written, the exported graph differs from PyTorch by "
                    f"{card['difference']:.1e}, more than {TOLERANCE:.0e}"
                )
            if photos:
                from finefill.export.quantize import quantize

                return {**quantize(graph, photos, output), "difference": card["difference"]}
            with replacing(output) as file:
                file.write(graph.read_bytes())
    except OSError as error:
        raise OperationError(
            f"{output}: not written ({error}): make room there and in {tempfile.gettempdir()}"
        ) from error
    return card


def _check(about: Mapping[str, object]) -> None:
    if unknown := sorted(set(about) - set(CARD_FIELDS)):
        raise FinefillError(f"card: unknown field {unknown[0]!r}: use {', '.join(CARD_FIELDS)}")
    level = about.get("doubt", 1)
    if isinstance(level, bool) or not isinstance(level, int | float) or not level > 0:
        raise FinefillError(f"card: doubt is {level!r}: give levels of 255, more than 0")


def rewrite_card(path: Path, output: Path, about: Mapping[str, object]) -> dict[str, Any]:
    """Write a model again with other things in its card; its graph stays as it is.

    For what is measured with the finished file: metrics, ``doubt``.

    Args:
        path: an .onnx file that :func:`export` wrote.
        output: the .onnx file to write; may be ``path``.
        about: as for :func:`export`; what it leaves out stays.

    Returns:
        The new card.

    Raises:
        FinefillError: not a model of ours, an unknown field, a package missing, or the disk
            refuses.
    """
    _check(about)
    card = Engine(path, threads=1, convention="finefill").card | dict(about)
    try:
        import onnx
    except ImportError as error:
        raise FinefillError(f"export needs {error.name}: pip install 'finefill[train]'") from error
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(card)})
    with replacing(output) as file:
        file.write(model.SerializeToString())
    return card


def _large(shape: Sequence[int]) -> bool:
    """Whether a tensor is worth storing in half: convolution weights are, biases are not."""
    return len(shape) == 4 and math.prod(shape) >= 1024


@torch.no_grad()
def round_weights(net: nn.Module) -> None:
    """Round convolution weights to float16, in place."""
    for tensor in net.parameters():
        if _large(tensor.shape):
            tensor.copy_(tensor.half().float())


def rounding(exact: CompletionNet, rounded: CompletionNet) -> float:
    """Mean absolute difference of two networks' outputs in [-1, 1] on the same noise."""
    generator = torch.Generator().manual_seed(0)
    side = 16 * exact.size_multiple
    image = torch.rand(2, 3, side, side, generator=generator) * 2 - 1
    mask = torch.zeros(2, 1, side, side)
    mask[..., side // 4 : -side // 4, side // 4 : -side // 4] = 1
    with torch.inference_mode():
        pair = (net(image * (1 - mask), mask) for net in (exact, rounded))
        return float((next(pair) - next(pair)).abs().mean())


def _store_half(model: Any) -> None:
    """Keep large float32 constants as float16 with a cast, which ONNX Runtime folds on loading."""
    import onnx

    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and _large(tensor.dims):
            name = tensor.name
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, f"{name}_half"))
            casts.append(
                onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
            )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def traced(
    net: nn.Module,
    example: tuple[torch.Tensor, torch.Tensor],
    output: str,
    free: Mapping[int, object] | None,
) -> Any:
    """A network as an ONNX model, as the exporter writes it.

    Args:
        net: of an image and a mask.
        example: both, as tensors.
        output: what to call the network's output; the inputs are ``image`` and ``mask``.
        free: the dimensions of both inputs that are free, with a ``torch.export.Dim`` each; None:
            all are as in the example.

    Returns:
        An ``onnx.ModelProto``.
    """
    # The exporter warns of its own deprecations and of an absent torchvision.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        program = torch.onnx.export(
            net,
            example,
            dynamo=True,
            input_names=["image", "mask"],
            output_names=[output],
            dynamic_shapes=(free, free) if free else None,
            opset_version=OPSET,
            verbose=False,
        )
    logger.setLevel(level)
    assert program is not None
    return program.model_proto


def _write(net: CompletionNet, path: Path, card: Mapping[str, object], half: bool) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401  # what torch.onnx.export is built on
    except ImportError as error:
        raise FinefillError(f"export needs {error.name}: pip install 'finefill[train]'") from error

    side = 2 * net.size_multiple
    example = (torch.zeros(2, 3, side, 2 * side), torch.ones(2, 1, side, 2 * side))
    multiple = net.size_multiple
    batch = torch.export.Dim("N")
    height, width = (multiple * torch.export.Dim(axis, min=1) for axis in ("rows", "columns"))
    shape = {0: batch, 2: height, 3: width}
    model = traced(net, example, "fill", shape)
    # The exporter's notes name source files of the machine it ran on.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for values in (model.graph.input, model.graph.output, model.graph.value_info):
        for value in values:
            del value.metadata_props[:]
    del model.graph.metadata_props[:], model.metadata_props[:]
    rewrite.faster(model)
    if half:
        _store_half(model)
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(dict(card))})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def difference(net: CompletionNet, path: Path) -> float:
    """Largest absolute difference of ONNX Runtime's output from what it should be.

    That is ``net``'s output in the hole and the image elsewhere, on random images of several sizes
    with holes of every kind: scattered, square, at the border, across, several, of one pixel, none,
    everywhere, and different ones in a batch. Values in [-1, 1]; not rounded to 8 bits.

    Raises:
        FinefillError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise FinefillError(
            "export needs ONNX Runtime to compare: pip install onnxruntime"
        ) from error
    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    largest = 0.0
    for mask in _test_masks(rng, net.size_multiple):
        count, _, *size = mask.shape
        image = rng.uniform(-1, 1, (count, 3, *size)).astype(np.float32) * (1 - mask)
        (ours,) = session.run(["fill"], {"image": image, "mask": mask})
        with torch.inference_mode():
            fill = net(torch.from_numpy(image), torch.from_numpy(mask)).numpy()
        theirs = np.where(mask == 1, fill, image)
        largest = max(largest, float(np.abs(ours - theirs).max()))
    return largest


def _test_masks(rng: np.random.Generator, multiple: int) -> Iterator[NDArray[np.float32]]:
    """Batches of masks (N, 1, H, W), height and width multiples of ``multiple``."""
    for count, rows, columns in ((2, 8, 13), (1, 2, 2), (3, 5, 20)):
        size = count, 1, rows * multiple, columns * multiple
        yield (rng.random(size) < 0.3).astype(np.float32)
    height, width = 14 * multiple, 11 * multiple
    middle, across = slice(height // 3, height // 2), slice(None)
    boxes = [  # of each mask; several make several holes
        [(middle, slice(width // 4, width // 2 + 1))],
        [(slice(0, height // 5), slice(width - 3, None))],
        [(middle, across)],
        [(slice(1, 4), slice(2, 9)), (slice(height - 2, None), slice(width // 2, width - 5))],
        [(slice(height // 2 + 1, height // 2 + 2), slice(5, 6))],
        [],
        [(across, across)],
    ]
    masks = np.zeros((len(boxes), 1, height, width), np.float32)
    for mask, some in zip(masks, boxes, strict=True):
        for box in some:
            mask[0][box] = 1
    yield from np.split(masks, len(masks))
    yield masks[[0, 4]]
    yield masks[[1, 5, 2]]
