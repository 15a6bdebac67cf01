"""The test protocol: fixed crops, fixed masks, and methods that see nothing of the hole.

Two runs whose data hash and mask hash agree gave their methods exactly the same inputs.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.data import iterate_images
from finefill.errors import FinefillError
from finefill.evaluation.kinds import SIZE, MaskSet
from finefill.evaluation.metrics import (
    HOLE,
    METRICS,
    AnyMetric,
    Metric,
    SetMetric,
    Values,
    psnr_outside,
)
from finefill.files import RGB
from finefill.masks import Mask

Method = Callable[[RGB, Mask], RGB]
"""``fill(image, mask)``: image (H, W, 3) uint8 RGB, mask (H, W) bool, True = to be completed;
returns the completed image, (H, W, 3) uint8. The image's pixels in the hole are HOLE_GREY."""

LARGEST_UNSCALED = 160  # up to this shorter side an image is cropped as it is
SMALLEST = 16  # below this shorter side, at any size, nothing is left to judge
MARGIN = 64  # pixels around the hole that whole photographs are measured in
NETWORK_PIXELS = 1 << 20  # more than that, networks see scaled down: it bounds their memory
BATCH_PIXELS = 8 * SIZE * SIZE  # of images that are measured together
HOLE_GREY = 127  # nearest level to 0 on the [-1, 1] scale


@dataclass(frozen=True)
class TestSet:
    """Names and images (H, W, 3) uint8 in a fixed order, with their SHA-256.

    Square crops of one size, or photographs as they are (``whole``).
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    names: tuple[str, ...]
    images: Sequence[RGB]
    sha256: str
    enlarged: int = 0  # how many were smaller than a crop and had to be scaled up
    whole: bool = False

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        images: Sequence[RGB],
        *,
        enlarged: int = 0,
        whole: bool = False,
    ) -> TestSet:
        """Images with their names and hash."""
        return cls(tuple(names), tuple(images), _sha256(images), enlarged, whole)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Height and width of each image."""
        return [(image.shape[0], image.shape[1]) for image in self.images]

    @property
    def size(self) -> int:
        """Side of a crop in pixels; of photographs as they are, the first one's height."""
        return int(self.images[0].shape[0])


@dataclass(frozen=True)
class MethodResult:
    """What one method reached: values (N,) by metric, seconds (N,), and some completions."""

    values: Mapping[str, Values]
    seconds: Values
    completions: Mapping[int, RGB]  # by image index, only those that were asked for
    set_values: Mapping[str, float | Values]  # by metric of the whole set: one number, or (N,)
    outside: Values  # (N,) PSNR in dB of what is not hole; infinite where nothing was changed

    @property
    def trespassed(self) -> int:
        """Images whose pixels outside the hole were changed."""
        return int(np.isfinite(self.outside).sum())


