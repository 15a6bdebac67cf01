"""Carry a plan out: every photo once, its line in the manifest when its picture is written."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Mapping

from finefill.batch import local
from finefill.batch.manifest import open_manifest
from finefill.batch.plan import Plan, steps
from finefill.batch.task import Entry
from finefill.errors import FinefillError


def run(plan: Plan, stop: threading.Event | None = None) -> Generator[Entry, None, None]:
    """Complete the photos; yields each one's entry when its picture and its line are written.

    Args:
        plan: of :func:`prepare`.
        stop: when set, the photos in work are finished and no others are begun.

    Raises:
        FinefillError: the manifest cannot be written, another run writes there too, or worker
            processes die one after the other; or, at the end, not one photo has a label or value.
    """
    wanted = _Wanted((*plan.batch.labels, *plan.batch.mask_values))
    stop = stop or threading.Event()
    with contextlib.closing(open_manifest(plan.batch.out)) as manifest:
        done: Mapping[str, bytes] = {} if plan.batch.overwrite else manifest.done
        entries = _entries(plan, done, stop)
        try:
            for entry in entries:
                if entry.result != "skipped":
                    manifest.add(entry)
                wanted.look_at(entry)
                yield entry
        finally:
            entries.close()
    if not stop.is_set():
        wanted.check()


# No errors of typing, whatever the masks are.
_ALPHA = ("opaque", "transparent")


class _Wanted:
    """Labels and values to take: one that no photo has is an error of typing."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._found: set[str] = set()
        self._lacking: dict[str, str] = {}

    def look_at(self, entry: Entry) -> None:
        """Note what one photo has."""
        if entry.result == "skipped":
            self._found.update(self._names)
        elif entry.lacks is not None:
            here = {*entry.labels, *entry.mask_values}
            self._found.update(here.difference(entry.lacks))
            said = "; ".join(entry.warnings)
            for name in entry.lacks:
                self._lacking.setdefault(name, f"{entry.photo}: {said}" if said else "")

    def check(self) -> None:
        """Raise a FinefillError for a name that was nowhere."""
        for name, said in self._lacking.items():
            if name not in self._found and name.strip().lower() not in _ALPHA:
                raise FinefillError(
                    f"{name}: not one photo has this label or mask value"
                    + (f"; {said}" if said else "")
                )


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
