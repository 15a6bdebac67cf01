"""How sure a fill is: by the size of its hole, which is free, and by filling the mirror image.

A network has no reason to prefer left to right. Where it knows what belongs into a hole it fills
the photo and its mirror image alike; where it guesses it does not. ``benchmarks/confidence.py``
measures how well that tells good fills from bad ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from finefill.completion.engine import Engine
from finefill.completion.plan import Window
from finefill.errors import FinefillError
from finefill.files import RGB
from finefill.masks import Mask

# Levels of 255 by which the fills of a photo and of its mirror image differ (root mean square), for
# a model whose card has no `doubt` of its own. Models differ: an invented leaf is unlike its
# mirror image, a smooth cheek is not.
DOUBT = 26.0
LOW = 0.5  # the confidence at that difference
# Scale below which a fill is told to be coarse. In the same photographs holes of 160 and of 240
# pixels are filled about alike (VGG16 distance 0.08 and 0.09 above that of 80 pixels); those of
# 320 and 480 worse (0.15 and 0.20).
COARSE = 0.3


def measure(
    engine: Engine, images: Sequence[RGB], holes: Sequence[Mask], fills: Sequence[RGB]
) -> list[float]:
    """The confidence of fills, at the price of a second run of the network on each.

    Args:
        engine: the model that made the fills.
        images: (h, w, 3) uint8 each, what it was given.
        holes: (h, w) bool each.
        fills: (h, w, 3) uint8 each, what it returned.

    Returns:
        For each a number from 0 to 1: D / (D + :func:`disagreement`), D the model's
        :func:`doubt`. 1 = the mirror image is filled exactly alike; below ``LOW`` the fill is
        likely to be among the model's worst.

    Raises:
        FinefillError: nobody has said what differences mean with this model.
    """
    least = doubt(engine.card)
    if least is None:
        raise FinefillError(unmeasured(engine.card))
    turned = engine.fill_many([_mirrored(image) for image in images], [_mirrored(h) for h in holes])
    return [
        least / (least + disagreement(fill, _mirrored(other), hole))
        for fill, other, hole in zip(fills, turned, holes, strict=True)
    ]


def doubt(card: Mapping[str, Any]) -> float | None:
    """The :func:`disagreement` from which on a model's fills are doubted: its card's, or DOUBT.

    None for a network of somebody else's whose convention does not say it: nothing was measured.
    """
    level = card.get("doubt", DOUBT)
    return None if level is None else float(level)


def unmeasured(card: Mapping[str, Any]) -> str:
    """Why a model's confidence cannot be measured; empty where it can."""
    if doubt(card) is not None:
        return ""
    return (
        f"the confidence is not measured: the convention of {card['name']} has no level for it "
        '("doubt")'
    )


def disagreement(fill: RGB, other: RGB, hole: Mask) -> float:
    """Root mean square of the difference of two fills over the hole, in levels of 255."""
    difference = fill[hole].astype(np.float64) - other[hole]
    return float(np.sqrt(np.mean(difference**2)))


def warning(
    window: Window, sure: float | None, card: Mapping[str, Any], way: str = "network"
) -> str:
    """Why a fill should be looked at, in a sentence; empty where nothing is known against it.

    Args:
        window: what was filled.
        sure: its :func:`measure`; None = not measured.
        card: the model's.
        way: "network" or "regions"; these are copied at the photo's resolution, whatever the size.
    """
    name = name_of(window)
    if way == "network" and window.scale < COARSE:
        largest = int(card["hole_range"][1] / COARSE) // 10 * 10
        return (
            f"{name} is completed at {window.scale:.0%} of the photo's resolution: model "
            f"{card['name']} does holes up to about {largest} pixels well"
        )
    if sure is not None and sure < LOW:
        return f"{name}: low confidence ({sure:.2f}): look at it"
    return ""


def name_of(window: Window) -> str:
    """What a message calls a window's hole."""
    height, width = window.hole.shape
    return f"the hole of {width}x{height} pixels at {window.hole.left},{window.hole.top}"


def _mirrored(array: Any) -> Any:
    return np.ascontiguousarray(array[:, ::-1])
