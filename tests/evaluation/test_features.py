"""Features of networks, looked at once for each image."""

from __future__ import annotations

import numpy as np

from finefill.evaluation import features
from finefill.masks.drawing import center_square


def test_a_full_cache_still_sees_each_image_once_for_all_metrics() -> None:
    extract = features.Vgg16()
    extract._room = 0
    seen: list[int] = []
    extract._net.register_forward_hook(lambda *_: seen.append(1))
    x, y = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    for hole in (center_square(32, 32, 16), np.ones((32, 32), bool)):
        extract.distance(x, y, hole)
        extract.embedding(x, hole)
        extract.embedding(y, hole)
    assert len(seen) == 2
