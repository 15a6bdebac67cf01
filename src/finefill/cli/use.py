"""Commands that complete photographs: complete, demo, models."""

from __future__ import annotations

import contextlib
import hashlib
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from finefill import images, masks, regions
from finefill.catalog import load, names
from finefill.errors import FinefillError
from finefill.photo import fill_photo

ASSETS = Path(__file__).parent.parent / "assets"


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option(
    "--mask",
    "mask_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Image of the photo's size: white is completed, black is kept.",
)
@click.option(
    "--box",
    "boxes",
    multiple=True,
    metavar="X,Y,W,H",
    help="Rectangle to complete: left, top, width, height in pixels of the upright photo.",
)
@click.option(
    "--polygon",
    "polygons",
    multiple=True,
    metavar='"X,Y X,Y X,Y"',
    help="Polygon to complete, by its corners.",
)
@click.option(
    "--coco",
    type=click.Path(path_type=Path),
    help="COCO annotations (JSON): the objects of the image with the photo's file name.",
)
@click.option("--labelme", type=click.Path(path_type=Path), help="Shapes of a labelme file (JSON).")
@click.option(
    "--label",
    "labels",
    multiple=True,
    help="Take only objects of this name from --coco and --labelme.",
)
@click.option(
    "--mask-color",
    "colour",
    metavar="#RRGGBB",
    help="Complete what is painted over in this colour in the photo itself.",
)
@click.option(
    "--mask-tolerance",
    "tolerance",
    type=click.FloatRange(0, 442),
    default=regions.TOLERANCE,
    show_default=True,
    help="How far from --mask-color a pixel may be (Euclidean distance of RGB).",
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
@click.option(
    "--grow",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Widen the mask by so many pixels on all sides.",
)
@click.option("--resize-mask", is_flag=True, help="Scale a mask of another shape.")
@click.option("--keep-polarity", is_flag=True, help="Take a mask that looks inverted as it is.")
@click.option("--strict", is_flag=True, help="Stop where there would be a warning.")
@click.option(
    "--verify",
    is_flag=True,
    help="Read the output back and compare what is outside the mask with the photo.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=images.MAX_PIXELS,
    show_default=True,
    help="Refuse larger images before decoding them.",
)
def complete(
    photo: Path,
    mask_paths: tuple[Path, ...],
    boxes: tuple[str, ...],
    polygons: tuple[str, ...],
    coco: Path | None,
    labelme: Path | None,
    labels: tuple[str, ...],
    colour: str | None,
    tolerance: float,
    output: Path,
    model: str,
    grow: int,
    resize_mask: bool,
    keep_polarity: bool,
    strict: bool,
    verify: bool,
    max_pixels: int,
) -> None:
    """Complete a part of PHOTO.

    Say which by --mask, --box, --polygon, --coco, --labelme or --mask-color; several add up.
    """
    images.output_format(output)  # before any work
    if not (mask_paths or boxes or polygons or coco or labelme or colour):
        raise FinefillError(
            f"{photo}: nothing says what to complete: give --mask FILE, --box X,Y,W,H, "
            "--polygon 'X,Y X,Y X,Y', --coco FILE, --labelme FILE or --mask-color '#RRGGBB'"
        )
    if labels and not (coco or labelme):
        raise FinefillError(
            f"--label {labels[0]}: chooses from annotations: give --coco FILE or --labelme FILE"
        )
    with _warnings_on_stderr(strict=strict):
        read = images.read_photo(photo, max_pixels=max_pixels)
        size = read.rgb.shape[:2]
        hole = np.zeros(size, bool)
        for path in mask_paths:
            hole |= masks.read_mask(
                path,
                size,
                resize=resize_mask,
                keep_polarity=keep_polarity,
                max_pixels=max_pixels,
            )
        for text in boxes:
            hole |= regions.box(text, size)
        for text in polygons:
            hole |= regions.polygon(text, size)
        if coco:
            hole |= regions.coco(coco, photo.name, size, labels, resize=resize_mask)
        if labelme:
            hole |= regions.labelme(labelme, size, labels, resize=resize_mask)
        if colour:
            hole |= regions.colour(read.rgb, colour, tolerance=tolerance, name=str(photo))
        hole = masks.check(masks.grow(hole, grow), str(photo))
        if more := masks.too_tight(read.rgb, hole):
            warnings.warn(
                f"{photo}: the mask seems to end at its object's edge, and what it leaves of the "
                f"object grows back: draw it wider, or widen it with --grow {grow + more}",
                stacklevel=1,
            )
    images.write_photo(read, fill_photo(load(model), read.rgb, hole), hole, output)
    if verify:
        click.echo(_verify(read, hole, output, max_pixels))


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


def _verify(photo: images.Photo, mask: masks.Mask, output: Path, max_pixels: int) -> str:
    """What the written file has outside the mask, in a line, compared with the photo.

    Raises:
        FinefillError: it is not the same, though the format could keep it.
    """
    written = images.read_photo(output, max_pixels=max_pixels)
    if written.rgb.shape != photo.rgb.shape:
        raise FinefillError(f"{output}: not verified: its size is not the photo's: complete again")
    (before, _), (after, transparent) = (_with_alpha(image) for image in (photo, written))
    before, after = before[~mask], after[~mask]
    hashed = after if transparent else after[:, :3]
    digest = hashlib.sha256(hashed.tobytes()).hexdigest()
    distance = np.abs(before.astype(np.int16) - after).max(axis=1).astype(np.float64)
    if photo.stored.mode.startswith("I;16"):  # the low byte counts too
        old, new = (_levels(image)[~mask].astype(np.float64) for image in (photo, written))
        distance = np.abs(old - new) / 257
    if not (different := np.count_nonzero(distance)):
        return f"unchanged: {len(after):,} of {mask.size:,} pixels, SHA-256 {digest}"
    fmt = images.output_format(output)
    lossy = fmt in ("JPEG", "AVIF") or (fmt == "GIF" and photo.stored.mode not in ("1", "L", "P"))
    told = (
        f"{different:,} of {len(after):,} pixels outside the mask differ, by {distance.max():.3g}"
    )
    if not lossy:
        raise FinefillError(
            f"{output}: {told} at most: the format cannot keep this photo as it is: choose PNG"
        )
    return f"changed by {fmt}: {told} of 255 at most, SHA-256 {digest}"


def _with_alpha(photo: images.Photo) -> tuple[NDArray[np.uint8], bool]:
    """(H, W, 4) uint8, upright, and whether the file has an alpha channel or a transparent colour.

    Without one all is opaque.
    """
    alpha = np.full(photo.rgb.shape[:2], 255, np.uint8)
    if transparent := photo.stored.has_transparency_data:
        stored = np.asarray(photo.stored.convert("RGBA"))[..., 3]
        alpha = images.turn(np.ascontiguousarray(stored), photo.orientation)
    return np.dstack([photo.rgb, alpha]), transparent


def _levels(photo: images.Photo) -> NDArray[np.uint16]:
    """A grey photo as (H, W) uint16, upright; 8 bits times 257."""
    if not photo.stored.mode.startswith("I;16"):
        return photo.rgb[..., 0] * np.uint16(257)
    stored = np.asarray(photo.stored).astype(np.uint16)
    high, low = (
        images.turn(half.astype(np.uint8), photo.orientation).astype(np.uint16)
        for half in (stored >> 8, stored & 255)
    )
    return high * np.uint16(256) + low


@contextlib.contextmanager
def _warnings_on_stderr(*, strict: bool = False) -> Iterator[None]:
    """Print what is warned of inside, or raise the first as a FinefillError if ``strict``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            if strict:
                raise FinefillError(f"{warning.message} (--strict: nothing is written)")
            click.echo(f"finefill: warning: {warning.message}", err=True)
