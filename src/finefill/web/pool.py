"""The bounded queue, and the worker processes that empty it.

Processes, not threads: a thread that runs too long cannot be stopped, a process can, so its slot
comes back; and a decoder that crashes takes one process with it, not the server. They are
anyio's (``to_process``), which kills one whose call is cancelled and starts another for the next.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process

from finefill.web.calls import cards, complete, formats
from finefill.web.metrics import Metrics
from finefill.web.orders import Done, Order, Setup
from finefill.web.problems import Refused
from finefill.web.settings import Settings

Status = Literal["queued", "running", "done", "failed"]
log = logging.getLogger(__name__)


class Job:
    """One completion, from its upload to its result.

    Attributes:
        id: nobody can guess it.
        folder: its files; removed with the job.
        status: where it is.
        done: what :func:`finefill.web.calls.complete` returned, once done.
        error: why it failed, once failed.
        finished: set when it is done or failed.
        deadline: on the clock of ``time.monotonic``, or None: its time counts from its start.
    """

    def __init__(self, folder: Path, order: Order, deadline: float | None) -> None:
        self.id = folder.name
        self.folder, self.order, self.deadline = folder, order, deadline
        self.status: Status = "queued"
        self.done: Done | None = None
        self.error: Refused | None = None
        self.finished = asyncio.Event()
        self.unwanted = False
        self._start = time.monotonic()
        self._end: float | None = None

    @property
    def seconds(self) -> float:
        """Since it was taken on, until it was finished."""
        return (self._end or time.monotonic()) - self._start

    def finish(self, done: Done | None = None, error: Refused | None = None) -> None:
        """It is done, or failed."""
        self._end = time.monotonic()
        self.done, self.error = done, error
        self.status = "failed" if error else "done"
        self.finished.set()


class Pool:
    """Workers and what they have to do. Use it in one event loop.

    Args:
        settings: see there.
        metrics: told about every completion.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.cards: list[dict[str, Any]] = []
        self.formats: list[dict[str, Any]] = []
        self.closing = False
        self._metrics = metrics
        self._setup = Setup(settings.models, settings.workers, settings.conventions)
        self._jobs: dict[str, Job] = {}
        self._line: asyncio.Queue[Job | None] = asyncio.Queue()
        self._limiter = CapacityLimiter(settings.workers)
        self._runners: list[asyncio.Task[None]] = []
        self._mean = 0.5  # seconds that a completion takes, lately
        metrics.gauges(
            lambda: self._count("queued"), lambda: self._count("running"), lambda: len(self._jobs)
        )

    async def start(self) -> None:
        """Start the workers and load the models.

        Raises:
            FinefillError: a model cannot be loaded.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="finefill-"))
        try:
            workers = range(self.settings.workers)
            self.cards = (await asyncio.gather(*(self._warm() for _ in workers)))[0]
            self.formats = await to_process.run_sync(formats, limiter=self._limiter)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._runners = [asyncio.create_task(self._run()) for _ in workers]

    def close(self) -> None:
        """Take on nothing more: what runs is finished, what waits is refused."""
        self.closing = True
        for job in self._jobs.values():
            if job.status == "queued":
                job.finish(error=shutting_down())

    async def stop(self) -> None:
        """Wait for what runs; then nothing is left in the temporary folder."""
        self.close()
        for _ in self._runners:
            self._line.put_nowait(None)
        await asyncio.gather(*self._runners)
        shutil.rmtree(self._folder, ignore_errors=True)

    def check(self) -> None:
        """Whether another completion can be taken on.

        Raises:
            Refused: the queue is full, or the server is shutting down.
        """
        if self.closing:
            raise shutting_down()
        waiting = self._count("queued")
        if waiting + self._count("running") >= self.settings.queue + self.settings.workers:
            seconds = math.ceil((waiting + 1) * self._mean / self.settings.workers)
            raise Refused(
                429,
                f"the queue is full: try again in {seconds} seconds",
                {"Retry-After": str(seconds)},
            )

    def new_folder(self) -> Path:
        """A folder for a job's files, for this user alone."""
        if (
            not self._folder.is_dir()
        ):  # systems clean /tmp up, and this server may be idle for weeks
            self._folder = Path(tempfile.mkdtemp(prefix="finefill-"))
        folder = self._folder / secrets.token_urlsafe(16)
        folder.mkdir(mode=0o700)
        return folder

    def submit(self, folder: Path, order: Order, *, deadline: float | None = None) -> Job:
        """Queue a completion whose files are in ``folder``.

        Raises:
            Refused: as :meth:`check`.
        """
        self.check()
        kept = sum(job.deadline is None and job.finished.is_set() for job in self._jobs.values())
        if deadline is None and kept >= self.settings.held:
            raise Refused(
                429,
                f"{kept} results wait to be fetched: fetch or delete some",
                {"Retry-After": "60"},
            )
        job = Job(folder, order, deadline)
        self._jobs[job.id] = job
        self._line.put_nowait(job)
        return job

    def get(self, name: str) -> Job:
        """The job of that id.

        Raises:
            Refused: there is none.
        """
        if (job := self._jobs.get(name)) is None or job.unwanted:
            raise Refused(
                404,
                "no such job: a result is given out once, and kept for "
                f"{self.settings.keep:g} seconds",
            )
        return job

    def position(self, job: Job) -> int:
        """1 = the next to run."""
        queued = [other.id for other in self._jobs.values() if other.status == "queued"]
        return queued.index(job.id) + 1

    def forget(self, job: Job) -> None:
        """Nobody wants the job any more.

        One that runs is finished first: that costs less than a new worker process.
        """
        job.unwanted = True
        if job.status == "queued":
            job.finish(error=Refused(404, "the job was cancelled"))
        if job.status != "running":
            self._jobs.pop(job.id, None)
            shutil.rmtree(job.folder, ignore_errors=True)

    async def _run(self) -> None:
        """One worker's slot."""
        while (job := await self._line.get()) is not None:
            if job.status != "queued":
                continue
            with self._metrics.completion() as outcome:
                whole = await self._complete(job)
                outcome(200 if job.error is None else job.error.status)
            if job.done is not None:
                self._mean += 0.1 * (job.done.seconds - self._mean)
            if job.unwanted:
                self.forget(job)
            elif job.deadline is None:
                asyncio.get_running_loop().call_later(self.settings.keep, self.forget, job)
            if not whole and not self.closing:
                # The slot is not free before its new process can work.
                self._metrics.replaced.inc()
                try:
                    await self._warm()
                except Exception:
                    log.exception("a worker could not be started")

    async def _complete(self, job: Job) -> bool:
        """Run a job; returns whether its process is still there."""
        job.status = "running"
        limit = self.settings.timeout
        left = limit if job.deadline is None else job.deadline - time.monotonic()
        if left <= 0:
            job.finish(error=too_slow(limit))
            return True
        try:
            async with asyncio.timeout(left):
                done = await to_process.run_sync(
                    complete, self._setup, job.order, job.folder,
                    cancellable=True, limiter=self._limiter,
                )  # fmt: skip
        except Refused as error:
            job.finish(error=error)
        except TimeoutError:
            job.finish(error=too_slow(limit))
            return False
        except BrokenWorkerProcess:
            job.finish(error=Refused(500, "the image ended the process that worked on it"))
            return False
        except Exception:
            log.exception("a worker failed")
            job.finish(error=Refused(500, "the server failed on this image"))
        else:
            job.finish(done)
        return True

    async def _warm(self) -> list[dict[str, Any]]:
        return await to_process.run_sync(cards, self._setup, limiter=self._limiter)

    def _count(self, status: Status) -> int:
        return sum(job.status == status for job in self._jobs.values())


def too_slow(seconds: float) -> Refused:
    """The time limit."""
    return Refused(504, f"not completed within {seconds:g} seconds: send a smaller image or hole")


def shutting_down() -> Refused:
    """The answer to all that comes too late."""
    return Refused(503, "the server is shutting down", {"Retry-After": "10"})
