"""Learning: losses, steps, the loop over two stages, checkpoints, processes (extra ``train``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = [
    "build",
    "checkpoint",
    "load_dcgan",
    "losses",
    "place",
    "stored_recipe",
    "train",
    "train_dcgan",
]

if TYPE_CHECKING:
    from finefill.training import build, checkpoint, losses
    from finefill.training.dcgan import load_dcgan, train_dcgan
    from finefill.training.distributed import place
    from finefill.training.loop import train
    from finefill.training.setup import stored_recipe
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {
            "dcgan": ["load_dcgan", "train_dcgan"],
            "distributed": ["place"],
            "loop": ["train"],
            "setup": ["stored_recipe"],
        },
    )
