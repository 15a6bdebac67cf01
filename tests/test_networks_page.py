"""What docs/networks.md says, done as it stands there: in NumPy, in OpenCV, and in a browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from finefill import Engine
from finefill.completion import fill_photo, locate
from finefill.completion.convention import _PARTS, _TOP, parse
from finefill.completion.plan import plan
from finefill.masks.drawing import center_square
from tests.conftest import CARD, write_model

PAGE = (Path(__file__).parent.parent / "docs" / "networks.md").read_text(encoding="utf-8")
ORT_WEB = "1.30.0"


def block(language: str, word: str) -> str:
    """The page's block of code of a language that has a word in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [one for one in blocks if word in one]
    return str(found)


@pytest.fixture(scope="module")
def photo(demo_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(demo_rgb[150:278, 200:328])


HOLES = {"square": center_square(128, 128, 64), "corner": np.zeros((128, 128), bool)}
HOLES["corner"][80:, 100:] = True


def run_in(folder: Path, model: str, code: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The function ``complete`` of a block of code, in a folder with a shipped model's file."""
    monkeypatch.chdir(folder)
    shutil.copy(locate(model), folder / f"{model}.onnx")
    names: dict[str, Any] = {}
    exec(code, names)
    return names["complete"]


@pytest.mark.parametrize("hole", HOLES)
def test_numpy_alone(
    hole: str, photo: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = run_in(tmp_path, "places", block("python", "onnxruntime.Inf"), monkeypatch)
    result = complete(photo, HOLES[hole])
    assert (result != photo).any()
    np.testing.assert_array_equal(result, Engine(locate("places")).fill(photo, HOLES[hole]))


@pytest.mark.parametrize("hole", HOLES)
def test_opencv(
    hole: str, photo: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2 = pytest.importorskip("cv2", reason="needs the extra baselines")
    if int(cv2.__version__.split(".")[0]) < 5:
        pytest.skip("needs OpenCV 5")
    complete = run_in(tmp_path, "places-fp32", block("python", "cv2.dnn"), monkeypatch)
    result = complete(photo[..., ::-1], HOLES[hole])[..., ::-1]
    expected = Engine(locate("places-fp32")).fill(photo, HOLES[hole])
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_the_json_file_of_the_page() -> None:
    found = parse(json.loads(block("json", "trained_size")), "the page")
    assert (found.name, found.size_multiple, found.hole_range) == ("mine", 8, (16, 256))
    for text in re.findall(r"`(\{\"like\".*?\}\}?)`", PAGE):
        parse(json.loads(text), "the page")
    # Every key is in the table, and nothing else.
    table = PAGE[PAGE.index("| key | says") : PAGE.index("Types follow the file")]
    told = set(re.findall(r"`([\w.]+)`", "\n".join(re.findall(r"^\| (.*?) \|", table, re.M))))
    keys = {f"{part}.{key}" for part, kinds in _PARTS.items() for key in kinds}
    assert told == keys | set(_TOP) - set(_PARTS) | {"like"}


@pytest.fixture(scope="module")
def ort_web(pytestconfig: pytest.Config) -> Path:
    """The folder of onnxruntime-web's files, installed by npm into pytest's cache."""
    if (npm := shutil.which("npm")) is None:
        pytest.skip("no npm: onnxruntime-web cannot be installed")
    assert pytestconfig.cache is not None
    place = pytestconfig.cache.mkdir("onnxruntime-web")
    files = place / "node_modules" / "onnxruntime-web"
    about = files / "package.json"
    if about.is_file() and json.loads(about.read_text())["version"] == ORT_WEB:
        return files / "dist"
    command = [npm, "install", "--prefix", str(place), "--ignore-scripts", "--no-audit",
               "--no-fund", f"onnxruntime-web@{ORT_WEB}"]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not get onnxruntime-web: no network?")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        pytest.skip(f"npm does not get onnxruntime-web {ORT_WEB}: no network? ({last})")
    return files / "dist"


@pytest.mark.parametrize("model", ["places", "places-fp32"])
def test_a_browser_fills_the_same(
    model: str, photo: NDArray[np.uint8], browser: Any, ort_web: Path
) -> None:
    page = browser.new_page()
    page.set_default_timeout(120_000)
    told: list[str] = []
    page.on("pageerror", lambda error: told.append(str(error)))

    def answer(route: Any) -> None:
        name = route.request.url.rsplit("/", 1)[-1]
        path = locate(model) if name == "model.onnx" else ort_web / name
        if name == "":
            script = '<script src="ort.wasm.min.js"></script>'
            route.fulfill(content_type="text/html", body=script)
        elif path.is_file():
            kinds = {".mjs": "text/javascript", ".js": "text/javascript"}
            kind = kinds.get(path.suffix, "application/wasm")
            route.fulfill(content_type=kind, body=path.read_bytes())
        else:
            route.fulfill(status=404)

    page.route("**/*", answer)
    page.goto("http://page.test/")
    page.add_script_tag(content=block("js", "getImageData"))
    engine = Engine(locate(model))
    for hole in HOLES.values():
        rgba = np.dstack([photo, np.full(hole.shape, 255, np.uint8)])
        given = [base64.b64encode(array.tobytes()).decode() for array in (rgba, hole)]
        found = page.evaluate(
            """async ([rgba, hole]) => {
              const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
              ort.env.wasm.numThreads = 1;
              window.session ??= await ort.InferenceSession.create("model.onnx");
              return [...await complete(session, bytes(rgba), bytes(hole), 128, 128)];
            }""",
            given,
        )
        result = np.array(found, np.uint8).reshape(128, 128, 4)[..., :3]
        expected = engine.fill(photo, hole)
        np.testing.assert_array_equal(result[~hole], photo[~hole])
        assert (expected[hole] != photo[hole]).any()
        unlike = np.abs(result.astype(int) - expected)
        # In 8 bits every runtime rounds in its own way, ONNX Runtime with each of its options too.
        assert unlike.max() <= (1 if "fp32" in model else 16)
        assert unlike[hole].mean() <= (0.1 if "fp32" in model else 2)
    assert told == []
    page.close()


def test_a_model_that_lost_its_card_is_used_by_its_json(
    photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Tools that optimize a graph often drop what they do not know."""
    import onnx

    whole = Engine(locate("places-fp32"))
    model = onnx.load(whole.path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    (tmp_path / "bare.json").write_text(whole.convention.text(), encoding="utf-8")
    bare = Engine(tmp_path / "bare.onnx")
    for key in ("name", "trained_size", "hole_range", "detail", "doubt", "terms", "version"):
        assert bare.card[key] == whole.card[key]
    assert plan(HOLES["corner"], bare.card) == plan(HOLES["corner"], whole.card)
    for hole in HOLES.values():
        np.testing.assert_array_equal(fill_photo(bare, photo, hole), fill_photo(whole, photo, hole))


def test_an_exported_json_says_what_the_card_says(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", CARD)
    says = Engine(path).convention.to_json()
    assert says["image"] == {
        "name": "image", "range": [-1, 1], "channels": "RGB", "layout": "NCHW", "hole": 0,
    }  # fmt: skip
    assert says["mask"] == {"name": "mask", "keep": 0, "hole": 1, "layout": "NCHW"}
    assert says["output"] == {
        "name": "fill", "range": [-1, 1], "channels": "RGB", "layout": "NCHW", "composited": True,
    }  # fmt: skip
    for key in ("name", "trained_size", "hole_range", "size_multiple", "detail", "licence"):
        assert says[key] == CARD[key]
