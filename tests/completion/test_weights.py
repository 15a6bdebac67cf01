"""Models that keep their weights in files of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from finefill import Engine, FinefillError
from finefill.completion.catalog import locate
from finefill.completion.weights import files_of
from tests.networks import lama, with_weights_beside


def test_weights_outside_the_folder_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path, parts = with_weights_beside(lama(tmp_path / "net.onnx"))
    moved = path.rename(tmp_path / "sub" / "net.onnx")
    content = moved.read_bytes().replace(b"weights a.bin", b"../weig a.bin")
    moved.write_bytes(content)
    parts[0].rename(tmp_path / "weig a.bin")
    with pytest.raises(FinefillError, match="outside its folder"):
        Engine(moved, convention="lama")


def test_a_file_without_weights_beside_it_is_one_file(model_path: Path) -> None:
    assert files_of(model_path) == [model_path]
    for name in ("places", "faces-fp32"):
        assert files_of(locate(name)) == [locate(name)]
