"""Eq. 1-7 and the balance on numbers that can be derived by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from finefill.training import balance, losses


def test_total_is_the_weighted_sum() -> None:
    rec, adv, per = (torch.tensor(v) for v in (1.0, 2.0, 3.0))
    terms = {"rec": rec, "adv": adv, "per": per}
    assert losses.total(terms, {"adv": 0.5, "per": 0.1}).item() == pytest.approx(1 + 1 + 0.3)
    # A term that this step does not look at counts nothing, whatever its weight.
    assert losses.total({"rec": rec}, {"per": 0.1}).item() == 1


def test_smooth_l1_on_both_sides_of_one() -> None:
    t = torch.tensor([0.0, 0.5, -0.5, 1.0, -2.0])
    assert losses.smooth_l1(t).tolist() == [0.0, 0.125, 0.125, 0.5, 1.5]


def test_reconstruction_looks_at_the_hole_only() -> None:
    original = torch.zeros(1, 3, 2, 2)
    output = torch.full((1, 3, 2, 2), 0.5)
    output[..., 1] = 9.0  # outside the hole: must not count
    mask = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    assert losses.reconstruction(original, output, mask).item() == 0.125
    output[..., 0, 0] = 2.0  # s = 1.5 in half of the hole
    assert losses.reconstruction(original, output, mask).item() == (1.5 + 0.125) / 2


def test_reconstruction_of_an_empty_mask_is_zero() -> None:
    x = torch.ones(2, 3, 4, 4)
    assert losses.reconstruction(x, -x, torch.zeros(2, 1, 4, 4)).item() == 0.0


def test_overlapping_l2_weighs_the_ring_ten_times() -> None:
    original = torch.zeros(1, 3, 5, 5)
    output = torch.zeros(1, 3, 5, 5)
    mask = torch.zeros(1, 1, 5, 5)
    mask[..., 2, 2] = 1
    output[..., 2, 2] = 2.0  # in the hole: 4
    output[..., 1, 1] = 1.0  # in the ring: 10 x 1
    output[..., 0, 0] = 9.0  # beyond: nothing
    assert losses.overlapping_l2(original, output, mask, 1).item() == pytest.approx(14 / 9)
    assert losses.overlapping_l2(original, output, mask, 0).item() == pytest.approx(4)


def test_composite_takes_each_pixel_from_its_side() -> None:
    original, output = torch.zeros(1, 3, 1, 2), torch.ones(1, 3, 1, 2)
    mask = torch.tensor([[[[1.0, 0.0]]]])
    assert losses.composite(original, output, mask)[0, 0].tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("two_sided", [True, False])
def test_labels_stay_in_the_papers_ranges(two_sided: bool) -> None:
    source = torch.Generator().manual_seed(0)
    original, completed = losses.smoothed_labels(2000, source, two_sided=two_sided)
    assert 0.8 <= original.min() < 0.81 < 0.99 < original.max() <= 1
    if two_sided:
        assert 0 <= completed.min() < 0.01 < 0.19 < completed.max() <= 0.2
    else:
        assert completed.abs().max() == 0


def test_discriminator_loss_by_hand() -> None:
    # D = 1/2 on both sides costs ln 2 for each, whatever the labels.
    half = torch.zeros(4)
    soft = (torch.full((4,), 0.9), torch.full((4,), 0.1))
    assert losses.discriminator(half, half, soft).item() == pytest.approx(2 * math.log(2))
    # D(x) = 3/4 and D(y) = 1/4 with hard labels: -ln 3/4 twice.
    logit = torch.full((4,), math.log(3))
    hard = (torch.ones(4), torch.zeros(4))
    expected = -2 * math.log(0.75)
    assert losses.discriminator(logit, -logit, hard).item() == pytest.approx(expected)


def test_adversarial_loss_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3)]).view(2, 1, 1, 1)  # D = 1/2 and 3/4
    expected = (math.log(2) - math.log(0.75)) / 2
    assert losses.adversarial(logits, torch.ones(2, 1, 1, 1)).item() == pytest.approx(expected)


def test_adversarial_counts_cells_by_their_share_of_the_hole() -> None:
    logits = torch.tensor([[[[0.0, math.log(3), 9.0]]]])
    share = torch.tensor([[[[1.0, 0.5, 0.0]]]])
    expected = (math.log(2) - 0.5 * math.log(0.75)) / 1.5
    assert losses.adversarial(logits, share).item() == pytest.approx(expected)


def test_relativistic_pairs_cell_by_cell() -> None:
    original = torch.tensor([[[[math.log(3), 5.0, 1.0]]]])
    completed = torch.tensor([[[[0.0, 5.0, 7.0]]]])
    share = torch.tensor([[[[1.0, 0.5, 0.0]]]])
    # sigmoid of the differences: 3/4 and 1/2, for the discriminator; 1/4 and 1/2 for the generator.
    judge = losses.relativistic(original, completed, share).item()
    assert judge == pytest.approx((-math.log(0.75) + 0.5 * math.log(2)) / 1.5)
    generator = losses.relativistic(completed, original, share).item()
    assert generator == pytest.approx((-math.log(0.25) + 0.5 * math.log(2)) / 1.5)


def test_discriminator_counts_cells_by_their_share_of_the_hole() -> None:
    labels = (torch.ones(1), torch.zeros(1))
    share = torch.tensor([[[[1.0, 0.5, 0.0]]]])
    original = torch.tensor([[[[0.0, math.log(3), -9.0]]]])  # D = 1/2, 3/4 and what cannot count
    completed = torch.tensor([[[[0.0, 0.0, 9.0]]]])
    expected = (math.log(2) - 0.5 * math.log(0.75)) / 1.5 + math.log(2)
    loss = losses.discriminator(original, completed, labels, share)
    assert loss.item() == pytest.approx(expected)


def test_perceptual_counts_the_hole_and_divides_by_the_mean_activation() -> None:
    x = torch.full((1, 2, 2, 2), 4.0)
    y = x.clone()
    y[..., 0, 0] += 3.0  # inside
    y[..., 1, 1] += 100.0  # outside
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2, :2] = 1.0  # exactly the first feature cell
    one = losses.perceptual({"a": x}, {"a": y}, mask, {"a": 1.0})
    assert one.item() == pytest.approx(3 / 4)
    two = losses.perceptual({"a": x, "b": x}, {"a": y, "b": y}, mask, {"a": 1.0, "b": 0.5})
    assert two.item() == pytest.approx(1.5 * 3 / 4)


def test_perceptual_weighs_cells_by_their_share_of_the_hole() -> None:
    x = torch.ones(1, 1, 1, 2)
    y = torch.tensor([[[[2.0, 6.0]]]])  # distances 1 and 5
    mask = torch.zeros(1, 1, 2, 4)
    mask[..., :2] = 1.0  # all of the first cell
    mask[..., 0, 2] = 1.0  # a quarter of the second
    loss = losses.perceptual({"a": x}, {"a": y}, mask, {"a": 1.0})
    assert loss.item() == pytest.approx((1 * 1 + 0.25 * 5) / 1.25)


def test_perceptual_sends_no_gradient_to_the_original() -> None:
    x = torch.rand(1, 1, 2, 2, requires_grad=True)
    y = torch.rand(1, 1, 2, 2, requires_grad=True)
    losses.perceptual({"a": x}, {"a": y}, torch.ones(1, 1, 2, 2), {"a": 1.0}).backward()
    assert x.grad is None
    assert y.grad is not None


@pytest.mark.parametrize(
    ("kind", "value_error", "gradient_error"),
    [(torch.float32, 1e-6, 1e-6), (torch.bfloat16, 2e-3, 0.01)],
)
def test_perceptual_and_its_gradient_are_those_of_the_equation(
    kind: torch.dtype, value_error: float, gradient_error: float
) -> None:
    """In NumPy, in double precision; features of either sign, as those of a discriminator."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(3, 96, 6, 5, generator=source).to(kind)
    y = (x + torch.randn(x.shape, generator=source)).to(kind).requires_grad_()
    mask = (torch.rand(3, 1, 12, 15, generator=source) < 0.4).float()
    loss = losses.perceptual({"a": x}, {"a": y}, mask, {"a": 2.0})
    loss.backward()
    assert loss.dtype is torch.float32

    phi_x, phi_y = (t.detach().double().numpy() for t in (x, y))
    hole = mask.double().numpy().reshape(3, 1, 6, 2, 5, 3).mean((3, 5))
    factor = 2 / (hole.sum() * 96 * np.abs(phi_x).mean())
    assert loss.item() == pytest.approx(factor * (np.abs(phi_x - phi_y) * hole).sum(), value_error)
    assert y.grad is not None
    expected = factor * np.sign(phi_y - phi_x) * hole
    np.testing.assert_allclose(y.grad.double().numpy(), expected, rtol=gradient_error)


def test_gradient_norms_and_weights_by_hand() -> None:
    p = nn.Parameter(torch.tensor([3.0, 4.0]))
    q = nn.Parameter(torch.tensor(1.0))
    terms = {"rec": 0.5 * (p * p).sum(), "adv": 10 * q, "per": p.sum() * 0}
    norms = balance.gradient_norms(terms, [p, q])
    assert norms == pytest.approx({"rec": 5.0, "adv": 10.0, "per": 0.0})
    assert p.grad is None
    lambdas = balance.weights(norms, {"adv": 0.4, "per": 2.0})
    assert lambdas == pytest.approx({"adv": 0.2, "per": 0.0})
