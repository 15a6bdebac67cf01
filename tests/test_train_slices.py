"""tools/train-slices.py: data in shards, training in slices, checkpoints in pieces."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import finefill
from finefill.data.photos import iterate_images
from finefill.training import checkpoint
from tests.conftest import call_tool

call = functools.partial(call_tool, "train-slices.py")


def test_photographs_train_in_slices_from_pieces(tmp_path: Path) -> None:
    photos = tmp_path / "photos" / "sub"
    photos.mkdir(parents=True)
    with Image.open(Path(finefill.__file__).parent / "assets" / "demo.jpg") as demo:
        for number in range(12):
            demo.crop((40 * number, 0, 40 * number + 120, 100)).save(photos / f"{number}.png")
    data, run = tmp_path / "data", tmp_path / "run"
    result = call("pack", photos.parent, "-o", data, "--shorter", 50, "--mib", 0.04)
    assert result.returncode == 0, result.stderr
    shards = sorted(data.glob("*.tar"))
    assert len(shards) > 1
    assert all(shard.stat().st_size < 0.04 * 2**20 for shard in shards)
    packed = [image for _, image in iterate_images(shards)]
    assert [image.shape for image in packed] == [(50, 60, 3)] * 12
    original = np.concatenate([image for _, image in iterate_images([photos])])
    assert abs(np.concatenate(packed).mean() - original.mean()) < 2

    settings = ["--recipe", "tiny", "--device", "cpu", "--quiet"]
    settings += ["--set", "rec_samples=12", "--set", "all_samples=0"]
    command = ["run", run, "--shards", data, "--minutes", 0, "--mib", 0.05, "--", *settings]
    result = call(*command[:2], "--slices", 1, *command[2:])
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("slice 1: stopped")
    whole = (run / checkpoint.LAST).read_bytes()
    pieces = sorted(run.glob(f"{checkpoint.LAST}.[0-9]*"))
    assert b"".join(piece.read_bytes() for piece in pieces) == whole
    assert max(piece.stat().st_size for piece in pieces) <= 0.05 * 2**20 < len(whole)

    start = run.parent / "start.safetensors"
    start.write_bytes(whole)
    (run / checkpoint.LAST).unlink()  # only the pieces came along
    command[command.index("--minutes") + 1] = 5
    result = call(*command)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("slice 1: complete")
    assert checkpoint.read_state(run / checkpoint.LAST)["step"] == 3
    assert list(run.glob(f"{checkpoint.BEST}.[0-9]*"))

    # Pieces come back to a machine with an older checkpoint; only the first slice takes --from.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for piece in run.glob("*.safetensors.[0-9s]*"):
        (elsewhere / piece.name).write_bytes(piece.read_bytes())
    (elsewhere / checkpoint.LAST).write_bytes(whole)
    result = call("run", elsewhere, *command[2:], "--from", start)
    assert result.returncode == 0, result.stderr
    for name in (checkpoint.LAST, checkpoint.BEST):
        assert (elsewhere / name).read_bytes() == (run / name).read_bytes()


def test_a_damaged_piece_is_named_and_nothing_is_joined(tmp_path: Path) -> None:
    file = tmp_path / "file"
    content = np.random.default_rng(0).bytes(250_000)
    file.write_bytes(content)
    assert call("split", file, "--mib", 0.1).stdout.endswith("3 pieces\n")
    listed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import hashlib; print(hashlib.sha256(open('file.002','rb').read()).hexdigest())",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout.strip()
    assert f"{listed}  file.002" in (tmp_path / "file.sha256").read_text(encoding="utf-8")
    (tmp_path / "file.001").write_bytes(b"x")
    file.unlink()
    result = call("join", file)
    assert result.returncode == 2
    assert "file.001: damaged" in result.stderr
    assert not file.exists()
    (tmp_path / "file.001").unlink()
    assert "file.001: missing" in call("join", file).stderr
    (tmp_path / "file.001").write_bytes(content[104857 : 2 * 104857])
    assert call("join", file).returncode == 0
    assert file.read_bytes() == content


def test_a_photograph_larger_than_a_shard_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)).save(
        tmp_path / "noise.png"
    )
    result = call("pack", tmp_path, "-o", tmp_path / "data", "--mib", 0.02)
    assert result.returncode == 2
    assert "noise.png" in result.stderr
    assert not list((tmp_path / "data").iterdir())
