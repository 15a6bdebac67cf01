"""The generator of Context Encoders (Pathak et al. 2016), for comparison."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from finefill.nets.dcgan import begin
from finefill.nets.generator import CompletionNet

CELLS = 16  # positions of the deepest map, 4x4


class ContextEncoder(CompletionNet):
    """Encoder, channel-wise fully connected layer, narrow bottleneck, decoder; one size only.

    4x4 stride-2 convolutions with BN and LeakyReLU(0.2) down to 4x4 x 512, a fully connected
    layer for each channel, a 4x4 convolution to ``bottleneck`` numbers, and 4x4 deconvolutions
    with BN and ReLU back to the image's size, then tanh. Weights start from N(0, 0.02). The
    mask is not an input: the network sees the hole as its flat filling.

    Two differences from the original, so that one network serves holes anywhere. The decoder
    returns the whole image, as the original's does for random regions, not the centre alone. The
    original has either the channel-wise layer (its text) or the bottleneck (its published
    network); this one has both.

    Args:
        size: height and width in pixels: 4 times a power of two, at least 64.
        bottleneck: numbers that an image is squeezed into.

    Raises:
        ValueError: an unfit size.
    """

    def __init__(self, size: int = 128, bottleneck: int = 4000) -> None:
        super().__init__()
        steps = (size // 4).bit_length() - 1
        if steps < 4 or 4 * 2**steps != size:
            raise ValueError(f"Context Encoder needs a size of 64, 128, 256 …, got {size}")
        self.size_multiple = self.size = size
        widths = [64] * (steps - 4) + [64, 128, 256, 512]
        layers: list[nn.Module] = []
        inputs = 3
        for step, width in enumerate(widths):
            layers.append(nn.Conv2d(inputs, width, 4, 2, 1, bias=step == 0))
            layers += [nn.BatchNorm2d(width)] if step else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            inputs = width
        self.encoder = nn.Sequential(*layers)
        # For each channel every position of its 4x4 map to every position, no mixing of channels.
        self.channelwise = nn.Parameter(torch.empty(inputs, CELLS, CELLS))
        # On a 4x4 map a 4x4 convolution is a fully connected layer, and is faster as one.
        self.squeeze = nn.Sequential(
            nn.Linear(inputs * CELLS, bottleneck, bias=False),
            nn.BatchNorm1d(bottleneck),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.expand = nn.Sequential(
            nn.Linear(bottleneck, inputs * CELLS, bias=False),
            nn.Unflatten(1, (inputs, 4, 4)),
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
        )
        layers = []
        for width in reversed(widths[:-1]):
            layers.append(nn.ConvTranspose2d(inputs, width, 4, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            inputs = width
        layers += [nn.ConvTranspose2d(inputs, 3, 4, 2, 1), nn.Tanh()]
        self.decoder = nn.Sequential(*layers)
        begin(self)
        nn.init.normal_(self.channelwise, 0.0, CELLS**-0.5)  # keeps the scale

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(N, 3, size, size), 0 in the hole, and the mask, unused -> (N, 3, size, size)."""
        x = self.encoder(image).flatten(2)  # (N, 512, 16)
        x = torch.einsum("ncp,cpq->ncq", x, self.channelwise.to(x.dtype))
        return self.decoder(self.expand(self.squeeze(x.flatten(1))))  # type: ignore[no-any-return]  # nn.Module calls are Any

    def rows_reaching(self, row: int) -> tuple[int, int]:
        """All rows of the image: the bottleneck sees everything."""
        return 0, self.size - 1
