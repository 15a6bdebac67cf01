"""The page of ``finefill serve`` in a real browser, on a real server."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

import finefill
from finefill.masks import read_mask

pytest.importorskip("fastapi", reason="needs the extra web")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

Page = Any  # playwright.sync_api.Page
DEMO = Path(finefill.__file__).parent / "assets" / "demo.jpg"
DESKTOP = {"width": 800, "height": 600}
SHOWN = "#compare-view:not([hidden])"
UPRIGHT = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a server as ``finefill serve`` starts it."""
    command = [sys.executable, "-m", "finefill", "serve", "--port", "0", "--model", "places"]
    with _serving(command, {}) as found:
        yield found


@contextlib.contextmanager
def _serving(command: list[str], environment: dict[str, str]) -> Iterator[str]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    stdout = process.stdout
    assert stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=lambda: lines.put(stdout.readline()))
    reader.start()
    try:
        found = re.search(r"http://[^ ]+", lines.get(timeout=60))
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.wait(60)
        reader.join()
        stdout.close()


@contextlib.contextmanager
def showing(browser: Any, address: str, *, errors: bool = False, **options: Any) -> Iterator[Page]:
    """The page in a fresh window; in the end, nothing may have gone wrong unseen.

    ``errors``: whether answers that say no, which the browser reports too, are expected.
    """
    context = browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce", **options})
    page = context.new_page()
    page.set_default_timeout(30_000)
    told: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("console", lambda one: told.append(one.text) if one.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#model option, #token-dialog[open]", state="attached")
    # Before it has painted something, Chromium throws keys away.
    page.evaluate("addEventListener('keydown', () => (window.keysArrive = true), { once: true })")
    for _ in range(300):
        page.keyboard.press("Shift")
        if page.evaluate("window.keysArrive === true"):
            break
        page.wait_for_timeout(100)
    yield page
    if errors:
        told = [text for text in told if not text.startswith("Failed to load resource")]
    assert told == []
    assert [url for url in asked if not url.startswith((f"{address}/", "blob:", "data:"))] == []
    context.close()


def open_photo(page: Page, path: Path) -> None:
    page.set_input_files("#file", path)
    page.wait_for_selector("#dock:not([hidden])")
    page.wait_for_selector(f"#title:has-text('{path.name}')")


def at(page: Page, x: float, y: float, size: tuple[int, int] = (640, 480)) -> tuple[float, float]:
    """Where a pixel of the photo, of (width, height), is on the screen while all is shown."""
    box = page.locator("#stage").bounding_box()
    # Within the stage's borders of 1 above and below.
    width, height = box["width"], box["height"] - 2
    scale = min((width - 32) / size[0], (height - 32) / size[1], 4)
    left, top = (width - size[0] * scale) / 2, (height - size[1] * scale) / 2
    return box["x"] + left + x * scale, box["y"] + 1 + top + y * scale


def drag(page: Page, *points: tuple[float, float], size: tuple[int, int] = (640, 480)) -> None:
    page.mouse.move(*at(page, *points[0], size))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*at(page, *point, size), steps=3)
    page.mouse.up()


def remove(page: Page) -> None:
    page.click("#remove")
    page.wait_for_selector(f"{SHOWN}, #error:not([hidden])")
    assert page.locator("#error").is_hidden(), page.text_content("#error")


def saved(page: Page) -> tuple[str, bytes]:
    with page.expect_download() as found:
        page.click("#save")
    return found.value.suggested_filename, Path(found.value.path()).read_bytes()


def pixels(source: Path | bytes) -> NDArray[np.uint8]:
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
    assert before.shape == after.shape
    return (before != after).any(axis=2)


def box_of(mask: NDArray[np.bool_]) -> list[int]:
    """left, top, right, bottom."""
    ys, xs = np.nonzero(mask)
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]


