"""Where files lie: in a folder of this machine, or in a storage that fsspec reaches by URL.

A place is a ``Path`` or a :class:`Url`; the functions here do the same with both. What goes wrong
is a FinefillError that names the place. fsspec (extra ``cluster``) is imported when a URL is used;
``s3://`` needs s3fs too, ``gs://`` gcsfs, and so on. Keys and options of a storage are read from
where these libraries look for them: the environment, or fsspec's configuration files.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from finefill.errors import FinefillError

# Protocols by which an object is there whole or not at all, and needs no folder; elsewhere it is
# renamed when whole.
WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "memory"}


@dataclass(frozen=True)
class Url:
    """A file or folder: protocol and path, without a slash at its end."""

    protocol: str
    path: str

    def __str__(self) -> str:
        return f"{self.protocol}://{self.path}"

    def __truediv__(self, path: str) -> Url:
        below = path.strip("/")
        return Url(self.protocol, f"{self.path}/{below}") if below else self

    @property
    def name(self) -> str:
        """The last part."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> Url:
        """The folder it lies in."""
        return Url(self.protocol, self.path.rpartition("/")[0])

    def as_posix(self) -> str:
        """As ``Path`` has it."""
        return str(self)


Place = Path | Url


@dataclass(frozen=True)
class Item:
    """What a folder holds: its name; whether it is a file, a folder to look into, or a link."""

    name: str
    file: bool
    folder: bool
    link: bool = False


class _Fetched(io.BytesIO):
    """A file's bytes with the name that messages call it by."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def place(text: str | Path) -> Place:
    """What a command line's argument means: a URL has ``://``; ``file://`` is a path."""
    if isinstance(text, Path):
        return text
    protocol, found, path = text.partition("://")
    if not found:
        return Path(text)
    if protocol in ("file", "local"):
        return Path(path)
    return Url(protocol, path.rstrip("/"))


def key(place: Place) -> tuple[str, ...]:
    """Parts that are equal for equal places, whatever they are called."""
    if isinstance(place, Path):
        return ("", *place.resolve().parts)
    return (place.protocol, *(part for part in place.path.split("/") if part))


def is_within(place: Place, folder: Place) -> bool:
    """Whether a place is ``folder``, or below it."""
    parts = key(folder)
    return key(place)[: len(parts)] == parts


def exists(place: Place) -> bool:
    """Whether there is a file or a folder."""
    return place.exists() if isinstance(place, Path) else bool(_call(place, "exists"))


def is_dir(place: Place) -> bool:
    """Whether it is a folder."""
    return place.is_dir() if isinstance(place, Path) else bool(_call(place, "isdir"))


def is_file(place: Place) -> bool:
    """Whether it is a file."""
    return place.is_file() if isinstance(place, Path) else bool(_call(place, "isfile"))


def listing(place: Place) -> list[Item]:
    """What a folder holds, sorted by name.

    Raises:
        OSError: it is not there or cannot be listed.
    """
    if isinstance(place, Path):
        with os.scandir(place) as entries:
            items = [
                Item(
                    entry.name,
                    entry.is_file(),
                    entry.is_dir(follow_symlinks=False),
                    entry.is_symlink() and not entry.is_dir(),
                )
                for entry in entries
            ]
    else:
        items = []
        for info in _call(place, "ls", detail=True):
            found = Url(place.protocol, info["name"].rstrip("/"))
            if key(found) != key(place):  # some storages list a folder's own empty object in it
                kind = info["type"]
                items.append(Item(found.name, kind == "file", kind == "directory"))
    return sorted(items, key=lambda item: item.name)


@contextlib.contextmanager
def opened(place: Place) -> Iterator[IO[bytes]]:
    """A file to read, at its start; one of a storage is fetched whole, in one request.

    Raises:
        FinefillError: it cannot be read.
    """
    try:
        if isinstance(place, Path):
            file: IO[bytes] = open(place, "rb")  # noqa: SIM115  # closed below
        else:
            file = _Fetched(_call(place, "cat_file"), str(place))
    except OSError as error:
        raise FinefillError(f"{place}: cannot be read: {reason(error)}") from error
    with file:
        yield file


