"""Objects removed from real photographs: held-back regions with known truth, and a sheet of cars.

    python benchmarks/removals.py PHOTO... --labels DATA/streets-test.tar -o docs/results/removals

PHOTO are photographs (files, or tar shards) with nothing missing. Holes have the outlines of
labelled cars, 100 to 320 pixels long (--sides), at seeded places; what stood there is known. Each
method gets the same region of the photograph, four times the hole's side.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from finefill.completion import Engine, Fill, fill_photo, load, locate, window_around
from finefill.completion.plan import Box
from finefill.data import iterate_images
from finefill.evaluation import Method, lite0, load_baseline, metrics, sheets
from finefill.evaluation.features import shared
from finefill.files import RGB, read_photo, replacing
from finefill.masks import Mask
from finefill.reproduce.removal import removals, sheet
from machine import read_json, script, whole_number

REGION = 4  # sides of the hole that every method sees
JUDGED = 2  # sides of the hole within which features are compared
METHODS = ("places", "places, network alone", "patchmatch", "telea")


def fills(name: str) -> Method:
    """A method by its name: (image, mask) -> image."""
    if not name.startswith("places"):
        return load_baseline(name)
    engine = Engine(locate("places"))  # one of its own, whose card can be changed
    if name != "places":
        engine._card = {**engine.card, "detail": False}
    way: Fill = "auto" if name == "places" else "network"
    return lambda image, mask: fill_photo(engine, image, mask, fill=way)


def box_of(mask: Mask) -> Box:
    """The rectangle around everything masked."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def shape_of(mask: Mask, side: int) -> Mask:
    """The masked object alone, scaled to ``side`` pixels."""
    cut = mask[box_of(mask).slices]
    scale = side / max(cut.shape)
    size = tuple(max(1, round(length * scale)) for length in cut.shape[::-1])
    return np.asarray(Image.fromarray(cut).resize(size, Image.Resampling.NEAREST))


def pictures(photos: list[Path]) -> Iterator[tuple[str, RGB]]:
    """Names and pixels of photographs, from files and shards."""
    for path in photos:
        if path.suffix == ".tar":
            yield from iterate_images([path])
        else:
            yield path.stem, read_photo(path).rgb


def regions(
    photos: list[Path], outlines: list[Mask], count: int, sides: tuple[int, int] = (100, 320)
) -> list[tuple[str, RGB, Mask]]:
    """Seeded regions of the photographs with holes of an object's outline."""
    random = np.random.default_rng(0)
    found = []
    for title, rgb in pictures(photos):
        for number in range(count):
            shape = shape_of(outlines[random.integers(len(outlines))], int(random.integers(*sides)))
            height, width = shape.shape
            top = int(random.integers(rgb.shape[0] - height))
            left = int(random.integers(rgb.shape[1] - width))
            hole = Box(top, top + height, left, left + width)
            region = window_around(hole, REGION * hole.side, rgb.shape[:2])
            mask = np.zeros(rgb.shape[:2], bool)
            mask[hole.slices] = shape
            found.append((f"{title} {number}", rgb[region.slices], mask[region.slices]))
    return found


def judge(original: RGB, completed: RGB, mask: Mask) -> dict[str, float]:
    """Distances of a completion over its hole."""
    hole = box_of(mask)
    window = window_around(hole, JUDGED * hole.side, mask.shape).slices
    x, y = (np.ascontiguousarray(image[window]) for image in (original, completed))
    m = np.ascontiguousarray(mask[window])
    return {
        "lite0": lite0.shared().distance(x, y, m),
        "vgg16": shared().distance(x, y, m),
        "seam": metrics.seam(x, y, m),
        "psnr": metrics.psnr(x, y, m),
    }


def picture(image: RGB, height: int = 240) -> RGB:
    """An image at the sheet's height."""
    width = round(image.shape[1] * height / image.shape[0])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def square(image: RGB, side: int = 240) -> RGB:
    """An image fitted into a white square."""
    small = Image.fromarray(image)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (side, side), "white")
    canvas.paste(small)
    return np.asarray(canvas)


def save(image: Image.Image, path: Path) -> None:
    """Write a picture of a size that documents keep, whole or not at all."""
    with replacing(path) as file:
        file.write(sheets.webp(image))


