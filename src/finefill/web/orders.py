"""What the server and its workers say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

IMAGE = "image"  # file name in a job's folder


def mask_files(count: int) -> list[str]:
    """The file names of so many masks in a job's folder."""
    return [f"mask{number}" for number in range(1, count + 1)]


@dataclass(frozen=True)
class Setup:
    """What a worker loads; see :class:`finefill.web.settings.Settings`."""

    models: tuple[str, ...]
    workers: int
    conventions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """What to complete and how.

    Attributes:
        boxes: texts ``x,y,width,height``.
        masks: how many there are, see :func:`mask_files`.
        strict: refuse what would be warned of.

    The others are as in docs/server.md.
    """

    model: str
    max_pixels: int
    boxes: tuple[str, ...] = ()
    masks: int = 0
    grow: int = 0
    format: str | None = None
    resize_mask: bool = False
    keep_polarity: bool = False
    mask_values: tuple[str, ...] = ()
    mask_drawn: str | None = None
    mask_alpha: bool = False
    fill: Literal["auto", "network", "regions"] = "auto"
    wrap: Literal["x", "y", "xy"] | None = None
    strict: bool = False


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
