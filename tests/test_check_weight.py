"""Clones stay small: what `tools/check-weight.py` says of a checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import call_tool

MB = 1 << 20


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for command in (["git", "init", "--quiet"], ["git", "add", "."]):
        (tmp_path / "small.txt").write_text("small")
        subprocess.run(command, cwd=tmp_path, check=True)
    return tmp_path


def track(checkout: Path, name: str, size: int) -> None:
    """Add a file of so many bytes, which take no room on the disk."""
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).touch()
    subprocess.run(["git", "add", name], cwd=checkout, check=True)
    os.truncate(checkout / name, size)


def test_what_is_small_passes(checkout: Path) -> None:
    track(checkout, "docs/sheet.webp", 8 * MB)
    track(checkout, "weights/large.safetensors", 16 * MB)
    (checkout / "untracked").touch()
    os.truncate(checkout / "untracked", 99 * MB)
    done = call_tool("check-weight.py", checkout)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_large_file_is_named(checkout: Path) -> None:
    track(checkout, "docs/sheet.webp", 8 * MB + 1)
    done = call_tool("check-weight.py", checkout)
    assert done.returncode == 1
    assert done.stderr.startswith("docs/sheet.webp: 8.0 MB, more than 8")


def test_too_much_in_all_is_told(checkout: Path) -> None:
    for number in range(5):
        track(checkout, f"models/{number}.onnx", 8 * MB)
    done = call_tool("check-weight.py", checkout)  # 40 MB and the small file
    assert done.returncode == 1
    assert "all tracked files: 40.0 MB, more than 40" in done.stderr
    assert "models/0.onnx" in done.stderr


def test_no_checkout_is_told(tmp_path: Path) -> None:
    done = call_tool("check-weight.py", tmp_path)
    assert done.returncode == 2
    assert "not a git checkout" in done.stderr
