"""Completion networks of other people's kinds as tiny ONNX files whose result can be told by hand.

Every one fills the hole with the mean of the known pixels, each channel by itself, as it is given
them: who hands it black and white, the mask or the channels the wrong way gets another colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def copy_known_mean(
    path: Path,
    *,
    names: tuple[str, str, str] = ("image", "mask", "output"),
    types: tuple[str, str, str] = ("FLOAT", "FLOAT", "FLOAT"),
    size: tuple[Any, Any] = ("H", "W"),
    batch: Any = "N",
    layout: str = "NCHW",
    marks: tuple[float, float] = (0, 1),
    scale: float = 1,
    shift: float = 0,
    tint: tuple[float, float, float] = (0, 0, 0),
    whole: bool = False,
    mask_channel: int | None = None,
    mask_rank: int = 4,
    composited: bool = True,
    multiple: int = 1,
    more: tuple[str, ...] = (),
    probe: bool = False,
) -> Path:
    """Write such a network.

    Args:
        path: the file.
        names: of image, mask and output.
        types: of their tensors, as ONNX spells them.
        size: height and width, numbers or names.
        batch: the number of images, likewise.
        layout: NCHW or NHWC, of image, mask and output.
        marks: the mask's values of known pixels and of the hole.
        scale: what the output is multiplied by, before ``shift`` is added.
        shift: see there.
        tint: what is added to each channel of the fill, in the image's range.
        whole: take the mean of all pixels, those in the hole too.
        mask_channel: the mask is this channel of the image, 0 or 3.
        mask_rank: axes of the mask: 4, 3 (N, H, W) or 2 (H, W).
        composited: return known pixels as they came; otherwise the mean is everywhere.
        multiple: return another size unless both sides are multiples of it.
        more: names of further outputs, each before the other.
        probe: the output is the image as it came, hole and all.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    node = helper.make_node
    kinds = [getattr(TensorProto, name) for name in types]
    image, mask, output = names
    last = layout == "NHWC"

    def shape(channels: int) -> list[Any]:
        return [batch, *size, channels] if last else [batch, channels, *size]

    def constant(name: str, value: Any, dtype: Any = np.float32) -> Any:
        return numpy_helper.from_array(np.asarray(value, dtype), name)

    keep, hole = marks
    constants = [
        constant("keep", keep),
        constant("span", hole - keep),
        constant("one", 1),
        constant("tiny", 1e-6),
        constant("tint", np.reshape(tint, (1, 3, 1, 1))),
        constant("scale", scale),
        constant("shift", shift),
        constant("axis", [1], np.int64),
    ]
    nodes = [node("Cast", [image], ["image f"], to=TensorProto.FLOAT)]
    inputs = [
        helper.make_tensor_value_info(image, kinds[0], shape(3 if mask_channel is None else 4))
    ]
    at = "image f"
    if last:
        nodes.append(node("Transpose", [at], ["image t"], perm=[0, 3, 1, 2]))
        at = "image t"
    if mask_channel is None:
        sides = {2: [*size], 3: [batch, *size], 4: shape(1)}[mask_rank]
        inputs.append(helper.make_tensor_value_info(mask, kinds[1], sides))
        nodes.append(node("Cast", [mask], ["mask f"], to=TensorProto.FLOAT))
        marked = "mask f"
        if mask_rank == 4 and last:
            nodes.append(node("Transpose", [marked], ["mask t"], perm=[0, 3, 1, 2]))
            marked = "mask t"
        if mask_rank == 2:
            constants.append(constant("both", [0, 1], np.int64))
            nodes.append(node("Unsqueeze", [marked, "both"], ["mask t"]))
            marked = "mask t"
        if mask_rank == 3:
            nodes.append(node("Unsqueeze", [marked, "axis"], ["mask t"]))
            marked = "mask t"
    else:
        parts = ["mask t", "colours"] if mask_channel == 0 else ["colours", "mask t"]
        constants.append(constant("split", [1, 3] if mask_channel == 0 else [3, 1], np.int64))
        nodes.append(node("Split", [at, "split"], parts, axis=1))
        at, marked = "colours", "mask t"
    nodes += [
        node("Sub", [marked, "keep"], ["above"]),
        node("Div", ["above", "span"], ["hole"]),
        node("Sub", ["one", "hole"], ["known"]),
        node("Mul", [at, "known"], ["masked"]),
        node("ReduceMean", [at if whole else "masked"], ["mean"], axes=[2, 3]),
        node("ReduceMean", ["known"], ["share"], axes=[2, 3]),
        node("Max", ["share", "tiny"], ["safe"]),
        node("Div", ["mean", "one" if whole else "safe"], ["plain"]),
        node("Add", ["plain", "tint"], ["colour"]),
        node("Mul", ["colour", "hole"], ["filled"]),
        node("Add", ["masked", "filled"], ["completed"]),
        node("Add", ["hole", "known"], ["everywhere"]),
        node("Mul", ["colour", "everywhere"], ["flat"]),
        node("Mul", [at if probe else "completed" if composited else "flat", "scale"], ["scaled"]),
        node("Add", ["scaled", "shift"], ["shifted"]),
    ]
    at = "shifted"
    if multiple > 1:
        pool = {"kernel_shape": [multiple] * 2, "strides": [multiple] * 2}
        constants.append(constant("sizes", [1, 1, multiple, multiple]))
        nodes.append(node("AveragePool", [at], ["small"], **pool))
        nodes.append(node("Resize", ["small", "", "sizes"], ["large"], mode="nearest"))
        at = "large"
    if last:
        nodes.append(node("Transpose", [at], ["out t"], perm=[0, 2, 3, 1]))
        at = "out t"
    if types[2] == "UINT8":
        nodes.append(node("Round", [at], ["rounded"]))
        at = "rounded"
    nodes.append(node("Cast", [at], [output], to=kinds[2]))
    outputs = []
    for name in more:
        nodes.append(node("Identity", ["mean"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 3, 1, 1]))
    outputs.append(helper.make_tensor_value_info(output, kinds[2], shape(3)))
    graph = helper.make_graph(nodes, "known mean", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, str(path))
    return path


