"""Speed and memory of the shipped models next to other methods, on this machine, in one run.

    python benchmarks/speed.py [--quick] [--threads N] [--model FILE.onnx] [--only METHOD]
                               [-o FOLDER]

Methods take turns, so that what else the machine does meets all of them alike: compare within one
run. Writes speed.json, speed.md and speed.png. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from machine import above_zero, peak_bytes, processor, script

HERE = Path(__file__).resolve().parent
SIZES = (128, 256, 512, 1024)
PHOTO = (3000, 4000)  # height and width: 12 megapixels
PHOTO_HOLE = 400  # side
START_AIM = 500  # ms from start to exit of `finefill complete`
START_MODULES = "finefill.cli.use, finefill.completion.photo, finefill.masks.regions"
Call = Callable[[], object]
Row = dict[str, Any]
Rows = list[Row]
Maker = Callable[[int], Call]  # from a size to what is timed

LABELS = {
    "places": "finefill places",
    "faces": "finefill faces",
    "places-torch": "places in PyTorch",
    "faces-torch": "faces in PyTorch",
    "context-encoder": "Context Encoder, PyTorch",
    "telea": "Telea (OpenCV)",
    "ns": "Navier-Stokes (OpenCV)",
    "patchmatch": "PatchMatch",
    "fourier-27m": "LaMa-Fourier stand-in, 27M, PyTorch",
    "fourier-51m": "Big-LaMa stand-in, 51M, PyTorch",
    "separable-torch": "MI-GAN stand-in, 6M, PyTorch",
    "separable": "MI-GAN stand-in, 6M, ONNX Runtime",
}
CLASSICAL = ("telea", "ns", "patchmatch")
PAUSE = 0.1  # seconds


def main() -> None:
    """Measure, write, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few sizes and repetitions")
    parser.add_argument("--threads", type=int, help="default: all this process may use")
    parser.add_argument(
        "--model", action="append", type=Path, default=[], help="also this .onnx file"
    )
    parser.add_argument(
        "--only", action="append", choices=LABELS, help="this method, may be repeated; default: all"
    )
    parser.add_argument("--seconds", type=above_zero, default=3, help="for each method and size")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    parser.add_argument("--memory-of", nargs=2, metavar=("METHOD", "SIZE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.threads = chosen.threads or len(os.sched_getaffinity(0))
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)  # PatchMatch, NumPy
    warnings.simplefilter("ignore")
    names = [*LABELS, *map(str, chosen.model)]
    if chosen.memory_of:
        print(memory_of(chosen.memory_of[0], int(chosen.memory_of[1]), chosen.threads))
        return
    names = [n for n in names if not chosen.only or n not in LABELS or n in chosen.only]
    folder = tempfile.TemporaryDirectory()  # gone with this process
    if "separable" in names:
        try:
            names[names.index("separable")] = str(export_separable(Path(folder.name)))
        except Exception as error:  # of any of the packages that have a part in it
            names.remove("separable")
            print(f"{LABELS['separable']}: {error}")
    sizes = SIZES[:2] if chosen.quick else SIZES
    seconds = min(chosen.seconds, 0.3) if chosen.quick else chosen.seconds

    result: Row = {
        "machine": {
            "processor": processor(),
            "threads": chosen.threads,
            "load_before": os.getloadavg()[0],
            "clock": clock(chosen.threads).__name__,
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "versions": {name: version(name) for name in ("onnxruntime", "torch", "numpy")},
        },
        "command": " ".join(["python", "benchmarks/speed.py", *sys.argv[1:]]),
        "peak_gflops": peak(chosen.threads),
        "rows": times(names, sizes, chosen.threads, seconds),
        "photo": photo_times(chosen.model, chosen.threads, seconds),
        "start": start_up(chosen.model, 2 if chosen.quick else 9),
    }
    result["start_aim_ms"] = START_AIM
    result["peak_gflops_after"] = peak(chosen.threads)
    result["machine"]["load_after"] = os.getloadavg()[0]
    add_memory(result["rows"], chosen.threads, 256 if chosen.quick else 512)
    for row in result["rows"]:  # a model's file name; its folder is this machine's affair
        row["method"] = Path(row["method"]).name
    add_ratios(result)
    chosen.output.mkdir(parents=True, exist_ok=True)
    text = markdown(result)
    (chosen.output / "speed.json").write_text(json.dumps(result, indent=1) + "\n")
    (chosen.output / "speed.md").write_text(text)
    plot(result, chosen.output / "speed.png")
    print(text)


# --- methods


def maker(name: str, threads: int) -> tuple[Maker, Row]:
    """What makes a method's calls, and what is known of it: params, gflop(size), sizes."""
    if name in CLASSICAL:
        from finefill.evaluation.baselines import load_baseline

        return _filler(load_baseline(name, threads)), {}
    if is_file(name):
        from finefill.completion import Engine, locate

        engine = Engine(name if name.endswith(".onnx") else locate(name), threads=threads)
        if "recipe" not in engine.card:
            return _filler(engine.fill), _facts(_net("separable", threads))
        return _filler(engine.fill), _facts(_generator(engine.card))
    net = _net(name, threads)
    return _forward(net), _facts(net)


@functools.cache
def _net(name: str, threads: int) -> Any:
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if name.startswith(("fourier", "separable")):
        import standins

        makers: dict[str, Callable[[], Any]] = {
            "fourier-27m": lambda: standins.Fourier(9),
            "fourier-51m": lambda: standins.Fourier(18),
        }
        return makers.get(name, standins.Separable)().eval().requires_grad_(False)
    if name == "context-encoder":
        from finefill.nets.context_encoder import ContextEncoder

        return ContextEncoder().eval().requires_grad_(False)
    from finefill.completion import load
    from finefill.export.model import folded

    return folded(_generator(load(name.removesuffix("-torch")).card))


def _generator(card: Row) -> Any:
    """The network of a card, with random weights."""
    from finefill.data import from_json
    from finefill.training import build

    return build.generator(from_json(json.dumps(card["recipe"]))).eval().requires_grad_(False)


def _facts(net: Any) -> Row:
    return {
        "net": net,
        "parameters": sum(p.numel() for p in net.parameters()),
        "multiple": net.size_multiple,
        "only": getattr(net, "size", None),
    }


def _filler(fill: Callable[[Any, Any], Any]) -> Maker:
    """Calls of fill(image, mask) on a piece of the bundled photograph."""

    def make(size: int) -> Call:
        image, mask = picture(size, size, size // 2)
        return lambda: fill(image, mask)

    return make


def _forward(net: Any) -> Maker:
    """Calls of a PyTorch network on a piece of the bundled photograph."""
    import torch

    def make(size: int) -> Call:
        image, mask = map(torch.from_numpy, _tensors(size))

        def call() -> None:
            with torch.inference_mode():
                net(image, mask)

        return call

    return make


def export_separable(folder: Path) -> Path:
    """The separable stand-in as a file that the engine takes, for any size."""
    import onnx
    import torch

    from finefill.completion import CARD_KEY
    from finefill.export.model import traced

    net = _net("separable", 1)
    height, width = (net.size_multiple * torch.export.Dim(axis, min=1) for axis in ("r", "c"))
    side = 2 * net.size_multiple
    example = torch.zeros(1, 3, side, 2 * side), torch.ones(1, 1, side, 2 * side)
    model = traced(net, example, "fill", {2: height, 3: width})
    card = {"name": "separable", "size_multiple": net.size_multiple}
    card |= {"trained_size": 256, "hole_range": [48, 128]}
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(card)})
    onnx.save(model, folder / "separable.onnx")
    return folder / "separable.onnx"


