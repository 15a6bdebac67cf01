"""The generator of Context Encoders."""

from __future__ import annotations

import pytest
import torch

from finefill.nets import ContextEncoder


def test_context_encoder_is_the_published_network() -> None:
    net = ContextEncoder(128)
    # By hand: 16 i o a 4x4 convolution, 2 o a batch norm; two layers of 512 * 16 * 4000.
    down = [(3, 64), (64, 64), (64, 128), (128, 256), (256, 512)]
    count = sum(16 * i * o for i, o in down) + 64 + 2 * (64 + 128 + 256 + 512)
    count += 512 * 16 * 16 + 2 * 512 * 16 * 4000 + 2 * 4000 + 2 * 512
    up = [(512, 256), (256, 128), (128, 64), (64, 64)]
    count += sum(16 * i * o + 2 * o for i, o in up) + 16 * 64 * 3 + 3
    assert net.parameter_count() == count
    with torch.no_grad():
        output = net(torch.rand(2, 3, 128, 128), torch.zeros(2, 1, 128, 128))
    assert output.shape == (2, 3, 128, 128)
    assert output.abs().max() <= 1
    with pytest.raises(ValueError, match="64, 128"):
        ContextEncoder(96)


def test_channelwise_layer_keeps_channels_apart() -> None:
    net = ContextEncoder(64, bottleneck=8)
    x = torch.zeros(1, 512, 16)
    x[0, 5, 3] = 2.0
    mixed = torch.einsum("ncp,cpq->ncq", x, net.channelwise)
    assert torch.equal(mixed[0, 5], 2.0 * net.channelwise[5, 3])
    assert mixed[0, :5].abs().max() == 0
