"""Trained runs as methods: ``fill(image, mask) -> image``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch

from finefill.completion import check_arrays
from finefill.data import Pixels
from finefill.errors import FinefillError
from finefill.evaluation import Method, latent_search
from finefill.export import load_generator
from finefill.files import from_network, to_network
from finefill.masks import Mask, composite
from finefill.nets import CompletionNet
from finefill.training import checkpoint, load_dcgan


def load_method(run: Path) -> tuple[Method, dict[str, Any]]:
    """The method that a run's last checkpoint is, on the CPU in float32.

    Args:
        run: a run's folder, or a checkpoint file.

    Returns:
        The method, and the checkpoint's state (step, samples, recipe as JSON, data, device).

    Raises:
        FinefillError: no checkpoint there.
    """
    path = run / checkpoint.LAST if run.is_dir() else run
    state = checkpoint.read_state(path)
    if state.get("kind") == "dcgan":
        generator, discriminator, state = load_dcgan(path)
        return latent_search(generator, discriminator), state
    net, state = load_generator(path)
    return functools.partial(fill, net), state


@torch.no_grad()
def fill(net: CompletionNet, image: Pixels, mask: Mask) -> Pixels:
    """Complete an image (H, W, 3) with a PyTorch generator; H and W must fit it.

    Raises:
        FinefillError: they do not.
    """
    check_arrays(image, mask)
    if any(side % net.size_multiple for side in mask.shape):
        raise FinefillError(
            f"this network works on multiples of {net.size_multiple} pixels, not on "
            f"{mask.shape[1]}x{mask.shape[0]}: evaluate at another --size"
        )
    hole = torch.from_numpy(mask)[None, None].float()
    output = net(torch.from_numpy(to_network(image)) * (1 - hole), hole)
    return composite(image, from_network(output.numpy()), mask)
