"""Masks are drawn: the paper's squares, boxes, brush strokes.

Random masks take a NumPy generator, so that a seed fixes them.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

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


def random_outline(
    rng: np.random.Generator, height: int, width: int, sides: tuple[int, int] = (48, 80)
) -> Mask:
    """A thing's outline: one to three overlapping smooth shapes, mostly wider or higher than round.

    A shape's radius is 1 plus a few waves around it, with amplitudes that fall with their number;
    ``sides`` is the range of the square root of the first shape's area, in pixels, anywhere.
    """
    from PIL import ImageDraw  # it brings fonts; what people install draws no random masks

    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    radius = float(rng.uniform(*sides)) / math.sqrt(math.pi)
    y, x = float(rng.uniform(0.15, 0.85)) * height, float(rng.uniform(0.15, 0.85)) * width
    angles = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    for _ in range(int(rng.integers(1, 4))):
        waves = np.arange(2, 7)[:, None]
        heights = rng.normal(0, 0.35, (5, 1)) / waves
        curve = 1 + (heights * np.cos(waves * angles + rng.uniform(0, 7, (5, 1)))).sum(0)
        stretch = math.exp(float(rng.normal(0, 0.35)))
        turn = float(rng.normal(0, 0.25))
        along = radius * np.maximum(curve, 0.2) * np.exp(1j * angles)
        shape = (along.real * stretch + 1j * along.imag / stretch) * np.exp(1j * turn)
        draw.polygon([(x + p.real, y + p.imag) for p in shape.tolist()], fill=1)
        beside = float(rng.uniform(0, 2 * math.pi))
        x, y = x + radius * math.cos(beside), y + radius * math.sin(beside)
        radius *= float(rng.uniform(0.4, 0.8))
    return np.array(image, np.uint8) > 0


def random_strokes(
    rng: np.random.Generator,
    height: int,
    width: int,
    brush: tuple[float, float] = (10, 28),
    most: int = 4,
) -> Mask:
    """Free-form mask: one to ``most`` connected brush strokes, as a hand would paint.

    Every stroke is a random walk of 2 to 6 segments with round joints; lengths and brush widths
    scale with the shorter side (at 128 px: segments 10-40 px, widths from the range ``brush``).
    """
    from PIL import ImageDraw  # it brings fonts; what people install draws no random masks

    unit = min(height, width) / 128
    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, most + 1))):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        thick = float(rng.uniform(*brush)) * unit
        angle = float(rng.uniform(0, 2 * math.pi))
        for _ in range(int(rng.integers(2, 7))):
            angle += float(rng.normal(0, 0.8))
            length = float(rng.uniform(10, 40)) * unit
            nx = min(max(x + length * math.cos(angle), 0), width - 1)
            ny = min(max(y + length * math.sin(angle), 0), height - 1)
            draw.line((x, y, nx, ny), fill=1, width=max(1, round(thick)))
            for cx, cy in ((x, y), (nx, ny)):
                r = thick / 2
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