def lama(path: Path, **changes: Any) -> Path:
    """As LaMa's widespread export: fixed 512x512, [0, 1] in, composited 0..255 out."""
    return copy_known_mean(path, **{"size": (512, 512), "scale": 255, **changes})


def migan(path: Path, **changes: Any) -> Path:
    """As MI-GAN's pipeline: uint8 of any size, 255 = known, composited."""
    settings = {"names": ("image", "mask", "result"), "types": ("UINT8", "UINT8", "UINT8")}
    return copy_known_mean(path, **{**settings, "marks": (255, 0), **changes})


def two_colours(
    shape: tuple[int, int], box: tuple[int, int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A picture with a left half of (10, 120, 250) and a right half of (30, 80, 50), and a hole.

    The mean of what is known is (20, 100, 150) where both halves keep as many pixels.

    Args:
        shape: (height, width).
        box: (top, left, height, width) of the hole, which is white in the picture.
    """
    image = np.empty((*shape, 3), np.uint8)
    image[:, : shape[1] // 2], image[:, shape[1] // 2 :] = (10, 120, 250), (30, 80, 50)
    hole = np.zeros(shape, bool)
    top, left, height, width = box
    hole[top : top + height, left : left + width] = True
    image[hole] = 255
    return image, hole


def with_weights_beside(path: Path) -> tuple[Path, list[Path]]:
    """The file ``path`` with its constants in two files beside it."""
    import onnx
    from onnx.external_data_helper import set_external_data

    model = onnx.load(path)
    parts = [path.with_name("weights a.bin"), path.parent / "sub" / "b.bin"]
    parts[1].parent.mkdir(exist_ok=True)
    for index, tensor in enumerate(model.graph.initializer):
        part = parts[index % 2]
        content = onnx.numpy_helper.to_array(tensor).tobytes()
        offset = part.stat().st_size if part.exists() else 0
        with open(part, "ab") as file:
            file.write(content)
        name = part.relative_to(path.parent).as_posix()
        tensor.raw_data = b""
        tensor.ClearField("float_data")
        set_external_data(tensor, name, offset, len(content))
        tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    return path, parts
