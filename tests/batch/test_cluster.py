"""The same work on a real Ray with two workers on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finefill import FinefillError, batch
from finefill.batch import Batch, Entry, Task, prepare
from finefill.batch.places import place
from tests.batch.folders import Files, pictures, start, told
from tests.cli.test_models import with_weights_beside
from tests.completion.test_convention import PLAIN
from tests.networks import copy_known_mean


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that fsspec reaches as the storage ``dir://``, by what the environment says."""
    folder = tmp_path_factory.mktemp("shared")
    os.environ.update({"FSSPEC_DIR_PATH": str(folder), "FSSPEC_DIR_TARGET_PROTOCOL": "file"})
    return folder


@pytest.fixture(scope="module")
def cluster(shared: Path) -> Iterator[Any]:
    """A Ray with two CPUs; its processes end with the module."""
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'finefill[cluster]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    before = signal.getsignal(signal.SIGTERM)
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        logging_level="ERROR",
        log_to_driver=False,
    )
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import it
    yield ray
    ray.shutdown()
    signal.signal(signal.SIGTERM, before)


def is_at_work(pid: int | str) -> bool:
    """Whether it is a process of Ray's in the middle of a photo, by the title that Ray gives it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::_work")
    except OSError:  # ended
        return False


class Killer(threading.Thread):
    """Kills -9 one worker in the middle of a photo, once ``path`` is there."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.killed = 0

    def run(self) -> None:
        while not self.path.exists():
            time.sleep(0.01)
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
                if is_at_work(pid):
                    os.kill(pid, signal.SIGSTOP)
                    if is_at_work(pid):  # stopped before its photo was finished
                        os.kill(pid, signal.SIGKILL)
                        self.killed = pid
                        return
                    os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the titles of processes")
def test_ray_with_a_killed_worker_gives_what_one_process_gives(files: Files, cluster: Any) -> None:
    files.many(8)
    for number in range(3):  # large enough to be met at work
        rgb = np.roll(np.tile(files.rgb, (2, 2, 1)), 9 * number, axis=1)
        Image.fromarray(rgb).save(files.photos / f"q{number}.png")
        Image.fromarray(np.pad(files.hole, ((0, 880), (0, 1184)))).save(
            files.masks / f"q{number}.png"
        )
    files.photo("sub/0.jpg")
    files.mask("sub/0.png")
    (files.photos / "bad.png").write_text("no image")
    files.mask("bad.png")
    files.photo("lonely.png")
    files.run(confidence=True)
    expected, lines = pictures(files.out), told(files.lines())
    assert len(expected) == 12
    assert len(lines) == 14
    assert all(line["confidence"] for line in lines.values() if line["result"] == "done")
    shutil.rmtree(files.out)
    killer = Killer(files.out / "p001.png")
    killer.start()
    entries = list(batch.run(prepare(files.batch(confidence=True, engine="ray", jobs=2))))
    assert killer.killed
    assert not Path(f"/proc/{killer.killed}").exists()
    assert len(entries) == 14
    assert pictures(files.out) == expected
    assert told(files.lines()) == lines
    again = files.results(engine="ray", jobs=None)  # without --confidence, which is there anyway
    assert sorted(again.values()) == ["failed"] * 2 + ["skipped"] * 12


def test_ray_takes_a_convention_and_weights_beside_the_model_along(
    files: Files, cluster: Any, tmp_path: Path
) -> None:
    files.many(2)
    files.model, _ = with_weights_beside(copy_known_mean(tmp_path / "net.onnx", marks=(1, 0)))
    beside = tmp_path / "net.json"
    beside.write_text(json.dumps(PLAIN | {"mask": {"name": "mask", "keep": 1, "hole": 0}}))
    files.run()
    expected, lines = pictures(files.out), told(files.lines())
    assert all(line["result"] == "done" for line in lines.values())
    shutil.rmtree(files.out)
    again = prepare(files.batch(engine="ray", jobs=2))
    beside.unlink()  # what was said goes along
    assert [entry.result for entry in batch.run(again)] == ["done", "done"]
    assert pictures(files.out) == expected
    assert told(files.lines()) == lines


def _die_on_poison(tasks: list[Task], *rest: Any) -> list[Entry]:
    """The work of a process, which some photos kill."""
    from finefill.batch.cluster import _work

    if any("poison" in task.photo for task in tasks):
        for name in ("p001-poison.png", "other.png"):  # another process is writing the second
            tasks[0].target.with_name(f".{name}.1.part").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _work(tasks, *rest)


