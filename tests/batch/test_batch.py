"""Folders of photographs: matching, the manifest, restart, failures, processes that are killed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import Engine, FinefillError, batch
from finefill.batch import (
    Batch,
    Entry,
    Task,
    complete_file,
    local,
    prepare,
    preview,
    read_manifest,
    task,
)
from finefill.completion.photo import Report, fill_photo, fill_with_report
from finefill.files.reading import read_photo
from tests.cli.test_use import run as run_command

SIZE = (96, 80)  # width, height


class Files:
    """Folders for a batch, and the command on them."""

    def __init__(self, folder: Path, model: Path, rgb: NDArray[np.uint8]) -> None:
        self.folder, self.model, self.rgb = folder, model, rgb
        self.photos, self.masks, self.out = (folder / name for name in ("in", "masks", "out"))
        self.photos.mkdir()
        self.masks.mkdir()
        self.hole = np.zeros(SIZE[::-1], bool)
        self.hole[20:50, 30:60] = True
        self.hole[70:74, 0:5] = True  # 20 rows and 25 columns away: of the same group

    def photo(self, name: str, shift: int = 0, **options: Any) -> Path:
        """A piece of the bundled photograph."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        crop = Image.fromarray(self.rgb).crop((shift, 200, shift + SIZE[0], 200 + SIZE[1]))
        crop.save(path, **options)
        return path

    def mask(self, name: str, shift: int = 0) -> Path:
        path = self.masks / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(self.hole, shift, axis=1)).save(path)
        return path

    def batch(self, **options: Any) -> Batch:
        options = {"model": str(self.model), "jobs": 1, **options}
        return Batch(self.photos, options.pop("masks", self.masks), self.out, **options)

    def run(self, **options: Any) -> dict[str, Entry]:
        """Photo -> entry of all that a run did."""
        return {entry.photo: entry for entry in batch.run(prepare(self.batch(**options)))}

    def results(self, **options: Any) -> dict[str, str]:
        return {photo: entry.result for photo, entry in self.run(**options).items()}

    def lines(self) -> list[dict[str, Any]]:
        text = (self.out / "manifest.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def command(self, *arguments: object) -> list[str]:
        words = ["batch", self.photos, "--masks", self.masks, "-o", self.out]
        return [str(word) for word in (*words, "--model", self.model, *arguments)]

    def many(self, count: int) -> None:
        """That many photos, copies of one but for their names, and their masks."""
        photo, mask = self.photo("p000.png"), self.mask("p000.png")
        for number in range(1, count):
            shutil.copy(photo, self.photos / f"p{number:03}.png")
            shutil.copy(mask, self.masks / f"p{number:03}.png")


@pytest.fixture
def files(tmp_path: Path, model_path: Path, demo_rgb: NDArray[np.uint8]) -> Files:
    return Files(tmp_path, model_path, demo_rgb)


def tree(folder: Path) -> dict[str, bytes]:
    """Path -> contents of all files below a folder, hidden ones and the manifest's too."""
    found = sorted(folder.rglob("*"))
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in found if path.is_file()
    }


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_masks_are_matched_by_folder_and_stem(files: Files, engine: Engine) -> None:
    for name, shift in (("a.png", 0), ("b/a.bmp", 20), ("b/c.d/x.y.PNG", 40)):
        files.photo(name, shift)
    for name in (".hidden.png", ".folder/a.png"):
        files.photo(name)
    (files.photos / "notes.txt").write_text("no photo")
    masks = [files.mask("a.png"), files.mask("b/a.gif", 7), files.mask("b/c.d/x.y.png", 14)]
    entries = files.run()
    names = ["a.png", "b/a.bmp", "b/c.d/x.y.PNG"]
    assert list(entries) == names  # sorted, a folder's files before the folders below it
    for name, mask, shift in zip(names, masks, (0, 7, 14), strict=True):
        assert entries[name].result == "done"
        hole = np.roll(files.hole, shift, axis=1)
        rgb = read_photo(files.photos / name).rgb
        expected = fill_photo(engine, rgb, hole)
        assert (expected[hole] != rgb[hole]).any()
        np.testing.assert_array_equal(pixels(files.out / name), expected)
        assert entries[name].mask_sha256 == sha256(mask)
    assert set(tree(files.out)) == {*names, "manifest.jsonl"}


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
        "fill": "auto",
        "grow": 0,
        "output_sha256": sha256(target),
        "output_bytes": target.stat().st_size,
        "width": 96,
        "height": 80,
        "hole_pixels": 30 * 30 + 4 * 5,
        "groups": 1,
        "windows": [[0, 80, 0, 96, 1.0]],
        "ways": ["network"],
        "confidence": None,
        "result": "done",
        "error": "",
        "warnings": [],
    }


