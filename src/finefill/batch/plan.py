"""Which photos there are, which mask is whose, and where the output goes."""

from __future__ import annotations

import os
import threading
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finefill.batch import extras, holes, places
from finefill.batch.manifest import MANIFEST, is_begun, read_done
from finefill.batch.places import Place, Url
from finefill.batch.task import Entry, Task, entry_of, is_done, now
from finefill.completion import Engine, Fill, Wrap, check_fill, check_wrap, load
from finefill.errors import FinefillError
from finefill.files import EXTENSIONS, MAX_PIXELS, PART, decode, remedy, usable

ENGINES = ("local", "ray")
SHOWN = 3  # masks of no photo that are named
# Files that lie beside photographs and that nobody takes for one.
_BESIDE = {
    ".aae", ".csv", ".db", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".pdf", ".thm",
    ".toml", ".txt", ".xml", ".xmp", ".yaml", ".yml", ".zip",
}  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """What to do.

    Attributes:
        photos: folder, searched with all folders below it, or one file. Hidden files and linked
            folders are not looked at, nor are ``out`` and ``masks`` if they lie in it. A path, or
            what :func:`finefill.batch.place` makes of a URL, as ``masks`` and ``out``.
        masks: one mask or file of annotations for all photos, or a folder: there ``sub/a.*``
            belongs to ``sub/a.jpg``.
        out: folder for the completed photos and the manifest; made where missing.
        model: a name that ``finefill models`` lists, or the path of an .onnx file.
        convention: how to use a file of somebody else's; see :func:`finefill.load`.
        jobs: processes; one works without further processes and uses the engine's own threads.
            None = the CPUs, at most 4; with Ray, all CPUs of the cluster.
        resize_mask: scale masks of another shape.
        keep_polarity: take masks that look inverted as they are.
        mask_values: the masks' values or colours to take; empty: what the masks show.
        mask_drawn: on the photos as they are ``shown`` or ``stored``; None: as shown, unless their
            size tells that they were not.
        mask_name: of the files in the folder of masks, see :func:`finefill.batch.holes.look_in`;
            empty: ``a.*``, ``a.jpg.*`` or ``a_mask*.*`` for ``a.jpg``.
        labels: of annotations, to take; empty: all.
        line_width: of lines and points in annotations, in pixels.
        fill: as for :func:`finefill.complete`.
        wrap: as for :func:`finefill.complete`.
        grow: widen the masks by so many pixels on all sides.
        png: write PNG files whatever the photo's format is.
        max_pixels: refuse larger images before decoding them.
        overwrite: complete again what an earlier run has completed; and replace files of a folder
            in which no batch has written yet.
        strict: a photo with warnings fails, and nothing is written for it.
        confidence: measure how sure the fills are, by a second run of the network.
        engine: ``local`` (processes of this machine) or ``ray``.
        address: of a Ray cluster; None = as ``RAY_ADDRESS`` says, or on this machine.
    """

    photos: Place
    masks: Place
    out: Place
    model: str = "places"
    jobs: int | None = None
    resize_mask: bool = False
    keep_polarity: bool = False
    mask_values: tuple[str, ...] = ()
    mask_drawn: str | None = None
    mask_name: str = ""
    labels: tuple[str, ...] = ()
    line_width: float | None = None
    grow: int = 0
    png: bool = False
    max_pixels: int = MAX_PIXELS
    overwrite: bool = False
    confidence: bool = False
    engine: str = "local"
    address: str | None = None
    convention: str | None = None
    fill: Fill = "auto"
    wrap: Wrap | None = None
    strict: bool = False

    @property
    def in_memory(self) -> bool:
        """Whether a place is seen by this process only."""
        return any(
            isinstance(one, Url) and one.protocol == "memory"
            for one in (self.photos, self.masks, self.out)
        )


