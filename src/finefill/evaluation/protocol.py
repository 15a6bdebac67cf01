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

from finefill import masks
from finefill.data import iterate_images
from finefill.errors import FinefillError
from finefill.evaluation.metrics import METRICS, AnyMetric, Metric, Pixels, SetMetric, Values
from finefill.files import decode
from finefill.masks import Mask

Method = Callable[[Pixels, Mask], Pixels]
"""``fill(image, mask)``: image (H, W, 3) uint8 RGB, mask (H, W) bool, True = to be completed;
returns the completed image, (H, W, 3) uint8. The image's pixels in the hole are HOLE_GREY."""

SIZE = 128  # side of a test image in pixels: the paper's. Lengths below are at this size
LARGEST_UNSCALED = 160  # up to this shorter side an image is cropped as it is
SMALLEST = 16  # below this shorter side, at any size, nothing is left to judge
CENTER_SIDE = 64  # the paper's centre square
SQUARE_SIDES = (48, 80)  # the paper's random squares
MASK_KINDS = ("center", "random", "freeform")
BATCH_PIXELS = 8 * SIZE * SIZE  # of images that are measured together
HOLE_GREY = 127  # nearest level to 0 on the [-1, 1] scale


@dataclass(frozen=True)
class TestSet:
    """Names and crops (N, size, size, 3) uint8 in a fixed order, with their SHA-256."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    names: tuple[str, ...]
    images: NDArray[np.uint8]
    sha256: str
    enlarged: int  # how many were smaller than a crop and had to be scaled up

    @property
    def size(self) -> int:
        """Side of a crop in pixels."""
        return int(self.images.shape[1])


@dataclass(frozen=True)
class MaskSet:
    """One mask for each image: (N, size, size) bool, with the SHA-256 of the packed bits."""

    kind: str
    masks: NDArray[np.bool_]
    sha256: str


@dataclass(frozen=True)
class MethodResult:
    """What one method reached: values (N,) by metric, seconds (N,), and some completions."""

    values: Mapping[str, Values]
    seconds: Values
    completions: Mapping[int, Pixels]  # by image index, only those that were asked for
    set_values: Mapping[str, float | Values]  # by metric of the whole set: one number, or (N,)
    trespassed: int  # images whose pixels outside the hole were changed


def crop(image: Pixels, size: int = SIZE) -> Pixels:
    """Centre crop (size, size, 3) of an image (H, W, 3).

    With a shorter side of ``size`` to 5/4 of it the crop is taken as it is; otherwise
    the image is first scaled so that its shorter side is ``size`` (the paper's way with Paris
    StreetView).
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    side = size if size <= shorter <= LARGEST_UNSCALED * size // SIZE else shorter
    top, left = (height - side) // 2, (width - side) // 2
    patch = np.ascontiguousarray(image[top : top + side, left : left + side])
    if side == size:
        return patch
    # Cropping the square before scaling gives the same picture and bounds the work.
    return np.array(Image.fromarray(patch).resize((size, size), Image.Resampling.LANCZOS))


def load_test_set(paths: Sequence[Path], limit: int | None = None, size: int = SIZE) -> TestSet:
    """Centre crops of ``size`` pixels of the first ``limit`` images (default: all) in ``paths``.

    The hash covers the crops' pixels in order, so that a folder and a tar of the same images agree.

    Raises:
        FinefillError: a path is missing, unreadable or without images; an image is too small.
    """
    names: list[str] = []
    crops: list[Pixels] = []
    enlarged = 0
    for name, image in iterate_images(paths):
        shorter = min(image.shape[:2])
        if shorter < SMALLEST:
            raise FinefillError(
                f"{name}: {image.shape[1]}x{image.shape[0]} pixels are too few to evaluate on "
                f"(at least {SMALLEST} a side); remove it"
            )
        enlarged += shorter < size
        names.append(name)
        crops.append(crop(image, size))
        if len(crops) == limit:
            break
    if not crops:
        raise FinefillError("no images to evaluate on: give folders or tar shards with --data")
    images = np.stack(crops)
    return TestSet(tuple(names), images, _sha256(images), enlarged)


def make_masks(spec: str, count: int, seed: int = 0, size: int = SIZE) -> MaskSet:
    """``count`` masks of a kind (``center``, ``random``, ``freeform``) or from a mask file.

    ``center`` is a square of half the size, ``random`` the paper's: a square of 48 to 80 pixels at
    size 128 anywhere. Image number i has its own generator, seeded by (seed, i): its mask depends
    neither on ``count`` nor on the images before.

    Raises:
        FinefillError: neither a kind nor a readable, usable mask of size x size pixels.
    """
    low, high = (round(side * size / SIZE) for side in SQUARE_SIDES)
    if spec == "center":
        square = masks.center_square(size, size, CENTER_SIDE * size // SIZE)
        stack = np.repeat(square[None], count, axis=0)
    elif spec == "random":
        stack = np.stack(
            [masks.random_square(_source(seed, i), size, size, (low, high)) for i in range(count)]
        )
    elif spec == "freeform":
        stack = np.stack([masks.random_strokes(_source(seed, i), size, size) for i in range(count)])
    else:
        stack = np.repeat(_read_mask(Path(spec), size)[None], count, axis=0)
    return MaskSet(spec, stack, _sha256(np.packbits(stack)))


def _source(seed: int, index: int) -> np.random.Generator:
    return np.random.default_rng((seed, index))


def corrupt(image: Pixels, mask: Mask, grey: int = HOLE_GREY) -> Pixels:
    """A copy of the image whose hole is flat grey: all that a method gets to see."""
    damaged = image.copy()
    damaged[mask] = grey
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

    A measure of the whole set that wants more images than there are is left out.

    Args:
        keep: indices of the images whose completions are wanted back.
        after_each: called after every image (for a progress bar).

    Raises:
        FinefillError: the method returned something that is not an image of the input's shape.
    """
    wanted = set(keep)
    count = len(test.names)
    scores = _Scores(metrics)
    trespassed = 0
    seconds = np.empty(count)
    completions: dict[int, Pixels] = {}
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
        trespassed += not np.array_equal(completed[~mask], original[~mask])
        scores.add(original, completed, mask)
        if i in wanted:
            completions[i] = completed
        after_each()
    return MethodResult(scores.values(), seconds, completions, scores.of_the_set(), trespassed)


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
        self._waiting: list[tuple[Pixels, Pixels, Mask]] = []

    def add(self, original: Pixels, completed: Pixels, mask: Mask) -> None:
        """One more pair; measured when a batch is full."""
        self._waiting.append((original, completed, mask))
        if sum(mask.size for _, _, mask in self._waiting) >= BATCH_PIXELS:
            self._measure()

    def _measure(self) -> None:
        for see in self._ahead:
            see([x for x, _, _ in self._waiting], [y for _, y, _ in self._waiting])
        for original, completed, mask in self._waiting:
            for metric in self._each:
                self._values[metric.key].append(metric.measure(original, completed, mask))
            for measure in self._whole:
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


def _read_mask(path: Path, size: int) -> Mask:
    if not path.is_file():
        raise FinefillError(
            f"--masks {path}: neither one of {', '.join(MASK_KINDS)} nor a mask file"
        )
    image, _ = decode(path)
    if image.size != (size, size):
        raise FinefillError(
            f"{path}: the mask is {image.width}x{image.height} pixels, the test images are "
            f"{size}x{size}: give a mask of that size"
        )
    return masks.read_mask(path, (size, size), keep_polarity=True)


def _sha256(array: NDArray[np.uint8]) -> str:
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()
