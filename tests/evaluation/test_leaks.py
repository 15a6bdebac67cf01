"""Training photographs that look like test photographs."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from finefill.cli import cli
from finefill.data import iterate_images, read_exclusions
from finefill.errors import FinefillError
from finefill.evaluation import leaks

Pixels = NDArray[np.uint8]


def photograph(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((140, 120), Image.Resampling.BICUBIC)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Five test photographs; of the training ones 0, 1 and 2 are the same, changed."""
    test, train = tmp_path / "test", tmp_path / "train"
    test.mkdir()
    (train / "x").mkdir(parents=True)
    for i in range(5):
        photograph(i).save(test / f"{i}.png")
    smaller = photograph(0).resize((70, 60))
    smaller.save(train / "x" / "small.jpg", quality=60)
    bright = np.asarray(photograph(1)) * 0.6 + 90
    Image.fromarray(bright.astype(np.uint8)).save(train / "bright.png")
    photograph(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(train / "mirror.webp")
    for i in range(100, 140):
        photograph(i).save(train / f"{i}.png")
    return test, train


def test_a_hash_by_hand() -> None:
    image = np.zeros((8, 9, 3), np.uint8)
    image[0, 3] = 200  # brighter than its left neighbour: bit 2 of the first row
    assert leaks.difference_hash(image).tolist() == [0b00100000, *[0] * 7]
    assert leaks.difference_hash(np.repeat(np.repeat(image, 10, 0), 10, 1)).tolist()[0] == 32


def test_copies_are_found_on_both_sides_whatever_was_done(folders: tuple[Path, Path]) -> None:
    test, train = folders
    trained = (("train", name, image) for name, image in iterate_images([train]))
    found = leaks.find_leaks(trained, iterate_images([test]))
    assert [(leak.tested, leak.trained, leak.mirrored) for leak in found] == [
        ("0.png", "x/small.jpg", False),
        ("1.png", "bright.png", False),
        ("2.png", "mirror.webp", True),
    ]
    assert all(leak.bits <= 3 and 0.99 < leak.correlation <= 1 for leak in found)


def test_command_lists_both_and_writes_what_train_leaves_out(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    test, train = folders
    shard = tmp_path / "train.tar"
    with tarfile.open(shard, "w") as tar:
        for file in sorted(train.rglob("*.*")):
            tar.add(file, file.relative_to(train).as_posix())
    words = ["evaluate", "--data", str(test), "--against", str(shard), "-o", str(tmp_path / "o")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert "3 of 43 training photographs look like 3 of 5 test photographs" in result.output
    assert "| 2.png | train.tar mirror.webp |" in result.output
    assert read_exclusions(tmp_path / "o" / "exclude.txt") == {
        ("train.tar", "x/small.jpg"), ("train.tar", "bright.png"), ("train.tar", "mirror.webp"),
    }  # fmt: skip
    none = CliRunner().invoke(cli, ["evaluate", "--data", str(test / "4.png"), *words[3:5]])
    assert "0 of 43 training photographs look like 0 of 1 test photographs" in none.output
    alone = CliRunner().invoke(cli, ["evaluate", *words[3:]])
    assert isinstance(alone.exception, FinefillError)
