"""Completion from the photograph itself, by large regions of one offset each.

A network continues what it has seen often; a wall with windows is continued better by the wall.
At a reduced scale (``window``, ``look``, ``tiles``) three things are done. For each tile of the
hole, offsets are looked up at which its surroundings are alike (``candidates``), the photograph is
like itself (``repeats``), or half the scale has chosen already (``coarser``). Each tile takes the
one that fits it, its neighbours and straight edges that cross the hole (``lines``; ``ends`` and
``strips`` find them) best (``labels``). Cuts go where they show least (``seams``).

At the photograph's own scale every region's offset is corrected as a whole (``align``), the cuts
are renewed, and brightness is matched across them (``poisson``). ``choose`` tells which holes are
completed so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = ["FILLS", "Fill", "Way", "allowed", "fill_hole", "structured", "thin"]

if TYPE_CHECKING:
    from finefill.completion.exemplar.choose import FILLS, Fill, Way, allowed, structured, thin
    from finefill.completion.exemplar.regions import fill_hole
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {
            "choose": ["FILLS", "Fill", "Way", "allowed", "structured", "thin"],
            "regions": ["fill_hole"],
        },
    )
