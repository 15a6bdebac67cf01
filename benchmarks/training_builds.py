"""An older build and this one, side by side: images a second of a training with all terms.

    python benchmarks/training_builds.py BEFORE -o docs/results/training-builds.json

BEFORE is the folder ``src`` of an older checkout. Each row of the result is a process of its own;
they take turns, several steps each, so that whatever else the machine does falls on all of them.
The time is the process's own, of one thread: it stands still while other programs have the core.
Memory that a process asks for in a step, the system's work for it too, is part of that time.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finefill.errors import FinefillError
from machine import processor, script, whole_number

HERE = Path(__file__).resolve().parent
NOW, BEFORE = HERE.parent / "src", "before"
# What the recipe has since, and the older build does not know: rows go on from a step without.
PLAIN = {"perceptual_rank": 1.0, "discriminator_window": 0}
CHANGES: dict[str, dict[str, Any]] = {
    "now, perceptual term in a window of 64": {"perceptual_window": 64},
    "now, perceptual network of rank 0.5": {"perceptual_rank": 0.5},
    "now, discriminator in a window of 96": {"discriminator_window": 96},
    "now, rank 0.5 and window of 96": {"perceptual_rank": 0.5, "discriminator_window": 96},
    "now, rank 0.375 and window of 96": {"perceptual_rank": 0.375, "discriminator_window": 96},
    "now, rank 0.25 and window of 96": {"perceptual_rank": 0.25, "discriminator_window": 96},
    "now, perceptual term in every second step": {"perceptual_every": 2},
    "now, perceptual term in every third step": {"perceptual_every": 3},
}
# Row: build, whether the process keeps freed memory, changes of the recipe `scenes`.
ROWS: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "before": (BEFORE, False, {}),
    "now, memory given back": ("now", False, PLAIN),
    "now": ("now", True, PLAIN),
    **{name: ("now", True, PLAIN | changes) for name, changes in CHANGES.items()},
}


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", type=Path, nargs="?", help="src of an older checkout")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--batch", type=whole_number, default=16)
    parser.add_argument("--repeats", type=whole_number, default=5, help="turns of each row")
    parser.add_argument("--steps", type=whole_number, default=6, help="of a turn: a multiple of 6")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of every row")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(**json.loads(options.worker))
        return
    if options.before is None or options.output is None or options.steps % 6:
        parser.error("BEFORE, -o and steps that are a multiple of 6 are needed")
    seconds: dict[str, list[float]] = {name: [] for name in options.rows}
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(start(name, options)) for name in options.rows}
        for worker in workers.values():
            turn(worker, 2)  # the first steps allocate
        for _ in range(options.repeats):
            for name, worker in workers.items():
                seconds[name].append(turn(worker, options.steps) / options.steps)
        for worker in workers.values():
            assert worker.stdin is not None
            worker.stdin.close()
    rows = []
    for name, found in seconds.items():
        ratios = [a / b for a, b in zip(seconds[options.rows[0]], found, strict=True)]
        rows.append(
            {
                "row": name,
                "seconds": [round(s, 4) for s in found],
                "images_per_second": round(options.batch / statistics.median(found), 2),
                "ratio": round(statistics.median(ratios), 3),
                "ratio_least": round(min(ratios), 3),
                "ratio_most": round(max(ratios), 3),
                # Of each row's quickest turn: the one that others disturbed least.
                "ratio_of_quickest": round(min(seconds[options.rows[0]]) / min(found), 3),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    result = {"device": processor(), "load": round(os.getloadavg()[0], 1), "settings": options.set}
    result |= {"batch": options.batch, "steps": options.steps, "rows": rows}
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def start(name: str, options: argparse.Namespace) -> subprocess.Popen[str]:
    """The process of a row."""
    build, keep, settings = ROWS[name]
    source = options.before if build == BEFORE else NOW
    work = {"keep": keep, "batch": options.batch, "settings": settings, "every": options.set}
    return subprocess.Popen(
        [sys.executable, __file__, "--worker", json.dumps(work)],
        env=os.environ | {"PYTHONPATH": str(source.resolve()), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def turn(worker: subprocess.Popen[str], steps: int) -> float:
    """Let a process take some steps; its own seconds for them."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{steps}\n")
    worker.stdin.flush()
    if not (line := worker.stdout.readline()):
        raise FinefillError("the process of a row ended: its message is above")
    return float(line)


def work(*, keep: bool, batch: int, settings: dict[str, Any], every: list[str]) -> None:
    """A row: takes as many steps as each line of its input asks for, and prints their seconds."""
    import click
    import torch

    from finefill.cli import cli
    from finefill.data import recipes
    from finefill.training import batches, schedule, stages
    from finefill.training.steps import train_step
    from training import photographs

    if keep:  # as `finefill train` does when it starts
        cli.get_command(click.Context(cli), "train")
    torch.set_num_threads(1)
    recipe = recipes.override(recipes.scenes(), every)
    recipe = dataclasses.replace(recipe, batch=batch, rec_samples=0, **settings)
    photos = photographs(None, recipe)
    parts = stages.first_stage(recipe, torch.device("cpu"))
    # Builds before low ranks did not show it photographs.
    shown: dict[str, Any] = {"photos": photos} if takes(stages.second_stage, "photos") else {}
    stages.second_stage(parts, vgg=None, **shown)
    parts.lambdas = {"adv": 0.1, "per": 0.1, "match": 0.1}
    schedule.set_rates(parts, 0)
    seldom = takes(train_step, "perceptual")
    step = 0
    for line in sys.stdin:
        begin = time.process_time()
        for _ in range(int(line)):
            image, mask = batches.next_batch(parts, photos, step)
            due = {"perceptual": schedule.perceptual_due(recipe, step)} if seldom else {}
            train_step(parts, image, mask, schedule.label_source(recipe, step), **due)
            step += 1
        print(time.process_time() - begin, flush=True)


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a build's function has a parameter of this name."""
    return name in inspect.signature(function).parameters


if __name__ == "__main__":
    script(main)
