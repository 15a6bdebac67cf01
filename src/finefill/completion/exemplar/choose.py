"""Which holes are completed by regions, and which by the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from finefill.completion.blend import blur
from finefill.files import RGB
from finefill.masks import Mask

Way = Literal["network", "regions", "plain", "specks"]
Fill = Literal["auto", "network", "regions"]
# Chosen on validation photographs; ``small`` has holes up to 80 pixels.
DIRECTED = 0.3
LIVELY = 0.55  # of the gradients around a hole: regions with less are not taken
THINNEST = 16  # pixels of a hole's shorter side: what is thinner, the network fills well
RING = 6  # pixels, of the blur whose reach is the ring that a fill is compared with
NEAR = 8  # pixels, of the blur within whose reach of the hole gradients count
FILLS: tuple[Fill, ...] = get_args(Fill)


def allowed(card: Mapping[str, Any]) -> bool:
    """Whether a model, by its card, lets regions of the photograph fill a hole (``regions``).

    Where the card does not say so, what may lend a fill its fine detail may be copied too. A wall
    goes on as it is; the other half of a face does not.
    """
    return bool(card.get("regions", card["detail"]))


def structured(small: RGB, hole: Mask) -> bool:
    """Whether the surroundings of a hole have structure that regions continue better.

    Args:
        small: (h, w, 3) uint8, what the network saw.
        hole: (h, w) bool.
    """
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if min(np.ptp(rows), np.ptp(columns)) + 1 < THINNEST:
        return False
    return directedness(small, hole) >= DIRECTED


def directedness(image: RGB, hole: Mask) -> float:
    """How much the gradients around a hole keep to one direction and that across it, 0 to 1.

    |sum of m^2 exp(4 i a)| / sum of m^2, over the gradients of length m and angle a of known
    pixels, those near the hole. Walls, windows, tiles and blinds have it high, whatever their
    angle; leaves, waves and stones low.
    """
    grey = image.mean(axis=2, dtype=np.float32)
    known = ~hole
    both = known[1:, 1:] & known[:-1, 1:] & known[1:, :-1]
    gradient = (grey[1:, 1:] - grey[1:, :-1]) + 1j * (grey[1:, 1:] - grey[:-1, 1:])
    near = blur(hole[..., None].astype(np.float32), NEAR)[1:, 1:, 0] * both
    squared = np.abs(gradient) ** 2
    total = float((near * squared).sum())
    if total <= 0:
        return 0.0
    # (m exp(i a))^4 / m^2
    fourfold = gradient**4 / np.maximum(squared, np.float32(1e-6))
    return float(np.abs((near * fourfold).sum()) / total)


def lively(completed: RGB, hole: Mask) -> bool:
    """Whether a fill has about as much going on in it as there is around it.

    Regions that found nothing better than a blank wall where windows belong have not. What they
    lack in gradients predicts best, of all that was tried, whether the network's fill is better.

    Args:
        completed: (h, w, 3) uint8, what the network saw, with the fill in it.
        hole: (h, w) bool.
    """
    grey = completed.mean(axis=2, dtype=np.float32)
    length = np.hypot(grey[1:, :-1] - grey[:-1, :-1], grey[:-1, 1:] - grey[:-1, :-1])
    inside = hole[:-1, :-1]
    touched = inside | hole[1:, :-1] | hole[:-1, 1:]
    ring = (blur(hole[..., None].astype(np.float32), RING)[:-1, :-1, 0] > 0) & ~touched
    if not ring.any():
        return True
    return bool(length[inside].mean() + 1 >= LIVELY * (length[ring].mean() + 1))
