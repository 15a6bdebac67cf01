"""One photo: formats, failures, warnings, ways of filling."""

from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finefill import Engine, FinefillError
from finefill.batch import Task, complete_file, prepare, task
from finefill.completion.photo import Report, fill_with_report
from tests.batch.folders import SIZE, Files, pictures, pixels, sha256, tree
from tests.cli.test_use import run as run_command


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
    assert captured.err.startswith(
        "finefill: warning: 2 files among the masks belong to no photo: cut.png, link.png: "
    )
    assert run_command(monkeypatch, *files.command("--jobs", 1, "--resize-mask")) == 0
    out = capsys.readouterr().out  # where nothing was done there is no speed to tell
    assert out == "done 0, skipped 6, failed 0, warnings 0\n"


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


def test_complete_file_needs_plain_data_only(files: Files, engine: Engine) -> None:
    source, mask = files.photo("a.png"), files.mask("a.png")
    target = files.folder / "new" / "o.png"
    entry = complete_file(Task("a.png", source, mask, "o.png", target, "m", "0" * 64), engine)
    assert (entry.result, entry.error) == ("done", "")
    assert entry.output_sha256 == sha256(target)


def test_masks_drawn_before_the_turn(files: Files) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files.photo("a.jpg", exif=exif)
    Image.fromarray(files.hole).save(files.masks / "a.png")
    assert "--mask-drawn stored" in files.run()["a.jpg"].error
    entry = files.run(mask_drawn="stored")["a.jpg"]
    assert (entry.error, entry.warnings, entry.hole_pixels) == ("", [], files.hole.sum())
    assert files.results(mask_drawn="stored") == {"a.jpg": "skipped"}