@dataclass(frozen=True)
class Plan:
    """A checked :class:`Batch`: how many photos it has, and its model.

    Attributes:
        left_out: files that no photo can be of, in a sentence; empty where there are none.
        spare_masks: masks that belong to no photo, in a sentence; empty where there are none.
    """

    batch: Batch
    total: int
    engine: Engine
    model_sha256: str
    left_out: str = ""
    spare_masks: str = ""


def prepare(batch: Batch) -> Plan:
    """Check everything that can be checked before the first photo.

    Raises:
        FinefillError: PHOTOS or the masks are missing, originals could be overwritten, two photos
            would have one output, there are no photos, the model cannot be used, or a library for
            URLs or Ray is missing.
    """
    _check_engine(batch)
    holes.check_pattern(batch.mask_name)
    for place in (batch.photos, batch.masks, batch.out):
        places.check(place)
    try:
        _check_places(batch)
        total, others, spare = _count(batch)
    except OSError as error:  # a storage's names no file
        place = error.filename or batch.photos
        raise FinefillError(f"{place}: cannot be read: {places.reason(error)}") from error
    if spare and batch.strict:
        raise FinefillError(f"{batch.masks}: {spare} (--strict: nothing is written)")
    left_out = _told(others)
    if not total:
        more = f"; {left_out}" if left_out else ""
        raise FinefillError(
            f"{batch.photos}: no photographs (files ending in {' '.join(EXTENSIONS)}){more}"
        )
    engine = load(batch.model, batch.convention)
    check_fill(batch.fill, engine.card)
    check_wrap(batch.wrap)
    return Plan(batch, total, engine, engine.sha256, left_out, spare)


def preview(plan: Plan) -> Iterator[tuple[Task, bool]]:
    """Every task, and whether an earlier run has done it; writes nothing."""
    done = {} if plan.batch.overwrite else read_done(plan.batch.out / MANIFEST)
    for task in _tasks(plan, done):
        yield task, is_done(task)


def steps(plan: Plan, done: Mapping[str, bytes]) -> Iterator[Task | Entry]:
    """What there is to do, sorted, and the entries of what cannot be done.

    Args:
        plan: of :func:`prepare`.
        done: what the manifest says, of :func:`finefill.batch.manifest.read_manifest`.
    """
    for task in _tasks(plan, done, clear=True):
        if task.problem:
            yield entry_of(task, error=task.problem, time=now(), warnings=list(task.warnings))
        else:
            yield task


def take(
    steps: Iterator[Task | Entry], count: int, stop: threading.Event
) -> Generator[Entry, None, tuple[list[Task], bool]]:
    """The next tasks of :func:`steps`; the entries between them are passed on.

    Args:
        steps: what there is to do.
        count: how many tasks at most.
        stop: when set, no more are taken.

    Returns:
        The tasks, and whether there may be more of them.
    """
    tasks: list[Task] = []
    while len(tasks) < count and not stop.is_set():
        step = next(steps, None)
        if step is None:
            return tasks, False
        if isinstance(step, Entry):
            yield step
        else:
            tasks.append(step)
    return tasks, True


def clear_parts(folder: Place, only: str = "") -> None:
    """Remove from an output folder what killed processes left behind, of one picture or of all."""
    if isinstance(folder, Url):
        return
    try:
        with os.scandir(folder) as listing:
            found = [(entry.path, PART.fullmatch(entry.name)) for entry in listing]
            pictures = [(path, part["name"]) for path, part in found if part]
            parts = [path for path, of in pictures if _is_image(of) and only in ("", of)]
    except OSError:  # not there yet
        return
    for part in parts:
        Path(part).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Folder:
    """A folder's photos: its path below PHOTOS, their names, or why it cannot be listed.

    ``others`` are the extensions of the files that are left out, but for those of ``_BESIDE``.
    """

    path: str
    names: list[str]
    problem: str = ""
    others: tuple[str, ...] = ()


def _check_engine(batch: Batch) -> None:
    if batch.engine not in ENGINES:
        raise FinefillError(f"{batch.engine}: unknown engine: use one of {', '.join(ENGINES)}")
    if batch.engine == "ray":
        extras.ray()
    elif batch.address is not None:
        raise FinefillError(f"--address {batch.address}: is for --engine ray only")
    if batch.in_memory and (batch.engine == "ray" or batch.jobs not in (None, 1)):
        raise FinefillError(
            "memory:// is seen by one process only: use --jobs 1 and the local engine"
        )


