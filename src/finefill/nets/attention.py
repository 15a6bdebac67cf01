"""Attention that copies features of known places into the hole (beyond the paper)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KEYS = 32  # channels in which cells are compared
# Of a key, at first. With 1 the mean of half of the known cells is copied: those of one photograph
# are more alike than those of a batch. With 3 it is that of five to seven cells.
SHARPNESS = 3.0
MOST = 24  # rows and columns of known cells that are looked at: bounds the work on large images


def copied(queries: Tensor, keys: Tensor, values: Tensor, known: Tensor) -> Tensor:
    """Mean of the values of known cells, each weighted by how near its key is to the query.

    The weights are softmax(-|q - k|^2 / (2 sqrt(K))) over the known cells. Unlike the product of
    Vaswani et al. 2017 (Eq. 1), which a long key wins, nothing is nearer than a key that is equal.

    Args:
        queries: (N, K, Q).
        keys: (N, K, C).
        values: (N, V, C).
        known: (N, 1, C) bool, which of the C cells may be copied from.

    Returns:
        (N, V, Q); 0 where an image has no known cell.
    """
    keys = keys * keys.shape[1] ** -0.5
    # |q|^2 is the same for all keys of a query, so the softmax takes it out.
    length = 0.5 * keys.shape[1] ** 0.5 * keys.square().sum(1, keepdim=True)
    bias = torch.where(known, -length, -1e30)  # finite: where nothing is known, nothing is NaN
    weights = (queries.transpose(1, 2) @ keys + bias).softmax(2)
    return (values * known) @ weights.transpose(1, 2)


class CopyAttention(nn.Module):
    """Add to the hole's cells what known cells hold that look alike.

    After contextual attention (Yu et al. 2018). Cells are compared in ``KEYS`` channels that a
    1x1 convolution makes of them. A cell with any hole pixel is nobody's source. Another 1x1
    convolution, 0 at first, takes what was copied, so that a network begins as it is without.

    Of images with more than ``MOST`` rows or columns of cells, every second, third … one is
    looked at. So the work grows with the number of cells, not with its square.

    Args:
        width: channels of the features.
        cell: side in pixels of the image of one of their cells.
    """

    def __init__(self, width: int, cell: int) -> None:
        super().__init__()
        self.cell = cell
        self.match = nn.Sequential(nn.Conv2d(width, KEYS, 1, bias=False), nn.BatchNorm2d(KEYS))
        self.take = nn.Conv2d(width, width, 1)
        self.begin()

    def begin(self) -> None:
        """Weights to begin with: nothing is added."""
        nn.init.constant_(self.match[1].weight, SHARPNESS)  # type: ignore[arg-type]  # BN's own weight
        nn.init.zeros_(self.take.weight)
        nn.init.zeros_(self.take.bias)  # type: ignore[arg-type]  # bias is on by default

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Features (N, C, h, w) and mask (N, 1, h cell, w cell), 1 = hole -> the same features."""
        hole = F.avg_pool2d(mask, self.cell)
        match = self.match(x)
        with torch.autocast(x.device.type, enabled=False):
            sources = match.float(), x.float(), hole == 0
            keys, values, known = (thinned(some).flatten(2) for some in sources)
            found = copied(match.float().flatten(2), keys, values, known).view(x.shape)
        return x + hole * self.take(found)  # type: ignore[no-any-return]  # nn.Module calls are Any


def thinned(features: Tensor) -> Tensor:
    """At most ``MOST`` rows and columns of (N, C, h, w): every n-th."""
    rows, columns = ((side + MOST - 1) // MOST for side in features.shape[2:])
    return features[:, :, ::rows, ::columns]
