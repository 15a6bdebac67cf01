"""The generator like that of Generative Face Completion."""

from __future__ import annotations

import pytest
import torch

from finefill.nets import GFCGenerator


def test_gfc_generator_completes_its_own_size() -> None:
    net = GFCGenerator(32, bottleneck=16).eval()
    with torch.no_grad():
        output = net(torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32))
    assert output.shape == (2, 3, 32, 32)
    assert output.abs().max() <= 1
    with pytest.raises(ValueError, match="multiple of 16"):
        GFCGenerator(40)
