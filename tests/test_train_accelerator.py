"""tools/train-accelerator.py, on the CPU: shards kept from call to call, a training from them."""

from __future__ import annotations

import functools
import tarfile
from pathlib import Path

from PIL import Image

import finefill
from finefill.training import checkpoint
from tests.conftest import call_tool

call = functools.partial(call_tool, "train-accelerator.py")


def test_shards_are_kept_and_trained_on_and_the_checkpoint_comes_in_pieces(tmp_path: Path) -> None:
    kept, run = tmp_path / "kept", tmp_path / "run"
    with Image.open(Path(finefill.__file__).parent / "assets" / "demo.jpg") as demo:
        for number in range(12):
            demo.crop((40 * number, 0, 40 * number + 120, 100)).save(tmp_path / f"{number}.png")
    for part in range(2):  # two calls bring a shard each
        shard = tmp_path / f"photos-{part}.tar"
        with tarfile.open(shard, "w") as tar:
            for number in range(6 * part, 6 * part + 6):
                tar.add(tmp_path / f"{number}.png", f"{number}.png")
        result = call("keep", shard, "--to", kept)
        assert result.returncode == 0, result.stderr
        shard.unlink()
    assert "photos-1.tar: 6 photographs" in result.stdout
    assert f"{kept}: 2 shards" in result.stdout

    command = ["run", run, "--kept", kept, "--minutes", 4, "--study", 0, "--batch", 4]
    command += ["--mib", 0.05, "--device", "cpu"]
    settings = ["--recipe", "tiny", "--quiet", "--set", "rec_samples=8", "--set"]
    result = call(*command, "--", *settings, "all_samples=0")
    assert result.returncode == 0, result.stderr
    assert "gloo: DistributedDataParallel runs in one process" in result.stdout
    last = run / checkpoint.LAST
    assert checkpoint.read_state(last)["step"] == 2
    pieces = sorted(run.glob(f"{checkpoint.LAST}.[0-9]*"))
    assert max(piece.stat().st_size for piece in pieces) <= 0.05 * 2**20
    assert b"".join(piece.read_bytes() for piece in pieces) == last.read_bytes()

    last.unlink()  # only the pieces go along with the next call
    result = call(*command, "--", *settings, "all_samples=8")
    assert result.returncode == 0, result.stderr
    assert checkpoint.read_state(last)["step"] == 4

    empty = call("run", run, "--kept", tmp_path / "none", "--minutes", 1, "--device", "cpu")
    assert empty.returncode == 2
    assert "store some with keep" in empty.stderr
