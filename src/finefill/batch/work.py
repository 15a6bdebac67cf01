"""Carry a plan out: every photo once, its line in the manifest when its picture is written."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Mapping

from finefill.batch import local
from finefill.batch.manifest import open_manifest
from finefill.batch.plan import Plan, steps
from finefill.batch.task import Entry


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
    """Entries as they are finished, by the engine that the batch names."""
    todo = steps(plan, done)
    if plan.batch.engine == "ray":
        from finefill.batch import cluster

        return cluster.spread(plan, todo, stop)
    jobs = 1 if plan.batch.in_memory else min(local.default_jobs(plan.batch), plan.total)
    return local.here(plan, todo, stop) if jobs == 1 else local.spread(plan, todo, jobs, stop)
