"""What is to be completed: 1 (white, 255, True) in every mask.

- ``meaning`` decides what a mask's value says, ``labels`` which values are flat.
- ``reading`` reads and repairs mask files.
- ``regions`` makes masks without a file: boxes, polygons, ``annotations`` (COCO, labelme),
  ``annotation_tools`` (YOLO, VIA, CVAT, Label Studio and its ``brush``), a ``painted`` colour;
  ``shapes`` draws them.
- ``drawing`` draws random holes, ``tight`` finds masks that are too small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = [
    "LAMA",
    "THRESHOLD",
    "Mask",
    "Placing",
    "binarize",
    "by_numbers",
    "center_square",
    "check",
    "composite",
    "fit",
    "grow",
    "inverted",
    "of_image",
    "placed",
    "random_box",
    "random_irregular",
    "random_object",
    "random_outline",
    "random_square",
    "random_strokes",
    "read_mask",
    "scale",
    "tell_empty",
    "threefold",
    "too_tight",
    "union",
]

if TYPE_CHECKING:
    from finefill.masks.drawing import (
        LAMA,
        center_square,
        random_box,
        random_irregular,
        random_object,
        random_outline,
        random_square,
        random_strokes,
    )
    from finefill.masks.meaning import (
        THRESHOLD,
        Mask,
        binarize,
        check,
        composite,
        grow,
        inverted,
        scale,
        tell_empty,
        threefold,
        union,
    )
    from finefill.masks.reading import Placing, by_numbers, fit, of_image, placed, read_mask
    from finefill.masks.tight import too_tight
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {
            "drawing": [
                "LAMA",
                "center_square",
                "random_box",
                "random_irregular",
                "random_object",
                "random_outline",
                "random_square",
                "random_strokes",
            ],
            "meaning": [
                "THRESHOLD",
                "Mask",
                "binarize",
                "check",
                "composite",
                "grow",
                "inverted",
                "scale",
                "tell_empty",
                "threefold",
                "union",
            ],
            "reading": ["Placing", "by_numbers", "fit", "of_image", "placed", "read_mask"],
            "tight": ["too_tight"],
        },
    )
