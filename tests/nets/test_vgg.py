"""VGG16 in both published conventions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from finefill.errors import FinefillError
from finefill.nets import load_vgg16, vgg


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