def _tensors(size: int) -> tuple[Any, Any]:
    import numpy as np

    from finefill.files import to_network

    image, mask = picture(size, size, size // 2)
    hole = mask[None, None].astype(np.float32)
    return to_network(image) * (1 - hole), hole


def picture(height: int, width: int, hole: int) -> tuple[Any, Any]:
    """The bundled photograph, mirrored and cut to a size, and a square hole in its middle."""
    import numpy as np
    from PIL import Image

    import finefill

    with Image.open(Path(finefill.__file__).parent / "assets" / "demo.jpg") as demo:
        tile = np.asarray(demo.convert("RGB"))
    tile = np.concatenate([tile, tile[:, ::-1]], axis=1)
    tile = np.concatenate([tile, tile[::-1]], axis=0)
    times_y, times_x = -(-height // tile.shape[0]), -(-width // tile.shape[1])
    image = np.ascontiguousarray(np.tile(tile, (times_y, times_x, 1))[:height, :width])
    mask = np.zeros((height, width), bool)
    top, left = (height - hole) // 2, (width - hole) // 2
    mask[top : top + hole, left : left + hole] = True
    return image, mask


# --- measuring


def times(names: list[str], sizes: tuple[int, ...], threads: int, seconds: float) -> Rows:
    """Every method at every size, in turns; what takes more than 10 s goes no further."""
    made: dict[str, tuple[Maker, Row]] = {}
    rows: Rows = []
    for name in names:
        try:
            made[name] = maker(name, threads)
        except Exception as error:  # a package that is missing, for one: the others go on
            rows.append({"method": name, "label": label(name), "failed": str(error)[:200]})
    slow: dict[str, float] = {}  # seconds of a warm-up
    for size in sizes:
        calls = {
            name: make(size)
            for name, (make, facts) in made.items()
            if facts.get("only") in (None, size)
            and size % facts.get("multiple", 1) == 0
            and slow.get(name, 0) < 10
        }
        spent = take_turns(calls, threads, seconds, slow)
        for name, found in spent.items():
            facts = made[name][1]
            row: Row = {"method": name, "label": label(name), "size": size, **spread(found)}
            if "net" in facts:
                row["parameters"] = facts["parameters"]
                row["gflop"] = gflop(facts["net"], size)
            rows.append(row)
            print(f"{size:5} {row['label']:40} {row['ms']:10.1f} ms", flush=True)
    return rows


def take_turns(
    calls: dict[str, Call], threads: int, seconds: float, slow: dict[str, float] | None = None
) -> dict[str, list[float]]:
    """Seconds of each call, in turns; at least one, up to ``seconds`` and 30 calls each.

    A turn is a pause, in which threads of the method before stop waiting for more work, a call
    that wakes this one's, and three that count.
    """
    now = clock(threads)
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        begin = now()
        call()  # warm-up
        took = now() - begin
        if slow is not None:
            slow[name] = took
        if took > seconds:  # once more would tell little
            spent[name].append(took)
    for _ in range(10):
        for name, call in calls.items():
            if sum(spent[name]) >= seconds:
                continue
            time.sleep(PAUSE)
            call()
            for _ in range(3):
                begin = now()
                call()
                spent[name].append(now() - begin)
    return spent


def photo_times(models: list[Path], threads: int, seconds: float) -> Rows:
    """A 12-megapixel photograph through finefill.complete, and through OpenCV."""
    import finefill
    from finefill.completion import Engine
    from finefill.evaluation.baselines import load_baseline

    image, mask = picture(*PHOTO, PHOTO_HOLE)
    calls: dict[str, Call] = {}
    for name in ("places", "faces", *models):
        path = finefill.load(str(name)).path
        engine = Engine(path, threads=threads)
        calls[label(str(name))] = functools.partial(finefill.complete, image, mask, engine)
    for name in ("telea", "ns"):
        try:
            method = load_baseline(name, threads)
        except finefill.FinefillError:
            continue
        calls[LABELS[name]] = functools.partial(method, image, mask)
    spent = take_turns(calls, threads, seconds)
    return [{"label": name, **spread(found)} for name, found in spent.items()]


def start_up(models: list[Path], repeats: int) -> Rows:
    """``finefill complete`` on a 256x256 photograph, process start to exit, and its parts."""
    import numpy as np
    from PIL import Image

    image, _ = picture(256, 256, 64)
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        Image.fromarray(np.asarray(image)).save(photo, quality=92)
        complete = ["-m", "finefill", "complete", str(photo), "--box", "96,96,64,64"]
        complete += ["-o", str(Path(folder) / "out.jpg")]
        commands = {
            "python": ["-c", "pass"],
            "python, import numpy": ["-c", "import numpy"],
            "python, import onnxruntime": ["-c", "import onnxruntime"],
            "python, import all it needs": ["-c", f"import onnxruntime, {START_MODULES}"],
            "finefill complete --model faces": [*complete, "--model", "faces"],
            "finefill complete": complete,
        }
        for model in models:
            commands[f"finefill complete --model {model.name}"] = [
                *complete,
                "--model",
                str(model.resolve()),
            ]
        wall: dict[str, list[float]] = {name: [] for name in commands}
        cpu: dict[str, list[float]] = {name: [] for name in commands}
        for repeat in range(repeats + 1):
            for name, arguments in commands.items():
                before, begin = children(), time.perf_counter()
                subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
                if repeat:  # the first one warms the disk's cache
                    wall[name].append(time.perf_counter() - begin)
                    cpu[name].append(children() - before)
    return [
        {"label": name, **spread(wall[name]), "cpu_ms": spread(cpu[name])["ms"]}
        for name in commands
    ]


def children() -> float:
    """Processor seconds of the processes started and ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spread(seconds: list[float]) -> Row:
    """Median and quartiles in milliseconds."""
    quartiles = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    low, middle, high = (round(1000 * value, 3) for value in quartiles)
    return {"ms": middle, "ms_low": low, "ms_high": high, "repeats": len(seconds)}


def clock(threads: int) -> Callable[[], float]:
    """The process's own time where one thread does all the work, else the wall clock."""
    return time.process_time if threads == 1 else time.perf_counter


@functools.cache
def gflop(net: Any, size: int) -> float:
    """Floating-point operations of a forward pass, 2 a multiplication; FFTs are not counted.

    All these networks cost the same for every pixel: counted small, multiplied up.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    small = getattr(net, "size", None) or 128
    shape = small, small
    with torch.inference_mode(), FlopCounterMode(display=False) as counted:
        net(torch.zeros(1, 3, *shape), torch.ones(1, 1, *shape))
    return float(counted.get_total_flops()) / 1e9 * (size / small) ** 2


def peak(threads: int) -> float:
    """GFLOP/s of a large fp32 matrix product: the best of NumPy's and PyTorch's."""
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    size, now = 1536, clock(threads)
    a, b = torch.randn(size, size), torch.randn(size, size)
    x, y = np.asarray(a), np.asarray(b)
    found = []
    for product in (lambda: a @ b, lambda: x @ y):
        for _ in range(12):
            begin = now()
            product()
            found.append(now() - begin)
    return round(2 * size**3 / min(found) / 1e9, 1)


def add_memory(rows: Rows, threads: int, size: int) -> None:
    """Peak memory of each method at one size, each in a process of its own."""
    for row in rows:
        if row.get("size") != (128 if row["method"] == "context-encoder" else size):
            continue
        command = [sys.executable, __file__, "--threads", str(threads)]
        command += ["--memory-of", row["method"], str(row["size"])]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            row["peak_mb"], row["idle_mb"] = json.loads(done.stdout.splitlines()[-1])


def memory_of(name: str, size: int, threads: int) -> list[float]:
    """Peak megabytes of this process after one call, and before it (packages and weights)."""
    make = _lean_maker(name, threads)
    call = make(size)
    idle = _megabytes()
    call()
    return [_megabytes(), idle]


def _lean_maker(name: str, threads: int) -> Maker:
    """As :func:`maker`, without PyTorch where it is not needed."""
    if is_file(name):
        from finefill.completion import Engine, locate

        path = name if name.endswith(".onnx") else locate(name)
        return _filler(Engine(path, threads=threads).fill)
    return maker(name, threads)[0]


def is_file(name: str) -> bool:
    """Whether a method is a model file that the engine runs."""
    return name.endswith(".onnx") or name in ("places", "faces")


def _megabytes() -> float:
    return round(peak_bytes() / 2**20, 1)


# --- results


def add_ratios(result: Row) -> None:
    """Share of the matrix product's peak, and how many times slower than ``places``."""
    best = max(result["peak_gflops"], result["peak_gflops_after"])
    base = {r["size"]: r["ms"] for r in result["rows"] if r["method"] == "places" and "size" in r}
    for row in result["rows"]:
        if "gflop" in row:
            row["of_peak"] = round(row["gflop"] / row["ms"] * 1000 / best, 3)
            row["gflop"] = round(row["gflop"], 2)
        if row.get("size") in base:
            row["times_places"] = round(row["ms"] / base[row["size"]], 3)


def markdown(result: Row) -> str:
    """The tables."""
    machine, rows = result["machine"], [r for r in result["rows"] if "ms" in r]
    sizes = sorted({row["size"] for row in rows})
    threads = f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"
    lines = [
        "# Speed",
        "",
        f"{machine['processor']}, {threads}; a shared machine, load {machine['load_before']:.1f} "
        f"before and {machine['load_after']:.1f} after: compare within this page. "
        + (
            "Processor time of the one thread. "
            if machine["clock"] == "process_time"
            else "Wall clock. "
        )
        + f"fp32 matrix product: {result['peak_gflops']:.0f} GFLOP/s before, "
        f"{result['peak_gflops_after']:.0f} after.",
        "",
        "Milliseconds for one image, the hole its centre half; median and quartiles, and times "
        "`places`:",
        "",
        "| method | parameters | " + " | ".join(f"{size}²" for size in sizes) + " |",
        "|---|---|" + "---|" * len(sizes),
    ]
    found = {(row["method"], row["size"]): row for row in rows}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for name in methods:
        some = next(row for row in rows if row["method"] == name)
        count = f"{some['parameters'] / 1e6:.1f}M" if "parameters" in some else ""
        cells = [_cell(found.get((name, size))) for size in sizes]
        lines.append(f"| {some['label']} | {count} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| method | size | GFLOP | of the fp32 peak | peak memory | of it before the first image |",
        "|---|---|---|---|---|---|",
    ]
    for name in methods:
        chosen = [row for row in rows if row["method"] == name]
        row = next((row for row in chosen if "peak_mb" in row), None)
        row = row or max(chosen, key=lambda one: one["size"] if one["size"] <= 512 else 0)
        work = f"{row['gflop']:.1f} | {100 * row['of_peak']:.0f} %" if "gflop" in row else " | "
        memory = f"{row['peak_mb']:.0f} MB | {row['idle_mb']:.0f} MB" if "peak_mb" in row else " | "
        lines.append(f"| {row['label']} | {row['size']}² | {work} | {memory} |")
    height, width = PHOTO
    lines += [
        "",
        f"A photograph of {width}x{height} pixels, hole of {PHOTO_HOLE}x{PHOTO_HOLE}:",
        "",
        "| method | ms |",
        "|---|---|",
        *(f"| {row['label']} | {_ms(row)} |" for row in result["photo"]),
        "",
        "From the start of the process to its end, 256x256 photograph, hole of 64x64 (wall clock). "
        f"`finefill complete` may take {START_AIM} ms:",
        "",
        "| command | ms | processor time, all threads |",
        "|---|---|---|",
        *(f"| {row['label']} | {_start(row)} | {row['cpu_ms']:.0f} |" for row in result["start"]),
        "",
        f"`{result['command']}`",
        "",
    ]
    return "\n".join(lines)


def _start(row: Row) -> str:
    text = _ms(row)
    return text if row["ms"] <= START_AIM else f"**{text}: too much**"


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    times_places = f", ×{row['times_places']:.2g}" if "times_places" in row else ""
    return _ms(row) + times_places


def _ms(row: Row) -> str:
    def short(value: float) -> str:
        return f"{value:.1f}" if value < 100 else f"{value:,.0f}"

    if row["repeats"] == 1:
        return f"{short(row['ms'])} (once)"
    return f"{short(row['ms'])} ({short(row['ms_low'])}–{short(row['ms_high'])})"


def plot(result: Row, path: Path) -> None:
    """Milliseconds by size, both logarithmic."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    from finefill.evaluation.sheets import plot_png

    figure, axes = pyplot.subplots(figsize=(10, 5.5), layout="constrained")
    tab20 = pyplot.get_cmap("tab20")
    axes.set_prop_cycle(color=[tab20(number) for number in range(tab20.N)])
    rows = [row for row in result["rows"] if "ms" in row]
    for name in dict.fromkeys(row["method"] for row in rows):
        some = [row for row in rows if row["method"] == name]
        ours = "finefill" in some[0]["label"]
        axes.plot(
            [row["size"] for row in some],
            [row["ms"] for row in some],
            marker="o",
            linewidth=3 if ours else 1.2,
            linestyle="-" if ours else ":" if name in CLASSICAL else "--",
            label=some[0]["label"],
        )
    axes.set(xscale="log", yscale="log", xlabel="side of the image in pixels", ylabel="ms")
    sizes = sorted({row["size"] for row in rows})
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside right upper")
    axes.set_title(f"One image, {result['machine']['threads']} CPU thread(s)", fontsize=10)
    path.write_bytes(plot_png(figure))


def label(name: str) -> str:
    """How a method is called in tables; that of a file is its name and whether it is in 8 bits."""
    if name in LABELS:
        return LABELS[name]
    from finefill.completion import Engine

    card = Engine(name, threads=1).card
    if card["name"] in LABELS and "recipe" not in card:
        return LABELS[card["name"]]
    return f"finefill {card['name']}" + (", 8 bits" if "int8" in card else f" ({Path(name).name})")


def version(package: str) -> str:
    """Of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


if __name__ == "__main__":
    script(main)
