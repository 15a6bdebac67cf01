"""What a new run begins with in place of fresh weights: the generator of a run or of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from finefill.completion import Engine
from finefill.errors import FinefillError
from finefill.export import rewrite
from finefill.nets import CompletionNet
from finefill.training import checkpoint

Weights = Mapping[str, NDArray[np.float32]]


def begin_with(source: Path, net: CompletionNet, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Load a generator's weights, in place.

    Args:
        source: a run (its best checkpoint, where it kept one), a checkpoint, or a model in float32
            as :func:`finefill.export.export` wrote it, the shipped ones too.
        net: the generator of the new run's recipe; stays in training mode.
        batches: images (N, 3, H, W) in [-1, 1] and masks (N, 1, H, W) to measure the statistics
            with that a model no longer holds; on the network's device.

    Raises:
        FinefillError: no checkpoint or model there, one in 8 bits, or of another generator.
    """
    if source.suffix == ".onnx":
        unfold(net, read_model(source), source, batches)
        return
    if source.is_dir():
        best = source / checkpoint.BEST
        source = best if best.exists() else source / checkpoint.LAST
    tensors, _ = checkpoint.load(source)
    averaged = any(name.startswith("average.") for name in tensors)
    try:
        checkpoint.load_net("average" if averaged else "generator", net, tensors)
    except FinefillError as error:
        raise FinefillError(f"{source}: {error}") from error


def read_model(path: Path) -> dict[str, NDArray[np.float32]]:
    """Weights and biases of an exported model's convolutions, BN folded in, by their names.

    Raises:
        FinefillError: not a model of ours, or one that calculates in 8 bits.
    """
    try:
        import onnx
    except ImportError as error:
        raise FinefillError(
            f"to begin with a model needs {error.name}: pip install 'finefill[train]'"
        ) from error
    Engine(path, threads=1, convention="finefill")  # or its errors
    model = onnx.load(path)
    if any("Quantize" in node.op_type for node in model.graph.node):
        raise FinefillError(
            f"{path}: is in 8 bits, too coarse to train on: begin with the float32 model, or with "
            "the run it was exported from"
        )
    return rewrite.convolutions(model)


@torch.no_grad()
def unfold(
    net: CompletionNet, weights: Weights, source: Path, batches: Iterable[tuple[Tensor, Tensor]]
) -> None:
    """The inverse of :func:`finefill.export.folded`, up to scales that BN takes out again.

    What BN was folded into keeps its weights; BN gets the mean and variance that its input has on
    ``batches`` as statistics, and the scale and shift that undo them. So the network computes what
    the model did, and nearly the same in training mode.

    Raises:
        FinefillError: the weights are those of another generator.
    """
    convs = {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        # What adds nothing at first may be missing in the model.
        and (not name.startswith(net.added) or f"{name}.weight" in weights)
    }
    norms = {  # by the convolution that each comes after
        f"{name}.0": (f"{name}.1", block[1].eps)
        for name, block in net.named_modules()
        if isinstance(block, nn.Sequential) and len(block) > 1 and isinstance(block[1], _BatchNorm)
        if f"{name}.0" in convs
    }
    shapes = {f"{name}.weight": tuple(conv.weight.shape) for name, conv in convs.items()}
    if weights.keys() != shapes.keys() | {f"{name}.bias" for name in convs} or any(
        weights[name].shape != shape for name, shape in shapes.items()
    ):
        raise FinefillError(f"{source}: the model's generator does not fit the recipe")

    state = net.state_dict()  # the very tensors
    for name in convs:
        norm, eps = norms.get(name, (name, 0.0))
        state[f"{name}.weight"].copy_(torch.from_numpy(weights[f"{name}.weight"]))
        state[f"{norm}.bias"].copy_(torch.from_numpy(weights[f"{name}.bias"]))
        if name in norms:
            state[f"{norm}.weight"].fill_(1)
            state[f"{norm}.running_mean"].zero_()
            state[f"{norm}.running_var"].fill_(1 - eps)
    for name, (mean, variance) in statistics(net, norms, batches).items():
        norm, eps = norms[name]
        state[f"{norm}.running_mean"].copy_(mean)
        state[f"{norm}.running_var"].copy_(variance)
        state[f"{norm}.weight"].copy_((variance + eps).sqrt())
        state[f"{norm}.bias"].add_(mean)


def statistics(
    net: CompletionNet, names: Iterable[str], batches: Iterable[tuple[Tensor, Tensor]]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance of the named modules' outputs, channel by channel (float64).

    The network is run in eval mode and left in training mode.
    """
    moments: dict[str, list[Tensor]] = {name: [] for name in names}

    def note(found: list[Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            values = output.double().transpose(0, 1).flatten(1)
            found.append(torch.stack([values.mean(1), values.square().mean(1)]))

        return hook

    hooks = [
        net.get_submodule(name).register_forward_hook(note(found))
        for name, found in moments.items()
    ]
    net.eval()
    for image, mask in batches:
        net(image * (1 - mask), mask)
    net.train()
    for handle in hooks:
        handle.remove()
    means = {name: torch.stack(found).mean(0) for name, found in moments.items()}
    return {name: (mean, square - mean.square()) for name, (mean, square) in means.items()}
