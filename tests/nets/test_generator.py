"""Generators: limits, sizes, receptive field."""

from __future__ import annotations

import pytest
import torch

from finefill.data import recipes
from finefill.nets import CompletionNet, Generator, PlusGenerator
from finefill.training.build import generator as build

SMALL = {"widths": (4, 8, 8), "depths": (1, 2, 1), "dilations": (2, 4)}


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_keeps_the_papers_limits(name: str) -> None:
    net = build(recipes.get(name))
    assert net.parameter_count() < 10_000_000
    assert max(net.widths) <= 128
    size = recipes.get(name).size
    assert net.receptive_field() >= 2 * size - 1  # all of the image from every pixel of it


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_weight_of_a_recipe_learns(name: str) -> None:
    """None lies where a dilated convolution meets nothing but padding."""
    recipe = recipes.get(name)
    torch.manual_seed(0)
    net = build(recipe)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # residual blocks begin with 0
    image = torch.rand(2, 3, recipe.size, recipe.size)
    net(image, torch.ones(2, 1, recipe.size, recipe.size)).square().sum().backward()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            assert module.weight.grad is not None
            assert (module.weight.grad.abs().sum((0, 1)) > 0).all()


def test_the_papers_plan_has_its_parameter_count() -> None:
    # By hand: 9 i o a 3x3 convolution, 16 i o a deconvolution, 2 o a batch norm.
    convs = [(4, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 128), (128, 128)]
    convs += [(128, 128)] * 4  # dilated
    convs += [(128, 128), (64, 64), (32, 32)]  # intermediate layers
    convs += [(256, 128), (128, 64), (64, 32)]  # joined
    deconvs = [(128, 128), (128, 64), (64, 32)]
    expected = sum(9 * i * o + 2 * o for i, o in convs)
    expected += sum(16 * i * o + 2 * o for i, o in deconvs) + 9 * 32 * 3 + 3
    assert Generator().parameter_count() == expected


@pytest.mark.parametrize("dilated", [True, False])
@pytest.mark.parametrize("intermediate", [True, False])
def test_output_has_the_inputs_size(dilated: bool, intermediate: bool) -> None:
    net = Generator(**SMALL, dilated=dilated, intermediate=intermediate).eval()
    assert net.size_multiple == 4
    output = net(torch.zeros(2, 3, 20, 12), torch.ones(2, 1, 20, 12))
    assert output.shape == (2, 3, 20, 12)


@pytest.mark.parametrize(
    "net",
    [
        Generator(**SMALL),
        Generator((4, 4), (2, 3), (1, 3)),
        Generator((4, 4, 4, 4), (1, 1, 2, 2), (2,)),
        PlusGenerator((4, 8), (1, 2), (1, 2)),
        PlusGenerator((4, 4, 4), (2, 1, 1), (2,)),
    ],
    ids=lambda net: f"{type(net).__name__}-{len(net.widths)}",
)
def test_receptive_field_is_what_gradients_reach(net: CompletionNet) -> None:
    net.eval()
    for parameter in net.parameters():  # all positive: nothing cancels, no ReLU is shut
        parameter.data = torch.rand_like(parameter) + 0.1
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
    size = 512
    image = torch.ones(1, 3, size, size, requires_grad=True)
    reach = 0
    for offset in range(net.size_multiple):  # pixels differ by where they lie on the coarse grid
        at = size // 2 + offset
        output = net(image, torch.ones(1, 1, size, size))[0, :, at, at].sum()
        (gradient,) = torch.autograd.grad(output, image)
        rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
        reach = max(reach, int(rows.max() - rows.min()) + 1)
    assert reach == net.receptive_field()


def test_dilation_and_intermediate_layers_are_switches() -> None:
    full = Generator()
    plain = Generator(dilated=False)
    assert plain.parameter_count() == full.parameter_count()
    assert plain.receptive_field() < 255 <= full.receptive_field()
    assert Generator(intermediate=False).parameter_count() < full.parameter_count()


def test_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="128 channels"):
        Generator((32, 256), (1, 1))
    with pytest.raises(ValueError, match="limit"):
        Generator((128, 128), (30, 30), (2,) * 20)
    with pytest.raises(ValueError, match="depth"):
        Generator((8, 8), (1,))
