"""What the measures by EfficientNet-Lite0 cost: all metrics beside those without it, in one run.

Needs the extra ``reproduce``. The fill is a flat colour, so that measuring is all that counts.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from finefill.evaluation import features, kinds, lite0, metrics, protocol
from finefill.evaluation.baselines import mean_colour
from machine import script, whole_number

WITHOUT = ("l1", "l2", "psnr", "ssim", "seam", "vgg16", "frechet")


def seconds(test: protocol.TestSet, names: tuple[str, ...] | None) -> float:
    """Processor seconds to measure every crop, the networks read and nothing known of them."""
    features.shared.cache_clear()
    lite0.shared.cache_clear()
    chosen, _ = metrics.select(names)
    holes = kinds.make_masks("random", len(test.names))
    start = time.process_time()
    protocol.evaluate(test, holes, mean_colour, metrics=chosen)
    return time.process_time() - start


def main() -> None:
    """Print the ratio as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--limit", type=whole_number, default=1000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    test = protocol.load_test_set(given.data, given.limit)
    before, after = seconds(test, WITHOUT), seconds(test, None)
    facts = {"crops": len(test.names), "without_s": round(before, 1), "all_s": round(after, 1)}
    print(json.dumps({**facts, "ratio": round(after / before, 2)}))


if __name__ == "__main__":
    script(main)
