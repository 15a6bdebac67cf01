"""Fixtures: a real, if small, completing model as ONNX, and photographs to use it on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ROOT = Path(__file__).resolve().parents[1]

CARD: dict[str, Any] = {
    "name": "small",
    "version": "1",
    "domain": "anything smooth",
    "trained_size": 128,
    "hole_range": [48, 80],
    "size_multiple": 8,
    "licence": "Apache-2.0",
    "terms": "",
    "data": "none",
    "samples": 0,
    "date": "2026-01-01",
    "device": "cpu",
    "recipe": "",
    "parameters": 0,
    "metrics": {},
    "detail": True,
}


def call_tool(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script of ``tools/``, on one thread."""
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
    )


def write_model(path: Path, card: dict[str, Any] | None, output: str = "fill") -> Path:
    """A model that fills with the mean of the known pixels of a 127x127 neighbourhood.

    It works on 8x8 blocks, so that, like a network with three down-samplings, it returns another
    size than it was given unless height and width are multiples of 8.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    def image(name: str, channels: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, "H", "W"])

    def constant(name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.asarray(value, np.float32), name)

    pool = {"kernel_shape": [15, 15], "pads": [7, 7, 7, 7], "count_include_pad": 1}
    blocks = {"kernel_shape": [8, 8], "strides": [8, 8]}
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("AveragePool", ["image"], ["image8"], **blocks),
            node("AveragePool", ["image8"], ["sum"], **pool),
            node("Sub", ["one", "mask"], ["known"]),
            node("AveragePool", ["known"], ["known8"], **blocks),
            node("AveragePool", ["known8"], ["share"], **pool),
            node("Max", ["share", "tiny"], ["safe"]),
            node("Div", ["sum", "safe"], ["mean"]),
            node("Resize", ["mean", "", "scales"], [output], mode="nearest"),
        ],
        "neighbourhood mean",
        [image("image", 3), image("mask", 1)],
        [image(output, 3)],
        [constant("one", 1), constant("tiny", 1e-6), constant("scales", [1, 1, 8, 8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if card is not None:
        helper.set_model_props(model, {"finefill_card": json.dumps(card)})
    checker.check_model(model)
    save(model, str(path))
    return path


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of :func:`write_model`'s model with a good card."""
    return write_model(tmp_path_factory.mktemp("model") / "small.onnx", CARD)


@pytest.fixture(scope="session")
def engine(model_path: Path) -> Any:
    """The engine of ``model_path``."""
    from finefill import Engine

    return Engine(model_path, threads=1)


@pytest.fixture(scope="session")
def demo_rgb() -> NDArray[np.uint8]:
    """The bundled photograph: (480, 640, 3) uint8."""
    import finefill
    from finefill.files.reading import read_photo

    return read_photo(Path(finefill.__file__).parent / "assets" / "demo.jpg").rgb


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 16 crops of the bundled photograph, 150x110."""
    return crops(tmp_path_factory.mktemp("photos"), 4, (150, 110), (150, 110))


@pytest.fixture(scope="session")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped, on :func:`photos`."""
    from finefill.training import train
    from tests.training.runs import RECIPE

    run = tmp_path_factory.mktemp("runs") / "finished"
    assert train(RECIPE, [photos], run, device="cpu", quiet=True)
    return run


@pytest.fixture(scope="module")  # while it runs, nothing else can use asyncio in this thread
def browser() -> Iterator[Any]:
    """A browser for a module's tests: Debian's, or Playwright's own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, BROWSERS)), None)
        if path is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no browser: apt-get install chromium")
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        started = playwright.chromium.launch(
            executable_path=path, args=["--disable-gpu", *(["--no-sandbox"] if root else [])]
        )
        yield started
        started.close()


def crops(folder: Path, across: int, step: tuple[int, int], size: tuple[int, int]) -> Path:
    """16 pieces of the bundled photograph, as PNG files.

    Args:
        folder: where to write them.
        across: how many lie in a row.
        step: from one to the next, (x, y).
        size: (width, height) of each.

    Returns:
        ``folder``.
    """
    import finefill

    with Image.open(Path(finefill.__file__).parent / "assets" / "demo.jpg") as demo:
        for number in range(16):
            x, y = step[0] * (number % across), step[1] * (number // across)
            demo.crop((x, y, x + size[0], y + size[1])).save(folder / f"{number:02}.png")
    return folder


def exif_with(layout: dict[int, int]) -> Image.Exif:
    """EXIF that says a maker, an artist, an exposure and what it interoperates with.

    Args:
        layout: tags that describe an image's layout besides.
    """
    exif = Image.Exif()
    for tag, value in layout.items():
        exif[tag] = value
    exif[0x010F], exif[0x013B] = "Maker", "Jürgen".encode()
    exif.get_ifd(0x8769).update({0x829D: 2.8, 0xA005: {1: "R98"}})
    return exif


def check_exif(said: Image.Exif) -> None:
    """A TIFF's EXIF, or one made from it, has what :func:`exif_with` said, but not the layout."""
    assert said[0x010F] == "Maker"
    assert said[0x013B].encode("latin-1").decode() == "Jürgen"
    assert 0x0152 not in said
    assert float(said.get_ifd(0x8769)[0x829D]) == pytest.approx(2.8)
    assert said.get_ifd(0xA005)[1] == "R98"
