"""Image completion: fills the holes of a photograph so that one can't tell.

>>> completed = finefill.complete(image, mask)
>>> engine = finefill.load("faces")  # to keep, for many photographs
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = ["Engine", "FinefillError", "__version__", "complete", "load"]

__version__ = "0.1.0"

if TYPE_CHECKING:
    from finefill.completion import Engine, complete, load
    from finefill.errors import FinefillError
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {"completion": ["Engine", "complete", "load"], "errors": ["FinefillError"]},
    )
