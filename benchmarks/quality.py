"""How good the fills are: docs/results/quality, and the table of README and docs/quality.md.

    python benchmarks/quality.py --data DATA [--runs RUNS] [--only NAME …] [--keep METHOD …]
    python benchmarks/quality.py --data DATA --sheets

DATA holds scenes-test.tar, faces-test.tar, celeba-test.tar and streets-test.tar; RUNS holds
celeba and scenes, the trainings of ``finefill reproduce table1`` (without RUNS their rows stay).
Needs the extra ``reproduce``. Each table is a call of ``finefill evaluate``, written down beside
it; the page is made of what there is, so that one table can be made anew, or some of its rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from finefill.completion import fill_photo, load
from finefill.evaluation import Method, kinds, load_baseline, protocol, sheets
from finefill.files import replacing
from machine import read_json, script, whole_number

ROOT = Path(__file__).resolve().parents[1]
CLASSICAL = ("--baseline", "patchmatch", "--baseline", "telea")
METHODS = ("--model", "--run", "--baseline")
ALL = (*CLASSICAL, "--baseline", "ns", "--baseline", "mean")
SCENES = ("--model", "places", "--data", "scenes-test.tar")
FACES = ("--model", "faces", "--data", "faces-test.tar")
OBJECTS = ("--masks", "objects", "--objects", "streets-test.tar")
# Runs: the paper's method and Context Encoder, of random squares.
TRAINED = ("celeba/ours", "celeba/ce-random", "scenes/ce-random")
WAYS = ("--fill", "auto", "--fill", "network")
TABLES: dict[str, tuple[str, ...]] = {
    "scenes-center": (*SCENES, *ALL, "--masks", "center"),
    "scenes-random": (*SCENES, *ALL, "--masks", "random"),
    "scenes-narrow": (*SCENES, *CLASSICAL, "--masks", "narrow"),
    "scenes-medium": (*SCENES, *CLASSICAL, "--masks", "medium"),
    "scenes-wide": (*SCENES, *CLASSICAL, "--masks", "wide"),
    "scenes-objects": (*SCENES, *CLASSICAL, *OBJECTS),
    "faces-center": (*FACES, *ALL, "--masks", "center"),
    "faces-random": (*FACES, *ALL, "--masks", "random"),
    "celeba-random": (
        "--model", "faces", *CLASSICAL, "--data", "celeba-test.tar", "--size", "88",
        "--masks", "random",
    ),
    "celeba-paper": (
        "--model", "faces", "--run", "celeba/ours", "--run", "celeba/ce-random", *CLASSICAL,
        "--data", "celeba-test.tar", "--crop", "80", "--size", "64", "--masks", "random",
    ),
    "scenes-small": (
        *SCENES, "--run", "scenes/ce-random", *CLASSICAL, "--size", "64", "--masks", "random",
    ),
    "streets-objects": (
        "--model", "places", *WAYS, *CLASSICAL, "--data", "streets-test.tar", "--whole", *OBJECTS,
    ),
}  # fmt: skip
NOTES = {
    "celeba-paper": "The protocol of the paper's faces, at half its size. `ours` (the paper's "
    "method) and `ce-random` (Context Encoder) were trained by `finefill reproduce table1` on this "
    "set's training photographs at this size, 48,000 samples each; `faces` on them among others, "
    "at 128 pixels.",
    "scenes-small": "Whole photographs scaled down, so that Context Encoder is beside `places`. "
    "`ce-random` was trained by `finefill reproduce table1 --samples 24000 --size 64 --exclude "
    "docs/results/exclude.txt` on scenes-train-0 to 2; `places` on crops of 128 pixels, many times "
    "as many.",
}
SETS = {"faces": "faces", "places": "scenes"}  # by model: the test set of its sheet
COLUMNS = (
    ("lite0", "Lite0 distance ↓", 3),
    ("lite0_fd", "Lite0 Fréchet ↓", 1),
    ("u_ids", "U-IDS ↑", 3),
    ("fooled", "taken for original ↑", 3),
    ("psnr", "PSNR (dB) ↑", 2),
    ("seam", "seam → 0", 3),
    ("vgg16", "VGG16 distance (trained on) ↓", 3),
)
WIDEST = 960  # pixels of a sheet
SHEET_QUALITY = 35  # of its WebP: the checkout stays light
BEST = {"lite0": min, "lite0_fd": min, "u_ids": max, "fooled": max, "psnr": max, "vgg16": min}


def measure(
    name: str,
    data: Path,
    runs: Path | None,
    limit: int,
    threads: int,
    output: Path,
    kept: Sequence[str],
) -> None:
    """One table: ``NAME.json``; rows of the methods ``kept`` (of a model: all) stay as they are."""
    file = output / f"{name}.json"
    if runs is None and "--run" in TABLES[name]:
        kept = [*kept, *map(name_of, TRAINED)]
    before = read_json(file) if kept else {}
    limit = before["limit"] if before else limit
    asked = without(TABLES[name], kept)
    words = [str(data / word) if word.endswith(".tar") else word for word in asked]
    words = [str(runs / word) if runs and word in TRAINED else word for word in words]
    with tempfile.TemporaryDirectory() as folder:
        words += ["--limit", str(limit), "--threads", str(threads), "-o", folder]
        subprocess.run([sys.executable, "-m", "finefill", "evaluate", *words], check=True)
        facts = read_json(Path(folder) / "summary.json")
    shown = ["finefill", "evaluate", *TABLES[name], "--limit", str(limit), "-o", "out"]
    facts["command"] = " ".join(
        f"DATA/{word}" if word.endswith(".tar") else f"RUNS/{word}" if word in TRAINED else word
        for word in shown
    )
    for model in facts["models"].values():  # the card is in the model's file
        model["card"] = {key: model["card"][key] for key in ("name", "version", "date")}
    facts["limit"] = limit
    for key in ("data", "masks") if before else ():
        if facts[key]["sha256"] != before[key]["sha256"]:
            raise SystemExit(f"{name}: other {key} than before: measure all methods again")
    if before:
        rows = {
            method: numbers
            for method, numbers in before["methods"].items()
            if method.partition(",")[0] in kept
        }
        facts["methods"] = in_order(TABLES[name], facts["methods"] | rows)
        facts["models"] |= {m: facts for m, facts in before["models"].items() if m in kept}
        # Image by image, to the first method: true where both sides are new, or neither is.
        first, *others = facts["methods"]
        known = (before if first in rows else facts).get("differences", {})
        facts["differences"] = {
            m: known[m] for m in others if m in known and (m in rows) == (first in rows)
        }
    text = json.dumps(facts, indent=0, ensure_ascii=False) + "\n"
    file.write_text(text, encoding="utf-8")


def without(asked: Sequence[str], kept: Sequence[str]) -> list[str]:
    """The words of a call but for the methods that are kept, and a kept model's ways to fill."""
    models = {v for k, v in pairwise(asked) if k == "--model"}
    drop = {
        (option, value)
        for option, value in pairwise(asked)
        if option in METHODS and name_of(value) in kept
    }
    if models <= set(kept):
        drop |= {(k, v) for k, v in pairwise(asked) if k == "--fill"}
    words: list[str] = []
    rest = iter(asked)
    for word in rest:
        if word == "--whole":
            words.append(word)
        elif (word, value := next(rest)) not in drop:
            words += [word, value]
    return words


