"""Which files are a photo's masks, and what several say together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finefill import FinefillError
from finefill.batch import prepare
from finefill.batch.holes import check_pattern, look_in, together
from tests.batch.folders import Files


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"")


def test_names_of_other_programs(tmp_path: Path) -> None:
    touch(
        tmp_path, "a.png", "a_mask.png", "b.jpg.png", "c_mask001.png", "c_mask002.png", "d.json",
        "e.png", "e.json", "f.txt", "g.png", "g.webp", ".h.png", "i.md",
    )  # fmt: skip
    found = look_in(tmp_path)

    def of(photo: str) -> tuple[list[str], str]:
        names, problem = found.of(photo, tmp_path)
        return sorted(names), problem

    assert of("a.jpg") == (["a.png"], "")  # not "a_mask.png": the plain name comes first
    assert of("b.jpg") == (["b.jpg.png"], "")  # as COLMAP names them
    assert of("c.jpg") == (["c_mask001.png", "c_mask002.png"], "")  # as LaMa does
    assert of("d.jpg") == (["d.json"], "")
    assert of("e.jpg") == (["e.png"], "")  # an image before annotations
    assert of("f.jpg") == (["f.txt"], "")
    assert of("g.jpg")[1] == "more than one mask: g.png, g.webp: keep one"
    for photo in ("h.jpg", "i.jpg"):
        assert of(photo) == ([], f"no mask: {(tmp_path / photo[0]).as_posix()}.* is missing")
    assert look_in(tmp_path / "none").of("a.jpg", tmp_path)[0] == []


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
    found, problem = look_in(tmp_path, pattern).of(photo, tmp_path)
    assert sorted(found) == names
    assert bool(problem) == (not names)


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
    assert "choose from car" in files.run(masks=everything, labels=("man",))["b.png"].error

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
