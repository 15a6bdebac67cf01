"""Figure 9: objects removed from labelled photographs, whatever came out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from finefill.completion import Engine, fill_photo
from finefill.data import Pixels, iterate_labelled
from finefill.errors import FinefillError
from finefill.evaluation import sheets
from finefill.masks import Mask

CAR = 2  # label index in LabelMeFacade
SHARES = (0.005, 0.12)  # of the photograph that an object may cover: seen, and not everything
GROW = 4  # pixels around the label, which people draw too tight
HEIGHT = 240  # of a picture on the sheet, in pixels
WIDTH = 320
COLUMNS = 3


def removals(paths: Sequence[Path], label: int = CAR) -> list[tuple[str, Pixels, Mask]]:
    """The largest object of a label in each photograph: (name, image, mask to remove it).

    Raises:
        FinefillError: no labelled photograph, or none with a fitting object.
    """
    found = []
    for name, image, labels in iterate_labelled(paths):
        count, parts, stats, _ = cv2.connectedComponentsWithStats(
            (labels == label).astype(np.uint8)
        )
        if count < 2:
            continue
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        if SHARES[0] <= (parts == largest).mean() <= SHARES[1]:
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * GROW + 1, 2 * GROW + 1))
            grown = cv2.dilate((parts == largest).astype(np.uint8), disc)
            found.append((name, image, grown.astype(bool)))
    if not found:
        raise FinefillError(
            f"{', '.join(map(str, paths))}: no object of label {label} covers "
            f"{SHARES[0]:.1%} to {SHARES[1]:.0%} of its photograph"
        )
    return found


def sheet(
    paths: Sequence[Path], engine: Engine, seed: int = 0, wanted: int = 12
) -> tuple[Image.Image, list[str]]:
    """Pairs of photograph (object outlined) and completion of random objects, and their names."""
    found = removals(paths)
    chosen = [found[i] for i in sheets.pick(len(found), wanted, seed)]
    rows = -(-len(chosen) // COLUMNS)
    gap = sheets.GAP
    cell = 2 * (WIDTH + gap) + 3 * gap
    canvas = Image.new("RGB", (COLUMNS * cell, rows * (HEIGHT + sheets.HEADER)), "white")
    draw = ImageDraw.Draw(canvas)
    for position, (name, image, mask) in enumerate(chosen):
        row, column = divmod(position, COLUMNS)
        x, y = column * cell, row * (HEIGHT + sheets.HEADER)
        draw.text((x, y + 3), Path(name).stem[-48:], "black", ImageFont.load_default(12))
        outlined = image.copy()
        border = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~mask
        outlined[border] = (255, 0, 0)
        for picture in (outlined, fill_photo(engine, image, mask)):
            small = _fitted(picture)
            canvas.paste(small, (x, y + sheets.HEADER))
            x += small.width + gap
    return canvas, [name for name, _, _ in chosen]


def _fitted(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    image.thumbnail((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    return image
