"""An older build and this one, side by side: removals, specks, files, start-up, memory, folders.

    python benchmarks/removal_speed.py BEFORE [--only TABLE …] [--data PHOTOS …] [-o FOLDER]

BEFORE is a wheel or a checkout of the older build. Both take turns in one run, each in processes of
its own; the time is the processor's, of one thread, where nothing else is said. Writes
removal.json and removal.md; tables that are not asked for stay as they were. See
benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from machine import MEASURED, processor, read_json, script, whole_number

HERE = Path(__file__).resolve().parent
SIZES, HOLES = (512, 1024, 4000), (50, 100, 200, 400)  # a removal: photograph and hole, sides
PARTS = ((512, 50), (1024, 200), (4000, 400))
TURNS, CALLS = 5, 3  # of each build; calls in a turn. The least counts
SPECK = 8  # pixels
QUALITY = (8, 16, 30, 50, 75, 100, 150, 200)  # sides of holes
PHOTOS = 40  # of each of --data, for quality
FOLDERS = {1024: 24, 4000: 6}  # side of the photographs: how many
HOLE = 0.2  # of a folder's photographs, in sides
LARGE = (3000, 4000)  # 12 megapixels: height, width
HUGE = (8660, 11547)  # 100 megapixels
STARTS = 11
# The floor of a folder: every photograph decoded and encoded as it was, by one process.
FLOOR = (
    "import sys\nfrom PIL import Image\nfor path in sys.argv[2:]:\n"
    "    with Image.open(path) as image:\n        image.load()\n"
    "        image.save(sys.argv[1], 'JPEG', quality='keep')"
)
Row = dict[str, Any]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", type=Path, nargs="?", help="a wheel or a checkout")
    parser.add_argument("--only", nargs="*", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="photographs")
    parser.add_argument("--turns", type=whole_number, default=TURNS)
    parser.add_argument("--count", type=whole_number, help="photographs of a folder")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if options.worker:
        work()
        return
    if options.before is None:
        parser.error("which build was before? give a wheel or a checkout")
    file = options.output / "removal.json"
    result: Row = read_json(file) if file.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        builds = {
            "before": source(options.before, Path(folder, "before")),
            "now": HERE.parent / "src",
        }
        for name in options.only:
            if name == "quality" and not options.data:
                continue
            place = Path(folder, name)
            place.mkdir()
            rows = TABLES[name](builds, place, options)
            words = ["python benchmarks/removal_speed.py BEFORE --only", name]
            if name in ("quality", "folders", "processes") and options.data:
                words += ["--data", *(f"DATA/{path.name}" for path in options.data)]
            result[name] = {
                "rows": rows,
                "machine": processor(),
                "processors": len(os.sched_getaffinity(0)),
                "load": round(os.getloadavg()[0], 1),
                "command": " ".join(words),
            }
            print(markdown({name: result[name]}), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.output / "removal.md").write_text(
        "# A removal, beside an older build\n\n" + markdown(result), encoding="utf-8"
    )


def source(build: Path, folder: Path) -> Path:
    """The folder that a build's package lies in."""
    if build.suffix == ".whl":
        with zipfile.ZipFile(build) as wheel:
            wheel.extractall(folder)
        return folder
    return build / "src" if (build / "src").is_dir() else build


def environment(build: Path) -> dict[str, str]:
    """Of a process that is to import a build."""
    return {**os.environ, "PYTHONPATH": str(build.resolve()), "PYTHONDONTWRITEBYTECODE": ""}


