"""Minutes of an accelerator used well: data sent in parts, a study of speed, a training that fits.

    python tools/train-accelerator.py keep shards/*.tar --to /tmp/kept       # in every call
    python tools/train-accelerator.py run work/run --kept /tmp/kept --minutes 12 -- \
        --recipe scenes --from places --set rec_samples=0

For a machine that is lent for minutes, and takes a limited size with each call while it stays: so
``keep`` stores shards outside of what travels, call after call, and checks that each can be read.
``run`` spends its minutes on

1. a check that DistributedDataParallel runs on the device, in one process (NCCL, on a CPU gloo);
2. the study (``--study`` minutes): benchmarks/training.py, images a second in float32, bfloat16,
   channels-last, compiled and as CUDA graphs, beside the floors by FLOP and bytes;
3. ``finefill train --resident`` for the rest, with as many samples as the measured speed allows, so
   that the rate has fallen to its end when the minutes are over; what follows -- goes to it;
4. the checkpoint in pieces below ``--mib``, to be joined by ``tools/train-slices.py join``.

``--device cpu --recipe tiny`` tries all of it where there is no accelerator.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import click
import torch
import torch.distributed as dist

from finefill.data import iterate_images
from finefill.errors import FinefillError
from finefill.training import checkpoint

ROOT = Path(__file__).resolve().parents[1]
SPEED = "speed.json"
TRAINED = "perceptual network of low rank"  # the study's variant that is what ``train`` runs
SPARE = 0.85  # of the samples that fit by the measured speed: validation, checkpoints


@click.group(help=__doc__.partition("\n")[0] if __doc__ else None)
def cli() -> None:
    """The commands."""


@cli.command()
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Path(path_type=Path), help="Folder that stays.")
def keep(shards: tuple[Path, ...], to: Path) -> None:
    """Store shards of photographs where later calls find them."""
    to.mkdir(parents=True, exist_ok=True)
    for shard in shards:
        count = sum(1 for _ in iterate_images([shard]))
        part = to / f"{shard.name}.part"
        shutil.copyfile(shard, part)
        os.replace(part, to / shard.name)
        click.echo(f"{to / shard.name}: {count} photographs")
    click.echo(f"{to}: {len(list(to.glob('*.tar')))} shards")


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("settings", nargs=-1, type=click.UNPROCESSED)
@click.option("--kept", required=True, type=click.Path(path_type=Path), help="Folder of keep.")
@click.option("--minutes", required=True, type=float, help="Of this command, all in all.")
@click.option("--study", default=2.0, show_default=True, help="Minutes of the study; 0: none.")
@click.option("--batch", default=64, show_default=True, help="Images of a step.")
@click.option("--mib", default=15.0, show_default=True, help="Size of a checkpoint's piece.")
@click.option("--device", default="cuda", show_default=True)
def run(
    run: Path,
    settings: tuple[str, ...],
    kept: Path,
    minutes: float,
    study: float,
    batch: int,
    mib: float,
    device: str,
) -> None:
    """Check, study, train, and leave the checkpoint in pieces."""
    deadline = time.monotonic() + 60 * minutes
    shards = sorted(kept.glob("*.tar"))
    if not shards:
        raise FinefillError(f"{kept}: no shards there: store some with keep")
    if device == "cuda" and not torch.cuda.is_available():
        raise FinefillError("no CUDA device here: use --device cpu to try this out")
    run.mkdir(parents=True, exist_ok=True)
    slices = tool("train-slices")
    last = run / checkpoint.LAST
    slices.take_newer(last)
    click.echo(distributed(device))
    speed = measured(run, shards[0], study, batch, device) if study > 0 else None

    sources = [f"--data={shard}" for shard in shards]
    command = [sys.executable, "-m", "finefill", "train", *sources, "-o", str(run), "--resident"]
    command += ["--device", device, "--set", f"batch={batch}", *settings]
    if last.exists():
        command = [*slices.without_from(command), "--resume"]
    left = deadline - time.monotonic()
    if speed is not None:
        done = int(checkpoint.read_state(last)["step"]) * batch if last.exists() else 0
        more = int(SPARE * speed * left)
        command += ["--set", f"all_samples={max(batch, done + more)}"]
        click.echo(f"{speed:.0f} images a second: {more} samples in {left / 60:.1f} minutes")
    command += ["--max-minutes", f"{left / 60:.3f}"]
    trained = subprocess.run(command, check=False)
    if trained.returncode:
        raise FinefillError(f"{run}: the training ended with an error, see above")
    for file in (last, run / checkpoint.BEST):
        if file.exists():
            click.echo(f"{file}: {slices.split_file(file, mib)} pieces")


def distributed(device: str) -> str:
    """Take one step of DistributedDataParallel, alone in its group; what happened, in a line."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, rank=0, world_size=1)
    try:
        net = torch.nn.Conv2d(3, 4, 3).to(device)
        expected = net.weight.detach().clone()
        shared = torch.nn.parallel.DistributedDataParallel(net)
        shared(torch.ones(2, 3, 8, 8, device=device)).mean().backward()
        gradient = net.weight.grad
        if gradient is None or not torch.allclose(gradient, torch.full_like(expected, 0.25)):
            raise FinefillError(f"{backend}: DistributedDataParallel averaged wrong gradients")
    finally:
        dist.destroy_process_group()
    return f"{backend}: DistributedDataParallel runs in one process"


def measured(run: Path, shard: Path, minutes: float, batch: int, device: str) -> float | None:
    """Run the study and write it beside the run.

    Returns:
        Images a second of a step with all terms; None where the minutes were not enough.
    """
    output = run / SPEED
    command = [sys.executable, str(ROOT / "benchmarks" / "training.py"), "-o", str(output)]
    command += ["--device", device, "--batch", str(batch), "--data", str(shard)]
    command += ["--plans", "scenes", "--stages", "all terms", "--repeats", "3"]
    command += ["--steps", "20" if device == "cuda" else "2"]
    with (run / "study.log").open("w", encoding="utf-8") as log:
        try:
            subprocess.run(command, stdout=log, timeout=60 * minutes, check=True)
        except subprocess.TimeoutExpired:
            click.echo(f"{output}: the study did not end within {minutes:g} minutes")
        except subprocess.CalledProcessError as error:
            raise FinefillError(f"{output}: the study ended with an error, see above") from error
    try:
        rows = json.loads(output.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError):
        return None
    found = {row["variant"]: row.get("images_per_second") for row in rows}
    return found.get(TRAINED)


def tool(name: str) -> ModuleType:
    """Another script of this folder, as a module."""
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), ROOT / f"tools/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    try:
        cli()
    except FinefillError as error:
        click.echo(f"train-accelerator: {error}", err=True)
        sys.exit(2)
