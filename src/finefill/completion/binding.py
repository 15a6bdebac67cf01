"""A convention joined to a file: images and masks become its inputs, its output an image.

What a file has are its :class:`Ports`; :func:`bind` refuses a convention that does not fit them
before anything is computed, and :func:`recognise` finds the built-in one that does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finefill.completion.blend import spread
from finefill.completion.convention import BUILT_IN, Convention, Layout, Range, hole_range
from finefill.errors import FinefillError, OperationError
from finefill.files import RGB, from_network, to_network
from finefill.masks import Mask

# Types of ONNX tensors that NumPy has -> the NumPy type.
TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
UNKNOWN = "not stated"
# Levels of 255 by which the known pixels of a network that returns them may differ (median).
SAME = 3


class Port(NamedTuple):
    """An input or output of a file.

    Attributes:
        name: its name.
        type: of its tensor, as ONNX Runtime says it: ``tensor(float)``.
        shape: of its tensor: numbers, and names or None where any number will do.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        dtype = TYPES.get(self.type)
        kind = np.dtype(dtype).name if dtype else self.type
        return f"{self.name} {kind} [{', '.join(str(side or '?') for side in self.shape)}]"


class Ports(NamedTuple):
    """All inputs and outputs of a file."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __str__(self) -> str:
        ins, outs = (", ".join(map(str, ports)) for ports in self)
        return f"inputs {ins}; outputs {outs}"


class Binding(NamedTuple):
    """A convention and the file it is used with: numbers in, numbers out.

    Attributes:
        convention: what was said.
        image: the port that the image goes into, as ``mask`` (None: into the image's) and
            ``output``.
        size: (height, width) if it takes only that.
        batch: how many images must go in at a time; None = the file does not say.
    """

    convention: Convention
    image: Port
    mask: Port | None
    output: Port
    size: tuple[int, int] | None
    batch: int | None

    def padded(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The size at which an image of (height, width) is given to the network."""
        if self.size is not None:
            return self.size
        multiple = self.convention.size_multiple
        height, width = shape
        return height + -height % multiple, width + -width % multiple

    def feed(self, images: Sequence[RGB], holes: Sequence[Mask]) -> dict[str, NDArray[Any]]:
        """The network's inputs for images of one size.

        Args:
            images: (H, W, 3) uint8 each.
            holes: (H, W) bool each, True = to be completed.

        Returns:
            An array for each input.
        """
        wants, mask = self.convention.image, self.convention.mask
        hole = np.stack(holes)[:, None]
        if wants.hole == "smooth":
            images = [_smooth(image, one) for image, one in zip(images, holes, strict=True)]
        values = np.concatenate([to_network(image, *wants.range) for image in images])
        if not isinstance(wants.hole, str):
            values = np.where(hole, np.float32(wants.hole), values)
        if wants.channels == "BGR":
            values = values[:, ::-1]
        marks = np.where(hole, np.float32(mask.hole), np.float32(mask.keep))
        if mask.channel is not None:
            order = [marks, values] if mask.channel == 0 else [values, marks]
            values = np.concatenate(order, axis=1)
        feed = {self.image.name: _tensor(values, self.image, wants.layout)}
        if self.mask is not None:
            feed[self.mask.name] = _tensor(marks, self.mask, mask.layout)
        return feed

    def fills(self, output: NDArray[Any], count: int, shape: tuple[int, int]) -> NDArray[Any]:
        """The network's output as numbers.

        Args:
            output: as it comes.
            count: how many images were given.
            shape: (height, width) at which they were given.

        Returns:
            (count, 3, height, width), in RGB order and in the output's range.

        Raises:
            OperationError: that is not what came out.
        """
        says = self.convention.output
        values = output[None] if output.ndim == 3 else output
        if values.ndim == 4 and says.layout == "NHWC":
            values = values.transpose(0, 3, 1, 2)
        if values.shape != (count, 3, *shape):
            raise OperationError(
                f"the model's output is {list(output.shape)}, not an image of the input's size, "
                f"{shape[1]}x{shape[0]}"
            )
        if values.dtype == np.float16:
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise OperationError("the model's output holds numbers that are none (NaN, infinite)")
        return values[:, ::-1] if says.channels == "BGR" else values

    def rgb(self, values: NDArray[Any]) -> RGB:
        """(1, 3, h, w) of :meth:`fills` -> (h, w, 3) uint8."""
        return from_network(values, *self.convention.output.range)

    def check_known(self, values: NDArray[Any], image: RGB, hole: Mask) -> None:
        """Compare what a network returns outside the hole with what it was given.

        Args:
            values: (1, 3, h, w), of :meth:`fills`.
            image: (h, w, 3) uint8.
            hole: (h, w) bool.

        Raises:
            OperationError: known pixels should come back and do not: the convention is wrong.
        """
        if not self.convention.output.composited or hole.all():
            return
        given = image[~hole].astype(np.float32)

        def unlike(bounds: Range, step: int = 1) -> float:
            found = from_network(values, *bounds)[~hole][:, ::step]
            return float(np.median(np.abs(found - given)))

        if (found := unlike(self.convention.output.range)) <= SAME:
            return
        low, high = self.convention.output.range
        advice = 'or "composited" is not true'
        if unlike((low, high), -1) <= SAME:
            advice = 'what fits is the other order of its "channels"'
        for bounds in ((0, 1), (-1, 1), (0, 255)):
            if unlike(bounds) <= SAME:
                advice = f'what fits is "range": {list(bounds)}'
        raise OperationError(
            f"known pixels come back changed by {found:.0f} of 255 levels: the output's range "
            f"[{low:g}, {high:g}], its channels or the mask's meaning are not this network's: "
            f"{advice} (see docs/networks.md)"
        )


def bind(convention: Convention, ports: Ports, where: str) -> Binding:
    """Join a convention and a file.

    Args:
        convention: what is said of it.
        ports: what it has.
        where: the file, for messages.

    Raises:
        FinefillError: they do not fit.
    """

    def problem(text: str) -> FinefillError:
        return FinefillError(f"{where}: the convention does not fit: {text}: it has {ports}")

    def port(name: str | None, some: tuple[Port, ...], kind: str) -> Port:
        if name is None and len(some) == 1:
            return some[0]
        if name is None:
            raise problem(f"it has {len(some)} {kind}s: name one")
        for one in some:
            if one.name == name:
                return one
        raise problem(f"there is no {kind} {name}")

    image = port(convention.image.name, ports.inputs, "input")
    name = convention.mask.name
    mask = None if name is None else port(name, ports.inputs, "input")
    output = port(convention.output.name, ports.outputs, "output")
    for one in ports.inputs:
        if one not in (image, mask):
            raise problem(f"nothing is known about its input {one.name}")
    if image == mask:
        raise problem("image and mask are one input: give mask.channel instead of mask.name")
    for used in filter(None, (image, mask, output)):
        if used.type not in TYPES:
            raise problem(f"{used.name} has a type that NumPy has not")

    channels = 3 if convention.mask.channel is None else 4
    height, width = _sides(image, convention.image.layout, (3, 4), channels, problem)
    if mask is not None:
        sides = _sides(mask, convention.mask.layout, (2, 3, 4), 1, problem)
        if any(a and b and a != b for a, b in zip((height, width), sides, strict=True)):
            raise problem("image and mask have other sizes")
    if output.shape:
        _sides(output, convention.output.layout, (3, 4), 3, problem)
    _check_numbers(convention, image, mask, problem)

    size = convention.size
    for given, declared in zip(size or (None, None), (height, width), strict=True):
        if declared is not None and given not in (None, declared):
            raise problem(f"size {list(size or ())} is not the image's")
    if size is None and height is not None and width is not None:
        size = height, width
    if size is None and (height is not None or width is not None):
        raise problem('only one side is fixed: give "size": [height, width]')
    if size is not None and any(side % convention.size_multiple for side in size):
        raise problem(f"size {list(size)} is no multiple of {convention.size_multiple}")
    first = image.shape[0] if len(image.shape) == 4 else 1
    batch = first if isinstance(first, int) and first > 0 else None
    return Binding(convention, image, mask, output, size, batch)


def card_of(binding: Binding, path: Path) -> dict[str, Any]:
    """What a card would say of a network that has none.

    Raises:
        FinefillError: it takes images of any size and nobody says which one it is at home with.
    """
    convention = binding.convention
    trained = convention.trained_size
    if trained is None and binding.size is None:
        raise FinefillError(
            f"{path}: takes images of any size: say in its JSON which side in pixels it was "
            'trained with: "trained_size": 512'
        )
    if binding.size is not None and (trained is None or trained > min(binding.size)):
        trained = min(binding.size)
        if convention.trained_size is not None:  # of the same make, but smaller
            smallest, largest = convention.hole_range or (1, trained)
            largest = min(largest, trained // 2)
            convention = convention._replace(hole_range=(min(smallest, largest), largest))
    assert trained is not None
    sides = hole_range(convention, trained, str(path))
    card: dict[str, Any] = {
        "name": convention.name or path.stem,
        "version": convention.version,
        "domain": convention.domain,
        "licence": convention.licence or UNKNOWN,
        "terms": convention.terms or UNKNOWN,
        "trained_size": trained,
        "hole_range": list(sides),
        "size_multiple": convention.size_multiple,
        "detail": convention.detail,
        "regions": convention.regions,
        "doubt": convention.doubt,
        "convention": convention.label,
    }
    if binding.size is not None:
        card["fixed_size"] = list(binding.size)
    return card


def recognise(ports: Ports) -> str:
    """The built-in convention that a file's inputs and output match; empty where that is doubtful.

    A file like LaMa's may have its output in another range than LaMa's: that shows with the first
    fill, because known pixels come back (see :meth:`Binding.check_known`).
    """
    inputs = {port.name: port for port in ports.inputs}
    if set(inputs) != {"image", "mask"} or len(ports.inputs) != 2 or len(ports.outputs) != 1:
        return ""
    image, mask, (output,) = inputs["image"], inputs["mask"], ports.outputs
    if len(image.shape) != 4 or len(mask.shape) != 4:
        return ""
    if (image.shape[1], mask.shape[1]) != (3, 1) or output.name == "fill":
        return ""
    fixed = [isinstance(side, int) for side in image.shape[2:]]
    kinds = {image.type, mask.type, output.type}
    square = image.shape[2:] == mask.shape[2:] == (512, 512)
    if kinds <= {"tensor(float)", "tensor(float16)"} and square:
        return "lama"
    if kinds == {"tensor(uint8)"} and not any(fixed):
        return "migan"
    return ""


def unknown(path: Path, ports: Ports) -> FinefillError:
    """The error for a file that nothing is known about: what it has, and how to say it."""
    if not ports.inputs or not ports.outputs:
        return FinefillError(f"{path}: no completion network: it has {ports}")
    image = next((one for one in ports.inputs if "mask" not in one.name.lower()), ports.inputs[0])
    mask = next((one for one in ports.inputs if one is not image), None)
    known = TYPES.get(image.type, np.float32)
    bounds = [0, 1] if np.issubdtype(known, np.floating) else [0, 255]
    said: dict[str, Any] = {"name": image.name, "range": bounds, "channels": "RGB", "hole": 0}
    sides, colours = image.shape[-2:], (3, 4)
    if len(image.shape) > 2 and image.shape[-1] in colours and image.shape[-3] not in colours:
        said["layout"], sides = "NHWC", image.shape[-3:-1]
    example: dict[str, Any] = {
        "image": said,
        "mask": {"name": mask.name} if mask is not None else {"channel": 3},
        "output": {"name": ports.outputs[0].name, "range": bounds, "composited": False},
    }
    example["mask"] |= {"keep": 0, "hole": bounds[1]}
    if not all(isinstance(side, int) for side in sides):
        example["trained_size"] = 512
    others = " or ".join(name for name in BUILT_IN if name != "finefill")
    return FinefillError(
        f"{path}: no model of finefill's, and no known convention fits: it has {ports}: say how to "
        f"use it, in {path.with_suffix('.json').name} beside it or by --convention FILE.json, for "
        f"instance {json.dumps(example)}, or name one: --convention {others}"
    )


def _smooth(image: RGB, hole: Mask) -> RGB:
    """The image with the surroundings' colours carried on into the hole."""
    known = (~hole)[..., None].astype(np.float32)
    values = np.rint(spread(image * known, known)).clip(0, 255).astype(np.uint8)
    return np.where(hole[..., None], values, image)


def _tensor(values: NDArray[np.float32], port: Port, layout: Layout) -> NDArray[Any]:
    """(N, C, H, W) as a port wants it."""
    dtype = TYPES[port.type]
    if np.issubdtype(dtype, np.integer):
        values = np.rint(values)
    if values.shape[1] == 1 and _flat(port, layout):
        values = values[:, 0]
    elif layout == "NHWC":
        values = values.transpose(0, 2, 3, 1)
    if len(port.shape) < values.ndim:  # no axis for the number of images either
        values = values[0]
    return np.ascontiguousarray(values, dtype=dtype)


def _flat(port: Port, layout: Layout) -> bool:
    """Whether a mask's port has no axis for its one channel."""
    rank = len(port.shape)
    return rank == 2 or (rank == 3 and not (layout == "NHWC" and port.shape[2] == 1))


def _sides(
    port: Port,
    layout: Layout,
    ranks: tuple[int, ...],
    channels: int,
    problem: Callable[[str], FinefillError],
) -> tuple[int | None, int | None]:
    """A port's height and width, where they are fixed; its channels must be as many."""
    if len(port.shape) not in ranks:
        raise problem(f"{port.name} has {len(port.shape)} axes")
    shape = [side if isinstance(side, int) and side > 0 else None for side in port.shape]
    if channels == 1 and _flat(port, layout):
        return shape[-2], shape[-1]
    places = (-3, -2, -1) if layout == "NCHW" else (-1, -3, -2)
    depth, height, width = (shape[place] for place in places)
    if depth not in (None, channels):
        raise problem(f"{port.name} has {depth} channels by the layout {layout}, not {channels}")
    return height, width


def _check_numbers(
    convention: Convention,
    image: Port,
    mask: Port | None,
    problem: Callable[[str], FinefillError],
) -> None:
    """Whether the ports can hold the convention's numbers."""

    def holds(port: Port, *values: float) -> bool:
        dtype: np.dtype[Any] = np.dtype(TYPES[port.type])
        if dtype.kind == "f":
            return True
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return all(value == int(value) and low <= value <= high for value in values)

    low, high = convention.image.range
    step = (high - low) / 255
    hole = () if isinstance(convention.image.hole, str) else (convention.image.hole,)
    if not holds(image, low, high, step, *hole):
        raise problem(f"{image.name} cannot hold the range [{low:g}, {high:g}] or the hole's value")
    marks = convention.mask.keep, convention.mask.hole
    if not holds(mask or image, *marks):
        raise problem(f"{(mask or image).name} cannot hold {marks[0]:g} and {marks[1]:g}")
