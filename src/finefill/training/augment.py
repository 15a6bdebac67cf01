"""One augmentation of original and completed image before the discriminator sees them.

Zhao et al. 2020 (DiffAugment): a discriminator that may not know its photographs by heart has more
to teach. Both images of a pair are changed by the same numbers, so that they stay equal outside the
hole; everything is differentiable with respect to the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 0.125  # of the side, at most, to each side
CUT = 0.5  # side of what is cut out, in sides of the image


@dataclass(frozen=True)
class Augmentation:
    """What happens to each image of a batch; a part that is None is left out.

    Attributes:
        colour: (N, 3): added brightness, factor of saturation, factor of contrast.
        shift: (N, 2): rows and columns to move by, as shares of the side; what comes in is 0.
        cut: (N, 2): row and column of the centre of a square that becomes 0, as shares of the side.
    """

    colour: Tensor | None = None
    shift: Tensor | None = None
    cut: Tensor | None = None

    def image(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> the same shape; colours may leave the range."""
        if self.colour is not None:
            image = coloured(image, self.colour.to(image.device))
        if self.shift is not None:
            image = shifted(image, self.shift.to(image.device))
        if self.cut is not None:
            image = image * kept(image.shape[2:], self.cut.to(image.device))
        return image

    def mask(self, mask: Tensor) -> Tensor:
        """(N, 1, H, W), 1 = hole -> where the hole is now, without what was cut out of it."""
        if self.shift is not None:
            mask = shifted(mask, self.shift.to(mask.device))
        if self.cut is not None:
            mask = mask * kept(mask.shape[2:], self.cut.to(mask.device))
        return mask


def draw(kinds: Sequence[str], count: int, source: torch.Generator) -> Augmentation:
    """Numbers for a batch: of ``colour``, ``shift`` and ``cutout`` those named in ``kinds``.

    All are drawn, so that what one kind gets does not depend on the others.
    """
    drawn = torch.rand(count, 7, generator=source)
    colour, shift, cut = drawn[:, :3], drawn[:, 3:5], drawn[:, 5:]
    # Brightness from -0.5 to 0.5, saturation 0 to 2, contrast 0.5 to 1.5 (Zhao et al. 2020).
    colour = colour * torch.tensor([1.0, 2.0, 1.0]) + torch.tensor([-0.5, 0.0, 0.5])
    return Augmentation(
        colour=colour if "colour" in kinds else None,
        shift=(2 * shift - 1) * SHIFT if "shift" in kinds else None,
        cut=cut if "cutout" in kinds else None,
    )


def coloured(image: Tensor, numbers: Tensor) -> Tensor:
    """Brightness, saturation about a pixel's grey, contrast about 0; numbers (N, 3)."""
    brightness, saturation, contrast = numbers.T.reshape(3, -1, 1, 1, 1)
    grey = image.mean(1, keepdim=True)
    found: Tensor = contrast * (grey + saturation * (image - grey) + brightness)
    return found


def shifted(image: Tensor, shares: Tensor) -> Tensor:
    """Move (N, C, H, W) down and to the right by whole pixels, (N, 2) shares of the sides."""
    count, _, rows, columns = image.shape
    sides = shares.new_tensor([rows, columns])
    moved = (shares * sides).round() / sides  # in sides; the grid's unit is half a side
    matrix = torch.eye(2, 3, device=image.device).repeat(count, 1, 1)
    matrix[:, 0, 2], matrix[:, 1, 2] = -2 * moved[:, 1], -2 * moved[:, 0]
    grid = F.affine_grid(matrix, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, mode="nearest", align_corners=False)


def kept(size: Sequence[int], centres: Tensor) -> Tensor:
    """(N, 1, H, W): 0 in a square of ``CUT`` of the sides around each centre, 1 elsewhere."""
    inside = [
        ((torch.arange(side, device=centres.device) + 0.5) / side - centres[:, axis, None]).abs()
        < CUT / 2
        for axis, side in enumerate(size)
    ]
    return 1 - (inside[0][:, None, :, None] & inside[1][:, None, None, :]).float()
