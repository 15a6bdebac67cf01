"""A generator as in Generative Face Completion (Li et al. 2017), for comparison."""

from __future__ import annotations

from torch import Tensor, nn

from finefill.nets.generator import CompletionNet, conv_bn_relu


class GFCGenerator(CompletionNet):
    """VGG19's layers up to pool3, two more convolutions and a pooling, a fully connected layer,
    and the same backwards with unpooling; one size only.

    What the paper leaves open is chosen here: ``bottleneck`` numbers, BN after every convolution,
    unpooling by repeating pixels. The mask is not an input.

    Args:
        size: height and width in pixels, a multiple of 16.
        bottleneck: numbers that an image is squeezed into.

    Raises:
        ValueError: an unfit size.
    """

    def __init__(self, size: int = 128, bottleneck: int = 1024) -> None:
        super().__init__()
        if size % 16 or size < 16:
            raise ValueError(f"the GFC generator needs a multiple of 16, got {size}")
        self.size_multiple = self.size = size
        plan = ((64, 2), (128, 2), (256, 4), (512, 2))  # channels and convolutions between poolings
        layers: list[nn.Module] = []
        inputs = 3
        for width, count in plan:
            for _ in range(count):
                layers.append(conv_bn_relu(inputs, width))
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.encoder = nn.Sequential(*layers)
        side = size // 16
        self.bottleneck = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs * side**2, bottleneck),
            nn.ReLU(inplace=True),
            nn.Linear(bottleneck, inputs * side**2, bias=False),
            nn.Unflatten(1, (inputs, side, side)),
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
        )
        layers = []
        for width, count in reversed(plan):
            layers.append(nn.Upsample(scale_factor=2.0, mode="nearest"))
            for _ in range(count):
                layers.append(conv_bn_relu(inputs, width))
                inputs = width
        self.decoder = nn.Sequential(*layers)
        self.last = nn.Sequential(nn.Conv2d(inputs, 3, 3, padding=1), nn.Tanh())
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(N, 3, size, size), 0 in the hole, and the mask, unused -> (N, 3, size, size)."""
        return self.last(self.decoder(self.bottleneck(self.encoder(image))))  # type: ignore[no-any-return]  # nn.Module calls are Any

    def rows_reaching(self, row: int) -> tuple[int, int]:
        """All rows of the image: the bottleneck sees everything."""
        return 0, self.size - 1
