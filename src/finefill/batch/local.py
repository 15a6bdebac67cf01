"""The work on this machine: in this process, or in several."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from finefill.batch.plan import Batch, Plan, clear_parts, take
from finefill.batch.task import Entry, Task, complete_file, entry_of, now
from finefill.completion import Convention, Engine, cpus
from finefill.errors import FinefillError

MAX_JOBS = 4  # unless asked for more: each process holds a model and a photograph
MAX_DEATHS = 10  # of worker processes, one after the other with no photo completed between


def default_jobs(batch: Batch) -> int:
    """How many processes a batch works in."""
    return batch.jobs or min(cpus(), MAX_JOBS)


def here(
    plan: Plan, steps: Iterator[Task | Entry], stop: threading.Event
) -> Generator[Entry, None, None]:
    """In this process, one after the other."""
    for step in steps:
        if stop.is_set():
            return
        yield step if isinstance(step, Entry) else complete_file(step, plan.engine)


def spread(
    plan: Plan, steps: Iterator[Task | Entry], jobs: int, stop: threading.Event
) -> Generator[Entry, None, None]:
    """In ``jobs`` processes, twice as many photos handed out as there are processes.

    When a process dies, the pool is lost with all it had in work. Those photos are tried again
    in a new pool, each alone; the one that loses its process then too has failed.
    """
    pool = _Pool(plan.engine, jobs)
    again: deque[Task] = deque()
    flying: dict[Future[Entry], tuple[Task, bool]] = {}  # with whether it is alone
    more, deaths = True, 0
    try:
        while True:
            if stop.is_set():
                more = False
                again.clear()
                for future in [one for one in flying if one.cancel()]:
                    del flying[future]
            elif again:
                if not flying:
                    task = again.popleft()
                    flying[pool.submit(task)] = (task, True)
            elif more and len(flying) < 2 * jobs:
                fresh, more = yield from take(steps, 1, stop)
                for task in fresh:
                    flying[pool.submit(task)] = (task, False)
            if not flying:
                if not more and not again:
                    return
                continue
            room = more and not again and len(flying) < 2 * jobs and not stop.is_set()
            finished, _ = wait(flying, timeout=0 if room else None, return_when=FIRST_COMPLETED)
            lost: list[tuple[Task, bool]] = []
            while finished:
                for future in finished:
                    work = flying.pop(future)
                    try:
                        entry = future.result()
                    except BrokenProcessPool:
                        lost.append(work)
                    else:
                        deaths = 0
                        yield entry
                finished = set()
                if lost and flying:
                    finished, _ = wait(flying)  # a broken pool ends all it has
            if not lost:
                continue
            pool.renew()
            for folder in {task.target.parent for task, _ in lost}:
                clear_parts(folder)
            if stop.is_set():
                continue  # perhaps the same signal ended the processes: nobody's fault
            deaths += 1
            if deaths >= MAX_DEATHS:
                raise FinefillError(
                    f"{deaths} worker processes died one after the other, perhaps for want of "
                    "memory: use fewer --jobs; the same command goes on from here"
                )
            for task, alone in lost:
                if alone:
                    yield entry_of(task, error="its process was killed, or crashed", time=now())
                else:
                    again.append(task)
    finally:
        pool.close()


class _Pool:
    """Worker processes that keep a model each, and can be had anew."""

    def __init__(self, engine: Engine, jobs: int) -> None:
        self._engine, self._jobs = engine, jobs
        self._executor = self._make()

    def submit(self, task: Task) -> Future[Entry]:
        with _no_interrupt():
            try:
                return self._executor.submit(_work, task)
            except BrokenProcessPool:  # a process died while it had nothing to do
                self.renew()
                return self._executor.submit(_work, task)

    def renew(self) -> None:
        self.close()
        self._executor = self._make()

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _make(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(self._engine.path, self._engine.given),
        )


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal; those started here must not hear it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_engine: Engine | None = None  # of a worker process


def _start_worker(model: Path, convention: Convention | None) -> None:
    global _engine
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _engine = Engine(model, threads=1, convention=convention)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(task: Task) -> Entry:
    assert _engine is not None
    return complete_file(task, _engine)
