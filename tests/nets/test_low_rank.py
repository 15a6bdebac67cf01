"""VGG16 that computes a share of its channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from finefill.data import iterate_images
from finefill.nets import load_vgg16, of_low_rank
from finefill.nets.low_rank import factors


def seen(photos: Path, first: int, last: int) -> Tensor:
    """Squares of 104 pixels (N, 3, 104, 104) in [-1, 1]."""
    images = [image[:104, :104] for _, image in iterate_images([photos])][first:last]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def test_outputs_that_depend_on_few_are_found_exactly() -> None:
    """64 filters that are mixtures of 8 need 8 channels, also where the input was falsified."""
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 64, 3, padding=1).requires_grad_(False)
    mixtures = torch.randn(64, 8)
    conv.weight.data = (mixtures @ conv.weight[:8].flatten(1)).view_as(conv.weight)
    x, other = torch.randn(4, 16, 20, 20), torch.randn(4, 16, 20, 20)
    for scale in (1, 0.5):
        near = factors(conv, scale * x, conv(x), 8)
        assert distance(near(scale * other), conv(other)) < 1e-3
        too_few = factors(conv, scale * x, conv(x), 7)
        assert distance(too_few(scale * other), conv(other)) > 0.05


def test_more_channels_come_nearer_on_other_photographs(photos: Path) -> None:
    exact = load_vgg16(["relu2_2", "relu3_3", "relu4_3"])
    shown, images = seen(photos, 0, 8), seen(photos, 8, 16)
    wanted = exact(images)
    errors, products = [], []
    for share in (1.0, 0.5, 0.25):
        near = of_low_rank(exact, shown, share)
        assert not any(p.requires_grad for p in near.parameters())
        found = near(images)
        assert {name: f.shape for name, f in found.items()} == {
            name: f.shape for name, f in wanted.items()
        }
        errors.append([distance(found[name], wanted[name]) for name in wanted])
        products.append(sum(p.numel() for p in near.parameters()))
    assert errors[0] == [0, 0, 0]
    assert errors[1] == pytest.approx([0.08, 0.15, 0.3], abs=0.1)
    assert all(few > many for few, many in zip(errors[2], errors[1], strict=True))
    assert products[1] < 0.6 * products[0]
    assert products[2] < 0.35 * products[0]
    assert exact(images)["relu4_3"].equal(wanted["relu4_3"])  # was left alone


def test_one_photograph_is_enough_not_to_go_astray(photos: Path) -> None:
    """It has 169 cells at relu4_3 for 512 channels; a plain regression is 100,000 times off there.

    One of a single colour, whose features hardly vary, does not stop the fit.
    """
    exact = load_vgg16(["relu4_3"])
    images = seen(photos, 8, 16)
    wanted = exact(images)["relu4_3"]
    assert distance(of_low_rank(exact, seen(photos, 0, 1), 0.5)(images)["relu4_3"], wanted) < 0.8
    exact.convs["relu1_1"].weight.data.zero_()
    assert of_low_rank(exact, images, 0.5)(images)["relu4_3"].isfinite().all()


def test_gradients_point_nearly_the_same_way(photos: Path) -> None:
    """Of the distance between two photographs' features, by the second one's pixels."""
    exact = load_vgg16(["relu2_2", "relu3_3"])
    near = of_low_rank(exact, seen(photos, 0, 8), 0.5)
    gradients = []
    for net in (exact, near):
        pixels = seen(photos, 8, 12).requires_grad_()
        features, others = net(pixels), net(seen(photos, 12, 16))
        sum((features[name] - others[name]).abs().mean() for name in features).backward()
        assert pixels.grad is not None
        gradients.append(pixels.grad.flatten())
    assert torch.cosine_similarity(*gradients, dim=0) > 0.9
