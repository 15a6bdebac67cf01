"""What generators share, and the paper's fully convolutional one (§3.1, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MAX_WIDTH = 128
MAX_PARAMETERS = 10_000_000


def conv_bn_relu(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3x3 convolution, batch normalisation, ReLU; keeps the size at stride 1, halves it at 2."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def deconv_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    """4x4 stride-2 deconvolution, batch normalisation, ReLU; doubles height and width."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def through_encoder(depths: Sequence[int], low: int, high: int) -> tuple[int, int]:
    """Rows before an encoder that reach its rows ``low`` to ``high``."""
    for level, depth in reversed(list(enumerate(depths))):
        low, high = low - (depth - 1), high + (depth - 1)
        stride = 2 if level else 1
        low, high = stride * low - 1, stride * high + 1
    return low, high


class CompletionNet(nn.Module):
    """What every generator is: corrupted image and mask in, a whole image out, any size.

    ``forward(image, mask)`` takes an image (N, 3, H, W), RGB in [-1, 1], 0 in the hole, and a mask
    (N, 1, H, W), 1 = to be completed. H and W are multiples of :attr:`size_multiple`. It returns
    (N, 3, H, W), the raw output for every pixel, about [-1, 1]. The caller composites (Eq. 4).
    """

    size_multiple: int  # height and width must be multiples of this many pixels
    # What the names of parts begin with that add nothing at first. Weights of a network without
    # them fit too.
    added: tuple[str, ...] = ()

    def parameter_count(self) -> int:
        """Number of trainable parameters."""
        return sum(int(p.numel()) for p in self.parameters())

    def receptive_field(self) -> int:
        """Side in pixels of the largest square of input pixels that reaches one output pixel.

        To see all of a 128x128 image from every pixel of it, 255 are needed.
        """
        return max(
            high - low + 1
            for low, high in (self.rows_reaching(pixel) for pixel in range(self.size_multiple))
        )

    def rows_reaching(self, row: int) -> tuple[int, int]:
        """First and last input row that reaches output row ``row``, on an unbounded image."""
        raise NotImplementedError  # every generator has its own layers to follow back

    def check_limits(self, widths: Sequence[int]) -> None:
        """Raise ValueError where the paper's limits on size are exceeded (§3.1)."""
        if max(widths) > MAX_WIDTH:
            raise ValueError(f"widths are limited to {MAX_WIDTH} channels, got {tuple(widths)}")
        if (count := self.parameter_count()) >= MAX_PARAMETERS:
            raise ValueError(f"{count} parameters: the paper's limit is {MAX_PARAMETERS}")


class Generator(CompletionNet):
    """Image completion network: corrupted image and mask in, a whole image out (paper §3.1).

    Every down-sampling starts a new level. Level l has ``widths[l]`` channels and ``depths[l]``
    3x3 convolutions (from level 1 on, the first one down-samples). Dilated convolutions are
    stacked in the last level. At each higher level an intermediate layer carries the features to
    the decoder, where they are concatenated with the up-sampled ones and joined by a convolution.

    Args:
        widths: channels of each level, at most 128 each.
        depths: convolutions of each level of the encoder, at least 1 each.
        dilations: dilation rate of each convolution stacked in the last level; on maps of a side
            up to its rate a convolution is a 1x1, and its other weights never learn.
        dilated: False replaces every rate by 1 (Fig. 7, "without dilation").
        intermediate: False drops the intermediate layers (Fig. 7).

    Raises:
        ValueError: widths and depths do not match, or a limit of the paper is exceeded.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128, 128),
        depths: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 2, 4, 8),
        *,
        dilated: bool = True,
        intermediate: bool = True,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths) or min(*depths, *dilations) < 1:
            raise ValueError(f"one depth of at least 1 per width needed: {widths=} {depths=}")
        self.widths, self.depths = tuple(widths), tuple(depths)
        self.dilations = tuple(dilations) if dilated else (1,) * len(dilations)
        self.intermediate = intermediate
        self.size_multiple = 1 << (len(widths) - 1)

        self.encoder = nn.ModuleList()
        inputs = 4
        for level, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            first = conv_bn_relu(inputs, width, stride=2 if level else 1)
            rest = [conv_bn_relu(width, width) for _ in range(depth - 1)]
            self.encoder.append(nn.Sequential(first, *rest))
            inputs = width
        self.context = nn.Sequential(
            *(conv_bn_relu(inputs, inputs, dilation=rate) for rate in self.dilations)
        )
        self.carry = nn.ModuleList()
        self.up = nn.ModuleList()
        self.join = nn.ModuleList()
        for width in reversed(widths[:-1]):  # from the level above the last one to the first
            self.up.append(deconv_bn_relu(inputs, width))
            if intermediate:
                self.carry.append(conv_bn_relu(width, width))
            self.join.append(conv_bn_relu(width * (2 if intermediate else 1), width))
            inputs = width
        self.last = nn.Conv2d(inputs, 3, 3, padding=1)  # no BN, no ReLU (§3.1)

        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.last.weight, std=0.02)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # bias is on by default
        self.check_limits(widths)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Complete ``image``: see :class:`CompletionNet`."""
        x = torch.cat([image, mask], dim=1)  # (N, 4, H, W)
        features = []
        for level in self.encoder:
            x = level(x)
            features.append(x)  # level l: (N, widths[l], H / 2^l, W / 2^l)
        x = self.context(x)
        for step, (up, join) in enumerate(zip(self.up, self.join, strict=True)):
            x = up(x)
            if self.intermediate:
                x = torch.cat([x, self.carry[step](features[-2 - step])], dim=1)
            x = join(x)
        return self.last(x)  # type: ignore[no-any-return]  # nn.Module calls are Any

    def rows_reaching(self, row: int) -> tuple[int, int]:
        """First and last input row that reaches output row ``row``, on an unbounded image."""
        low, high = row - 1, row + 1  # the last convolution
        for _ in self.join:
            low, high = low - 1, high + 1
            # 4x4, stride 2, padding 1: output o comes from inputs i with |2 i + 0.5 - o| < 2.
            low, high = (low - 1) // 2, (high + 1) // 2
        low, high = low - sum(self.dilations), high + sum(self.dilations)
        return through_encoder(self.depths, low, high)
