"""How far above Context Encoder a much longer training gets on the streets of ``reproduce``.

    python benchmarks/streets.py docs/results/reproduction/table1-streets.json \
        DATA/streets-test.tar DATA/scenes-test.tar/street DATA/scenes-test.tar/buildings

The tables of ``finefill reproduce`` are of 64 pixels. A shipped model has seen several times their
samples, of more photographs, at 128 pixels. Here it completes the centre square of the same test
photographs at 128 pixels, network alone; fill and original are then averaged to 64 pixels and
compared over the hole, as the tables' methods were.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

import finefill
from finefill.data import Pixels
from finefill.errors import FinefillError
from finefill.evaluation import metrics, protocol
from finefill.masks import center_square
from machine import read_json, script

SIZE = 128


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="a .json of `finefill reproduce` with ce-center")
    parser.add_argument("data", type=Path, nargs="+", help="its --test photographs")
    parser.add_argument("--model", default="places")
    given = parser.parse_args()
    table = read_json(given.table)["masks"]["center"]
    theirs = table["methods"]["ce-center"]["psnr"]["mean"]
    test = protocol.load_test_set(given.data, size=SIZE)
    small = protocol.load_test_set(given.data, size=SIZE // 2)
    if small.sha256 != table["data"]["sha256"]:
        raise FinefillError(f"{given.table}: was measured on other photographs than these")

    engine = finefill.load(given.model)
    hole = center_square(SIZE, SIZE, SIZE // 2)
    half = center_square(SIZE // 2, SIZE // 2, SIZE // 4)
    scores = []
    for image in test.images:
        original, completed = halved(image), halved(engine.fill(image, hole))
        scores.append(metrics.psnr(original, completed, half))
    ours = float(np.mean(scores))
    facts = {
        "model": given.model,
        "version": engine.card["version"],
        "samples": engine.card["samples"],
        "images": len(scores),
        "psnr": round(ours, 2),
        "psnr_context_encoder": round(theirs, 2),
        "difference": round(ours - theirs, 2),
    }
    print(json.dumps(facts))


def halved(image: Pixels) -> Pixels:
    """(H, W, 3) uint8 -> (H/2, W/2, 3) uint8, means of 2x2 pixels."""
    size = (image.shape[1] // 2, image.shape[0] // 2)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


if __name__ == "__main__":
    script(main)
