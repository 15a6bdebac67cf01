"""What the server has done in a worker process.

It calls these functions there by name, and imports none of what they need: only workers hold NumPy,
Pillow, ONNX Runtime and the models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finefill.web.orders import Done, Order, Setup


def cards(setup: Setup) -> list[dict[str, Any]]:
    """Load the models; returns their cards, the default's first.

    Raises:
        FinefillError: there is no such model.
    """
    from finefill.web.work import start

    return [engine.card for engine in start(setup).values()]


def formats() -> list[dict[str, Any]]:
    """Extensions of photographs' files, whether they can be used, and what is missing if not."""
    from finefill.web.work import known_formats

    return known_formats()


def complete(setup: Setup, order: Order, folder: Path) -> Done:
    """Complete the image in ``folder``.

    Raises:
        Refused: it cannot be done; the detail names no path.
    """
    from finefill.web.work import run

    return run(setup, order, folder)
