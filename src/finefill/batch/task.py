"""One photo: plain data in, plain data out, in any process on any machine that sees the files."""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finefill.batch import holes
from finefill.batch.places import Place, created, digest, opened, size, stamp
from finefill.completion import NEAR, Engine, Fill, Wrap, fill_with_report, groups
from finefill.errors import EmptyMaskError, FinefillError
from finefill.files import MAX_PIXELS, for_network, hidden_of, read_photo, write_photo
from finefill.masks import check, grow

EMPTY = (
    "nothing to complete: its mask is empty, so nothing is written: draw what is to go, or copy "
    "the photo where the output needs it"
)
LEFT = "the output of an earlier run is still there: delete it if it is not wanted"


@dataclass(frozen=True)
class Task:
    """One photo to complete; everything that :func:`complete_file` needs besides the engine.

    Attributes:
        photo: the photo's path below the folder of photos, with slashes.
        source: its file.
        mask: the mask's file, or annotations.
        more_masks: further ones, which add to it.
        output: the completed photo's path below the output folder, with slashes.
        target: its file.
        model: the model's name.
        model_sha256: its file's digest.
        model_file: the name of its file.
        convention: how that is used: see :attr:`finefill.Engine.label`.
        fill: as for :func:`finefill.complete`.
        wrap: as for :func:`finefill.complete`.
        confidence: measure it, by a second run of the network.
        problem: why it cannot be done (no mask, say); empty = nothing known against it.
        warnings: what was noticed when its masks were looked for, in sentences.
        done: what an earlier run did (see :func:`state`); None = it has not done this photo, or
            is not to be trusted.

    The others are as in :class:`finefill.batch.Batch`.
    """

    photo: str
    source: Place
    mask: Place | None
    output: str
    target: Place
    model: str
    model_sha256: str
    resize_mask: bool = False
    keep_polarity: bool = False
    mask_values: tuple[str, ...] = ()
    mask_drawn: str | None = None
    more_masks: tuple[Place, ...] = ()
    labels: tuple[str, ...] = ()
    line_width: float | None = None
    grow: int = 0
    max_pixels: int = MAX_PIXELS
    confidence: bool = False
    problem: str = ""
    warnings: tuple[str, ...] = ()
    done: bytes | None = None
    model_file: str = ""
    convention: str = "finefill"
    fill: Fill = "auto"
    wrap: Wrap | None = None
    strict: bool = False


@dataclass
class Entry:
    """What became of one photo: a line of the manifest. None = not known, it failed before.

    Attributes:
        result: done, failed (see ``error``), empty: nothing was to be completed, or skipped: done
            by an earlier run (not written).
        width: of the upright photo, in pixels, as ``height``.
        hole_pixels: how many were completed.
        groups: of holes that lie close together.
        windows: what the network saw, in the order in which they were filled: top, bottom, left
            and right in pixels of the upright photo, ends excluded, and the scale, at most 1;
            with ``wrap`` a window may end beyond the border, and goes on at the other one.
        fill: what was asked for, as ``wrap``.
        ways: by which way each of the windows was filled: network, regions, plain or specks.
        confidence: 0 to 1, of the window with the lowest; None where it was not measured.
        lacks: those of ``labels`` and ``mask_values`` that its masks do not have.
        seconds: for all of it, reading and writing included.
        time: when it ended, UTC.
        warnings: what should be looked at, in sentences.

    The others are as in :class:`Task`; digests are SHA-256 of the files.
    """

    photo: str
    mask: str | None
    output: str
    model: str
    model_sha256: str
    model_file: str = ""
    convention: str = "finefill"
    photo_sha256: str | None = None
    mask_sha256: str | None = None
    keep_polarity: bool = False
    mask_values: tuple[str, ...] = ()
    mask_drawn: str | None = None
    more_masks: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    line_width: float | None = None
    fill: str = "auto"
    wrap: str | None = None
    grow: int = 0
    output_sha256: str | None = None
    output_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    hole_pixels: int | None = None
    groups: int | None = None
    windows: list[tuple[int, int, int, int, float]] | None = None
    ways: list[str] | None = None
    confidence: float | None = None
    seconds: float | None = None
    time: str = ""
    lacks: list[str] | None = None
    result: str = "failed"
    error: str = ""
    warnings: list[str] = field(default_factory=list)


def complete_file(task: Task, engine: Engine) -> Entry:
    """Complete one photo's file; what goes wrong is told in the entry, never raised.

    The completed file appears whole or not at all. What ``task.done`` says is done is skipped.
    """
    start = time.perf_counter()
    if is_done(task):
        return entry_of(task, result="skipped")
    entry, named = entry_of(task), f"{task.source}: "
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            if task.problem or task.mask is None:
                raise FinefillError(task.problem or "it has no mask")
            found = _complete(task, task.mask, engine, entry, caught)
            entry.result = "done"
        except EmptyMaskError:
            found = [EMPTY]
            if task.strict:
                entry.error = _strictly(EMPTY)
            else:
                entry.result = "empty"
        except UserWarning as warning:  # of a strict task, while it was written
            entry.error = _strictly(str(warning)).removeprefix(named)
        except FinefillError as error:
            # The photo is named by the entry already.
            entry.error = str(error).removeprefix(named)
        except MemoryError:
            entry.error = "not enough memory: use fewer --jobs, or a smaller photo"
        except Exception as error:  # one photo must not end the work on all others
            entry.error = f"unexpected {type(error).__name__}: {error}"
    told = [*task.warnings, *_texts(caught), *found]
    # What it was refused for is told once.
    entry.warnings = [one for one in told if _strictly(one).removeprefix(named) != entry.error]
    if entry.result != "done" and _is_there(task.target):
        entry.warnings.append(LEFT)
    entry.seconds = round(time.perf_counter() - start, 3)
    entry.time = now()
    return entry


