"""The files that a model consists of: an .onnx file, and those it keeps its weights in.

Exporters put weights into files beside the .onnx file, some only from 2 GB on, where Protocol
Buffers end, some always. The .onnx file names them (``TensorProto.external_data``). This reads just
that much of it, field by field (Protocol Buffers' wire format), without the package onnx.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# Field numbers of onnx.proto: where tensors are in a model, and what they are named by there.
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _FUNCTION_NODE = 1, 5, 7
_NODE_ATTRIBUTE, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH = 5, 5, 6
_TENSOR_EXTERNAL, _ENTRY_KEY, _ENTRY_VALUE = 13, 1, 2
# What can hold tensors, by the message it lies in: field -> the message it is.
_INSIDE = {
    "model": {_MODEL_GRAPH: "graph", _MODEL_FUNCTIONS: "function"},
    "graph": {_GRAPH_NODE: "node", _GRAPH_INITIALIZER: "tensor"},
    "function": {_FUNCTION_NODE: "node"},
    "node": {_NODE_ATTRIBUTE: "attribute"},
    "attribute": {_ATTRIBUTE_TENSOR: "tensor", _ATTRIBUTE_GRAPH: "graph"},
    "tensor": {_TENSOR_EXTERNAL: "entry"},
}
_NUMBER, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types


def files_of(path: Path) -> list[Path]:
    """An .onnx file and the files its weights are in, each once, sorted by name.

    Args:
        path: a file that ONNX Runtime has opened.
    """
    with open(path, "rb") as file:
        found = set(_locations(file, os.fstat(file.fileno()).st_size, "model"))
    return [path, *(path.parent / name for name in sorted(found))]


def missing_of(path: Path) -> list[Path]:
    """Of those files, the ones that are not there; none where the file is damaged itself."""
    try:
        return [part for part in files_of(path) if not part.is_file()]
    except (ValueError, KeyError, OSError, RecursionError):
        return []


def outside(path: Path) -> list[Path]:
    """Of those files, the ones that are not below the model's folder, which no runtime opens."""
    folder = path.parent.resolve()
    try:
        return [part for part in files_of(path) if not part.resolve().is_relative_to(folder)]
    except (ValueError, KeyError, OSError, RecursionError):
        return []


def sha256(path: Path) -> str:
    """Of an .onnx file and what belongs to it, as if they were one file."""
    total = hashlib.sha256()
    for part in files_of(path):
        with open(part, "rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def _locations(file: BinaryIO, end: int, message: str) -> Iterator[str]:
    for field, length in _fields(file, end):
        after = file.tell() + length
        inside = _INSIDE[message].get(field)
        if inside == "entry":
            texts = {number: file.read(size) for number, size in _fields(file, after)}
            if texts.get(_ENTRY_KEY) == b"location":
                yield texts.get(_ENTRY_VALUE, b"").decode()
        elif inside is not None:
            yield from _locations(file, after, inside)
        file.seek(after)


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """(number, length) of each field with bytes, the file being at its first byte."""
    while file.tell() < end:
        field, kind = divmod(_number(file), 8)
        if kind == _BYTES:
            yield field, _number(file)
        elif kind == _NUMBER:
            _number(file)
        else:
            file.seek({_EIGHT: 8, _FOUR: 4}[kind], os.SEEK_CUR)


def _number(file: BinaryIO) -> int:
    """A number of variable length."""
    value = 0
    for shift in range(0, 64, 7):
        (byte,) = file.read(1)
        value |= (byte & 127) << shift
        if byte < 128:
            return value
    raise ValueError("not a number of 64 bits")
