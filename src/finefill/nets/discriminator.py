"""The DCGAN-like discriminator (paper §3.2), and ones that judge patches or regions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finefill.nets.crops import cut, window_index
from finefill.nets.dcgan import begin


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
        begin(self)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(N, 3, size, size) in [-1, 1], whatever the mask -> (N, 1, 1, 1) logits of "original"."""
        return self.layers(image)  # type: ignore[no-any-return]  # nn.Module calls are Any

    def hole_share(self, mask: Tensor) -> Tensor:
        """The one cell of a completed image counts as completed: (N, 1, H, W) -> (N, 1, 1, 1)."""
        return mask.new_ones(len(mask), 1, 1, 1)


class PatchDiscriminator(nn.Module):
    """A score for each cell of 8x8 pixels, judged with what is around it (PatchGAN, Isola 2017).

    Strided 4x4 convolutions with spectral normalisation (Miyato 2018) and LeakyReLU(0.2); no BN,
    so no image is judged by the others of its batch. Cells count by their share of the hole, in
    the original as in the completed image. Were all counted, seven of eight would be original
    whatever the image: such a judge learned to say so, and nothing about the fill.

    Args:
        width: channels of the first layer; doubled at each down-sampling.
    """

    CELL = 8  # pixels

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        spectral = nn.utils.parametrizations.spectral_norm
        layers: list[nn.Module] = []
        inputs = 3
        for outputs, kernel, stride in (
            (width, 4, 2),
            (2 * width, 4, 2),
            (4 * width, 4, 2),
            (4 * width, 3, 1),
        ):
            conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=1)
            layers += [spectral(conv), nn.LeakyReLU(0.2, inplace=True)]
            inputs = outputs
        layers.append(spectral(nn.Conv2d(inputs, 1, 3, padding=1)))
        self.layers = nn.Sequential(*layers)

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) in [-1, 1] -> outputs of the hidden layers by name, (N, C, h, w) each.

        From the first to the last; :meth:`score` makes logits of them.
        """
        found: dict[str, Tensor] = {}
        x = image
        for layer in list(self.layers)[:-1]:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                found[f"hidden{len(found)}"] = x
        return found

    def score(self, features: Mapping[str, Tensor]) -> Tensor:
        """What :meth:`features` returns -> (N, 1, H / 8, W / 8) logits."""
        *_, deepest = features.values()
        return self.layers[-1](deepest)  # type: ignore[no-any-return]  # nn.Module calls are Any

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1], whatever the mask -> (N, 1, H / 8, W / 8) logits."""
        return self.score(self.features(image))

    def hole_share(self, mask: Tensor) -> Tensor:
        """Share of each cell that is hole: (N, 1, H, W) -> (N, 1, H / 8, W / 8)."""
        return F.avg_pool2d(mask, self.CELL)


class RegionDiscriminator(nn.Module):
    """A score for the window around the hole, and with ``whole`` one for the image as well.

    The window alone is what Context Encoders judge (Pathak et al. 2016), both are the local and
    the global discriminator of Generative Face Completion (Li et al. 2017).

    Args:
        size: height and width of the images; the window has half of it.
        width: channels of the first layer of each discriminator.
        whole: judge the whole image too.
    """

    def __init__(self, size: int = 128, width: int = 64, *, whole: bool = True) -> None:
        super().__init__()
        self.window = size // 2
        self.local = Discriminator(self.window, width)
        self.whole = Discriminator(size, width) if whole else None

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(N, 3, size, size) and the hole (N, 1, size, size) -> (N, 1, 1, 1 or 2) logits."""
        window = cut(image, window_index(mask, self.window), self.window)
        scores = [self.local(window, mask)]
        if self.whole is not None:
            scores.append(self.whole(image, mask))
        return torch.cat(scores, dim=3)

    def hole_share(self, mask: Tensor) -> Tensor:
        """Every score of a completed image counts as completed: (N, 1, 1, 1 or 2)."""
        return mask.new_ones(len(mask), 1, 1, 1 if self.whole is None else 2)
