"""Masks of a test: one for each image, a function of its kind, the seed and the image's number."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finefill import masks
from finefill.errors import FinefillError
from finefill.evaluation.extras import require
from finefill.files import decode
from finefill.masks import Mask

SIZE = 128  # side of a test image in pixels: the paper's. Lengths below are at this size
CENTER_SIDE = 64  # the paper's centre square
SQUARE_SIDES = (48, 80)  # the paper's random squares
OBJECTS = "objects"
MASK_KINDS = ("center", "random", "freeform", *masks.LAMA, OBJECTS)
ALL = "all"  # one kind after the other

Shape = tuple[int, int]  # height, width
Draw = Callable[[np.random.Generator, int, int], Mask]


@dataclass(frozen=True)
class MaskSet:
    """One mask (H, W) bool for each image, with their SHA-256."""

    kind: str
    masks: tuple[Mask, ...]
    sha256: str

    @classmethod
    def of(cls, kind: str, found: Sequence[Mask]) -> MaskSet:
        """Masks, one for each image, with their hash."""
        return cls(kind, tuple(found), _sha256(found))

    @property
    def share(self) -> float:
        """Mean share of an image that is to be completed."""
        return float(np.mean([mask.mean() for mask in self.masks]))


def make_masks(
    spec: str,
    images: int | Sequence[Shape],
    seed: int = 0,
    size: int = SIZE,
    outlines: Sequence[Mask] = (),
) -> MaskSet:
    """Masks of a kind of ``MASK_KINDS``, or from a mask file.

    ``center`` is a square of half the shorter side, ``random`` the paper's: a square of 48 to 80
    pixels at size 128 anywhere; ``freeform`` brush strokes; ``narrow``, ``medium`` and ``wide``
    LaMa's; ``objects`` outlines of objects. Lengths scale with the shorter side. Image number i has
    its own generator, seeded by (seed, i): its mask depends neither on how many there are nor on
    the images before.

    Args:
        images: how many of ``size`` x ``size`` pixels, or each one's height and width.
        outlines: what ``objects`` takes them from; see :func:`finefill.data.outlines_of`.

    Raises:
        FinefillError: neither a kind nor a readable, usable mask of the images' size; or there are
            no outlines, or none fits.
    """
    shapes = [(size, size)] * images if isinstance(images, int) else list(images)
    if spec in MASK_KINDS:
        if spec == OBJECTS and not outlines:
            raise FinefillError(
                "objects: outlines come from labelled photographs: give some with --objects"
            )
        draw = _drawing(spec, outlines)
        try:
            found = [
                draw(np.random.default_rng((seed, i)), *shape) for i, shape in enumerate(shapes)
            ]
        except ValueError as error:
            raise FinefillError(
                f"{spec}: {error}; give photographs with smaller or rounder objects to --objects"
            ) from error
    else:
        found = [_read_mask(Path(spec), shape) for shape in shapes]
    return MaskSet.of(spec, found)


def _drawing(kind: str, outlines: Sequence[Mask]) -> Draw:
    if kind == OBJECTS:
        return lambda rng, h, w: masks.random_object(rng, h, w, outlines)
    if kind in masks.LAMA:
        return lambda rng, h, w: masks.random_irregular(rng, h, w, masks.LAMA[kind])
    return {"center": _center, "random": _random, "freeform": masks.random_strokes}[kind]


def _center(rng: np.random.Generator, height: int, width: int) -> Mask:
    return masks.center_square(height, width, CENTER_SIDE * min(height, width) // SIZE)


def _random(rng: np.random.Generator, height: int, width: int) -> Mask:
    low, high = (round(side * min(height, width) / SIZE) for side in SQUARE_SIDES)
    return masks.random_square(rng, height, width, (low, high))


def known_distances(holes: MaskSet) -> NDArray[np.float64]:
    """For each mask the mean distance of its pixels to the nearest known one, in pixels: (N,).

    Centre to centre, Euclidean: a hole of one pixel has 1.

    Raises:
        FinefillError: SciPy is missing.
    """
    ndimage: Any = require("scipy.ndimage", "SciPy")
    return np.array([ndimage.distance_transform_edt(mask)[mask].mean() for mask in holes.masks])


def _read_mask(path: Path, shape: Shape) -> Mask:
    if not path.is_file():
        raise FinefillError(
            f"--masks {path}: neither {ALL}, nor one of {', '.join(MASK_KINDS)}, nor a mask file"
        )
    image, _ = decode(path)
    height, width = shape
    if image.size != (width, height):
        raise FinefillError(
            f"{path}: the mask is {image.width}x{image.height} pixels, the test images are "
            f"{width}x{height}: give a mask of that size"
        )
    return masks.read_mask(path, (width, height), keep_polarity=True)


def _sha256(found: Sequence[Mask]) -> str:
    """Of the packed bits of all of them, or of each one's shape and bits where they differ."""
    if len({mask.shape for mask in found}) == 1:
        packed = np.packbits(np.stack(found))
        return hashlib.sha256(str(packed.shape).encode() + packed.tobytes()).hexdigest()
    digest = hashlib.sha256()
    for mask in found:
        digest.update(str(mask.shape).encode() + np.packbits(mask).tobytes())
    return digest.hexdigest()
