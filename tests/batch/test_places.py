"""Files in storages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finefill import FinefillError, batch
from finefill.batch import Batch, manifest, prepare, preview
from finefill.batch.places import listing, place
from tests.batch.folders import Files, pictures, told
from tests.cli.test_use import run as run_command


@pytest.fixture
def memory(files: Files) -> Iterator[Any]:
    """fsspec's storage in memory, with the photos and masks of ``files`` in it, then emptied."""
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'finefill[cluster]'")
    system = fsspec.filesystem("memory")
    for name in ("b.png", "sub/c.jpg", "sub/d/e.webp"):
        files.photo(name, 20)
        files.mask(name.replace(".jpg", ".png").replace(".webp", ".gif"), 3)
    (files.photos / "bad.png").write_text("no image")
    files.mask("bad.png")
    for folder in (files.photos, files.masks):
        system.put(f"{folder}/", f"/{folder.name}/", recursive=True)
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def in_memory(files: Files, **options: Any) -> Batch:
    photos, masks, out = (place(f"memory://{name}") for name in ("in", "masks", "out"))
    return Batch(photos, masks, out, str(files.model), 1, **options)


def test_a_storage_gets_what_a_folder_gets(
    files: Files, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.run()
    folder, lines = pictures(files.out), told(files.lines())
    monkeypatch.setattr(manifest, "PIECE_LINES", 2)
    results = {entry.photo: entry.result for entry in batch.run(prepare(in_memory(files)))}
    assert results == {
        "b.png": "done", "bad.png": "failed", "sub/c.jpg": "done", "sub/d/e.webp": "done",
    }  # fmt: skip
    found = {path.removeprefix("/out/"): memory.cat(path) for path in memory.find("/out")}
    text = found.pop("manifest.jsonl").decode()
    assert found == folder  # nothing else: the manifest's pieces are gone
    there = told([json.loads(line) for line in text.splitlines()])
    for photo, line in there.items():
        line["error"] = line["error"].replace("memory://in", files.photos.as_posix())
        mask = line["mask"].replace("memory://masks", files.masks.as_posix())
        assert {**line, "mask": mask} == lines[photo]
    memory.pipe("/in/b.png", memory.cat("/in/sub/c.jpg"))
    memory.rm("/out/sub/d/e.webp")
    results = {entry.photo: entry.result for entry in batch.run(prepare(in_memory(files)))}
    assert results == {
        "b.png": "done", "bad.png": "failed", "sub/c.jpg": "skipped", "sub/d/e.webp": "done",
    }  # fmt: skip
    assert len(memory.cat("/out/manifest.jsonl").splitlines()) == 4 + 3


def test_pieces_of_a_killed_run_count(
    files: Files, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "PIECE_LINES", 1)
    monkeypatch.setattr(manifest._Pieces, "close", lambda self: None)  # killed before
    entries = batch.run(prepare(in_memory(files)))
    assert [next(entries).photo, next(entries).photo] == ["b.png", "bad.png"]
    entries.close()
    names = [Path(path).name for path in memory.find("/out") if "manifest" in path]
    assert names == ["manifest.jsonl.000000", "manifest.jsonl.000001"]
    assert [done for _, done in preview(prepare(in_memory(files)))] == [True, False, False, False]
    monkeypatch.undo()
    results = [entry.result for entry in batch.run(prepare(in_memory(files)))]
    assert results == ["skipped", "failed", "done", "done"]
    names = [Path(path).name for path in memory.find("/out") if "manifest" in path]
    assert names == ["manifest.jsonl"]
    lines = [json.loads(line) for line in memory.cat("/out/manifest.jsonl").splitlines()]
    assert [line["photo"] for line in lines] == [
        "b.png",
        "bad.png",
        "bad.png",
        "sub/c.jpg",
        "sub/d/e.webp",
    ]


def test_urls_that_do_not_fit(files: Files, memory: Any) -> None:
    options: dict[str, Any] = {"model": str(files.model)}

    def refused(match: str, photos: str, masks: str, out: str, **more: Any) -> None:
        with pytest.raises(FinefillError, match=match):
            prepare(Batch(place(photos), place(masks), place(out), **options, **more))

    refused("could be overwritten", "memory://in", "memory://masks", "memory://in/")
    refused("could be overwritten", "memory://in/sub", "memory://masks", "memory://in")
    refused("among the masks", "memory://in", "memory://masks", "memory:///masks/out")
    refused("memory://none: no such file", "memory://none", "memory://masks", "memory://out")
    refused("by one process only", "memory://in", "memory://masks", "memory://out", jobs=2)
    refused("nosuch://in: Protocol not known", "nosuch://in", "memory://masks", "memory://out")


def test_file_urls_are_paths(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.photo("a.png")
    files.mask("a.png")
    urls = [path.as_uri() for path in (files.photos, files.masks, files.out)]
    words = ["batch", urls[0], "--masks", urls[1], "-o", urls[2], "--model", str(files.model)]
    assert run_command(monkeypatch, *words, "--jobs", "1") == 0
    first = told(files.lines())
    assert run_command(monkeypatch, *files.command("--jobs", 1, "--overwrite")) == 0
    assert told(files.lines()[1:]) == first
    assert list(pictures(files.out)) == ["a.png"]


def test_listings_are_fresh_and_not_kept(memory: Any) -> None:
    """A storage that keeps what folders hold, as those of s3fs and gcsfs do."""
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'finefill[cluster]'")

    class Keeping(type(memory)):  # type: ignore[misc]  # fsspec is Any here
        protocol = "keeping"

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(super()._strip_protocol(path.replace("keeping://", "memory://")))

        def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
            if path not in self.dircache:
                self.dircache[path] = super().ls(path, detail=detail, **options)
            return self.dircache[path]

        def invalidate_cache(self, path: str | None = None) -> None:
            self.dircache.pop(path, None)

    fsspec.register_implementation("keeping", Keeping, clobber=True)
    system, folder = fsspec.filesystem("keeping"), place("keeping://masks")
    system.ls("/masks")
    memory.pipe("/masks/late.png", b"")
    assert "late.png" in [item.name for item in listing(folder)]
    assert "/masks" not in system.dircache
