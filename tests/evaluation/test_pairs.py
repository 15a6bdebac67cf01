"""Blind pairs: files without names, a page in a real browser, answers counted with the key."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from finefill.cli import cli
from finefill.errors import FinefillError
from finefill.evaluation import kinds, pairs, protocol

COUNT = 9


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Photographs that are black; method `red` fills with red, `blue` with blue."""
    images = [np.full((128, 128, 3), i, np.uint8) for i in range(COUNT + 3)]
    test = protocol.TestSet.of([f"{i}.png" for i in range(len(images))], images)
    holes = kinds.make_masks("random", len(images))
    filled = {}
    for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        filled[name] = {
            i: protocol.corrupt(image, mask, colour)
            for i, (image, mask) in enumerate(zip(images, holes.masks, strict=True))
        }
    return pairs.make_pairs(
        test, holes, ("red", filled["red"]), ("blue", filled["blue"]), seed=4, count=COUNT
    )


@pytest.fixture(scope="module")
def folder(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pairs")
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def test_the_key_says_what_stands_where(files: dict[str, bytes], folder: Path) -> None:
    key = json.loads(files["key.json"])
    assert key["methods"] == ["red", "blue"]
    assert list(key["pairs"]) == [str(i) for i in range(1, COUNT + 1)]
    assert len({pair["image"] for pair in key["pairs"].values()}) == COUNT
    lefts = [pair["left"] for pair in key["pairs"].values()]
    assert {"red", "blue"} == set(lefts)
    order = [int(pair["image"].removesuffix(".png")) for pair in key["pairs"].values()]
    assert order != sorted(order)
    sheets = sorted(name for name in files if name.startswith("sheet"))
    assert sheets == ["sheet-00.png", "sheet-01.png", "sheet-02.png"]
    with Image.open(folder / "sheet-00.png") as sheet:
        step = pairs.SIDE + pairs.GAP
        for row, left in enumerate(lefts[: pairs.ROWS]):
            y = row * step + pairs.SIDE // 2
            middles = [pairs.NUMBER_WIDTH + i * step + pairs.SIDE // 2 for i in range(3)]
            seen = [sheet.getpixel((x, y)) for x in middles]
            expected = [(200, 0, 0), (0, 0, 200)]
            assert seen == [(255, 0, 255), *(expected if left == "red" else expected[::-1])]


def test_whoever_judges_sees_no_names(files: dict[str, bytes]) -> None:
    page = files["pairs.html"].decode()
    shown = page.partition("const data =")[0]
    data = json.loads(page.partition("const data = ")[2].partition(";\n")[0])
    assert [list(pair) for pair in data["pairs"]] == [["label", "pictures"]] * COUNT
    for word in ("red", "blue", '.png"'):
        assert word not in shown.replace("Numbered", "").replace("answered", "")
    assert b"http://" not in files["pairs.html"]
    assert b"https://" not in files["pairs.html"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
        if path is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no browser: apt-get install chromium")
        found = playwright.chromium.launch(executable_path=path)
        yield found
        found.close()


def test_a_person_judges_in_a_browser(browser: Any, folder: Path, tmp_path: Path) -> None:
    key = json.loads((folder / "key.json").read_text(encoding="utf-8"))
    page = browser.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on(
        "request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or failures.append(r.url)
    )
    page.goto((folder / "pairs.html").as_uri())
    sides = [pair["left"] == "red" for pair in key["pairs"].values()]

    def prefer(red_left: bool, red: bool) -> None:
        page.keyboard.press("ArrowLeft" if red_left == red else "ArrowRight")

    assert "Pair 1: 1 of 9" in page.text_content("#progress")
    prefer(sides[0], red=False)  # a slip, taken back
    page.keyboard.press("Backspace")
    assert "Pair 1: 1 of 9, 1 answered" in page.text_content("#progress")
    for red_left in sides[:4]:
        prefer(red_left, red=True)
    page.click("#left" if not sides[4] else "#right")  # blue, by the mouse
    page.keyboard.press("ArrowDown")
    page.click("#equal")
    page.reload()  # a closed window loses nothing
    assert "Pair 8: 8 of 9, 7 answered" in page.text_content("#progress")
    prefer(sides[7], red=True)
    with page.expect_download() as early:
        page.click("#save")
    early.value.save_as(tmp_path / "early.json")
    prefer(sides[8], red=True)
    assert "9 of 9 answered" in page.text_content("#progress")
    with page.expect_download() as saved:
        page.click("#save")
    saved.value.save_as(tmp_path / "verdict.json")
    page.close()
    assert not failures
    found = pairs.judge(tmp_path / "verdict.json", folder / "key.json")
    assert (found.wins, found.losses, found.equal, found.missing) == (6, 1, 2, 0)
    assert pairs.judge(tmp_path / "early.json", folder / "key.json").missing == 1
    words = ["--verdict", tmp_path / "verdict.json", "--key", folder / "key.json"]
    result = CliRunner().invoke(cli, ["evaluate", *map(str, words)])
    assert "| | 6 | 1 | 2 | 85.7% |" in result.output


def test_a_phone_shows_both_completions_and_the_buttons(browser: Any, folder: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((folder / "pairs.html").as_uri())
    left, right = (page.locator(f"#{side}").bounding_box() for side in ("left", "right"))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] < right["x"]
    assert right["x"] + right["width"] <= 390
    save = page.locator("#save").bounding_box()
    assert right["y"] + right["height"] < save["y"]
    assert save["y"] + save["height"] < 844
    page.click("#equal")
    page.click("#back")
    assert page.get_attribute("#equal", "aria-pressed") == "true"
    page.click("#left")
    assert page.get_attribute("#equal", "aria-pressed") == "false"
    page.close()


def test_the_interval_is_the_exact_one(folder: Path, tmp_path: Path) -> None:
    key = json.loads((folder / "key.json").read_text(encoding="utf-8"))
    answers = {
        label: "left" if pair["left"] == "red" else "right" for label, pair in key["pairs"].items()
    }
    found = judged(tmp_path, folder, {"set": key["set"], "verdicts": answers})
    # All nine of nine: Clopper and Pearson's lower end is (alpha / 2)^(1/9), the upper one 1, and
    # the sign test's p is 2 / 2^9.
    assert dataclasses.astuple(found)[2:7] == (9, 0, 0, 0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 9))
    assert found.high == 1
    assert found.p == pytest.approx(2 / 2**9)
    none = judged(tmp_path, folder, {"set": key["set"], "verdicts": {"1": "equal"}})
    assert (none.share, none.low, none.high, none.missing) == (None, 0, 1, 8)


def test_what_does_not_belong_together_is_refused(folder: Path, tmp_path: Path) -> None:
    key = json.loads((folder / "key.json").read_text(encoding="utf-8"))
    for answers, match in (
        ({"set": "other", "verdicts": {}}, "belong to another comparison"),
        ({"set": key["set"], "verdicts": {"77": "left"}}, "77: 'left' is not"),
        ({"set": key["set"], "verdicts": {"1": "red"}}, "1: 'red' is not left, right, equal"),
        ({"verdicts": {}}, "cannot be used"),
        ([], "cannot be used"),
    ):
        with pytest.raises(FinefillError, match=match):
            judged(tmp_path, folder, answers)
    with pytest.raises(FinefillError, match=r"nowhere\.json: cannot be used \(No such file"):
        pairs.judge(tmp_path / "nowhere.json", folder / "key.json")


def judged(path: Path, folder: Path, answers: Any) -> pairs.Verdict:
    (path / "verdict.json").write_text(json.dumps(answers), encoding="utf-8")
    return pairs.judge(path / "verdict.json", folder / "key.json")


def test_command_writes_pairs(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.new("RGB", (130, 130), (40 * i, 90, 60)).save(tmp_path / "photos" / f"{i}.png")
    words = ["evaluate", "--baseline", "mean", "--baseline", "telea", "--metric", "l1"]
    words += ["--data", str(tmp_path / "photos"), "-o", str(tmp_path / "o")]
    result = CliRunner().invoke(cli, [*words, "--pairs", "telea", "mean", "--pair-count", "2"])
    assert result.exit_code == 0, result.output
    assert {"pairs.html", "key.json", "sheet-00.png", "summary.json"} <= {
        path.name for path in (tmp_path / "o").iterdir()
    }
    key = json.loads((tmp_path / "o" / "key.json").read_text(encoding="utf-8"))
    assert key["methods"] == ["telea", "mean"]
    assert len(key["pairs"]) == 2
    for extra, match in (
        (
            ["--pairs", "telea", "places"],
            "--pairs places: no such method; there are 'mean', 'telea'",
        ),
        (["--pairs", "mean", "mean"], "name two methods"),
        (["--pairs", "mean", "telea", "--masks", "all"], "one kind of masks"),
        (["--verdict", "x.json"], "go together"),
    ):
        refused = CliRunner().invoke(cli, [*words, *extra])
        assert isinstance(refused.exception, FinefillError)
        assert match in str(refused.exception)
