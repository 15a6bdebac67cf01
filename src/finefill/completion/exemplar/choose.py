"""Which holes are completed by regions, and which by the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from finefill.completion.blend import blur
from finefill.completion.plan import Box
from finefill.files import RGB
from finefill.masks import Mask

Way = Literal["network", "regions", "plain", "specks"]
Fill = Literal["auto", "network", "regions"]
# Chosen on validation photographs, seen so that holes have up to 80 pixels.
DIRECTED = 0.3
UPRIGHT = 0.03
LEAN = np.pi / 24
EDGE = 3  # pixels, of the blur over which edges are told
THINNEST = 16  # pixels of a hole's shorter side: what is thinner, the network fills well
NEAR = 8  # pixels, of the blur within whose reach of the hole gradients count
FILLS: tuple[Fill, ...] = get_args(Fill)


def allowed(card: Mapping[str, Any]) -> bool:
    """Whether a model, by its card, lets regions of the photograph fill a hole (``regions``).

    Where the card does not say so, what may lend a fill its fine detail may be copied too. A wall
    goes on as it is; the other half of a face does not.
    """
    return bool(card.get("regions", card["detail"]))


def thin(hole: Box, scale: float) -> bool:
    """Whether a hole, seen at a scale, is too thin to be worth copying into."""
    return min(hole.shape) * scale < THINNEST


def structured(small: RGB, hole: Mask) -> bool:
    """Whether the surroundings of a hole have structure that regions continue better.

    Args:
        small: (h, w, 3) uint8, the hole and what lies around it; what is in the hole does not
            count.
        hole: (h, w) bool.
    """
    field = gradients(small, hole)
    return directedness(field) >= DIRECTED or uprightness(field) >= UPRIGHT


class Field(NamedTuple):
    """Gradients of an image.

    Attributes:
        vectors: (h - 1, w - 1) complex64, across + 1j down, 0 where a pixel of it is not known.
        near: (h - 1, w - 1) float32, what each counts: the more, the nearer to the hole.
    """

    vectors: NDArray[np.complex64]
    near: NDArray[np.float32]


def gradients(image: RGB, hole: Mask) -> Field:
    """The gradients of known pixels, (h, w, 3) uint8, around a hole, (h, w) bool."""
    grey = image.mean(axis=2, dtype=np.float32)
    known = ~hole
    both = known[1:, 1:] & known[:-1, 1:] & known[1:, :-1]
    vectors = (grey[1:, 1:] - grey[1:, :-1]) + 1j * (grey[1:, 1:] - grey[:-1, 1:])
    near = blur(hole[..., None].astype(np.float32), NEAR)[1:, 1:, 0] * both
    return Field(vectors * both, near)


def directedness(field: Field) -> float:
    """How much gradients keep to one direction and that across it, 0 to 1.

    |sum of m^2 exp(4 i a)| / sum of m^2, over gradients of length m and angle a. Walls, windows,
    tiles and blinds have it high, whatever their angle; leaves, waves and stones low.
    """
    squared = np.abs(field.vectors) ** 2
    total = float((field.near * squared).sum())
    if total <= 0:
        return 0.0
    # (m exp(i a))^4 / m^2
    fourfold = field.vectors**4 / np.maximum(squared, np.float32(1e-6))
    return float(np.abs((field.near * fourfold).sum()) / total)


def uprightness(field: Field) -> float:
    """Which share of the squared gradients is that of upright edges, 0 to 1.

    The structure tensor, averaged over some pixels, tells the edges (Förstner & Gülch 1987).
    Upright ones, within ``LEAN``, are what people build, and trunks; the horizons of nature lie.
    """
    squared = (np.abs(field.vectors) ** 2)[..., None].astype(np.float32)
    total = float((field.near * blur(squared, EDGE)[..., 0]).sum())
    if total <= 0:
        return 0.0
    double = field.vectors**2  # m^2 exp(2 i a)
    tensor = blur(np.stack([double.real, double.imag], axis=2).astype(np.float32), EDGE)
    across, aslant = tensor[..., 0], tensor[..., 1]
    upright = np.abs(np.arctan2(aslant, across)) < 2 * LEAN
    return float((field.near * upright * np.hypot(across, aslant)).sum() / total)
