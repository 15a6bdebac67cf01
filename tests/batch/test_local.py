"""Processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading

import pytest

from finefill import Engine, FinefillError, batch
from finefill.batch import Entry, Task, complete_file, local, prepare
from tests.batch.folders import Files, tree


def test_two_processes_write_the_same_as_one(files: Files) -> None:
    for number in range(5):
        files.photo(f"{number % 2}/{number}.jpg", 30 * number)
        files.mask(f"{number % 2}/{number}.png", number)
    (files.photos / "bad.png").write_text("no image")
    files.mask("bad.png")
    alone = files.results()
    assert sorted(alone.values()) == ["done"] * 5 + ["failed"]
    first, lines = tree(files.out), {line["photo"]: line for line in files.lines()}
    shutil.rmtree(files.out)
    assert files.results(jobs=2) == alone
    second = tree(files.out)
    changing = {"manifest.jsonl"}
    assert {name: second[name] for name in second.keys() - changing} == {
        name: first[name] for name in first.keys() - changing
    }
    for line in files.lines():
        for name in ("seconds", "time"):
            line[name] = lines[line["photo"]][name]
        assert line == lines[line["photo"]]
    assert multiprocessing.active_children() == []


def _die_on_poison(task: Task) -> Entry:
    """The work of a process, which one photo kills."""
    if "poison" in task.photo:
        os._exit(9)
    return complete_file(task, Engine(os.environ["TEST_MODEL"], threads=1))


def test_a_photo_that_kills_its_process_fails_alone(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.many(5)
    files.photo("p001-poison.png")
    files.mask("p001-poison.png")
    monkeypatch.setenv("TEST_MODEL", str(files.model))
    monkeypatch.setattr(local, "_work", _die_on_poison)
    entries = files.run(jobs=2)
    assert len(entries) == 6
    failed = entries.pop("p001-poison.png")
    assert (failed.result, failed.error) == ("failed", "its process was killed, or crashed")
    assert {entry.result for entry in entries.values()} == {"done"}


def test_processes_that_always_die_end_the_run(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        files.photo(f"poison{number}.png")
    monkeypatch.setattr(local, "MAX_DEATHS", 2)
    monkeypatch.setattr(local, "_work", _die_on_poison)
    with pytest.raises(FinefillError, match="2 worker processes died"):
        files.run(masks=files.mask("m.png"), jobs=2)


def test_stopping_finishes_what_is_in_work(files: Files) -> None:
    files.many(4)
    stop = threading.Event()
    entries = []
    for entry in batch.run(prepare(files.batch()), stop):
        entries.append(entry.photo)
        if len(entries) == 2:
            stop.set()
    assert entries == ["p000.png", "p001.png"]
    assert [line["photo"] for line in files.lines()] == entries
