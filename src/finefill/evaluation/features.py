"""Distances in the feature space of VGG16 (extra ``train``). Neither LPIPS nor FID.

Both use the weights at hand and no learned calibration, so their numbers compare within finefill
only.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from finefill.files import RGB, to_network
from finefill.masks import Mask
from finefill.nets import load_vgg16

Vectors = NDArray[np.float64]

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
EMBEDDED = "relu4_3"
CACHE_BYTES = 1 << 30  # features kept: those of the originals serve every method


class Extractor:
    """VGG16 features of images; those of originals are kept while there is room.

    Args:
        vgg: weights to use; found by themselves when None.

    Raises:
        FinefillError: no usable weights.
    """

    def __init__(self, vgg: Path | None = None) -> None:
        self._net = load_vgg16(LAYERS, vgg).eval()
        self._originals: dict[bytes, dict[str, Tensor]] = {}
        self._room = CACHE_BYTES
        self._recent: dict[bytes, dict[str, Tensor]] = {}  # one original and one completion

    def distance(self, original: RGB, completed: RGB, mask: Mask) -> float:
        """VGG16 distance: how differently the network sees the hole, in [0, 4].

        At each layer features are scaled to unit length at every position; the squared length of
        their difference is averaged over the hole (down-sampled by area) and then over the layers.
        """
        x, y = self._features(original, keep=True), self._features(completed)
        hole = torch.from_numpy(mask)[None, None].float()
        total = 0.0
        for name in LAYERS:
            squares = (F.normalize(x[name]) - F.normalize(y[name])).square().sum(1, keepdim=True)
            weight = F.adaptive_avg_pool2d(hole, (squares.shape[2], squares.shape[3]))
            total += float((squares * weight).sum() / weight.sum())
        return total / len(LAYERS)

    def embedding(self, image: RGB, mask: Mask) -> Vectors:
        """Mean relu4_3 features over the hole (down-sampled by area): (512,).

        Features are scaled to unit length at every position, as for :meth:`distance`.
        """
        features = F.normalize(self._features(image)[EMBEDDED])
        hole = torch.from_numpy(mask)[None, None].float()
        weight = F.adaptive_avg_pool2d(hole, (features.shape[2], features.shape[3]))
        mean = (features * weight).sum((0, 2, 3)) / weight.sum()
        return np.asarray(mean.numpy(), np.float64)

    @torch.no_grad()
    def _features(self, image: RGB, *, keep: bool = False) -> dict[str, Tensor]:
        key = repr(image.shape).encode() + image.tobytes()
        if key in self._originals:
            return self._originals[key]
        if key not in self._recent:
            if len(self._recent) == 2:
                del self._recent[next(iter(self._recent))]
            self._recent[key] = self._net(torch.from_numpy(to_network(image)))
        found = self._recent[key]
        size = sum(t.numel() * t.element_size() for t in found.values())
        if keep and size <= self._room:
            self._originals[key] = found
            self._room -= size
        return found


@functools.lru_cache(maxsize=1)
def shared(vgg: Path | None = None) -> Extractor:
    """One extractor for all metrics of a run."""
    return Extractor(vgg)


def frechet(originals: Vectors, completions: Vectors) -> float:
    """Fréchet distance between Gaussians fitted to two sets of vectors (N, K), at least 0.

    |m1 - m2|^2 + trace(S1 + S2 - 2 (S1 S2)^(1/2)) (Dowson & Landau 1982). It falls with the number
    of images, so it compares only between sets of one size.
    """
    (m1, s1), (m2, s2) = (
        (x.mean(axis=0), np.cov(x, rowvar=False).reshape(x.shape[1], -1)) if len(x) > 1
        else (x[0], np.zeros((x.shape[1], x.shape[1])))
        for x in (originals, completions)
    )  # fmt: skip
    # (S1 S2)^(1/2) has the trace of (R S2 R)^(1/2), R the root of S1: symmetric, so real.
    values, vectors = np.linalg.eigh(s1)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ s2 @ root).clip(min=0)).sum()
    distance = np.square(m1 - m2).sum() + np.trace(s1) + np.trace(s2) - 2 * cross
    return max(float(distance), 0.0)