def crop(image: RGB, size: int = SIZE, side: int | None = None) -> RGB:
    """Centre crop (size, size, 3) of an image (H, W, 3).

    With a shorter side of ``size`` to 5/4 of it the crop is taken as it is; otherwise
    the image is first scaled so that its shorter side is ``size`` (the paper's way with Paris
    StreetView). With ``side`` a square of that many pixels, or of the shorter side if that is less,
    is scaled to ``size`` (its way with CelebA).
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    if side is not None:
        side = min(side, shorter)
    else:
        side = size if size <= shorter <= LARGEST_UNSCALED * size // SIZE else shorter
    top, left = (height - side) // 2, (width - side) // 2
    patch = np.ascontiguousarray(image[top : top + side, left : left + side])
    if side == size:
        return patch
    # Cropping the square before scaling gives the same picture and bounds the work.
    return np.array(Image.fromarray(patch).resize((size, size), Image.Resampling.LANCZOS))


def load_test_set(
    paths: Sequence[Path],
    limit: int | None = None,
    size: int = SIZE,
    *,
    side: int | None = None,
    whole: bool = False,
) -> TestSet:
    """Centre crops of ``size`` pixels of the first ``limit`` images (default: all) in ``paths``.

    The hash covers the images' pixels in order, so that a folder and a tar of the same agree.

    Args:
        side: of the square in the photograph that becomes the crop; see :func:`crop`.
        whole: photographs as they are in place of crops.

    Raises:
        FinefillError: a path is missing, unreadable or without images; an image is too small.
    """
    names: list[str] = []
    crops: list[RGB] = []
    enlarged = 0
    for name, image in iterate_images(paths):
        shorter = min(image.shape[:2])
        if shorter < SMALLEST:
            raise FinefillError(
                f"{name}: {image.shape[1]}x{image.shape[0]} pixels are too few to evaluate on "
                f"(at least {SMALLEST} a side); remove it"
            )
        enlarged += shorter < size and not whole
        names.append(name)
        crops.append(image if whole else crop(image, size, side))
        if len(crops) == limit:
            break
    if not crops:
        raise FinefillError("no images to evaluate on: give folders or tar shards with --data")
    return TestSet.of(names, crops, enlarged=enlarged, whole=whole)


def corrupt(image: RGB, mask: Mask, colour: int | tuple[int, ...] = HOLE_GREY) -> RGB:
    """A copy of the image whose hole is flat grey: all that a method gets to see."""
    damaged = image.copy()
    damaged[mask] = colour
    return damaged


def evaluate(
    test: TestSet,
    holes: MaskSet,
    method: Method,
    *,
    metrics: Sequence[AnyMetric] = METRICS,
    keep: Iterable[int] = (),
    after_each: Callable[[], object] = lambda: None,
) -> MethodResult:
    """Run one method over the test set and measure every completion.

    A measure of the whole set that wants more images than there are is left out. Whole photographs
    are measured in a window 64 pixels around the hole, over the hole alone; networks see windows of
    more than a megapixel scaled down to one.

    Args:
        keep: indices of the images whose completions are wanted back.
        after_each: called after every image (for a progress bar).

    Raises:
        FinefillError: the method returned something that is not an image of the input's shape.
    """
    wanted = set(keep)
    count = len(test.names)
    scores = _Scores([m for m in metrics if not test.whole or m.region == HOLE])
    seconds, outside = np.empty(count), np.empty(count)
    completions: dict[int, RGB] = {}
    for i, (name, original, mask) in enumerate(
        zip(test.names, test.images, holes.masks, strict=True)
    ):
        damaged = corrupt(original, mask)
        start = time.perf_counter()
        completed = method(damaged, mask.copy())
        seconds[i] = time.perf_counter() - start
        if completed.shape != original.shape or completed.dtype != np.uint8:
            raise FinefillError(
                f"{name}: the method returned {completed.dtype} {completed.shape}, not uint8 "
                f"{original.shape}; it must return the completed image"
            )
        outside[i] = psnr_outside(original, completed, mask)
        box = window(mask, MARGIN) if test.whole else ...
        scores.add(original[box], completed[box], mask[box])
        if i in wanted:
            completions[i] = completed
        after_each()
    return MethodResult(scores.values(), seconds, completions, scores.of_the_set(), outside)


class _Scores:
    """Measures of pairs in batches, since a network sees several images faster than one by one."""

    def __init__(self, metrics: Sequence[AnyMetric]) -> None:
        self._each = [metric for metric in metrics if isinstance(metric, Metric)]
        self._whole = [metric for metric in metrics if isinstance(metric, SetMetric)]
        self._ahead = list(dict.fromkeys(m.ahead for m in metrics if m.ahead))
        self._values: dict[str, list[float]] = {m.key: [] for m in self._each}
        self._embedded: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = {
            m.key: [] for m in self._whole
        }
        self._waiting: list[tuple[RGB, RGB, Mask]] = []

    def add(self, original: RGB, completed: RGB, mask: Mask) -> None:
        """One more pair; measured when a batch is full."""
        self._waiting.append((original, completed, mask))
        if sum(mask.size for _, _, mask in self._waiting) >= BATCH_PIXELS:
            self._measure()

    def _measure(self) -> None:
        seen = [_for_networks(*pair) for pair in self._waiting]
        for see in self._ahead:
            see([x for x, _, _ in seen], [y for _, y, _ in seen])
        for full, small in zip(self._waiting, seen, strict=True):
            for metric in self._each:
                value = metric.measure(*(small if metric.ahead else full))
                self._values[metric.key].append(value)
            for measure in self._whole:
                original, completed, mask = small if measure.ahead else full
                pair = measure.embed(original, mask), measure.embed(completed, mask)
                self._embedded[measure.key].append(pair)
        self._waiting.clear()

    def values(self) -> dict[str, Values]:
        """Per-image values (N,) by metric."""
        self._measure()
        return {key: np.array(values) for key, values in self._values.items()}

    def of_the_set(self) -> dict[str, float | Values]:
        """What each measure of the whole set gives."""
        self._measure()
        return {
            metric.key: metric.distance(
                *(np.stack(side) for side in zip(*self._embedded[metric.key], strict=True))
            )
            for metric in self._whole
            if len(self._embedded[metric.key]) >= metric.least
        }


def window(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The hole's bounding box, wider by ``margin`` pixels where the image goes on."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + 1 + margin),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + 1 + margin),
    )


def _for_networks(original: RGB, completed: RGB, mask: Mask) -> tuple[RGB, RGB, Mask]:
    """The same, scaled down where it has more pixels than a network gets."""
    if mask.size <= NETWORK_PIXELS:
        return original, completed, mask
    scale = (NETWORK_PIXELS / mask.size) ** 0.5
    size = round(mask.shape[1] * scale), round(mask.shape[0] * scale)
    small = [
        np.asarray(Image.fromarray(x).resize(size, Image.Resampling.LANCZOS))
        for x in (original, completed)
    ]
    share = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    # Whatever holds some of the hole: a thin stroke must not vanish.
    return small[0], small[1], np.asarray(share) > 0


def _sha256(images: Sequence[RGB]) -> str:
    """Of the stack of equal images, or of each one's shape and pixels in turn."""
    if len({image.shape for image in images}) == 1:
        shape = (len(images), *images[0].shape)
        parts: list[RGB] = [np.stack(images)]
        head = str(shape)
    else:
        parts, head = list(images), str([image.shape for image in images])
    digest = hashlib.sha256(head.encode())
    for part in parts:
        digest.update(part.tobytes())
    return digest.hexdigest()
