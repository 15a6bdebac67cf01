"""``finefill batch``: completing folders of photographs."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

import click

from finefill.cli import options
from finefill.cli.models import tell

if TYPE_CHECKING:
    from finefill.batch import Entry, Place, Plan
    from finefill.completion import Fill, Wrap

TOTALS = ("done", "skipped", "failed", "empty", "warnings")
SHOWN = 1000  # failures and warnings listed at the end; the manifest has all


def _place(context: click.Context, parameter: click.Parameter, value: str) -> Place:
    """A path, or the URL of a folder or file in a storage."""
    from finefill.batch import place

    return place(value)


@click.command()
@click.argument("photos", callback=_place)
@click.option(
    "--masks",
    required=True,
    callback=_place,
    help="Folder in which sub/a.* is the mask of sub/a.jpg, or one mask for all photos. "
    "Annotations (.json, .xml, .txt, .csv) are masks too.",
)
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    callback=_place,
    help="Folder for the completed photos and manifest.jsonl.",
)
@options.model
@options.convention
@options.fill
@options.wrap
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    help="Processes.  [default: the CPUs, at most 4; with Ray on a cluster, all]",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Work on this machine, or on a Ray cluster.",
)
@click.option(
    "--address",
    default=None,
    help="Of the Ray cluster.  [default: RAY_ADDRESS, or else Ray on this machine]",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be done.")
@click.option("--resize-mask", is_flag=True, help="Scale masks of another shape.")
@click.option("--keep-polarity", is_flag=True, help="Take masks that look inverted as they are.")
@click.option(
    "--mask-name",
    multiple=True,
    callback=options.once,
    metavar="PATTERN",
    help="Names of the masks, with {stem} or {name} for the photo's and * for anything; several "
    "add up.  [default: a.*, a.jpg.* or a_mask*.* for a.jpg]",
)
@options.labels()
@options.line_width()
@options.mask_value("the masks")
@options.mask_drawn(
    "Whether masks lie on the photos as shown, upright, or as stored, before their EXIF "
    "orientation turns them."
)
@options.grow("the masks")
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["keep", "png"]),
    default="keep",
    show_default=True,
    help="Write each photo in its own format, or all as PNG.",
)
@options.max_pixels
@click.option(
    "--confidence", is_flag=True, help="Measure how sure the fills are: runs the network twice."
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Complete again what is done already, and replace files that no batch has written.",
)
@options.strict("A photo with warnings fails: nothing is written for it.")
@click.pass_context
def batch(
    context: click.Context,
    photos: Place,
    masks: Place,
    out: Place,
    model: str,
    convention: str | None,
    fill: Fill,
    wrap: Wrap | None,
    jobs: int | None,
    engine: str,
    address: str | None,
    dry_run: bool,
    resize_mask: bool,
    keep_polarity: bool,
    mask_name: str,
    labels: tuple[str, ...],
    line_width: float | None,
    values: tuple[str, ...],
    drawn: str | None,
    grow: int,
    fmt: str,
    max_pixels: int,
    confidence: bool,
    overwrite: bool,
    strict: bool,
) -> None:
    """Complete all photographs in the folder PHOTOS and the folders below it.

    Folders and files may be URLs such as s3://bucket/photos.

    Call it again to go on after an interruption: what is done is skipped unless the photo, its
    mask or the model has changed. A photo that fails does not stop the others; the exit code is
    then 1.
    """
    from finefill.batch import Batch, prepare

    plan = prepare(
        Batch(
            photos,
            masks,
            out,
            model,
            jobs,
            resize_mask=resize_mask,
            keep_polarity=keep_polarity,
            mask_name=mask_name,
            labels=labels,
            line_width=line_width,
            mask_values=values,
            mask_drawn=drawn,
            grow=grow,
            png=fmt == "png",
            max_pixels=max_pixels,
            overwrite=overwrite,
            confidence=confidence,
            engine=engine,
            address=address,
            convention=convention,
            fill=fill,
            wrap=wrap,
            strict=strict,
        )
    )
    tell(plan.engine)
    context.exit(_list(plan) if dry_run else _run(plan))


def _list(plan: Plan) -> int:
    """Print what would be done; returns the exit code."""
    from finefill.batch import preview

    count: Counter[str] = Counter()
    for task, done in preview(plan):
        photo = click.format_filename(task.photo)
        if task.problem:
            count["problems"] += 1
            click.echo(f"{photo}: {_line(task.problem)}")
        elif done:
            count["skip"] += 1
            click.echo(f"{photo}: done already")
        else:
            count["do"] += 1
            masks = [task.mask, *task.more_masks]
            names = " + ".join(click.format_filename(str(path)) for path in masks)
            click.echo(f"{photo} + {names} -> {click.format_filename(str(task.target))}")
        for text in task.warnings:
            click.echo(f"{photo}: warning: {_line(text)}", err=True)
    _tell_left_out(plan)
    click.echo(f"to do {count['do']}, to skip {count['skip']}, problems {count['problems']}")
    return 1 if count["problems"] else 0


def _run(plan: Plan) -> int:
    """Complete the photos; returns the exit code."""
    from finefill.batch import MANIFEST, run

    count: Counter[str] = Counter()
    notes: list[str] = []
    more = 0
    start = time.monotonic()

    def rate() -> str:
        return f"{count['done'] / max(time.monotonic() - start, 1e-3):.1f} photos/s"

    try:
        with _stopping() as stop, _progress(plan.total) as advance:
            for entry in run(plan, stop):
                count[entry.result] += 1
                count["warnings"] += len(entry.warnings)
                for text in _notes(entry):
                    if len(notes) < SHOWN:
                        notes.append(f"{click.format_filename(entry.photo)}: {_line(text)}")
                    else:
                        more += 1
                advance(rate())
    finally:
        for note in notes:
            click.echo(note, err=True)
        if more:
            click.echo(f"and {more} more: see {plan.batch.out / MANIFEST}", err=True)
        _tell_left_out(plan)
        shown = [name for name in TOTALS if name != "empty" or count[name]]
        totals = ", ".join(f"{name} {count[name]}" for name in shown)
        click.echo(f"{totals}, {rate()}" if count["done"] else totals)
    if stop.is_set():
        click.echo("finefill: stopped: the same command goes on from here", err=True)
        return 130
    return 1 if count["failed"] else 0


def _tell_left_out(plan: Plan) -> None:
    if plan.left_out:
        click.echo(f"finefill: {_line(plan.left_out)}", err=True)
    if plan.spare_masks:
        click.echo(f"finefill: warning: {_line(plan.spare_masks)}", err=True)


def _notes(entry: Entry) -> list[str]:
    """What there is to tell about a photo."""
    notes = [f"warning: {text}" for text in entry.warnings]
    if notes and entry.confidence is not None and entry.windows is not None:
        notes.append(
            f"confidence: {entry.confidence:.2f}, the lowest of {len(entry.windows)} windows"
        )
    return [*notes, entry.error] if entry.error else notes


def _line(text: str) -> str:
    return " ".join(text.split())


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; a second one ends the process at once."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield stop
    finally:
        for number, old in zip(numbers, before, strict=True):
            signal.signal(number, old)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr where that is a terminal; what is yielded moves it on by one photo."""
    if not sys.stderr.isatty():
        yield lambda rate: None
        return
    with click.progressbar(
        length=total, file=sys.stderr, show_pos=True, item_show_func=lambda rate: rate
    ) as bar:
        yield lambda rate: bar.update(1, rate)