def _check_places(batch: Batch) -> None:
    for place in (batch.photos, batch.masks):
        if not places.exists(place):
            raise FinefillError(f"{place}: no such file or folder")
    if places.exists(batch.out) and not places.is_dir(batch.out):
        raise FinefillError(f"{batch.out}: is a file: give a folder for the completed photos")
    for source in (batch.photos, batch.masks):
        if places.is_within(source, batch.out):
            raise FinefillError(
                f"{batch.out}: holds the photos or the masks, which could be overwritten: "
                "choose another folder for the output"
            )
    if places.is_within(batch.out, batch.masks):
        raise FinefillError(
            f"{batch.out}: lies among the masks and would be searched for masks: "
            "choose another folder for the output"
        )
    if places.key(batch.photos) == places.key(batch.masks):
        raise FinefillError(
            f"{batch.masks}: is PHOTOS too: keep the masks in a folder of their own"
        )
    if places.is_file(batch.masks) and not holes.is_annotation(batch.masks):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # told again with every photo
            with places.opened(batch.masks) as file:
                decode(file, max_pixels=batch.max_pixels, cut=True)


def _count(batch: Batch) -> tuple[int, Counter[str], str]:
    """What a walk through the photos and their masks finds.

    No two photos may have one output, and none may replace what is no batch's.

    Returns:
        The photos and the folders that cannot be listed; the extensions of what is left out; and
        in a sentence the masks of no photo.
    """
    total, others, spare = 0, Counter[str](), _Spare(batch)
    foreign = not batch.overwrite and places.exists(batch.out) and not is_begun(batch.out)
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
        for path in [_join(folder.path, name) for name in outputs] if foreign else ():
            if places.exists(batch.out / path):
                raise FinefillError(
                    f"{batch.out / path}: is no batch's, as there is no {MANIFEST}, and would be "
                    "replaced: choose another folder for the output, or --overwrite"
                )
        total += len(folder.names) + bool(folder.problem)
        others.update(folder.others)
        if not folder.problem:
            spare.look(folder.path, folder.names)
    return total, others, spare.told()


