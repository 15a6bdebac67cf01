"""Folders of photos and masks, and the command on them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill import batch
from finefill.batch import Batch, Entry, prepare

SIZE = (96, 80)  # width, height


class Files:
    """Folders for a batch, and the command on them."""

    def __init__(self, folder: Path, model: Path, rgb: NDArray[np.uint8]) -> None:
        self.folder, self.model, self.rgb = folder, model, rgb
        self.photos, self.masks, self.out = (folder / name for name in ("in", "masks", "out"))
        self.photos.mkdir()
        self.masks.mkdir()
        self.hole = np.zeros(SIZE[::-1], bool)
        self.hole[20:50, 30:60] = True
        self.hole[70:74, 0:5] = True  # 20 rows and 25 columns away: of the same group

    def photo(self, name: str, shift: int = 0, **options: Any) -> Path:
        """A piece of the bundled photograph."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        crop = Image.fromarray(self.rgb).crop((shift, 200, shift + SIZE[0], 200 + SIZE[1]))
        crop.save(path, **options)
        return path

    def mask(self, name: str, shift: int = 0) -> Path:
        path = self.masks / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(self.hole, shift, axis=1)).save(path)
        return path

    def batch(self, **options: Any) -> Batch:
        options = {"model": str(self.model), "jobs": 1, **options}
        return Batch(self.photos, options.pop("masks", self.masks), self.out, **options)

    def run(self, **options: Any) -> dict[str, Entry]:
        """Photo -> entry of all that a run did."""
        return {entry.photo: entry for entry in batch.run(prepare(self.batch(**options)))}

    def results(self, **options: Any) -> dict[str, str]:
        return {photo: entry.result for photo, entry in self.run(**options).items()}

    def lines(self) -> list[dict[str, Any]]:
        text = (self.out / "manifest.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def command(self, *arguments: object) -> list[str]:
        words = ["batch", self.photos, "--masks", self.masks, "-o", self.out]
        return [str(word) for word in (*words, "--model", self.model, *arguments)]

    def many(self, count: int) -> None:
        """That many photos, copies of one but for their names, and their masks."""
        photo, mask = self.photo("p000.png"), self.mask("p000.png")
        for number in range(1, count):
            shutil.copy(photo, self.photos / f"p{number:03}.png")
            shutil.copy(mask, self.masks / f"p{number:03}.png")


def tree(folder: Path) -> dict[str, bytes]:
    """Path -> contents of all files below a folder, hidden ones and the manifest's too."""
    found = sorted(folder.rglob("*"))
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in found if path.is_file()
    }


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def start(files: Files, *arguments: object, lines: int) -> subprocess.Popen[str]:
    """The command in processes of their own, when its manifest has so many lines."""
    process = subprocess.Popen(
        [sys.executable, "-m", "finefill", *files.command(*arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        start_new_session=True,
    )
    manifest = files.out / "manifest.jsonl"
    limit = time.monotonic() + 60
    while not manifest.exists() or manifest.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.005)
    return process


CHANGING = ("seconds", "time")


def told(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Photo -> its line, without the times."""
    return {
        line["photo"]: {name: line[name] for name in line if name not in CHANGING} for line in lines
    }


def pictures(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(folder).items() if name != "manifest.jsonl"}
