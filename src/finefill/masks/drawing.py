"""Masks are drawn: the paper's squares, boxes, brush strokes, LaMa's kinds, outlines of objects.

Random masks take a NumPy generator, so that a seed fixes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from finefill.masks.meaning import Mask

if TYPE_CHECKING:
    from PIL import ImageDraw


@dataclass(frozen=True)
class Irregular:
    """Parameters of LaMa's random masks (Suvorov et al. 2022); lengths in pixels at 256.

    Attributes:
        strokes: smallest and largest number of them.
        brush, length: largest of a segment; the smallest are 5 and 10.
        boxes: smallest and largest number of them, in the masks that have boxes in place of
            strokes; None: no mask has.
        sides: shortest and longest side of a box.
        margin: between a box and the image's edge.
    """

    strokes: tuple[int, int]
    brush: int
    length: int
    boxes: tuple[int, int] | None = None
    sides: tuple[int, int] = (0, 0)
    margin: int = 0


# configs/data_gen/random_{thin,medium,thick}_256.yaml of its repository. Brush and length are drawn
# below 5 + max_width and 10 + max_len; its code draws up to one stroke more than max_times.
LAMA = {
    "narrow": Irregular((4, 51), 14, 49),
    "medium": Irregular((4, 6), 54, 109, (1, 5), (10, 50)),
    "wide": Irregular((1, 6), 104, 209, (1, 3), (30, 150), 10),
}
LAMA_SIZE = 256
LAMA_BOXES = 0.3 / 1.3  # share of masks with boxes: box_proba and irregular_proba, normalised
LARGEST_SHARE = 0.5  # max_tamper_area: larger masks are drawn again


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
    return _mask_of(image)


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
            _segment(draw, (x, y), (nx, ny), thick)
            x, y = nx, ny
    return _mask_of(image)


def random_irregular(rng: np.random.Generator, height: int, width: int, kind: Irregular) -> Mask:
    """One of LaMa's masks (see ``LAMA``): zigzag strokes, or boxes, on up to half of the area.

    Lengths scale with the shorter side. A stroke has one to five segments, each at an angle of 0.01
    + 0, 1, 2 or 3 radians from the vertical, to the other side in every second stroke.
    """
    while True:
        if kind.boxes and rng.random() < LAMA_BOXES:
            mask = _boxes(rng, height, width, kind)
        else:
            mask = _zigzags(rng, height, width, kind)
        if 0 < mask.mean() <= LARGEST_SHARE:
            return mask


def _zigzags(rng: np.random.Generator, height: int, width: int, kind: Irregular) -> Mask:
    from PIL import ImageDraw  # as above

    unit = min(height, width) / LAMA_SIZE
    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    for number in range(int(rng.integers(kind.strokes[0], kind.strokes[1] + 1))):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        for _ in range(int(rng.integers(1, 6))):
            angle = 0.01 + int(rng.integers(4))
            length = int(rng.integers(10, kind.length + 1)) * unit
            brush = int(rng.integers(5, kind.brush + 1)) * unit
            side = length * math.sin(angle) * (1 if number % 2 else -1)
            nx = min(max(x + side, 0), width)
            ny = min(max(y + length * math.cos(angle), 0), height)
            _segment(draw, (x, y), (nx, ny), brush)
            x, y = nx, ny
    return _mask_of(image)


def _boxes(rng: np.random.Generator, height: int, width: int, kind: Irregular) -> Mask:
    assert kind.boxes is not None  # asked for only where there are
    unit = min(height, width) / LAMA_SIZE
    margin = round(kind.margin * unit)
    inner = np.zeros((height - 2 * margin, width - 2 * margin), bool)
    low, high = (max(1, round(side * unit)) for side in kind.sides)
    for _ in range(int(rng.integers(kind.boxes[0], kind.boxes[1] + 1))):
        inner |= random_box(rng, *inner.shape, (low, high))
    return np.pad(inner, margin)


def random_object(
    rng: np.random.Generator,
    height: int,
    width: int,
    outlines: Sequence[Mask],
    shares: tuple[float, float] = (0.03, 0.12),
) -> Mask:
    """The outline of an object, anywhere and whole: (height, width) bool.

    Args:
        outlines: of objects, each cut to its bounding box; one of them is drawn, mirrored or not.
        shares: smallest and largest share of the image's area that it is scaled to. Outlines too
            long for the image at the share drawn are passed over.

    Raises:
        ValueError: none of 1,000 draws fits.
    """
    for _ in range(1000):
        outline = outlines[int(rng.integers(len(outlines)))]
        share, mirrored = float(rng.uniform(*shares)), bool(rng.integers(2))
        scale = math.sqrt(share * height * width / outline.sum())
        h, w = (max(1, round(side * scale)) for side in outline.shape)
        if h > height or w > width:
            continue
        grey = Image.fromarray((outline[:, ::-1] if mirrored else outline).astype(np.uint8) * 255)
        scaled = np.asarray(grey.resize((w, h), Image.Resampling.BILINEAR)) > 127
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        mask = np.zeros((height, width), bool)
        mask[top : top + h, left : left + w] = scaled
        if shares[0] <= mask.mean() <= shares[1]:
            return mask
    raise ValueError("no outline fits into the image at any of the shares")


def _segment(
    draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], brush: float
) -> None:
    """A straight stroke with round ends."""
    draw.line((*start, *end), fill=1, width=max(1, round(brush)))
    r = brush / 2
    for x, y in (start, end):
        draw.ellipse((x - r, y - r, x + r, y + r), fill=1)


def _mask_of(image: Image.Image) -> Mask:
    # Not dtype=bool: Pillow's bytes of 255 would stay inside, and compiled code counts them.
    return np.array(image, np.uint8) > 0


def _box(rng: np.random.Generator, height: int, width: int, h: int, w: int) -> Mask:
    h, w = min(h, height), min(w, width)
    top = int(rng.integers(0, height - h + 1))
    left = int(rng.integers(0, width - w + 1))
    mask = np.zeros((height, width), bool)
    mask[top : top + h, left : left + w] = True
    return mask
