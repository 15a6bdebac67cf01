"""Commands that complete photographs: complete, demo, models."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import click

from finefill import images, masks
from finefill.catalog import load, names
from finefill.errors import FinefillError
from finefill.photo import fill_photo

ASSETS = Path(__file__).parent.parent / "assets"


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option(
    "--mask",
    "mask_path",
    required=True,
    type=click.Path(path_type=Path),
    help="Image of the photo's size: white is completed, black is kept.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Written in the format of its extension; the size and mode stay the photo's.",
)
@click.option(
    "--model",
    default="places",
    show_default=True,
    help="A name that `finefill models` lists, or an .onnx file.",
)
@click.option("--resize-mask", is_flag=True, help="Scale a mask of another size.")
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=images.MAX_PIXELS,
    show_default=True,
    help="Refuse larger images before decoding them.",
)
def complete(
    photo: Path, mask_path: Path, output: Path, model: str, resize_mask: bool, max_pixels: int
) -> None:
    """Complete the masked part of PHOTO."""
    images.output_format(output)  # before any work
    with _warnings_on_stderr():
        read = images.read_photo(photo, max_pixels=max_pixels)
        mask = masks.read_mask(
            mask_path, read.rgb.shape[:2], resize=resize_mask, max_pixels=max_pixels
        )
    images.write_photo(read, fill_photo(load(model), read.rgb, mask), mask, output)


@click.command()
@click.option(
    "-o",
    "--output",
    "folder",
    default="demo",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for the picture.",
)
def demo(folder: Path) -> None:
    """Complete the bundled photograph: before, mask and after side by side."""
    import numpy as np
    from PIL import Image

    start = time.perf_counter()
    before = images.read_photo(ASSETS / "demo.jpg").rgb
    mask = masks.read_mask(ASSETS / "demo-mask.png", before.shape[:2])
    after = fill_photo(load("places"), before, mask)
    seconds = time.perf_counter() - start

    white = np.full((before.shape[0], 8, 3), 255, np.uint8)
    shown = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * np.uint8(255)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FinefillError(f"{folder}: cannot be made: {error.strerror}") from error
    path = folder / "demo.png"
    with images.replacing(path) as file:
        sheet = Image.fromarray(np.hstack([before, white, shown, white, after]))
        sheet.save(file, format="PNG")
    click.echo(f"{path}: before, mask, after; completed in {seconds:.2f} s")


@click.command()
def models() -> None:
    """List the installed models with their cards."""
    if not (installed := names()):
        click.echo("no models are installed: give --model FILE.onnx", err=True)
    for name in installed:
        card = load(name).card
        click.echo(name)
        for key in (
            "domain", "version", "date", "trained_size", "hole_range", "samples", "parameters",
            "data", "licence", "terms", "recipe", "device", "metrics",
        ):  # fmt: skip
            if key in card:
                click.echo(f"  {key.replace('_', ' ')}: {_text(card[key])}")


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


@contextlib.contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            click.echo(f"finefill: warning: {warning.message}", err=True)
