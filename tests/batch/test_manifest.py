"""The manifest: what it says, and going on from it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finefill import FinefillError, batch
from finefill.batch import prepare, read_manifest
from tests.batch.folders import Files, sha256, tree


def test_manifest(files: Files) -> None:
    source, mask = files.photo("b/a.png"), files.mask("b/a.png")
    start = time.time()
    assert files.results() == {"b/a.png": "done"}
    (line,) = files.lines()
    seconds, ended = line.pop("seconds"), line.pop("time")
    assert 0 < seconds < time.time() - start + 0.001
    assert ended.endswith("+00:00")
    target = files.out / "b/a.png"
    assert line == {
        "photo": "b/a.png",
        "mask": mask.as_posix(),
        "output": "b/a.png",
        "model": "small",
        "model_sha256": sha256(files.model),
        "model_file": "small.onnx",
        "convention": "finefill",
        "photo_sha256": sha256(source),
        "mask_sha256": sha256(mask),
        "keep_polarity": False,
        "mask_values": [],
        "mask_drawn": None,
        "more_masks": [],
        "labels": [],
        "line_width": None,
        "fill": "auto",
        "wrap": None,
        "grow": 0,
        "output_sha256": sha256(target),
        "output_bytes": target.stat().st_size,
        "width": 96,
        "height": 80,
        "hole_pixels": 30 * 30 + 4 * 5,
        "groups": 1,
        "windows": [[36, 80, 0, 44, 1.0], [0, 80, 5, 85, 1.0]],
        "ways": ["specks", "network"],
        "confidence": None,
        "lacks": [],
        "result": "done",
        "error": "",
        "warnings": [],
    }


def test_restart_does_what_is_missing_or_changed(files: Files, tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b", "c", "d")):
        files.photo(f"{name}.png", 10 * number)
        files.mask(f"{name}.png")
    assert set(files.results().values()) == {"done"}
    first = tree(files.out)
    assert set(files.results().values()) == {"skipped"}
    assert tree(files.out) == first  # the manifest too
    files.photo("a.png", 50)
    files.mask("b.png", 9)
    (files.out / "c.png").unlink()
    expected = {"a.png": "done", "b.png": "done", "c.png": "done", "d.png": "skipped"}
    assert files.results() == expected
    second = tree(files.out)
    assert [name for name in first if second[name] != first[name]] == [
        "a.png", "b.png", "manifest.jsonl",
    ]  # fmt: skip
    (files.out / "d.png").write_bytes(b"of another size")
    files.photo("a.png", 0)  # as it was once, but not when its output was last made
    assert files.results() == {
        **dict.fromkeys(expected, "skipped"),
        "a.png": "done",
        "d.png": "done",
    }
    assert (files.out / "a.png").read_bytes() == first["a.png"]
    assert set(files.results(overwrite=True).values()) == {"done"}
    model = tmp_path / "other.onnx"
    model.write_bytes(files.model.read_bytes() + b"\x92\x03\x01x")  # an unknown field: ignored
    assert set(files.results(model=str(model)).values()) == {"done"}


def test_a_half_written_line_is_cut_off(files: Files) -> None:
    for name in ("a.png", "b.png"):
        files.photo(name)
        files.mask(name)
    files.run()
    manifest = files.out / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(lines[0] + lines[1][:-20])
    with open(manifest, "rb") as file:
        done, length = read_manifest(file)
    assert (list(done), length) == (["a.png"], len(lines[0]))
    assert files.results() == {"a.png": "skipped", "b.png": "done"}
    assert [line["photo"] for line in files.lines()] == ["a.png", "b.png"]
    assert set(files.results().values()) == {"skipped"}
    whole = manifest.read_bytes()
    failed = json.dumps({**files.lines()[0], "result": "failed"}).encode() + b"\n"
    manifest.write_bytes(whole + failed)  # a photo's last line counts
    assert files.results() == {"a.png": "done", "b.png": "skipped"}
    manifest.write_bytes(b'{"photo": 3}\nnot JSON\n[]\n' + manifest.read_bytes())
    assert set(files.results().values()) == {"skipped"}


def test_one_run_at_a_time(files: Files) -> None:
    pytest.importorskip("fcntl")
    files.many(2)
    first = batch.run(prepare(files.batch()))
    next(first)
    with pytest.raises(FinefillError, match="another batch is writing there"):
        files.run()
    first.close()
    assert files.results() == {"p000.png": "skipped", "p001.png": "done"}


def test_options_of_the_mask_are_part_of_what_was_done(files: Files) -> None:
    files.photo("a.png")
    Image.fromarray(~files.hole).save(files.masks / "a.png")  # inverted
    entry = files.run()["a.png"]
    assert entry.hole_pixels == files.hole.sum()
    assert "inverted" in entry.warnings[0]
    assert files.results() == {"a.png": "skipped"}
    wider = files.run(grow=3)["a.png"]
    assert wider.result == "done"
    assert wider.hole_pixels is not None
    assert wider.hole_pixels > files.hole.sum()
    as_it_is = files.run(keep_polarity=True)["a.png"]
    assert as_it_is.hole_pixels == (~files.hole).sum()
    assert files.results(keep_polarity=True) == {"a.png": "skipped"}
    assert files.results() == {"a.png": "done"}

    labels = files.hole.astype(np.uint8)
    labels[:5, :5], labels[:5, 10:15] = 2, 3
    Image.fromarray(labels).save(files.masks / "a.png")
    entry = files.run()["a.png"]
    assert entry.hole_pixels == files.hole.sum() + 50
    assert "label mask of 4 values" in entry.warnings[0]
    entry = files.run(mask_values=("1", "3"))["a.png"]
    assert entry.hole_pixels == files.hole.sum() + 25
    assert entry.warnings == []
    assert files.results(mask_values=("1", "3")) == {"a.png": "skipped"}
    assert files.results(mask_values=("1",)) == {"a.png": "done"}
