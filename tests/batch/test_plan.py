"""Which photos there are, which mask is whose, where the output goes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finefill import Engine, FinefillError
from finefill.batch import Batch, prepare, preview
from finefill.completion.photo import fill_photo
from finefill.files.reading import read_photo
from tests.batch.folders import Files, pixels, sha256, tree
from tests.cli.test_use import run as run_command


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
