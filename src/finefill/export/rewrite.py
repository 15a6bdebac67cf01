"""Exact rewrites of an exported ONNX graph: the same fill in forms that run faster.

Measured in ``docs/speed.md``. All work in place on an ``onnx.ModelProto``.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Reshape, transpose, reshape: what the exporter makes of torch's pixel_unshuffle with blocks of 2.
_UNSHUFFLE = [0, 1, 3, 5, 2, 4]
# What cuts the rim off the interleaved parts of a deconvolution.
_CROP = {"crop_starts": [1, 1], "crop_ends": [-1, -1], "crop_axes": [2, 3]}
_UP = ("DepthToSpace", "Resize")  # double height and width
# What rewritten weights have at the end of their names.
_KERNELS, _PIXELS = "_kernels", "_pixels"

Boxes = dict[int, tuple[str, str]]  # for each scale (top, left) and (bottom, right)


def faster(model: Any) -> None:
    """All rewrites that make a generator's graph faster; what is done already stays."""
    deconvolutions(model)
    block_inputs(model)
    around_hole(model)


def deconvolutions(model: Any) -> None:
    """4x4 stride-2 deconvolutions -> 2x2 convolutions of four times the channels, interleaved.

    Every output pixel of such a deconvolution is a sum over 2x2 input pixels. Its weights are one
    of four sets, by the parity of its row and column. That makes as many multiplications, in the
    operator that ONNX Runtime has fast code for, in 8 bits too.
    """
    from onnx import helper

    graph, nodes, moved = model.graph, [], []
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
        parts = [node.input[0], _add_constant(graph, f"{node.input[1]}{_KERNELS}", kernels)]
        if len(node.input) > 2:
            bias = np.repeat(_constant(graph, node.input[2]), 4)
            parts.append(_add_constant(graph, f"{out}_bias", bias))
        slices = [_add_constant(graph, key, np.array(at, np.int64)) for key, at in _CROP.items()]
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
        name = f"{node.input[1]}{_PIXELS}"
        _add_constant(graph, name, pixels.reshape(outputs, stacked // 4, 6, 6))
        node.input[0], node.input[1] = source, name
        del node.attribute[:]
        for key, value in (("kernel_shape", [6, 6]), ("strides", [2, 2]), ("pads", [2] * 4)):
            node.attribute.append(helper.make_attribute(key, value))
    sweep(model)


def around_hole(model: Any) -> None:
    """Run the decoder only where the hole is; ``fill`` is ``image`` elsewhere.

    The decoder is what comes after the deepest level. At each of its levels it gets the features
    of the hole's bounding box, and as many more on every side as its convolutions reach. In a
    batch the box is that of all holes together; without any hole it is the whole image.

    The fill of the hole stays the same. A graph with other parts than ours stays as it is.
    """
    from onnx import helper

    graph, target = model.graph, model.graph.output[0].name
    if any(node.op_type == "ArgMax" for node in graph.node):  # done already
        return
    scales = _scales(graph)
    decoder = _decoder(graph, scales)
    if not decoder:
        return
    nodes, inside, last = list(graph.node), _made(decoder), decoder[-1]
    if last.op_type == "Add" and set(last.input) - inside:  # base + what the network learns to add
        base, part = sorted(last.input, key=inside.__contains__)
        nodes.remove(last)
        decoder.remove(last)
    else:
        base, part = "image", f"{target}_part"
        last.output[0], scales[part] = part, scales[target]
        inside.add(part)
    rims = {scales[node.output[0]] for node in decoder if node.op_type == "Slice"}
    new = _Nodes(graph)
    size = new.add("Shape", "mask", start=2)
    boxes, relative = _boxes(new, size, _margins(graph, decoder, scales), rims)
    axes = new.integers(2, 3)
    taken: dict[str, str] = {}  # value -> the part of it that the decoder takes
    for node in nodes:
        value = node.output[0]
        if value not in inside:
            new.nodes.append(node)
            continue
        for index, source in enumerate(node.input):
            if source in scales and source not in inside and source not in taken:
                taken[source] = new.add("Slice", source, *boxes[scales[source]], axes)
            node.input[index] = taken.get(source, source)
        new.nodes.append(node)
        if node.op_type == "Slice":
            node.input[1], node.input[2] = relative[scales[value]]
        elif node.op_type in _UP and scales[value] not in rims:
            taken[value] = new.add("Slice", value, *relative[scales[value]], axes)
    low, high = boxes[1]
    part = new.add("Mul", taken.get(part, part), new.add("Slice", "mask", low, high, axes))
    around = new.add("Concat", low, new.add("Sub", size, high), axis=0)
    whole = new.add("Pad", part, around, "", axes)
    new.nodes.append(helper.make_node("Add", [base, whole], [target]))
    _replace_nodes(graph, new.nodes)
    sweep(model)


class _Nodes:
    """The nodes of a graph in the making; new ones are named after their number."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.nodes: list[Any] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """What one more node makes."""
        return self.split(operator, *inputs, parts=1, **attributes)[0]

    def split(self, operator: str, *inputs: str, parts: int, **attributes: Any) -> list[str]:
        """What one more node of several outputs makes."""
        from onnx import helper

        name = f"around_hole_{len(self.nodes)}"
        made = [name] if parts == 1 else [f"{name}_{part}" for part in range(parts)]
        self.nodes.append(helper.make_node(operator, inputs, made, name=name, **attributes))
        return made

    def integers(self, *values: int) -> str:
        """A constant vector."""
        name = "_".join(["integers", *map(str, values)])
        return _add_constant(self.graph, name, np.array(values, np.int64))


def _boxes(new: _Nodes, size: str, margins: dict[int, int], rims: set[int]) -> tuple[Boxes, Boxes]:
    """What the decoder needs of each scale: the hole's box, wider by the scale's margin.

    Returns:
        For each scale (top, left) and (bottom, right), counted in the whole, and counted in what
        is made of the box of the scale below, which has a rim of 1 to cut off at ``rims``.
    """
    scales, count = sorted(margins), len(margins)
    # Top, left, bottom, right of all scales in one vector: small operators cost by the call.
    lines = [new.add("ReduceMax", "mask", new.integers(0, 1, axis), keepdims=0) for axis in (3, 2)]
    ends = [
        new.add("ArgMax", line, axis=0, select_last_index=last) for last in (0, 1) for line in lines
    ]
    hole = new.add("Gather", new.add("Concat", *ends, axis=0), new.integers(*[0, 1, 2, 3] * count))
    sides = new.add("Gather", size, new.integers(*[0, 1, 0, 1] * count))
    widths = new.integers(*(scale for scale in scales for _ in range(4)))
    wider = ((-m, -m, m + 1, m + 1) for m in (margins[scale] for scale in scales))
    boxes = new.add("Add", new.add("Div", hole, widths), new.integers(*itertools.chain(*wider)))
    boxes = new.add("Max", boxes, new.integers(0))
    boxes = new.add("Min", boxes, new.add("Div", sides, widths))
    below = [4 * min(row + 1, count - 1) + axis for row in range(count) for axis in (0, 1, 0, 1)]
    begin = new.add("Mul", new.add("Gather", boxes, new.integers(*below)), new.integers(2))
    relative = new.add("Sub", boxes, begin)
    if rims:
        shift = (int(scale in rims) for scale in scales for _ in range(4))
        relative = new.add("Add", relative, new.integers(*shift))
    found = []
    for values in (boxes, relative):
        ends = new.split("Split", values, parts=2 * count, axis=0, num_outputs=2 * count)
        found.append(dict(zip(scales, zip(ends[::2], ends[1::2], strict=True), strict=True)))
    return found[0], found[1]


def _made(nodes: list[Any]) -> set[str]:
    return {value for node in nodes for value in node.output}


def _scales(graph: Any) -> dict[str, int]:
    """How many pixels of the image one value's pixel is wide, where that is known."""
    scales = {"image": 1, "mask": 1}
    for node in graph.node:
        known = [scales[value] for value in node.input if value in scales]
        if not known:
            continue
        scale, found = max(known), _attributes(node)
        if node.op_type in ("Conv", "AveragePool"):
            scale *= found.get("strides", [1])[0]
        elif node.op_type == "DepthToSpace":
            scale //= found["blocksize"]
        elif node.op_type == "Resize":
            scale //= int(_constant(graph, node.input[2])[2])
        scales |= dict.fromkeys(node.output, scale)
    return scales


def _decoder(graph: Any, scales: dict[str, int]) -> list[Any]:
    """The nodes from the last convolution at the largest scale on; none if one is not known."""
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    deepest = max((scales.get(node.output[0], 0) for node in convolutions), default=0)
    if deepest < 2 or scales.get(graph.output[0].name) != 1:
        return []
    last = [node for node in convolutions if scales.get(node.output[0]) == deepest][-1]
    before = {last.input[0]}
    for node in reversed(graph.node):
        if before & set(node.output):
            before |= set(node.input)
    nodes = [node for node in graph.node if not before & set(node.output)]
    return nodes if all(_reach(graph, node) is not None for node in nodes) else []


def _margins(graph: Any, decoder: list[Any], scales: dict[str, int]) -> dict[int, int]:
    """For each scale of the decoder how far around the hole's box its values are needed."""
    needed = {decoder[-1].output[0]: 0}
    for node in reversed(decoder):
        margin = needed[node.output[0]]
        if node.op_type in _UP:
            margin = -(-margin // 2)
        for value in node.input:
            if value in scales:
                needed[value] = max(needed.get(value, 0), margin + (_reach(graph, node) or 0))
    margins: dict[int, int] = {}
    for value, margin in needed.items():
        margins[scales[value]] = max(margins.get(scales[value], 0), margin)
    for scale in sorted(margins)[1:]:  # each level covers the one above it
        margins[scale] = max(margins[scale], -(-margins[scale // 2] // 2))
    return margins


def _reach(graph: Any, node: Any) -> int | None:
    """How far a node of the decoder sees to each side; None if it is of another kind."""
    found = _attributes(node)
    if node.op_type in ("Relu", "Add", "DepthToSpace"):
        return 0
    if node.op_type == "Concat" and found["axis"] == 1:
        return 0
    if node.op_type == "Resize" and found["mode"] == b"nearest":
        modes = found["coordinate_transformation_mode"], found["nearest_mode"]
        factors = _constant(graph, node.input[2]).tolist()
        return 0 if modes == (b"asymmetric", b"floor") and factors == [1, 1, 2, 2] else None
    if node.op_type == "Slice":
        at = [_constant(graph, value).tolist() for value in node.input[1:]]
        return 0 if at == list(_CROP.values()) else None
    if node.op_type == "Conv":
        side = _constant(graph, node.input[1]).shape[2]
        reach = found.get("dilations", [1])[0] * (side - 1)
        pad = 1 if side == 2 else reach // 2  # a side of 2: of a deconvolution
        plain = {"strides": [1, 1], "pads": [pad] * 4, "auto_pad": b"NOTSET"}
        return pad if all(found.get(key, value) == value for key, value in plain.items()) else None
    return None


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


def convolutions(model: Any) -> dict[str, NDArray[np.float32]]:
    """Weights and biases of a generator's convolutions, as they were before the rewrites.

    Returns:
        Arrays by the names that PyTorch gave them; those of the deconvolutions too.
    """
    graph, found = model.graph, {}
    casts = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    known = {constant.name for constant in graph.initializer}
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        stored = [casts.get(name, name) for name in node.input[1:]]
        if not known.issuperset(stored):
            continue
        weight, *biases = (_constant(graph, name).astype(np.float32) for name in stored)
        name = node.input[1]
        outputs, inputs = weight.shape[:2] if node.op_type == "Conv" else weight.shape[1::-1]
        if name.endswith(_KERNELS):  # the inverse of `deconvolutions`
            outputs, biases = outputs // 4, [bias[::4] for bias in biases]
            blocks = weight.reshape(outputs, 2, 2, inputs, 2, 2).transpose(3, 0, 4, 1, 5, 2)
            weight = blocks[:, :, ::-1, :, ::-1, :].reshape(inputs, outputs, 4, 4)
            name = name.removesuffix(_KERNELS)
        elif name.endswith(_PIXELS):  # the inverse of `block_inputs`
            blocks = weight.reshape(outputs, inputs, 3, 2, 3, 2).transpose(0, 1, 3, 5, 2, 4)
            weight = blocks.reshape(outputs, 4 * inputs, 3, 3)
            name = name.removesuffix(_PIXELS)
            if not name.endswith(".weight"):  # exported when it was named after its output
                name = f"{node.input[2].removesuffix('.bias')}.weight"
        if name.endswith(".weight"):  # the others are not learned
            found[name] = np.ascontiguousarray(weight)
            # The exporter leaves out a bias of zeros.
            bias = biases[0] if biases else np.zeros(outputs, np.float32)
            found[f"{name.removesuffix('.weight')}.bias"] = bias
    return found


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
