"""Removals with a truth: frames of one scene from a standing camera, people and things passing.

The median of the frames is the scene without them (the clean plate); where a frame differs from it,
something stood, or its shadow fell.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finefill.data import is_photo, read_image
from finefill.errors import FinefillError
from finefill.evaluation.extras import require
from finefill.evaluation.kinds import MaskSet
from finefill.evaluation.protocol import TestSet
from finefill.files import RGB
from finefill.masks import Mask, composite, grow

OBJECT, WITH_SHADOW = "object", "object and shadow"
FEWEST = 3  # frames, below which a median still shows what passes
STRIP = 64  # rows of all frames whose median is taken at once
THRESHOLD = 12.0  # levels of difference that are something, at least
SIGMAS = 5.0  # and in multiples of the noise
SHADOW = (0.25, 0.95)  # of the plate's brightness that a shadow leaves
CHROMA = 12.0  # levels by which a shadow's colour may leave the plate's
SMALLEST = 0.001  # share of the frame; less is a leaf in the wind
LARGEST = 0.5
MARGIN = 2  # pixels around what differs, as people paint: the edge is mixed

Levels = NDArray[np.float64]


def clean_plate(frames: Sequence[RGB]) -> RGB:
    """The median of frames (H, W, 3) uint8 of one scene, pixel by pixel."""
    plate = np.empty_like(frames[0])
    for top in range(0, len(plate), STRIP):
        strip = np.stack([frame[top : top + STRIP] for frame in frames])
        plate[top : top + STRIP] = np.rint(np.median(strip, axis=0)).astype(np.uint8)
    return plate


def exposed_as(plate: RGB, frame: RGB) -> RGB:
    """The plate with the frame's exposure: each channel times the median ratio of the two."""
    ratio = np.median((frame + 1.0) / (plate + 1.0), axis=(0, 1))
    levels: Levels = np.rint((plate + 1.0) * ratio - 1)
    return levels.clip(0, 255).astype(np.uint8)


def passing(frame: RGB, plate: RGB) -> tuple[Mask, Mask]:
    """What stands before the plate in a frame: masks (H, W) of the object, and with its shadow.

    A pixel differs where frame and plate, smoothed, are apart by 12 levels and five times the
    noise. It is shadow where it is 25 to 95% as bright as the plate and its colour within 12 levels
    of the plate's at that brightness (Horprasert et al. 1999). Specks are dropped, holes filled.

    Raises:
        FinefillError: SciPy is missing.
    """
    ndimage = require("scipy.ndimage", "SciPy")
    blurred: list[Levels] = [
        ndimage.gaussian_filter(image.astype(np.float64), (1, 1, 0)) for image in (frame, plate)
    ]
    difference = np.abs(blurred[0] - blurred[1]).max(axis=2)
    noise = 1.4826 * float(np.median(difference))
    differs = _tidied(difference > max(THRESHOLD, SIGMAS * noise), ndimage)
    squares = np.square(blurred[1]).sum(axis=2)
    brightness = (blurred[0] * blurred[1]).sum(axis=2) / np.maximum(squares, 1)
    chroma = np.sqrt(np.square(blurred[0] - brightness[..., None] * blurred[1]).sum(axis=2))
    shadow = differs & (brightness > SHADOW[0]) & (brightness < SHADOW[1]) & (chroma < CHROMA)
    thing = _tidied(differs & ~shadow, ndimage)
    both = grow(differs | thing, MARGIN)
    return grow(thing, MARGIN) & both, both


def _tidied(mask: Mask, ndimage: Any) -> Mask:
    """Without specks, thin threads and small parts; holes filled."""
    closed = ndimage.binary_closing(np.pad(mask, 3), np.ones((3, 3)), iterations=2)[3:-3, 3:-3]
    opened = ndimage.binary_opening(closed | mask, np.ones((3, 3)))
    parts, count = ndimage.label(ndimage.binary_fill_holes(opened), np.ones((3, 3)))
    sizes = ndimage.sum_labels(np.ones_like(parts), parts, range(1, count + 1))
    large = 1 + np.flatnonzero(np.asarray(sizes) >= SMALLEST * mask.size)
    return np.isin(parts, large)


def load_bursts(folder: Path, limit: int | None = None) -> list[tuple[TestSet, MaskSet]]:
    """Cases with a truth: for each frame in which something stands, the frame and the masks.

    Args:
        folder: one folder of frames a scene, or the frames of one scene.
        limit: only the first so many cases.

    Returns:
        Twice the same frames: with masks of the object alone, and of the object and its shadow. An
        image is the frame with the plate in its hole: what should come out.

    Raises:
        FinefillError: no scene, frames of different sizes, fewer than three of them, or nothing
            stands in any of them.

    Warns:
        UserWarning: a frame is left out since more than half of it differs.
    """
    if not folder.is_dir():
        raise FinefillError(f"--bursts {folder}: no such folder")
    scenes = [path for path in (folder, *sorted(folder.iterdir())) if _frames(path)]
    if not scenes:
        raise FinefillError(f"--bursts {folder}: no photographs in it or in folders in it")
    names: list[str] = []
    cases: dict[str, list[tuple[RGB, Mask]]] = {OBJECT: [], WITH_SHADOW: []}
    for scene in scenes:
        files = _frames(scene)
        frames = [read_image(file, str(file)) for file in files]
        _check(scene, files, frames)
        plate = clean_plate(frames)
        for file, frame in zip(files, frames, strict=True):
            if len(names) == limit:
                break
            truth = exposed_as(plate, frame)
            thing, both = passing(frame, truth)
            if not thing.any():
                continue
            if both.mean() > LARGEST:
                warnings.warn(
                    f"{file}: more than half differs from the scene: left out", stacklevel=2
                )
                continue
            names.append(f"{scene.name}/{file.name}")
            for kind, mask in ((OBJECT, thing), (WITH_SHADOW, both)):
                cases[kind].append((composite(frame, truth, mask), mask))
    if not names:
        raise FinefillError(
            f"--bursts {folder}: nothing stands before any scene's median: give frames from a "
            "standing camera in which things pass"
        )
    return [
        (
            TestSet.of(names, [image for image, _ in pairs], whole=True),
            MaskSet.of(kind, [mask for _, mask in pairs]),
        )
        for kind, pairs in cases.items()
    ]


def _frames(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(file for file in path.iterdir() if file.is_file() and is_photo(file.name))


def _check(scene: Path, files: Sequence[Path], frames: Sequence[RGB]) -> None:
    if len(frames) < FEWEST:
        raise FinefillError(
            f"{scene}: {len(frames)} frames: a median needs at least {FEWEST}, better ten"
        )
    for file, frame in zip(files, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise FinefillError(
                f"{file}: {frame.shape[1]}x{frame.shape[0]} pixels, {files[0].name} has "
                f"{frames[0].shape[1]}x{frames[0].shape[0]}: a scene's frames have one size"
            )
