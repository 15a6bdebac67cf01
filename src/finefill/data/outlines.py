"""Outlines of the objects in labelled photographs: holes as people make them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finefill.data.photos import Exclusions, Photos, iterate_labelled
from finefill.data.recipes import Recipe
from finefill.errors import FinefillError
from finefill.masks import Mask

OBJECT_LABELS = (2, 3, 7)  # car, door, vegetation in LabelMeFacade
SMALLEST_OBJECT = 200  # pixels; smaller labels are scaled up to steps


def outlines_of(paths: Sequence[Path], labels: Sequence[int] = OBJECT_LABELS) -> list[Mask]:
    """Outlines of the labelled objects in photographs, each cut to its bounding box.

    An object is a connected area (over edges and corners) of one label. Those at the photograph's
    edge, cut by it, and those of fewer than 200 pixels are left out.

    Args:
        paths: photographs with label maps beside them (``STEM.labels.png``).

    Raises:
        FinefillError: no labelled photograph, none with such an object, or SciPy is missing.
    """
    try:
        from scipy import ndimage
    except ImportError as error:
        raise FinefillError(
            "outlines of objects need SciPy: pip install 'finefill[baselines]'"
        ) from error
    found: list[Mask] = []
    for _, _, indices in iterate_labelled(paths):
        for label in labels:
            parts, _ = ndimage.label(indices == label, np.ones((3, 3)))
            for number, box in enumerate(ndimage.find_objects(parts), 1):
                outline = parts[box] == number
                inside = all(
                    part.start > 0 and part.stop < length
                    for part, length in zip(box, indices.shape, strict=True)
                )
                if inside and outline.sum() >= SMALLEST_OBJECT:
                    found.append(outline)
    if not found:
        raise FinefillError(
            f"{', '.join(map(str, paths))}: no object of the labels {', '.join(map(str, labels))} "
            f"of {SMALLEST_OBJECT} pixels away from the edge: name others with --object-label"
        )
    return found


def read_photos(
    paths: Sequence[Path],
    recipe: Recipe,
    *,
    exclude: Exclusions = frozenset(),
    progress: bool = False,
) -> Photos:
    """Photographs to train on, with outlines of objects where the recipe has such holes.

    Raises:
        FinefillError: as :class:`Photos` and :func:`outlines_of` do.
    """
    wanted = any(kind == "silhouette" for kind, _ in recipe.mask_mix)
    outlines = outlines_of(paths) if wanted else ()
    return Photos(paths, recipe, exclude=exclude, progress=progress, outlines=outlines)
