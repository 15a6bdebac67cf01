"""``finefill train`` and ``finefill export`` as people call them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from PIL import Image

import finefill
from finefill import Engine
from finefill.completion import convention as conventions
from finefill.data import recipes

SOURCE = Path(finefill.__file__).parents[1]
SHORT = ["--set", "rec_samples=8", "--set", "all_samples=8", "--set", "checkpoint_every=2"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight crops of the bundled photograph."""
    folder = tmp_path_factory.mktemp("photos")
    with Image.open(SOURCE / "finefill" / "assets" / "demo.jpg") as demo:
        for number in range(8):
            demo.crop((70 * number, 200, 70 * number + 60, 260)).save(folder / f"{number}.png")
    return folder


def run(
    *arguments: object, absent: tuple[str, ...] = (), room: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run from the source tree, in an interpreter where some packages are not installed.

    With ``room`` no file can have more bytes than that, as on a disk that is nearly full.
    """
    code = f"import sys; sys.modules |= dict.fromkeys({absent!r})\n"
    if room is not None:
        code += f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
    code += "from finefill.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
    )


def one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert all(word in result.stderr for word in words), result.stderr


def test_train_export_and_use_without_the_optional_packages(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    absent = ("onnxruntime", "tensorboard", "torch.utils.tensorboard", "onnx", "cv2")
    train = ["train", "--data", photos, "-o", folder, "--device", "cpu", *SHORT]
    result = run(*train, "--recipe", "tiny", absent=absent)
    assert result.returncode == 0, result.stderr
    assert "TensorBoard is not installed" in result.stderr
    assert "img/s" in result.stderr
    assert result.stdout.startswith("complete:")
    output = tmp_path / "mine.onnx"
    one_line(run("export", folder, "-o", output, absent=("onnx",)), "finefill[train]")
    assert not output.exists()
    one_line(run("export", folder, "-o", tmp_path), "is a folder")
    one_line(run("export", folder, "-o", output, room=4_000), "mine.onnx: not written", "room")
    assert not output.exists()
    result = run("export", folder, "-o", output)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert not output.with_suffix(".json").exists()
    card = Engine(output).card
    assert card["recipe"]["name"] == "tiny"

    # What was measured with the finished file goes into its card; the graph stays.
    about = tmp_path / "card.json"
    about.write_text('{"name": "mine", "version": "2", "doubt": 8.5}')
    again = tmp_path / "again.onnx"
    one_line(run("export", output, "-o", again), "mine.onnx", "--card")
    one_line(run("export", output, "-o", again, "--card", about, "--half-weights"), "--card alone")
    one_line(
        run("export", output, "-o", tmp_path / "card.onnx", "--card", about, "--json"),
        "--json would write over",
    )
    result = run("export", output, "-o", again, "--card", about, "--json")
    assert result.returncode == 0, result.stderr
    says = json.loads(again.with_suffix(".json").read_text())
    assert (says["name"], says["doubt"], says["mask"]["hole"]) == ("mine", 8.5, 1)
    assert conventions.get(again.with_suffix(".json")) == Engine(again).convention
    assert Engine(again).card == {**card, "name": "mine", "version": "2", "doubt": 8.5}
    assert onnx.load(again).graph == onnx.load(output).graph
    one_line(run("export", tmp_path / "none.onnx", "-o", again, "--card", about), "none.onnx")
    about.write_text('{"doubt": "much"}')
    one_line(run("export", output, "-o", again, "--card", about), "doubt", "255")


def test_export_in_8_bits(photos: Path, tmp_path: Path) -> None:
    """The eight photographs twice: 16 are the fewest that will do."""
    folder = tmp_path / "run"
    train = ["train", "--recipe", "tiny", "--data", photos, "-o", folder, "--device", "cpu", *SHORT]
    assert run(*train, "--quiet").returncode == 0
    output = tmp_path / "mine.onnx"
    export = ["export", folder, "-o", output]
    one_line(run(*export, "--int8"), "--calibration")
    one_line(run(*export, "--calibration", photos), "--int8")
    one_line(
        run(*export, "--int8", "--calibration", photos, "--half-weights"), "exclude each other"
    )
    one_line(run(*export, "--int8", "--calibration", tmp_path / "none"), "none", "no such file")
    assert not output.exists()
    twice = ["--int8", "--calibration", photos, "--calibration", photos]
    result = run(*export, *twice)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "in 8 bits PSNR " in result.stdout
    assert Engine(output).card["int8"]["photographs"] == 16


def test_missing_torch_is_told(photos: Path, tmp_path: Path) -> None:
    result = run(
        "train", "--recipe", "tiny", "--data", photos, "-o", tmp_path / "run", absent=("torch",)
    )
    one_line(result, "PyTorch", "finefill[train]")
    assert not (tmp_path / "run").exists()


def test_wrong_arguments_end_in_one_line(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    tiny = ["train", "--recipe", "tiny", "-o", folder]
    one_line(run("train", "--data", photos, "-o", folder), "--recipe", *recipes.RECIPES)
    one_line(run(*tiny, "--data", tmp_path / "nothing"), "nothing")
    one_line(run(*tiny, "--data", photos, "--set", "bach=1"), "bach")
    one_line(run(*tiny, "--data", photos, "--device", "tpu"), "tpu")
    one_line(run("train", "--resume", "--data", photos, "-o", folder), "no checkpoint")
    one_line(run("export", folder, "-o", tmp_path / "a.onnx"), "no checkpoint")
    one_line(run("export", folder, "-o", tmp_path / "no" / "a.onnx"), "does not exist")
    assert not folder.exists()


def test_a_warning_does_not_wait_for_the_end(photos: Path, tmp_path: Path) -> None:
    """It is there though the run ends with an error."""
    result = run(
        *("train", "--recipe", "tiny", "--data", photos, "-o", tmp_path / "run", "--quiet"),
        *("--set", "perceptual_window=16", "--set", "rec_samples=0", "--vgg", tmp_path / "no.pth"),
    )
    assert result.returncode == 2
    first, last = result.stderr.splitlines()
    assert first == (
        "finefill: warning: perceptual_window=16 shows only a part of a hole of 20 pixels at "
        "size 32: --set perceptual_window=24 or more"
    )
    assert "no.pth" in last


def test_what_the_system_refuses_is_one_line(photos: Path, tmp_path: Path) -> None:
    long = "a" * 300  # longer than a file's name may be
    train = ["train", "--recipe", "tiny", *SHORT]
    one_line(run(*train, "--data", photos, "-o", tmp_path / long), "File name too long", long)
    one_line(run(*train, "--data", tmp_path / long, "-o", tmp_path), "File name too long", long)
    one_line(run("export", tmp_path / long, "-o", tmp_path / "a.onnx"), "File name too long", long)