def test_photos_that_kill_their_workers_fail_alone(
    files: Files, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finefill.batch import cluster as module

    files.many(3)
    files.photo("p001-poison.png")
    files.mask("p001-poison.png")
    monkeypatch.setattr(module, "TRIES", 2)
    monkeypatch.setattr(module, "ALONE", 0)  # all four are one piece of work at first
    monkeypatch.setattr(module, "_work", _die_on_poison)
    entries = files.run(engine="ray", jobs=None)
    assert len(entries) == 4
    failed = entries.pop("p001-poison.png")
    assert (failed.result, failed.error) == ("failed", "its process was killed, or crashed")
    assert [entry.result for entry in entries.values()] == ["done"] * 3
    assert [path.name for path in files.out.glob(".*")] == [".other.png.1.part"]
    monkeypatch.setattr(module, "MAX_DEATHS", 0)
    with pytest.raises(FinefillError, match="1 worker processes died one after the other"):
        files.run(engine="ray", jobs=1)


def test_ray_reads_and_writes_a_storage(
    files: Files, cluster: Any, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.config import conf

    # This process may have imported fsspec before the environment said so.
    monkeypatch.setitem(conf, "dir", {"path": str(shared), "target_protocol": "file"})
    for name in ("a.png", "sub/b.jpg"):
        files.photo(name)
        files.mask(name.replace(".jpg", ".png"))
    (files.photos / "bad.png").write_text("no image")
    files.mask("bad.png")
    files.run()
    for folder in (files.photos, files.masks):
        shutil.copytree(folder, shared / folder.name)
    photos, masks, out = (place(f"dir://{name}") for name in ("in", "masks", "out"))
    options: dict[str, Any] = {"model": str(files.model), "engine": "ray"}

    def results() -> dict[str, str]:
        plan = prepare(Batch(photos, masks, out, **options))
        return {entry.photo: entry.result for entry in batch.run(plan)}

    assert results() == {"a.png": "done", "bad.png": "failed", "sub/b.jpg": "done"}
    assert pictures(shared / "out") == pictures(files.out)
    files.out = shared / "out"
    assert len(files.lines()) == 3
    assert results() == {"a.png": "skipped", "bad.png": "failed", "sub/b.jpg": "skipped"}


def test_nodes_with_another_version_are_told(
    files: Files, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finefill.batch import cluster as module

    files.many(2)
    monkeypatch.setattr(module, "__version__", "0.0")
    with pytest.raises(FinefillError, match=r"is installed on a node, 0\.0 here: install the same"):
        files.run(engine="ray", jobs=None)


def test_only_some_photos_are_handed_out_and_stopping_finishes_them(
    files: Files, cluster: Any
) -> None:
    from finefill.batch import plan as plans
    from finefill.batch.cluster import spread

    files.many(30)
    stop, taken = threading.Event(), list[str]()
    plan = prepare(files.batch(engine="ray", jobs=None))

    def steps() -> Iterator[Task | Entry]:
        for step in plans.steps(plan, {}):
            taken.append(step.photo)
            yield step

    entries = spread(plan, steps(), stop)
    done = [next(entries).photo]
    assert len(taken) == 4  # twice the CPUs
    stop.set()
    done += [entry.photo for entry in entries]
    assert sorted(done) == taken == [f"p{number:03}.png" for number in range(4)]
    assert set(pictures(files.out)) == set(taken)


def test_the_command_on_a_cluster_ends_in_order(files: Files, cluster: Any) -> None:
    files.many(40)
    address = cluster.get_runtime_context().gcs_address
    process = start(files, "--engine", "ray", "--address", address, lines=2)
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == "finefill: stopped: the same command goes on from here\n"
    lines = files.lines()
    assert out.startswith(f"done {len(lines)}, skipped 0, failed 0, warnings 0, ")
    assert 2 <= len(lines) < 40
    assert set(pictures(files.out)) == {line["photo"] for line in lines}


def test_a_light_installation_is_told_what_to_install(files: Files, tmp_path: Path) -> None:
    files.photo("a.png")
    files.mask("a.png")
    program = """
import sys
sys.modules["ray"] = sys.modules["fsspec"] = None  # importing them raises ImportError
from finefill.cli import main
main()
"""

    def run(*arguments: object) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    assert run(*files.command("--jobs", 1)) == (0, "")
    code, err = run(*files.command("--engine", "ray"))
    assert code == 2
    assert err.startswith("finefill: --engine ray needs Ray (")
    assert err.endswith("): pip install 'finefill[cluster]'\n")
    code, err = run("batch", "s3://bucket/photos", "--masks", files.masks, "-o", files.out)
    assert code == 2
    assert err.startswith("finefill: s3://bucket/photos: URLs need fsspec (")
    assert err.endswith("): pip install 'finefill[cluster]'\n")
