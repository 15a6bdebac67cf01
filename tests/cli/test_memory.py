"""How commands get memory from the system and keep it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# In a process of its own: what is resident while 64 MiB are in use, and after they were freed.
FREED = """
import click
from pathlib import Path
from finefill.cli import cli

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

cli.get_command(click.Context(cli), "{command}")
before = resident()
block = b"1" * 2**26
used = resident()
del block
print(used - before, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc of glibc")
@pytest.mark.parametrize(("command", "kept"), [("train", 64), ("reproduce", 64), ("complete", 0)])
def test_a_training_keeps_what_it_frees_and_other_commands_do_not(command: str, kept: int) -> None:
    found = subprocess.run(
        [sys.executable, "-c", FREED.format(command=command)],
        capture_output=True,
        text=True,
        check=True,
    )
    used, freed = map(float, found.stdout.split())
    assert used == pytest.approx(64, abs=4)
    assert freed == pytest.approx(kept, abs=4)
