"""Folders of photographs: which mask belongs to which photo, a manifest, restart, processes.

:func:`complete_file` does one photo, given a plain :class:`Task`. Everything else is about many:
:func:`prepare` checks a :class:`Batch` and counts its photos, :func:`preview` shows what would be
done, :func:`run` does it. The folders are listed as the work goes on, one folder at a time.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import io
import json
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from finefill.catalog import load
from finefill.engine import Engine, cpus
from finefill.errors import FinefillError
from finefill.images import EXTENSIONS, MAX_PIXELS, decode, read_photo, write_photo
from finefill.masks import check, grow, read_mask
from finefill.photo import NEAR, fill_photo, groups

MANIFEST = "manifest.jsonl"
MAX_JOBS = 4  # unless asked for more: each process holds a model and a photograph
MAX_DEATHS = 10  # of worker processes, one after the other with no photo completed between
# What `images.replacing` leaves behind in the output folder when its process is killed.
_PART = re.compile(
    rf"\..+({'|'.join(re.escape(suffix) for suffix in EXTENSIONS)})\.\d+\.part", re.IGNORECASE
)


@dataclass(frozen=True)
class Batch:
    """What to do.

    Attributes:
        photos: folder, searched with all folders below it, or one file. Hidden files and linked
            folders are not looked at, nor are ``out`` and ``masks`` if they lie in it.
        masks: one mask for all photos, or a folder: there ``sub/a.*`` belongs to ``sub/a.jpg``.
        out: folder for the completed photos and the manifest; made where missing.
        model: a name that ``finefill models`` lists, or the path of an .onnx file.
        jobs: processes; one works without further processes and uses the engine's own threads.
            None = the CPUs, at most 4.
        resize_mask: scale masks of another shape.
        keep_polarity: take masks that look inverted as they are.
        grow: widen the masks by so many pixels on all sides.
        png: write PNG files whatever the photo's format is.
        max_pixels: refuse larger images before decoding them.
        overwrite: complete again what an earlier run has completed.
    """

    photos: Path
    masks: Path
    out: Path
    model: str = "places"
    jobs: int | None = None
    resize_mask: bool = False
    keep_polarity: bool = False
    grow: int = 0
    png: bool = False
    max_pixels: int = MAX_PIXELS
    overwrite: bool = False


@dataclass(frozen=True)
class Task:
    """One photo to complete; everything that :func:`complete_file` needs besides the engine.

    Attributes:
        photo: the photo's path below the folder of photos, with slashes.
        source: its file.
        mask: the mask's file.
        output: the completed photo's path below the output folder, with slashes.
        target: its file.
        model: the model's name.
        model_sha256: its file's digest.
        problem: why it cannot be done (no mask, say); empty = nothing known against it.
    """

    photo: str
    source: Path
    mask: Path | None
    output: str
    target: Path
    model: str
    model_sha256: str
    resize_mask: bool = False
    keep_polarity: bool = False
    grow: int = 0
    max_pixels: int = MAX_PIXELS
    problem: str = ""


@dataclass
class Entry:
    """What became of one photo: a line of the manifest. None = not known, it failed before.

    Attributes:
        result: done, failed (see ``error``), or skipped: done by an earlier run (not written).
        width: of the upright photo, in pixels, as ``height``.
        hole_pixels: how many were completed.
        groups: of holes, completed one after the other.
        seconds: for all of it, reading and writing included.
        time: when it ended, UTC.
    """

    photo: str
    mask: str | None
    output: str
    model: str
    model_sha256: str
    photo_sha256: str | None = None
    mask_sha256: str | None = None
    keep_polarity: bool = False
    grow: int = 0
    output_sha256: str | None = None
    output_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    hole_pixels: int | None = None
    groups: int | None = None
    seconds: float | None = None
    time: str = ""
    result: str = "failed"
    error: str = ""
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """A checked :class:`Batch`: how many photos it has, and its model."""

    batch: Batch
    total: int
    engine: Engine
    model_sha256: str


def complete_file(task: Task, engine: Engine) -> Entry:
    """Complete one photo's file; what goes wrong is told in the entry, never raised.

    The completed file appears whole or not at all. Plain data in and out: runs in any process,
    on any machine that sees the files.
    """
    start = time.perf_counter()
    entry = _entry(task)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            if task.problem or task.mask is None:
                raise FinefillError(task.problem or "it has no mask")
            _complete(task, task.mask, engine, entry)
            entry.result = "done"
        except FinefillError as error:
            # The photo is named by the entry already.
            entry.error = str(error).removeprefix(f"{task.source}: ")
        except MemoryError:
            entry.error = "not enough memory: use fewer --jobs, or a smaller photo"
        except Exception as error:  # one photo must not end the work on all others
            entry.error = f"unexpected {type(error).__name__}: {error}"
    entry.warnings = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    entry.seconds = round(time.perf_counter() - start, 3)
    entry.time = _now()
    return entry


def prepare(batch: Batch) -> Plan:
    """Check everything that can be checked before the first photo.

    Raises:
        FinefillError: PHOTOS or the masks are missing, originals could be overwritten, two photos
            would have one output, there are no photos, or the model cannot be used.
    """
    for path in (batch.photos, batch.masks):
        if not path.exists():
            raise FinefillError(f"{path}: no such file or folder")
    if batch.out.exists() and not batch.out.is_dir():
        raise FinefillError(f"{batch.out}: is a file: give a folder for the completed photos")
    photos, masks, out = (path.resolve() for path in (batch.photos, batch.masks, batch.out))
    for source in (photos, masks):
        if out == source or out in source.parents:
            raise FinefillError(
                f"{batch.out}: holds the photos or the masks, which could be overwritten: "
                "choose another folder for the output"
            )
    if masks in out.parents:
        raise FinefillError(
            f"{batch.out}: lies among the masks and would be searched for masks: "
            "choose another folder for the output"
        )
    if photos == masks:
        raise FinefillError(
            f"{batch.masks}: is PHOTOS too: keep the masks in a folder of their own"
        )
    if batch.masks.is_file():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # told again with every photo
            decode(batch.masks, max_pixels=batch.max_pixels)
    total = 0
    for folder in _folders(batch):
        if folder.problem and not folder.path:
            raise FinefillError(f"{batch.photos}: {folder.problem}")
        outputs: dict[str, str] = {}
        for name in folder.names:
            other = outputs.setdefault(_output(batch, name), name)
            if other != name:
                both = " and ".join(_join(folder.path, one) for one in (other, name))
                raise FinefillError(
                    f"{batch.photos}: {both} would both become "
                    f"{_join(folder.path, _output(batch, name))}: rename one, or keep the format"
                )
        total += len(folder.names) + bool(folder.problem)
    if not total:
        raise FinefillError(
            f"{batch.photos}: no photographs (files ending in {' '.join(EXTENSIONS)})"
        )
    engine = load(batch.model)
    with open(engine.path, "rb") as file:
        return Plan(batch, total, engine, _digest(file))


def preview(plan: Plan) -> Iterator[tuple[Task, bool]]:
    """Every task, and whether an earlier run has done it; writes nothing."""
    path = plan.batch.out / MANIFEST
    done: Mapping[str, bytes] = {}
    if path.exists() and not plan.batch.overwrite:
        try:
            with open(path, "rb") as file:
                done, _ = read_manifest(file)
        except OSError as error:
            raise FinefillError(f"{path}: cannot be read: {error.strerror}") from error
    for task in _tasks(plan):
        yield task, _is_done(task, done)


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
    jobs = min(plan.batch.jobs or min(cpus(), MAX_JOBS), plan.total)
    with contextlib.closing(_Manifest(plan.batch.out)) as manifest:
        done: Mapping[str, bytes] = {} if plan.batch.overwrite else manifest.done
        steps = _steps(plan, done)
        entries = _here(plan, steps, stop) if jobs == 1 else _spread(plan, steps, jobs, stop)
        try:
            for entry in entries:
                if entry.result != "skipped":
                    manifest.add(entry)
                yield entry
        finally:
            entries.close()


def read_manifest(file: IO[bytes]) -> tuple[dict[str, bytes], int]:
    """What a manifest says.

    Args:
        file: a binary file at its start.

    Returns:
        For every photo whose last line says done, a short digest of what was done (files, model,
        output); and the length in bytes of the whole lines. A last line without its end was being
        written when its process was killed and doesn't count. Lines of another kind are passed
        over.
    """
    done: dict[str, bytes] = {}
    length = 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        length += len(line)
        try:
            entry = json.loads(line)
            done.pop(entry["photo"], None)
            if entry["result"] == "done":
                done[entry["photo"]] = _state(
                    *(entry[name] for name in (
                        "output", "photo_sha256", "mask_sha256", "model_sha256", "output_bytes",
                        "keep_polarity", "grow",
                    ))
                )  # fmt: skip
        except (ValueError, TypeError, KeyError):
            continue
    return done, length


@dataclass(frozen=True)
class _Folder:
    """A folder's photos: its path below PHOTOS, their names, or why it cannot be listed."""

    path: str
    names: list[str]
    problem: str = ""


