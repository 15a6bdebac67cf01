"""VGG16 as the perceptual network (paper §3.3), with both published weight conventions."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finefill.errors import FinefillError

# Configuration D of Simonyan & Zisserman: convolutions and channels of each block.
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
LAYERS = tuple(f"relu{b}_{i}" for b, (n, _) in enumerate(BLOCKS, 1) for i in range(1, n + 1))

CHECKOUT_FILE = Path(__file__).resolve().parents[3] / "weights" / "vgg16_conv1-4_fp16.safetensors"
TORCHVISION_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
TORCHVISION_SHA256 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"


@dataclass(frozen=True)
class Preprocessing:
    """How a weight file wants its input: (RGB in [-1, 1]) -> scale * (channels - mean) / std."""

    bgr: bool
    scale: float  # size of the input range: 255 or 1
    mean: tuple[float, float, float]  # in the file's channel order and range
    std: tuple[float, float, float]

    def __call__(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [-1, 1] -> the same shape, as the weights want it."""
        mean = image.new_tensor(self.mean).view(1, 3, 1, 1)
        std = image.new_tensor(self.std).view(1, 3, 1, 1)
        x = (image.flip(1) if self.bgr else image) * (self.scale / 2) + self.scale / 2
        return (x - mean) / std


CAFFE = Preprocessing(True, 255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
TORCHVISION = Preprocessing(False, 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def block_of(layer: str) -> int:
    """Which block of VGG16 a layer is in; block b sees 1 / 2^(b - 1) of the image's size.

    Raises:
        FinefillError: there is no such layer.
    """
    if layer not in LAYERS:
        raise FinefillError(f"unknown VGG16 layer {layer!r}: choose from {', '.join(LAYERS)}")
    return int(layer[4])


def pooled(layer: str, x: Tensor) -> Tensor:
    """The input of a layer's convolution: (N, C, H, W), halved where a new block begins."""
    return F.max_pool2d(x, 2) if layer.endswith("_1") and layer != "relu1_1" else x


class VGG16Features(nn.Module):
    """Frozen VGG16 convolutions; returns the ReLU outputs asked for.

    Args:
        state: ``convB_N.weight`` (O, I, 3, 3) and ``convB_N.bias`` (O,) for every convolution up
            to the deepest layer asked for.
        layers: names such as ``"relu2_2"``; any subset of :data:`LAYERS`.
        preprocessing: the input convention of the weights.

    Raises:
        FinefillError: an unknown layer, or a layer the weights do not reach.
    """

    def __init__(
        self, state: Mapping[str, Tensor], layers: Iterable[str], preprocessing: Preprocessing
    ) -> None:
        super().__init__()
        self.layers = tuple(sorted(set(layers), key=str))
        for name in self.layers:
            block_of(name)
        if not self.layers:
            raise FinefillError("no VGG16 layer asked for: name at least one, such as relu3_3")
        self.preprocessing = preprocessing
        deepest = max(LAYERS.index(name) for name in self.layers)
        self.convs = nn.ModuleDict()
        inputs = 3
        for name in LAYERS[: deepest + 1]:
            outputs = BLOCKS[block_of(name) - 1][1]
            conv = nn.Conv2d(inputs, outputs, 3, padding=1)
            key = name.replace("relu", "conv")
            try:
                weight, bias = state[f"{key}.weight"], state[f"{key}.bias"]
            except KeyError:
                raise FinefillError(
                    f"the VGG16 weights at hand end before {key}, {LAYERS[deepest]} is deeper: "
                    "give torchvision's file (vgg16-397923af.pth) with --vgg"
                ) from None
            conv.weight.data.copy_(weight)
            assert conv.bias is not None
            conv.bias.data.copy_(bias)
            self.convs[name] = conv
            inputs = outputs
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) RGB in [-1, 1] -> layer name to (N, C_l, H_l, W_l), each at least 0."""
        x = self.preprocessing(image)
        features = {}
        for name, conv in self.convs.items():
            x = F.relu(conv(pooled(name, x)))
            if name in self.layers:
                features[name] = x
        return features


def load_vgg16(layers: Iterable[str], path: Path | None = None) -> VGG16Features:
    """Load VGG16 with the input convention of the file found.

    Order: ``path``; the file of the source checkout; the cache, filled from torchvision's address
    and checked by its SHA-256.

    Args:
        layers: ReLU outputs to return, such as ``("relu2_2", "relu3_3")``.
        path: ``.safetensors`` with ``convB_N`` names (Caffe convention) or with torchvision's
            ``features.K`` names, or torchvision's own ``.pth``.

    Raises:
        FinefillError: no weights found and none can be downloaded, or the file is not VGG16.
    """
    if path is None:
        path = CHECKOUT_FILE if CHECKOUT_FILE.exists() else _download()
    if not path.exists():
        raise FinefillError(f"{path}: no such file; --vgg wants the VGG16 weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise FinefillError(f"{path}: not readable as VGG16 weights ({error})") from error
    if "conv1_1.weight" in state:
        return VGG16Features(state, layers, CAFFE)
    if "features.0.weight" in state:
        return VGG16Features(_from_torchvision(state), layers, TORCHVISION)
    raise FinefillError(f"{path}: not VGG16 weights (neither conv1_1 nor features.0 inside)")


def _from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchvision numbers the modules of ``features``: conv, relu, …, pool."""
    renamed, index = {}, 0
    for block, (count, _) in enumerate(BLOCKS, 1):
        for i in range(1, count + 1):
            for kind in ("weight", "bias"):
                if (key := f"features.{index}.{kind}") in state:
                    renamed[f"conv{block}_{i}.{kind}"] = state[key]
            index += 2  # convolution and ReLU
        index += 1  # pooling
    return renamed


def vgg16_at_hand() -> bool:
    """Whether :func:`load_vgg16` finds weights without a download."""
    return CHECKOUT_FILE.exists() or _cached().exists()


def _cached() -> Path:
    cache = Path(os.environ.get("FINEFILL_CACHE", Path.home() / ".cache" / "finefill"))
    return cache / "vgg16-397923af.pth"


def _download() -> Path:
    target = _cached()
    cache = target.parent
    if target.exists():
        return target
    temporary = ""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with (
            urllib.request.urlopen(TORCHVISION_URL, timeout=60) as response,
            tempfile.NamedTemporaryFile(dir=cache, delete=False) as file,
        ):
            temporary = file.name
            while chunk := response.read(1 << 20):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != TORCHVISION_SHA256:
            raise FinefillError(
                f"{TORCHVISION_URL}: the download does not match its SHA-256; try again"
            )
        os.replace(temporary, target)
    except (urllib.error.URLError, OSError) as error:
        raise FinefillError(
            f"no VGG16 weights here and {TORCHVISION_URL} cannot be had ({error}): "
            "give a file with --vgg"
        ) from error
    finally:
        Path(temporary).unlink(missing_ok=True) if temporary else None
    return target