def entry_of(task: Task, **values: Any) -> Entry:
    """An entry with what is known before the work."""
    mask = None if task.mask is None else task.mask.as_posix()
    return Entry(
        task.photo,
        mask,
        task.output,
        task.model,
        task.model_sha256,
        task.model_file,
        task.convention,
        keep_polarity=task.keep_polarity,
        mask_values=task.mask_values,
        mask_drawn=task.mask_drawn,
        more_masks=tuple(one.as_posix() for one in task.more_masks),
        labels=task.labels,
        line_width=task.line_width,
        fill=task.fill,
        wrap=task.wrap,
        grow=task.grow,
        **values,
    )


def now() -> str:
    """The time, UTC, for people."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def state(
    output: str,
    photo: str,
    mask: str,
    model: str,
    size: int,
    options: Sequence[object],
    measured: bool,
    warned: bool = False,
) -> bytes:
    """A digest of what must be as it was for a photo to be skipped.

    Args:
        output: the path below the output folder.
        photo: SHA-256 of the file, as ``mask`` and ``model``.
        mask: see there.
        model: see there.
        size: of the output, in bytes.
        options: what of the task decides what is completed, see :func:`options_of`.
        measured: whether the confidence was measured.
        warned: whether there were warnings.
    """
    text = json.dumps([output, photo, mask, model, size, *options, measured, warned]).encode()
    return hashlib.blake2b(text, digest_size=16).digest()


def options_of(values: Mapping[str, Any]) -> list[object]:
    """What of a task, or of a line of the manifest, decides what is completed."""
    drawn = values.get("mask_drawn")
    chosen = list(values.get("mask_values", ()))
    convention = values.get("convention", "finefill")
    fill = values.get("fill", "auto")
    taken = [list(values.get("labels", ())), values.get("line_width"), values.get("wrap")]
    return [values["keep_polarity"], values["grow"], chosen, drawn, convention, fill, *taken]


def is_done(task: Task) -> bool:
    """Whether the same files and model made an output that is there, with its size."""
    if task.done is None or task.mask is None or (task.strict and task.warnings):
        return False
    try:
        there = size(task.target)
        photo = _sha256_of(task.source)
        mask = holes.together([_sha256_of(one) for one in (task.mask, *task.more_masks)])
    except (OSError, FinefillError):
        return False
    return task.done in {
        state(
            task.output, photo, mask, task.model_sha256, there, options_of(vars(task)), measured,
            warned,
        )
        for measured in {True, task.confidence}
        for warned in {False, not task.strict}
    }  # fmt: skip


def _is_there(place: Place) -> bool:
    try:
        size(place)
    except (OSError, FinefillError):
        return False
    return True


def _texts(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(one.message) for one in caught if issubclass(one.category, UserWarning)]


def _strictly(text: str) -> str:
    return f"{text} (--strict: nothing is written)"


def _refuse(task: Task, caught: list[warnings.WarningMessage], *more: str) -> None:
    """Raise the first warning, if the task is strict."""
    if task.strict and (told := [*task.warnings, *_texts(caught), *more]):
        raise FinefillError(_strictly(told[0]))


def _complete(
    task: Task,
    mask_place: Place,
    engine: Engine,
    entry: Entry,
    caught: list[warnings.WarningMessage],
) -> list[str]:
    """Read, complete, write; fills in ``entry`` as it goes, so that a failure keeps what is known.

    The digests are those of the very bytes that are decoded, should a file change meanwhile.
    Returns what the fills are warned of.
    """
    with opened(task.source) as file:
        entry.photo_sha256 = digest(file)
        photo = read_photo(file, max_pixels=task.max_pixels)
    entry.height, entry.width = photo.rgb.shape[:2]
    drawn = holes.read(task, photo, (mask_place, *task.more_masks), entry)
    mask = check(grow(drawn, task.grow, task.wrap), str(mask_place))
    entry.hole_pixels = int(mask.sum())
    entry.groups = len(groups(mask, NEAR))
    photo = for_network(photo, mask)
    _refuse(task, caught)
    report = fill_with_report(
        engine,
        photo.rgb,
        mask,
        measure=task.confidence,
        fill=task.fill,
        wrap=task.wrap,
        hidden=hidden_of(photo),
        overwrite=True,
    )
    boxes = [(one.window.box, one.window.scale) for one in report.filled]
    entry.windows = [
        (box.top, box.bottom, box.left, box.right, round(scale, 4)) for box, scale in boxes
    ]
    entry.ways = [one.way for one in report.filled]
    if report.confidence is not None:
        entry.confidence = round(report.confidence, 4)
    _refuse(task, caught, *report.warnings)
    with created(task.target) as path, warnings.catch_warnings():
        if task.strict:
            warnings.simplefilter("error", UserWarning)
        write_photo(photo, report.rgb, mask, path, overwrite=True)
        with opened(path) as file:
            entry.output_sha256 = digest(file)
            entry.output_bytes = size(path)
    return report.warnings


def _sha256_of(place: Place) -> str:
    return _sha256(place, stamp(place))


@functools.lru_cache(maxsize=16)  # one mask may serve all photos
def _sha256(place: Place, stamp: tuple[object, ...]) -> str:
    with opened(place) as file:
        return digest(file)