@contextlib.contextmanager
def created(place: Place) -> Iterator[Path]:
    """A path: the file that the block writes there is at ``place`` when the block ends well.

    Whoever writes to the path renames the file over it when it is whole, as ``write_photo`` does.

    Raises:
        FinefillError: the folder cannot be made, or the file cannot be written.
    """
    if isinstance(place, Path):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FinefillError(f"{place.parent}: cannot be made: {error.strerror}") from error
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="finefill-") as folder:
        path = Path(folder, place.name)
        try:
            yield path
        except FinefillError as error:
            raise FinefillError(str(error).replace(str(path), str(place))) from error
        send(path, place)


def send(path: Path, url: Url) -> None:
    """Copy a file into a storage, where it appears whole or not at all.

    Raises:
        FinefillError: it cannot be written.
    """
    try:
        if url.protocol in WHOLE:
            _call(url, "put_file", source=os.fspath(path))
        else:
            # One name for all tries: what a killed one left is overwritten by the next.
            part = url.parent / f".{url.name}.part"
            _call(url.parent, "makedirs", exist_ok=True)
            _call(part, "put_file", source=os.fspath(path))
            _call(part, "mv", to=url)
    except OSError as error:
        raise FinefillError(
            f"{url}: cannot be written: {reason(error)}: choose another output"
        ) from error


def remove(url: Url) -> None:
    """Remove a file.

    Raises:
        OSError: it cannot be removed.
    """
    _call(url, "rm_file")


def size(place: Place) -> int:
    """Of a file, in bytes.

    Raises:
        OSError: it is not there.
    """
    if isinstance(place, Path):
        return place.stat().st_size
    return int(_call(place, "size"))


def stamp(place: Place) -> tuple[object, ...]:
    """What changes when a file does: its size and its time or tag.

    Raises:
        OSError: it is not there.
    """
    if isinstance(place, Path):
        stat = place.stat()
        return stat.st_size, stat.st_mtime_ns
    info = _call(place, "info")
    names = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")
    return info.get("size"), *(str(info.get(name)) for name in names)


def digest(file: IO[bytes]) -> str:
    """SHA-256 of an opened file, which is at its start again afterwards."""
    file.seek(0)
    found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # has both ways
    file.seek(0)
    return found


def reason(error: OSError) -> str:
    """What the system says, in words."""
    return error.strerror or str(error) or type(error).__name__


def check(place: Place) -> None:
    """Make sure that the library for a place is there.

    Raises:
        FinefillError: it is not; the message names what to install.
    """
    if isinstance(place, Url):
        _system(place)


def _system(url: Url) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise FinefillError(
            f"{url}: URLs need fsspec ({error}): pip install 'finefill[cluster]'"
        ) from error
    try:
        system, path = url_to_fs(str(url))
    except (ImportError, ValueError) as error:  # no library for this protocol, or no such protocol
        raise FinefillError(f"{url}: {str(error).rstrip('.')}") from error
    except Exception as error:  # no keys, no such host: each library has classes of its own
        raise FinefillError(f"{url}: cannot be reached: {error}") from error
    return system, path


def _call(url: Url, method: str, *, to: Url | None = None, source: str = "", **options: Any) -> Any:
    """Call a method of fsspec on a URL's path; all that it raises becomes OSError."""
    system, path = _system(url)
    arguments = [source, path] if source else [path, *([_system(to)[1]] if to else [])]
    try:
        if method == "ls":
            system.invalidate_cache(path)
        found = getattr(system, method)(*arguments, **options)
        if method == "ls":
            system.invalidate_cache(path)  # or it would keep the names of a million photos
        return found
    except FileNotFoundError as error:
        raise FileNotFoundError(2, os.strerror(2)) from error
    except OSError as error:
        raise OSError(error.errno or 0, reason(error)) from error
    except Exception as error:  # of the storage's own library
        raise OSError(0, f"{type(error).__name__}: {error}") from error
