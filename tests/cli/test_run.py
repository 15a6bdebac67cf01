"""The process of a command: it ends at once, with all that it had to say."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
