"""The HTTP server: ``finefill serve`` (extra ``web``); see docs/server.md.

``work`` runs in the worker processes and imports the engine; everything else runs in the server's
own process, which never opens an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = [
    "LOOPBACK",
    "Settings",
    "serve",
]

if TYPE_CHECKING:
    from finefill.web.server import serve
    from finefill.web.settings import LOOPBACK, Settings
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {
            "server": ["serve"],
            "settings": ["LOOPBACK", "Settings"],
        },
    )
