"""The test protocol: fixed crops, fixed masks, and methods that see nothing of the hole.

Two runs whose data hash and mask hash agree gave their methods exactly the same inputs.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill import masks
from finefill.data import iterate_images
from finefill.errors import FinefillError
from finefill.evaluation.metrics import METRICS, Metric, Pixels, Values
from finefill.images import decode
from finefill.masks import Mask

Method = Callable[[Pixels, Mask], Pixels]
"""``fill(image, mask)``: image (H, W, 3) uint8 RGB, mask (H, W) bool, True = to be completed;
returns the completed image, (H, W, 3) uint8. The image's pixels in the hole are HOLE_GREY."""

SIZE = 128  # side of a test image in pixels: the paper's
LARGEST_UNSCALED = 160  # up to this shorter side an image is cropped as it is
SMALLEST = 16  # below this shorter side nothing is left to judge
CENTER_SIDE = 64  # the paper's centre square
MASK_KINDS = ("center", "random", "freeform")
HOLE_GREY = 127  # nearest level to 0 on the [-1, 1] scale


@dataclass(frozen=True)
class TestSet:
    """Names and crops (N, 128, 128, 3) uint8 in a fixed order, with their SHA-256."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    names: tuple[str, ...]
    images: NDArray[np.uint8]
    sha256: str
    enlarged: int  # how many were smaller than a crop and had to be scaled up


@dataclass(frozen=True)
class MaskSet:
    """One mask for each image: (N, 128, 128) bool, with the SHA-256 of the packed bits."""

    kind: str
    masks: NDArray[np.bool_]
    sha256: str


@dataclass(frozen=True)
class MethodResult:
    """What one method reached: per-image values (N,) by metric, seconds (N,), and samples."""

    values: Mapping[str, Values]
    seconds: Values
    completions: Mapping[int, Pixels]  # by image index, only those that were asked for


def crop(image: Pixels, size: int = SIZE) -> Pixels:
    """Centre crop (size, size, 3) of an image (H, W, 3).

    With a shorter side of ``size`` to ``LARGEST_UNSCALED`` the crop is taken as it is; otherwise
    the image is first scaled so that its shorter side is ``size`` (the paper's way with Paris
    StreetView).
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    side = size if size <= shorter <= LARGEST_UNSCALED else shorter
    top, left = (height - side) // 2, (width - side) // 2
    patch = np.ascontiguousarray(image[top : top + side, left : left + side])
    if side == size:
        return patch
    # Cropping the square before scaling gives the same picture and bounds the work.
    return np.array(Image.fromarray(patch).resize((size, size), Image.Resampling.LANCZOS))


def load_test_set(paths: Sequence[Path], limit: int | None = None) -> TestSet:
    """Centre crops of the first ``limit`` images (default: all) in ``paths``.

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
        enlarged += shorter < SIZE
        names.append(name)
        crops.append(crop(image))
        if len(crops) == limit:
            break
    if not crops:
        raise FinefillError("no images to evaluate on: give folders or tar shards with --data")
    images = np.stack(crops)
    return TestSet(tuple(names), images, _sha256(images), enlarged)


def make_masks(spec: str, count: int, seed: int = 0) -> MaskSet:
    """``count`` masks of a kind (``center``, ``random``, ``freeform``) or from a mask file.

    ``random`` is the paper's: a square of 48 to 80 pixels anywhere. Image number i has its own
    generator, seeded by (seed, i): its mask depends neither on ``count`` nor on the images before.

    Raises:
        FinefillError: neither a kind nor a readable, usable mask of 128x128 pixels.
    """
    if spec == "center":
        stack = np.repeat(masks.center_square(SIZE, SIZE, CENTER_SIDE)[None], count, axis=0)
    elif spec in MASK_KINDS:
        draw = masks.random_square if spec == "random" else masks.random_strokes
        stack = np.stack([draw(np.random.default_rng((seed, i)), SIZE, SIZE) for i in range(count)])
    else:
        stack = np.repeat(_read_mask(Path(spec))[None], count, axis=0)
    return MaskSet(spec, stack, _sha256(np.packbits(stack)))


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
    metrics: Sequence[Metric] = METRICS,
    keep: Iterable[int] = (),
    after_each: Callable[[], object] = lambda: None,
) -> MethodResult:
    """Run one method over the test set and measure every completion.

    Args:
        keep: indices of the images whose completions are wanted back.
        after_each: called after every image (for a progress bar).

    Raises:
        FinefillError: the method returned something that is not an image of the input's shape.
    """
    wanted = set(keep)
    values = {metric.key: np.empty(len(test.names)) for metric in metrics}
    seconds = np.empty(len(test.names))
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
        for metric in metrics:
            values[metric.key][i] = metric.measure(original, completed, mask)
        if i in wanted:
            completions[i] = completed
        after_each()
    return MethodResult(values, seconds, completions)


def _read_mask(path: Path) -> Mask:
    if not path.is_file():
        raise FinefillError(
            f"--masks {path}: neither one of {', '.join(MASK_KINDS)} nor a mask file"
        )
    image, _ = decode(path)
    if image.size != (SIZE, SIZE):
        raise FinefillError(
            f"{path}: the mask is {image.width}x{image.height} pixels, the test images are "
            f"{SIZE}x{SIZE}: give a mask of that size"
        )
    return masks.read_mask(path, (SIZE, SIZE))


def _sha256(array: NDArray[np.uint8]) -> str:
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()
