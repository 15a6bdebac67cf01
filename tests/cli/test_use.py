"""The commands complete and demo, as a user types them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import Engine, FinefillError
from finefill.cli import main
from finefill.cli.options import FILLS as OFFERED
from finefill.completion import FILLS, catalog
from finefill.completion.photo import Report
from tests.conftest import CARD, write_model
from tests.files.pictures import bad_files


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


def test_how_a_hole_is_filled(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, columns = np.mgrid[:100, :120] // 8
    wall = np.repeat(np.where((rows + columns) % 2, 40, 200).astype(np.uint8)[..., None], 3, 2)
    Image.fromarray(wall).save(files.photo)
    for way, exact in (("auto", True), ("regions", True), ("network", False)):
        assert files.run(monkeypatch, "--model", "places", "--fill", way) == 0
        assert np.array_equal(np.asarray(Image.open(files.out)), wall) is exact
    files.out.unlink()
    capsys.readouterr()
    assert files.run(monkeypatch, "--model", "faces", "--fill", "regions") == 2
    assert capsys.readouterr().err.splitlines() == [
        "finefill: fill: model faces does not allow regions: use auto or network"
    ]
    assert not files.out.exists()


def test_ways_of_filling_are_one_list() -> None:
    assert OFFERED == FILLS


def test_the_photo_itself_may_be_the_output(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.out = files.photo
    assert files.run(monkeypatch) == 0
    assert (np.asarray(Image.open(files.photo))[files.hole] != files.rgb[files.hole]).any()


BAD_PHOTOS = ["missing", "folder", "text.jpg", "empty.png", "cut.png", "cut.jpg", "one pixel"]


def test_nothing_is_left_of_a_file_when_the_process_is_ended(files: Files) -> None:
    script = """
import io, os, signal
from PIL import Image
from finefill.cli import main

save = Image.Image.save
def half(self, file, *rest, **options):
    if isinstance(file, io.BytesIO):  # a way of writing is tried
        return save(self, file, *rest, **options)
    file.write(b"half")
    os.kill(os.getpid(), signal.SIGTERM)

Image.Image.save = half
main()
"""
    command = [sys.executable, "-c", script, "complete", files.photo, "--mask", files.mask]
    command += ["-o", files.out, "--model", files.model]
    before = sorted(os.listdir(files.folder))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert done.stderr == ""
    assert sorted(os.listdir(files.folder)) == before


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
    Image.fromarray(files.hole).resize((60, 60)).save(files.mask)
    expect_refusal(files, monkeypatch, capsys, "60x60", "120x100", "--resize-mask")
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


@pytest.fixture
def negative(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is completed becomes the photo's negative, so that all of it differs."""

    def fill(
        engine: Engine,
        image: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        **options: object,
    ) -> Report:
        return Report(np.where(mask[..., None], 255 - image, image), ())

    monkeypatch.setattr("finefill.cli.use.fill_with_report", fill)


