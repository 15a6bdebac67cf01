"""What people install: its names, and that it does without PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import finefill

PUBLIC = ["Engine", "FinefillError", "__version__", "complete", "load"]


def test_public_names() -> None:
    assert sorted(finefill.__all__) == PUBLIC
    assert dir(finefill) == PUBLIC
    assert all(hasattr(finefill, name) for name in PUBLIC)
    assert not hasattr(finefill, "something_else")


def test_completing_needs_no_torch(tmp_path: Path, model_path: Path) -> None:
    Image.new("RGB", (64, 64), (9, 99, 199)).save(tmp_path / "p.png")
    Image.fromarray(np.eye(64, dtype=bool)).save(tmp_path / "m.png")
    program = """
import sys
for name in ("torch", "onnx", "tqdm", "safetensors", "cv2"):
    sys.modules[name] = None  # importing it raises ImportError
from finefill.cli import cli
cli(sys.argv[1:], standalone_mode=False)
import finefill, finefill.completion.catalog, finefill.completion.photo, finefill.cli.use
assert not any(name.split(".")[0] == "torch" for name in sys.modules if sys.modules[name])
print(finefill.complete)
"""
    command = ["complete", "p.png", "--mask", "m.png", "-o", "o.png", "--model", str(model_path)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "o.png")), np.asarray(Image.open(tmp_path / "p.png"))
    )


def test_importing_finefill_is_cheap() -> None:
    program = "import sys, finefill; print([n for n in ('numpy', 'PIL') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
