"""VGG16 with fewer products: each convolution computes a few channels, the others follow from them.

The outputs of a convolution vary together. A 3x3 convolution to as many channels as hold most of
that variation, and one of 1x1 from them to all, come near it for a part of its products (Zhang et
al. 2016, "Accelerating very deep convolutional networks for classification and detection": their
asymmetric reconstruction, without the ReLU in the fit and without spatial factors).
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finefill.nets.vgg import VGG16Features, pooled

GRAIN = 16  # channels come in multiples of what a vector of AVX-512 holds: 24 take as long as 32
# What few cells say of many channels is drawn to what the convolution itself says: by this much of
# the mean variance, times channels over cells. Without it one photograph's fit is far off others.
DRAWN = 0.1
SIDE = 128  # pixels of an image's middle that are looked at: more take long and add little


@torch.no_grad()
def of_low_rank(vgg: VGG16Features, images: Tensor, share: float) -> VGG16Features:
    """A network near ``vgg`` that computes only a share of each convolution's channels.

    A convolution that would not get cheaper, such as the first, stays as it is.

    Args:
        vgg: in float32; is left alone.
        images: (N, 3, H, W) RGB in [-1, 1], some tens of the kind that will be looked at; what
            their features have in common is fitted. From one alone the network is still usable.
        share: of the channels that are computed, in (0, 1].

    Returns:
        The network, frozen, on the same device: the same layers, shapes and input.
    """
    near = copy.deepcopy(vgg)
    top, left = (max(0, (side - SIDE) // 2) for side in images.shape[2:])
    images = images[..., top : top + SIDE, left : left + SIDE]
    exact = seen = vgg.preprocessing(images)
    for name, conv in vgg.convs.items():
        assert isinstance(conv, nn.Conv2d)
        exact, seen = pooled(name, exact), pooled(name, seen)
        wanted = conv(exact)
        rank = max(GRAIN, round(share * conv.out_channels / GRAIN) * GRAIN)
        inputs = conv.weight[0].numel()
        if rank * (inputs + conv.out_channels) < inputs * conv.out_channels:
            near.convs[name] = factors(conv, seen, wanted, rank)
        exact, seen = F.relu(wanted), F.relu(near.convs[name](seen))
    return near


def factors(conv: nn.Conv2d, seen: Tensor, wanted: Tensor, rank: int) -> nn.Sequential:
    """Two frozen convolutions through ``rank`` channels that map ``seen`` nearest to ``wanted``.

    Reduced-rank regression of ``wanted`` (N, O, H, W) on what ``conv`` makes of ``seen``
    (N, I, H, W), which carries the errors of the layers before: so these are mended in part.
    """
    x, y = channels(conv(seen)), channels(wanted)
    mean_x, mean_y = x.mean(1), y.mean(1)
    x, y = x - mean_x[:, None], y - mean_y[:, None]
    variance, covariance = (x @ x.T).double(), (y @ x.T).double()
    drawn = DRAWN * len(x) / x.shape[1] * variance.diagonal().mean()
    for matrix in (variance, covariance):
        matrix.diagonal().add_(drawn + torch.finfo(torch.float32).tiny)
    fit = torch.linalg.solve(variance, covariance, left=False)  # y is about fit x
    # What the fit explains of y, by direction; the largest ones last.
    basis = torch.linalg.eigh(fit @ variance @ fit.T).eigenvectors[:, -rank:]
    narrow = (basis.T @ fit).float()
    bias = mean_y - basis.float() @ (narrow @ mean_x)

    assert conv.bias is not None
    first = nn.Conv2d(conv.in_channels, rank, 3, padding=1)
    first.weight = nn.Parameter(torch.einsum("ro,oihw->rihw", narrow, conv.weight))
    first.bias = nn.Parameter(narrow @ conv.bias)
    second = nn.Conv2d(rank, conv.out_channels, 1)
    second.weight = nn.Parameter(basis.float()[:, :, None, None].contiguous())
    second.bias = nn.Parameter(bias)
    return nn.Sequential(first, second).requires_grad_(False)


def channels(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (C, N H W)."""
    return features.transpose(0, 1).flatten(1)
