"""How photographs are filled: time and memory.

    python benchmarks/photos.py [--photo FILE] [--output benchmarks/results]

Times are those of one run on one machine; ratios travel better than seconds. Every line of a
memory column is a process of its own.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import finefill
from finefill.completion import cpus, fill_photo, fill_with_report
from finefill.completion.plan import plan
from finefill.evaluation.sheets import plot_png
from finefill.files import read_photo, replacing
from machine import MEASURED, peak_bytes, script

DEMO = Path(finefill.__file__).parent / "assets" / "demo.jpg"
TIMES = 2  # a call is timed; the shortest counts, as others use the machine too
Row = dict[str, Any]


def main() -> None:
    """Measure and write ``photos.json``, ``photos.md`` and ``photos.png``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=DEMO, help="scaled to the sizes needed")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--case", help=argparse.SUPPRESS)  # one measurement, in its own process
    given = parser.parse_args()
    if given.case:
        print(json.dumps(_case(given.photo, json.loads(given.case))))
        return
    facts: Row = {
        "machine": f"{platform.machine()}, {cpus()} CPU(s) used, Python "
        f"{platform.python_version()}",
        "photo": given.photo.name,
    }
    with tempfile.TemporaryDirectory() as folder:
        facts["command"] = _commands(given.photo, Path(folder))
    facts["calls"] = _calls(given.photo)
    facts["hole"] = [
        _alone(given.photo, {"photo": [3000, 4000], "hole": [side, side]})
        for side in (50, 100, 200, 400, 800, 1600)
    ]
    facts["size"] = [
        _alone(given.photo, {"photo": [height, height * 4 // 3], "hole": [200, 200]})
        for height in (375, 750, 1500, 3000, 6000)
    ]
    given.output.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("photos.json", json.dumps(facts, indent=2) + "\n"),
        ("photos.md", _markdown(facts)),
    ):
        with replacing(given.output / name) as file:
            file.write(text.encode())
    with replacing(given.output / "photos.png") as file:
        file.write(plot_png(_plot(facts["hole"], facts["size"])))
    print(_markdown(facts))


def _plot(hole: list[Row], size: list[Row]) -> Any:
    """Processor seconds against the area of the hole, and against that of the photo."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, rows, what, title in (
        (left, hole, "hole", "4000x3000 photo: the hole grows"),
        (right, size, "photo", "hole of 200x200: the photo grows"),
    ):
        areas = [np.prod(row[what]) / 1e6 for row in rows]
        axes.plot(areas, [row["cpu"] for row in rows], marker="o")
        axes.set(
            title=title, xlabel=f"area of the {what}, megapixels", xscale="log", ylim=(0, None)
        )
        axes.grid(alpha=0.3)
    left.set_ylabel("fill_photo, processor seconds")
    return figure


def _photo(path: Path, height: int, width: int) -> NDArray[np.uint8]:
    """The photograph scaled to a size."""
    rgb = Image.fromarray(read_photo(path).rgb)
    return np.asarray(rgb.resize((width, height), Image.Resampling.BICUBIC))


def _hole(shape: tuple[int, ...], height: int, width: int) -> NDArray[np.bool_]:
    """A rectangle in the middle."""
    mask = np.zeros(shape[:2], bool)
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    mask[top : top + height, left : left + width] = True
    return mask


def _specks(shape: tuple[int, ...], count: int) -> NDArray[np.bool_]:
    """Squares of 8 pixels anywhere, the first ones the same whatever the count."""
    rng = np.random.default_rng(0)
    mask = np.zeros(shape[:2], bool)
    for _ in range(count):
        top, left = int(rng.integers(shape[0] - 8)), int(rng.integers(shape[1] - 8))
        mask[top : top + 8, left : left + 8] = True
    return mask


def _timed(call: Callable[[], object], times: int = TIMES) -> Row:
    best: Row = {}
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        row = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        if not best or row["cpu"] < best["cpu"]:
            best = row
    return {name: round(value, 4) for name, value in best.items()}


def _commands(photo: Path, folder: Path) -> list[Row]:
    """The whole command `finefill complete`, JPEG in and out, start-up included."""
    rows = []
    small, large = (512, 512), (3000, 4000)
    for name, mask in (
        ("512x512, hole 100x100", _hole(small, 100, 100)),
        ("4000x3000, hole 400x600", _hole(large, 400, 600)),
        ("4000x3000, one speck", _specks(large, 1)),
        ("4000x3000, 50 specks", _specks(large, 50)),
    ):
        pixels = _photo(photo, *mask.shape)
        Image.fromarray(pixels).save(folder / "in.jpg", quality=92)
        Image.fromarray(mask).save(folder / "mask.png")
        words = ["complete", "in.jpg", "--mask", "mask.png", "-o", "out.jpg"]
        command = [sys.executable, "-m", "finefill", *words]
        best = min((_process(command, folder) for _ in range(TIMES)), key=lambda r: r["cpu"])
        command = [sys.executable, "-c", MEASURED, *words]
        told = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        memory = round(1024 * int(told.stderr.split()[-2]) / 1e6)
        rows.append({"what": name, **best, "memory": memory})
    return rows


def _process(command: Sequence[str], folder: Path) -> Row:
    """Seconds and CPU seconds of a process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {child.returncode}")
    return {
        "seconds": round(time.perf_counter() - start, 3),
        "cpu": round(usage.ru_utime + usage.ru_stime, 3),
    }


def _calls(photo: Path) -> list[Row]:
    """fill_photo alone, with an engine that is there already."""
    engine = finefill.load("places")
    small, large = _photo(photo, 512, 512), _photo(photo, 3000, 4000)
    rows = []
    for what, pixels, mask in (
        ("512x512, hole 100x100", small, _hole(small.shape, 100, 100)),
        ("512x512, one speck", small, _specks(small.shape, 1)),
        ("512x512, 50 specks", small, _specks(small.shape, 50)),
        ("4000x3000, hole 400x600", large, _hole(large.shape, 400, 600)),
        ("4000x3000, one speck", large, _specks(large.shape, 1)),
        ("4000x3000, 50 specks", large, _specks(large.shape, 50)),
    ):
        windows = len(plan(mask, engine.card))
        row = _timed(functools.partial(fill_photo, engine, pixels, mask))
        rows.append({"what": what, "windows": windows, **row})
    mask = _specks(large.shape, 500)
    row = _timed(lambda: plan(mask, engine.card))
    rows.append({"what": "4000x3000, 500 specks, the plan alone", **row})
    mask = _hole(large.shape, 80, 80)
    row = _timed(lambda: fill_with_report(engine, large, mask, measure=True))
    rows.append({"what": "4000x3000, hole 80x80, confidence measured", "windows": 1, **row})
    return rows


def _alone(photo: Path, case: Row) -> Row:
    command = [sys.executable, __file__, "--photo", str(photo), "--case", json.dumps(case)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row: Row = json.loads(done.stdout)
    return row


def _case(photo: Path, case: Row) -> Row:
    """Time of a hole in a photo, and the memory that the process has above that of the start.

    By the network: whether ``auto`` copies regions instead depends on the place, not on the size.
    """
    engine = finefill.load("places")
    height, width = case["photo"]
    pixels = _photo(photo, height, width)
    mask = _hole(pixels.shape, *case["hole"])
    fill_photo(engine, pixels, _hole(pixels.shape, 8, 8))
    before = peak_bytes()
    row = _timed(lambda: fill_photo(engine, pixels, mask, fill="network"))
    after = peak_bytes()
    what = f"{width}x{height}, hole {case['hole'][1]}x{case['hole'][0]}"
    return {
        "what": what,
        **case,
        **row,
        "memory": round(after / 1e6),
        "more": round((after - before) / 1e6),
    }


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _markdown(facts: Row) -> str:
    lines = [
        "# Photographs",
        "",
        f"{facts['machine']}; {facts['photo']} scaled. Seconds are wall time and CPU time of the "
        f"best of {TIMES} by CPU time; memory is the peak of the process. "
        "Wall time far above CPU time: other programs used the processor.",
    ]

    def table(title: str, rows: list[Row], **columns: str) -> None:
        lines.extend(["", f"## {title}", "", "| " + " | ".join(columns.values()) + " |"])
        lines.append("|" + "---|" * len(columns))
        for row in rows:
            lines.append("| " + " | ".join(_text(row.get(name)) for name in columns) + " |")

    timed = {"what": "photo", "seconds": "s", "cpu": "CPU s"}
    table("`finefill complete`, whole command", facts["command"], **timed, memory="MB")
    table("`fill_photo`, engine loaded", facts["calls"], **timed, windows="windows")
    grown = {**timed, "memory": "MB", "more": "MB for the hole"}
    table("The hole grows, network's way", facts["hole"], **grown)
    table("The photo grows, network's way", facts["size"], **grown)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    script(main)