class _Manifest:
    """The manifest of an output folder, opened for appending; ``done`` is what it said before."""

    def __init__(self, out: Path) -> None:
        self.path = out / MANIFEST
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")  # noqa: SIM115  # closed by close()
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            _lock(self._file, self.path)
            self._file.seek(0)
            self.done, length = read_manifest(self._file)
            self._file.truncate(length)
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error
        except BaseException:
            self.close()
            raise

    def add(self, entry: Entry) -> None:
        try:
            self._file.write(json.dumps(asdict(entry)).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it may want to flush what could not be written
            self._file.close()

    def _unwritable(self, error: OSError) -> FinefillError:
        return FinefillError(
            f"{self.path}: cannot be written: {error.strerror}: choose another output folder"
        )


def _lock(file: IO[bytes], path: Path) -> None:
    """One run at a time in an output folder; the lock ends with its process."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FinefillError(
            f"{path}: another batch is writing there: wait for its end, or choose another folder"
        ) from None
    except OSError:
        pass  # a file system without locks


def _complete(task: Task, mask_path: Path, engine: Engine, entry: Entry) -> None:
    """Read, complete, write; fills in ``entry`` as it goes, so that a failure keeps what is known.

    The digests are those of the very bytes that are decoded, should a file change meanwhile.
    """
    with _opened(task.source) as file:
        entry.photo_sha256 = _digest(file)
        photo = read_photo(file, max_pixels=task.max_pixels)
    entry.height, entry.width = photo.rgb.shape[:2]
    with _opened(mask_path) as file:
        entry.mask_sha256 = _digest(file)
        drawn = read_mask(
            file,
            photo.rgb.shape[:2],
            resize=task.resize_mask,
            keep_polarity=task.keep_polarity,
            max_pixels=task.max_pixels,
        )
    mask = check(grow(drawn, task.grow), str(mask_path))
    entry.hole_pixels = int(mask.sum())
    entry.groups = len(groups(mask, NEAR))
    completed = fill_photo(engine, photo.rgb, mask)
    try:
        task.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FinefillError(f"{task.target.parent}: cannot be made: {error.strerror}") from error
    write_photo(photo, completed, mask, task.target)
    with _opened(task.target) as file:
        entry.output_sha256 = _digest(file)
        entry.output_bytes = os.fstat(file.fileno()).st_size


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    try:
        file = open(path, "rb")  # noqa: SIM115  # closed below; errors inside are not ours
    except OSError as error:
        raise FinefillError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        yield file


def _digest(file: io.BufferedReader) -> str:
    """SHA-256 of a file opened for reading, which is at its start again afterwards."""
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return digest


def _entry(task: Task, **values: Any) -> Entry:
    mask = None if task.mask is None else task.mask.as_posix()
    return Entry(
        task.photo,
        mask,
        task.output,
        task.model,
        task.model_sha256,
        keep_polarity=task.keep_polarity,
        grow=task.grow,
        **values,
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS


def _output(batch: Batch, name: str) -> str:
    return os.path.splitext(name)[0] + ".png" if batch.png else name


def _folders(batch: Batch) -> Iterator[_Folder]:
    """The folders with photos, sorted by name, listed one at a time."""
    if batch.photos.is_file():
        name = batch.photos.name
        yield _Folder("", [name] if os.path.splitext(name)[1].lower() in EXTENSIONS else [])
        return
    avoided = {batch.out.resolve(), batch.masks.resolve()}

    def is_avoided(entry: os.DirEntry[str]) -> bool:
        return Path(entry.path).resolve() in avoided

    def visit(path: str) -> Iterator[_Folder]:
        try:
            with os.scandir(batch.photos / path) as listing:
                shown = [entry for entry in listing if not entry.name.startswith(".")]
        except OSError as error:
            yield _Folder(path, [], f"cannot be read: {error.strerror}")
            return
        shown.sort(key=lambda entry: entry.name)
        names = [
            entry.name
            for entry in shown
            # Broken links too: they are reported as photos that cannot be read.
            if _is_image(entry.name)
            and (entry.is_file() or (entry.is_symlink() and not entry.is_dir()))
            and not (entry.name == batch.masks.name and is_avoided(entry))
        ]
        if names:
            yield _Folder(path, names)
        below = [
            entry.name
            for entry in shown
            if entry.is_dir(follow_symlinks=False) and not is_avoided(entry)
        ]
        del shown, names
        for name in below:
            yield from visit(_join(path, name))

    yield from visit("")


def _tasks(plan: Plan, *, clear: bool = False) -> Iterator[Task]:
    """The photos' tasks, sorted; ``clear``: remove what a killed run left in the output folders."""
    batch = plan.batch
    root = batch.photos.parent if batch.photos.is_file() else batch.photos

    def task(photo: str, mask: Path | None, output: str, problem: str) -> Task:
        return Task(
            photo=photo,
            source=root / photo,
            mask=mask,
            output=output,
            target=batch.out / output,
            model=str(plan.engine.card["name"]),
            model_sha256=plan.model_sha256,
            resize_mask=batch.resize_mask,
            keep_polarity=batch.keep_polarity,
            grow=batch.grow,
            max_pixels=batch.max_pixels,
            problem=problem,
        )

    for folder in _folders(batch):
        if folder.problem:
            yield task(folder.path, None, "", folder.problem)
            continue
        if clear:
            _clear_parts(batch.out / folder.path)
        masks: dict[str, list[str]] = {}
        if batch.masks.is_dir():
            masks = _masks_in(batch.masks / folder.path)
        for name in folder.names:
            mask: Path | None = batch.masks
            problem = ""
            if batch.masks.is_dir():
                stem = os.path.splitext(name)[0]
                found = masks.get(stem, [])
                mask = batch.masks / folder.path / found[0] if len(found) == 1 else None
                if not found:
                    wanted = (batch.masks / folder.path / stem).as_posix()
                    problem = f"no mask: {wanted}.* is missing"
                elif len(found) > 1:
                    problem = f"more than one mask: {', '.join(found)}: keep one"
            output = _join(folder.path, _output(batch, name))
            yield task(_join(folder.path, name), mask, output, problem)


def _masks_in(folder: Path) -> dict[str, list[str]]:
    """Stem -> names of the mask files of a folder; none where there is no such folder."""
    found: dict[str, list[str]] = {}
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                if _is_image(entry.name) and not entry.is_dir():
                    found.setdefault(os.path.splitext(entry.name)[0], []).append(entry.name)
    except OSError:
        return {}
    return {stem: sorted(names) for stem, names in found.items()}


def _clear_parts(folder: Path) -> None:
    try:
        with os.scandir(folder) as listing:
            parts = [entry.path for entry in listing if _PART.fullmatch(entry.name)]
    except OSError:  # not there yet
        return
    for part in parts:
        Path(part).unlink(missing_ok=True)


def _state(
    output: str, photo: str, mask: str, model: str, size: int, keep_polarity: bool, grow: int
) -> bytes:
    """A digest of what must be as it was for a photo to be skipped."""
    text = json.dumps([output, photo, mask, model, size, keep_polarity, grow]).encode()
    return hashlib.blake2b(text, digest_size=16).digest()


def _is_done(task: Task, done: Mapping[str, bytes]) -> bool:
    """Whether the same files and model made an output that is there, with its size."""
    state = done.get(task.photo)
    if state is None or task.mask is None:
        return False
    try:
        size = task.target.stat().st_size
        photo, mask = (_sha256_of(path) for path in (task.source, task.mask))
    except OSError:
        return False
    return state == _state(
        task.output, photo, mask, task.model_sha256, size, task.keep_polarity, task.grow
    )


def _sha256_of(path: Path) -> str:
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=16)  # one mask may serve all photos
def _sha256(path: Path, size: int, time_ns: int) -> str:
    with open(path, "rb") as file:
        return _digest(file)


