"""ONNX Runtime behind one call: photo and mask in, completed photo out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finefill.completion import binding as bindings
from finefill.completion import convention as conventions
from finefill.completion.binding import Binding, Port, Ports
from finefill.completion.convention import Convention, Given
from finefill.completion.weights import files_of, missing_of, outside, sha256
from finefill.errors import FinefillError, OperationError
from finefill.files import MIN_SIDE, RGB
from finefill.masks import Mask, composite

if TYPE_CHECKING:
    import onnxruntime

CARD_KEY = "finefill_card"
# Of the images of one run, together: bounds the memory. Eight of 128x128 keep a processor as busy
# as more would.
BATCH_PIXELS = 8 * 128 * 128
MAX_THREADS = 8  # more only get in each other's way on windows of this size


class Engine:
    """A loaded model. Keep it: loading costs more than completing.

    It can be pickled: what arrives in the other process opens the same file, by its path.

    Args:
        path: an .onnx file written by ``finefill export``: float32 inputs ``image`` (N, 3, H, W)
            and ``mask`` (N, 1, H, W), output ``fill`` (N, 3, H, W), and a card in its metadata;
            or any other completion network.
        threads: CPU threads; by default all the process may use, at most 8.
        convention: how to use the network: ``lama``, ``migan``, the path of a JSON file, what one
            would hold, or a :class:`Convention`. By default what the file's card says, or else the
            JSON file of its name beside it, or else the built-in convention that its inputs match.
        name: what to call it; by default as its card or its convention does, or else its file.

    Raises:
        FinefillError: the file is missing or damaged, or nobody knows how to use it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        convention: Given | None = None,
        name: str | None = None,
    ) -> None:
        self.path = Path(path)
        self._threads, self._name = threads, name
        self._session = _open(self.path, threads or min(cpus(), MAX_THREADS))
        given = None if convention is None else conventions.get(convention)
        resolved = _resolve(self._session, self.path, given)
        self._binding, self._card, self._given, self._recognised = resolved
        if name:
            self._card["name"] = name
        # Exports often say that any number of images will do where only one does.
        self._batch = self._binding.batch or (None if self._given is None else 1)

    @property
    def card(self) -> dict[str, Any]:
        """What the model is: name, trained_size, hole_range, size_multiple, licence, data, …

        With ``detail`` set, its fills get their fine detail from the photograph (see ``detail``);
        ``doubt`` is what its confidence is measured by (see ``confidence``).
        """
        return dict(self._card)

    @property
    def convention(self) -> Convention:
        """How the network is used."""
        return self._binding.convention

    @property
    def label(self) -> str:
        """The convention's name, or the SHA-256 of what it says; ``finefill`` with a card."""
        return "finefill" if self._given is None else self._given.label

    @property
    def given(self) -> Convention | None:
        """The convention to open the same file with elsewhere; None: its card says it."""
        return self._given

    @property
    def files(self) -> list[Path]:
        """Its file, and those beside it that its weights are in."""
        return files_of(self.path)

    @property
    def sha256(self) -> str:
        """Of its file; where weights are in files beside it, of all of them one after the other."""
        return sha256(self.path)

    @property
    def recognised(self) -> str:
        """The built-in convention that was taken because the file matches it; empty = none."""
        return self._recognised

    def __repr__(self) -> str:
        return f"Engine({str(self.path)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.path.absolute(), self._threads, self._given, self._name)

    def fill(self, image: RGB, mask: Mask) -> RGB:
        """Complete an image at its own resolution, in one run of the network.

        Right for holes and images of about the size the model was trained on; any other photo is
        the business of :func:`finefill.complete`.

        Args:
            image: (H, W, 3) uint8 RGB, from 16x16 up; not changed.
            mask: (H, W) bool, True = to be completed; not changed.

        Returns:
            (H, W, 3) uint8, a new array, equal to ``image`` outside the mask.

        Raises:
            FinefillError: shapes or types do not fit, or the model's output does not.
        """
        return self.fill_many([image], [mask])[0]

    def fill_many(self, images: Sequence[RGB], masks: Sequence[Mask]) -> list[RGB]:
        """Complete images, each as :meth:`fill` does, those of one size together.

        Args:
            images: (H, W, 3) uint8 RGB each, of any sizes.
            masks: (H, W) bool each, in the same order.

        Returns:
            The completed images, in that order.

        Raises:
            FinefillError: shapes or types do not fit, or the model's output does not.
        """
        sizes: dict[tuple[int, int], list[int]] = {}
        results: dict[int, RGB] = {}
        for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
            check_arrays(image, mask)
            padded = self._binding.padded(mask.shape)
            if any(side > most for side, most in zip(mask.shape, padded, strict=True)):
                sides = [f"{width}x{height}" for height, width in (mask.shape, padded)]
                raise FinefillError(
                    f"the image is {sides[0]} pixels, {self.path} takes {sides[1]}: complete it by "
                    "windows, with finefill.complete"
                )
            if mask.any():
                sizes.setdefault(padded, []).append(index)
            else:
                results[index] = image.copy()
        for (height, width), members in sizes.items():
            count = self._batch or max(1, BATCH_PIXELS // (height * width))
            for first in range(0, len(members), count):
                some = members[first : first + count]
                filled = self._run([images[i] for i in some], [masks[i] for i in some])
                results.update(zip(some, filled, strict=True))
        return [results[index] for index in range(len(images))]

    def _run(self, images: Sequence[RGB], masks: Sequence[Mask]) -> list[RGB]:
        """One run of the network on images of one padded size."""
        pads = [_padding(mask.shape, self._binding.padded(mask.shape)) for mask in masks]
        values, holes = list(images), list(masks)
        for index, pad in enumerate(pads):
            if any(map(any, pad)):
                # Mirrored: the mask too, or the hole's mirror image would pass for known pixels.
                values[index] = np.pad(images[index], [*pad, (0, 0)], mode="symmetric")
                holes[index] = np.pad(masks[index], pad, mode="symmetric")
        missing = (self._batch or 0) - len(images)  # a file may take just so many at a time
        values += values[:1] * missing
        holes += holes[:1] * missing
        try:
            (output,) = self._session.run(
                [self._binding.output.name], self._binding.feed(values, holes)
            )
        except Exception as error:  # ONNX Runtime's own classes share no other base
            raise OperationError(f"{self.path}: the model fails: {error}") from error
        results = []
        try:
            fills = self._binding.fills(output, len(values), holes[0].shape)
            for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
                (top, _), (left, _) = pads[index]
                height, width = mask.shape
                fill = fills[index : index + 1, :, top : top + height, left : left + width]
                if self._given is not None:
                    self._binding.check_known(fill, image, mask)
                results.append(self._composite(image, mask, fill))
        except OperationError as error:
            raise OperationError(f"{self.path}: {error}") from error
        return results

    def _composite(self, image: RGB, mask: Mask, fill: NDArray[Any]) -> RGB:
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        result = image.copy()
        if rows.size:  # only the hole's box is worth converting
            y, x = (slice(line[0], line[-1] + 1) for line in (rows, columns))
            box = self._binding.rgb(fill[..., y, x])
            result[y, x] = composite(image[y, x], box, mask[y, x])
        return result


def check_arrays(image: NDArray[Any], mask: NDArray[Any]) -> None:
    """Refuse arrays that are not (H, W, 3) uint8 and (H, W) bool of one size from 16x16 up."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise FinefillError(
            f"the image has shape {image.shape}, type {image.dtype}: give (height, width, 3) uint8 "
            "RGB, or a Pillow image"
        )
    if mask.shape != image.shape[:2] or mask.dtype != np.bool_:
        height, width = image.shape[:2]
        raise FinefillError(
            f"the mask has shape {mask.shape}, type {mask.dtype}: the image needs "
            f"({height}, {width}) bool"
        )
    if min(mask.shape) < MIN_SIDE:
        height, width = mask.shape
        raise FinefillError(
            f"the image is {width}x{height} pixels: at least {MIN_SIDE}x{MIN_SIDE} needed"
        )


def _padding(shape: tuple[int, ...], padded: tuple[int, int]) -> list[tuple[int, int]]:
    """(before, after) of each axis."""
    extras = [whole - side for side, whole in zip(shape, padded, strict=True)]
    return [(extra // 2, extra - extra // 2) for extra in extras]


def _again(path: Path, threads: int | None, given: Convention | None, name: str | None) -> Engine:
    """An engine that was pickled."""
    return Engine(path, threads=threads, convention=given, name=name)


def cpus() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # what a container or a job was given
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _open(path: Path, threads: int) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise FinefillError(f"{path}: no such model file: give an .onnx file or a name")
    # From 1.29 on its Linux packages report their use to their maker, unless told not to.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise FinefillError("ONNX Runtime is missing: pip install onnxruntime") from error
    onnxruntime.disable_telemetry_events()  # Windows packages have them on
    onnxruntime.set_default_logger_severity(4)  # what goes wrong is told by exceptions
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait busily take the processors from NumPy, and from whatever else runs here.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Memory straight from the system is as fast here, quicker to begin with, and is given back.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's own classes share no other base
        for part in outside(path):
            raise FinefillError(
                f"{path}: its weights are in {part}, outside its folder: keep them in it, and name "
                "them there without a folder"
            ) from error
        for part in missing_of(path):
            raise FinefillError(
                f"{path}: its weights are in {part}, which is missing: keep both together"
            ) from error
        raise FinefillError(
            f"{path}: not a usable ONNX model, perhaps damaged: get or export it again"
        ) from error


def _resolve(
    session: onnxruntime.InferenceSession, path: Path, given: Convention | None
) -> tuple[Binding, dict[str, Any], Convention | None, str]:
    """How a file is used: with its card, the convention (None: the card's), the name recognised."""
    ports = Ports(*(
        # A file that does not say how many axes there are means the usual four.
        tuple(Port(one.name, one.type, tuple(one.shape) or (None,) * 4) for one in some)
        for some in (session.get_inputs(), session.get_outputs())
    ))  # fmt: skip
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    recognised = ""
    own = given == conventions.BUILT_IN["finefill"]
    if own and text is None:
        raise FinefillError(f"{path}: not a finefill model: make one with `finefill export`")
    if text is not None and (own or given is None):
        card = _read_card(text, path)
        try:
            binding = bindings.bind(conventions.of_card(card), ports, str(path))
        except FinefillError as error:
            raise FinefillError(
                f"{path}: not a finefill model, though it has a card: make one with "
                f"`finefill export`: it has {ports}"
            ) from error
        fixed = {} if binding.size is None else {"fixed_size": list(binding.size)}
        return binding, {**card, **fixed}, None, ""
    if given is None:
        beside = path.with_suffix(".json")
        recognised = bindings.recognise(ports)
        if beside.is_file():
            given, recognised = conventions.read(beside), ""
        elif recognised:
            given = conventions.BUILT_IN[recognised]
        else:
            raise bindings.unknown(path, ports)
    binding = bindings.bind(given, ports, str(path))
    return binding, bindings.card_of(binding, path), given, recognised


def _read_card(text: str, path: Path) -> dict[str, Any]:
    """The card of a model that ``finefill export`` wrote."""
    try:
        card = json.loads(text)
        smallest, largest = (int(side) for side in card["hole_range"])
        usable = (
            isinstance(card["name"], str)
            and int(card["size_multiple"]) >= 1
            and 1 <= smallest <= largest < int(card["trained_size"])
            and float(card.get("doubt", 1)) > 0
        )
    except (ValueError, TypeError, KeyError):
        usable = False
    if not usable:
        raise FinefillError(f"{path}: the model's card is damaged: export the model again")
    assert isinstance(card, dict)
    return {"detail": False, **card}
