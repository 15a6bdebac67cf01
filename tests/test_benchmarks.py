"""The scripts of benchmarks/: what their user can mend is told in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import finefill

FOLDER = Path(__file__).parents[1] / "benchmarks"
SOURCE = str(Path(finefill.__file__).parents[1])
ASSETS = str(Path(finefill.__file__).parent / "assets")
DEMO = str(Path(ASSETS, "demo.jpg"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["framing.py", "no-model", "--data", ASSETS], "no-model"),
        (["framing.py", "places", "--data", ".", "--limit", "0"], "--limit: invalid whole_number"),
        (["portraits.py", "nowhere", "places"], "nowhere"),
        (["structured.py", "speed", "nowhere"], "nowhere: no photographs in it"),
        (["structured.py", "count", DEMO, DEMO], "demo.jpg: not a JSON file"),
        (["streets.py", DEMO, ASSETS], "demo.jpg: not a JSON file"),
        (["training_builds.py", ".", "-o", "x.json", "--batch", "0"], "--batch: invalid"),
    ],
    ids=str,
)
def test_bad_input_is_one_line(arguments: list[str], told: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / arguments[0], *arguments[1:]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
