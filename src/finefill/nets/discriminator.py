"""The DCGAN-like discriminator (paper §3.2)."""

from __future__ import annotations

from torch import Tensor, nn


class Discriminator(nn.Module):
    """Strided 4x4 convolutions, BN and LeakyReLU(0.2), one score for the whole image.

    As in DCGAN the first convolution and the last have no BN and the weights start from
    N(0, 0.02).

    Args:
        size: height and width of the images in pixels: 4 times a power of two.
        width: channels of the first layer; doubled at each down-sampling up to 8 x width.

    Raises:
        ValueError: the size is not 4 times a power of two.
    """

    def __init__(self, size: int = 128, width: int = 64) -> None:
        super().__init__()
        steps = (size // 4).bit_length() - 1
        if steps < 1 or 4 * 2**steps != size:
            raise ValueError(f"the discriminator needs a size of 8, 16, 32, 64, 128 …, got {size}")
        layers: list[nn.Module] = []
        inputs = 3
        for step in range(steps):
            outputs = width * 2 ** min(step, 3)
            layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=step == 0))
            if step:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            inputs = outputs
        layers.append(nn.Conv2d(inputs, 1, 4))  # (N, 1, 1, 1)
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, image: Tensor) -> Tensor:
        """Score images: (N, 3, size, size) in [-1, 1] -> (N,) logits of "this is an original"."""
        return self.layers(image).flatten()  # type: ignore[no-any-return]  # nn.Module calls are Any
