"""Image completion: fills the holes of a photograph so that one can't tell.

>>> completed = finefill.complete(image, mask)
>>> engine = finefill.load("faces")  # to keep, for many photographs
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finefill.completion import Engine, complete, load
    from finefill.errors import FinefillError

__all__ = ["Engine", "FinefillError", "__version__", "complete", "load"]

__version__ = "0.1.0"

# Where the public names live: imported when first used, so that `import finefill` costs nothing.
_HOMES = {
    "Engine": "finefill.completion.engine",
    "FinefillError": "finefill.errors",
    "complete": "finefill.completion.photo",
    "load": "finefill.completion.catalog",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
