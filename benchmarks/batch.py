"""What a batch costs: CPU seconds, wall seconds and memory for a thousand photos, and Ray's share.

    python benchmarks/batch.py [--photo FILE] [--output benchmarks/results]

Every size of photo is completed by one process with one thread, as each worker of `finefill batch`
does it: reading, filling, writing, digests. Wall seconds are of a machine that others may use too;
CPU seconds travel better. Ray's share is measured with tasks that fail at once, so that nothing but
handing them out and getting them back is left. Without Ray it is left out. The driver's own work is
listing photos and writing the manifest.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import multiprocessing
import platform
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

import finefill
from finefill import batch
from finefill.batch import Batch, Task, complete_file
from finefill.batch.manifest import open_manifest
from finefill.batch.task import entry_of
from finefill.completion import Engine, cpus, load
from finefill.files import read_photo, replacing
from machine import peak_bytes, script

DEMO = Path(finefill.__file__).parent / "assets" / "demo.jpg"
SIZES = {(256, 256): 30, (1024, 1024): 20, (3000, 4000): 8}  # height, width: photos measured
HOLE = 0.15  # the object's diameter in shorter sides of the photo
WARM, EMPTY = 160, 3200  # photos that fail at once, to measure Ray alone
CHUNK = 16
LISTED = 20_000  # empty photos and masks, to measure the driver's own work
HOUR = 3600
Row = dict[str, Any]


def main() -> None:
    """Measure and write ``batch.json``; print the tables of docs/scale.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=DEMO, help="scaled to the sizes needed")
    parser.add_argument("--model", default="places")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    facts: Row = {
        "machine": f"{platform.machine()}, {cpus()} CPU(s) used, Python "
        f"{platform.python_version()}",
        "model": given.model,
        "photos": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        for (height, width), count in SIZES.items():
            tasks = _tasks(given.photo, given.model, Path(folder), height, width, count)
            facts["photos"].append({"size": f"{width}x{height}", **_alone(tasks, given.model)})
        facts["driver"] = _driver(Path(folder, "driver"), given.model)
        if importlib.util.find_spec("ray") is not None:
            facts["ray"] = [_overhead(Path(folder), given.model, chunk) for chunk in (1, CHUNK)]
    given.output.mkdir(parents=True, exist_ok=True)
    with replacing(given.output / "batch.json") as file:
        file.write((json.dumps(facts, indent=2) + "\n").encode())
    print(_markdown(facts))


def _tasks(
    photo: Path, model: str, folder: Path, height: int, width: int, count: int
) -> list[Task]:
    """Photos that differ in a shift, with a disc somewhere in each."""
    engine = load(model)
    rgb = Image.fromarray(read_photo(photo).rgb).resize((width, height), Image.Resampling.BICUBIC)
    pixels, side = np.asarray(rgb), round(HOLE * min(height, width))
    rng = np.random.default_rng(0)
    tasks = []
    for number in range(count):
        name = f"{width}-{number}"
        shifted = np.roll(pixels, int(rng.integers(width)), axis=1)
        Image.fromarray(shifted).save(folder / f"{name}.jpg", quality=90)
        mask = Image.new("L", (width, height))
        top, left = int(rng.integers(height - side)), int(rng.integers(width - side))
        ImageDraw.Draw(mask).ellipse((left, top, left + side, top + side), fill=255)
        mask.save(folder / f"{name}.png")
        source, hole = folder / f"{name}.jpg", folder / f"{name}.png"
        target = folder / "out" / f"{name}.jpg"
        tasks.append(
            Task(source.name, source, hole, target.name, target, engine.card["name"], "0" * 64)
        )
    return tasks


def _alone(tasks: list[Task], model: str) -> Row:
    """The measures of :func:`_complete`, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        row: Row = pool.apply(_complete, (tasks, model))
    return row


def _complete(tasks: list[Task], model: str) -> Row:
    """Complete photos; the first one, with which a process warms up, doesn't count."""
    engine = Engine(load(model).path, threads=1)
    complete_file(tasks[0], engine)
    wall, cpu = time.perf_counter(), time.process_time()
    entries = [complete_file(task, engine) for task in tasks[1:]]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    for entry in entries:
        if entry.result != "done":
            raise SystemExit(f"{entry.photo}: {entry.error}")
    read = sum(Path(str(place)).stat().st_size for t in tasks[1:] for place in (t.source, t.mask))
    written = sum(entry.output_bytes or 0 for entry in entries)
    count = len(entries)
    return {
        "measured": count,
        "cpu_per_1000": round(1000 * cpu / count, 1),
        "wall_per_1000": round(1000 * wall / count, 1),
        "peak_mb": round(peak_bytes() / 1e6),
        "read_mb_per_1000": round(read / count / 1e3, 1),
        "written_mb_per_1000": round(written / count / 1e3, 1),
    }


def _driver(folder: Path, model: str) -> Row:
    """What listing a photo, writing its line and knowing that it is done take."""
    for number in range(LISTED):
        for kind in ("in", "masks"):
            path = folder / kind / f"{number // 1000:03}" / f"photograph-{number:06}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    start = time.process_time()
    plan = batch.prepare(Batch(folder / "in", folder / "masks", folder / "out", model))
    tasks = [task for task, _ in batch.preview(plan)]
    listed = time.process_time() - start
    digest = "0" * 64
    entry = dataclasses.replace(
        entry_of(tasks[0], result="done"), photo_sha256=digest, mask_sha256=digest, output_bytes=1
    )
    start = time.process_time()
    with contextlib.closing(open_manifest(folder / "out")) as manifest:
        for task in tasks:
            manifest.add(dataclasses.replace(entry, photo=task.photo, output=task.output))
    written = time.process_time() - start
    tracemalloc.start()
    with open(folder / "out" / batch.MANIFEST, "rb") as file:
        done, length = batch.read_manifest(file)
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    count = len(done)
    assert count == LISTED
    return {
        "photos": count,
        "list_cpu_ms": round(1000 * listed / count, 3),
        "manifest_cpu_ms": round(1000 * written / count, 3),
        "manifest_bytes": round(length / count),
        "restart_memory_bytes": round(memory / count),
    }


def _overhead(folder: Path, model: str, chunk: int) -> Row:
    """What handing a photo to Ray and getting its entry back takes, ``chunk`` photos at a time."""
    from finefill.batch import cluster

    cluster.ALONE, cluster.CHUNK = 0, chunk
    source = next(folder.glob("256-0.jpg"))
    given = Batch(source, source.with_suffix(".png"), folder / "none", model, engine="ray")
    plan = batch.prepare(given)
    (task, _) = next(iter(batch.preview(plan)))
    missing = dataclasses.replace(task, source=folder / "missing.jpg")
    entries = cluster.spread(plan, iter([missing] * (EMPTY + WARM)), threading.Event())
    for _ in range(WARM):  # until the processes are there
        next(entries)
    wall, cpu = time.perf_counter(), time.process_time()
    assert all(entry.result == "failed" for entry in entries)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "photos_of_a_task": chunk,
        "photos": EMPTY,
        "wall_ms": round(1000 * wall / EMPTY, 2),
        "driver_cpu_ms": round(1000 * cpu / EMPTY, 2),
    }


