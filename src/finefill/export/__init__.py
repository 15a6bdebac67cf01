"""A run becomes a model: one ONNX file with its card, compared with the network before it is kept.

``model`` exports and writes cards, ``rewrite`` makes graphs faster without changing their function,
``quantize`` makes them smaller; ``start`` is the way back: a model that a new run begins with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = [
    "begin_with",
    "export",
    "folded",
    "load_generator",
    "rewrite_card",
]

if TYPE_CHECKING:
    from finefill.export.model import export, folded, load_generator, rewrite_card
    from finefill.export.start import begin_with
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {
            "model": ["export", "folded", "load_generator", "rewrite_card"],
            "start": ["begin_with"],
        },
    )