class Worker:
    """A build, or Telea, in a process of its own that keeps to one processor."""

    def __init__(self, name: str, build: Path, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker"],
            env={**environment(build), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, image: Path, mask: Path, **more: Any) -> Any:
        """Fill a hole; see :func:`work`."""
        assert self.process.stdin
        assert self.process.stdout
        asked = {"image": str(image), "mask": str(mask), "name": self.name, **more}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def work() -> None:
    """Fill what lines of the standard input name; answer with the least time of a call, in ms."""
    import numpy as np

    for line in sys.stdin:
        asked = json.loads(line)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.get("processors", 1)])
        image, mask = np.load(asked["image"]), np.load(asked["mask"])
        fill = filler(asked["name"], asked.get("fill", "network"), asked.get("threads", 1))
        call = functools.partial(fill, image, mask)
        if asked.get("parts"):
            print(json.dumps(parts(call)), flush=True)
            continue
        clock = time.perf_counter if asked.get("wall") else time.process_time
        filled, times = call(), []
        for _ in range(asked.get("calls", CALLS)):
            begin = clock()
            call()
            times.append(1000 * (clock() - begin))
        if "out" in asked:
            np.save(asked["out"], filled)
        print(json.dumps(min(times, default=None)), flush=True)


@functools.cache
def filler(name: str, way: str, threads: int) -> Callable[[Any, Any], Any]:
    """A build, or Telea, as a function of (H, W, 3) uint8 and (H, W) bool."""
    if name == "telea":
        import cv2
        import numpy as np

        cv2.setNumThreads(threads)
        return lambda image, mask: cv2.inpaint(
            image, mask.astype(np.uint8) * 255, 3, cv2.INPAINT_TELEA
        )
    import finefill

    engine = finefill.Engine(finefill.load("places").path, threads=threads)
    knows = "fill" in inspect.signature(finefill.complete).parameters
    ways: dict[str, Any] = {"fill": way} if knows else {}
    return lambda image, mask: finefill.complete(image, mask, engine, **ways)


def parts(call: Callable[[], Any]) -> Row:
    """Milliseconds of the parts of a removal, each without those inside it: medians."""
    from finefill.completion import detail, engine, photo

    inside: list[float] = []
    spent: dict[str, float] = {}

    def timed(name: str, function: Any) -> Any:
        def run(*given: Any, **more: Any) -> Any:
            inside.append(0.0)
            begin = time.process_time()
            try:
                return function(*given, **more)
            finally:
                whole = time.process_time() - begin
                spent[name] = spent.get(name, 0.0) + 1000 * (whole - inside.pop())
                if inside:
                    inside[-1] += whole

        return run

    for module, function, name in (
        (engine.Engine, "fill_many", "network"),
        (detail, "match", "detail: search"),
        (detail, "add_detail", "detail: the rest"),
        (detail, "meet_edges", "edges"),
        (photo, "add_detail", "detail: the rest"),
    ):
        setattr(module, function, timed(name, getattr(module, function)))
    call = timed("plan, copies, the rest", call)
    found = []
    for _ in range(TURNS * CALLS):
        spent.clear()
        call()
        found.append(dict(spent))
    return {name: statistics.median(one[name] for one in found[CALLS:]) for name in found[0]}


def square(shape: tuple[int, ...], side: int) -> Any:
    """A hole in the middle: (H, W) bool."""
    import numpy as np

    mask = np.zeros(shape[:2], bool)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    mask[top : top + side, left : left + side] = True
    return mask


def demo(height: int, width: int) -> Any:
    """The bundled photograph, enlarged: (H, W, 3) uint8."""
    import numpy as np
    from PIL import Image

    with Image.open(HERE.parent / "src/finefill/assets/demo.jpg") as image:
        return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))


def saved(folder: Path, image: Any, mask: Any) -> tuple[Path, Path]:
    """Where a worker finds them."""
    import numpy as np

    for name, array in (("image", image), ("mask", mask)):
        np.save(folder / f"{name}.npy", array)
    return folder / "image.npy", folder / "mask.npy"


def taking_turns(
    workers: Iterable[Worker], paths: tuple[Path, Path], turns: int, **more: Any
) -> Row:
    """The least time of each, ms."""
    times: dict[str, list[float]] = {}
    for _ in range(turns):
        for worker in workers:
            times.setdefault(worker.name, []).append(worker.ask(*paths, **more))
    return {name: round(min(some), 2) for name, some in times.items()}


