"""The engine on a real, small model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from finefill import Engine, FinefillError
from finefill.errors import OperationError
from finefill.masks.drawing import random_square
from tests.conftest import CARD, write_model


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (128, 128), (40, 201)])
def test_any_size_is_filled_from_its_surroundings(engine: Engine, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), (10, 120, 250), np.uint8)
    mask = np.zeros(size, bool)
    mask[4:12, 5:13] = True
    image[mask] = 99  # what is in the hole must not matter
    before, hole = image.copy(), mask.copy()
    image.setflags(write=False)
    result = engine.fill(image, mask)
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result[~mask], before[~mask])
    assert np.abs(result[mask].astype(int) - (10, 120, 250)).max() <= 1
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(mask, hole)


def test_a_hole_at_the_edge_is_not_mirrored_into_known_pixels(engine: Engine) -> None:
    image = np.full((36, 36, 3), 50, np.uint8)
    mask = np.zeros((36, 36), bool)
    mask[28:, 28:] = True
    image[mask] = 255
    assert np.abs(engine.fill(image, mask)[mask].astype(int) - 50).max() <= 1


def test_many_images_of_any_sizes_come_out_as_one_by_one(
    engine: Engine, demo_rgb: NDArray[np.uint8]
) -> None:
    rng = np.random.default_rng(0)
    images, masks = [], []
    for height, width in [(128, 128)] * 10 + [(121, 128), (64, 40), (200, 300), (128, 128)]:
        top, left = (int(rng.integers(0, 480 - height)), int(rng.integers(0, 640 - width)))
        images.append(demo_rgb[top : top + height, left : left + width])
        masks.append(random_square(rng, height, width, (8, 30)))
    together = engine.fill_many(images, masks)
    assert len(together) == len(images)
    for image, mask, result in zip(images, masks, together, strict=True):
        np.testing.assert_array_equal(result, engine.fill(image, mask))
    assert engine.fill_many([], []) == []


def test_an_image_without_a_mask_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        engine.fill_many([np.zeros((20, 20, 3), np.uint8)], [])


def test_the_card_is_a_copy(engine: Engine) -> None:
    assert engine.card == CARD
    engine.card["name"] = "changed"
    assert engine.card["name"] == "small"


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (np.zeros((20, 20), np.uint8), np.ones((20, 20), bool), "image has shape"),
        (np.zeros((20, 20, 4), np.uint8), np.ones((20, 20), bool), "image has shape"),
        (np.zeros((20, 20, 3), np.float32), np.ones((20, 20), bool), "float32"),
        (np.zeros((20, 20, 3), np.uint8), np.ones((20, 21), bool), r"needs \(20, 20\)"),
        (np.zeros((20, 20, 3), np.uint8), np.ones((20, 20), np.uint8), "bool"),
        (np.zeros((20, 15, 3), np.uint8), np.ones((20, 15), bool), "15x20"),
    ],
)
def test_arrays_that_do_not_fit(
    engine: Engine,
    image: np.typing.NDArray[np.uint8],
    mask: np.typing.NDArray[np.bool_],
    message: str,
) -> None:
    with pytest.raises(FinefillError, match=message):
        engine.fill(image, mask)


def test_files_that_are_no_model_of_ours(tmp_path: Path, model_path: Path) -> None:
    data = model_path.read_bytes()
    cases = {
        "no such model": tmp_path / "none.onnx",
        "not a usable ONNX": tmp_path / "cut.onnx",
        "not a finefill model": write_model(tmp_path / "output.onnx", CARD, output="other"),
        "no model of finefill.s": write_model(tmp_path / "no-card.onnx", None),
        "card is damaged": write_model(tmp_path / "card.onnx", {**CARD, "hole_range": [80, 48]}),
        "card is damaged: export": write_model(tmp_path / "card2.onnx", {"name": "x"}),
        "card is damaged: export the": write_model(tmp_path / "card3.onnx", {**CARD, "doubt": 0}),
    }
    (tmp_path / "cut.onnx").write_bytes(data[: len(data) // 2])
    for message, path in cases.items():
        with pytest.raises(FinefillError, match=message) as error:
            Engine(path)
        assert str(error.value).startswith(str(path))


def test_a_model_of_another_multiple_is_found_out(tmp_path: Path) -> None:
    engine = Engine(write_model(tmp_path / "m.onnx", {**CARD, "size_multiple": 1}), threads=1)
    mask = np.zeros((20, 20), bool)
    mask[3:5] = True
    with pytest.raises(OperationError, match="not an image of the input's size"):
        engine.fill(np.zeros((20, 20, 3), np.uint8), mask)
