"""Networks of the size and make of today's learned tools, for timing alone: random weights.

Written from the descriptions in the papers, not from their code. What they cost is what the
originals cost within a few percent; what they fill is noise.

- :class:`Fourier`: LaMa (Suvorov et al. 2022): a ResNet with Fourier convolutions, 9 residual
  blocks in LaMa-Fourier (27M parameters) and 18 in Big-LaMa (51M).
- :class:`Separable`: MI-GAN (Sargsyan et al. 2023): an encoder and decoder of depthwise separable
  convolutions, 6M parameters.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GLOBAL = 0.75  # share of the channels that see the whole image


def conv_bn_relu(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    pad: dict[str, Any] = {"padding": side // 2, "padding_mode": "reflect"} if side > 1 else {}
    conv = nn.Conv2d(inputs, outputs, side, stride, bias=False, **pad)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Spectral(nn.Module):
    """Convolution of the spectrum, between two of the pixels (LaMa §2.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.into = conv_bn_relu(width, half, 1)
        self.spectrum = conv_bn_relu(2 * half, 2 * half, 1)
        self.out = nn.Conv2d(half, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.into(x)
        waves = torch.fft.rfft2(x, norm="ortho")
        waves = self.spectrum(torch.cat([waves.real, waves.imag], 1))
        real, imaginary = waves.chunk(2, 1)
        back = torch.fft.irfft2(torch.complex(real, imaginary), x.shape[-2:], norm="ortho")
        return self.out(x + back)  # type: ignore[no-any-return]  # nn.Module calls are Any


class FourierConv(nn.Module):
    """Local and global channels, each to each; the global ones to themselves by spectrum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = int(GLOBAL * width)
        local = width - wide

        def conv(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect", bias=False)

        self.local, self.up, self.down = conv(local, local), conv(local, wide), conv(wide, local)
        self.wide = Spectral(wide)
        self.norms = nn.ModuleList([nn.BatchNorm2d(local), nn.BatchNorm2d(wide)])

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        local, wide = self.local(x) + self.down(y), self.up(x) + self.wide(y)
        return F.relu(self.norms[0](local)), F.relu(self.norms[1](wide))


class Fourier(nn.Module):
    """7x7 convolution, three down, Fourier residual blocks, three up, 7x7 convolution."""

    size_multiple = 8

    def __init__(self, blocks: int) -> None:
        super().__init__()
        widths = (64, 128, 256, 512)
        pairs = list(itertools.pairwise(widths))
        self.before = nn.Sequential(
            conv_bn_relu(4, 64, 7), *(conv_bn_relu(a, b, 3, 2) for a, b in pairs)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList([FourierConv(512), FourierConv(512)]) for _ in range(blocks)
        )
        ups: list[nn.Module] = []
        for a, b in reversed(pairs):
            ups += [nn.ConvTranspose2d(b, a, 3, 2, 1, output_padding=1, bias=False)]
            ups += [nn.BatchNorm2d(a), nn.ReLU(inplace=True)]
        last = nn.Conv2d(64, 3, 7, padding=3, padding_mode="reflect")
        self.after = nn.Sequential(*ups, last, nn.Tanh())

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        features = self.before(torch.cat([image, mask], 1))
        wide = int(GLOBAL * features.shape[1])
        x, y = features.split([features.shape[1] - wide, wide], 1)
        for pair in self.blocks:
            first, second = pair.children()
            dx, dy = second(*first(x, y))
            x, y = x + dx, y + dy
        return self.after(torch.cat([x, y], 1))  # type: ignore[no-any-return]  # nn.Module calls are Any


def separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution of each channel, 1x1 convolution, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs),
        nn.Conv2d(inputs, outputs, 1),
        nn.LeakyReLU(0.2, inplace=True),
    )


class Separable(nn.Module):
    """Six levels of three separable convolutions down, and up again with sums across."""

    size_multiple = 64

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512, 512)) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, widths[0], 1)
        pairs = list(itertools.pairwise(widths))
        self.encoder = nn.ModuleList(
            nn.Sequential(separable(a, a), separable(a, a), separable(a, b, 2)) for a, b in pairs
        )
        self.middle = separable(widths[-1], widths[-1])
        self.decoder = nn.ModuleList(
            nn.ModuleList([separable(b, a), nn.Sequential(separable(a, a), separable(a, a))])
            for a, b in reversed(pairs)
        )
        self.last = nn.Conv2d(widths[0], 3, 1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        x = self.first(torch.cat([image, mask], 1))
        features = []
        for level in self.encoder:
            features.append(x)
            x = level(x)
        x = self.middle(x)
        for pair, skip in zip(self.decoder, reversed(features), strict=True):
            up, join = pair.children()
            x = F.interpolate(up(x), scale_factor=2.0, mode="nearest")
            x = join(x + skip)
        return self.last(x)  # type: ignore[no-any-return]  # nn.Module calls are Any
