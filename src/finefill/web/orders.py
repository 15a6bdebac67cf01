"""What the server and its workers say to each other.

The server calls these functions in a worker process, by name: it imports none of what they need,
so that only workers hold NumPy, Pillow, ONNX Runtime and the models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE, MASK = "image", "mask"  # file names in a job's folder


@dataclass(frozen=True)
class Setup:
    """What a worker loads; see :class:`finefill.web.settings.Settings`."""

    models: tuple[str, ...]
    workers: int


@dataclass(frozen=True)
class Order:
    """What to complete and how; ``boxes`` are texts ``x,y,width,height``."""

    model: str
    max_pixels: int
    boxes: tuple[str, ...] = ()
    mask: bool = False
    grow: int = 0
    format: str | None = None
    resize_mask: bool = False
    keep_polarity: bool = False


@dataclass(frozen=True)
class Done:
    """A completed image: the name of its file in the folder, and what to tell about it."""

    file: str
    media_type: str
    model: str
    changed: int
    seconds: float
    warnings: tuple[str, ...] = ()


def cards(setup: Setup) -> list[dict[str, Any]]:
    """Load the models; returns their cards, the default's first.

    Raises:
        FinefillError: there is no such model.
    """
    from finefill.web.work import start

    return [engine.card for engine in start(setup).values()]


def complete(setup: Setup, order: Order, folder: Path) -> Done:
    """Complete the image in ``folder``.

    Raises:
        Refused: it cannot be done; the detail names no path.
    """
    from finefill.web.work import run

    return run(setup, order, folder)
