"""``finefill evaluate``: numbers and a contact sheet for models and baselines."""

from __future__ import annotations

import functools
import hashlib
import shlex
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finefill.errors import FinefillError

if TYPE_CHECKING:
    from finefill.engine import Engine
    from finefill.evaluation.protocol import MaskSet, Method, MethodResult, TestSet

SAMPLES = 24  # completions on the contact sheet
PACKAGES = (
    "finefill",
    "numpy",
    "pillow",
    "onnxruntime",
    "opencv-python-headless",
    "PyPatchMatch",
)


@click.command()
@click.option("--model", "models", multiple=True, help="Shipped model's name or .onnx file.")
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    help="mean, telea, ns or patchmatch (extra 'baselines').",
)
@click.option(
    "--data",
    "paths",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of images or tar shard; more than one may be given.",
)
@click.option(
    "--masks", default="center", show_default=True, help="center, random, freeform or a mask file."
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for per-image.csv, summary.json, summary.md and sheet.png.",
)
def evaluate(
    models: tuple[str, ...],
    baselines: tuple[str, ...],
    paths: tuple[Path, ...],
    masks: str,
    limit: int | None,
    seed: int,
    threads: int,
    folder: Path,
) -> None:
    """Measure models and baselines on the same images and masks.

    Test images are 128x128 centre crops; mean L1, mean L2 and PSNR are taken over the hole on the
    [-1, 1] scale. A model fills as `finefill complete` does; where that adds detail to the
    network's fill, the network alone is measured too. The contact sheet shows 24 completions drawn
    by the seed.
    """
    from finefill.evaluation import protocol, report, sheets
    from finefill.evaluation.baselines import load_baseline
    from finefill.images import replacing
    from finefill.photo import fill_photo

    _check_names([*map(_label, models), *baselines])
    engines = _engines(models, threads)
    methods: dict[str, Method] = {}
    for name, engine in engines.items():
        methods[name] = functools.partial(fill_photo, engine)
        if engine.card["detail"]:
            methods[f"{name}, network alone"] = engine.fill
    methods |= {name: load_baseline(name, threads) for name in baselines}
    test = protocol.load_test_set(paths, limit)
    holes = protocol.make_masks(masks, len(test.names), seed)
    report.prepare_folder(folder)
    click.echo(f"{len(test.names)} images, data SHA-256 {test.sha256}")
    click.echo(f"{holes.kind} masks, seed {seed}, mask set SHA-256 {holes.sha256}")
    if test.enlarged:
        click.echo(f"warning: {test.enlarged} images were smaller than the crop and scaled up")

    shown = sheets.pick(len(test.names), SAMPLES, seed)
    results = {name: _run(name, method, test, holes, shown) for name, method in methods.items()}
    run = {
        "command": _command(models, baselines, paths, masks, limit, seed, threads, folder),
        "device": f"CPU, {threads} thread{'s' if threads > 1 else ''}",
        "versions": _versions(),
        "models": {name: _facts(engine) for name, engine in engines.items()},
    }
    facts = report.summary(test, holes, results, run=run, seed=seed)
    page = report.markdown(facts)
    for name, content in {
        "per-image.csv": report.per_image_csv(test, results).encode(),
        "summary.json": report.to_json(facts).encode(),
        "summary.md": page.encode(),
        "sheet.png": sheets.png(sheets.contact_sheet(test, holes, results, shown)),
    }.items():
        with replacing(folder / name) as file:
            file.write(content)
    click.echo("\n" + page.split("\n\n")[1])
    click.echo(f"\nwritten to {folder}: per-image.csv, summary.json, summary.md, sheet.png")


def _label(model: str) -> str:
    """The name of a model in the results."""
    return Path(model).stem if _is_file(model) else model


def _is_file(model: str) -> bool:
    return Path(model).suffix == ".onnx"


def _engines(models: tuple[str, ...], threads: int) -> dict[str, Engine]:
    from finefill.catalog import locate
    from finefill.engine import Engine

    return {
        _label(model): Engine(model if _is_file(model) else locate(model), threads=threads)
        for model in models
    }


def _check_names(labels: list[str]) -> None:
    if not labels:
        raise FinefillError("nothing to evaluate: give --model or --baseline at least once")
    for label in labels:
        if labels.count(label) > 1:
            raise FinefillError(
                f"two methods are called {label!r}: give each once, by its own name"
            )


def _facts(engine: Engine) -> dict[str, Any]:
    """What identifies a model: its file's SHA-256 and its card, but for the card's own metrics."""
    digest = hashlib.sha256(engine.path.read_bytes()).hexdigest()
    card = {key: value for key, value in engine.card.items() if key != "metrics"}
    return {"sha256": digest, "card": card}


def _run(
    name: str, method: Method, test: TestSet, holes: MaskSet, shown: list[int]
) -> MethodResult:
    from finefill.evaluation import protocol

    try:
        from tqdm import tqdm
    except ImportError:  # a comfort, not a need
        return protocol.evaluate(test, holes, method, keep=shown)
    with tqdm(total=len(test.names), desc=name, unit="image", disable=None) as bar:
        return protocol.evaluate(test, holes, method, keep=shown, after_each=bar.update)


def _command(
    models: tuple[str, ...],
    baselines: tuple[str, ...],
    paths: tuple[Path, ...],
    masks: str,
    limit: int | None,
    seed: int,
    threads: int,
    folder: Path,
) -> str:
    """The command line that repeats this run, defaults written out."""
    words = ["finefill", "evaluate"]
    for option, values in (
        ("--model", models),
        ("--baseline", baselines),
        ("--data", paths),
        ("--masks", (masks,)),
        ("--limit", () if limit is None else (limit,)),
        ("--seed", (seed,)),
        ("--threads", (threads,)),
        ("-o", (folder,)),
    ):
        for value in values:
            words += [option, str(value)]
    return shlex.join(words)


def _versions() -> dict[str, str]:
    """Versions of the installed packages that the numbers depend on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