class _Spare:
    """Masks that belong to no photo: how many, and the first names."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        # One photo of many, or one mask for all: the others are not missed.
        self._wanted = places.is_dir(batch.masks) and not places.is_file(batch.photos)
        self._seen: dict[str, list[str]] = {}
        self._count = 0
        self._first: list[str] = []

    def look(self, path: str, photos: Sequence[str]) -> None:
        """Into the folder of masks for a folder of photos."""
        if not self._wanted:
            return
        found = holes.look_in(self._batch.masks / path, photos, self._batch.mask_name)
        self._seen[path] = found.folders
        self._count += len(found.spare)
        self._first += [_join(path, name) for name in found.spare[: SHOWN - len(self._first)]]

    def told(self) -> str:
        """Look into the folders that have no photos too; all in a sentence."""
        if not self._wanted:
            return ""
        paths = [""]
        while paths:
            path = paths.pop()
            if path and places.key(self._batch.masks / path) == places.key(self._batch.photos):
                continue
            if path not in self._seen:
                self.look(path, [])
            paths += [_join(path, name) for name in self._seen[path]]
        if not self._count:
            return ""
        more = f" and {self._count - SHOWN:,} more" if self._count > SHOWN else ""
        files = (
            "file among the masks belongs" if self._count == 1 else "files among the masks belong"
        )
        return (
            f"{self._count:,} {files} to no photo: {', '.join(self._first)}{more}: give them "
            "their photos' names, or say by --mask-name how they are called"
        )


def _told(others: Counter[str]) -> str:
    """What is left out, in a sentence, with what would change that."""
    if not (count := others.total()):
        return ""
    kinds = ", ".join(f"{kind or 'no extension'} {others[kind]}" for kind in sorted(others))
    files = "file of another kind was" if count == 1 else "files of other kinds were"
    remedies = "; ".join(dict.fromkeys(filter(None, map(remedy, sorted(others)))))
    return f"{count:,} {files} left out ({kinds})" + (f": {remedies}" if remedies else "")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _is_image(name: str) -> bool:
    return not name.startswith(".") and usable(os.path.splitext(name)[1])


def _extension(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _output(batch: Batch, name: str) -> str:
    return os.path.splitext(name)[0] + ".png" if batch.png else name


def _folders(batch: Batch) -> Iterator[_Folder]:
    """The folders with photos, sorted by name, listed one at a time."""
    if places.is_file(batch.photos):
        name = batch.photos.name
        taken = usable(_extension(name))
        yield _Folder("", [name] if taken else [], others=() if taken else (_extension(name),))
        return
    avoided = {places.key(batch.out), places.key(batch.masks)}

    def is_avoided(path: str, name: str) -> bool:
        return places.key(batch.photos / _join(path, name)) in avoided

    def visit(path: str) -> Iterator[_Folder]:
        try:
            items = places.listing(batch.photos / path)
        except OSError as error:
            yield _Folder(path, [], f"cannot be read: {places.reason(error)}")
            return
        items = [item for item in items if not item.name.startswith(".")]
        names = [
            item.name
            for item in items
            # Broken links too: they are reported as photos that cannot be read.
            if _is_image(item.name)
            and (item.file or item.link)
            and not (item.name == batch.masks.name and is_avoided(path, item.name))
        ]
        others = tuple(
            _extension(item.name)
            for item in items
            if item.file and not _is_image(item.name) and _extension(item.name) not in _BESIDE
        )
        if names or others:
            yield _Folder(path, names, others=others)
        below = [item.name for item in items if item.folder and not is_avoided(path, item.name)]
        del items, names, others
        for name in below:
            yield from visit(_join(path, name))

    yield from visit("")


def _tasks(plan: Plan, done: Mapping[str, bytes], *, clear: bool = False) -> Iterator[Task]:
    """The photos' tasks, sorted; ``clear``: remove what a killed run left in the output folders."""
    batch = plan.batch
    root = batch.photos.parent if places.is_file(batch.photos) else batch.photos
    many_masks = places.is_dir(batch.masks)

    def task(
        photo: str, masks: list[Place], output: str, problem: str, told: tuple[str, ...] = ()
    ) -> Task:
        return Task(
            photo=photo,
            source=root / photo,
            mask=masks[0] if masks else None,
            more_masks=tuple(masks[1:]),
            labels=batch.labels,
            line_width=batch.line_width,
            output=output,
            target=batch.out / output,
            model=str(plan.engine.card["name"]),
            model_sha256=plan.model_sha256,
            model_file=plan.engine.path.name,
            convention=plan.engine.label,
            resize_mask=batch.resize_mask,
            keep_polarity=batch.keep_polarity,
            mask_values=batch.mask_values,
            mask_drawn=batch.mask_drawn,
            fill=batch.fill,
            wrap=batch.wrap,
            strict=batch.strict,
            grow=batch.grow,
            max_pixels=batch.max_pixels,
            confidence=batch.confidence,
            problem=problem,
            warnings=told,
            done=done.get(photo),
        )

    for folder in _folders(batch):
        if folder.problem:
            yield task(folder.path, [], "", folder.problem)
            continue
        if clear:
            clear_parts(batch.out / folder.path)
        below = batch.masks / folder.path
        found = holes.look_in(below, folder.names, batch.mask_name).masks if many_masks else {}
        for name in folder.names:
            masks, problem = [batch.masks], ""
            told: tuple[str, ...] = ()
            if many_masks:
                matched = found[name]
                masks = [below / one for one in matched.names]
                problem, told = matched.problem, matched.warnings
            output = _join(folder.path, _output(batch, name))
            yield task(_join(folder.path, name), masks, output, problem, told)
