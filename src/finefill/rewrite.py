"""Exact rewrites of an exported ONNX graph: the same function in forms that run faster.

Measured in ``docs/speed.md``. All work in place on an ``onnx.ModelProto``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Reshape, transpose, reshape: what the exporter makes of torch's pixel_unshuffle with blocks of 2.
_UNSHUFFLE = [0, 1, 3, 5, 2, 4]


def faster(model: Any) -> None:
    """Both rewrites that make a generator's graph faster."""
    deconvolutions(model)
    block_inputs(model)


def deconvolutions(model: Any) -> None:
    """4x4 stride-2 deconvolutions -> 2x2 convolutions of four times the channels, interleaved.

    Every output pixel of such a deconvolution is a sum over 2x2 input pixels with one of four
    sets of weights, by the parity of its row and column: as many multiplications, in the operator
    that ONNX Runtime has fast code for, in 8 bits too.
    """
    from onnx import helper

    graph, nodes, moved = model.graph, [], []
    crop = {"crop_starts": [1, 1], "crop_ends": [-1, -1], "crop_axes": [2, 3]}
    for node in graph.node:
        if node in moved:
            continue
        if not _is_deconvolution(node):
            nodes.append(node)
            continue
        weight, out = _constant(graph, node.input[1]), node.output[0]
        inputs, outputs = weight.shape[:2]
        # Row 2 p + a of the result takes input rows p - 1 and p with kernel rows a + 2 and a.
        flipped = weight.reshape(inputs, outputs, 2, 2, 2, 2)[:, :, ::-1, :, ::-1, :]
        kernels = flipped.transpose(1, 3, 5, 0, 2, 4).reshape(4 * outputs, inputs, 2, 2)
        parts = [node.input[0], _add_constant(graph, f"{out}_kernels", kernels)]
        if len(node.input) > 2:
            bias = np.repeat(_constant(graph, node.input[2]), 4)
            parts.append(_add_constant(graph, f"{out}_bias", bias))
        slices = [_add_constant(graph, key, np.array(at, np.int64)) for key, at in crop.items()]
        phases = f"{out}_phases"
        nodes.append(helper.make_node("Conv", parts, [phases], name=node.name, pads=[1, 1, 1, 1]))
        users = [user for user in graph.node if out in user.input]
        if [user.op_type for user in users] == ["Relu"]:  # there it is part of the convolution
            moved += users
            nodes.append(helper.make_node("Relu", [phases], [f"{out}_relu"], name=users[0].name))
            phases, out = f"{out}_relu", users[0].output[0]
        blocks: dict[str, Any] = {"blocksize": 2, "mode": "CRD"}
        name, wide = f"{node.name}_interleave", f"{out}_wide"
        nodes.append(helper.make_node("DepthToSpace", [phases], [wide], name=name, **blocks))
        nodes.append(helper.make_node("Slice", [wide, *slices], [out], name=f"{node.name}_crop"))
    _replace_nodes(graph, nodes)
    sweep(model)


def block_inputs(model: Any) -> None:
    """A 3x3 convolution of 2x2 blocks stacked as channels -> a 6x6 stride-2 one of the pixels."""
    from onnx import helper

    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type != "Conv" or _attributes(node).get("kernel_shape", [3, 3]) != [3, 3]:
            continue
        if _attributes(node).get("pads") != [1, 1, 1, 1] or _plain_only(node):
            continue
        source = _unshuffled(makers, node.input[0])
        if source is None:
            continue
        weight = _constant(graph, node.input[1])
        outputs, stacked = weight.shape[:2]
        pixels = weight.reshape(outputs, stacked // 4, 2, 2, 3, 3).transpose(0, 1, 4, 2, 5, 3)
        name = f"{node.output[0]}_pixels"
        _add_constant(graph, name, pixels.reshape(outputs, stacked // 4, 6, 6))
        node.input[0], node.input[1] = source, name
        del node.attribute[:]
        for key, value in (("kernel_shape", [6, 6]), ("strides", [2, 2]), ("pads", [2] * 4)):
            node.attribute.append(helper.make_attribute(key, value))
    sweep(model)


def _unshuffled(makers: dict[str, Any], value: str) -> str | None:
    """What a value is the pixel_unshuffle of; None if it is none."""
    chain = []
    while value in makers and makers[value].op_type in ("Reshape", "Transpose"):
        chain.append(makers[value])
        value = chain[-1].input[0]
    turned = [_attributes(node)["perm"] for node in chain if node.op_type == "Transpose"]
    return value if turned == [_UNSHUFFLE] else None


def full_weights(model: Any) -> None:
    """Constants stored as float16 with a cast -> float32 constants."""
    from onnx import TensorProto

    graph = model.graph
    half = {c.name for c in graph.initializer if c.data_type == TensorProto.FLOAT16}
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in half:
            values = _constant(graph, node.input[0]).astype(np.float32)
            _add_constant(graph, node.output[0], values)
        else:
            nodes.append(node)
    _replace_nodes(graph, nodes)
    sweep(model)


def sweep(model: Any) -> None:
    """Drop nodes and constants that nothing uses, and shapes noted before a change."""
    graph, before = model.graph, -1
    while len(graph.node) != before:
        before = len(graph.node)
        used = {name for node in graph.node for name in node.input}
        used |= {output.name for output in graph.output}
        _replace_nodes(graph, [node for node in graph.node if used & set(node.output)])
    used = {name for node in graph.node for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(kept)


def _is_deconvolution(node: Any) -> bool:
    """4x4, stride 2, padding 1, one group, neither dilated nor with an odd output size."""
    found = _attributes(node)
    return (
        node.op_type == "ConvTranspose"
        and found.get("kernel_shape", [4, 4]) == [4, 4]
        and found.get("strides") == [2, 2]
        and found.get("pads") == [1, 1, 1, 1]
        and not _plain_only(node, but="strides")
        and found.get("output_padding", [0, 0]) == [0, 0]
        and "output_shape" not in found
    )


def _plain_only(node: Any, but: str = "") -> bool:
    """Whether a convolution has strides, dilations, groups or automatic padding."""
    plain = {"strides": [1, 1], "dilations": [1, 1], "group": 1, "auto_pad": b"NOTSET"}
    found = _attributes(node)
    return any(found.get(key, value) != value for key, value in plain.items() if key != but)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _constant(graph: Any, name: str) -> Any:
    from onnx import numpy_helper

    return numpy_helper.to_array(next(c for c in graph.initializer if c.name == name))


def _add_constant(graph: Any, name: str, values: Any) -> str:
    from onnx import numpy_helper

    if name not in {constant.name for constant in graph.initializer}:
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name


def _replace_nodes(graph: Any, nodes: list[Any]) -> None:
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
