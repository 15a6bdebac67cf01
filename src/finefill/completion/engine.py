"""ONNX Runtime behind one call: photo and mask in, completed photo out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finefill.errors import FinefillError, OperationError
from finefill.files import MIN_SIDE, RGB, from_network, to_network
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

    Args:
        path: an .onnx file written by ``finefill export``: float32 inputs ``image`` (N, 3, H, W)
            and ``mask`` (N, 1, H, W), output ``fill`` (N, 3, H, W), and a card in its metadata.
        threads: CPU threads; by default all the process may use, at most 8.

    Raises:
        FinefillError: the file is missing, damaged, or not such a model.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None) -> None:
        self.path = Path(path)
        self._session = _open(self.path, threads or min(cpus(), MAX_THREADS))
        self._card = _read_card(self._session, self.path)

    @property
    def card(self) -> dict[str, Any]:
        """What the model is: name, trained_size, hole_range, size_multiple, licence, data, …

        With ``detail`` set, its fills get their fine detail from the photograph (see ``detail``);
        ``doubt`` is what its confidence is measured by (see ``confidence``).
        """
        return dict(self._card)

    def __repr__(self) -> str:
        return f"Engine({str(self.path)!r})"

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
        multiple = self._card["size_multiple"]
        for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
            check_arrays(image, mask)
            height, width = mask.shape
            padded = (height + -height % multiple, width + -width % multiple)
            sizes.setdefault(padded, []).append(index)
        results: dict[int, RGB] = {}
        for (height, width), members in sizes.items():
            count = max(1, BATCH_PIXELS // (height * width))
            for first in range(0, len(members), count):
                some = members[first : first + count]
                filled = self._run([images[i] for i in some], [masks[i] for i in some])
                results.update(zip(some, filled, strict=True))
        return [results[index] for index in range(len(images))]

    def _run(self, images: Sequence[RGB], masks: Sequence[Mask]) -> list[RGB]:
        """One run of the network on images of one padded size."""
        pads = [
            [_padding(side, self._card["size_multiple"]) for side in mask.shape] for mask in masks
        ]
        # Mirrored: the mask too, or the mirror image of the hole would pass for known pixels.
        values = [
            to_network(np.pad(image, [*pad, (0, 0)], mode="symmetric"))
            for image, pad in zip(images, pads, strict=True)
        ]
        holes = [
            np.pad(mask, pad, mode="symmetric")[None, None]
            for mask, pad in zip(masks, pads, strict=True)
        ]
        hole = np.concatenate(holes).astype(np.float32)
        feed = {"image": np.concatenate(values) * (1 - hole), "mask": hole}
        try:
            (output,) = self._session.run(["fill"], feed)
        except Exception as error:  # ONNX Runtime's own classes share no other base
            raise OperationError(f"{self.path}: the model fails: {error}") from error
        if output.shape != feed["image"].shape or not np.isfinite(output).all():
            raise OperationError(
                f"{self.path}: the model's output is not an image of the input's size: export it "
                "again with `finefill export`"
            )
        results = []
        for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
            (top, _), (left, _) = pads[index]
            height, width = mask.shape
            fill = output[index : index + 1, :, top : top + height, left : left + width]
            rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
            result = image.copy()
            if rows.size:  # only the hole's box is worth converting
                y, x = (slice(line[0], line[-1] + 1) for line in (rows, columns))
                result[y, x] = composite(image[y, x], from_network(fill[..., y, x]), mask[y, x])
            results.append(result)
        return results


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


def _padding(side: int, multiple: int) -> tuple[int, int]:
    extra = -side % multiple
    return extra // 2, extra - extra // 2


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
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's own classes share no other base
        raise FinefillError(
            f"{path}: not a usable ONNX model, perhaps damaged: get or export it again"
        ) from error


def _read_card(session: onnxruntime.InferenceSession, path: Path) -> Mapping[str, Any]:
    """Check the contract and return the card."""

    def signature(values: list[Any]) -> dict[str, tuple[str, int]]:
        return {value.name: (value.type, len(value.shape)) for value in values}

    image = ("tensor(float)", 4)
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if (
        signature(session.get_inputs()) != {"image": image, "mask": image}
        or signature(session.get_outputs()) != {"fill": image}
        or text is None
    ):
        raise FinefillError(f"{path}: not a finefill model: make one with `finefill export`")
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
