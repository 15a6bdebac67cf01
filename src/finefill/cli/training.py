"""``finefill train`` and ``finefill export`` (extra ``train``)."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import click

from finefill.cli import options
from finefill.completion import Engine, catalog
from finefill.data import recipes
from finefill.errors import FinefillError
from finefill.files import replacing


@click.command()
@click.option("--recipe", type=click.Choice(sorted(recipes.RECIPES)), help="Named settings.")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="SOURCE",
    help="Folder of images, tar shard, address or pipe:COMMAND of a shard, {000..099} for many; "
    "may be repeated.",
)
@click.option(
    "--stream", is_flag=True, help="Read shards as they are needed, instead of into memory."
)
@click.option(
    "--exclude",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Photographs to leave out, one SHARD.tar NAME (or * NAME) a line.",
)
@click.option(
    "-o", "--output", "run", required=True, type=click.Path(path_type=Path), help="Run folder."
)
@click.option("--resume", is_flag=True, help="Continue from the run's checkpoint.")
@click.option(
    "--from",
    "start",
    metavar="RUN|MODEL",
    help="Begin with the generator of this run, checkpoint, .onnx file or shipped model "
    "(fine-tuning).",
)
@click.option("--max-minutes", type=float, help="Stop cleanly with a checkpoint after this time.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--resident", is_flag=True, help="Keep photographs on the device, and cut crops there."
)
@click.option("--vgg", type=click.Path(path_type=Path), help="VGG16 weights to use.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def train(
    recipe: str | None,
    data: tuple[str, ...],
    stream: bool,
    exclude: Path | None,
    run: Path,
    resume: bool,
    start: str | None,
    max_minutes: float | None,
    settings: tuple[str, ...],
    device: str,
    resident: bool,
    vgg: Path | None,
    quiet: bool,
) -> None:
    """Train a model on photographs: L_rec first, then all terms.

    Several devices or machines: torchrun --nproc-per-node N -m finefill train …
    """
    need_torch()
    from finefill.data import Stream, is_stream, read_exclusions, read_photos
    from finefill.export import begin_with
    from finefill.training import place, stored_recipe
    from finefill.training import train as train_run

    if resume and start is not None:
        raise FinefillError("--resume and --from exclude each other: choose one")
    if resume:
        chosen = stored_recipe(run)
        if recipe is not None and recipe != chosen.name:
            raise FinefillError(f"{run}: was started with recipe {chosen.name}, not {recipe}")
    elif recipe is None:
        raise FinefillError(f"--recipe is missing: choose from {', '.join(recipes.RECIPES)}")
    else:
        chosen = recipes.get(recipe)
    chosen = recipes.override(chosen, settings)
    world = place()
    left_out = frozenset() if exclude is None else read_exclusions(exclude)
    shown = not quiet and world.first
    with options.warnings_on_stderr():
        source = (
            Stream(data, chosen, exclude=left_out, rank=world.rank, size=world.size)
            if stream or any(map(is_stream, data))
            else read_photos(list(map(Path, data)), chosen, exclude=left_out, progress=shown)
        )
    with options.warnings_at_once():
        done = train_run(
            chosen,
            source,
            run,
            resume=resume,
            start=None if start is None else functools.partial(begin_with, begin_at(start)),
            max_minutes=max_minutes,
            device=device,
            resident=resident,
            vgg=vgg,
            quiet=not shown,
        )
    if not world.first:
        return
    hint = f"finefill export {run} -o MODEL.onnx" if done else "go on with --resume"
    click.echo(f"{'complete' if done else 'stopped'}: {run} ({hint})")


def begin_at(source: str) -> Path:
    """The run or file to begin with; a shipped model's name stands for its file in float32.

    Raises:
        FinefillError: nothing of that name, or the shipped model's file is damaged.
    """
    shipped = catalog.names()
    exact = f"{source.removesuffix('-fp32')}-fp32"
    if exact in shipped:
        return catalog.locate(exact)
    if not Path(source).exists():
        raise FinefillError(
            f"--from {source}: no such run, checkpoint or .onnx file, and no model of that name "
            f"is installed ({', '.join(shipped)})"
        )
    return Path(source)


def need_torch() -> None:
    """Say what to install where PyTorch is missing."""
    try:
        import torch  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise FinefillError(
            f"training needs PyTorch ({error}): pip install 'finefill[train]'"
        ) from error


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The .onnx file."
)
@click.option("--last", is_flag=True, help="The last checkpoint instead of the best one.")
@click.option(
    "--card",
    type=click.Path(path_type=Path),
    help="JSON with name, version, domain, licence, terms, data, metrics, detail, doubt.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Also write FILE.json: how other programs use the file."
)
@click.option("--half-weights", is_flag=True, help="Store weights as float16: half the file.")
@click.option(
    "--int8", is_flag=True, help="Calculate in 8 bits: a third of the time. Needs --calibration."
)
@click.option(
    "--calibration",
    multiple=True,
    metavar="PHOTOS",
    type=click.Path(path_type=Path),
    help="Folder or tar shard of photographs for --int8, like those of the training but not the "
    "test images; may be repeated.",
)
def export(
    run: Path,
    output: Path,
    last: bool,
    card: Path | None,
    as_json: bool,
    half_weights: bool,
    int8: bool,
    calibration: tuple[Path, ...],
) -> None:
    """Write a trained run (folder or checkpoint file) as one ONNX file.

    Where RUN is an exported model, it is written again with what --card says.
    """
    if int8 and not calibration:
        raise FinefillError(
            "--int8 needs --calibration: a folder or tar shard of photographs like those of the "
            "training"
        )
    if calibration and not int8:
        raise FinefillError("--calibration is for 8 bits: add --int8, or leave it out")
    if int8 and half_weights:
        raise FinefillError("--int8 and --half-weights exclude each other: choose one")
    need_torch()
    from finefill.data import iterate_images
    from finefill.export import export as export_run
    from finefill.export import rewrite_card
    from finefill.training import checkpoint

    about: dict[str, object] = {}
    if card is not None:
        try:
            about = json.loads(card.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FinefillError(f"{card}: not a readable JSON file ({error})") from error
    if as_json and card is not None and output.with_suffix(".json").resolve() == card.resolve():
        raise FinefillError(f"--json would write over {card}: give --card a file of another name")
    if output.is_dir():
        raise FinefillError(f"{output}: is a folder: name an .onnx file")
    if not output.parent.is_dir():
        raise FinefillError(f"{output}: the folder {output.parent} does not exist; make it first")
    if run.suffix == ".onnx":
        if card is None or last or half_weights or int8:
            raise FinefillError(
                f"{run}: is an exported model: of that only the card is changed, by --card alone"
            )
        done = rewrite_card(run, output, about)
        click.echo(f"{output}: {done['name']}, version {done['version']}, with the new card")
        if as_json:
            _write_json(output)
        return
    for source in calibration:
        next(iterate_images([source]))  # wrong ones are told now, not after the export
    path = run
    if run.is_dir():
        names = (checkpoint.LAST,) if last else (checkpoint.BEST, checkpoint.LAST)
        path = next((run / name for name in names if (run / name).exists()), run / names[0])
    done = export_run(path, output, about, half_weights=half_weights, photos=calibration)
    click.echo(
        f"{output}: {done['parameters'] / 1e6:.2f}M parameters, {done['samples']} samples, "
        f"largest difference from PyTorch {done['difference']:.1e}"
        + (f", mean change by rounding {done['rounding']:.1e}" if half_weights else "")
        + (f"; in 8 bits {_change(done['int8'])}" if int8 else "")
    )
    if as_json:
        _write_json(output)


def _write_json(output: Path) -> None:
    """Say beside a model how it is used."""
    path = output.with_suffix(".json")
    with replacing(path) as file:
        file.write(Engine(output, threads=1).convention.text().encode())
    click.echo(f"{path}: how other programs use it")


def _change(found: dict[str, float]) -> str:
    """What 8 bits changed, for people."""
    text = f"PSNR {found['psnr_change']:+.3f} dB"
    if "vgg16_change" in found:
        text += f", VGG16 distance {100 * found['vgg16_change']:+.2f} %"
    return f"{text} on {found['photographs'] // 2} photographs"
