"""A whole run, killed or stopped in the middle."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from finefill.batch import read_manifest
from tests.batch.folders import Files, pixels, start, tree


def test_leftovers_of_killed_runs_go(files: Files) -> None:
    files.photo("b/a.png")
    files.mask("b/a.png")
    (files.out / "b").mkdir(parents=True)
    for name in (".a.png.0c1d2e3f.part", ".A.PNG.123.part", ".notes.123.part", ".a.png.part"):
        (files.out / "b" / name).write_bytes(b"x")
    files.run()
    assert sorted(os.listdir(files.out / "b")) == [".a.png.part", ".notes.123.part", "a.png"]


COUNT = 30


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_kill_9_leaves_whole_pictures_and_a_restart_completes(files: Files) -> None:
    files.many(COUNT)
    process = start(files, "--jobs", 2, lines=3)
    process.kill()
    process.communicate(timeout=20)  # the pipes end when the last of its processes has ended
    assert process.returncode == -signal.SIGKILL
    there = sorted(files.out.glob("*.png"))
    assert 3 <= len(there) < COUNT
    for path in there:
        assert pixels(path).shape == (80, 96, 3)
    with open(files.out / "manifest.jsonl", "rb") as file:
        done, _ = read_manifest(file)
    assert set(done) <= {path.name for path in there}
    results = files.results()
    assert sum(result == "skipped" for result in results.values()) == len(done)
    assert sum(result == "done" for result in results.values()) == COUNT - len(done)
    assert len(set(tree(files.out).values())) == 2  # equal pictures, the manifest, nothing else
    assert len(tree(files.out)) == COUNT + 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("jobs", "number"), [(1, signal.SIGTERM), (2, signal.SIGINT)])
def test_a_signal_ends_the_run_in_order(files: Files, jobs: int, number: signal.Signals) -> None:
    files.many(COUNT)
    process = start(files, "--jobs", jobs, lines=2)
    os.killpg(process.pid, number)  # as a terminal does
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "finefill: stopped: the same command goes on from here\n"
    lines = files.lines()
    assert out.startswith(f"done {len(lines)}, skipped 0, failed 0, ")
    assert {line["result"] for line in lines} == {"done"}
    assert 2 <= len(lines) < COUNT
    assert set(tree(files.out)) == {*(line["photo"] for line in lines), "manifest.jsonl"}
