"""DCGAN's generator (Radford et al. 2016): an image from random numbers, for comparison."""

from __future__ import annotations

from torch import Tensor, nn


def begin(net: nn.Module) -> None:
    """Give a network's layers the weights that DCGAN starts from: N(0, 0.02), in BN N(1, 0.02)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)


class LatentGenerator(nn.Module):
    """A projection to 4x4 pixels, then 4x4 deconvolutions of stride 2; BN + ReLU, tanh at the end.

    The mirror image of :class:`~finefill.nets.discriminator.Discriminator`. The last layer has no
    BN, and the weights start from N(0, 0.02).

    Args:
        size: height and width of the images in pixels: 4 times a power of two, at least 8.
        width: channels before the last layer; doubled towards the input up to 8 x width.
        latent: how many random numbers make an image.

    Raises:
        ValueError: the size is not 4 times a power of two.
    """

    def __init__(self, size: int = 64, width: int = 64, latent: int = 100) -> None:
        super().__init__()
        steps = (size // 4).bit_length() - 1
        if steps < 1 or 4 * 2**steps != size:
            raise ValueError(f"DCGAN's generator needs a size of 8, 16, 32, 64, 128 …, got {size}")
        self.size, self.latent = size, latent
        layers: list[nn.Module] = []
        inputs = latent
        for step in reversed(range(steps)):
            outputs = width * 2 ** min(step, 3)
            stride, padding = (2, 1) if layers else (1, 0)
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
            inputs = outputs
        layers += [nn.ConvTranspose2d(inputs, 3, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        begin(self)

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent), trained with U(-1, 1) -> (N, 3, size, size) in [-1, 1]."""
        return self.layers(z[:, :, None, None])  # type: ignore[no-any-return]  # nn.Module calls are Any
