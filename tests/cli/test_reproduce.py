"""`finefill reproduce`: what it refuses."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from finefill.cli import cli
from finefill.errors import FinefillError


def test_bad_commands(tmp_path: Path, photos: Path) -> None:
    for words, message in [
        (["figure3"], "unknown experiment 'figure3': choose from table1, figure2"),
        (["table1"], "give training photographs with --train"),
        (["table1", "--size", "50"], "--size 50"),
        (["figure9", "--model", "nobody"], "nobody: unknown model"),
        (["table1", "--train", str(photos), "-o", "runs", "--exclude", "no.txt"], "no.txt"),
        (["figure5", "--without", "raw"], "--without raw: no such row; there are dcgan, gfc, adv"),
        (["figure5", "--without", "ours"], "--without ours: figure5 compares the others with it"),
    ]:
        words += ["--test", str(photos), "--results", str(tmp_path / "results")]
        result = CliRunner().invoke(cli, ["reproduce", *words])
        assert isinstance(result.exception, FinefillError), result.output
        assert message in str(result.exception)
