"""Small ONNX models by hand."""

from __future__ import annotations

from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


def model_of(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, NDArray[Any]]
) -> Any:
    """A checked model of these nodes, values and constants, in the operators of version 18."""
    made = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "test", inputs, outputs, made),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    return model