def _steps(plan: Plan, done: Mapping[str, bytes]) -> Iterator[Task | Entry]:
    """What there is to do, and the entries of what there is not."""
    for task in _tasks(plan, clear=True):
        if _is_done(task, done):
            yield _entry(task, result="skipped")
        elif task.problem:
            yield _entry(task, error=task.problem, time=_now())
        else:
            yield task


def _here(
    plan: Plan, steps: Iterator[Task | Entry], stop: threading.Event
) -> Generator[Entry, None, None]:
    """In this process, one after the other."""
    for step in steps:
        if stop.is_set():
            return
        yield step if isinstance(step, Entry) else complete_file(step, plan.engine)


def _spread(
    plan: Plan, steps: Iterator[Task | Entry], jobs: int, stop: threading.Event
) -> Generator[Entry, None, None]:
    """In ``jobs`` processes, twice as many photos handed out as there are processes.

    When a process dies, the pool is lost with all it had in work. Those photos are tried again
    in a new pool, each alone; the one that loses its process then too has failed.
    """
    pool = _Pool(plan.engine.path, jobs)
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
                step = next(steps, None)
                if step is None:
                    more = False
                elif isinstance(step, Entry):
                    yield step
                else:
                    flying[pool.submit(step)] = (step, False)
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
                _clear_parts(folder)
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
                    yield _entry(task, error="its process was killed, or crashed", time=_now())
                else:
                    again.append(task)
    finally:
        pool.close()


class _Pool:
    """Worker processes that keep a model each, and can be had anew."""

    def __init__(self, model: Path, jobs: int) -> None:
        self._model, self._jobs = model, jobs
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
            initargs=(self._model,),
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


def _start_worker(model: Path) -> None:
    global _engine
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _engine = Engine(model, threads=1)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(task: Task) -> Entry:
    assert _engine is not None
    return complete_file(task, _engine)
