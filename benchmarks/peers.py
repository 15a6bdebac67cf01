"""What people use for the job besides finefill: how good it is and how long it takes, in one run.

    python benchmarks/peers.py [--data PHOTOS] [--limit N] [--only METHOD ...] [-o FOLDER]

Packages that are not for everyday use here are installed into environments that are thrown away
afterwards. Methods take turns at every hole, each in a process of its own. Writes peers.json,
peers.md and peers.png. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Row = dict[str, Any]
# Name -> what it is called in tables, and what to install for it beside NumPy; None: nothing.
METHODS: dict[str, tuple[str, list[str] | None]] = {
    "finefill": ("finefill", None),
    "finefill-network": ("finefill, network alone", None),
    "telea": ("Telea (OpenCV)", None),
    "ns": ("Navier-Stokes (OpenCV)", None),
    "pypatchmatch": ("PatchMatch (PyPatchMatch)", None),
    "inpaint": ("Telea (inpaint 0.1.7, Rust)", ["inpaint==0.1.7"]),
    "patchmatch-cython": ("PatchMatch (patchmatch-cython 0.2.1)", ["patchmatch-cython==0.2.1"]),
    # Its PyTorch would be needed for its device "auto" alone.
    "object-remove": (
        "object-remove 0.2.2, NumPy",
        ["--no-deps", "object-remove==0.2.2", "scipy", "pillow"],
    ),
}
HOLES = (50, 100)  # sides in photographs of --data
CLOSE = 0.025  # in distance, at which labels of the figure would meet
LONG_MS = 300  # labels of what takes longer stand on its left
TIMED = ((512, 50), (512, 100), (1024, 200), (4000, 400))  # photograph and hole, sides
SLOW = 1.0  # seconds; a method that takes longer is not timed at larger sizes
VERY_SLOW = 5.0  # seconds; a method that takes longer fills few holes
FEW = 1  # photographs in which a slow method fills holes
REPEATS = 2


def main() -> None:
    """Install, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="photographs; default: the bundled one's parts")
    parser.add_argument("--limit", type=int, default=24, help="photographs")
    parser.add_argument("--only", nargs="*", default=list(METHODS), help="methods")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        workers = {}
        for name in options.only:
            try:
                workers[name] = Worker(name, Path(folder))
            except subprocess.CalledProcessError as error:
                print(f"{METHODS[name][0]}: left out, it cannot be installed or run: {error}")
        quality, timed = measure(workers, options)
    result = {
        "cpus": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "photographs": str(options.data.name if options.data else "demo"),
        "quality": quality,
        "timed": timed,
        "command": "python benchmarks/peers.py "
        + " ".join(a.rsplit("/", 1)[-1] for a in sys.argv[1:]),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "peers.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.output / "peers.md").write_text(markdown(result))
    plot(result, options.output / "peers.png")
    print(markdown(result))


class Worker:
    """A method in a process of its own, that fills what it is given and tells how long it took."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder, python, packages = folder, sys.executable, METHODS[name][1]
        if packages is not None:
            place = folder / name
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            python = str(place / "bin" / "python")
            install = [python, "-m", "pip", "install", "--quiet", "numpy", *packages]
            subprocess.run(install, check=True)
        self.process = subprocess.Popen(
            [python, __file__, "--worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fill(self, image: Any, mask: Any, repeats: int) -> tuple[Any, float]:
        """The filled image and the least processor time of so many calls, in ms, after one more."""
        import numpy as np

        assert self.process.stdin
        assert self.process.stdout
        paths = [str(self.folder / f"{name}.npy") for name in ("image", "mask", "out")]
        np.save(paths[0], image)
        np.save(paths[1], mask)
        self.process.stdin.write(json.dumps([*paths, repeats]) + "\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        return np.load(paths[2]), found


def work(name: str) -> None:
    """Fill what the lines of the standard input name."""
    import numpy as np

    fill = filler(name)
    for line in sys.stdin:
        image_path, mask_path, out_path, repeats = json.loads(line)
        image, mask = np.load(image_path), np.load(mask_path)
        begin = time.process_time()
        filled = fill(image, mask)
        times = [time.process_time() - begin]
        if times[0] < SLOW:
            times = []
            for _ in range(repeats):
                begin = time.process_time()
                filled = fill(image, mask)
                times.append(time.process_time() - begin)
        np.save(out_path, filled)
        print(json.dumps(1000 * min(times)), flush=True)


def filler(name: str) -> Callable[[Any, Any], Any]:
    """A method as a function of (H, W, 3) uint8 and (H, W) bool, imports included."""
    import numpy as np

    if name.startswith("finefill"):
        import finefill

        engine = finefill.load("places")
        way: Any = "network" if name.endswith("network") else "auto"
        return lambda image, mask: finefill.complete(image, mask, engine, fill=way)
    if name in ("telea", "ns"):
        import cv2

        how = cv2.INPAINT_TELEA if name == "telea" else cv2.INPAINT_NS
        return lambda image, mask: cv2.inpaint(image, mask.astype(np.uint8) * 255, 3, how)
    if name == "pypatchmatch":
        from patchmatch import patch_match

        return lambda image, mask: patch_match.inpaint(image, mask.astype(np.uint8) * 255)
    if name == "inpaint":
        import inpaint

        def telea(image: Any, mask: Any) -> Any:
            filled = np.asarray(inpaint.telea(image, mask.astype(np.uint8) * 255))
            return np.rint(filled.clip(0, 255)).astype(np.uint8)

        return telea
    if name == "patchmatch-cython":
        from patchmatch_cython import inpaint_pyramid

        return lambda image, mask: inpaint_pyramid(image, mask)
    from object_remove import EngineTier, RemoveObjectJob

    def remove(image: Any, mask: Any) -> Any:
        filled = RemoveObjectJob(image, device=None).run(mask, tier=EngineTier.AUTO).image
        filled = np.rint(np.clip(filled, 0, 1) * 255).astype(np.uint8)
        return np.where(mask[..., None], filled, image)

    return remove


def measure(workers: dict[str, Worker], options: argparse.Namespace) -> tuple[list[Row], list[Row]]:
    """Quality of holes in photographs, and times at fixed sizes."""
    import numpy as np

    from finefill.evaluation import lite0, metrics

    chosen = [metrics.psnr, lite0.shared().distance]
    sums: dict[tuple[str, int], list[list[float]]] = {}
    slow: set[str] = set()
    rng = np.random.default_rng(0)
    for number, photo in enumerate(photographs(options.data, options.limit)):
        for side in HOLES:
            top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
            mask = np.zeros(photo.shape[:2], bool)
            mask[top : top + side, left : left + side] = True
            holed = np.where(mask[..., None], 0, photo).astype(np.uint8)
            for name, worker in workers.items():
                if name in slow and number >= FEW:
                    continue
                filled, ms = worker.fill(holed, mask, 1)
                if ms > 1000 * VERY_SLOW:
                    slow.add(name)
                values = [ms, *(float(value(photo, filled, mask)) for value in chosen)]
                sums.setdefault((name, side), []).append(values)
    quality = [
        {
            "method": name,
            "hole": side,
            "count": len(rows),
            "ms": statistics.median(row[0] for row in rows),
            "psnr": dataclasses.asdict(metrics.summarise(np.array([row[1] for row in rows]))),
            "lite0": dataclasses.asdict(metrics.summarise(np.array([row[2] for row in rows]))),
        }
        for (name, side), rows in sums.items()
    ]
    timed: list[Row] = []
    for size, side in TIMED:
        photo = large(size)
        mask = np.zeros((size, size), bool)
        first = (size - side) // 2
        mask[first : first + side, first : first + side] = True
        times: dict[str, list[float]] = {}
        for _ in range(REPEATS):  # in turns: what else the machine does meets all alike
            for name, worker in workers.items():
                if name in slow:
                    continue
                _, ms = worker.fill(photo, mask, REPEATS)
                times.setdefault(name, []).append(ms)
                if ms > 1000 * SLOW:
                    slow.add(name)
        timed += [
            {"method": name, "size": size, "hole": side, "ms": min(some)}
            for name, some in times.items()
        ]
    return quality, timed


def photographs(data: Path | None, limit: int) -> list[Any]:
    """(H, W, 3) uint8, the middle 256 pixels at most of each side."""
    import numpy as np

    if data is None:
        demo = large(480)
        return [
            np.ascontiguousarray(demo[y : y + 224, x : x + 224])
            for y in (0, 128, 256)
            for x in (0, 128, 256)
        ][:limit]
    from finefill.data import iterate_images

    found = []
    for _, image in iterate_images([data]):
        first = [max((length - 256) // 2, 0) for length in image.shape[:2]]
        part = image[first[0] : first[0] + 256, first[1] : first[1] + 256]
        if min(part.shape[:2]) > max(HOLES):
            found.append(np.ascontiguousarray(part))
        if len(found) == limit:
            break
    return found


def large(side: int) -> Any:
    """A square of the bundled photograph, mirrored where that is smaller."""
    import numpy as np

    import finefill
    from finefill.files import read_photo

    demo = read_photo(Path(finefill.__file__).parent / "assets" / "demo.jpg").rgb
    height, width = demo.shape[:2]
    return np.ascontiguousarray(
        np.pad(
            demo,
            [(0, max(side - height, 0)), (0, max(side - width, 0)), (0, 0)],
            mode="symmetric",
        )[:side, :side]
    )


def markdown(result: Row) -> str:
    """The page."""
    found = {(row["method"], row["hole"]): row for row in result["quality"]}
    times = {(row["method"], row["size"], row["hole"]): row["ms"] for row in result["timed"]}
    names = list(dict.fromkeys(row["method"] for row in result["quality"]))
    lines = [
        "# Beside what people use for the job",
        "",
        f"{result['cpus']} processors, a shared machine (load {result['load']:.1f} afterwards): "
        "compare within this page. Methods take turns, each in a process of its own.",
        "",
        f"Square holes in photographs of up to 256 pixels ({result['photographs']}): PSNR in the "
        "hole (dB, more is better), distance of EfficientNet-Lite0's features (less is better), "
        "both with 95% intervals, milliseconds of processor time, all threads (median). Holes: how "
        "many were filled.",
        "",
        "| method | "
        + " | ".join(f"{h} px: PSNR | lite0 | ms | holes" for h in HOLES)
        + " |\n|---|"
        + "---|" * (4 * len(HOLES)),
    ]
    for name in names:
        cells = [
            f"{_mean(row, 'psnr', 2)} | {_mean(row, 'lite0', 3)} | "
            f"{_ms(row['ms'])} | {row['count']}"
            for row in (found[name, hole] for hole in HOLES)
        ]
        lines.append(f"| {METHODS[name][0]} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Milliseconds of processor time by the side of photograph and hole, the least of three "
        f"turns; –: it takes more than {SLOW:.0f} s for a smaller one:",
        "",
        "| method | " + " | ".join(f"{size} / {hole}" for size, hole in TIMED) + " |",
        "|---|" + "---|" * len(TIMED),
    ]
    for name in names:
        cells = [_ms(times.get((name, *one))) for one in TIMED]
        lines.append(f"| {METHODS[name][0]} | " + " | ".join(cells) + " |")
    return "\n".join(
        [*lines, "", "![quality and time](peers.png)", "", f"`{result['command']}`", ""]
    )


def _mean(row: Row, key: str, digits: int) -> str:
    """A mean, with its interval where more than one hole was filled."""
    mean, low, high = (f"{row[key][end]:.{digits}f}" for end in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]" if row["count"] > 1 else mean


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def plot(result: Row, path: Path) -> None:
    """Quality by time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from finefill.evaluation.sheets import plot_png

    figure, axes = pyplot.subplots(1, len(HOLES), figsize=(11, 4.5), layout="constrained")
    most = max(row["count"] for row in result["quality"])
    for hole, axis in zip(HOLES, axes, strict=True):
        rows = [row for row in result["quality"] if row["hole"] == hole]
        for row in rows:
            ours = row["method"].startswith("finefill")
            at = row["ms"], row["lite0"]["mean"]
            axis.plot(*at, "o", ms=9 if ours else 6, c="C3" if ours else "C0")
            label, few = METHODS[row["method"]][0], row["count"] < most
            if few:
                label += f"\n(of {row['count']} of {most} holes: not to be compared)"
            # Not over the label of a point close above, nor over the figure's right edge.
            under = few or any(0 < other["lite0"]["mean"] - at[1] < CLOSE for other in rows)
            left = at[0] > LONG_MS
            axis.annotate(
                label, at, xytext=(-4 if left else 4, -6 if under else 5),
                textcoords="offset points", fontsize=7,
                ha="right" if left else "left", va="top" if under else "bottom",
            )  # fmt: skip
        axis.set(xscale="log", xlabel="ms of processor time", title=f"holes of {hole} pixels")
        axis.set_ylabel("distance of Lite0's features (less is better)")
        axis.margins(x=0.25, y=0.1)
        axis.grid(alpha=0.3)
    path.write_bytes(plot_png(figure))


if __name__ == "__main__":
    main()
