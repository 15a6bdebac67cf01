"""The manifest of an output folder: a line of JSON for each finished photo.

In a folder of this machine every line is appended as soon as its picture is written. Objects of a
storage cannot be appended to: there the lines go into numbered pieces beside the manifest, which
become one manifest when the run ends, or when the next one begins.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Protocol

from finefill.batch import places
from finefill.batch.places import Place, Url
from finefill.batch.task import Entry, options_of, state
from finefill.errors import FinefillError

MANIFEST = "manifest.jsonl"
# A piece is written when it has so many lines or so many seconds have passed: what a killed run
# had not written is done again.
PIECE_LINES = 1000
PIECE_SECONDS = 10.0


class Manifest(Protocol):
    """Opened for writing; ``done`` is what it said before, see :func:`read_manifest`."""

    done: dict[str, bytes]

    def add(self, entry: Entry) -> None:
        """Write a line."""

    def close(self) -> None:
        """Write what is not written yet."""


def open_manifest(out: Place) -> Manifest:
    """The manifest of an output folder, which is made where missing.

    Raises:
        FinefillError: it cannot be written, or another run writes there (which is noticed in
            folders only, not in a storage).
    """
    return _Pieces(out) if isinstance(out, Url) else _Lines(out)


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
    return done, _read_into(done, file)


def read_done(manifest: Place) -> dict[str, bytes]:
    """The first of :func:`read_manifest`, pieces included; empty where there is no manifest.

    Raises:
        FinefillError: it cannot be read.
    """
    done: dict[str, bytes] = {}
    for part in [manifest, *(_pieces_of(manifest) if isinstance(manifest, Url) else [])]:
        if places.exists(part):
            with places.opened(part) as file:
                _read_into(done, file)
    return done


def is_begun(out: Place) -> bool:
    """Whether an output folder has a manifest, or pieces of one."""
    manifest = out / MANIFEST
    return places.exists(manifest) or bool(isinstance(manifest, Url) and _pieces_of(manifest))


class _Lines:
    """A manifest in a folder of this machine."""

    def __init__(self, out: Path) -> None:
        self.path = out / MANIFEST
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")  # noqa: SIM115  # closed by close()
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            _lock(self._file, self.path)
            self._file.seek(0)
            self.done, length = read_manifest(self._file)
            self._file.truncate(length)
        except OSError as error:
            self.close()
            raise _unwritable(self.path, error) from error
        except BaseException:
            self.close()
            raise

    def add(self, entry: Entry) -> None:
        try:
            self._file.write(_line(entry))
            self._file.flush()
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it may want to flush what could not be written
            self._file.close()


class _Pieces:
    """A manifest in a storage."""

    def __init__(self, out: Url) -> None:
        self.url = out / MANIFEST
        self.done = read_done(self.url)
        self._merge()
        self._waiting: list[bytes] = []
        self._written = 0
        self._since = time.monotonic()

    def add(self, entry: Entry) -> None:
        self._waiting.append(_line(entry))
        if len(self._waiting) >= PIECE_LINES or time.monotonic() - self._since >= PIECE_SECONDS:
            self._write()

    def close(self) -> None:
        self._write()
        self._merge()

    def _write(self) -> None:
        if self._waiting:
            name = f"{MANIFEST}.{self._written:06}"
            with places.created(self.url.parent / name) as path:
                path.write_bytes(b"".join(self._waiting))
            self._written += 1
            self._waiting.clear()
        self._since = time.monotonic()

    def _merge(self) -> None:
        """Make one file of the manifest and its pieces."""
        pieces = _pieces_of(self.url)
        if not pieces:
            return
        parts = [self.url, *pieces] if places.exists(self.url) else pieces
        with tempfile.TemporaryDirectory(prefix="finefill-") as folder:
            whole = Path(folder, MANIFEST)
            with open(whole, "wb") as file:
                for part in parts:
                    with places.opened(part) as content:
                        shutil.copyfileobj(content, file)
            places.send(whole, self.url)
        for piece in pieces:
            try:
                places.remove(piece)
            except OSError as error:
                raise _unwritable(piece, error) from error


def _pieces_of(manifest: Url) -> list[Url]:
    try:
        items = places.listing(manifest.parent)
    except OSError:  # no folder yet
        return []
    start = f"{MANIFEST}."
    return [
        manifest.parent / item.name
        for item in items
        if item.name.startswith(start) and item.name.removeprefix(start).isdigit()
    ]


def _read_into(done: dict[str, bytes], file: IO[bytes]) -> int:
    """Add what a manifest says; returns the length of its whole lines."""
    length = 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        length += len(line)
        try:
            entry = json.loads(line)
            done.pop(entry["photo"], None)
            if entry["result"] == "done":
                done[entry["photo"]] = state(
                    entry["output"],
                    entry["photo_sha256"],
                    entry["mask_sha256"],
                    entry["model_sha256"],
                    entry["output_bytes"],
                    options_of(entry),
                    entry.get("confidence") is not None,
                    bool(entry.get("warnings")),
                )
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return length


def _line(entry: Entry) -> bytes:
    return json.dumps(asdict(entry)).encode() + b"\n"


def _unwritable(place: Place, error: OSError) -> FinefillError:
    return FinefillError(
        f"{place}: cannot be written: {places.reason(error)}: choose another output folder"
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
