"""Short trainings for the tests."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from finefill.data import recipes
from finefill.training import checkpoint

RECIPE = recipes.override(
    recipes.tiny(),
    [
        "rec_samples=24",
        "all_samples=40",
        "checkpoint_every=4",
        "log_every=2",
        "balance_every=4",  # a measurement falls on every checkpoint of the second stage
        "precision=fp32",
    ],
)
LENGTH = RECIPE.total_steps
CPU = torch.device("cpu")


def same(a: Path, b: Path, name: str = checkpoint.LAST) -> bool:
    first, second = checkpoint.load(a / name), checkpoint.load(b / name)
    assert first[0].keys() == second[0].keys()
    assert first[1] == second[1]
    return all(torch.equal(first[0][name], second[0][name]) for name in first[0])


def events(run: Path, kind: str) -> list[dict[str, object]]:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]
