"""tools/mutate-files.py: damaged files are completed or refused; it finds one that is not."""

from __future__ import annotations

import http.server
import importlib.util
import re
import threading
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


def test_damaged_files_to_a_server(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="needs the extra web")
    from tests.test_server import serving

    with serving() as client:
        address = client.base_url
        done = call_tool(
            "mutate-files.py", "--count", 40, "--seed", 3, "--server", address, "-o", tmp_path
        )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = done.stdout.splitlines()
    found = re.fullmatch(r"40 files: (\d+) completed, (\d+) refused, 0 wrong", first)
    assert found
    counts = {int(status): int(count) for status, count in re.findall(r"(\d{3}) x (\d+)", second)}
    assert set(counts) <= {200, 400, 413, 415}
    assert counts[200] == int(found[1]) > 0
    assert sum(counts.values()) == 40


def test_a_server_that_fails_is_found(tmp_path: Path) -> None:
    class Fails(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b'{"detail": "the server failed"}')

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fails) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/"
        done = call_tool(
            "mutate-files.py", "--count", 2, "--seed", 3, "--server", address, "-o", tmp_path
        )
        server.shutdown()
        thread.join(60)
    assert done.returncode == 1
    assert done.stdout.count("answered 500: the server failed") == 2
    assert done.stdout.endswith("2 files: 0 completed, 0 refused, 2 wrong\nanswers: 500 x 2\n")
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("3-")]) == 2
