"""Somebody else's network in every command, and what ``finefill models`` shows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill.cli.models import in_a_word
from finefill.completion import Engine, choose
from finefill.completion.weights import files_of
from finefill.errors import FinefillError
from tests.cli.test_use import run
from tests.completion.test_convention import MEAN, PLAIN
from tests.conftest import CARD, write_model
from tests.networks import copy_known_mean, lama, migan, two_colours, with_weights_beside

QUALITY = Path(__file__).parents[2] / "docs" / "results" / "quality"
Captured = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


class Files:
    """A photo of two colours with its mask, in folders of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos, self.masks, self.out = (folder / name for name in ("photos", "masks", "out"))
        self.image, self.hole = two_colours((64, 64), (24, 24, 16, 16))
        for place in (self.photos, self.masks):
            place.mkdir()
        self.photo, self.mask = self.photos / "a.png", self.masks / "a.png"
        Image.fromarray(self.image).save(self.photo)
        Image.fromarray(self.hole).save(self.mask)

    def check(self, path: Path) -> None:
        """Whether a file is the photo with the mean of what is known in its hole."""
        result = np.asarray(Image.open(path))
        np.testing.assert_array_equal(result[~self.hole], self.image[~self.hole])
        assert np.unique(result[self.hole], axis=0).tolist() == [list(MEAN)]

    def complete(self, patch: Patch, *arguments: object) -> int:
        words = (self.photo, "--mask", self.mask, "-o", self.folder / "o.png", *arguments)
        return run(patch, "complete", *words)

    def batch(self, patch: Patch, *arguments: object) -> int:
        return run(patch, "batch", self.photos, "--masks", self.masks, "-o", self.out, *arguments)

    def lines(self) -> list[dict[str, Any]]:
        text = (self.out / "manifest.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("make", [lama, migan])
def test_complete(make: Any, files: Files, monkeypatch: Patch, capsys: Captured) -> None:
    path = make(files.folder / "net.onnx")
    assert files.complete(monkeypatch, "--model", path, "--strict", "--verify") == 0
    said = capsys.readouterr()
    assert said.err == (
        f"finefill: {path}: has no card and the inputs of {make.__name__}: used as that "
        f"(--convention {make.__name__})\n"
    )
    assert "0 pixels" in said.out or "unchanged" in said.out or "outside" in said.out
    files.check(files.folder / "o.png")
    # Named, there is nothing to tell.
    assert files.complete(monkeypatch, "--model", path, "--convention", make.__name__) == 0
    assert capsys.readouterr().err == ""


def test_complete_by_json(files: Files, monkeypatch: Patch, capsys: Captured) -> None:
    path = copy_known_mean(files.folder / "net.onnx", marks=(1, 0))
    assert files.complete(monkeypatch, "--model", path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "inputs image float32 [N, 3, H, W]" in said
    assert "net.json beside it" in said
    says = files.folder / "any.json"
    says.write_text(json.dumps(PLAIN | {"mask": {"name": "mask", "keep": 1, "hole": 0}}))
    assert files.complete(monkeypatch, "--model", path, "--convention", says) == 0
    files.check(files.folder / "o.png")
    says.rename(files.folder / "net.json")
    assert files.complete(monkeypatch, "--model", path, "--strict") == 0
    assert files.complete(monkeypatch, "--model", path, "--convention", "lamma") == 2
    assert "unknown convention: use finefill, lama, migan" in capsys.readouterr().err


def test_confidence_that_is_not_known_is_told(
    files: Files, monkeypatch: Patch, capsys: Captured
) -> None:
    path = lama(files.folder / "net.onnx")
    words = ("--model", path, "--convention", "lama", "--confidence")
    assert files.complete(monkeypatch, *words) == 0
    said = capsys.readouterr()
    assert "confidence is not measured" in said.err
    assert said.out == ""
    (files.folder / "o.png").unlink()
    assert files.complete(monkeypatch, *words, "--strict") == 2
    assert not (files.folder / "o.png").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_batch(jobs: int, files: Files, monkeypatch: Patch, capsys: Captured) -> None:
    for name in ("b.png", "c.png"):
        Image.fromarray(files.image).save(files.photos / name)
        Image.fromarray(files.hole).save(files.masks / name)
    path = migan(files.folder / "net.onnx")
    assert files.batch(monkeypatch, "--model", path, "--jobs", jobs) == 0
    assert "used as that (--convention migan)" in capsys.readouterr().err
    for line in files.lines():
        assert (line["model"], line["model_file"]) == ("net", "net.onnx")
        assert line["model_sha256"] == sha256(path)
        assert line["convention"] == "migan"
        files.check(files.out / line["output"])
    assert files.batch(monkeypatch, "--model", path, "--convention", "migan") == 0
    assert "done 0, skipped 3" in capsys.readouterr().out
    # Another way of using the same file is another result.
    says = files.folder / "like.json"
    says.write_text('{"like": "migan", "image": {"hole": "kept"}}')
    assert files.batch(monkeypatch, "--model", path, "--convention", says, "--jobs", jobs) == 0
    assert "done 3, skipped 0" in capsys.readouterr().out
    assert files.lines()[-1]["convention"].startswith("sha256:")


def test_evaluate(files: Files, monkeypatch: Patch, capsys: Captured) -> None:
    one, two = files.folder / "one", files.folder / "two"
    for folder in (one, two):
        folder.mkdir()
    lama(one / "net.onnx")
    copy_known_mean(two / "net.onnx", marks=(255, 0), scale=1)
    says = files.folder / "says.json"
    says.write_text(json.dumps(PLAIN | {"mask": {"name": "mask", "keep": 255, "hole": 0}}))
    command = [
        "evaluate", "--data", files.photos, "--size", 64, "--metric", "l1", "--baseline", "mean",
        "--model", f"theirs={one / 'net.onnx'}", "--model", f"mine={two / 'net.onnx'}",
    ]  # fmt: skip
    out = files.folder / "results"
    assert run(monkeypatch, *command, "--convention", f"mine={says}", "-o", out) == 0
    assert "net.onnx: has no card and the inputs of lama" in capsys.readouterr().err
    facts = json.loads((out / "summary.json").read_text())
    models = facts["models"]
    assert set(models) == {"theirs", "mine"}
    assert models["theirs"]["sha256"] == sha256(one / "net.onnx")
    assert models["theirs"]["card"]["convention"] == "lama"
    assert models["theirs"]["card"]["terms"] == "not stated"
    table = (out / "per-image.csv").read_text().splitlines()
    found = {}
    for line in table[1:]:
        cells = dict(zip(table[0].split(","), line.split(","), strict=True))
        found[cells["method"]] = cells
    numbers = {name: {k: v for k, v in cells.items() if "l1" in k} for name, cells in found.items()}
    # All three fill with the mean of what is known.
    assert numbers["theirs"] == numbers["mine"] == numbers["mean"]
    assert run(monkeypatch, *command, "--convention", "yours=lama", "-o", out) == 2
    assert "belongs to no --model" in capsys.readouterr().err
    assert run(monkeypatch, *command, "--model", f"mine={one / 'net.onnx'}", "-o", out) == 2
    assert "two methods are called 'mine'" in capsys.readouterr().err


def test_models_and_conventions_of_a_command_line(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b.onnx").touch()  # a file's name, as it is
    chosen = choose(["a=b.onnx", "x=c.onnx", "places", "y=faces"], ["x=lama"])
    assert [tuple(one) for one in chosen] == [
        (None, "a=b.onnx", None),
        ("x", "c.onnx", "lama"),
        (None, "places", None),
        ("y", "faces", None),
    ]
    assert [one.label for one in chosen] == ["a=b", "x", "places", "y"]
    both = choose(["c.onnx", "d.onnx", "places"], ["lama", "d=migan"])
    assert [one.convention for one in both] == ["lama", "migan", None]
    for wrong in ("=c.onnx", "x="):
        with pytest.raises(FinefillError, match="both not empty"):
            choose([wrong])


def test_table_of_the_models(monkeypatch: Patch, capsys: Captured) -> None:
    assert run(monkeypatch, "models") == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "domain", "MB", "parameters", "terms", "lite0"]
    assert [row.split()[0] for row in rows] == ["places", "faces", "places-fp32", "faces-fp32"]
    assert all(len(row) <= 100 and "research" in row for row in rows)
    found = [
        json.loads((QUALITY / f"{table}.json").read_text(encoding="utf-8"))["methods"][name]
        for name, table in (("places", "scenes-random"), ("faces", "faces-random"))
    ]
    told = [f"{one['lite0']['mean']:.3f}" for one in found]  # as in the tables of the documents
    assert [row.split()[-1] for row in rows] == [*told, "-", "-"]
    assert last == "lite0: distance of features, less is better; finefill models NAME: the card"


def test_card_of_a_model(monkeypatch: Patch, capsys: Captured, tmp_path: Path) -> None:
    settings = {"name": "mine", "batch": 16, "all_rates": [0.1, 0.2]}
    card = {**CARD, "recipe": settings, "metrics": {"a": {"lite0": 0.25}}, "parameters": 1234567}
    path = write_model(tmp_path / "m.onnx", card)
    assert run(monkeypatch, "models", path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["small", f"  file: {path}", f"  sha256: {sha256(path)}"]
    assert "  parameters: 1,234,567" in lines
    assert "  metrics: a lite0 0.25" in lines
    assert "  recipe: mine, 3 settings (--recipe shows them)" in lines
    assert run(monkeypatch, "models", path, "--recipe") == 0
    assert "    all rates: 0.1, 0.2" in capsys.readouterr().out.splitlines()
    assert run(monkeypatch, "models", "no-such-model") == 2
    assert run(monkeypatch, "models", "--recipe") == 2


def test_models_prints_what_a_json_file_would_say(
    monkeypatch: Patch, capsys: Captured, tmp_path: Path
) -> None:
    path = lama(tmp_path / "net.onnx")
    assert run(monkeypatch, "models", path, "--json") == 0
    (tmp_path / "net.json").write_text(capsys.readouterr().out)
    engine = Engine(path)
    assert (engine.recognised, engine.card["convention"]) == ("", "lama")
    assert run(monkeypatch, "models", path) == 0
    said = capsys.readouterr()
    assert "  fixed size: 512, 512" in said.out.splitlines()
    assert "  convention: lama" in said.out.splitlines()
    assert said.err == ""


@pytest.mark.parametrize(
    ("card", "word"),
    [
        ({"terms": "non-commercial research (A), B"}, "research"),
        ({"terms": "MIT", "licence": "x"}, "MIT"),
        ({"terms": "ask the makers of the model before use"}, "ask the makers of the m…"),
        ({"terms": "not stated", "licence": "Apache-2.0"}, "Apache-2.0"),
        ({"terms": "", "licence": ""}, "not stated"),
    ],
)
def test_terms_in_a_word(card: dict[str, Any], word: str) -> None:
    assert in_a_word(card) == word


def test_weights_in_files_beside_the_model(
    files: Files, monkeypatch: Patch, capsys: Captured, demo_rgb: NDArray[np.uint8]
) -> None:
    path, parts = with_weights_beside(lama(files.folder / "net.onnx"))
    found = files_of(path)
    assert found == [path, path.parent / "sub/b.bin", path.parent / "weights a.bin"]
    assert files.batch(monkeypatch, "--model", path) == 0
    files.check(files.out / "a.png")
    whole = hashlib.sha256(b"".join(one.read_bytes() for one in found)).hexdigest()
    assert files.lines()[0]["model_sha256"] == whole
    other = path.rename(path.with_name("other.onnx"))
    parts[0].unlink()
    capsys.readouterr()
    assert files.batch(monkeypatch, "--model", other) == 2
    missing = path.with_name("weights a.bin")
    assert capsys.readouterr().err == (
        f"finefill: {other}: its weights are in {missing}, which is missing: keep both together\n"
    )