def test_one_mask_for_all_and_formats_kept(files: Files) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = 3  # upside down
    files.photo("a.jpg", exif=exif, quality=90)
    files.photo("a.webp", lossless=True)
    files.photo("b/a.tiff", compression="tiff_lzw")
    mask = files.mask("any.png")
    entries = files.run(masks=mask)
    assert [entry.result for entry in entries.values()] == ["done"] * 3
    assert {entry.mask for entry in entries.values()} == {mask.as_posix()}
    for name, kind in (("a.jpg", "JPEG"), ("a.webp", "WEBP"), ("b/a.tiff", "TIFF")):
        with Image.open(files.out / name) as image:
            assert (image.format, image.size) == (kind, SIZE)
    with Image.open(files.out / "a.jpg") as image:
        assert image.getexif()[0x010F] == "Maker"
        assert image.getexif()[0x0112] == 3
    outside = ~files.hole
    for name in ("a.webp", "b/a.tiff"):
        before, after = pixels(files.photos / name), pixels(files.out / name)
        np.testing.assert_array_equal(before[outside], after[outside])
        assert (before[~outside] != after[~outside]).any()


def test_png_for_all(files: Files) -> None:
    files.photo("a.jpg")
    files.photo("b/a.png")
    mask = files.mask("m.png")
    assert files.results(masks=mask, png=True) == {"a.jpg": "done", "b/a.png": "done"}
    assert set(tree(files.out)) == {"a.png", "b/a.png", "manifest.jsonl"}
    with Image.open(files.out / "a.png") as image:
        assert image.format == "PNG"
    files.photo("b/a.webp")
    with pytest.raises(FinefillError, match=r"b/a\.png and b/a\.webp would both become b/a\.png"):
        prepare(files.batch(masks=mask, png=True))
    assert prepare(files.batch(masks=mask)).total == 3


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


