"""``finefill reproduce``: the paper's tables and figures (extra ``reproduce``)."""

from __future__ import annotations

import importlib.util
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finefill.cli import options
from finefill.cli.training import need_torch
from finefill.errors import FinefillError

if TYPE_CHECKING:
    from finefill.reproduce import Budget, Experiment, Variant

NEEDED = {"cv2": "opencv", "skimage": "scikit-image", "matplotlib": "matplotlib"}
FIGURE9 = "figure9"


@click.command()
@click.argument("experiments", nargs=-1, required=True)
@click.option(
    "--train",
    "photos",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Training photographs: folder, tar shard or folder in a shard; may be repeated.",
)
@click.option(
    "--exclude",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Training photographs to leave out, one SHARD.tar NAME (or * NAME) a line.",
)
@click.option(
    "--test",
    "test",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Test photographs, likewise. For figure9 with STEM.labels.png beside them.",
)
@click.option(
    "-o", "--output", "runs", type=click.Path(path_type=Path), help="Folder of the trainings."
)
@click.option(
    "--results",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the page; sections of other experiments in it stay.",
)
@click.option("--subject", default="", help="What the photographs show, to keep sections apart.")
@click.option("--samples", type=int, default=500_000, show_default=True, help="For each variant.")
@click.option("--size", type=int, default=128, show_default=True, help="Image side, 64 or 128.")
@click.option(
    "--crop",
    type=click.IntRange(min=1),
    help="Side of the squares cut from photographs as they are and scaled to --size: the paper's "
    "faces are 160 to 128, at half their size 80 to 64. Default: the shorter side fits first.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--limit", type=click.IntRange(min=2), help="Only the first so many test images.")
@click.option(
    "--without",
    "left_out",
    multiple=True,
    metavar="VARIANT",
    help="A row to leave out, not trained and not measured, by its name; may be repeated.",
)
@click.option("--max-minutes", type=float, help="Stop training cleanly after this time.")
@click.option("--train-only", is_flag=True, help="Help another process on the same -o training.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--vgg", type=click.Path(path_type=Path), help="VGG16 weights to use.")
@click.option("--model", default="places", show_default=True, help="For figure9: name or .onnx.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
def reproduce(
    experiments: tuple[str, ...],
    photos: tuple[Path, ...],
    exclude: Path | None,
    test: tuple[Path, ...],
    runs: Path | None,
    results: Path,
    subject: str,
    samples: int,
    size: int,
    crop: int | None,
    seed: int,
    limit: int | None,
    left_out: tuple[str, ...],
    max_minutes: float | None,
    train_only: bool,
    device: str,
    vgg: Path | None,
    model: str,
    quiet: bool,
) -> None:
    """Train what the paper compares, measure it, and write a page of results.

    EXPERIMENTS: table1, figure2, figure4 to figure9, weights, beyond, margin, mild, all (but
    figure9). Every variant sees the same number of samples. A stopped command goes on where it was;
    the same command started in several processes shares the trainings.
    """
    need_torch()
    for module, package in NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise FinefillError(f"{package} is missing: pip install 'finefill[reproduce]'")
    from finefill.data import Photos, read_exclusions
    from finefill.evaluation import prepare_folder
    from finefill.reproduce import Budget, base, train_variants, variants
    from finefill.reproduce import experiments as known

    chosen = known.select(tuple(name for name in experiments if name != FIGURE9))
    budget = Budget(samples, size, seed, crop)
    plans = variants.variants(budget)
    chosen = known.without(chosen, left_out)
    chosen = [_reachable(experiment, plans, vgg) for experiment in chosen]
    if chosen and (not photos or runs is None):
        raise FinefillError("give training photographs with --train and a folder with -o")
    prepare_folder(results)
    if FIGURE9 in experiments:
        _figure9(test, model, seed, results, subject)
    if not chosen:
        return
    assert runs is not None  # checked above
    deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    gone = frozenset() if exclude is None else read_exclusions(exclude)
    with options.warnings_on_stderr():
        crops = Photos(photos, base(budget), exclude=gone, progress=not quiet)
    names = known.variants_of(chosen)
    done = train_variants(
        names, plans, crops, runs, deadline=deadline, device=device, vgg=vgg, quiet=quiet
    )
    if not done:
        click.echo(f"stopped: {runs} (run the same command again to go on)")
        return
    if not train_only:
        words: dict[str, tuple[Any, ...]] = {
            "--train": photos,
            "--exclude": () if exclude is None else (exclude,),
            "--test": test,
            "-o": (runs,),
            "--results": (results,),
            "--subject": (subject,) if subject else (),
            "--samples": (samples,),
            "--size": (size,),
            "--crop": () if crop is None else (crop,),
            "--seed": (seed,),
            "--limit": () if limit is None else (limit,),
            "--without": left_out,
        }
        _measure(chosen, plans, budget, test, runs, results, subject, limit, words)


def _reachable(experiment: Experiment, plans: dict[str, Variant], vgg: Path | None) -> Experiment:
    """The experiment without variants whose VGG16 layers the weights at hand lack; told."""
    import dataclasses

    from finefill.nets import load_vgg16

    kept = []
    for name in experiment.variants:
        recipe = plans[name].recipe
        if recipe.perceptual_proportion > 0 and not plans[name].dcgan:
            try:
                load_vgg16([layer for layer, _ in recipe.vgg_layers], vgg)
            except FinefillError as error:
                if "deeper" not in str(error):
                    raise
                click.echo(f"{experiment.name}: without {name}: {error}")
                continue
        kept.append(name)
    return dataclasses.replace(experiment, variants=tuple(kept))


def _measure(
    chosen: list[Experiment],
    plans: dict[str, Variant],
    budget: Budget,
    test: tuple[Path, ...],
    runs: Path,
    results: Path,
    subject: str,
    limit: int | None,
    words: dict[str, tuple[Any, ...]],
) -> None:
    from finefill.evaluation import metrics, protocol
    from finefill.reproduce import Bench, measure, page

    measures, skipped = metrics.select()
    for name, why in skipped.items():
        click.echo(f"without {name}: {why}")
    bench = Bench(
        protocol.load_test_set(test, limit, budget.size, side=budget.crop),
        measures,
        runs,
        plans,
        budget.seed,
        {},
    )
    for experiment in chosen:
        facts, images = measure.measure(bench, experiment, click.echo)
        facts["command"] = _command(experiment.name, words)
        page.write_section(results, experiment.name, facts, images, subject)
        click.echo(f"{experiment.name}: {results / page.PAGE}")


def _figure9(test: tuple[Path, ...], model: str, seed: int, results: Path, subject: str) -> None:
    from finefill.completion import Engine, locate
    from finefill.reproduce import page, removal

    engine = Engine(model if model.endswith(".onnx") else locate(model))
    sheet, names = removal.sheet(test, engine, seed)
    words: dict[str, tuple[Any, ...]] = {
        "--test": test,
        "--results": (results,),
        "--subject": (subject,) if subject else (),
        "--seed": (seed,),
        "--model": (model,),
    }
    facts = {"photographs": names, "command": _command(FIGURE9, words)}
    page.write_section(results, FIGURE9, facts, {FIGURE9: sheet}, subject)
    click.echo(f"{FIGURE9}: {results / page.PAGE}")


def _command(experiment: str, options: dict[str, tuple[Any, ...]]) -> str:
    """The command line that repeats a section, defaults written out."""
    words = ["finefill", "reproduce", experiment]
    for option, values in options.items():
        for value in values:
            words += [option, str(value)]
    return shlex.join(words)
