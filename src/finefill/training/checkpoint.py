"""Checkpoints: one safetensors file, written beside the old one and renamed over it.

A kill at any moment leaves either the old checkpoint or the new one, never half of one, and
nothing in the file is executable.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from finefill.errors import FinefillError, OperationError

LAST = "checkpoint.safetensors"
BEST = "best.safetensors"
FORMAT = "1"


def save(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, object]) -> None:
    """Write tensors and a JSON-able state atomically.

    Raises:
        FinefillError: a tensor is not finite, or the disk refuses; the old file stays.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise FinefillError(f"{path}: not written, {name} holds NaN or infinity")
    # A copy of its own for each: safetensors refuses memory shared between tensors.
    flat = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # safetensors would let nobody else read it
        save_file(flat, temporary, metadata={"format": FORMAT, "state": json.dumps(state)})
        temporary.chmod(mode)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OperationError(
            f"{path}: cannot be written ({error}): what was there is kept; make room, or choose "
            "another folder"
        ) from error


def read_state(path: Path) -> dict[str, Any]:
    """The JSON state of a checkpoint, without its tensors.

    Raises:
        FinefillError: no such file, or not a checkpoint of finefill.
    """
    return _state(_open(path), path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save` wrote, on the CPU.

    Raises:
        FinefillError: no such file, or not a checkpoint of finefill.
    """
    file = _open(path)
    state = _state(file, path)
    try:
        return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118  # not iterable itself
    except (SafetensorError, OSError) as error:
        raise FinefillError(f"{path}: not a readable checkpoint ({error})") from error


def _open(path: Path) -> Any:
    if not path.exists():
        raise FinefillError(
            f"{path}: no checkpoint there: name a run's folder; a new run starts without --resume"
        )
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise FinefillError(f"{path}: not a readable checkpoint ({error})") from error


def _state(file: Any, path: Path) -> dict[str, Any]:
    metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise FinefillError(f"{path}: not a checkpoint of this version of finefill")
    state: dict[str, Any] = json.loads(metadata["state"])
    return state


def net_tensors(prefix: str, net: nn.Module) -> dict[str, Tensor]:
    """A module's weights and buffers under a prefix."""
    return {f"{prefix}.{name}": tensor for name, tensor in net.state_dict().items()}


def load_net(prefix: str, net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of :func:`net_tensors`; a generator's ``added`` parts may be missing.

    Raises:
        FinefillError: the checkpoint holds another architecture.
    """
    own = {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }
    for part in getattr(net, "added", ()):
        if not any(name.startswith(part) for name in own):  # as it begins
            own |= {n: tensor for n, tensor in net.state_dict().items() if n.startswith(part)}
    try:
        net.load_state_dict(own)
    except RuntimeError as error:
        theirs, wanted = ({n: t.shape for n, t in some.items()} for some in (own, net.state_dict()))
        other = sorted(dict(theirs.items() ^ wanted.items()))
        raise FinefillError(
            f"the checkpoint's {prefix} does not fit the recipe: {len(other)} tensors differ, "
            f"{other[0]} among them"
        ) from error


def optimizer_tensors(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's moments and step counts under a prefix, by the parameters' order."""
    return {
        f"{prefix}.{index}.{key}": value
        for index, entry in optimizer.state_dict()["state"].items()
        for key, value in entry.items()
    }


def load_optimizer(
    prefix: str, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """The inverse of :func:`optimizer_tensors`; groups (learning rates) stay as they are."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{prefix}."):
            index, key = name.removeprefix(f"{prefix}.").split(".")
            state.setdefault(int(index), {})[key] = tensor
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, moments in state.items():
        for key, value in moments.items():
            if value.shape == parameters[number].shape:  # the fused step wants the weights' layout
                moments[key] = torch.empty_like(parameters[number]).copy_(value)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
