"""Photographs that stay on the device."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from finefill.data.photos import Frame, Photos, cut, training_batch
from finefill.errors import FinefillError
from finefill.training import loop
from finefill.training.resident import Resident, cut_here, on_device
from tests.training.runs import CPU, RECIPE


def test_crops_cut_on_the_device_show_what_those_of_the_cpu_do(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:70, :90]
    for number in range(12):  # planes, of several sizes: both ways of sampling are exact on them
        image = np.stack([rows + columns, 2 * rows, 200 - 2 * columns + number], 2)
        image = image[: 60 + number % 3, : 90 - number % 4].astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    recipe = dataclasses.replace(RECIPE, shorter_side=None, crop=(30, 64), rotation=20.0, batch=8)
    photos = Photos([tmp_path], recipe)
    resident = Resident(photos, recipe, CPU)
    for step in (0, 3):
        expected, holes = training_batch(photos, recipe, step)
        found, mask = resident.batch(step)
        assert np.array_equal(mask[:, 0].numpy() > 0, holes)
        pixels = ((found + 1) * 127.5).permute(0, 2, 3, 1).numpy()
        # Up to two pixels of a plane's slope: `cut` rounds a frame's place and side.
        assert np.abs(pixels - expected)[:, 1:-1, 1:-1].max() <= 6
        second, _ = resident.batch(step, rank=1, ranks=2)
        assert torch.equal(second, found[4:])
    # Whole pixels: nothing is rounded, so not half a pixel may be between the two.
    two = dataclasses.replace(recipe, other_sizes=(48,), discriminator="patch")
    resident = Resident(photos, two, CPU)
    sides = [training_batch(photos, two, step)[0].shape[1] for step in range(8)]
    assert set(sides) == {32, 48}
    assert [resident.batch(step)[0].shape[2] for step in range(8)] == sides
    at, pixels = (
        Frame(30, 40, 20),
        torch.from_numpy(photos.train[0].transpose(2, 0, 1).copy())[None],
    )
    for frame in (at, dataclasses.replace(at, flip=True), dataclasses.replace(at, degrees=90.0)):
        found = (cut_here(pixels, [frame], 20)[0].permute(1, 2, 0).numpy() + 1) * 127.5
        assert np.allclose(found, cut(photos.train[0], frame, 20), atol=0.01)
    run = tmp_path / "run"
    assert loop.train(recipe, photos, run, device="cpu", resident=True, quiet=True)
    with pytest.raises(FinefillError, match="leave --resident out"):
        on_device(None, recipe, CPU)