def both(builds: dict[str, Path], folder: Path) -> list[Worker]:
    """A worker of each build."""
    return [Worker(name, build, folder) for name, build in builds.items()]


def removal(builds: dict[str, Path], folder: Path, options: Any) -> list[Row]:
    """Array to array, by photograph and hole, beside Telea."""
    workers = [*both(builds, folder), Worker("telea", builds["now"], folder)]
    found = []
    for size in SIZES:
        photo = demo(size, size)
        for hole in (one for one in HOLES if 2 * one <= size):
            paths = saved(folder, photo, square(photo.shape, hole))
            row = taking_turns(workers, paths, options.turns)
            found.append({"photograph / hole": f"{size:,} / {hole}", **row})
    return found


def where_it_goes(builds: dict[str, Path], folder: Path, options: Any) -> list[Row]:
    """The parts of a removal with this build."""
    found: dict[str, Row] = {}
    for size, hole in PARTS:
        photo = demo(size, size)
        worker = Worker("now", builds["now"], folder)
        spent = worker.ask(*saved(folder, photo, square(photo.shape, hole)), parts=True)
        for name, ms in spent.items():
            found.setdefault(name, {"part": name})[f"{size:,} / {hole}"] = round(ms, 1)
    return sorted(found.values(), key=lambda row: "rest" in row["part"])


def specks(builds: dict[str, Path], folder: Path, options: Any) -> list[Row]:
    """Holes of a few pixels, one and many."""
    import numpy as np

    found = []
    workers = both(builds, folder)
    for (height, width), count in (
        ((1024, 1024), 1), ((1024, 1024), 50), (LARGE, 1), (LARGE, 500),
    ):  # fmt: skip
        rng = np.random.default_rng(0)
        photo, mask = demo(height, width), np.zeros((height, width), bool)
        left_over = count
        while left_over:  # none beside another: together they would be no specks
            top, left = (int(rng.integers(SPECK, n - 2 * SPECK)) for n in (height, width))
            if not mask[top - SPECK : top + 2 * SPECK, left - SPECK : left + 2 * SPECK].any():
                mask[top : top + SPECK, left : left + SPECK] = True
                left_over -= 1
        # The build before takes seconds.
        turns, calls = (1, 1) if count > 100 else (options.turns, CALLS)
        row = taking_turns(workers, saved(folder, photo, mask), turns, fill="auto", calls=calls)
        found.append({"photograph / specks": f"{width:,} x {height:,} / {count}", **row})
    return found


def quality(builds: dict[str, Path], folder: Path, options: Any) -> list[Row]:
    """PSNR and Lite0's distance of both builds and Telea on the same square holes, 95% intervals.

    What changed from the older build to this one is told hole by hole, with its own interval.
    """
    import numpy as np

    from finefill.data import iterate_images
    from finefill.evaluation import lite0, metrics
    from removals import text

    distance = lite0.shared().distance
    rng = np.random.default_rng(0)
    workers = [*both(builds, folder), Worker("telea", builds["now"], folder)]
    sums: dict[int | str, list[Row]] = {}
    for data in options.data:
        for number, (_, photo) in enumerate(iterate_images([data])):
            if number == PHOTOS:
                break
            for hole in (one for one in QUALITY if 2 * one <= min(photo.shape[:2])):
                top, left = (int(rng.integers(length - hole)) for length in photo.shape[:2])
                mask = np.zeros(photo.shape[:2], bool)
                mask[top : top + hole, left : left + hole] = True
                holed = np.where(mask[..., None], 0, photo).astype(np.uint8)
                paths, row = saved(folder, holed, mask), {}
                for worker in workers:
                    worker.ask(*paths, calls=0, out=str(folder / "out.npy"))
                    filled = np.load(folder / "out.npy")
                    assert (filled == holed)[~mask].all()
                    row[worker.name] = (
                        float(metrics.psnr(photo, filled, mask)),
                        distance(photo, filled, mask),
                    )
                sums.setdefault(hole, []).append(row)
    sums["all"] = [row for rows in sums.values() for row in rows]
    found = []
    for which, rows in sums.items():
        line: Row = {"hole": which, "holes": len(rows)}
        for at, (what, digits) in enumerate((("dB", 2), ("Lite0", 3))):
            values = {name: np.array([row[name][at] for row in rows]) for name in rows[0]}
            line |= {f"{name}, {what}": text(column, digits) for name, column in values.items()}
            line[f"change, {what}"] = text(values["now"] - values["before"], digits, "+")
        found.append(line)
    return found