def test_wrap_is_part_of_what_was_done(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.photo("a.png")
    mask = np.zeros((80, 96), bool)
    mask[30:50, :10] = mask[30:50, -10:] = True
    Image.fromarray(mask).save(files.masks / "a.png")
    command = files.command("--jobs", 1)
    for more in ([], ["--wrap", "x"], ["--wrap", "x"]):  # the last one is skipped
        assert run_command(monkeypatch, *command, *more) == 0
    first, second = files.lines()
    assert (first["wrap"], second["wrap"]) == (None, "x")
    assert first["output_sha256"] != second["output_sha256"]
    assert files.results(wrap="x") == {"a.png": "skipped"}
    with pytest.raises(FinefillError, match=r"^wrap: 'z': use one of x, y, xy$"):
        prepare(files.batch(wrap="z"))


def test_photos_with_nothing_to_complete_are_counted_apart(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames of a film: most have an object, some have none."""
    for name in ("black.png", "yolo.png", "some.png", "two.png"):
        files.photo(name)
    files.mask("some.png")
    files.mask("two_mask1.png")
    for name in ("black.png", "two_mask2.png"):
        Image.new("L", SIZE).save(files.masks / name)
    (files.masks / "yolo.txt").write_text("")
    assert run_command(monkeypatch, *files.command("--jobs", 1)) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("done 2, skipped 0, failed 0, empty 2, warnings 3, ")
    reason = task.EMPTY
    assert captured.err.splitlines() == [
        f"black.png: warning: {reason}",
        f"two.png: warning: {files.masks / 'two_mask2.png'}: the mask is empty: the others are "
        "completed",
        f"yolo.png: warning: {reason}",
    ]
    lines = {line["photo"]: line for line in files.lines()}
    results = {name: (line["result"], line["error"]) for name, line in lines.items()}
    assert results == {
        "black.png": ("empty", ""),
        "some.png": ("done", ""),
        "two.png": ("done", ""),
        "yolo.png": ("empty", ""),
    }
    assert lines["two.png"]["hole_pixels"] == files.hole.sum()  # one of its masks is empty
    assert set(pictures(files.out)) == {"some.png", "two.png"}
    coco = {
        "images": [
            {"id": at, "file_name": f"{name}.png"} for at, name in enumerate(("some", "two"))
        ],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [10, 10, 10, 10]}],
    }
    everything = files.folder / "coco.json"
    everything.write_text(json.dumps(coco))
    found = {name: entry.result for name, entry in files.run(masks=everything).items()}
    # Images that the file does not know at all are a mistake.
    assert found == {
        "black.png": "failed", "some.png": "done", "two.png": "empty", "yolo.png": "failed",
    }  # fmt: skip
    # Drawn later, they are done.
    files.mask("black.png")
    assert files.run(strict=True)["black.png"].result == "done"
    assert files.run(strict=True)["yolo.png"].error == f"{reason} (--strict: nothing is written)"


def test_strict_writes_nothing_for_photos_with_warnings(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("good.png", "inverted.png", "unused.png"):
        files.photo(name)
        files.mask(name)
    files.mask("unused_mask.png")
    Image.fromarray(~files.hole).save(files.masks / "inverted.png")
    frames = Image.new("RGB", SIZE)
    files.photo("several.gif", save_all=True, append_images=[frames])
    files.mask("several.png")
    assert run_command(monkeypatch, *files.command("--jobs", 1, "--strict")) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("done 1, skipped 0, failed 3, warnings 0, ")
    reasons = dict(line.split(": ", 1) for line in captured.err.splitlines())
    assert list(reasons) == ["inverted.png", "several.gif", "unused.png"]
    for name, part in (
        ("inverted.png", "inverted"), ("several.gif", "several pictures"),
        ("unused.png", "not used: unused_mask.png"),
    ):  # fmt: skip
        assert part in reasons[name]
        assert reasons[name].endswith(" (--strict: nothing is written)")
    assert set(pictures(files.out)) == {"good.png"}
    failed = {line["photo"]: line["error"] for line in files.lines() if line["error"]}
    assert failed == reasons
    # What was done with warnings is not done for --strict.
    results = dict.fromkeys(("inverted.png", "several.gif", "unused.png"), "done")
    assert files.results() == {**results, "good.png": "skipped"}
    before = pictures(files.out)
    assert files.results() == dict.fromkeys((*results, "good.png"), "skipped")
    assert files.results(strict=True) == {**dict.fromkeys(results, "failed"), "good.png": "skipped"}
    assert pictures(files.out) == before
    files.mask("nobody.png")
    assert run_command(monkeypatch, *files.command("--jobs", 1, "--strict")) == 2
    assert "1 file among the masks belongs to no photo: nobody.png" in capsys.readouterr().err


def test_strict_refuses_what_a_format_gives_up_while_it_is_written(files: Files) -> None:
    """A PNG called .jpg becomes a JPEG, which is noticed when it is written."""
    files.photo("a.png").rename(files.photos / "a.jpg")
    files.mask("a.png")
    (told,) = files.run()["a.jpg"].warnings
    assert "JPEG does not keep all pixels; the photo is PNG in spite of its name" in told
    (files.out / "a.jpg").unlink()
    entry = files.run(strict=True)["a.jpg"]
    assert entry.error == f"{told} (--strict: nothing is written)"
    assert (entry.result, entry.warnings) == ("failed", [])
    assert set(tree(files.out)) == {"manifest.jsonl"}


def test_files_of_others_are_not_replaced(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b/c.png"):
        files.photo(name)
        files.mask(name)
    (files.out / "b").mkdir(parents=True)
    (files.out / "b" / "c.png").write_bytes(b"of somebody else")
    (files.out / "other.png").write_bytes(b"in nobody's way")
    before = tree(files.out)
    assert run_command(monkeypatch, *files.command("--jobs", 1)) == 2
    assert capsys.readouterr().err == (
        f"finefill: {files.out / 'b/c.png'}: is no batch's, as there is no manifest.jsonl, and "
        "would be replaced: choose another folder for the output, or --overwrite\n"
    )
    assert tree(files.out) == before
    assert set(files.results(overwrite=True).values()) == {"done"}
    assert (files.out / "other.png").read_bytes() == b"in nobody's way"
    (files.out / "b" / "c.png").write_bytes(b"changed")  # now a batch's folder
    assert files.results() == {"a.png": "skipped", "b/c.png": "done"}


def test_an_earlier_output_that_stays_is_told(files: Files) -> None:
    """Its photo is empty, or fails, in a later run: the file is kept as it is."""
    for name in ("a.png", "b.png", "new.png"):
        files.photo(name)
        files.mask(name)
    (files.masks / "new.png").unlink()
    assert files.run()["new.png"].warnings == []  # it failed, but there is nothing to tell
    before = pictures(files.out)
    assert set(before) == {"a.png", "b.png"}
    Image.new("L", SIZE).save(files.masks / "a.png")
    (files.masks / "b.png").write_bytes(b"no image")
    found = files.run()
    assert (found["a.png"].result, found["a.png"].warnings) == ("empty", [task.EMPTY, task.LEFT])
    assert (found["b.png"].result, found["b.png"].warnings) == ("failed", [task.LEFT])
    found = files.run(strict=True)
    assert (found["a.png"].result, found["a.png"].warnings) == ("failed", [task.LEFT])
    assert pictures(files.out) == before
    assert {line["photo"]: line["warnings"] for line in files.lines()}["a.png"] == [task.LEFT]
