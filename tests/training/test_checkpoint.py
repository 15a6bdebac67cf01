"""Checkpoints: whole or not at all, and readable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from finefill.errors import FinefillError
from finefill.training import checkpoint


def test_a_checkpoint_with_nan_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.LAST
    checkpoint.save(path, {"a": torch.ones(3)}, {"step": 1})
    with pytest.raises(FinefillError, match="NaN"):
        checkpoint.save(path, {"a": torch.tensor([1.0, float("nan")])}, {"step": 2})
    assert checkpoint.load(path)[1] == {"step": 1}


def test_kill_at_any_moment_leaves_a_readable_checkpoint(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "finefill", "train", "--recipe", "tiny", "--quiet"]
    command += ["--data", str(photos), "-o", str(run), "--device", "cpu"]
    command += ["--set", "checkpoint_every=1", "--set", "rec_samples=400000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for attempt in range(2):
        again = ["--resume"] if attempt else []
        process = subprocess.Popen([*command, *again], env=environment)
        before = checkpoint.load(run / checkpoint.LAST)[1]["step"] if attempt else 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            last = run / checkpoint.LAST
            if last.exists() and checkpoint.load(last)[1]["step"] > before + 5:
                break
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert checkpoint.load(run / checkpoint.LAST)[1]["step"] > before


def test_others_may_read_a_checkpoint(finished: Path) -> None:
    """The rights of any new file, as the user's mask says."""
    assert (finished / checkpoint.LAST).stat().st_mode == (finished / "log.jsonl").stat().st_mode
