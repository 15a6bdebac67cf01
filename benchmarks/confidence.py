"""What the confidence of a fill says about its true error.

    python benchmarks/confidence.py places=DATA/scenes-test.tar faces=DATA/faces-test.tar

Every photograph gets one square hole of 16 to 200 pixels, at most 0.6 of its shorter side, whose
truth is known. The fill of the mirror image disagrees with it by so many levels
(``finefill.completion.confidence``), the truth by so many: do the two rise together, and what does
the warning below 0.5 find?
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import finefill
from finefill.completion import Engine, confidence, fill_with_report
from finefill.data import iterate_images
from finefill.files import replacing
from machine import script, whole_number

SIDES = (16, 200)  # pixels, at most 0.6 of the photograph's shorter side


def main() -> None:
    """Measure and write ``confidence.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", metavar="MODEL=PATH", help="folder or tar shard")
    parser.add_argument("--images", type=whole_number, default=300, help="of each, at most")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    rows = []
    for text in given.data:
        model, _, path = text.partition("=")
        rows.append(
            {"model": model, "data": Path(path).name, **calibrate(model, path, given.images)}
        )
        print(json.dumps(rows[-1]))
    given.output.mkdir(parents=True, exist_ok=True)
    with replacing(given.output / "confidence.json") as file:
        file.write((json.dumps(rows, indent=2) + "\n").encode())


def calibrate(model: str, path: str, count: int) -> dict[str, Any]:
    """Spearman's rank correlation of disagreement and error, and what the threshold finds."""
    engine = finefill.load(model)
    level = confidence.doubt(engine.card)
    if level is None:
        raise SystemExit(confidence.unmeasured(engine.card))
    images = itertools.islice(iterate_images([Path(path)]), count)
    unlike, error = np.array(
        [
            _measured(engine, level, image, np.random.default_rng(number))
            for number, (_, image) in enumerate(images)
        ]
    ).T
    worst = error >= np.quantile(error, 0.75)
    doubted = unlike > level
    return {
        "doubt": level,
        "holes": len(error),
        "spearman": round(float(np.corrcoef(_ranks(unlike), _ranks(error))[0, 1]), 3),
        "upper_quarter_of_disagreement": round(float(np.quantile(unlike, 0.75)), 1),
        "doubted": round(float(doubted.mean()), 3),
        "worst_quarter_among_doubted": _mean(worst[doubted], 3),
        "worst_quarter_among_others": _mean(worst[~doubted], 3),
        "error_of_doubted": _mean(error[doubted], 1),
        "error_of_others": _mean(error[~doubted], 1),
    }


def _measured(
    engine: Engine, level: float, image: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[float, float]:
    """How much the mirror image's fill differs, and the truth: both root mean squares, of 255."""
    height, width = image.shape[:2]
    least, most = SIDES
    side = int(np.exp(rng.uniform(np.log(least), np.log(min(most, 0.6 * min(height, width))))))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    report = fill_with_report(engine, image, mask, measure=True)
    assert report.confidence is not None
    unlike = level * (1 / report.confidence - 1)
    return unlike, confidence.disagreement(report.rgb, image, mask)


def _mean(values: NDArray[Any], digits: int) -> float | None:
    return round(float(values.mean()), digits) if values.size else None


def _ranks(values: NDArray[np.float64]) -> NDArray[np.intp]:
    return values.argsort().argsort()


if __name__ == "__main__":
    script(main)
