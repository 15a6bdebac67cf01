"""The work on a Ray cluster: the same task function, in as many processes as it has CPUs.

Ray (extra ``cluster``) starts the processes, on this machine or on many, and says when one dies.
Each keeps one loaded model. Only so many photos are handed out as are soon begun, however many
there are.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from finefill import __version__
from finefill.batch import extras
from finefill.batch.local import MAX_DEATHS, default_jobs
from finefill.batch.places import Place
from finefill.batch.plan import Batch, Plan, clear_parts, take
from finefill.batch.task import Entry, Task, complete_file, entry_of, now
from finefill.completion import Convention, Engine
from finefill.errors import FinefillError

THREADS = 1  # of a process; as many processes as CPUs do more than fewer with more threads
# A driver hands out about 500 pieces of work a second. One photo is one up to so many processes;
# for more processes, so many photos are one, or most of them would wait.
ALONE, CHUNK = 32, 16
TRIES = 3  # of a photo whose process dies; unlike on one machine, a node's end takes many with it
# Bytes of shared memory that a Ray of our own gets, besides twice the model, which goes through it.
STORE = 100_000_000
PATIENCE = 60.0  # seconds without a finished photo, after which a stopped run waits no more


def spread(
    plan: Plan, steps: Iterator[Task | Entry], stop: threading.Event
) -> Generator[Entry, None, None]:
    """Complete photos on the cluster, in the order in which they are finished.

    A photo whose process dies is tried again, by itself, wherever Ray puts it; after ``TRIES`` it
    has failed.

    Args:
        plan: of ``prepare``.
        steps: what there is to do; only as much as can soon be begun is taken from it.
        stop: when set, the photos in work are finished and no others are begun.

    Raises:
        FinefillError: Ray cannot be started or reached, its nodes have no finefill of this
            version, or processes die one after the other.
    """
    ray = extras.ray()
    files = plan.engine.files
    with _connected(plan.batch, sum(one.stat().st_size for one in files)):
        # Ray's own retries are off: deaths that it hides could not be counted nor cleared up after.
        work = ray.remote(num_cpus=THREADS, max_retries=0)(_work)
        folder = plan.engine.path.parent
        model = ray.put([(one.relative_to(folder).as_posix(), one.read_bytes()) for one in files])
        slots = _Slots(plan.batch.jobs)
        finished: SimpleQueue[tuple[list[Task], int, Any, Future[list[Entry]]]] = SimpleQueue()
        flying: set[Any] = set()
        again: deque[tuple[list[Task], int]] = deque()
        more, deaths, last = True, 0, time.monotonic()

        def submit(tasks: list[Task], tries: int) -> None:
            there = [_absolute(task) for task in tasks]
            ref = work.remote(there, plan.model_sha256, plan.engine.given, [model], __version__)
            flying.add(ref)
            ref.future().add_done_callback(lambda future: finished.put((tasks, tries, ref, future)))

        try:
            while True:
                while not stop.is_set() and len(flying) < slots.limit():
                    if again:
                        submit(*again.popleft())
                        continue
                    fresh: list[Task] = []
                    if more:
                        fresh, more = yield from take(steps, slots.chunk(), stop)
                    if not fresh:
                        break
                    submit(fresh, 1)
                if not flying:
                    return
                try:
                    tasks, tries, ref, future = finished.get(timeout=0.2)
                except Empty:
                    if stop.is_set() and time.monotonic() - last > PATIENCE:
                        return  # they are waiting for a cluster that has no room
                    if not stop.is_set():
                        last = time.monotonic()
                    continue
                flying.discard(ref)
                last = time.monotonic()
                if (entries := _results(tasks, future)) is not None:
                    deaths = 0
                    yield from entries
                    continue
                for task in tasks:  # theirs only: other processes are writing in these folders
                    clear_parts(task.target.parent, task.target.name)
                deaths += 1
                # All that is handed out can be lost at once, with a node or two: nobody's fault.
                if deaths >= MAX_DEATHS + slots.limit():
                    raise FinefillError(
                        f"{deaths} worker processes died one after the other, perhaps for want of "
                        "memory: use fewer --jobs; the same command goes on from here"
                    )
                if len(tasks) > 1 or tries < TRIES:
                    again.extend(([task], tries + 1) for task in tasks)
                else:
                    yield entry_of(tasks[0], error="its process was killed, or crashed", time=now())
        finally:
            for ref in flying:
                ray.cancel(ref, force=True)


class _Slots:
    """How much to hand out: twice what the cluster, as it is now, works on at once.

    With ``jobs`` just these, so that not more are in work.
    """

    def __init__(self, jobs: int | None) -> None:
        self._jobs = jobs
        self._known, self._until = 0, 0.0

    def limit(self) -> int:
        """Pieces of work."""
        return self._jobs or 2 * self._processes()

    def chunk(self) -> int:
        """Photos of a piece."""
        return 1 if (self._jobs or self._processes()) <= ALONE else CHUNK

    def _processes(self) -> int:
        if time.monotonic() >= self._until:
            cpus = extras.ray().cluster_resources().get("CPU", 0)
            self._known = max(1, int(cpus) // THREADS)
            self._until = time.monotonic() + 10
        return self._known


@contextlib.contextmanager
def _connected(batch: Batch, size: int) -> Iterator[None]:
    """A connection to Ray, unless the caller has one."""
    ray = extras.ray()
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A busy cluster answers late: seconds, instead of 5.
    os.environ.setdefault("RAY_gcs_rpc_server_connect_timeout_s", "30")
    address = batch.address or os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"address": address}
    if not address:
        options = {
            "address": "local",
            "num_cpus": default_jobs(batch),
            "object_store_memory": STORE + 2 * size,
            "include_dashboard": False,
        }
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    try:
        ray.init(**options, logging_level="ERROR", log_to_driver=False)
    except Exception as error:  # ConnectionError, ValueError, OSError, … as the address may be
        where = address or "this machine"
        text = " ".join(str(error).split())
        raise FinefillError(f"Ray on {where}: cannot be used: {text}") from error
    try:
        if threading.current_thread() is threading.main_thread():
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)  # Ray has put its own there
        yield
    finally:
        ray.shutdown()


def _results(tasks: list[Task], future: Future[list[Entry]]) -> list[Entry] | None:
    """What finished photos became; None if their process died."""
    exceptions = extras.ray().exceptions
    try:
        entries = future.result()
    except exceptions.RayTaskError as error:
        cause = getattr(error, "cause", error)
        if isinstance(cause, FinefillError):
            raise FinefillError(str(cause)) from error
        text = (str(cause).strip().splitlines() or [type(cause).__name__])[-1]
        raise FinefillError(
            f"the cluster cannot run finefill {__version__}: install it on all nodes ({text})"
        ) from error
    except exceptions.RayError:
        return None
    return [
        # As the command named them.
        replace(entry, mask=entry_of(task).mask, more_masks=entry_of(task).more_masks)
        for task, entry in zip(tasks, entries, strict=True)
    ]


def _absolute(task: Task) -> Task:
    """The task for a process that is in another folder."""

    def there(place: Place) -> Place:
        return place.absolute() if isinstance(place, Path) else place

    return replace(
        task,
        source=there(task.source),
        mask=None if task.mask is None else there(task.mask),
        more_masks=tuple(there(one) for one in task.more_masks),
        target=there(task.target),
    )


# Of a worker process: the last model it used, by its digest and convention.
_engines: dict[tuple[str, Convention | None], Engine] = {}


def _work(
    tasks: list[Task], digest: str, convention: Convention | None, model: list[Any], version: str
) -> list[Entry]:
    """What a worker process does: ``model`` is a reference in a list, fetched when it is needed."""
    if version != __version__:
        raise FinefillError(
            f"finefill {__version__} is installed on a node, {version} here: install the same"
        )
    if (digest, convention) not in _engines:
        files: list[tuple[str, bytes]] = extras.ray().get(model[0])
        _engines.clear()
        with tempfile.TemporaryDirectory(prefix="finefill-") as folder:
            for name, content in files:
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            engine = Engine(Path(folder, files[0][0]), threads=THREADS, convention=convention)
            if engine.sha256 != digest:
                raise FinefillError("the model's file changed while it was read: start again")
        _engines[digest, convention] = engine
    return [complete_file(task, _engines[digest, convention]) for task in tasks]