def run(build: Path, words: list[str], processors: int = 1, *, memory: bool = False) -> Row:
    """A command of a build: wall and processor seconds of all its processes; or its memory."""
    chosen = sorted(os.sched_getaffinity(0))[:processors]
    start = ["-c", MEASURED] if memory else ["-m", "finefill"]
    before = os.sched_getaffinity(0)
    begin = time.perf_counter()
    os.sched_setaffinity(0, chosen)  # what is started inherits it
    process = subprocess.Popen(
        [sys.executable, *start, *words],
        env=environment(build),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    os.sched_setaffinity(0, before)
    assert process.stderr
    told = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"finefill {' '.join(words)}: {told}")
    row = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime}
    return {"mb": int(told.split()[-2]) * 1024 / 1e6} if memory else row


def times_of(
    builds: dict[str, Path], commands: dict[str, list[str]], turns: int, processors: int = 1
) -> dict[str, Row]:
    """The least of so many runs of each command, builds and commands taking turns."""
    found: dict[str, list[Row]] = {}
    for _ in range(turns):
        for build, path in builds.items():
            for name, words in commands.items():
                if build == "before" and "--fill" in words:
                    continue
                row = run(path, words, processors)
                found.setdefault(f"{build}{name}", []).append(row)
    return {
        name: {key: min(row[key] for row in rows) for key in rows[0]}
        for name, rows in found.items()
    }


def startup(builds: dict[str, Path], folder: Path, options: Any) -> list[Row]:
    """`finefill complete` on a photograph of 256 pixels, from start to end."""
    from PIL import Image

    Image.fromarray(demo(256, 256)).save(folder / "photo.jpg", quality=92)
    words = ["complete", f"{folder}/photo.jpg", "--box", "96,96,64,64", "-o", f"{folder}/out.jpg"]
    found = []
    for processors in range(1, min(2, len(os.sched_getaffinity(0))) + 1):
        times = times_of(builds, {"": words}, STARTS, processors)
        row: Row = {"processors": processors}
        for clock in ("wall", "cpu"):
            for name in builds:
                row[f"{name}, {clock} (ms)"] = round(1000 * times[name][clock])
            ratio = times["before"][clock] / times["now"][clock]
            row[f"times faster, {clock}"] = round(ratio, 2)
        found.append(row)
    return found


def files(builds: dict[str, Path], folder: Path, options: Any) -> list[Row]:
    """12 megapixels from file to file, and the size of the file that is written."""
    import numpy as np
    from PIL import Image

    photo = demo(*LARGE).astype(np.int16)
    noise = np.random.default_rng(0).normal(0, 2, photo.shape)
    image = Image.fromarray((photo + noise).clip(0, 255).astype(np.uint8))
    found = []
    for kind, more in (
        ("PNG", {}), ("JPEG", {"quality": 92}), ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"quality": 90}), ("AVIF", {"quality": 80}),
    ):  # fmt: skip
        name = kind.lower()
        image.save(folder / f"photo.{name}", kind, **more)
        words = ["complete", f"{folder}/photo.{name}", "--box", "1800,1300,400,400"]
        words += ["-o", f"{folder}/out.{name}"]
        times = times_of(builds, {"": words, ", network": [*words, "--fill", "network"]}, 2)
        read = (folder / f"photo.{name}").stat().st_size
        # What was before had the network's way alone.
        columns = {"before": "before", "now, network": "now", "now": "now, auto"}
        row = {shown: round(1000 * times[key]["cpu"]) for key, shown in columns.items()}
        written = (folder / f"out.{name}").stat().st_size
        found.append({"format": kind, **row, "file, now by original": round(written / read, 3)})
    return found


