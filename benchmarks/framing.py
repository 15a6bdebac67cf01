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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finefill import Engine
from finefill.completion import catalog
from finefill.data import iterate_images, outlines_of
from finefill.data.photos import center_frame, cut
from finefill.evaluation import kinds, metrics, protocol, report
from finefill.files import RGB

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


def main() -> None:
    """Print a table, and write it as JSON where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="names of shipped models, or .onnx files")
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=150)
    parser.add_argument("--masks", default="center", help="kind: see finefill evaluate")
    parser.add_argument(
        "--objects", nargs="*", type=Path, default=[], help="outlines of --masks objects"
    )
    parser.add_argument("--metrics", default="psnr", help="such as psnr,lite0")
    parser.add_argument("--framings", nargs="*", type=float, default=FRAMINGS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, help="JSON file")
    options = parser.parse_args()
    chosen, _ = metrics.select(tuple(options.metrics.split(",")))
    images = [image for _, image in itertools.islice(iterate_images(options.data), options.limit)]
    outlines = outlines_of(options.objects) if options.objects else []
    holes = kinds.make_masks(options.masks, len(images), outlines=outlines)
    rows: list[dict[str, Any]] = []
    print("| model | measure | " + " | ".join(f"{f:g}" for f in options.framings) + " |")
    print("|---|---|" + "---|" * len(options.framings))
    first: dict[float, Mapping[str, metrics.Values]] = {}
    for name in options.models:
        path = catalog.locate(name) if name in catalog.names() else Path(name)
        fill = Engine(path, threads=options.threads).fill
        found = {
            framing: protocol.evaluate(framed(images, framing), holes, fill, metrics=chosen).values
            for framing in options.framings
        }
        first = first or found
        for metric in chosen:
            cells = []
            for framing, values in found.items():
                here, before = values[metric.key], first[framing][metric.key]
                row = {"model": name, "measure": metric.key, "framing": framing}
                row |= {"mean": float(here.mean())}
                cells.append(f"{here.mean():.3f}")
                if found is not first:
                    change = dataclasses.asdict(metrics.summarise(here - before))
                    row["change"] = change
                    cells[-1] += f" ({report.interval(change, 3)})"
                rows.append(row)
            print(f"| {name} | {metric.key} | {' | '.join(cells)} |", flush=True)
    if options.output is not None:
        facts = {"photographs": len(images), "masks": holes.kind, "rows": rows}
        options.output.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
