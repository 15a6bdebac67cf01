"""Photographs that stay on the device, for one that computes faster than a CPU makes crops."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from finefill.data import Frame, Photos, Recipe, at_step, batch_numbers, frames_and_masks
from finefill.errors import FinefillError


class Resident:
    """All photographs as uint8 on a device; a batch's crops are cut there.

    The frames and masks are those of :func:`finefill.data.training_batch`, functions of (seed,
    step). Crops are sampled bilinearly where that function filters, so they differ a little.

    Args:
        photos: read by the recipe's settings.
        recipe: size, crop and batch.
        device: where the pixels stay: 3 bytes for each pixel of the largest height times the
            largest width, for each photograph.
    """

    def __init__(self, photos: Photos, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.validation, self.count = photos.validation, photos.count
        self.fingerprint, self.outlines = photos.fingerprint, photos.outlines
        self.sizes = [image.shape[:2] for image in photos.train]
        height, width = (max(lengths) for lengths in zip(*self.sizes, strict=True))
        shape = (len(photos.train), 3, height, width)
        self.pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
        for kept, image in zip(self.pixels, photos.train, strict=True):
            kept[:, : image.shape[0], : image.shape[1]] = torch.from_numpy(
                np.array(image.transpose(2, 0, 1))
            )

    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> tuple[Tensor, Tensor]:
        """A process's slice of a batch: images (n, 3, S, S) in [-1, 1], masks (n, 1, S, S)."""
        numbers = batch_numbers(len(self.sizes), self.recipe, step)
        recipe = at_step(self.recipe, step)
        sizes = [self.sizes[n] for n in numbers]
        frames, holes = frames_and_masks(sizes, recipe, step, self.outlines)
        length = len(numbers) // ranks
        own = slice(rank * length, (rank + 1) * length)
        at = torch.tensor(numbers[own], device=self.device)
        images = cut_here(self.pixels[at], frames[own], recipe.size)
        mask = torch.from_numpy(np.stack(holes[own])).to(self.device)[:, None].float()
        return images.contiguous(memory_format=torch.channels_last), mask


def on_device(photos: object, recipe: Recipe, device: torch.device) -> Resident:
    """The photographs, moved to the device.

    Raises:
        FinefillError: they are a stream.
    """
    if not isinstance(photos, Photos):
        raise FinefillError(
            "photographs of a stream cannot stay on the device: leave --resident out, or give "
            "shards that fit in memory"
        )
    return Resident(photos, recipe, device)


def cut_here(pixels: Tensor, frames: list[Frame], size: int) -> Tensor:
    """What each frame shows of (N, 3, H, W) uint8, at (N, 3, size, size) in [-1, 1]."""
    height, width = pixels.shape[-2:]
    rows = []
    for frame in frames:
        angle, half = math.radians(frame.degrees), frame.side / 2
        across, down = half * math.cos(angle), half * math.sin(angle)
        mirror = -1.0 if frame.flip else 1.0
        # From places in the crop, -1 to 1, to places in the photograph, turned clockwise: what
        # the crop shows is turned the other way.
        right = [2 * mirror * across / width, -2 * down / width, 2 * frame.column / width - 1]
        below = [2 * mirror * down / height, 2 * across / height, 2 * frame.row / height - 1]
        rows.append([right, below])
    theta = torch.tensor(rows, device=pixels.device)
    grid = F.affine_grid(theta, [len(frames), 3, size, size], align_corners=False)
    found = F.grid_sample(pixels.float(), grid, padding_mode="border", align_corners=False)
    return found / 127.5 - 1
