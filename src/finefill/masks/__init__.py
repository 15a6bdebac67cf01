"""What is to be completed: 1 (white, 255, True) in every mask.

``meaning`` decides what a mask's value says, ``reading`` reads and repairs mask files, ``regions``
reads annotations, ``drawing`` draws random holes, ``tight`` finds masks that are too small.
"""

from finefill.masks.drawing import center_square, random_box, random_square, random_strokes
from finefill.masks.meaning import THRESHOLD, Mask, binarize, check, composite, grow, scale
from finefill.masks.reading import fit, inverted, of_image, read_mask
from finefill.masks.tight import too_tight

__all__ = [
    "THRESHOLD",
    "Mask",
    "binarize",
    "center_square",
    "check",
    "composite",
    "fit",
    "grow",
    "inverted",
    "of_image",
    "random_box",
    "random_square",
    "random_strokes",
    "read_mask",
    "scale",
    "too_tight",
]
