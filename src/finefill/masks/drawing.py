"""Masks are drawn: the paper's squares, boxes, brush strokes.

Random masks take a NumPy generator, so that a seed fixes them.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from finefill.masks.meaning import Mask


def center_square(height: int, width: int, side: int) -> Mask:
    """A square of ``side`` pixels in the middle: (height, width) bool."""
    mask = np.zeros((height, width), bool)
    top, left = (height - side) // 2, (width - side) // 2
    mask[top : top + side, left : left + side] = True
    return mask


def random_square(
    rng: np.random.Generator, height: int, width: int, sides: tuple[int, int] = (48, 80)
) -> Mask:
    """The paper's mask: a square with a side from ``sides`` (inclusive, pixels), anywhere."""
    side = int(rng.integers(sides[0], sides[1] + 1))
    return _box(rng, height, width, side, side)


def random_box(
    rng: np.random.Generator, height: int, width: int, sides: tuple[int, int] = (24, 80)
) -> Mask:
    """A rectangle with both sides from ``sides`` (inclusive, pixels), anywhere."""
    h, w = rng.integers(sides[0], sides[1] + 1, size=2)
    return _box(rng, height, width, int(h), int(w))


def random_strokes(rng: np.random.Generator, height: int, width: int) -> Mask:
    """Free-form mask: one to four connected brush strokes, as a hand would paint.

    Every stroke is a random walk of 2 to 6 segments with round joints; lengths and brush widths
    scale with the shorter side (at 128 px: segments 10-40 px, brush 10-28 px).
    """
    unit = min(height, width) / 128
    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 5))):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        brush = float(rng.uniform(10, 28)) * unit
        angle = float(rng.uniform(0, 2 * math.pi))
        for _ in range(int(rng.integers(2, 7))):
            angle += float(rng.normal(0, 0.8))
            length = float(rng.uniform(10, 40)) * unit
            nx = min(max(x + length * math.cos(angle), 0), width - 1)
            ny = min(max(y + length * math.sin(angle), 0), height - 1)
            draw.line((x, y, nx, ny), fill=1, width=max(1, round(brush)))
            for cx, cy in ((x, y), (nx, ny)):
                r = brush / 2
                draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=1)
            x, y = nx, ny
    # Not dtype=bool: Pillow's bytes of 255 would stay inside, and compiled code counts them.
    return np.array(image, np.uint8) > 0


def _box(rng: np.random.Generator, height: int, width: int, h: int, w: int) -> Mask:
    h, w = min(h, height), min(w, width)
    top = int(rng.integers(0, height - h + 1))
    left = int(rng.integers(0, width - w + 1))
    mask = np.zeros((height, width), bool)
    mask[top : top + h, left : left + w] = True
    return mask
