"""What the server and its workers say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

IMAGE, MASK = "image", "mask"  # file names in a job's folder


@dataclass(frozen=True)
class Setup:
    """What a worker loads; see :class:`finefill.web.settings.Settings`."""

    models: tuple[str, ...]
    workers: int
    conventions: tuple[str, ...] = ()


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
    mask_values: tuple[str, ...] = ()
    mask_drawn: str | None = None
    mask_alpha: bool = False
    fill: Literal["auto", "network", "regions"] = "auto"
    wrap: Literal["x", "y", "xy"] | None = None


@dataclass(frozen=True)
class Done:
    """A completed image: the name of its file in the folder, and what to tell about it."""

    file: str
    media_type: str
    model: str
    changed: int
    seconds: float
    warnings: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()
