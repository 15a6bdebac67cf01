"""Commands that complete photographs: complete, demo."""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from finefill import files, masks
from finefill.cli import options
from finefill.cli.models import opened
from finefill.completion import fill_photo, fill_with_report, load, load_ahead, verify_file
from finefill.errors import FinefillError
from finefill.masks import regions

if TYPE_CHECKING:
    from finefill.completion import Fill, Wrap

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
    "--annotations",
    "others",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Annotations of any known kind: COCO, labelme, YOLO (.txt), VIA, CVAT (XML), "
    "Pascal VOC (XML), Label Studio.",
)
@options.labels("; of YOLO's, of this number")
@options.line_width("; without it they are left out")
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
    "--mask-alpha",
    "alpha",
    is_flag=True,
    help="Complete what is erased to transparency in the photo itself.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Written in the format of its extension; the size and mode stay the photo's.",
)
@options.model
@options.convention
@options.fill
@options.wrap
@options.grow("the mask")
@click.option("--resize-mask", is_flag=True, help="Scale a mask of another shape.")
@click.option("--keep-polarity", is_flag=True, help="Take a mask that looks inverted as it is.")
@options.mask_value("the mask: a label's number in grey and palette files")
@options.mask_drawn(
    "What masks, annotations, boxes and polygons lie on: the photo as it is shown, upright, "
    "or as it is stored, before its EXIF orientation turns it."
)
@options.strict("Stop where there would be a warning.")
@click.option(
    "--confidence",
    is_flag=True,
    help="Measure how far the fill can be trusted, and warn where it can't; takes a second pass.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Read the output back and compare what is outside the mask with the photo.",
)
@options.max_pixels
def complete(
    photo: Path,
    mask_paths: tuple[Path, ...],
    boxes: tuple[str, ...],
    polygons: tuple[str, ...],
    coco: Path | None,
    labelme: Path | None,
    others: tuple[Path, ...],
    labels: tuple[str, ...],
    line_width: float | None,
    colour: str | None,
    tolerance: float,
    alpha: bool,
    output: Path,
    model: str,
    convention: str | None,
    fill: Fill,
    wrap: Wrap | None,
    grow: int,
    resize_mask: bool,
    keep_polarity: bool,
    values: tuple[str, ...],
    drawn: str | None,
    strict: bool,
    confidence: bool,
    verify: bool,
    max_pixels: int,
) -> None:
    """Complete a part of PHOTO.

    Say which by --mask, --box, --polygon, --coco, --labelme, --annotations, --mask-color or
    --mask-alpha; several add up.
    """
    files.output_format(output)  # before any work
    _refuse_inputs(
        output, (*mask_paths, *others, coco, labelme, Path(model), Path(convention or model))
    )
    annotated = coco or labelme or others
    if not (mask_paths or boxes or polygons or annotated or colour or alpha):
        raise FinefillError(
            f"{photo}: nothing says what to complete: give --mask FILE, --box X,Y,W,H, "
            "--polygon 'X,Y X,Y X,Y', --coco FILE, --labelme FILE, --annotations FILE, "
            "--mask-color '#RRGGBB' or --mask-alpha"
        )
    if values and not mask_paths:
        raise FinefillError(f"--mask-value {values[0]}: chooses from a mask: give --mask FILE")
    if labels and not annotated:
        raise FinefillError(
            f"--label {labels[0]}: chooses from annotations: give --coco FILE, --labelme FILE or "
            "--annotations FILE"
        )
    if line_width is not None and not (labelme or others):
        raise FinefillError(
            f"--line-width {line_width:g}: draws the lines of annotations: give --labelme FILE or "
            "--annotations FILE"
        )
    if convention is None:
        load_ahead(model)
    with options.warnings_on_stderr(strict=strict):
        read = files.read_photo(photo, max_pixels=max_pixels)
        size = read.rgb.shape[:2]
        placing: masks.Placing = {"orientation": read.orientation, "drawn": drawn}
        mask = functools.partial(
            masks.read_mask,
            size=size,
            resize=resize_mask,
            keep_polarity=keep_polarity,
            max_pixels=max_pixels,
            values=values,
            **placing,
        )
        reads: list[Callable[[], masks.Mask]] = [
            functools.partial(mask, path) for path in mask_paths
        ]
        for draw, texts in ((regions.box, boxes), (regions.polygon, polygons)):
            for text in texts:
                drawing = functools.partial(draw, text)
                reads.append(
                    functools.partial(masks.by_numbers, drawing, size, wrap=wrap, **placing)
                )
        if coco:
            reads.append(
                functools.partial(
                    regions.coco, coco, str(photo), size, labels, resize=resize_mask, **placing
                )
            )
        if labelme:
            reads.append(
                functools.partial(
                    regions.labelme,
                    labelme,
                    size,
                    labels,
                    resize=resize_mask,
                    line_width=line_width,
                    photo=str(photo),
                    **placing,
                )
            )
        reads.extend(
            functools.partial(
                regions.annotated,
                path,
                str(photo),
                size,
                labels,
                resize=resize_mask,
                line_width=line_width,
                **placing,
            )
            for path in others
        )
        hole, empty = masks.union(size, reads)
        outlined = hole  # paint and holes cover their object: their edge is none
        if alpha:
            hole = hole | regions.erased(read, str(photo))
        if colour:
            hole = hole | regions.colour(read.rgb, colour, tolerance=tolerance, name=str(photo))
        masks.tell_empty(hole, empty)
        alone = outlined is hole
        hole = masks.check(masks.grow(hole, grow, wrap), str(photo))
        outlined = hole if alone else masks.grow(outlined, grow, wrap)  # of large photos one less
        shown = files.for_network(read, hole)
        hidden = files.hidden_of(shown)
        seen = outlined if hidden is None else outlined & ~hidden
        if more := masks.too_tight(shown.rgb, seen):
            warnings.warn(
                f"{photo}: the mask seems to end at its object's edge, and what it leaves of the "
                f"object grows back: draw it wider, or widen it with --grow {grow + more}",
                stacklevel=1,
            )
    engine = opened(model, convention)
    report = fill_with_report(
        engine,
        shown.rgb,
        hole,
        measure=confidence,
        fill=fill,
        wrap=wrap,
        hidden=hidden,
        overwrite=True,
    )
    with options.warnings_on_stderr(strict=strict, writing=True):
        for text in report.warnings:
            warnings.warn(f"{photo}: {text}", stacklevel=1)
        files.write_photo(shown, report.rgb, hole, output, overwrite=not verify)
    if report.confidence is not None:
        count = len(report.filled)
        click.echo(f"confidence: {report.confidence:.2f}, the lowest of {count} windows")
    if verify:
        with options.warnings_on_stderr():  # the file is written: nothing can stop that any more
            said = verify_file(read, hole, output, max_pixels=max_pixels)
        click.echo(said)


def _refuse_inputs(output: Path, inputs: Iterable[Path | None]) -> None:
    """Raise a FinefillError if the output would replace one of the files that say what to do."""
    for path in inputs:
        if path is not None and output.exists() and path.exists() and output.samefile(path):
            raise FinefillError(
                f"{output}: is {path}, which would be lost: choose another file for the output"
            )


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
    before = files.read_photo(ASSETS / "demo.jpg").rgb
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
    with files.replacing(path) as file:
        sheet = Image.fromarray(np.hstack([before, white, shown, white, after]))
        sheet.save(file, format="PNG")
    click.echo(f"{path}: before, mask, after; completed in {seconds:.2f} s")