def test_failures_are_reported_and_do_not_stop_the_others(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("good.png", "full.png", "lonely.png", "twice.png", "small.png"):
        files.photo(name)
    (files.photos / "cut.jpg").write_bytes(files.photo("whole.jpg").read_bytes()[:500])
    (files.photos / "link.png").symlink_to("nowhere.png")
    for name in ("good.png", "cut.png", "twice.png", "twice.gif", "whole.png", "link.png"):
        files.mask(name)
    Image.new("L", SIZE, 255).save(files.masks / "full.png")
    Image.fromarray(files.hole[::2, :40]).save(files.masks / "small.png")
    assert run_command(monkeypatch, *files.command("--jobs", 1)) == 1
    captured = capsys.readouterr()
    reasons = dict(line.split(": ", 1) for line in captured.err.splitlines())
    assert list(reasons) == [
        "cut.jpg", "full.png", "link.png", "lonely.png", "small.png", "twice.png",
    ]  # fmt: skip
    assert reasons["cut.jpg"].startswith("damaged or truncated image")
    assert "the mask is full" in reasons["full.png"]
    assert reasons["link.png"] == "cannot be read: No such file or directory"
    assert reasons["lonely.png"] == f"no mask: {files.masks.as_posix()}/lonely.* is missing"
    assert "40x40 pixels, the photo 96x80" in reasons["small.png"]
    assert reasons["twice.png"] == "more than one mask: twice.gif, twice.png: keep one"
    last = captured.out.splitlines()[-1]
    assert last.startswith("done 2, skipped 0, failed 6, ")
    assert last.endswith(" photos/s")
    assert set(tree(files.out)) == {"good.png", "whole.jpg", "manifest.jsonl"}
    failed = {line["photo"]: line["error"] for line in files.lines() if line["result"] == "failed"}
    assert failed == reasons
    # Mended, they are done; those already done stay.
    (files.masks / "twice.gif").unlink()
    shutil.copy(files.masks / "good.png", files.masks / "full.png")
    shutil.copy(files.masks / "good.png", files.masks / "lonely.png")
    for name in ("cut.jpg", "link.png"):
        (files.photos / name).unlink()
    assert run_command(monkeypatch, *files.command("--jobs", 1, "--resize-mask")) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("done 4, skipped 2, failed 0, ")
    assert captured.err == ""


def test_what_nobody_expected_fails_one_photo_only(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        files.photo(name)
    calls: list[int] = []

    def once(*arguments: Any, **options: Any) -> Report:
        calls.append(1)
        if len(calls) == 1:
            raise IndexError("oh")
        return fill_with_report(*arguments, **options)

    monkeypatch.setattr(task, "fill_with_report", once)
    entries = files.run(masks=files.mask("m.png"))
    assert [entry.result for entry in entries.values()] == ["failed", "done"]
    assert entries["a.png"].error == "unexpected IndexError: oh"
    assert entries["a.png"].hole_pixels == files.hole.sum()  # what is known is kept


def test_warnings_are_listed(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Image.new("RGB", SIZE)
    files.photo("a.gif", save_all=True, append_images=[other])
    files.mask("a.png")
    assert run_command(monkeypatch, *files.command("--jobs", 1)) == 0
    (line,) = files.lines()
    assert len(line["warnings"]) == 1
    assert "several pictures" in line["warnings"][0]
    assert capsys.readouterr().err == f"a.gif: warning: {line['warnings'][0]}\n"


def test_how_holes_are_filled_is_chosen_and_told(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, columns = np.mgrid[:120, :120] // 8
    wall = np.repeat(np.where((rows + columns) % 2, 40, 200).astype(np.uint8)[..., None], 3, 2)
    hole = np.zeros((120, 120), bool)
    hole[40:70, 40:70] = True
    Image.fromarray(wall).save(files.photos / "a.png")
    Image.fromarray(hole).save(files.masks / "a.png")
    places = [*files.command("--jobs", 1), "--model", "places"]
    assert run_command(monkeypatch, *places) == 0
    assert run_command(monkeypatch, *places) == 0  # skipped: no line
    assert run_command(monkeypatch, *places, "--fill", "network") == 0
    first, second = files.lines()
    assert (first["fill"], first["ways"]) == ("auto", ["regions"])
    assert (second["fill"], second["ways"]) == ("network", ["network"])
    assert first["output_sha256"] != second["output_sha256"]
    capsys.readouterr()
    faces = [*files.command("--jobs", 1), "--model", "faces", "--fill", "regions"]
    assert run_command(monkeypatch, *faces) == 2
    assert capsys.readouterr().err.splitlines() == [
        "finefill: fill: model faces does not allow regions: use auto or network"
    ]
    assert len(files.lines()) == 2


def test_a_hole_too_large_for_the_model_is_told(
    files: Files,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hole = np.zeros(files.rgb.shape[:2], bool)
    hole[80:380, 150:450] = True  # 300 pixels: at 80/300 = 27% as large as the model can do well
    Image.fromarray(files.rgb).save(files.photos / "a.png")
    Image.fromarray(hole).save(files.masks / "a.png")
    assert run_command(monkeypatch, *files.command("--jobs", 1)) == 0
    assert run_command(monkeypatch, *files.command("--jobs", 1, "--confidence")) == 0
    told = capsys.readouterr().err.splitlines()
    first, second = files.lines()
    (warning,) = first["warnings"]
    assert warning.startswith("the hole of 300x300 pixels at 150,80 is completed at 27% of")
    assert second["warnings"] == [warning]
    expected = fill_with_report(engine, files.rgb, hole, measure=True).confidence
    assert expected is not None
    assert (first["confidence"], second["confidence"]) == (None, round(expected, 4))
    assert told == [
        f"a.png: warning: {warning}",
        f"a.png: warning: {warning}",
        f"a.png: confidence: {second['confidence']:.2f}, the lowest of 1 windows",
    ]


def test_dry_run_writes_nothing(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files.photo("a.png")
    files.photo("b/c.jpg")
    mask = files.mask("a.png")
    before = tree(files.folder)
    assert run_command(monkeypatch, *files.command("--dry-run")) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"a.png + {mask} -> {files.out / 'a.png'}",
        f"b/c.jpg: no mask: {files.masks.as_posix()}/b/c.* is missing",
        "to do 1, to skip 0, problems 1",
    ]
    assert tree(files.folder) == before
    assert not files.out.exists()
    files.mask("b/c.png")
    files.run()
    before = tree(files.folder)
    assert run_command(monkeypatch, *files.command("--dry-run")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "to do 0, to skip 2, problems 0"
    assert [done for _, done in preview(prepare(files.batch(overwrite=True)))] == [False, False]
    assert tree(files.folder) == before


def test_folders_that_do_not_fit(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = files.photo("a.png")
    files.mask("a.png")
    before = tree(files.folder)

    def refuse(word: str, photos: Path, masks: Path, out: Path, *options: str) -> None:
        arguments = ("batch", photos, "--masks", masks, "-o", out, *options)
        assert run_command(monkeypatch, *arguments) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("finefill: ")
        assert word in captured.err
        assert captured.err.count("\n") == 1
        assert captured.out == ""
        assert tree(files.folder) == before

    photos, masks, out = files.photos, files.masks, files.out
    link = files.folder / "link"
    link.symlink_to(photos)
    for same in (photos, photos / ".." / "in", link, files.folder):
        refuse("could be overwritten", photos, masks, same)
    refuse("could be overwritten", photos, masks, masks)
    refuse("could be overwritten", photo, masks, photos)
    refuse("among the masks", photos, masks, masks / "out")
    refuse("folder of their own", photos, photos, out)
    refuse("no such file", photos / "none", masks, out)
    refuse("no such file", photos, masks / "none", out)
    refuse("is a file", photos, masks, photo)
    refuse("unknown model", photos, masks, out, "--model", "cats")
    (files.folder / "empty").mkdir()
    refuse("no photographs", files.folder / "empty", masks, out)
    (files.folder / "m.png").write_text("no mask")
    before = tree(files.folder)
    refuse("not an image", photos, files.folder / "m.png", out)


def test_what_is_left_out_is_told(
    files: Files,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("one.jpg", "two.JFIF", "three.jpe"):
        files.photo(name)
        files.mask(name)
    for name in ("old.tga", "raw.DNG", "b.dng", "film", "notes.txt", "a.json", ".hidden.tga"):
        (files.photos / name).write_bytes(b"something")
    assert run_command(monkeypatch, *files.command()) == 0
    out, err = capsys.readouterr()
    assert "done 3, skipped 0, failed 0" in out
    assert (
        "finefill: 4 files of other kinds were left out (no extension 1, .dng 2, .tga 1): "
        "camera raw must be developed first" in err
    )
    with Image.open(files.out / "two.JFIF") as image:
        assert image.format == "JPEG"
    only = tmp_path / "only"
    only.mkdir()
    (only / "a.nef").write_bytes(b"something")
    with pytest.raises(FinefillError, match=r"no photographs .*; 1 file of another kind was"):
        prepare(Batch(only, files.masks, files.out))


def test_output_and_masks_may_lie_among_the_photos(files: Files) -> None:
    files.photo("a.png")
    files.masks = files.photos / "masks"
    files.out = files.photos / "out"
    files.mask("a.png")
    assert files.results() == {"a.png": "done"}
    assert files.results() == {"a.png": "skipped"}
    mask = files.photos / "m.png"
    shutil.copy(files.masks / "a.png", mask)
    shutil.rmtree(files.masks)
    assert files.results(masks=mask, overwrite=True) == {"a.png": "done"}


def test_a_single_photo(files: Files) -> None:
    files.photos = files.photo("a.png")
    files.photos.with_name("b.png").write_bytes(files.photos.read_bytes())
    files.mask("a.gif")
    assert files.results() == {"a.png": "done"}


def test_one_run_at_a_time(files: Files) -> None:
    pytest.importorskip("fcntl")
    files.many(2)
    first = batch.run(prepare(files.batch()))
    next(first)
    with pytest.raises(FinefillError, match="another batch is writing there"):
        files.run()
    first.close()
    assert files.results() == {"p000.png": "skipped", "p001.png": "done"}


def test_leftovers_of_killed_runs_go(files: Files) -> None:
    files.photo("b/a.png")
    files.mask("b/a.png")
    (files.out / "b").mkdir(parents=True)
    for name in (".a.png.123.part", ".notes.123.part", ".a.png.part"):
        (files.out / "b" / name).write_bytes(b"x")
    files.run()
    assert sorted(os.listdir(files.out / "b")) == [".a.png.part", ".notes.123.part", "a.png"]


def test_complete_file_needs_plain_data_only(files: Files, engine: Engine) -> None:
    source, mask = files.photo("a.png"), files.mask("a.png")
    target = files.folder / "new" / "o.png"
    entry = complete_file(Task("a.png", source, mask, "o.png", target, "m", "0" * 64), engine)
    assert (entry.result, entry.error) == ("done", "")
    assert entry.output_sha256 == sha256(target)


def test_two_processes_write_the_same_as_one(files: Files) -> None:
    for number in range(5):
        files.photo(f"{number % 2}/{number}.jpg", 30 * number)
        files.mask(f"{number % 2}/{number}.png", number)
    (files.photos / "bad.png").write_text("no image")
    files.mask("bad.png")
    alone = files.results()
    assert sorted(alone.values()) == ["done"] * 5 + ["failed"]
    first, lines = tree(files.out), {line["photo"]: line for line in files.lines()}
    shutil.rmtree(files.out)
    assert files.results(jobs=2) == alone
    second = tree(files.out)
    changing = {"manifest.jsonl"}
    assert {name: second[name] for name in second.keys() - changing} == {
        name: first[name] for name in first.keys() - changing
    }
    for line in files.lines():
        for name in ("seconds", "time"):
            line[name] = lines[line["photo"]][name]
        assert line == lines[line["photo"]]
    assert multiprocessing.active_children() == []


def _die_on_poison(task: Task) -> Entry:
    """The work of a process, which one photo kills."""
    if "poison" in task.photo:
        os._exit(9)
    return complete_file(task, Engine(os.environ["TEST_MODEL"], threads=1))


def test_a_photo_that_kills_its_process_fails_alone(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.many(5)
    files.photo("p001-poison.png")
    files.mask("p001-poison.png")
    monkeypatch.setenv("TEST_MODEL", str(files.model))
    monkeypatch.setattr(local, "_work", _die_on_poison)
    entries = files.run(jobs=2)
    assert len(entries) == 6
    failed = entries.pop("p001-poison.png")
    assert (failed.result, failed.error) == ("failed", "its process was killed, or crashed")
    assert {entry.result for entry in entries.values()} == {"done"}


def test_processes_that_always_die_end_the_run(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        files.photo(f"poison{number}.png")
    monkeypatch.setattr(local, "MAX_DEATHS", 2)
    monkeypatch.setattr(local, "_work", _die_on_poison)
    with pytest.raises(FinefillError, match="2 worker processes died"):
        files.run(masks=files.mask("m.png"), jobs=2)


def test_stopping_finishes_what_is_in_work(files: Files) -> None:
    files.many(4)
    stop = threading.Event()
    entries = []
    for entry in batch.run(prepare(files.batch()), stop):
        entries.append(entry.photo)
        if len(entries) == 2:
            stop.set()
    assert entries == ["p000.png", "p001.png"]
    assert [line["photo"] for line in files.lines()] == entries


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def start(files: Files, *arguments: object, lines: int) -> subprocess.Popen[str]:
    """The command in processes of their own, when its manifest has so many lines."""
    process = subprocess.Popen(
        [sys.executable, "-m", "finefill", *files.command(*arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        start_new_session=True,
    )
    manifest = files.out / "manifest.jsonl"
    limit = time.monotonic() + 60
    while not manifest.exists() or manifest.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.005)
    return process


COUNT = 30


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_kill_9_leaves_whole_pictures_and_a_restart_completes(files: Files) -> None:
    files.many(COUNT)
    process = start(files, "--jobs", 2, lines=3)
    process.kill()
    process.communicate(timeout=20)  # the pipes end when the last of its processes has ended
    assert process.returncode == -signal.SIGKILL
    there = sorted(files.out.glob("*.png"))
    assert 3 <= len(there) < COUNT
    for path in there:
        assert pixels(path).shape == (80, 96, 3)
    with open(files.out / "manifest.jsonl", "rb") as file:
        done, _ = read_manifest(file)
    assert set(done) <= {path.name for path in there}
    results = files.results()
    assert sum(result == "skipped" for result in results.values()) == len(done)
    assert sum(result == "done" for result in results.values()) == COUNT - len(done)
    assert len(set(tree(files.out).values())) == 2  # equal pictures, the manifest, nothing else
    assert len(tree(files.out)) == COUNT + 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("jobs", "number"), [(1, signal.SIGTERM), (2, signal.SIGINT)])
def test_a_signal_ends_the_run_in_order(files: Files, jobs: int, number: signal.Signals) -> None:
    files.many(COUNT)
    process = start(files, "--jobs", jobs, lines=2)
    os.killpg(process.pid, number)  # as a terminal does
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "finefill: stopped: the same command goes on from here\n"
    lines = files.lines()
    assert out.startswith(f"done {len(lines)}, skipped 0, failed 0, ")
    assert {line["result"] for line in lines} == {"done"}
    assert 2 <= len(lines) < COUNT
    assert set(tree(files.out)) == {*(line["photo"] for line in lines), "manifest.jsonl"}


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


def test_masks_drawn_before_the_turn(files: Files) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files.photo("a.jpg", exif=exif)
    Image.fromarray(files.hole).save(files.masks / "a.png")
    assert "--mask-drawn stored" in files.run()["a.jpg"].error
    entry = files.run(mask_drawn="stored")["a.jpg"]
    assert (entry.error, entry.warnings, entry.hole_pixels) == ("", [], files.hole.sum())
    assert files.results(mask_drawn="stored") == {"a.jpg": "skipped"}
