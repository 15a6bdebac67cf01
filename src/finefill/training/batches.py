"""Batches on their way to the device: (N, H, W, 3) uint8 -> (N, 3, H, W) in [-1, 1]."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finefill.data import Photos, Stream, training_batch
from finefill.training.ahead import Batch
from finefill.training.resident import Resident
from finefill.training.steps import Parts

Source = Photos | Stream | Resident


def next_batch(parts: Parts, photos: Source, number: int) -> tuple[Tensor, Tensor]:
    """This process's slice of batch ``number``, on its device: see :func:`to_device`.

    A stream goes on from where it is; only its crops and masks depend on the number.
    """
    recipe, world = parts.recipe, parts.world
    if isinstance(photos, Resident):
        return photos.batch(number, world.rank, world.size)

    def draw(number: int) -> Batch:
        if isinstance(photos, Photos):
            return training_batch(photos, recipe, number, world.rank, world.size)
        return photos.batch(number)

    if parts.ahead is not None:
        return to_device(*parts.ahead(draw, number), parts.device)
    return to_device(*draw(number), parts.device)


def to_device(
    images: NDArray[np.uint8], holes: NDArray[np.bool_], device: torch.device
) -> tuple[Tensor, Tensor]:
    """(N, H, W, 3) uint8 and (N, H, W) bool -> (N, 3, H, W) in [-1, 1] and (N, 1, H, W)."""
    image = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    mask = torch.from_numpy(holes).to(device)[:, None].float()
    return image.contiguous(memory_format=torch.channels_last), mask
