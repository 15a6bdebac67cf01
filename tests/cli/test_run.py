"""The process of a command: it ends at once, with all that it had to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ATEXIT = "import atexit; atexit.register(print, 'left'); from finefill.cli import run; run()"


@pytest.mark.parametrize(
    ("arguments", "code", "said", "told"),
    [
        (("--help",), 0, "Complete images", ""),
        (("complete",), 2, "", "Usage"),
        (("complete", "none.jpg", "--box", "0,0,9,9", "-o", "o.png"), 2, "", "none.jpg"),
    ],
)
def test_it_ends_with_its_exit_code(
    arguments: tuple[str, ...], code: int, said: str, told: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ATEXIT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert said in done.stdout
    assert done.stdout.endswith("left\n")  # what others do at the end is done
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_python_without_ctypes_completes_photographs(tmp_path: Path) -> None:
    photo, output = tmp_path / "grey.png", tmp_path / "o.png"
    Image.new("RGB", (64, 48), (90, 140, 200)).save(photo)
    without = "import sys; sys.modules['_ctypes'] = None; from finefill.cli import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", without, "complete", photo, "--box", "20,16,8,8", "-o", output],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(output) as completed:
        assert completed.getcolors() == [(64 * 48, (90, 140, 200))]
