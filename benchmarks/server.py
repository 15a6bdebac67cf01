"""Load on `finefill serve`: throughput, latency, errors and memory, next to the engine itself.

    python benchmarks/server.py [--seconds 60] [--clients 32] [--workers 1] [-o FILE.json]
    python benchmarks/server.py --rate 4 --seconds 3600     # a soak: does its memory stay flat?

Every client posts a 256x256 JPEG with a 64x64 hole, again and again; with --rate so many a second
are begun by all of them together, however long they take. Before and after, the same
photograph is completed without a server by as many threads as the server has workers: once with
the file read, checked and written as the server does, once from array to array. The clients run in
this process; what processor time they take from the server is part of the result. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

import finefill
from finefill import files, masks
from finefill.completion import Engine, cpus, fill_photo, locate
from machine import above_zero, script, whole_number

BOX = (96, 96, 64, 64)
DIRECT = 30  # seconds without a server, at most
TICKS = os.sysconf("SC_CLK_TCK")


def photo() -> bytes:
    """A 256x256 JPEG, cut from the bundled photograph."""
    path = Path(finefill.__file__).parent / "assets" / "demo.jpg"
    file = io.BytesIO()
    Image.open(path).crop((100, 100, 356, 356)).save(file, format="JPEG", quality=92)
    return file.getvalue()


def processes(root: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    return [root, *map(int, children)]


def memory(root: int) -> dict[str, float]:
    """Megabytes of a process and its children; PSS counts what they share once."""
    rss = pss = 0
    for process in processes(root):
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
        found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.M))
        rss, pss = rss + int(found["Rss"]), pss + int(found["Pss"])
    return {"rss_mb": round(rss / 1024, 1), "pss_mb": round(pss / 1024, 1)}


def cpu_seconds(root: int) -> float:
    """Processor time of a process and its children."""
    fields = [
        Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        for process in processes(root)
    ]
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS


def direct(seconds: float, workers: int, data: bytes) -> dict[str, dict[str, float]]:
    """Completions without a server: calls, wall and processor seconds of both ways."""
    engine = Engine(locate("places"), threads=max(1, cpus() // workers))
    left, top, width, height = BOX
    mask = np.zeros((256, 256), bool)
    mask[top : top + height, left : left + width] = True
    rgb = files.read_photo(data).rgb

    def array() -> None:
        fill_photo(engine, rgb, mask)

    def file(folder: str) -> None:
        read = files.read_photo(data)
        masks.too_tight(read.rgb, mask)
        path = Path(folder) / f"{time.perf_counter_ns()}.jpg"
        files.write_photo(read, fill_photo(engine, read.rgb, mask), mask, path)
        path.read_bytes()
        path.unlink()

    found = {}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as threads:
        for name, call in (("array", array), ("file", lambda: file(folder))):
            call()

            def repeat(call: Any = call) -> int:
                calls, end = 0, time.perf_counter() + seconds / 2
                while time.perf_counter() < end:
                    call()
                    calls += 1
                return calls

            wall, cpu = time.perf_counter(), time.process_time()
            calls = sum(threads.map(lambda _: repeat(), range(workers)))  # used here
            found[name] = {
                "calls": calls,
                "wall": time.perf_counter() - wall,
                "cpu": time.process_time() - cpu,
            }
    return found


async def load(
    address: str, root: int, seconds: float, clients: int, data: bytes, rate: float | None = None
) -> dict[str, Any]:
    """Post from ``clients`` at once; with ``rate`` so many a second, all together."""
    files = {"image": ("photo.jpg", data, "image/jpeg")}
    form = {"boxes": ",".join(map(str, BOX))}
    ready = httpx.Request("POST", address, files=files, data=form)
    body, kind = ready.read(), {"content-type": ready.headers["content-type"]}
    latencies: list[float] = []
    statuses: dict[str, int] = {}
    series: list[dict[str, float]] = []
    start = time.perf_counter()
    end = start + seconds

    turns = iter(range(sys.maxsize))

    async def one(client: httpx.AsyncClient) -> None:
        while time.perf_counter() < end:
            if rate is not None:
                due = start + next(turns) / rate
                if due >= end:
                    return
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            try:
                answer = await client.post(f"{address}/v1/complete", content=body, headers=kind)
                status = str(answer.status_code)
            except httpx.HTTPError as error:
                status = type(error).__name__
            statuses[status] = statuses.get(status, 0) + 1
            latencies.append(time.perf_counter() - began)

    async def watch() -> None:
        while True:
            series.append({"t": round(time.perf_counter() - start, 1), **memory(root)})
            await asyncio.sleep(max(1.0, seconds / 60))

    limits = httpx.Limits(max_connections=clients)
    server, own = cpu_seconds(root), time.process_time()
    async with httpx.AsyncClient(timeout=120, limits=limits) as client:
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(one(client) for _ in range(clients)))
        watching.cancel()
    wall = time.perf_counter() - start
    series.append({"t": round(wall, 1), **memory(root)})
    good = statuses.get("200", 0)
    quarter = max(1, len(series) // 4)
    first, last = (
        float(np.median([one["rss_mb"] for one in part]))
        for part in (series[:quarter], series[-quarter:])
    )
    return {
        "requests": len(latencies),
        "errors": len(latencies) - good,
        "statuses": statuses,
        "requests_per_second": good / wall,
        "latency_seconds": {
            name: round(float(np.percentile(latencies, at)), 3)
            for name, at in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))
        },
        "server_cpu_seconds_per_request": (cpu_seconds(root) - server) / good,
        "client_cpu_seconds_per_request": (time.process_time() - own) / good,
        "rss_growth_mb": round(last - first, 1),
        "memory": series,
    }


def main() -> None:
    """Measure and print; ``-o`` writes all of it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=above_zero, default=60)
    parser.add_argument("--clients", type=whole_number, default=32)
    parser.add_argument("--workers", type=whole_number, default=1)
    parser.add_argument("--rate", type=float, help="requests a second  [default: all it can]")
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    data = photo()

    command = [sys.executable, "-m", "finefill", "serve", "--port", "0", "--model", "places"]
    options = ["--workers", str(chosen.workers), "--queue", str(2 * chosen.clients)]
    server = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found, "the server does not start"
        address = found[0]
        idle = memory(server.pid)
        with httpx.Client(timeout=60) as client:
            for _ in range(20):
                client.post(
                    f"{address}/v1/complete",
                    files={"image": data},
                    data={"boxes": ",".join(map(str, BOX))},
                ).raise_for_status()
        after = memory(server.pid)
        alone = min(chosen.seconds / 4, DIRECT)
        before = direct(alone, chosen.workers, data)
        loaded = asyncio.run(
            load(address, server.pid, chosen.seconds, chosen.clients, data, chosen.rate)
        )
        again = direct(alone, chosen.workers, data)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)

    result: dict[str, Any] = {
        "command": "python benchmarks/server.py " + " ".join(sys.argv[1:]),
        "finefill": finefill.__version__,
        "python": platform.python_version(),
        "cpus": cpus(),
        "clients": chosen.clients,
        "workers": chosen.workers,
        "rate": chosen.rate,
        "seconds": chosen.seconds,
        "idle": idle,
        "after_20_requests": after,
        **loaded,
        "direct": {},
    }
    for way in ("array", "file"):
        calls, wall, cpu = (before[way][key] + again[way][key] for key in ("calls", "wall", "cpu"))
        result["direct"][way] = {
            "calls_per_second": calls / wall,
            "cpu_seconds_per_call": cpu / calls,
            "throughput_ratio": loaded["requests_per_second"] * wall / calls,
            "cpu_ratio": cpu / calls / loaded["server_cpu_seconds_per_request"],
        }
    if chosen.output:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    del result["memory"]
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    script(main)
