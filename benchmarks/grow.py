"""How far to grow a mask: objects pasted into photographs, removed again, compared with the truth.

    python benchmarks/grow.py DATA/streets-train-0.tar

A labelled car of one photograph is pasted, with the soft rim that photographs have, where another
shows none; its mask is drawn too tight, exact or wide, grown, and completed. The photograph without
the car is the truth. Photographs of the model's training: this chooses a default, it rates nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from finefill import masks
from finefill.completion import fill_photo, load, window_around
from finefill.data import iterate_labelled
from finefill.evaluation import lite0, metrics
from finefill.files import RGB, replacing
from finefill.masks import Mask
from finefill.reproduce.removal import CAR, GROW, removals
from machine import script, whole_number
from removals import box_of, shape_of, text

SIDES = (32, 128)  # pixels, of an object
RIM = 2  # pixels around the outline that still show something of the object
JUDGED = 24  # pixels around the label within which completions are compared
GROWN: tuple[int | str, ...] = (0, 1, 2, 4, 6, 8, 12, "auto")
DRAWN = {"2 px inside": -2, "exact": 0, "2 px wide": 2, "4 px wide": 4, "8 px wide": 8}


@dataclass(frozen=True)
class Case:
    """A photograph, the same with an object pasted, and the object's outline."""

    truth: RGB
    pasted: RGB
    outline: Mask


def cases(paths: list[Path], count: int) -> list[Case]:
    """Seeded pastings of cars, with ``RIM``, where no car is."""
    random = np.random.default_rng(0)
    cars = [(image, drawn(mask, RIM - GROW)) for _, image, mask in removals(paths)]
    found = []
    for _, truth, labels in itertools.islice(iterate_labelled(paths), 4 * count):
        image, mask = cars[random.integers(len(cars))]
        side = int(random.integers(*SIDES))
        rim = box_of(mask)
        shape = shape_of(mask, side)
        height, width = shape.shape
        low = [truth.shape[axis] - shape.shape[axis] - 2 * JUDGED for axis in (0, 1)]
        if min(low) < 1:
            continue
        top, left = (JUDGED + int(random.integers(most)) for most in low)
        place = slice(top, top + height), slice(left, left + width)
        if (labels[place] == CAR).any():
            continue
        car = Image.fromarray(image[rim.slices]).resize((width, height), Image.Resampling.LANCZOS)
        outline = np.zeros(truth.shape[:2], bool)
        outline[place] = shape
        soft = Image.fromarray(outline.astype(np.uint8) * np.uint8(255))
        alpha = np.asarray(soft.filter(ImageFilter.GaussianBlur(1)), np.float32)[..., None] / 255
        layer = truth.astype(np.float32)
        layer[place] = np.asarray(car)
        mixed = np.rint(alpha * layer + (1 - alpha) * truth).astype(np.uint8)
        outline = drawn(outline, -RIM)
        if not drawn(outline, min(DRAWN.values())).any():
            continue  # too thin for a mask within it
        found.append(Case(truth, mixed, outline))
        if len(found) == count:
            break
    return found


def drawn(outline: Mask, pixels: int) -> Mask:
    """The outline ``pixels`` further out, or in."""
    return masks.grow(outline, pixels) if pixels >= 0 else ~masks.grow(~outline, -pixels)


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labelled", nargs="+", type=Path)
    parser.add_argument("--cases", type=whole_number, default=60)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)  # before ten minutes of work
    engine = load("places")
    found = cases(given.labelled, given.cases)
    table: dict[str, dict[int | str, dict[str, list[float]]]] = {
        name: {grow: {"lite0": [], "l1": []} for grow in GROWN} for name in DRAWN
    }
    for number, case in enumerate(found):
        judged = masks.grow(case.outline, JUDGED)
        window = window_around(box_of(judged), 2 * JUDGED + box_of(judged).side, judged.shape)
        truth = np.ascontiguousarray(case.truth[window.slices])
        where = np.ascontiguousarray(judged[window.slices])
        for name, pixels in DRAWN.items():
            for grow in GROWN:
                mask = drawn(case.outline, pixels)
                wider = masks.too_tight(case.pasted, mask) if isinstance(grow, str) else grow
                mask = masks.grow(mask, wider)
                completed = fill_photo(engine, case.pasted, mask)
                part = np.ascontiguousarray(completed[window.slices])
                values = table[name][grow]
                values["lite0"].append(lite0.shared().distance(truth, part, where))
                values["l1"].append(metrics.mean_l1(truth, part, where))
        print(f"\r{number + 1}/{len(found)}", end="", file=sys.stderr, flush=True)
    means = {
        name: {
            grow: {key: summary(all_) for key, all_ in values.items()}
            for grow, values in row.items()
        }
        for name, row in table.items()
    }
    with replacing(given.output / "grow.json") as file:
        file.write(json.dumps({"cases": len(found), "means": means}, indent=1).encode())
    for key in ("lite0", "l1"):
        print(
            f"\n| {key} | " + " | ".join(map(str, GROWN)) + " |\n|---" + "|---" * len(GROWN) + "|"
        )
        for name, row in table.items():
            cells = (text(np.array(values[key]), 3) for values in row.values())
            print(f"| {name} | {' | '.join(cells)} |")


def summary(values: list[float]) -> dict[str, float]:
    """Mean and 95% interval, in few digits."""
    found = dataclasses.asdict(metrics.summarise(np.array(values)))
    return {end: round(value, 4) for end, value in found.items()}


if __name__ == "__main__":
    script(main)
