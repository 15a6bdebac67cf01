"""Masks for the tests of masks."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

SIZE = (40, 60)  # height, width
HOLE = np.zeros(SIZE, bool)
HOLE[10:22, 5:30] = True
GREY = HOLE.astype(np.uint8) * np.uint8(255)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]  # passed on
    return buffer.getvalue()
