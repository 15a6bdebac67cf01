"""Distances in the feature spaces of networks (extra ``train``). Neither LPIPS nor FID.

They use the weights at hand and no learned calibration, so their numbers compare within finefill
only. :class:`Vgg16` sees as L_per does, with which models are trained; :mod:`lite0` sees as a
network that nothing is trained with.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
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
BATCH = 8  # images through the network at once
RECENT = 2 * BATCH  # what :meth:`Extractor.ahead` makes and the measures of a batch take

Features = dict[str, Tensor]  # by layer: (1, C, H, W)


class Extractor(ABC):
    """A network's features of images; those of originals are kept while there is room."""

    def __init__(self) -> None:
        self._originals: dict[bytes, Features] = {}
        self._room = CACHE_BYTES
        self._recent: dict[bytes, Features] = {}  # of originals and completions

    @abstractmethod
    def _compute(self, images: Tensor) -> Features:
        """Features of images (N, 3, H, W) in [-1, 1], by layer: (N, C, H', W')."""

    def ahead(self, originals: Sequence[RGB], completed: Sequence[RGB]) -> None:
        """See ``BATCH`` pairs at most at once, before their measures ask one by one."""
        wanted = {_key(image): image for image in (*originals, *completed)}
        kept = {_key(image) for image in originals}
        new = [(key, image) for key, image in wanted.items() if not self._knows(key)]
        for shape in dict.fromkeys(image.shape for _, image in new):
            group = [(key, image) for key, image in new if image.shape == shape]
            for first in range(0, len(group), BATCH):
                self._see(group[first : first + BATCH], kept)

    def features(self, image: RGB, *, keep: bool = False) -> Features:
        """Features of one image, kept for good if ``keep`` and while there is room."""
        key = _key(image)
        if not self._knows(key):
            self._see([(key, image)], {key} if keep else ())
        return self._originals.get(key) or self._recent[key]

    def _knows(self, key: bytes) -> bool:
        return key in self._originals or key in self._recent

    @torch.no_grad()
    def _see(self, group: Sequence[tuple[bytes, RGB]], keep: Iterable[bytes]) -> None:
        images = np.concatenate([to_network(image) for _, image in group])
        found = self._compute(torch.from_numpy(images))
        for i, (key, _) in enumerate(group):
            # A slice of its own: a view would hold the whole batch.
            one = {name: values[i : i + 1].clone() for name, values in found.items()}
            size = sum(t.numel() * t.element_size() for t in one.values())
            if key in keep and size <= self._room:
                self._originals[key] = one
                self._room -= size
                continue
            while len(self._recent) >= RECENT:
                del self._recent[next(iter(self._recent))]
            self._recent[key] = one


def _key(image: RGB) -> bytes:
    return repr(image.shape).encode() + image.tobytes()


def hole_mean(values: Tensor, hole: Tensor) -> Tensor:
    """Mean of (1, C, H', W') over the hole, (1, 1, H, W) and down-sampled by area: (C,)."""
    weight = F.adaptive_avg_pool2d(hole, (values.shape[2], values.shape[3]))
    return (values * weight).sum((0, 2, 3)) / weight.sum()


def as_weight(mask: Mask) -> Tensor:
    """A mask (H, W) as (1, 1, H, W) float: 1 in the hole."""
    return torch.from_numpy(mask)[None, None].float()


class Vgg16(Extractor):
    """VGG16 distance and embedding.

    Args:
        vgg: weights to use; found by themselves when None.

    Raises:
        FinefillError: no usable weights.
    """

    def __init__(self, vgg: Path | None = None) -> None:
        super().__init__()
        self._net = load_vgg16(LAYERS, vgg).eval()

    def _compute(self, images: Tensor) -> Features:
        found: Features = self._net(images)
        return found

    def distance(self, original: RGB, completed: RGB, mask: Mask) -> float:
        """VGG16 distance: how differently the network sees the hole, in [0, 4].

        At each layer features are scaled to unit length at every position; the squared length of
        their difference is averaged over the hole (down-sampled by area) and then over the layers.
        """
        x, y = self.features(original, keep=True), self.features(completed)
        hole = as_weight(mask)
        total = 0.0
        for name in LAYERS:
            squares = (F.normalize(x[name]) - F.normalize(y[name])).square().sum(1, keepdim=True)
            total += float(hole_mean(squares, hole))
        return total / len(LAYERS)

    def embedding(self, image: RGB, mask: Mask) -> Vectors:
        """Mean relu4_3 features over the hole (down-sampled by area): (512,).

        Features are scaled to unit length at every position, as for :meth:`distance`.
        """
        features = F.normalize(self.features(image)[EMBEDDED])
        return np.asarray(hole_mean(features, as_weight(mask)).numpy(), np.float64)


@functools.lru_cache(maxsize=1)
def shared(vgg: Path | None = None) -> Vgg16:
    """One extractor for all metrics of a run."""
    return Vgg16(vgg)


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
