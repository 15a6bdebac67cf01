"""How a model fares when the same photographs are framed closer or wider than in its training.

    python benchmarks/framing.py faces --data DATA/faces-test.tar --limit 150

The network alone, on squares in the middle of each photograph, scaled to 128 pixels. Framing 1 is
0.8 of the shorter side (128 of 160 pixels), the test crops of the results; 0.7 is closer, 1.4 wider
and cut to the whole photograph. With several models each change from the first is given with its
interval (95 %, bootstrap over photographs). Framings hold other contents, some harder to guess.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finefill import Engine
from finefill.completion import catalog
from finefill.data import iterate_images, outlines_of
from finefill.data.photos import center_frame, cut
from finefill.evaluation import kinds, metrics, protocol, report
from finefill.files import RGB
from machine import above_zero, script, whole_number

FRAMINGS = (0.7, 1.0, 1.4)
USUAL = 0.8  # of the shorter side: framing 1
SIZE = 128


def framed(images: list[RGB], framing: float) -> protocol.TestSet:
    """Middle squares (128, 128, 3) of photographs (H, W, 3), at one framing."""
    crops = []
    for image in images:
        side = round(min(image.shape[:2]) * USUAL * framing)
        crops.append(cut(image, center_frame(image, side), SIZE))
    return protocol.TestSet.of([str(n) for n in range(len(crops))], crops)


def load(name: str, threads: int = 1) -> Engine:
    """A shipped model by its name, or one from an .onnx file."""
    return Engine(catalog.locate(name) if name in catalog.names() else name, threads=threads)


def compare(
    fills: Mapping[str, protocol.Method],
    cases: Mapping[str, tuple[protocol.TestSet, kinds.MaskSet]],
    chosen: Sequence[metrics.AnyMetric],
    what: str,
) -> list[dict[str, Any]]:
    """Print a table, a row for each way of filling and measure, a column for each case.

    Returns:
        The same as facts; the key ``what`` says which case.
    """
    print("| model | measure | " + " | ".join(cases) + " |")
    print("|---|---|" + "---|" * len(cases))
    rows: list[dict[str, Any]] = []
    first: dict[str, Mapping[str, metrics.Values]] = {}
    for name, fill in fills.items():
        found = {
            case: protocol.evaluate(test, holes, fill, metrics=chosen).values
            for case, (test, holes) in cases.items()
        }
        first = first or found
        for metric in chosen:
            cells = []
            for case, values in found.items():
                here, before = values[metric.key], first[case][metric.key]
                row = {"model": name, "measure": metric.key, what: case, "mean": float(here.mean())}
                cells.append(f"{here.mean():.3f}")
                if found is not first:
                    change = dataclasses.asdict(metrics.summarise(here - before))
                    row["change"] = change
                    cells[-1] += f" ({report.interval(change, 3)})"
                rows.append(row)
            print(f"| {name} | {metric.key} | {' | '.join(cells)} |", flush=True)
    return rows


def main() -> None:
    """Print a table, and write it as JSON where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="names of shipped models, or .onnx files")
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--limit", type=whole_number, default=150)
    parser.add_argument("--masks", default="center", help="kind: see finefill evaluate")
    parser.add_argument(
        "--objects", nargs="*", type=Path, default=[], help="outlines of --masks objects"
    )
    parser.add_argument("--metrics", default="psnr", help="such as psnr,lite0")
    parser.add_argument("--framings", nargs="+", type=above_zero, default=FRAMINGS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, help="JSON file")
    options = parser.parse_args()
    chosen, _ = metrics.select(tuple(options.metrics.split(",")))
    images = [image for _, image in itertools.islice(iterate_images(options.data), options.limit)]
    outlines = outlines_of(options.objects) if options.objects else []
    holes = kinds.make_masks(options.masks, len(images), outlines=outlines)
    fills = {name: load(name, options.threads).fill for name in options.models}
    cases = {f"{framing:g}": (framed(images, framing), holes) for framing in options.framings}
    rows = compare(fills, cases, chosen, "framing")
    if options.output is not None:
        rows = [{**row, "framing": float(row["framing"])} for row in rows]
        facts = {"photographs": len(images), "masks": holes.kind, "rows": rows}
        options.output.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    script(main)