def _markdown(facts: Row) -> str:
    lines = [
        f"{facts['machine']}, model `{facts['model']}`. For 1,000 photos:",
        "",
        "| photo | measured | CPU s | wall s | peak MB of a process | read MB | written MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in facts["photos"]:
        names = ["measured", "cpu_per_1000", "wall_per_1000", "peak_mb"]
        names += ["read_mb_per_1000", "written_mb_per_1000"]
        lines.append(f"| {row['size']} | " + " | ".join(f"{row[n]:,.0f}" for n in names) + " |")
    lines += [
        "",
        "A million photos, hours by CPU seconds, machines with 16 cores; storage at 100 machines:",
        "",
        "| photo | 1 machine | 10 | 100 | MB/s read | MB/s written |",
        "|---|---|---|---|---|---|",
    ]
    for row in facts["photos"]:
        hours = [1000 * row["cpu_per_1000"] / 16 / many / HOUR for many in (1, 10, 100)]
        rate = 1000 / (hours[2] * HOUR)
        bandwidth = [rate * row[f"{way}_mb_per_1000"] for way in ("read", "written")]
        values = [f"{hour:,.2f}" for hour in hours] + [f"{mb:,.0f}" for mb in bandwidth]
        lines.append(f"| {row['size']} | " + " | ".join(values) + " |")
    own = facts["driver"]
    lines += [
        "",
        f"Driver, a photo: {own['list_cpu_ms']} ms CPU to list, {own['manifest_cpu_ms']} ms for "
        f"its line of {own['manifest_bytes']} bytes, {own['restart_memory_bytes']} bytes of memory "
        f"when a run goes on ({own['photos']} photos).",
    ]
    lines += [
        f"Ray, {ray['photos_of_a_task']} photo(s) a task: {ray['driver_cpu_ms']} ms CPU of the "
        f"driver a photo, {ray['wall_ms']} ms wall ({ray['photos']} photos that fail at once)."
        for ray in facts.get("ray", [])
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    script(main)
