"""The networks: shapes, limits, receptive field, VGG16 in both conventions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from finefill.data import recipes
from finefill.errors import FinefillError
from finefill.nets import (
    CompletionNet,
    ContextEncoder,
    Discriminator,
    FeatureDiscriminator,
    Generator,
    GFCGenerator,
    PatchDiscriminator,
    PlusGenerator,
    RegionDiscriminator,
    load_vgg16,
    vgg,
)
from finefill.nets.plus import Surroundings
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


def test_patch_discriminator_scores_cells_and_knows_their_share() -> None:
    net = PatchDiscriminator(4)
    assert net(torch.rand(2, 3, 32, 48), torch.zeros(2, 1, 32, 48)).shape == (2, 1, 4, 6)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8, :4] = 1
    assert net.hole_share(mask).flatten().tolist() == [0.5, 0, 0, 0]


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


def test_gfc_generator_completes_its_own_size() -> None:
    net = GFCGenerator(32, bottleneck=16).eval()
    with torch.no_grad():
        output = net(torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32))
    assert output.shape == (2, 3, 32, 32)
    assert output.abs().max() <= 1
    with pytest.raises(ValueError, match="multiple of 16"):
        GFCGenerator(40)


def test_vgg_matches_a_hand_made_first_layer() -> None:
    net = load_vgg16(["relu1_1"])
    state = load_file(vgg.CHECKOUT_FILE)
    rgb = torch.tensor([200.0, 100.0, 50.0])
    image = (rgb / 127.5 - 1).view(1, 3, 1, 1).expand(1, 3, 5, 5)
    bgr = torch.tensor([50.0, 100.0, 200.0]) - torch.tensor([103.939, 116.779, 123.68])
    centre = (state["conv1_1.weight"].float().sum((2, 3)) * bgr).sum(1)
    expected = (centre + state["conv1_1.bias"].float()).clamp(min=0)
    torch.testing.assert_close(net(image)["relu1_1"][0, :, 2, 2], expected, rtol=1e-4, atol=1e-2)


def test_vgg_returns_the_layers_asked_for_and_is_frozen() -> None:
    net = load_vgg16(["relu2_2", "relu1_2"])
    features = net(torch.zeros(1, 3, 16, 16))
    assert {name: tuple(f.shape[1:]) for name, f in features.items()} == {
        "relu1_2": (64, 16, 16),
        "relu2_2": (128, 8, 8),
    }
    assert all(f.min() >= 0 for f in features.values())
    assert not any(p.requires_grad for p in net.parameters())


def test_torchvision_names_and_convention(tmp_path: Path) -> None:
    """The same filters under torchvision's names see RGB in 0..1 with mean and std."""
    state = {k: v.float() for k, v in load_file(vgg.CHECKOUT_FILE).items()}
    index = {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7, "conv3_1": 10}
    renamed = {
        f"features.{number}.{kind}": state[f"{name}.{kind}"]
        for name, number in index.items()
        for kind in ("weight", "bias")
    }
    # Rewrite the first layer for torchvision's input, so that both nets compute the same.
    mean, std = torch.tensor(vgg.TORCHVISION.mean), torch.tensor(vgg.TORCHVISION.std)
    caffe_mean = torch.tensor(vgg.CAFFE.mean).flip(0)  # as RGB
    first = state["conv1_1.weight"].flip(1)
    renamed["features.0.weight"] = first * (255 * std).view(1, 3, 1, 1)
    shift = (first * (255 * mean - caffe_mean).view(1, 3, 1, 1)).sum((1, 2, 3))
    renamed["features.0.bias"] = state["conv1_1.bias"] + shift
    save_file(renamed, tmp_path / "tv.safetensors")
    torch.save(renamed, tmp_path / "tv.pth")
    image = torch.rand(1, 3, 48, 48) * 2 - 1
    # Compared in the middle: zero padding stands for another colour in each convention.
    ours = load_vgg16(["relu3_1"])(image)["relu3_1"][..., 4:-4, 4:-4]
    for name in ("tv.safetensors", "tv.pth"):
        theirs = load_vgg16(["relu3_1"], tmp_path / name)(image)["relu3_1"][..., 4:-4, 4:-4]
        assert ours.abs().max() > 1
        torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-3 * float(ours.abs().max()))


def test_vgg_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FinefillError, match="unknown VGG16 layer 'relu9_9'"):
        load_vgg16(["relu9_9"])
    with pytest.raises(FinefillError, match="end before conv5_1"):
        load_vgg16(["relu5_3"])
    with pytest.raises(FinefillError, match="no such file"):
        load_vgg16(["relu1_1"], tmp_path / "no.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"not weights")
    with pytest.raises(FinefillError, match="not readable"):
        load_vgg16(["relu1_1"], tmp_path / "bad.safetensors")
    # No checkout, empty cache, and an address that answers nothing.
    monkeypatch.setattr(vgg, "CHECKOUT_FILE", tmp_path / "none")
    monkeypatch.setenv("FINEFILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(vgg, "TORCHVISION_URL", (tmp_path / "absent.pth").as_uri())
    with pytest.raises(FinefillError, match="--vgg"):
        load_vgg16(["relu1_1"])
    # A download that is not the file promised is thrown away.
    (tmp_path / "other.pth").write_bytes(b"something else")
    monkeypatch.setattr(vgg, "TORCHVISION_URL", (tmp_path / "other.pth").as_uri())
    with pytest.raises(FinefillError, match="SHA-256"):
        load_vgg16(["relu1_1"])
    assert list((tmp_path / "cache").iterdir()) == []
