"""Folders of photographs: which mask belongs to which photo, a manifest, restart, processes.

:func:`complete_file` does one photo, given a plain :class:`Task`. Everything else is about many:
:func:`prepare` checks a :class:`Batch` and counts its photos, :func:`preview` shows what would be
done, :func:`run` does it, on this machine (:mod:`.local`) or on a Ray cluster (:mod:`.cluster`).
The folders are listed as the work goes on, one folder at a time. Files lie in folders or in a
storage (:mod:`.places`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = [
    "ENGINES",
    "MANIFEST",
    "Batch",
    "Entry",
    "Place",
    "Plan",
    "Task",
    "Url",
    "complete_file",
    "place",
    "prepare",
    "preview",
    "read_manifest",
    "run",
]

if TYPE_CHECKING:
    from finefill.batch.manifest import MANIFEST, read_manifest
    from finefill.batch.places import Place, Url, place
    from finefill.batch.plan import ENGINES, Batch, Plan, prepare, preview
    from finefill.batch.task import Entry, Task, complete_file
    from finefill.batch.work import run
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {
            "manifest": ["MANIFEST", "read_manifest"],
            "places": ["Place", "Url", "place"],
            "plan": ["ENGINES", "Batch", "Plan", "prepare", "preview"],
            "task": ["Entry", "Task", "complete_file"],
            "work": ["run"],
        },
    )