def memory(builds: dict[str, Path], folder: Path, options: Any) -> list[Row]:
    """The most memory that a command uses, MB."""
    from PIL import Image

    found = []
    for (height, width), kind in ((LARGE, "jpg"), (LARGE, "png"), (HUGE, "jpg")):
        path = folder / f"photo.{kind}"
        Image.fromarray(demo(height, width)).save(path)
        words = ["complete", str(path), "--box", f"{width // 2},{height // 2},400,400"]
        words += ["-o", f"{folder}/out.{kind}"]
        row = {name: round(run(build, words, memory=True)["mb"]) for name, build in builds.items()}
        if kind == "jpg":
            row["now, network"] = round(
                run(builds["now"], [*words, "--fill", "network"], memory=True)["mb"]
            )
        found.append({"file": f"{kind}, {height * width / 1e6:.0f} megapixels", **row})
    return found


def photographs(folder: Path, side: int, count: int, data: list[Path]) -> Iterator[Path]:
    """A folder of different photographs with a hole in each, and one of their masks."""
    import numpy as np
    from PIL import Image

    from finefill.data import iterate_images

    given = [image for _, image in iterate_images(data)] if data else [demo(480, 640)]
    rng = np.random.default_rng(0)
    for kind in ("in", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        image = np.roll(given[number % len(given)], int(rng.integers(10_000)), 1)
        height, width = image.shape[:2]
        size = (side, max(16, round(side * height / width)))
        path = folder / "in" / f"{number:04}.jpg"
        Image.fromarray(image).resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
        mask = np.zeros((size[1], size[0]), bool)
        hole = round(HOLE * size[1])
        top, left = (int(rng.integers(length - hole)) for length in mask.shape)
        mask[top : top + hole, left : left + hole] = True
        Image.fromarray(mask).save(folder / "masks" / f"{number:04}.png")
        yield path


def folders(builds: dict[str, Path], folder: Path, options: Any) -> list[Row]:
    """`finefill batch`, one process: processor seconds for 1,000 photographs."""
    found = []
    for side, count in FOLDERS.items():
        count, place = options.count or count, folder / str(side)
        paths = [str(path) for path in photographs(place, side, count, options.data)]
        words = ["batch", f"{place}/in", "--masks", f"{place}/masks", "--overwrite", "--jobs", "1"]
        words += ["-o", f"{place}/out"]
        times = times_of(builds, {"": words, ", network": [*words, "--fill", "network"]}, 2)
        begin = os.times()
        subprocess.run([sys.executable, "-c", FLOOR, str(place / "floor.jpg"), *paths], check=True)
        end = os.times()
        floor = end.children_user + end.children_system
        floor -= begin.children_user + begin.children_system
        row = {name: round(1000 * one["cpu"] / count) for name, one in times.items()}
        row["decode and encode alone"] = round(1000 * floor / count)
        found.append({"photographs": f"{count} of {side:,}", **row})
        shutil.rmtree(place)
    return found


def processes(builds: dict[str, Path], folder: Path, options: Any) -> list[Row]:
    """Two processes, local and of Ray: wall seconds of what comes after the start."""
    counts = [options.count or 100, 3 * (options.count or 100)]
    walls: dict[str, list[float]] = {}
    for count in counts:
        place = folder / str(count)
        for _ in photographs(place, 1024, count, options.data):
            pass
        words = ["batch", f"{place}/in", "--masks", f"{place}/masks", "--overwrite"]
        for name, more in {
            "one process": ["--jobs", "1"],
            "two processes": ["--jobs", "2"],
            "Ray, two processes": ["--jobs", "2", "--engine", "ray"],
        }.items():
            row = run(builds["now"], [*words, *more, "-o", f"{place}/{name}"], 2)
            walls.setdefault(name, []).append(row["wall"])
    rates = {
        name: (counts[1] - counts[0]) / (last - first) for name, (first, last) in walls.items()
    }
    return [
        {
            "engine": name,
            "photographs a second": round(rate, 1),
            "of two local processes": round(rate / rates["two processes"], 2),
        }
        for name, rate in rates.items()
    ]


def threads(builds: dict[str, Path], folder: Path, options: Any) -> list[Row]:
    """Wall milliseconds of a removal with one, two and four threads asked for, two processors."""
    found = []
    for size, hole in PARTS:
        photo = demo(size, size)
        paths = saved(folder, photo, square(photo.shape, hole))
        row: Row = {"photograph / hole": f"{size:,} / {hole}"}
        for asked, processors in ((1, 1), (2, 2), (4, 2)):
            worker = Worker("now", builds["now"], folder)
            ms = taking_turns(
                [worker], paths, options.turns, threads=asked, processors=processors, wall=True
            )["now"]
            row[f"{asked} threads, {processors} processors"] = ms
        found.append(row)
    return found


TABLES: dict[str, Callable[[dict[str, Path], Path, Any], list[Row]]] = {
    "removal": removal,
    "parts": where_it_goes,
    "specks": specks,
    "quality": quality,
    "startup": startup,
    "files": files,
    "memory": memory,
    "folders": folders,
    "processes": processes,
    "threads": threads,
}
ABOUT = {
    "removal": "Milliseconds, array to array, network's way, square hole in the middle.",
    "parts": "Milliseconds of a removal's parts, medians.",
    "specks": f"Milliseconds; specks of {SPECK} pixels.",
    "quality": "Square holes at random places, network's way: PSNR (more is better), distance of "
    "EfficientNet-Lite0's features (less is better); 95% intervals.",
    "startup": "`finefill complete`, 256 pixels, from the process's start to its end.",
    "files": "12 megapixels, hole of 400, from file to file: milliseconds, network's way and auto.",
    "memory": "Most memory of the whole process, MB; hole of 400.",
    "folders": f"Processor seconds for 1,000 photographs, holes of {HOLE:.0%} of the height.",
    "processes": "Photographs of 1,024 pixels, two processors, without the start.",
    "threads": "Milliseconds by the wall clock, two processors.",
}


def markdown(result: Row) -> str:
    """The tables, each with its command."""
    lines = []
    for name in (name for name in TABLES if name in result):
        table = result[name]
        rows = [_with_ratios(row) for row in table["rows"]]
        keys = list(dict.fromkeys(key for row in rows for key in row))
        lines += [f"## {name.capitalize()}", "", ABOUT[name], ""]
        lines += [f"| {' | '.join(keys)} |", "|---" * len(keys) + "|"]
        lines += [f"| {' | '.join(_cell(row.get(key)) for key in keys)} |" for row in rows]
        where = f"{table['machine']}, {table['processors']} processors, load {table['load']}"
        lines += ["", f"`{table['command']}` ({where})", ""]
    return "\n".join(lines)


def _with_ratios(row: Row) -> Row:
    """With how many times faster this build is, and how many times Telea's time it takes."""
    row = dict(row)
    if isinstance(row.get("before"), int | float):
        row["times better"] = round(row["before"] / row["now"], 2)
    if "telea" in row:
        row["times Telea"] = round(row["now"] / row["telea"], 2)
    return row


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


if __name__ == "__main__":
    script(main)