def compare(
    photos: list[Path],
    labels: list[Path],
    out: Path,
    count: int,
    sides: tuple[int, int],
    measured: list[str],
) -> None:
    """Measure methods on held-back regions; writes ``out`` with .json, .md and .webp.

    Rows of methods that are not ``measured`` stay, and the picture then shows the measured alone.
    """
    outlines = [mask for _, _, mask in removals(labels)]
    cases = regions(photos, outlines, count, sides)
    names = [name for name, _, _ in cases]
    values: dict[str, dict[str, list[float]]] = {}
    if len(measured) < len(METHODS):
        before = read_json(out.with_suffix(".json"))
        if before["regions"] != names:
            raise SystemExit(f"{out}: other regions than before: measure all methods again")
        values = before["methods"]
    shown: list[list[RGB]] = [[] for _ in cases]
    for name in measured:
        fill = fills(name)
        keys = ("lite0", "vgg16", "seam", "psnr")
        mine = values[name] = {key: [] for key in keys}
        for index, (_, image, mask) in enumerate(cases):
            completed = fill(image, mask)
            assert np.array_equal(completed[~mask], image[~mask]), name
            for key, value in judge(image, completed, mask).items():
                mine[key].append(value)
            shown[index].append(picture(completed))
        print(name, {key: round(float(np.mean(v)), 4) for key, v in mine.items()}, flush=True)
    values = {name: values[name] for name in METHODS if name in values}
    lines = [
        f"{len(cases)} regions; means over the hole, with bootstrap "
        "95% intervals; in brackets the difference to `places`, region by region.",
        "",
        "| method | Lite0 distance ↓ | VGG16 distance (trained on) ↓ | seam, to 0 | PSNR (dB) ↑ |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in values:
        cells = []
        for key, digits in (("lite0", 3), ("vgg16", 3), ("seam", 4), ("psnr", 2)):
            if not values[name].get(key) or not values["places"].get(key):
                cells.append("")  # a row from before this was measured
                continue
            own, base = np.array(values[name][key]), np.array(values["places"][key])
            cell = text(own, digits)
            cells.append(cell if name == "places" else f"{cell} ({text(own - base, digits, '+')})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    facts = {
        "regions": names,
        "sides": [int(max(np.ptp(np.nonzero(mask), axis=1)) + 1) for _, _, mask in cases],
        "methods": {  # far more digits than the table shows
            name: {key: [float(f"{v:.6g}") for v in column] for key, column in columns.items()}
            for name, columns in values.items()
        },
    }
    with replacing(out.with_suffix(".json")) as file:
        file.write(json.dumps(facts, indent=1).encode())
    with replacing(out.with_suffix(".md")) as file:
        file.write(("\n".join(lines) + "\n").encode())
    rows = []
    chosen = sheets.pick(len(cases), 8, 0)
    for (_, image, mask), completions in ((cases[i], shown[i]) for i in chosen):
        hidden = np.where(mask[..., None], np.uint8(128), image)
        row = np.hstack([picture(hidden), *completions, picture(image)])
        rows.append(picture(row, round(row.shape[0] * 1500 / row.shape[1])))
    height = min(row.shape[1] for row in rows)
    save(Image.fromarray(np.vstack([row[:, :height] for row in rows])), out.with_suffix(".webp"))


def text(values: np.ndarray, digits: int, sign: str = "") -> str:
    """Mean and bootstrap 95% interval."""
    found = metrics.summarise(values)
    mean, low, high = (f"{v:{sign}.{digits}f}" for v in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"


def cars(labels: list[Path], folder: Path) -> None:
    """Sheets of removed cars, drawn by a seed: cars.webp (20), and cars-6.webp by all methods."""
    twenty, _ = sheet(labels, load("places"), wanted=20)
    save(twenty, folder / "cars.webp")
    found = removals(labels)
    rows: list[list[RGB]] = []
    for index in sheets.pick(len(found), 20, 0)[:6]:
        _, image, mask = found[index]
        rows.append([image, np.where(mask[..., None], np.uint8(128), image)])
        rows[-1] += [fills(name)(image, mask) for name in METHODS]
        window = window_around(box_of(mask), REGION * box_of(mask).side, mask.shape)
        rows[-1] = [square(part[window.slices]) for part in rows[-1]]
    sheet_of_six = np.vstack([np.hstack(row) for row in rows])
    save(Image.fromarray(sheet_of_six), folder / "cars-6.webp")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--labels", nargs="+", type=Path, required=True)
    parser.add_argument("--holes", type=whole_number, default=2, help="in each photograph")
    parser.add_argument("--sides", nargs=2, type=int, default=(100, 320), help="of the holes")
    parser.add_argument(
        "--only", nargs="+", choices=METHODS, default=list(METHODS), help="rows of others stay"
    )
    parser.add_argument("--name", default="held-back", help="of the files of this comparison")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    if "places" in given.only:
        cars(given.labels, given.output)
    out = given.output / given.name
    compare(given.photos, given.labels, out, given.holes, tuple(given.sides), given.only)


if __name__ == "__main__":
    script(main)
