"""A generator beyond the paper's: the same levels and parts, joined so that colours travel.

What differs from :class:`finefill.nets.Generator`, and why:

- The hole enters as a smooth continuation of its surroundings instead of 0, and the network
  learns what to add to it: no layer has to carry plain colour across the hole.
- The dilated convolutions of the deepest level sit in residual blocks: a feature crosses many of
  them unchanged, where a plain stack of BN and ReLU wears it down.
- Levels are joined by addition, and up-sampling is a resize with a convolution after it: a
  deconvolution repeats its kernel's pattern wherever features are flat, which shows as a grid.
- The first level works on 2x2 blocks of pixels stacked as channels: full resolution costs most
  and adds least.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finefill.nets.attention import CopyAttention
from finefill.nets.generator import CompletionNet, conv_bn_relu, through_encoder

BLOCK = 2  # side in pixels of the blocks stacked as channels


class Surroundings(nn.Module):
    """Fill holes with the distance-weighted mean of the known pixels (Shepard, 1968).

    Computed on cells of ``cell`` pixels and up-sampled bilinearly; a known pixel at a distance of
    d cells counts with 1 / (1 + d^2)^1.5, up to ``reach`` cells away. No weights to learn.
    """

    kernel: Tensor

    def __init__(self, cell: int = 8, reach: int = 15) -> None:
        super().__init__()
        self.cell, self.reach = cell, reach
        steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
        kernel = (1 + steps[:, None] ** 2 + steps[None, :] ** 2) ** -1.5
        self.register_buffer("kernel", (kernel / kernel.sum()).expand(4, 1, -1, -1).clone(), False)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(N, 3, H, W), 0 in the hole, and (N, 1, H, W) -> (N, 3, H, W), holes filled."""
        with torch.autocast(image.device.type, enabled=False):
            sums = F.avg_pool2d(torch.cat([image, 1 - mask], dim=1).float(), self.cell)
            sums = F.conv2d(sums, self.kernel, padding=self.reach, groups=4)
            colour = sums[:, :3] / sums[:, 3:].clamp(min=1e-6)
            smooth = F.interpolate(
                colour, scale_factor=float(self.cell), mode="bilinear", align_corners=False
            )
            return image + mask * smooth

    def rows_reaching(self, low: int, high: int) -> tuple[int, int]:
        """Rows before that reach rows ``low`` to ``high``, by the cells that they lie between."""
        first = (2 * low + 1 - self.cell) // (2 * self.cell) - self.reach
        last = -(-(2 * high + 1 - self.cell) // (2 * self.cell)) + self.reach
        return self.cell * first, self.cell * (last + 1) - 1


class Residual(nn.Module):
    """x + BN(conv(ReLU(BN(dilated conv(x))))), then ReLU; starts as the identity."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = conv_bn_relu(width, width, dilation=dilation)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class PlusGenerator(CompletionNet):
    """Image completion network of levels, dilated residual blocks and intermediate layers.

    Level l works at 1 / 2^(l+1) of the image's size with ``widths[l]`` channels and ``depths[l]``
    3x3 convolutions (from level 1 on, the first one down-samples). ``dilations`` are the rates of
    the residual blocks of the last level, two convolutions each. Smooth surroundings, computed
    and not learned, reach across ``Surroundings.reach`` cells besides.

    Args:
        widths: channels of each level, at most 128 each.
        depths: convolutions of each level of the encoder, at least 1 each.
        dilations: dilation rate of each residual block.
        attention: copy features of known places into the hole, after half of the residual blocks
            (:class:`finefill.nets.attention.CopyAttention`). It reaches across the whole image,
            which ``rows_reaching`` and ``receptive_field`` leave out.

    Raises:
        ValueError: widths and depths do not match, or a limit of the paper is exceeded.
    """

    def __init__(
        self,
        widths: Sequence[int] = (48, 96, 128),
        depths: Sequence[int] = (1, 2, 1),
        dilations: Sequence[int] = (1, 2, 4, 8, 1, 2, 4, 8, 1, 2),
        *,
        attention: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths) or min(*depths, *dilations) < 1:
            raise ValueError(f"one depth of at least 1 per width needed: {widths=} {depths=}")
        self.widths, self.depths, self.dilations = tuple(widths), tuple(depths), tuple(dilations)
        self.size_multiple = 1 << len(widths)
        self.surroundings = Surroundings(cell=self.size_multiple)
        self.encoder = nn.ModuleList()
        inputs = BLOCK * BLOCK * 4
        for level, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            first = conv_bn_relu(inputs, width, stride=2 if level else 1)
            rest = [conv_bn_relu(width, width) for _ in range(depth - 1)]
            self.encoder.append(nn.Sequential(first, *rest))
            inputs = width
        self.context = nn.Sequential(*(Residual(inputs, rate) for rate in dilations))
        self.carry = nn.ModuleList()
        self.up = nn.ModuleList()
        self.join = nn.ModuleList()
        for width in reversed(widths[:-1]):  # from the level above the last one to the first
            self.up.append(conv_bn_relu(inputs, width))
            self.carry.append(conv_bn_relu(width, width))
            self.join.append(conv_bn_relu(width, width))
            inputs = width
        self.last = nn.Conv2d(inputs, BLOCK * BLOCK * 3, 3, padding=1)
        # The last part, so that the others keep their places in an optimizer's state.
        self.attention = CopyAttention(widths[-1], self.size_multiple) if attention else None

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        for block in self.modules():
            if isinstance(block, Residual):
                nn.init.zeros_(block.second[1].weight)  # type: ignore[arg-type]  # BN's own weight
        nn.init.normal_(self.last.weight, std=0.002)  # start from the smooth surroundings
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # bias is on by default
        if self.attention is not None:
            self.attention.begin()
            self.added = ("attention.",)
        self.check_limits(widths)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Complete ``image``: see :class:`CompletionNet`."""
        smooth = self.surroundings(image, mask)
        x = F.pixel_unshuffle(torch.cat([smooth, mask], dim=1), BLOCK)  # (N, 16, H / 2, W / 2)
        features = []
        for level in self.encoder:
            x = level(x)
            features.append(x)  # level l: (N, widths[l], H / 2^(l+1), W / 2^(l+1))
        for number, block in enumerate(self.context):
            if self.attention is not None and number == len(self.context) // 2:
                x = self.attention(x, mask)
            x = block(x)
        for step, (up, carry, join) in enumerate(zip(self.up, self.carry, self.join, strict=True)):
            x = F.interpolate(up(x), scale_factor=2.0, mode="nearest")
            x = join(x + carry(features[-2 - step]))
        return smooth + F.pixel_shuffle(self.last(x), BLOCK).float()  # type: ignore[no-any-return]  # nn.Module calls are Any

    def rows_reaching(self, row: int) -> tuple[int, int]:
        """First and last input row that reaches output row ``row``, on an unbounded image."""
        low, high = row // BLOCK - 1, row // BLOCK + 1  # the last convolution
        for _ in self.join:
            low, high = (low - 1) // 2 - 1, (high + 1) // 2 + 1  # join, resize, up
        low, high = low - sum(self.dilations), high + sum(self.dilations)
        low, high = low - len(self.dilations), high + len(self.dilations)
        low, high = through_encoder(self.depths, low, high)
        return self.surroundings.rows_reaching(BLOCK * low, BLOCK * high + BLOCK - 1)
