"""Windows around holes."""

from __future__ import annotations

import torch

from finefill.nets.crops import around_holes


def test_windows_follow_the_holes() -> None:
    image = torch.arange(2 * 3 * 16 * 16, dtype=torch.float32).view(2, 3, 16, 16)
    mask = torch.zeros(2, 1, 16, 16)
    mask[0, :, 0:4, 0:4] = 1
    mask[1, :, 6:10, 8:12] = 1
    cut, _, hole = around_holes(image, -image, mask, 8)
    assert hole.sum((1, 2, 3)).tolist() == [16, 16]
    assert torch.equal(cut[0], image[0, :, 0:8, 0:8])
    assert torch.equal(cut[1], image[1, :, 4:12, 6:14])


def test_windows_stay_inside_the_image() -> None:
    image = torch.arange(2 * 3 * 16 * 20, dtype=torch.float32).view(2, 3, 16, 20)
    mask = torch.zeros(2, 1, 16, 20)
    mask[0, :, 14:16, 18:20] = 1  # in the last corner
    mask[1, :, 0:2, 18:20] = 1
    cut, _, hole = around_holes(image, -image, mask, 8)
    assert hole.sum((1, 2, 3)).tolist() == [4, 4]
    assert torch.equal(cut[0], image[0, :, 8:16, 12:20])
    assert torch.equal(cut[1], image[1, :, 0:8, 12:20])
