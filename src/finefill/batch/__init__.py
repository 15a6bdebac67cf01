"""Folders of photographs: which mask belongs to which photo, a manifest, restart, processes.

:func:`complete_file` does one photo, given a plain :class:`Task`. Everything else is about many:
:func:`prepare` checks a :class:`Batch` and counts its photos, :func:`preview` shows what would be
done, :func:`run` does it, on this machine (:mod:`.local`) or on a Ray cluster (:mod:`.cluster`).
The folders are listed as the work goes on, one folder at a time. Files lie in folders or in a
storage (:mod:`.places`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Mapping

from finefill.batch import local
from finefill.batch.manifest import MANIFEST, open_manifest, read_manifest
from finefill.batch.places import Place, Url, place
from finefill.batch.plan import ENGINES, Batch, Plan, prepare, preview, steps
from finefill.batch.task import Entry, Task, complete_file

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


def run(plan: Plan, stop: threading.Event | None = None) -> Generator[Entry, None, None]:
    """Complete the photos; yields each one's entry when its picture and its line are written.

    Args:
        plan: of :func:`prepare`.
        stop: when set, the photos in work are finished and no others are begun.

    Raises:
        FinefillError: the manifest cannot be written, another run writes there too, or worker
            processes die one after the other.
    """
    stop = stop or threading.Event()
    with contextlib.closing(open_manifest(plan.batch.out)) as manifest:
        done: Mapping[str, bytes] = {} if plan.batch.overwrite else manifest.done
        entries = _entries(plan, done, stop)
        try:
            for entry in entries:
                if entry.result != "skipped":
                    manifest.add(entry)
                yield entry
        finally:
            entries.close()


def _entries(
    plan: Plan, done: Mapping[str, bytes], stop: threading.Event
) -> Generator[Entry, None, None]:
    """By the engine that the batch names."""
    todo = steps(plan, done)
    if plan.batch.engine == "ray":
        from finefill.batch import cluster

        return cluster.spread(plan, todo, stop)
    jobs = 1 if plan.batch.in_memory else min(local.default_jobs(plan.batch), plan.total)
    return local.here(plan, todo, stop) if jobs == 1 else local.spread(plan, todo, jobs, stop)
