"""The discriminator on features of a fixed network."""

from __future__ import annotations

import pytest
import torch

from finefill.errors import FinefillError
from finefill.nets import FeatureDiscriminator


def test_feature_discriminator_judges_each_layers_cells_by_the_hole() -> None:
    torch.manual_seed(0)
    net = FeatureDiscriminator(("relu2_2", "relu1_2"), width=4).eval()  # no power iterations
    features = {"relu1_2": torch.rand(2, 64, 16, 16), "relu2_2": torch.rand(2, 128, 8, 8)}
    mask = torch.zeros(2, 1, 16, 16)
    mask[:, :, :4, :8] = 1  # cells of 2 pixels: 8 of 64; cells of 4 pixels: 2 of 16
    scores, share = net(features, mask), net.hole_share(mask)
    assert scores.shape == share.shape == (2, 1, 1, 16 + 64)
    assert share[0, 0, 0, :16].sum().item() == pytest.approx(2 / 16)  # the deepest layer first
    assert share[0, 0, 0, 16:].sum().item() == pytest.approx(8 / 64)
    # A layer's units do not matter, and the shallow heads see the deep layer.
    tenfold = {**features, "relu2_2": 10 * features["relu2_2"]}
    assert torch.allclose(net(tenfold, mask), scores, atol=1e-5)
    other = net({**features, "relu2_2": torch.rand(2, 128, 8, 8)}, mask)
    assert not torch.allclose(other[..., 16:], scores[..., 16:], atol=1e-4)
    trained = {name.partition(".")[0] for name, _ in net.named_parameters()}
    assert trained == {"heads"}  # the mixtures stay as drawn, and are kept in checkpoints
    assert {"mix_relu1_2", "deeper_relu1_2"} <= net.state_dict().keys()


@pytest.mark.parametrize(("layers", "told"), [((), "none"), (("relu9_9",), "unknown 'relu9_9'")])
def test_layers_that_are_not_there(layers: tuple[str, ...], told: str) -> None:
    with pytest.raises(FinefillError, match=f"judged_layers: {told}: choose from relu1_1"):
        FeatureDiscriminator(layers)
