"""tools/mutate-files.py: damaged files are completed or refused; it finds one that is not."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.conftest import ROOT, call_tool

for library in ("imagecodecs", "pillow_heif", "tifffile"):
    pytest.importorskip(library, reason="needs the extra formats")


def test_damaged_files(tmp_path: Path) -> None:
    done = call_tool("mutate-files.py", "--count", 150, "--seed", 3, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "150 files: " in done.stdout
    assert done.stdout.rstrip().endswith("0 wrong")


def test_what_is_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.spec_from_file_location("mutate", ROOT / "tools" / "mutate-files.py")
    assert found is not None
    assert found.loader is not None
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    whole = tool.whole_files()
    assert tool.complete(whole["png RGB"], tmp_path / "out.png")
    assert not tool.complete(b"nothing", tmp_path / "out.png")
    real = tool.read_photo

    def cut(source: object, **limits: int) -> object:
        photo = real(source, **limits)
        if isinstance(source, bytes):
            return photo
        return real(whole["jxl 8 bit"])

    monkeypatch.setattr(tool, "read_photo", cut)
    wide = tool.Image.new("RGB", (60, 50))
    wide.save(tmp_path / "wide.png")
    with pytest.raises(AssertionError, match="another size"):
        tool.complete((tmp_path / "wide.png").read_bytes(), tmp_path / "out.png")
