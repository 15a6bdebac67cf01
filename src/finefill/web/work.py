"""One completion, in a worker process: files of a folder in, a file of that folder out.

The server's own process never decodes an image: what a hostile file does to a decoder, it does to
one worker, which is replaced.
"""

from __future__ import annotations

import functools
import io
import os
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from finefill import files, masks
from finefill.completion import MAX_THREADS, Engine, choose, cpus, fill_with_report, names
from finefill.errors import FinefillError, NotAnImageError, OperationError, TooLargeError
from finefill.masks import regions
from finefill.web.orders import IMAGE, Done, Order, Setup, mask_files
from finefill.web.problems import Refused

# Format -> extension and media type of what is written.
KINDS = {
    "JPEG": (".jpg", "image/jpeg"),
    "PNG": (".png", "image/png"),
    "WEBP": (".webp", "image/webp"),
    "TIFF": (".tiff", "image/tiff"),
    "AVIF": (".avif", "image/avif"),
    "HEIF": (".heic", "image/heic"),
    "JXL": (".jxl", "image/jxl"),
    "BMP": (".bmp", "image/bmp"),
    "GIF": (".gif", "image/gif"),
}

# Messages are written for the command line: what stands there -> what a client can do.
_WORDS = {
    "raise it (--max-pixels) if the file can be trusted": "send a smaller one",
    "--resize-mask": "resize_mask=true",
    "--keep-polarity takes": "keep_polarity=true takes",
    "--mask-value": "mask_value",
    "--mask-drawn ": "mask_drawn=",
    "with --grow ": "with grow=",
}
# An error's kind -> the status of the answer; any other is 400.
_STATUS = {TooLargeError: 413, NotAnImageError: 415, OperationError: 500}


class _Named(io.BytesIO):
    """A file that messages call by what it is: the server's paths are nobody's business."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path.read_bytes())
        self.name = name


def run(setup: Setup, order: Order, folder: Path) -> Done:
    """See :func:`finefill.web.calls.complete`."""
    engine = start(setup)[order.model]
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            file, media_type, changed, ways = _complete(engine, order, folder)
    except FinefillError as error:
        status = _STATUS.get(type(error), 400)
        raise Refused(status, _for_client(str(error), folder, engine)) from None
    told = tuple(
        _for_client(str(warning.message), folder, engine)
        for warning in caught
        if issubclass(warning.category, UserWarning)
    )
    if order.strict and told:
        raise Refused(400, f"strict: refused because of: {'; '.join(told)}")
    seconds = time.perf_counter() - begin
    return Done(file, media_type, order.model, changed, seconds, told, ways)


def _complete(engine: Engine, order: Order, folder: Path) -> tuple[str, str, int, tuple[str, ...]]:
    """Write the completed image.

    Returns:
        Its file's name, its media type, the pixels changed, and how its holes were filled.
    """
    limit = order.max_pixels
    photo = files.read_photo(_Named(folder / IMAGE, "the image"), max_pixels=limit)
    size = photo.rgb.shape[:2]
    placing: masks.Placing = {"orientation": photo.orientation, "drawn": order.mask_drawn}

    def mask(number: int, name: str) -> masks.Mask:
        return masks.read_mask(
            _Named(folder / name, "the mask" if order.masks == 1 else f"mask {number}"),
            size,
            resize=order.resize_mask,
            keep_polarity=order.keep_polarity,
            max_pixels=limit,
            values=order.mask_values,
            **placing,
        )

    reads: list[Callable[[], masks.Mask]] = [
        functools.partial(mask, number, name)
        for number, name in enumerate(mask_files(order.masks), 1)
    ]
    for text in order.boxes:
        drawing = functools.partial(regions.box, text)
        reads.append(functools.partial(masks.by_numbers, drawing, size, wrap=order.wrap, **placing))
    hole, empty = masks.union(size, reads)
    outlined = hole  # what is erased has no object's edge
    if order.mask_alpha:
        hole = hole | regions.erased(photo, "the image")
    masks.tell_empty(hole, empty)
    hole = masks.check(masks.grow(hole, order.grow, order.wrap), "the image")
    shown = files.for_network(photo, hole)
    hidden = files.hidden_of(shown)
    outlined = masks.grow(outlined, order.grow, order.wrap)
    if more := masks.too_tight(shown.rgb, outlined if hidden is None else outlined & ~hidden):
        warnings.warn(
            "the mask seems to end at its object's edge, and what it leaves of the object grows "
            f"back: draw it wider, or widen it with grow={order.grow + more}",
            stacklevel=1,
        )
    # A phone's MPO is a JPEG with more pictures after it; what cannot be written becomes PNG.
    stored = {"MPO": "JPEG"}.get(photo.stored.format or "", photo.stored.format or "")
    suffix, media_type = KINDS.get((order.format or stored).upper(), KINDS["PNG"])
    target = folder / f"completed{suffix}"
    report = fill_with_report(
        engine,
        shown.rgb,
        hole,
        fill=order.fill,
        wrap=order.wrap,
        hidden=hidden,
        overwrite=True,
    )
    for text in report.warnings:
        warnings.warn(text, stacklevel=1)
    files.write_photo(shown, report.rgb, hole, target)
    return target.name, media_type, int(np.count_nonzero(hole)), report.ways


def _for_client(text: str, folder: Path, engine: Engine) -> str:
    for place, name in ((f"{folder}{os.sep}", ""), (str(engine.path), "the model")):
        text = text.replace(place, name)
    for ours, theirs in _WORDS.items():
        text = text.replace(ours, theirs)
    return " ".join(text.replace("the mask: the mask", "the mask").split())


def known_formats() -> list[dict[str, Any]]:
    """See :func:`finefill.web.calls.formats`."""
    return [
        {
            "extension": extension,
            "usable": (usable := files.usable(extension)),
            "remedy": "" if usable else files.remedy(extension),
        }
        for extension in files.EXTENSIONS
    ]


@functools.cache
def start(setup: Setup) -> dict[str, Engine]:
    """Make this process a worker, once; returns its engines by name, the default first.

    Raises:
        FinefillError: there is no such model.
    """
    # A terminal's Ctrl-C and a service manager's SIGTERM reach all processes: the server decides
    # what is finished. It may kill, and a worker whose server is gone ends by itself.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Nobody reads what native code prints; a full pipe would stop the worker.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    # ONNX Runtime's Linux packages report to their maker since 1.29, and keep a file for it.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    threads = min(max(1, cpus() // setup.workers), MAX_THREADS)
    engines: dict[str, Engine] = {}
    for chosen in choose(setup.models or names(), setup.conventions):
        engine = chosen.open(threads)
        if (name := engine.card["name"]) in engines:
            raise FinefillError(
                f"{chosen.model}: another model has the name {name!r}: serve one of them, or call "
                f"one another name: --model NAME={chosen.model}"
            )
        engines[name] = engine
    if not engines:
        raise FinefillError("no models are installed: give --model FILE.onnx")
    return engines