def completed(
    files: Files, monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> NDArray[np.bool_]:
    """What ``finefill complete`` without a mask file but with these arguments completes."""
    code = run(
        monkeypatch, "complete", files.photo, "-o", files.out, "--model", files.model, *arguments
    )
    assert code == 0
    with Image.open(files.out) as result:
        return np.asarray((np.asarray(result) != files.rgb).any(axis=2))


def annotate(files: Files) -> tuple[Path, Path]:
    """A COCO file with a car and a man, and a labelme file with a car and a dog."""
    coco, labelme = files.folder / "coco.json", files.folder / "labelme.json"
    names = {1: "car", 2: "man"}
    coco.write_text(json.dumps({
        "images": [{"id": 1, "file_name": "p.png", "width": 120, "height": 100}],
        "categories": [{"id": key, "name": name} for key, name in names.items()],
        "annotations": [
            {"id": key, "image_id": 1, "category_id": key, "bbox": [40 * key, 10, 9, 9]}
            for key in names
        ],
    }))  # fmt: skip
    labelme.write_text(json.dumps({"shapes": [
        {"label": name, "shape_type": "rectangle", "points": [[x, 70], [x + 8, 78]]}
        for name, x in (("car", 30), ("dog", 60))
    ]}))  # fmt: skip
    return coco, labelme


def boxes(*corners: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """The union of boxes (x, y, width, height) in the photo."""
    mask = np.zeros((100, 120), bool)
    for x, y, width, height in corners:
        mask[y : y + height, x : x + width] = True
    return mask


@pytest.mark.usefixtures("negative")
def test_what_to_complete(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def expect(expected: NDArray[np.bool_], *arguments: object) -> None:
        np.testing.assert_array_equal(completed(files, monkeypatch, *arguments), expected)

    coco, labelme = annotate(files)
    expect(files.hole, "--mask", files.mask)
    expect(boxes((3, 4, 20, 10)), "--box", "3,4,20,10")
    expect(boxes((0, 0, 5, 10), (110, 90, 10, 10)), "--box", "-5,0,10,10", "--box", "110,90,99,99")
    expect(boxes((3, 4, 20, 10)), "--polygon", "3,4 22,4 22,13 3,13")
    expect(boxes((40, 10, 9, 9), (80, 10, 9, 9)), "--coco", coco)
    expect(boxes((80, 10, 9, 9)), "--coco", coco, "--label", "man")
    expect(boxes((30, 70, 9, 9), (60, 70, 9, 9)), "--labelme", labelme)
    expect(boxes((30, 70, 9, 9), (60, 70, 9, 9)), "--annotations", labelme)
    yolo = files.folder / "p.txt"
    yolo.write_text("0 0.5 0.5 0.1 0.1\n")
    expect(boxes((54, 45, 12, 10)), "--annotations", yolo, "--label", "0")
    expect(
        files.hole | boxes((1, 1, 7, 7), (9, 9, 3, 3), (40, 10, 9, 9), (30, 70, 9, 9)),
        "--mask", files.mask, "--box", "1,1,7,7", "--polygon", "9,9 11,9 11,11 9,11",
        "--coco", coco, "--labelme", labelme, "--label", "car",
    )  # fmt: skip
    expect(boxes((20, 30, 1, 1)), "--box", "20,30,1,1", "--grow", 0)
    cross = boxes((18, 30, 5, 1), (20, 28, 1, 5), (19, 29, 3, 3))
    expect(cross, "--box", "20,30,1,1", "--grow", 2)


@pytest.mark.usefixtures("negative")
def test_what_is_painted_over(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    painted = boxes((50, 40, 20, 15))
    files.rgb = np.where(painted[..., None], np.uint8((255, 0, 255)), files.rgb)
    Image.fromarray(files.rgb).save(files.photo)
    found = completed(files, monkeypatch, "--mask-color", "#FF00FF")
    np.testing.assert_array_equal(found, painted)

    files.photo = files.folder / "p.jpg"
    Image.fromarray(files.rgb).save(files.photo, quality=90)
    with Image.open(files.photo) as read:
        files.rgb = np.asarray(read.convert("RGB"))
    found = completed(files, monkeypatch, "--mask-color", "#FF00FF", "--mask-tolerance", 60)
    assert found[painted].mean() > 0.95
    assert (found & ~painted).sum() < 222  # colour is smeared by up to three pixels
    assert capsys.readouterr().err == ""  # paint has an edge, but it is no object


def test_what_is_erased_is_completed(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha = np.where(files.hole, 0, 255).astype(np.uint8)
    Image.fromarray(np.dstack([files.rgb, alpha])).save(files.photo)
    common = ("complete", files.photo, "-o", files.out, "--model", files.model)
    assert run(monkeypatch, *common, "--mask-alpha", "--strict") == 0
    result = np.asarray(Image.open(files.out))
    assert (result[..., 3] == 255).all()
    np.testing.assert_array_equal(result[~files.hole, :3], files.rgb[~files.hole])
    assert (result[files.hole, :3] != files.rgb[files.hole]).any(axis=1).mean() > 0.9
    # And as the mask of another file: what is transparent there.
    Image.fromarray(np.dstack([files.rgb, alpha])).save(files.mask)
    assert run(monkeypatch, *common, "--mask", files.mask) == 0
    assert "what is transparent is completed" in capsys.readouterr().err


def test_the_ways_to_say_what_to_complete_are_told(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    coco, labelme = annotate(files)

    def refuse(words: tuple[str, ...], *arguments: object) -> None:
        common = ("complete", files.photo, "-o", files.out, "--model", files.model)
        assert run(monkeypatch, *common, *arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("finefill: ")
        assert captured.err.count("\n") == 1
        assert not [word for word in words if word not in captured.err]
        assert not files.out.exists()

    ways = ("--mask", "--box", "--polygon", "--coco", "--labelme", "--mask-color")
    refuse(("p.png", *ways))
    refuse(("--label car", "--coco", "--labelme"), "--box", "1,1,5,5", "--label", "car")
    refuse(("--line-width 3: ", "--labelme"), "--box", "1,1,5,5", "--line-width", "3")
    refuse(("box 1,1,5", "X,Y,WIDTH,HEIGHT"), "--box", "1,1,5")
    refuse(("box 120,0,5,5", "outside the photo", "120x100"), "--box", "120,0,5,5")
    refuse(("polygon 1,1 2,2", "three or more"), "--polygon", "1,1 2,2")
    refuse(("none.json", "cannot be read"), "--coco", files.folder / "none.json")
    refuse(("coco.json", "choose from car, man"), "--coco", coco, "--label", "dog")
    refuse(("labelme.json", "no list of images"), "--coco", labelme)
    refuse(("coco.json", "no list of shapes"), "--labelme", coco)
    refuse(("p.png", "nothing is painted in #00FF00"), "--mask-color", "#00FF00")
    refuse(("p.png", "the mask is full"), "--box", "50,50,1,1", "--grow", 120)
    files.photo = files.photo.rename(files.folder / "other.png")
    refuse(("coco.json", "no image called other.png"), "--coco", coco)


@pytest.mark.usefixtures("negative")
def test_warnings_and_strictness(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(~files.hole[::2, ::2]).save(files.mask)
    half = np.repeat(np.repeat(files.hole[::2, ::2], 2, 0), 2, 1)
    expect_refusal(files, monkeypatch, capsys, "m.png", "inverted", options=("--strict",))
    np.testing.assert_array_equal(completed(files, monkeypatch, "--mask", files.mask), half)
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("finefill: warning: ") for line in lines] == [True, True]
    assert "inverted (90% white)" in lines[0]
    assert "60x50 pixels, the photo 120x100: scaled" in lines[1]
    found = completed(
        files, monkeypatch, "--mask", files.mask, "--keep-polarity", "--resize-mask", "--strict"
    )
    np.testing.assert_array_equal(found, ~half)
    assert capsys.readouterr().err == ""


def test_the_output_replaces_no_input(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = files.mask.read_bytes()
    (files.folder / "link.png").symlink_to(files.mask)
    os.link(files.mask, files.folder / "hard.png")
    coco, labelme = (path.rename(path.with_suffix(".png")) for path in annotate(files))
    texts = coco.read_bytes(), labelme.read_bytes()
    for name in ("m.png", "link.png", "hard.png", "../" + files.folder.name + "/m.png"):
        assert files.run(monkeypatch, "-o", files.folder / name) == 2
        assert "m.png, which would be lost" in capsys.readouterr().err
    for path, option in ((coco, "--coco"), (labelme, "--labelme")):
        assert files.run(monkeypatch, option, path, "-o", path) == 2
        assert f"{path}, which would be lost" in capsys.readouterr().err
    assert files.mask.read_bytes() == mask
    assert (coco.read_bytes(), labelme.read_bytes()) == texts


@pytest.mark.usefixtures("negative")
def test_labels_are_told_and_chosen(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = boxes((5, 5, 10, 10)) * np.uint8(30) + boxes((50, 50, 20, 10)) * np.uint8(90)
    labels += boxes((90, 70, 10, 20)) * np.uint8(200)
    Image.fromarray(labels).save(files.mask)
    expect_refusal(files, monkeypatch, capsys, "label mask of 4 values", options=("--strict",))
    found = completed(files, monkeypatch, "--mask", files.mask)
    np.testing.assert_array_equal(found, labels > 0)
    assert "0 is completed: 30, 90, 200; choose with --mask-value" in capsys.readouterr().err
    options = ("--mask-value", "30", "--mask-value", "200", "--strict")
    found = completed(files, monkeypatch, "--mask", files.mask, *options)
    np.testing.assert_array_equal(found, (labels == 30) | (labels == 200))
    assert capsys.readouterr().err == ""
    files.out.unlink()
    expect_refusal(files, monkeypatch, capsys, "choose from 0, ", options=("--mask-value", "7"))
    common = ("complete", files.photo, "--box", "1,1,9,9", "-o", files.out)
    assert run(monkeypatch, *common, "--mask-value", "7") == 2
    assert "--mask-value 7: chooses from a mask: give --mask" in capsys.readouterr().err


@pytest.mark.usefixtures("negative")
def test_what_was_drawn_before_the_turn(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(files.rgb).save(files.photo, exif=exif)
    expect_refusal(files, monkeypatch, capsys, "--mask-drawn stored")
    expect_refusal(files, monkeypatch, capsys, "--mask-drawn", options=("--resize-mask",))
    box, polygon = boxes((3, 4, 20, 10)), "3,60 22,60 22,69 3,69"
    for expected, arguments in (
        (files.hole, ("--mask", files.mask)),
        (box, ("--box", "3,4,20,10")),
        (boxes((3, 60, 20, 10)), ("--polygon", polygon)),
    ):
        found = completed(files, monkeypatch, *arguments, "--mask-drawn", "stored", "--strict")
        np.testing.assert_array_equal(found, expected)  # the output is stored as the photo was


@pytest.mark.usefixtures("negative")
def test_a_tight_mask_is_told(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    box = boxes((40, 30, 40, 40))
    files.rgb = np.where(box[..., None], files.rgb // 2, files.rgb // 2 + 120).astype(np.uint8)
    Image.fromarray(files.rgb).save(files.photo)
    completed(files, monkeypatch, "--box", "42,32,36,36")
    assert "the mask seems to end at its object's edge" in (error := capsys.readouterr().err)
    assert "--grow 6" in error
    completed(files, monkeypatch, "--box", "42,32,36,36", "--grow", "10", "--strict")
    assert capsys.readouterr().err == ""


def test_verify(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert files.run(monkeypatch, "--verify") == 0
    digest = hashlib.sha256(files.rgb[~files.hole].tobytes()).hexdigest()
    said = capsys.readouterr().out
    assert said == f"unchanged: 10,800 of 12,000 pixels, SHA-256 {digest}\n"

    files.out = files.folder / "o.jpg"
    assert files.run(monkeypatch, "--verify") == 0
    with Image.open(files.out) as result:
        left = np.asarray(result)[~files.hole]
    distance = np.abs(left.astype(int) - files.rgb[~files.hole]).max(axis=1)
    digest = hashlib.sha256(left.tobytes()).hexdigest()
    assert capsys.readouterr().out == (
        f"changed by JPEG: {(distance > 0).sum():,} of 10,800 pixels outside the mask differ, "
        f"by {distance.max()} of 255 at most, SHA-256 {digest}\n"
    )


def test_verify_sees_alpha_orientation_and_sixteen_bits(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha = np.arange(100 * 120).reshape(100, 120).astype(np.uint8)
    rgba = np.dstack([files.rgb, alpha])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    Image.fromarray(np.rot90(rgba).copy()).save(files.photo, exif=exif)
    assert files.run(monkeypatch, "--verify") == 0
    digest = hashlib.sha256(rgba[~files.hole].tobytes()).hexdigest()
    assert f"10,800 of 12,000 pixels, SHA-256 {digest}\n" in capsys.readouterr().out

    files.out = files.folder / "o.bmp"  # alpha goes onto white
    assert files.run(monkeypatch, "--verify") == 2
    assert "choose PNG" in (error := capsys.readouterr().err)
    transparent = np.count_nonzero(alpha[~files.hole] < 255)
    assert f"o.bmp: {transparent:,} of 10,800 pixels outside the mask differ, by 255" in error

    grey = np.arange(100 * 120).reshape(100, 120).astype(np.uint16) * np.uint16(5)
    Image.fromarray(grey).save(files.photo)
    assert files.run(monkeypatch, "--verify") == 2
    lost = np.count_nonzero(grey[~files.hole] % 257)
    assert f"{lost:,} of 10,800 pixels outside the mask differ, by 0.498" in capsys.readouterr().err
    files.out = files.folder / "o.tif"
    assert files.run(monkeypatch, "--verify") == 0
    assert capsys.readouterr().out.startswith("unchanged: 10,800 of 12,000 pixels")


def test_strict_refuses_a_format_that_gives_something_up(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alpha = np.full((100, 120), 90, np.uint8)
    Image.fromarray(np.dstack([files.rgb, alpha])).save(files.photo)
    files.out = files.folder / "o.jpg"
    assert files.run(monkeypatch, "--strict") == 2
    assert "o.jpg: JPEG does not keep its alpha (it goes onto white)" in capsys.readouterr().err
    assert not files.out.exists()
    assert files.run(monkeypatch) == 0
    assert "o.jpg: JPEG does not keep its alpha" in capsys.readouterr().err


def test_verify_warns_in_one_line(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(files.rgb).save(files.photo, icc_profile=b"\x07" * 300)
    assert files.run(monkeypatch, "--verify") == 0
    said = capsys.readouterr()
    assert said.out.startswith("unchanged: 10,800 of 12,000 pixels")
    told = "its colour profile is damaged: its colours are taken for sRGB"
    assert said.err.splitlines() == [
        f"finefill: warning: {path}: {told}" for path in (files.photo, files.out)
    ]


def test_verify_sees_transparent_colours(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image.fromarray(files.rgb).quantize(32)
    for name, options in {"p.gif": 5, "p.png": bytes([0, 0, 90])}.items():
        files.photo = files.folder / name
        image.save(files.photo, transparency=options)
        for target in ("o.png", "o.tif", "o.gif"):
            files.out = files.folder / target
            code = files.run(monkeypatch, "--verify")
            said = capsys.readouterr()
            if (name, target) == ("p.png", "o.gif"):  # holds no half-transparent colour
                assert code == 2
                assert "choose PNG" in said.err
            else:
                assert code == 0
                assert said.out.startswith("unchanged: 10,800 of 12,000 pixels")


def test_verify_does_not_advise_what_was_done(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
    inks = np.dstack([files.rgb, files.rgb[..., 0]]).astype(np.uint16) * np.uint16(256)
    files.photo = files.folder / "p.tif"
    tifffile.imwrite(files.photo, inks, photometric="separated", metadata=None)
    assert files.run(monkeypatch, "--verify") == 2  # PNG holds no CMYK
    assert "choose the photo's own format" in capsys.readouterr().err
    files.out = files.folder / "o.tif"
    assert files.run(monkeypatch, "--verify") == 0


def test_verify_sees_sixteen_bit_colour_and_lossy_webp(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codecs = pytest.importorskip("imagecodecs", reason="needs the extra formats")
    deep = files.rgb.astype(np.uint16) * np.uint16(256) + np.uint16(7)
    files.photo.write_bytes(codecs.png_encode(deep))
    assert files.run(monkeypatch, "--verify") == 0
    assert capsys.readouterr().out.startswith("unchanged: 10,800 of 12,000 pixels")
    files.out = files.folder / "o.bmp"  # 8 bits
    assert files.run(monkeypatch, "--verify") == 2
    assert "choose PNG" in capsys.readouterr().err

    files.photo = files.folder / "p.webp"
    Image.fromarray(files.rgb).save(files.photo, quality=60)
    files.out = files.folder / "o.webp"
    assert files.run(monkeypatch, "--verify") == 0
    assert capsys.readouterr().out.startswith("changed by WEBP: ")


def test_a_lack_of_memory_is_told(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(*arguments: object, **options: object) -> Report:
        raise MemoryError

    monkeypatch.setattr("finefill.cli.use.fill_with_report", fill)
    expect_refusal(files, monkeypatch, capsys, "not enough memory")


def test_confidence_and_too_large_holes_are_told(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert files.run(monkeypatch, "--confidence") == 0
    said = capsys.readouterr()
    assert re.fullmatch(r"confidence: [01]\.\d\d, the lowest of 1 windows\n", said.out)
    assert "completed at" not in said.err

    Image.fromarray(files.rgb).resize((900, 700)).save(files.photo)
    box = ("--box", "200,100,500,400")
    assert run(monkeypatch, "complete", files.photo, *box, "-o", files.out) == 0
    assert "is completed at 16% of the photo's resolution" in capsys.readouterr().err
    files.out.unlink()
    assert run(monkeypatch, "complete", files.photo, *box, "-o", files.out, "--strict") == 2
    assert "nothing is written" in capsys.readouterr().err
    assert not files.out.exists()


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


def test_an_empty_mask_among_others(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Masks add up: only where all are empty, nothing is to be completed."""
    black = files.folder / "black.png"
    Image.new("L", (120, 100)).save(black)
    assert files.run(monkeypatch) == 0
    expected = files.out.read_bytes()
    capsys.readouterr()
    assert files.run(monkeypatch, "--mask", black) == 0
    warning = f"finefill: warning: {black}: the mask is empty: the others are completed"
    assert warning in capsys.readouterr().err.splitlines()
    assert files.out.read_bytes() == expected
    assert files.run(monkeypatch, "--mask", black, "--strict") == 2
    Image.new("L", (120, 100)).save(files.mask)
    assert files.run(monkeypatch, "--mask", black) == 2
    assert f"{files.mask}: the mask is empty: paint" in capsys.readouterr().err
    assert files.run(monkeypatch, "--mask", black, "--box", "40,30,40,30") == 0
