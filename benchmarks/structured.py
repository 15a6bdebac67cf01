"""Structured photographs: holes of known content in facades, windows and streets; nature beside.

    python benchmarks/structured.py cases WORK --streets DATA/streets-test.tar \\
        --scenes DATA/scenes-test.tar
    python benchmarks/structured.py fill WORK [--methods auto network regions patchmatch]
    finefill batch WORK/photos --masks WORK/masks -o WORK/before --format png  # another build
    python benchmarks/structured.py compare WORK -o docs/results/structured/fills
    python benchmarks/structured.py pairs WORK auto before structured -o SHEETS --key KEY.json
    python benchmarks/structured.py count KEY.json VERDICTS.json
    python benchmarks/structured.py speed WORK     # each photograph at 1024 pixels, a hole of 200

``cases`` writes photographs with holes that have the outlines of labelled cars and 3 to 7% of the
area, at seeded places. Structured are those around which at least 80% is labelled as built
(building, window, door, road, pavement) and 50% as building, window or door, in LabelMeFacade, and
the classes buildings and street of the scenes; nature is forest, mountain, sea and glacier.
``fill`` completes them, each method into a folder of its name; any other folder beside them is a
method too. ``compare`` measures the distance of EfficientNet-Lite0's features over the hole (extra
``evaluation``). ``pairs`` makes sheets of two methods' fills in random order for judges, who do not
get the key and write {case: "A", "B" or "="}; ``count`` counts.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from finefill.completion import fill_with_report, load, window_around
from finefill.data import iterate_images, iterate_labelled
from finefill.errors import FinefillError
from finefill.evaluation import metrics, sheets
from finefill.evaluation.baselines import load_baseline
from finefill.evaluation.lite0 import shared
from finefill.files import RGB, replacing
from finefill.masks import Mask, random_object
from finefill.reproduce.removal import removals
from machine import read_json, script
from removals import box_of

SEED = 24
SHARES = (0.03, 0.07)  # of the photograph, that a hole has
BUILT, WALLS = (1, 3, 4, 5, 8), (1, 3, 8)  # labels: building, door, pavement, road, window
MOST_BUILT, MOST_WALLS = 0.8, 0.5  # shares of what lies within RING pixels around a hole
RING = 15
PLACES = 20  # that are tried in a photograph
STREETS = 56  # photographs of LabelMeFacade, at most
SCENES = {"buildings": 10, "street": 6, "forest": 8, "mountain": 8, "sea": 6, "glacier": 6}
STRUCTURED = ("streets", "buildings", "street")
JUDGED = 2  # sides of the hole within which features are compared
METHODS = ("auto", "network", "regions", "patchmatch")
WAYS = ("regions", "network")  # of finefill, timed beside PatchMatch
HIDDEN = np.array((255, 0, 255), np.uint8)  # RGB, where a hole is shown
SHOWN = 24  # rows of the contact sheet
HEIGHT = 130  # of its pictures
WIDTH = 1600  # of the sheet
COLUMNS = 3
SHEET_CONTEXT = 1.7  # sides of the hole that its pictures show
LONG, HOLE = 1024, 200  # pixels, of what is timed
PAIR = 400  # pixels, of a picture that is judged
PAIR_CONTEXT = 2.0  # sides of the hole that it shows

Case = tuple[str, RGB, Mask]


def street_cases(shard: Path, outlines: Sequence[Mask], random: np.random.Generator) -> list[Case]:
    """Photographs of a labelled shard with holes in what is built."""
    found: list[Case] = []
    for _, rgb, labels in iterate_labelled([shard]):
        height, width = labels.shape
        for _ in range(PLACES):
            mask = random_object(random, height, width, outlines, SHARES)
            grey = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
            ring = np.asarray(grey.filter(ImageFilter.MaxFilter(2 * RING + 1))) > 0
            around = labels[ring]
            built, walls = (np.isin(around, of).mean() for of in (BUILT, WALLS))
            if built >= MOST_BUILT and walls >= MOST_WALLS:
                found.append((f"streets-{len(found):02d}", rgb, mask))
                break
        if len(found) == STREETS:
            break
    return found


def scene_cases(shard: Path, outlines: Sequence[Mask], random: np.random.Generator) -> list[Case]:
    """The first photographs of each class of a shard, with holes anywhere."""
    found: list[Case] = []
    for name, count in SCENES.items():
        some = [
            rgb for _, (_, rgb) in zip(range(count), iterate_images([shard / name]), strict=False)
        ]
        for at, rgb in enumerate(some):
            mask = random_object(random, rgb.shape[0], rgb.shape[1], outlines, SHARES)
            found.append((f"{name}-{at:02d}", rgb, mask))
    return found


def write_cases(folder: Path, streets: Path, scenes: Path) -> None:
    """Photographs and masks as PNG below ``folder``."""
    random = np.random.default_rng(SEED)
    outlines = []
    for _, _, mask in removals([streets]):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        outlines.append(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    cases = street_cases(streets, outlines, random) + scene_cases(scenes, outlines, random)
    for kind in ("photos", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name, rgb, mask in cases:
        Image.fromarray(rgb).save(folder / "photos" / f"{name}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    print(len(cases), "cases")


def read_cases(folder: Path) -> list[Case]:
    """What :func:`write_cases` wrote, by name."""
    found = []
    for path in sorted((folder / "photos").glob("*.png")):
        mask = np.asarray(Image.open(folder / "masks" / path.name).convert("L")) > 127
        found.append((path.stem, np.asarray(Image.open(path)), mask))
    if not found:
        raise FinefillError(f"{folder}: no photographs in it; make them with the command cases")
    return found


def fill_cases(folder: Path, methods: Sequence[str]) -> None:
    """Complete the cases; seconds and ways go into ``METHOD/facts.json``."""
    cases, engine = read_cases(folder), load("places")
    for method in methods:
        (folder / method).mkdir(exist_ok=True)
        facts = {}
        for name, rgb, mask in cases:
            ways: tuple[str, ...] = ()
            start = time.perf_counter()
            if method == "patchmatch":
                completed = load_baseline(method)(rgb, mask)
            else:
                report = fill_with_report(engine, rgb, mask, fill=method)  # type: ignore[arg-type]  # of METHODS
                completed, ways = report.rgb, report.ways
            facts[name] = {"seconds": round(time.perf_counter() - start, 3), "ways": ways}
            Image.fromarray(completed).save(folder / method / f"{name}.png")
        (folder / method / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
        print(method, "median s", np.median([one["seconds"] for one in facts.values()]), flush=True)


def distance(original: RGB, completed: RGB, mask: Mask) -> float:
    """Lite0 distance over the hole, within JUDGED of its sides."""
    hole = box_of(mask)
    window = window_around(hole, JUDGED * hole.side, mask.shape).slices
    x, y = (np.ascontiguousarray(image[window]) for image in (original, completed))
    return shared().distance(x, y, np.ascontiguousarray(mask[window]))


def compare(folder: Path, out: Path) -> None:
    """Measure every folder of fills; writes ``out`` with .json, .md and .webp."""
    cases = read_cases(folder)
    names = [name for name, _, _ in cases]
    digest = hashlib.sha256()
    for _, rgb, mask in cases:
        digest.update(rgb.tobytes() + mask.tobytes())
    methods = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in ("photos", "masks") and (path / f"{cases[0][0]}.png").exists()
    )
    fills = {
        method: [
            np.asarray(Image.open(folder / method / f"{name}.png").convert("RGB")) for name in names
        ]
        for method in methods
    }
    values: dict[str, list[float]] = {}
    for method in methods:
        for (name, rgb, mask), fill in zip(cases, fills[method], strict=True):
            assert np.array_equal(fill[~mask], rgb[~mask]), (method, name)
        values[method] = [
            round(distance(rgb, fill, mask), 5)
            for (_, rgb, mask), fill in zip(cases, fills[method], strict=True)
        ]
        print(method, round(float(np.mean(values[method])), 4), flush=True)
    told = {
        method: read_json(path)
        for method in methods
        if (path := folder / method / "facts.json").exists()
    }
    facts = {
        "sha256": digest.hexdigest(),
        "cases": names,
        "share": [round(float(mask.mean()), 4) for _, _, mask in cases],
        "ways": {name: one["ways"] for name, one in told.get("auto", {}).items()},
        "lite0": values,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out.with_suffix(".json")) as file:
        file.write((json.dumps(facts, indent=1) + "\n").encode())
    with replacing(out.with_suffix(".md")) as file:
        file.write(page(names, values).encode())
    with replacing(out.with_suffix(".webp")) as file:
        sheet(cases, fills).save(file, format="WEBP", quality=80)


def page(names: Sequence[str], values: dict[str, list[float]]) -> str:
    """A table for each kind of photograph: means, and differences to ``auto`` in percent."""
    kinds = np.array([name.split("-")[0] for name in names])
    built = np.isin(kinds, STRUCTURED)
    lines = [
        "Distance of EfficientNet-Lite0's features over the hole, less is better: means with",
        "bootstrap 95% intervals; in brackets by how much `auto` is below, photograph by",
        "photograph, in percent of the method's mean.",
        "",
        f"| method | structured ({built.sum()}) | nature ({(~built).sum()}) |",
        "|---|---:|---:|",
    ]
    for method, mine in values.items():
        cells = []
        for chosen in (built, ~built):
            own, auto = np.array(mine)[chosen], np.array(values["auto"])[chosen]
            mean = metrics.summarise(own)
            cell = f"{mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]"
            if method != "auto":
                gain = metrics.summarise(100 * (own - auto) / own.mean())
                cell += f" ({gain.mean:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}])"
            cells.append(cell)
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def sheet(cases: Sequence[Case], fills: dict[str, list[RGB]]) -> Image.Image:
    """Structured cases drawn by a seed: hole, `before` where there is one, PatchMatch, `auto`."""
    built = [at for at, (name, _, _) in enumerate(cases) if name.split("-")[0] in STRUCTURED]
    chosen = [built[at] for at in sheets.pick(len(built), SHOWN, SEED)]
    methods = [name for name in ("before", "patchmatch", "auto") if name in fills]
    across = WIDTH // COLUMNS
    cell = across // (len(methods) + 1)
    canvas = Image.new("RGB", (WIDTH, -(-len(chosen) // COLUMNS) * (HEIGHT + 4)), "white")
    for position, at in enumerate(chosen):
        _, rgb, mask = cases[at]
        hole = box_of(mask)
        window = window_around(hole, round(SHEET_CONTEXT * hole.side), mask.shape).slices
        hidden = np.where(mask[..., None], HIDDEN, rgb)
        row, column = divmod(position, COLUMNS)
        for number, picture in enumerate([hidden, *(fills[method][at] for method in methods)]):
            part = Image.fromarray(np.ascontiguousarray(picture[window]))
            scale = min((cell - 4) / part.width, HEIGHT / part.height)
            part = part.resize(
                (round(part.width * scale), round(part.height * scale)), Image.Resampling.LANCZOS
            )
            canvas.paste(part, (column * across + number * cell, row * (HEIGHT + 4)))
    return canvas


def pairs(folder: Path, one: str, other: str, kind: str, out: Path, key: Path) -> None:
    """Sheets of hole | A | B, four rows each, and what A and B are: {case: [A, B]}."""
    random = np.random.default_rng(SEED)
    hidden: dict[str, list[str]] = {}
    rows = []
    for name, rgb, mask in read_cases(folder):
        if (name.split("-")[0] in STRUCTURED) != (kind == "structured"):
            continue
        hidden[name] = [one, other] if random.integers(2) else [other, one]
        hole = box_of(mask)
        window = window_around(hole, round(PAIR_CONTEXT * hole.side), mask.shape).slices
        shown = [np.where(mask[..., None], HIDDEN, rgb)]
        shown += [np.asarray(Image.open(folder / of / f"{name}.png")) for of in hidden[name]]
        row = Image.new("RGB", (3 * (PAIR + 8), PAIR + 26), "white")
        ImageDraw.Draw(row).text((4, 6), f"{name}:   hole   |   A   |   B", "black")
        for number, picture in enumerate(shown):
            part = Image.fromarray(np.ascontiguousarray(picture[window]))
            scale = PAIR / max(part.size)
            size = (round(part.width * scale), round(part.height * scale))
            row.paste(part.resize(size, Image.Resampling.LANCZOS), (number * (PAIR + 8), 24))
        rows.append(row)
    out.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(rows), 4):
        some = rows[first : first + 4]
        page = Image.new("RGB", (some[0].width, sum(row.height for row in some)), "white")
        for number, row in enumerate(some):
            page.paste(row, (0, number * row.height))
        page.save(out / f"sheet-{first // 4:02d}.png")
    key.write_text(json.dumps(hidden, indent=1) + "\n", encoding="utf-8")
    print(len(hidden), "pairs")


def count(key: Path, verdicts: Path) -> None:
    """How often each method is preferred, of the pairs that are decided."""
    hidden = read_json(key)
    said = read_json(verdicts)
    won: dict[str, int] = {}
    for name, verdict in said.items():
        winner = "neither" if verdict == "=" else hidden[name]["AB".index(verdict)]
        won[winner] = won.get(winner, 0) + 1
    print(json.dumps(won))


def speed(folder: Path) -> None:
    """Processor seconds of PatchMatch, regions and network, side by side, and the ratios.

    PatchMatch compares patches of 7x7 pixels here, as everywhere in the results; ``as it comes`` is
    its package without a setting, patches of 31x31.
    """
    engine, patchmatch = load("places"), load_baseline("patchmatch")
    as_it_comes = importlib.import_module("patchmatch").inpaint
    rows = []
    for _, rgb, _ in read_cases(folder)[-3:]:
        scale = LONG / max(rgb.shape[:2])
        size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
        large = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))
        mask: Mask = np.zeros(large.shape[:2], bool)
        top, left = (mask.shape[0] - HOLE) // 2, (mask.shape[1] - HOLE) // 2
        mask[top : top + HOLE, left : left + HOLE] = True
        seconds = {}
        for name in ("patchmatch", "as it comes", "regions", "network"):
            for _ in range(3 if name in WAYS else 1):  # the last counts
                start = time.process_time()
                if name == "patchmatch":
                    patchmatch(large, mask)
                elif name == "as it comes":
                    as_it_comes(large, mask.view(np.uint8))
                else:
                    fill_with_report(engine, large, mask, fill=name)  # type: ignore[arg-type]  # a way
                seconds[name] = round(time.process_time() - start, 3)
        rows.append(seconds)
        print(seconds, flush=True)
    means = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    print({name: round(float(means["patchmatch"] / mean), 1) for name, mean in means.items()})


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    cases = commands.add_parser("cases")
    cases.add_argument("folder", type=Path)
    cases.add_argument("--streets", type=Path, required=True)
    cases.add_argument("--scenes", type=Path, required=True)
    fill = commands.add_parser("fill")
    fill.add_argument("folder", type=Path)
    fill.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    compared = commands.add_parser("compare")
    compared.add_argument("folder", type=Path)
    compared.add_argument("-o", "--output", type=Path, required=True)
    timed = commands.add_parser("speed")
    timed.add_argument("folder", type=Path)
    paired = commands.add_parser("pairs")
    paired.add_argument("folder", type=Path)
    paired.add_argument("one")
    paired.add_argument("other")
    paired.add_argument("kind", choices=("structured", "nature"))
    paired.add_argument("-o", "--output", type=Path, required=True)
    paired.add_argument("--key", type=Path, required=True)
    counted = commands.add_parser("count")
    counted.add_argument("key", type=Path)
    counted.add_argument("verdicts", type=Path)
    given = parser.parse_args()
    if given.command == "speed":
        speed(given.folder)
    elif given.command == "pairs":
        pairs(given.folder, given.one, given.other, given.kind, given.output, given.key)
    elif given.command == "count":
        count(given.key, given.verdicts)
    elif given.command == "cases":
        write_cases(given.folder, given.streets, given.scenes)
    elif given.command == "fill":
        fill_cases(given.folder, given.methods)
    else:
        compare(given.folder, given.output)


if __name__ == "__main__":
    script(main)
