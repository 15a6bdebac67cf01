"""Discriminators: what they judge, and which share of it is hole."""

from __future__ import annotations

import pytest
import torch

from finefill.nets import Discriminator, PatchDiscriminator, RegionDiscriminator


def test_patch_discriminator_scores_cells_and_knows_their_share() -> None:
    net = PatchDiscriminator(4)
    assert net(torch.rand(2, 3, 32, 48), torch.zeros(2, 1, 32, 48)).shape == (2, 1, 4, 6)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8, :4] = 1
    assert net.hole_share(mask).flatten().tolist() == [0.5, 0, 0, 0]


def test_discriminator_scores_whole_images() -> None:
    net = Discriminator(32, 4)
    assert net(torch.rand(3, 3, 32, 32), torch.zeros(3, 1, 32, 32)).shape == (3, 1, 1, 1)
    assert net.hole_share(torch.zeros(3, 1, 32, 32)).flatten().tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="size"):
        Discriminator(100)


def test_region_discriminator_judges_the_window_around_the_hole() -> None:
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, 2:8, 20:30] = 1
    image = torch.rand(2, 3, 32, 32)
    far = image.clone()
    far[:, :, 24:] += 1.0  # outside the window of 16x16
    with torch.no_grad():
        local = RegionDiscriminator(32, 4, whole=False).eval()
        assert local(image, mask).shape == (2, 1, 1, 1)
        assert torch.equal(local(image, mask), local(far, mask))
        both = RegionDiscriminator(32, 4).eval()
        one, other = both(image, mask), both(far, mask)
    assert one.shape == both.hole_share(mask).shape == (2, 1, 1, 2)
    assert torch.equal(one[..., 0], other[..., 0])
    assert not torch.equal(one[..., 1], other[..., 1])