def name_of(value: str) -> str:
    """What the tables call a method: its name, of a run its folder's."""
    return value.rpartition("/")[2]


def in_order(asked: Sequence[str], methods: dict[str, Any]) -> dict[str, Any]:
    """Rows in the order in which the call names the methods."""
    names = [name_of(value) for option, value in pairwise(asked) if option in METHODS]
    found = sorted(methods, key=lambda method: names.index(method.partition(",")[0]))
    return {method: methods[method] for method in found}


def sheet(model: str, data: Path, limit: int, output: Path) -> None:
    """Twelve of a table's photographs, drawn by the seed: the model's fills over PatchMatch's."""
    test = protocol.load_test_set([data / f"{SETS[model]}-test.tar"], limit)
    holes = kinds.make_masks("random", len(test.names), 0, test.size)
    chosen = sheets.pick(len(test.names), sheets.COLUMNS, 0)
    few = protocol.TestSet.of([test.names[i] for i in chosen], [test.images[i] for i in chosen])
    these = dataclasses.replace(holes, masks=tuple(holes.masks[i] for i in chosen))
    fills: dict[str, Method] = {
        model: partial(fill_photo, load(model)),
        "patchmatch": load_baseline("patchmatch"),
    }
    results = {}
    for name, fill in fills.items():
        found = protocol.evaluate(few, these, fill, metrics=(), keep=range(len(chosen)))
        own = {chosen[i]: image for i, image in found.completions.items()}
        results[name] = dataclasses.replace(found, completions=own)
    image = sheets.contact_sheet(test, holes, results, chosen)
    image.thumbnail((WIDEST, WIDEST))
    with replacing(output / f"{SETS[model]}-random.webp") as file:
        file.write(sheets.webp(image, SHEET_QUALITY))


def page(output: Path) -> str:
    """All tables found, as Markdown."""
    lines = [
        "# Quality by an independent judge",
        "",
        "Lite0 distance and what follows it are by EfficientNet-Lite0, which nothing here is "
        "trained with; VGG16 is what models are trained on. Numbers in brackets: bootstrap 95% "
        "interval of the mean. What columns mean: [comparing methods](../../evaluation.md).",
        "",
    ]
    for name in TABLES:
        file = output / f"{name}.json"
        if file.exists():
            lines += _section(name, read_json(file))
        if (output / f"{name}.webp").exists():
            lines += [f"![twelve of {name}, drawn by the seed, not picked]({name}.webp)", ""]
    return "\n".join(lines)


