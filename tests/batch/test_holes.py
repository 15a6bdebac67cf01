"""Which files are a photo's masks, and what several say together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finefill import FinefillError
from finefill.batch import Batch, prepare
from finefill.batch.holes import check_pattern, look_in, together
from tests.batch.folders import Files
from tests.cli.test_use import run as run_command


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"")


def test_names_of_other_programs(tmp_path: Path) -> None:
    touch(
        tmp_path, "a.png", "a_mask.png", "b.jpg.png", "c_mask001.png", "c_mask002.png", "d.json",
        "e.png", "e.json", "f.txt", "g.png", "g.webp", ".h.png", "i.md",
    )  # fmt: skip
    found = look_in(tmp_path, [f"{stem}.jpg" for stem in "abcdefghi"])

    def of(photo: str) -> tuple[list[str], str]:
        matched = found.masks[photo]
        return sorted(matched.names), matched.problem

    assert of("a.jpg") == (["a.png"], "")  # not "a_mask.png": the plain name comes first
    comes_first = "not used: {}: {} comes first (--mask-name chooses others)"
    told = {photo: matched.warnings for photo, matched in found.masks.items() if matched.warnings}
    assert told == {
        "a.jpg": (comes_first.format("a_mask.png", "a.png"),),
        "e.jpg": (comes_first.format("e.json", "e.png"),),
    }
    assert found.spare == []
    assert of("b.jpg") == (["b.jpg.png"], "")  # as COLMAP names them
    assert of("c.jpg") == (["c_mask001.png", "c_mask002.png"], "")  # as LaMa does
    assert of("d.jpg") == (["d.json"], "")
    assert of("e.jpg") == (["e.png"], "")  # an image before annotations
    assert of("f.jpg") == (["f.txt"], "")
    assert of("g.jpg")[1] == "more than one mask: g.png, g.webp: keep one"
    for photo in ("h.jpg", "i.jpg"):
        assert of(photo) == ([], f"no mask: {(tmp_path / photo[0]).as_posix()}.* is missing")
    assert look_in(tmp_path / "none", ["a.jpg"]).masks["a.jpg"].names == []


def test_a_photo_called_mask_has_a_mask_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "x_mask.png", "x_mask1.png", "y.png", "y.jpg.png", "z.txt", "classes.txt")
    found = look_in(tmp_path, ["x.jpg", "x_mask.jpg", "y.jpg", "y.webp"])
    names = {photo: matched.names for photo, matched in found.masks.items()}
    assert names == {
        "x.jpg": ["x_mask1.png"],
        "x_mask.jpg": ["x_mask.png"],
        "y.jpg": ["y.png"],
        "y.webp": ["y.png"],
    }
    told = {photo for photo, matched in found.masks.items() if matched.warnings}
    assert told == {"y.jpg"}  # y.jpg.png is its alone
    assert found.spare == ["z.txt"]  # YOLO's names of labels are no mask


def test_accents_are_one_in_any_spelling(tmp_path: Path) -> None:
    """The letter é as one character (NFC), and as e with an accent of its own (NFD, macOS)."""
    nfc, nfd = "\u00e9", "e\u0301"
    touch(tmp_path, f"{nfc}.png", f"{nfd}b.jpg.png", f"{nfd}c_mask1.png", f"m_{nfc}d.png")
    photos = [f"{nfd}.png", f"{nfc}b.jpg", f"{nfc}c.png"]
    found = look_in(tmp_path, photos)
    assert [found.masks[photo].names for photo in photos] == [
        [f"{nfc}.png"], [f"{nfd}b.jpg.png"], [f"{nfd}c_mask1.png"],
    ]  # fmt: skip
    by_pattern = look_in(tmp_path, [f"{nfd}d.png"], "m_{stem}.png")
    assert by_pattern.masks[f"{nfd}d.png"].names == [f"m_{nfc}d.png"]
    touch(tmp_path, f"{nfd}.png")
    both = look_in(tmp_path, [f"{nfc}.png", f"{nfd}.png"]).masks  # each its own, where both are
    assert {photo: matched.names for photo, matched in both.items()} == {
        f"{nfc}.png": [f"{nfc}.png"],
        f"{nfd}.png": [f"{nfd}.png"],
    }
    (told,) = look_in(tmp_path, [f"{nfc}.png"]).masks[f"{nfc}.png"].warnings
    assert told.startswith(f"not used: {nfd}.png: {nfc}.png comes first")


@pytest.mark.parametrize(
    ("pattern", "photo", "names"),
    [
        ("{stem}-task-*.png", "a.jpg", ["a-task-1.png", "a-task-2.png"]),
        ("{name}.png", "a.jpg", ["a.jpg.png"]),
        ("mask_{stem}.*", "a.jpg", ["mask_a.gif", "mask_a.png"]),
        ("{stem}(1).png", "a.jpg", ["a(1).png"]),
        ("{stem}.png", "b.jpg", []),
    ],
)
def test_a_pattern(tmp_path: Path, pattern: str, photo: str, names: list[str]) -> None:
    touch(tmp_path, "a-task-1.png", "a-task-2.png", "a.jpg.png", "mask_a.png", "mask_a.gif",
          "a(1).png", "aa-task-1.png", "mask_a.md")  # fmt: skip
    found = look_in(tmp_path, [photo, "other.jpg"], pattern)
    assert sorted(found.masks[photo].names) == names
    assert bool(found.masks[photo].problem) == (not names)
    assert len(found.spare) == 7 - len(names)  # all but the one that is no image


@pytest.mark.parametrize(
    ("pattern", "names", "expected"),
    [
        (
            "{stem}_*.png",
            ["IMG_0001_0.png", "IMG_0001_mask_1.png", "IMG_0001_2_0.png", "IMG_0001_2.png"],
            {
                "IMG_0001.png": ["IMG_0001_0.png", "IMG_0001_2.png", "IMG_0001_mask_1.png"],
                "IMG_0001_2.png": ["IMG_0001_2_0.png"],
            },
        ),
        ("*_{stem}.png", ["seg_IMG_0001.png", "a_b_IMG_0001_2.png", "seg_IMG_1.png"],
         {"IMG_0001.png": ["seg_IMG_0001.png"], "IMG_0001_2.png": ["a_b_IMG_0001_2.png"]}),
        ("*{name}*", ["IMG_0001.png.png", "x-IMG_0001_2.png.tif"],
         {"IMG_0001.png": ["IMG_0001.png.png"], "IMG_0001_2.png": ["x-IMG_0001_2.png.tif"]}),
    ],
)  # fmt: skip
def test_a_pattern_is_matched_with_the_photos_names(
    tmp_path: Path, pattern: str, names: list[str], expected: dict[str, list[str]]
) -> None:
    """Of several photos that a file fits, the one with the longest name has it."""
    touch(tmp_path, *names)
    found = look_in(tmp_path, list(expected), pattern)
    assert {photo: sorted(one.names) for photo, one in found.masks.items()} == expected
    assert all(one.warnings == () for one in found.masks.values())
    assert found.spare == [name for name in names if name == "seg_IMG_1.png"]


def test_a_mask_that_fits_two_photos_as_well_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "x_a_b.png")
    found = look_in(tmp_path, ["a.png", "b.png"], "*{stem}*.png")
    assert found.masks["a.png"].names == ["x_a_b.png"]
    assert found.masks["a.png"].warnings == ("x_a_b.png is taken for its mask, but fits b.png too",)
    assert found.masks["b.png"].problem.startswith("no mask: ")


def test_masks_that_a_pattern_finds_add_up(files: Files) -> None:
    """1,200 pixels in each of two masks that do not touch: 2,400."""
    files.photo("IMG_0001.png")
    for name, left in (("IMG_0001_0.png", 5), ("IMG_0001_mask_1.png", 55)):
        mask = np.zeros_like(files.hole)
        mask[20:60, left : left + 30] = True
        Image.fromarray(mask).save(files.masks / name)
    entry = files.run(mask_name="{stem}_*.png")["IMG_0001.png"]
    assert (entry.error, entry.hole_pixels, len(entry.more_masks)) == ("", 2400, 1)


def test_masks_of_no_photo_and_unused_ones_are_told(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("x.png", "b/y.png"):
        files.photo(name)
        files.mask(name)
    for name in ("x_mask.png", "z.png", "b/x.png", "c/d/u.png", "c/v.png"):
        files.mask(name)
    unused = "not used: x_mask.png: x.png comes first (--mask-name chooses others)"
    spare = (
        "finefill: warning: 4 files among the masks belong to no photo: z.png, b/x.png, c/v.png "
        "and 1 more: give them their photos' names, or say by --mask-name how they are called"
    )
    for more in (["--dry-run"], []):
        assert run_command(monkeypatch, *files.command("--jobs", 1, *more)) == 0
        captured = capsys.readouterr()
        assert captured.err.splitlines() == [f"x.png: warning: {unused}", spare]
    assert captured.out.startswith("done 2, skipped 0, failed 0, warnings 1, ")
    assert {line["photo"]: line["warnings"] for line in files.lines()} == {
        "x.png": [unused],
        "b/y.png": [],
    }
    one = Batch(files.photos / "x.png", files.masks, files.out, model=str(files.model))
    assert prepare(one).spare_masks == ""  # one photo of many


@pytest.mark.parametrize("pattern", ["mask.png", "{stem}{name}.png", "{photo}.png", "*"])
def test_patterns_that_name_no_photo(files: Files, pattern: str) -> None:
    with pytest.raises(FinefillError, match=r"--mask-name .*: give the photo's name once"):
        check_pattern(pattern)
    files.photo("a.png")
    with pytest.raises(FinefillError, match="--mask-name"):
        prepare(files.batch(mask_name=pattern))


def test_several_masks_add_up(files: Files) -> None:
    files.photo("a.png")
    first, second = np.zeros_like(files.hole), np.zeros_like(files.hole)
    first[10:20, 10:20], second[40:50, 60:70] = True, True
    for name, mask in (("a_mask001.png", first), ("a_mask002.png", second)):
        Image.fromarray(mask).save(files.masks / name)
    entry = files.run()["a.png"]
    assert (entry.error, entry.hole_pixels) == ("", 200)
    names = [Path(one).name for one in (entry.mask or "", *entry.more_masks)]
    assert names == ["a_mask001.png", "a_mask002.png"]
    digests = [
        hashlib.sha256((files.masks / name).read_bytes()).hexdigest() for name in names
    ]  # fmt: skip
    assert entry.mask_sha256 == together(digests) != digests[0]
    assert files.results() == {"a.png": "skipped"}
    Image.fromarray(first).save(files.masks / "a_mask002.png")
    assert files.run()["a.png"].hole_pixels == 100


def test_annotations_beside_and_for_all(files: Files) -> None:
    for name in ("a.png", "b.png"):
        files.photo(name)
    coco = {
        "images": [{"id": at, "file_name": name} for at, name in enumerate(("a.png", "b.png"))],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "man"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 1, "bbox": [10, 10, 10, 10]},
            {"id": 2, "image_id": 0, "category_id": 2, "bbox": [40, 40, 5, 5]},
            {"id": 3, "image_id": 1, "category_id": 1, "bbox": [20, 20, 7, 7]},
        ],
    }
    everything = files.folder / "coco.json"
    everything.write_text(json.dumps(coco))
    found = files.run(masks=everything)
    assert {name: entry.hole_pixels for name, entry in found.items()} == {"a.png": 125, "b.png": 49}
    found = files.run(masks=everything, labels=("car",))
    assert {name: entry.hole_pixels for name, entry in found.items()} == {"a.png": 100, "b.png": 49}
    assert set(files.results(masks=everything, labels=("car",)).values()) == {"skipped"}
    found = files.run(masks=everything, labels=("man",))
    assert {name: entry.result for name, entry in found.items()} == {
        "a.png": "done",
        "b.png": "empty",
    }
    assert found["a.png"].hole_pixels == 25
    assert found["b.png"].lacks == ["man"]
    assert "choose from car" in found["b.png"].warnings[0]
    found = files.run(masks=everything, labels=("man", "car"))  # where they are
    assert {name: entry.hole_pixels for name, entry in found.items()} == {"a.png": 125, "b.png": 49}
    with pytest.raises(FinefillError, match=r"lorry: not one photo has .*choose from car, man"):
        files.run(masks=everything, labels=("lorry",))
    with pytest.raises(FinefillError, match=r"^lorry: not one photo"):
        files.run(masks=everything, labels=("car", "lorry"))

    line = {"label": "x", "shape_type": "line", "points": [[10, 10], [19, 10]]}
    (files.masks / "a.json").write_text(json.dumps({"shapes": [line]}))
    (files.masks / "b.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    found = files.run(line_width=1.0)
    assert {name: entry.hole_pixels for name, entry in found.items()} == {"a.png": 10, "b.png": 480}
    assert "--line-width" in files.run()["a.png"].error


def test_annotations_of_one_name_in_folders(files: Files) -> None:
    """Boxes of 4, 9 and 16 pixels; the folder of the photos, "in", counts too."""
    for name in ("a/p.png", "b/p.png", "p.png"):
        files.photo(name)
    text = "".join(
        f'<image name="{folder}/p.png" width="96" height="80">'
        f'<box label="car" xtl="10" ytl="10" xbr="{10 + side}" ybr="{10 + side}"/></image>'
        for folder, side in (("a", 2), ("b", 3), ("in", 4))
    )
    everything = files.folder / "all.xml"
    everything.write_text(f"<annotations>{text}</annotations>")
    found = files.run(masks=everything)
    assert {name: (entry.error, entry.hole_pixels) for name, entry in found.items()} == {
        "a/p.png": ("", 4), "b/p.png": ("", 9), "p.png": ("", 16),
    }  # fmt: skip
    files.photo("c/p.png")
    everything.write_text(f"<annotations>{text.replace('in/', 'd/')}</annotations>")
    assert "3 images called p.png" in files.run(masks=everything)["c/p.png"].error


def test_accents_in_annotations(files: Files) -> None:
    """The photo's name in NFD, the annotations' in NFC: boxes of 4 and 9 pixels."""
    files.photo("e\u0301.png")
    coco = {
        "images": [{"id": 1, "file_name": "\u00e9.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 2, 2]}],
    }
    results = [
        {"image_id": name, "category_id": 1, "bbox": [10, 10, side, side]}
        for name, side in (("\u00e9", 3), ("a", 4))
    ]
    for content, expected in ((coco, 4), (results, 9)):
        everything = files.folder / "all.json"
        everything.write_text(json.dumps(content))
        (entry,) = files.run(masks=everything).values()
        assert (entry.error, entry.hole_pixels) == ("", expected)


def test_values_that_one_mask_lacks(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("a", 2), ("b", 3)):
        files.photo(f"{name}.png")
        labels = np.zeros(files.hole.shape, np.uint8)
        labels[10:14, 20:25] = value
        files.masks.mkdir(exist_ok=True)
        Image.fromarray(labels).save(files.masks / f"{name}.png")
    found = files.run(mask_values=("2",))
    assert {
        name: (entry.result, entry.lacks, entry.hole_pixels or 0) for name, entry in found.items()
    } == {
        "a.png": ("done", [], 20),
        "b.png": ("empty", ["2"], 0),
    }
    assert "choose from 0, 3" in found["b.png"].warnings[0]
    assert run_command(monkeypatch, *files.command("--mask-value", "7")) == 2
    assert files.run(mask_values=("2", "3"))["b.png"].hole_pixels == 20


def test_one_pattern_of_names(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files.photo("a.png")
    for name in ("a-x.png", "a-y.png"):
        files.mask(name)
    first, second = (("--mask-name", f"{{stem}}-{end}.png") for end in "xy")
    assert run_command(monkeypatch, *files.command(*first, *second)) == 2
    assert "'--mask-name': give it once, not 2 times: {stem}-x.png, {stem}-y.png" in (
        capsys.readouterr().err
    )
    assert not files.out.exists()
    assert run_command(monkeypatch, *files.command(*first)) == 0
    assert Path(files.lines()[0]["mask"]).name == "a-x.png"


def test_masks_that_are_wholly_transparent(files: Files) -> None:
    files.photo("a.png")
    blank = np.zeros((*files.hole.shape, 4), np.uint8)
    files.masks.mkdir(exist_ok=True)
    Image.fromarray(blank).save(files.masks / "a.png")
    assert files.results(mask_values=("opaque",)) == {"a.png": "empty"}
    (entry,) = files.run(mask_values=("transparent",)).values()
    assert entry.result == "failed"
    assert "the mask is full" in entry.error
