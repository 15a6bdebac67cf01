"""Windows around holes, cut from a batch on its device."""

from __future__ import annotations

import torch
from torch import Tensor


def around_holes(
    image: Tensor, completed: Tensor, mask: Tensor, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut from each of the batch a square of ``window`` pixels centred on its hole's middle.

    Squares stay inside the image; parts of a hole that is larger than the window are left out.
    Returns the three tensors at (N, C, window, window).
    """
    if window >= min(mask.shape[-2:]):
        return image, completed, mask
    at = window_index(mask, window)
    return cut(image, at, window), cut(completed, at, window), cut(mask, at, window)


def window_index(mask: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Top and left (N,) of a square of ``window`` pixels around each hole of (N, 1, H, W)."""
    height, width = mask.shape[-2:]
    ys = torch.arange(height, device=mask.device, dtype=mask.dtype)
    xs = torch.arange(width, device=mask.device, dtype=mask.dtype)
    total = mask.sum((1, 2, 3)).clamp(min=1)
    top = (mask.sum((1, 3)) @ ys / total - window / 2).round().clamp(0, height - window).long()
    left = (mask.sum((1, 2)) @ xs / total - window / 2).round().clamp(0, width - window).long()
    return top, left


def cut(x: Tensor, at: tuple[Tensor, Tensor], window: int) -> Tensor:
    """(N, C, H, W) -> (N, C, window, window), each at its own place; gradients pass through."""
    top, left = at
    offsets = torch.arange(window, device=x.device)
    rows = (top[:, None] + offsets)[:, None, :, None]  # (N, 1, window, 1)
    columns = (left[:, None] + offsets)[:, None, None, :]  # (N, 1, 1, window)
    n, c = x.shape[:2]
    item = torch.arange(n, device=x.device)[:, None, None, None]
    channel = torch.arange(c, device=x.device)[None, :, None, None]
    return x[item, channel, rows, columns].contiguous(memory_format=torch.channels_last)