@pytest.fixture(scope="module")
def png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled photograph, lossless, 320x240."""
    path = tmp_path_factory.mktemp("photo") / "hill.side.png"
    with Image.open(DEMO) as image:
        image.resize((320, 240)).save(path)
    return path


def test_paint_remove_compare_save(browser: Any, address: str, png: Path) -> None:
    size = (320, 240)
    with showing(browser, address) as page:
        open_photo(page, png)
        assert page.get_attribute("#remove", "aria-disabled") == "true"
        drag(page, (100, 150), (160, 150), size=size)
        scale = at(page, 1, 0, size)[0] - at(page, 0, 0, size)[0]
        remove(page)
        page.mouse.move(*at(page, 160, 60, size))
        drag(page, (160, 60), (80, 60), size=size)
        assert page.input_value("#divider") == "25"
        name, data = saved(page)
        assert page.evaluate("() => document.title") != ""
    assert name == "hill.side-completed.png"
    where = changed(pixels(png), pixels(data))
    # The brush is 40 screen pixels wide: a capsule around the line from (100, 150) to (160, 150).
    ys, xs = np.mgrid[:240, :320] + 0.5
    distance = np.hypot(np.clip(xs, 100, 160) - xs, ys - 150)
    assert where.sum() > 0.8 * (distance < 20 / scale).sum()
    assert not where[distance > 20 / scale + 1.5].any()


def test_jpeg_keeps_its_kind(browser: Any, address: str, tmp_path: Path) -> None:
    """Format, EXIF and orientation; and the mask is where the upright photo was painted."""
    photo = tmp_path / "Turned.JPG"
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera & Co"
    with Image.open(DEMO) as image:
        # Stored lying, shown standing: 240 wide and 320 high.
        image.resize((320, 240)).save(photo, quality=92, exif=exif)
    with showing(browser, address) as page:
        open_photo(page, photo)
        assert "240 × 320" in page.text_content("#title")
        page.click("#box")
        drag(page, (60, 200), (110, 260), size=(240, 320))
        remove(page)
        name, data = saved(page)
    assert name == "Turned-completed.JPG"
    with Image.open(io.BytesIO(data)) as result, Image.open(photo) as original:
        assert result.format == "JPEG"
        assert result.size == (320, 240)
        assert result.getexif()[0x010F] == "Camera & Co"
        assert result.getexif()[0x0112] == 6
        assert isinstance(result, JpegImageFile)
        assert isinstance(original, JpegImageFile)
        assert result.quantization == original.quantization
        upright = [
            np.asarray(one.transpose(UPRIGHT[6]).convert("RGB")).astype(int)
            for one in (original, result)
        ]
    difference = np.abs(upright[0] - upright[1]).max(axis=2)
    inside = np.zeros((320, 240), bool)
    inside[200:260, 60:110] = True
    around = np.zeros_like(inside)
    around[176:284, 36:134] = True  # the blocks of 16x16 that the hole touches
    assert difference[inside].mean() > 8
    assert difference[~around].mean() < 0.2
    assert (difference[~around] > 12).mean() < 0.001


def test_undo_across_removals(browser: Any, address: str, png: Path) -> None:
    size = (320, 240)
    holes = ([40, 120, 90, 160], [200, 150, 240, 210])
    with showing(browser, address) as page:
        open_photo(page, png)
        page.click("#box")
        for x0, y0, x1, y1 in holes:
            drag(page, (x0 + 0.5, y0 + 0.5), (x1 - 0.5, y1 - 0.5), size=size)
            remove(page)
            page.keyboard.press("Escape")
            assert page.locator("#compare-view").is_hidden()
        twice = pixels(saved(page)[1])
        page.keyboard.press("Control+z")  # the second removal
        page.wait_for_selector("#remove[aria-disabled=false]")
        page.keyboard.press("Control+z")  # its box
        page.wait_for_selector("#remove[aria-disabled=true]")
        once = pixels(saved(page)[1])
        page.keyboard.press("Control+z")  # the first removal: the photo, its box painted
        page.wait_for_selector("#save[aria-disabled=true]")
        page.keyboard.press("Control+z")
        page.wait_for_selector("#undo[aria-disabled=true]")
        for _ in range(4):
            page.keyboard.press("Control+Shift+z")
            page.wait_for_timeout(100)
        page.wait_for_selector("#redo[aria-disabled=true]")
        again = pixels(saved(page)[1])
    original = pixels(png)
    assert box_of(changed(original, once)) == holes[0]
    assert box_of(changed(once, twice)) == holes[1]
    assert np.array_equal(again, twice)


def test_keyboard_alone(browser: Any, address: str, png: Path) -> None:
    with showing(browser, address) as page:
        with page.expect_file_chooser() as chooser:
            page.wait_for_timeout(500)  # until the browser hands choosers over
            page.keyboard.press("Control+o")
        chooser.value.set_files(png)
        page.wait_for_selector("#dock:not([hidden])")
        page.keyboard.press("?")
        page.wait_for_selector("#help-dialog[open]")
        page.keyboard.press("Escape")
        page.keyboard.press("r")
        assert page.get_attribute("#box", "aria-pressed") == "true"
        for _ in range(40):  # wherever the focus is, Tab comes to the picture
            if page.evaluate("document.activeElement.id") == "canvas":
                break
            page.keyboard.press("Tab")
        page.locator("#canvas:focus").wait_for()
        # From the middle, (160, 120): 12 pixels left and 5 down, then a box of 30x20.
        for key, count in (("ArrowLeft", 12), ("ArrowDown", 5)):
            for _ in range(count):
                page.keyboard.press(f"Control+{key}")
        page.keyboard.press("Space")
        for key, count in (("ArrowRight", 30), ("ArrowDown", 20)):
            for _ in range(count):
                page.keyboard.press(f"Control+{key}")
        page.keyboard.press("Space")
        page.wait_for_selector("#status:has-text('Box painted')", state="attached")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(SHOWN)
        page.wait_for_selector("#status:has-text('Removed in')", state="attached")
        with page.expect_download() as found:
            page.keyboard.press("Control+s")
        data = Path(found.value.path()).read_bytes()
    assert box_of(changed(pixels(png), pixels(data))) == [148, 125, 178, 145]


def test_phone_with_touch(browser: Any, address: str, png: Path) -> None:
    phone = {
        "viewport": {"width": 360, "height": 740},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    }
    size = (320, 240)
    with showing(browser, address, **phone) as page:
        open_photo(page, png)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        for button in page.locator("#dock button, .zooms button").all():
            box = button.bounding_box()
            assert min(box["width"], box["height"]) >= 40
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 360
        assert page.locator("#dock").bounding_box()["y"] > 370  # below, for the thumb
        session = page.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            where = [dict(zip("xy", at(page, *point, size), strict=True)) for point in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

        # Two fingers zoom, and paint nothing.
        touch("touchStart", (140, 120))
        touch("touchStart", (140, 120), (180, 120))
        touch("touchMove", (100, 120), (220, 120))
        touch("touchEnd")
        assert int(page.text_content("#percent").rstrip("%")) > 150
        assert page.get_attribute("#remove", "aria-disabled") == "true"
        page.tap("#fit")
        touch("touchStart", (120, 150))
        for x in range(125, 165, 5):
            touch("touchMove", (x, 150))
        touch("touchEnd")
        page.tap("#remove")  # at once: no fling of the stroke may swallow it
        page.wait_for_selector(SHOWN)
        with page.expect_download() as found:
            page.tap("#save")
        data = Path(found.value.path()).read_bytes()
    left, top, right, bottom = box_of(changed(pixels(png), pixels(data)))
    assert 80 < left < 120 < 160 < right < 200
    assert 110 < top < 150 < bottom < 190


def test_lasso_erase_and_mask_file(browser: Any, address: str, png: Path, tmp_path: Path) -> None:
    """A mask file adds, the eraser takes away; exactly those pixels change."""
    size = (320, 240)
    mask = np.zeros((240, 320), np.uint8)
    mask[100:140, 50:120] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    with showing(browser, address) as page:
        open_photo(page, png)
        page.set_input_files("#mask-file", tmp_path / "mask.png")
        page.wait_for_selector("#status:has-text('Mask added')", state="attached")
        page.click("#lasso")
        drag(page, (200, 150), (250, 150), (250, 200), (200, 200), size=size)
        page.click("#erase")
        page.click("#box")
        drag(page, (90.5, 90.5), (129.5, 149.5), size=size)
        remove(page)
        data = saved(page)[1]
    where = changed(pixels(png), pixels(data))
    assert box_of(where[:, :160]) == [50, 100, 90, 140]
    where[:, :160] = False
    assert np.abs(np.array(box_of(where)) - [200, 150, 250, 200]).max() <= 1


def mask_files(folder: Path) -> dict[str, Path]:
    """Masks of every kind for a photo of 320x240, of the same squares."""
    squares = ((50, 100), (150, 100), (200, 160))
    labels = np.zeros((240, 320), np.uint8)
    colours = np.zeros((240, 320, 3), np.uint8)
    paints = ((255, 0, 0), (0, 0, 255), (0, 255, 0))
    for value, ((x, y), paint) in enumerate(zip(squares, paints, strict=True), 1):
        labels[y : y + 30, x : x + 40] = value
        colours[y : y + 30, x : x + 40] = paint
    hole = np.uint8(255) * (labels > 0)
    brush = np.dstack([np.full((240, 320, 3), (138, 43, 226), np.uint8), hole // 255 * 100])
    soft = Image.fromarray(hole).resize((160, 120), Image.Resampling.BILINEAR)
    kinds = {
        "white.png": Image.fromarray(hole), "numbers.png": Image.fromarray(labels),
        "one.png": Image.fromarray(hole // 255), "colours.png": Image.fromarray(colours),
        "on-white.png": Image.fromarray(np.where(hole[..., None], colours, np.uint8(255))),
        "colours.jpg": Image.fromarray(colours), "white.jpg": Image.fromarray(hole),
        "brush.png": Image.fromarray(brush), "dark.png": Image.fromarray(hole // 4),
        "soft.png": soft.resize((320, 240), Image.Resampling.BILINEAR),
    }  # fmt: skip
    for name, image in kinds.items():
        image.save(folder / name)
    return {name: folder / name for name in kinds}


def test_masks_mean_the_same_as_on_the_server(
    browser: Any, address: str, png: Path, tmp_path: Path
) -> None:
    with showing(browser, address) as page:
        for name, path in mask_files(tmp_path).items():
            photo = tmp_path / f"photo-{name}"  # the title tells that it is open
            photo = Path(shutil.copy(png, photo.with_suffix(f"{path.suffix}.png")))
            open_photo(page, photo)
            page.set_input_files("#mask-file", path)
            page.wait_for_selector("#status:has-text('added')", state="attached")
            labelled = "labels" in page.text_content("#status")
            remove(page)
            where = changed(pixels(png), pixels(saved(page)[1]))
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                expected = read_mask(path, (240, 320))
            assert labelled == any("label mask" in str(one.message) for one in caught), name
            assert not where[~expected].any(), name
            assert where[expected].mean() > 0.9, name


@pytest.mark.parametrize(("kind", "orientation"), [("webp", 3), ("png", 6)])
def test_turned_where_browsers_do_not_agree(
    browser: Any, address: str, tmp_path: Path, kind: str, orientation: int
) -> None:
    photo = tmp_path / f"turned.{kind}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "webp" else {}
    with Image.open(DEMO) as image:
        image.resize((320, 240)).save(photo, exif=exif.tobytes(), **options)
    upright = (240, 320) if orientation == 6 else (320, 240)
    with showing(browser, address) as page:
        open_photo(page, photo)
        assert f"{upright[0]} × {upright[1]}" in page.text_content("#title")
        page.click("#box")
        drag(page, (60.5, 150.5), (109.5, 199.5), size=upright)
        remove(page)
        data = saved(page)[1]
    where = changed(pixels(photo), pixels(data))
    turned = Image.fromarray(where).transpose(UPRIGHT[orientation])
    assert box_of(np.asarray(turned)) == [60, 150, 110, 200]


def test_errors_are_shown(browser: Any, address: str, png: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no image")
    with Image.open(DEMO) as image:
        image.resize((12, 12)).save(tmp_path / "tiny.png")
    with showing(browser, address, errors=True) as page:
        page.set_input_files("#file", tmp_path / "notes.png")
        page.wait_for_selector("#error:has-text('notes.png: this browser cannot show it')")
        open_photo(page, tmp_path / "tiny.png")
        assert page.locator("#error").is_hidden()
        drag(page, (6, 6), (8, 8), size=(12, 12))
        page.click("#remove")
        page.wait_for_selector("#error:has-text('12x12 pixels are too few')")
        page.keyboard.press("Control+z")
        page.set_input_files("#mask-file", DEMO)
        page.wait_for_selector("#error:has-text('must have the photo')")
        open_photo(page, png)
        Image.new("L", (240, 320), 255).save(tmp_path / "turned.png")
        page.set_input_files("#mask-file", tmp_path / "turned.png")
        page.wait_for_selector("#error:has-text('turned as it is shown')")


def test_tiles_go_on_at_the_other_border(browser: Any, address: str, tmp_path: Path) -> None:
    rows, columns = np.mgrid[:192, :256]
    wave = 120 + 60 * np.sin(columns * 2 * np.pi / 128) + 40 * np.sin(rows * 2 * np.pi / 96)
    tile = np.repeat(wave.astype(np.uint8)[..., None], 3, 2)
    Image.fromarray(tile).save(tmp_path / "tile.png")
    mask = np.zeros((192, 256), bool)
    mask[60:120, :24] = mask[60:120, -24:] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    with showing(browser, address) as page:
        open_photo(page, tmp_path / "tile.png")
        page.set_input_files("#mask-file", tmp_path / "mask.png")
        page.wait_for_selector("#remove[aria-disabled=false]")
        page.click("#options-button")
        page.select_option("#wrap", "xy")
        page.keyboard.press("Escape")
        remove(page)
        after = pixels(saved(page)[1])
        open_photo(page, DEMO)  # for which it does not hold
        assert page.input_value("#wrap") == ""
    np.testing.assert_array_equal(after, finefill.complete(tile, mask, "places", wrap="xy"))


def test_what_the_server_cannot_read_is_told_when_it_is_chosen(
    browser: Any, tmp_path: Path
) -> None:
    # A server whose Python lacks the extra `formats`.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules.update(imagecodecs=None, pillow_heif=None)\n"
    )
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "finefill", "serve", "--port", "0", "--model", "places"]
    # Beginnings of files: that is what is looked at, whatever their names say.
    heads = {
        "a.jxl": b"\xff\x0a" + bytes(30),
        "b.jxl": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30),
        "c.jpg": b"\0\0\0\x18ftypheic" + bytes(30),
    }
    with (
        _serving(command, {"PYTHONPATH": os.pathsep.join(paths)}) as bare,
        showing(browser, bare) as page,
    ):
        for name, head in heads.items():
            (tmp_path / name).write_bytes(head)
            page.set_input_files("#file", tmp_path / name)
            kind = "HEIC" if name == "c.jpg" else "JPEG XL"
            told = f"{name}: this server cannot read it: {kind} needs the extra formats"
            page.wait_for_selector(f"#error:has-text('{told}')")
            assert page.locator("#dock").is_hidden()


def test_cancel_and_unsaved_work(browser: Any, address: str, png: Path, tmp_path: Path) -> None:
    with showing(browser, address) as page:
        open_photo(page, png)
        drag(page, (100, 100), (120, 140), size=(320, 240))
        # The server's answers wait until the test has cancelled.
        page.route("**/v1/jobs", lambda route: (page.wait_for_timeout(300), route.continue_()))
        page.click("#remove")
        page.wait_for_selector("#busy:not([hidden])")
        page.click("#cancel")
        page.wait_for_selector("#busy", state="hidden")
        page.wait_for_selector("#status:has-text('Cancelled')", state="attached")
        assert page.get_attribute("#remove", "aria-disabled") == "false"
        page.unroute_all(behavior="wait")
        shutil.copy(png, tmp_path / "other.png")
        page.set_input_files("#file", tmp_path / "other.png")
        page.click("#leave-dialog[open] button:has-text('Stay')")
        assert "hill.side.png" in page.text_content("#title")
        with page.expect_event("dialog") as asking:
            page.close(run_before_unload=True)
        assert asking.value.type == "beforeunload"
        asking.value.dismiss()
        page.set_input_files("#file", tmp_path / "other.png")
        page.click("#leave-dialog[open] button:has-text('Open another')")
        page.wait_for_selector("#title:has-text('other.png')")


def test_token(browser: Any, png: Path) -> None:
    command = [sys.executable, "-m", "finefill", "serve", "--port", "0", "--model", "places"]
    with (
        _serving(command, {"FINEFILL_TOKEN": "open sesame"}) as address,
        showing(browser, address, errors=True) as page,
    ):
        page.fill("#token", "wrong")
        page.click("text=Use it")
        page.wait_for_selector("#token-dialog[open]")
        page.fill("#token", "open sesame")
        page.click("text=Use it")
        page.wait_for_selector("#model option", state="attached")
        assert page.evaluate("sessionStorage.getItem('finefill-token')") == "open sesame"
        assert page.evaluate("Object.values(localStorage).join()") == ""
