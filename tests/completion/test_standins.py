"""Networks of the size and make of LaMa and MI-GAN, with random weights, against PyTorch's result.

What they draw is noise; that it is the same noise shows that everything around them is right.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from finefill import Engine

torch: Any = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("onnxscript", reason="needs the extra train")

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def standins() -> ModuleType:
    """``benchmarks/standins.py``."""
    path = Path(__file__).parents[2] / "benchmarks" / "standins.py"
    spec = importlib.util.spec_from_file_location("standins", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    return module


def export(net: Any, path: Path, example: tuple[Any, Any], output: str, free: bool) -> None:
    import onnx

    from finefill.export.model import traced

    rows, columns = (64 * torch.export.Dim(axis, min=1) for axis in ("rows", "columns"))
    onnx.save(traced(net, example, output, {2: rows, 3: columns} if free else None), path)


def check(path: Path, kind: str, rgb: Pixels, hole: NDArray[np.bool_], wanted: Pixels) -> None:
    """The engine takes the file for one of that kind and fills the hole as PyTorch does."""
    engine = Engine(path, threads=1)
    assert engine.recognised == kind
    result = engine.fill(rgb, hole)
    np.testing.assert_array_equal(result[~hole], rgb[~hole])
    assert np.abs(result.astype(int) - wanted).max() <= 1
    assert wanted[hole].std() > 1  # of all one colour it would prove little


def expected(net: Any, image: Any, mask: Any) -> Pixels:
    with torch.inference_mode():
        values = net(image, mask)[0].permute(1, 2, 0).numpy()
    return np.asarray(np.rint(values).clip(0, 255).astype(np.uint8))


def test_lama(standins: ModuleType, demo_rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    """Fourier convolutions; the image in [0, 1], fixed 512x512, composited 0..255 out."""

    class Lama(torch.nn.Module):  # type: ignore[misc]  # torch is Any here
        def __init__(self) -> None:
            super().__init__()
            self.net = standins.Fourier(1)

        def forward(self, image: Any, mask: Any) -> Any:
            drawn = (self.net(image * (1 - mask), mask) + 1) / 2
            return (255 * (mask * drawn + (1 - mask) * image)).clamp(0, 255)

    net = Lama().eval()
    rgb = np.ascontiguousarray(np.pad(demo_rgb[:, :512], ((0, 32), (0, 0), (0, 0)), mode="edge"))
    hole = np.zeros((512, 512), bool)
    hole[200:300, 150:330] = True
    image = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255
    mask = torch.from_numpy(hole)[None, None].float()
    export(net, tmp_path / "lama.onnx", (image, mask), "output", free=False)
    check(tmp_path / "lama.onnx", "lama", rgb, hole, expected(net, image, mask))


def test_migan(standins: ModuleType, demo_rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    """Separable convolutions; uint8 in and out, 255 = known, any size, composited."""

    class Pipeline(torch.nn.Module):  # type: ignore[misc]  # torch is Any here
        def __init__(self) -> None:
            super().__init__()
            self.net = standins.Separable((16, 32, 32, 32, 32, 32, 32))

        def forward(self, image: Any, mask: Any) -> Any:
            known = mask.to(torch.float32) / 255
            values = image.to(torch.float32) * 2 / 255 - 1
            drawn = self.net(values * known, 1 - known)
            drawn = (128 + 64 * (drawn - drawn.mean()) / drawn.std()).clamp(0, 255)
            whole = image.to(torch.float32) * known + drawn * (1 - known)
            return whole.round().to(torch.uint8)

    net = Pipeline().eval()
    rgb = np.ascontiguousarray(demo_rgb[100:292, 100:356])  # 192x256
    hole = np.zeros(rgb.shape[:2], bool)
    hole[50:120, 60:150] = True
    image = torch.from_numpy(rgb).permute(2, 0, 1)[None]
    mask = torch.from_numpy(~hole)[None, None].to(torch.uint8) * 255
    export(net, tmp_path / "migan.onnx", (image, mask), "result", free=True)
    check(tmp_path / "migan.onnx", "migan", rgb, hole, expected(net, image, mask))
