"""The generator beyond the paper's."""

from __future__ import annotations

import pytest
import torch

from finefill.nets import PlusGenerator
from finefill.nets.plus import Surroundings


def test_plus_takes_any_multiple_and_starts_from_the_surroundings() -> None:
    net = PlusGenerator((4, 8, 8), (1, 2, 1), (1, 2))
    assert net.size_multiple == 8
    image = torch.full((2, 3, 24, 40), 0.5)
    mask = torch.zeros(2, 1, 24, 40)
    mask[:, :, 8:16, 8:24] = 1
    output = net(image * (1 - mask), mask)
    assert output.shape == image.shape
    torch.testing.assert_close(output, image, atol=0.1, rtol=0)  # a plain colour goes on
    with pytest.raises(ValueError, match="128 channels"):
        PlusGenerator((32, 256), (1, 1))
    with pytest.raises(ValueError, match="depth"):
        PlusGenerator((8, 8), (1,))


def test_surroundings_keep_what_is_known_and_prefer_what_is_near() -> None:
    image = torch.full((1, 3, 64, 64), -1.0)
    image[..., 32:] = 1.0
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    filled = Surroundings()(image * (1 - mask), mask)
    known = (mask == 0).expand_as(image)
    assert torch.equal(filled[known], image[known])
    row = filled[0, 0, 32, 16:48]
    assert row.min() >= -1
    assert row.max() <= 1
    assert (row.diff() >= -1e-6).all()  # from the dark side to the bright one
    assert row[0] < -0.4
    assert row[-1] > 0.4
    everything = Surroundings()(torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16))
    assert torch.equal(everything, torch.zeros(1, 3, 16, 16))  # nothing known: grey, not NaN
