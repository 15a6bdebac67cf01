"""The shipped models: ``models.json`` beside this file names each with its file and SHA-256."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from finefill.completion import convention as conventions
from finefill.completion.convention import Convention, Given
from finefill.completion.engine import Engine, cpus
from finefill.errors import FinefillError
from finefill.files import replacing

FOLDER = Path(__file__).parent
_loading = threading.Lock()


def names(folder: Path = FOLDER) -> list[str]:
    """Names of the models that are installed."""
    return list(_read(folder))


def load(
    model: str | os.PathLike[str],
    convention: Given | None = None,
) -> Engine:
    """The engine of a shipped model or of an .onnx file; one per process, kept.

    Args:
        model: a name of :func:`names`, or the path of a file.
        convention: how to use somebody else's network: ``lama``, ``migan``, the path of a JSON
            file, or a dict with its content; see :class:`finefill.Engine`.

    Raises:
        FinefillError: there is no such model, its file is damaged, or it cannot be used so.
    """
    chosen = None if convention is None else conventions.get(convention)
    with _loading:  # threads that ask for the same engine get the same one
        return _load(os.fspath(model), chosen)


def load_ahead(model: str) -> None:
    """Begin to load a shipped model beside what else there is to do; :func:`load` waits for it.

    What is wrong with it, :func:`load` tells.
    """
    if cpus() > 1 and model in names():  # on one processor nothing is gained

        def work() -> None:
            with contextlib.suppress(FinefillError):
                load(model)

        threading.Thread(target=work).start()


def find(model: str) -> Path:
    """The file of a shipped model, by its name, or the path that was given.

    Raises:
        FinefillError: as :func:`locate`.
    """
    if model in names() or not (Path(model).suffix == ".onnx" or Path(model).exists()):
        return locate(model)
    return Path(model)


class Chosen(NamedTuple):
    """One of several models.

    Attributes:
        name: what to call it; None = as its card or file does.
        model: a name of :func:`names`, or the path of a file.
        convention: how to use it; None = as its file says.
    """

    name: str | None
    model: str
    convention: str | None = None

    @property
    def label(self) -> str:
        """What it is called on the command line."""
        stem = Path(self.model).stem if Path(self.model).suffix == ".onnx" else self.model
        return self.name or stem

    def open(self, threads: int) -> Engine:
        """Its engine.

        Raises:
            FinefillError: there is no such model, or it cannot be used so.
        """
        path = find(self.model)
        return Engine(path, threads=threads, convention=self.convention, name=self.name)


def choose(models: Sequence[str], conventions: Sequence[str] = ()) -> list[Chosen]:
    """Models and conventions as they stand on the command line.

    Args:
        models: ``NAME=FILE`` each, or just a file or a name of :func:`names`.
        conventions: ``NAME=CONVENTION`` each, for the model of that name, or just a convention, for
            all files.

    Raises:
        FinefillError: a name is empty, or belongs to no model.
    """
    chosen = [Chosen(*_named(text)) for text in models]
    for text in conventions:
        name, convention = _named(text)
        here = [
            index
            for index, one in enumerate(chosen)
            if name == one.label or (name is None and one.model not in names())
        ]
        if not here:
            raise FinefillError(
                f"--convention {text}: belongs to no --model: give NAME=CONVENTION, with the name "
                "of a model"
            )
        for index in here:
            chosen[index] = chosen[index]._replace(convention=convention)
    return chosen


def locate(name: str, folder: Path = FOLDER) -> Path:
    """The file of a shipped model, compared with its SHA-256.

    Raises:
        FinefillError: the name is unknown, or the file is missing or not the one listed.
    """
    entries = _read(folder)
    if name not in entries:
        raise FinefillError(
            f"{name}: unknown model: use one of {', '.join(entries) or '(none installed)'}, "
            "or the path of an .onnx file"
        )
    path = folder / str(entries[name]["file"])
    if not path.is_file() or _sha256(path) != entries[name]["sha256"]:
        raise FinefillError(f"{path}: the file of model {name} is damaged: install finefill again")
    return path


def measured(name: str, folder: Path = FOLDER) -> Mapping[str, Mapping[str, float]]:
    """What was measured of a shipped model after its card was written: metrics by test set."""
    found: dict[str, dict[str, float]] = _read(folder).get(name, {}).get("measured", {})
    return found


def register(path: Path, name: str, folder: Path = FOLDER) -> Path:
    """Add an exported model, or replace the one of that name and what was measured of it.

    Returns:
        Its file's new place.

    Raises:
        FinefillError: the file is not a model of ours, or its card has another name.
    """
    card = Engine(path, convention="finefill").card
    if card["name"] != name:
        raise FinefillError(f"{path}: its card names it {card['name']!r}, not {name!r}")
    target = folder / f"{name}.onnx"
    with replacing(target) as file:
        file.write(path.read_bytes())
    entries = _read(folder) | {name: {"file": target.name, "sha256": _sha256(target)}}
    with replacing(folder / "models.json") as file:
        file.write((json.dumps(entries, indent=2) + "\n").encode())
    return target


def _named(text: str) -> tuple[str | None, str]:
    """``NAME=FILE`` -> its parts; what has no name, or is a file's path as it is, has None."""
    name, sign, rest = text.partition("=")
    if not sign or Path(text).is_file():
        return None, text
    if not name.strip() or not rest:
        raise FinefillError(f"{text}: give NAME=FILE, both not empty")
    return name.strip(), rest


@functools.cache
def _load(model: str, convention: Convention | None) -> Engine:
    return Engine(find(model), convention=convention)


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / "models.json"
    if not path.is_file():
        return {}
    entries: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