# What README and docs/quality.md show, and what docs/results/README.md does.
SHORT = (
    ("faces-random", "celeba-paper", "scenes-random", "scenes-small", "streets-objects"),
    (("lite0", 3), ("lite0_fd", 0), ("u_ids", 3), ("psnr", 1)),
    ("ns", "mean"),
)
REACHED = (
    ("faces-center", "faces-random", "scenes-center", "scenes-random"),
    (("lite0", 3), ("lite0_fd", 0), ("psnr", 2)),
    (),
)
NAMES = {"faces": "**finefill**", "places": "**finefill**", "patchmatch": "PatchMatch",
         "places, network alone": "`places`, network alone", "places, network": "`places`, "
         "network and detail", "telea": "Telea (OpenCV)",
         "ns": "Navier-Stokes (OpenCV)", "mean": "mean colour",
         "ce-random": "Context Encoder", "ours": "the paper's method"}  # fmt: skip
MARKS = "<!-- quality:begin -->", "<!-- quality:end -->"


def short(
    output: Path,
    tables: Sequence[str],
    columns: Sequence[tuple[str, int]],
    left_out: Sequence[str],
) -> str:
    """A few numbers of several tables as one: a row a method, a column a table."""
    found = {
        name: read_json(output / f"{name}.json")["methods"]
        for name in tables
        if (output / f"{name}.json").exists()
    }
    rows: dict[str, dict[str, str]] = {}
    for name, methods in found.items():
        for method, numbers in methods.items():
            if method in left_out:
                continue
            cells = [
                _cell(key, digits, numbers, methods) for key, digits in columns if key in numbers
            ]
            rows.setdefault(NAMES.get(method, method), {})[name] = " / ".join(cells)
    heads = [name.replace("-", ", ") for name in found]
    titles = {key: title for key, title, _ in COLUMNS}
    lines = [
        f"| {' / '.join(titles[key] for key, _ in columns)} | {' | '.join(heads)} |",
        "|---|" + "---|" * len(found),
    ]
    lines += [
        f"| {title} | {' | '.join(cells.get(name, '') for name in found)} |"
        for title, cells in rows.items()
    ]
    return "\n".join(lines)


def put(path: Path, table: str) -> None:
    """Replace what stands between the marks of a page that has them."""
    text = path.read_text(encoding="utf-8")
    begin, end = MARKS
    if begin in text:
        head, _, rest = text.partition(begin)
        tail = rest.partition(end)[2]
        path.write_text(f"{head}{begin}\n{table}\n{end}{tail}", encoding="utf-8")


def _section(name: str, facts: dict[str, Any]) -> list[str]:
    methods = facts["methods"]
    shown = [c for c in COLUMNS if all(c[0] in numbers for numbers in methods.values())]
    masks = facts["masks"]
    lines = [f"## {name.replace('-', ', ')}", ""]
    lines += [
        f"{facts['data']['images']} photographs, holes of {masks['hole_share']:.1%}, mean distance "
        f"to the known {masks['known_distance']} pixels. Outside the holes: "
        + (
            "nothing changed."
            if all(numbers["changed_outside_the_hole"] == 0 for numbers in methods.values())
            else ", ".join(f"{m} {n['psnr_outside']} dB" for m, n in methods.items()) + "."
        ),
        "",
        f"| method | {' | '.join(title for _, title, _ in shown)} |",
        "|---|" + "---:|" * len(shown),
    ]
    for method, numbers in methods.items():
        cells = [_cell(key, digits, numbers, methods) for key, _, digits in shown]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    versions = [
        f"{n} {m['card']['version']} ({m['card']['date']})" for n, m in facts["models"].items()
    ]
    lines += [
        "",
        f"`{facts['command']}`; {', '.join(versions)}; data `{facts['data']['sha256'][:12]}`, ",
    ]
    lines[-1] += f"masks `{masks['sha256'][:12]}`."
    return [*lines, "", *([NOTES[name], ""] if name in NOTES else [])]


def _cell(key: str, digits: int, numbers: dict[str, Any], methods: dict[str, Any]) -> str:
    value = numbers[key]
    text = f"{value['mean']:.{digits}f}"
    if key in BEST:
        best = BEST[key](other[key]["mean"] for other in methods.values())
        text = f"**{text}**" if value["mean"] == best else text
    if "low" in value:
        text += f" [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
    return text


def main() -> None:
    """Measure what was asked for and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--runs", type=Path, help="trainings of table1: celeba, scenes")
    parser.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--limit", type=whole_number, default=140)
    parser.add_argument(
        "--keep", nargs="+", default=[], help="methods whose rows stay: same inputs by hash"
    )
    parser.add_argument("--models-only", action="store_true", help="--keep all classical ones")
    parser.add_argument("--sheets", action="store_true", help="draw the sheets alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/results/quality"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    for model in SETS if given.sheets else ():
        sheet(model, given.data, given.limit, given.output)
    given.keep += ALL[1::2] if given.models_only else ()
    for name in given.only if given.data and not given.sheets else ():
        measure(name, given.data, given.runs, given.limit, given.threads, given.output, given.keep)
    (given.output / "README.md").write_text(page(given.output), encoding="utf-8")
    for document in (ROOT / "README.md", ROOT / "docs" / "quality.md"):
        put(document, short(given.output, *SHORT))
    put(ROOT / "docs" / "results" / "README.md", short(given.output, *REACHED))


if __name__ == "__main__":
    script(main)
