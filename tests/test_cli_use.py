"""The commands complete, demo and models, as a user types them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from conftest import CARD, write_model
from finefill import FinefillError, catalog
from finefill.cli import main
from test_images import bad_files


class Files:
    """A photo, its mask and a model in a folder, and the command on them."""

    def __init__(self, folder: Path, model: Path, rgb: NDArray[np.uint8]) -> None:
        self.folder, self.model = folder, model
        self.photo, self.mask, self.out = (folder / name for name in ("p.png", "m.png", "o.png"))
        self.rgb = rgb[200:300, 100:220]
        self.hole = np.zeros((100, 120), bool)
        self.hole[30:60, 40:80] = True
        Image.fromarray(self.rgb).save(self.photo)
        Image.fromarray(self.hole).save(self.mask)

    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
        """Exit code of ``finefill complete`` with further arguments."""
        return run(
            monkeypatch, "complete", self.photo, "--mask", self.mask, "-o", self.out,
            "--model", self.model, *arguments,
        )  # fmt: skip


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit code of the command line."""
    monkeypatch.setattr(sys, "argv", ["finefill", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.fixture
def files(tmp_path: Path, model_path: Path, demo_rgb: NDArray[np.uint8]) -> Files:
    return Files(tmp_path, model_path, demo_rgb)


def test_complete(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert files.run(monkeypatch) == 0
    assert capsys.readouterr().err == ""
    result = np.asarray(Image.open(files.out))
    np.testing.assert_array_equal(result[~files.hole], files.rgb[~files.hole])
    assert (result[files.hole] != files.rgb[files.hole]).mean() > 0.5
    assert sorted(os.listdir(files.folder)) == ["m.png", "o.png", "p.png"]


def test_the_photo_itself_may_be_the_output(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.out = files.photo
    assert files.run(monkeypatch) == 0
    assert (np.asarray(Image.open(files.photo))[files.hole] != files.rgb[files.hole]).any()


BAD_PHOTOS = ["missing", "folder", "text.jpg", "empty.png", "cut.png", "cut.jpg", "one pixel"]


@pytest.mark.parametrize("argument", ["photo", "mask"])
@pytest.mark.parametrize("case", BAD_PHOTOS)
def test_bad_image_files(
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argument: str,
    case: str,
) -> None:
    bad = files.folder / "bad"
    bad.mkdir()
    path, message = bad_files(bad)[case]
    setattr(files, argument, path)
    if argument == "mask" and case == "one pixel":
        message = "the mask is 1x1 pixels, the photo 120x100"
    expect_refusal(files, monkeypatch, capsys, str(path), message)


def expect_refusal(
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *words: str,
    options: tuple[object, ...] = (),
) -> None:
    """Exit code 2, one line on stderr with these words, no output."""
    assert files.run(monkeypatch, *options) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("finefill: ")
    assert captured.err.count("\n") == 1
    for word in words:
        assert word in captured.err
    assert not files.out.is_file()


def test_other_bad_input(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*words: str, options: tuple[object, ...] = ()) -> None:
        expect_refusal(files, monkeypatch, capsys, *words, options=options)

    refuse("11999", "--max-pixels", options=("--max-pixels", 11999))
    refuse("unknown model", *catalog.names(), options=("--model", "cats"))
    refuse("none.onnx", "no such model file", options=("--model", "none.onnx"))
    refuse("not a usable ONNX model", options=("--model", files.photo))
    refuse("make the folder", options=("-o", files.folder / "none" / "o.png"))
    refuse("unknown kind of output", options=("-o", files.folder / "o.xyz"))
    for value, word in ((0, "empty"), (255, "full")):
        Image.new("L", (120, 100), value).save(files.mask)
        refuse(str(files.mask), word)
    shutil.copy(files.photo, files.mask)
    refuse("looks like a photograph")


def test_a_mask_of_another_size(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(files.hole).resize((60, 50)).save(files.mask)
    expect_refusal(files, monkeypatch, capsys, "60x50", "120x100", "--resize-mask")
    assert files.run(monkeypatch, "--resize-mask") == 0
    with Image.open(files.out) as result:
        assert result.size == (120, 100)


def test_an_animation_gives_its_first_frame_and_a_warning(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Image.fromarray(files.rgb)
    files.photo = files.folder / "p.gif"
    first.save(files.photo, save_all=True, append_images=[Image.new("RGB", first.size)])
    assert files.run(monkeypatch) == 0
    error = capsys.readouterr().err
    assert "warning" in error
    assert "several pictures" in error
    assert error.count("\n") == 1
    assert files.out.is_file()


def test_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "demo", "-o", tmp_path / "new") == 0
    out = capsys.readouterr().out
    assert str(tmp_path / "new" / "demo.png") in out
    assert " s" in out
    with Image.open(tmp_path / "new" / "demo.png") as sheet:
        pixels = np.asarray(sheet)
    before, shown, after = pixels[:, :640], pixels[:, 648:1288], pixels[:, 1296:]
    hole = shown[..., 0] > 0
    assert before.shape == after.shape
    np.testing.assert_array_equal(before[~hole], after[~hole])
    # White rocks on a dark meadow are gone.
    assert (before[hole].min(axis=1) > 180).sum() > 3 * (after[hole].min(axis=1) > 180).sum()


def test_models(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "models") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["places", "faces"]
    assert sum(line.startswith("  licence: ") for line in lines) == 2
    assert sum(line.startswith("  data: ") for line in lines) == 2


def test_registering_a_model(tmp_path: Path, model_path: Path) -> None:
    with pytest.raises(FinefillError, match="names it 'small'"):
        catalog.register(model_path, "other", tmp_path)
    assert catalog.names(tmp_path) == []
    target = catalog.register(model_path, "small", tmp_path)
    assert catalog.names(tmp_path) == ["small"]
    assert catalog.locate("small", tmp_path) == target
    write_model(target, {**CARD, "version": "2"})
    with pytest.raises(FinefillError, match="damaged"):
        catalog.locate("small", tmp_path)
    with pytest.raises(FinefillError, match="unknown model: use one of small"):
        catalog.locate("large", tmp_path)


def test_engines_are_kept(model_path: Path) -> None:
    assert catalog.load(str(model_path)) is catalog.load(model_path)
    assert catalog.load(model_path).card["name"] == "small"
