"""A discriminator on the features of a fixed network: what the perceptual term computes anyway."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finefill.errors import FinefillError
from finefill.nets.vgg import BLOCKS, LAYERS, block_of


class FeatureDiscriminator(nn.Module):
    """Heads on features of a frozen VGG16 (Projected GANs, Sauer et al. 2021, sections 3.1, 3.2).

    Each layer's channels are divided by their mean, mixed at random (a fixed 1x1 convolution), and
    the deeper layer's mixture is added, enlarged and mixed again (a fixed 3x3 convolution): so no
    head can live on a few channels. A head has two convolutions with spectral normalisation and a
    score for each of its cells; cells count by their share of the hole, each layer as much as any
    other.

    Args:
        layers: ReLU outputs of VGG16 such as ``"relu2_2"``, of different blocks.
        width: channels of the mixtures and heads.

    Raises:
        FinefillError: an unknown layer, or none.
    """

    def __init__(self, layers: Sequence[str], width: int = 64) -> None:
        super().__init__()
        if not layers or (unknown := [name for name in layers if name not in LAYERS]):
            raise FinefillError(
                f"judged_layers: {f'unknown {unknown[0]!r}' if layers else 'none'}: "
                f"choose from {', '.join(LAYERS)}"
            )
        self.layers = tuple(sorted(layers))  # from the shallowest to the deepest
        self.heads = nn.ModuleDict()
        spectral = nn.utils.parametrizations.spectral_norm
        for name in self.layers:
            channels = BLOCKS[block_of(name) - 1][1]
            # Buffers: they are written with the weights, but never trained.
            mix = torch.randn(width, channels, 1, 1) * math.sqrt(1 / channels)
            deeper = torch.randn(width, width, 3, 3) * math.sqrt(1 / (9 * width))
            self.register_buffer(f"mix_{name}", mix)
            self.register_buffer(f"deeper_{name}", deeper)
            self.heads[name] = nn.Sequential(
                spectral(nn.Conv2d(width, width, 4, 2, padding=1)),
                nn.LeakyReLU(0.2, inplace=True),
                spectral(nn.Conv2d(width, 1, 3, padding=1)),
            )

    def forward(self, features: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Features (N, C_l, h_l, w_l) by layer, whatever the mask -> (N, 1, 1, cells) logits."""
        scores: list[Tensor] = []
        below: Tensor | None = None
        for name in reversed(self.layers):
            found = features[name]
            scale = found.detach().abs().mean(dtype=torch.float32).clamp(min=1e-6)
            mixed = F.conv2d(found / scale.to(found.dtype), self.get_buffer(f"mix_{name}"))
            if below is not None:
                larger = F.interpolate(below, mixed.shape[-2:], mode="nearest")
                mixed = mixed + F.conv2d(larger, self.get_buffer(f"deeper_{name}"), padding=1)
            below = mixed
            scores.append(self.heads[name](mixed).flatten(2))
        return torch.cat(scores, dim=2)[:, :, None]

    def hole_share(self, mask: Tensor) -> Tensor:
        """Share of each cell that is hole, by the layer's number of cells: (N, 1, 1, cells)."""
        shares = []
        for name in reversed(self.layers):
            step = 1 << block_of(name)  # of a head's cells, in pixels
            share = F.avg_pool2d(mask, step).flatten(2)
            shares.append(share / share.shape[2])
        return torch.cat(shares, dim=2)[:, :, None]
