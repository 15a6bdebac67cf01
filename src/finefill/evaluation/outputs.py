"""Completions that others made: what they need, and scoring what they bring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from finefill.data import SUFFIXES, read_image
from finefill.errors import FinefillError
from finefill.evaluation.kinds import MaskSet
from finefill.evaluation.protocol import Method, TestSet, corrupt
from finefill.files import RGB, replacing
from finefill.masks import Mask


def keys(test: TestSet) -> list[str]:
    """What a test image's files are called: its name without the suffix.

    Raises:
        FinefillError: two images would share a name, or a name leads out of a folder.
    """
    found = [PurePosixPath(name).with_suffix("").as_posix() for name in test.names]
    count = Counter(found)
    for key, name in zip(found, test.names, strict=True):
        if PurePosixPath(key).is_absolute() or ".." in PurePosixPath(key).parts:
            raise FinefillError(f"{name}: the name leads out of its folder: rename it in the shard")
        if count[key] > 1:
            raise FinefillError(
                f"{name}: more than one image of the test set is called {key!r}: rename one"
            )
    return found


def write_inputs(folder: Path, test: TestSet, holes: MaskSet) -> None:
    """Write what another tool needs: ``inputs``, ``masks`` (white = complete) and ``originals``.

    Each holds ``NAME.png`` for every test image; the input's hole is flat grey.

    Raises:
        FinefillError: names clash, or a file cannot be written.
    """
    for key, image, mask in zip(keys(test), test.images, holes.masks, strict=True):
        for kind, pixels in {
            "inputs": corrupt(image, mask),
            "masks": mask.astype(np.uint8) * 255,
            "originals": image,
        }.items():
            path = folder / kind / f"{key}.png"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FinefillError(f"{path}: cannot be written ({error})") from error
            with replacing(path) as file:
                Image.fromarray(pixels).save(file, "PNG")


def read_outputs(folder: Path, test: TestSet) -> Method:
    """A folder of completions, one for each test image by its name, as a method.

    The method returns them in the test set's order, whatever it is given: use it for one
    evaluation.

    Raises:
        FinefillError: files are missing or too many, cannot be read, or have another size.
    """
    if not folder.is_dir():
        raise FinefillError(f"--outputs {folder}: no such folder")
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in SUFFIXES:
            key = file.relative_to(folder).with_suffix("").as_posix()
            if key in files:
                raise FinefillError(f"{file}: {files[key].name} is there too: keep one of them")
            files[key] = file
    wanted = keys(test)
    missing = [key for key in wanted if key not in files]
    extra = sorted(files.keys() - set(wanted))
    if missing:
        raise FinefillError(
            f"{folder}: {len(missing)} of {len(wanted)} completions are missing, the first is "
            f"{missing[0]}.png (names come from --write-inputs)"
        )
    if extra:
        raise FinefillError(
            f"{folder}: {len(extra)} images belong to no test image, the first is "
            f"{files[extra[0]].name}; remove them, or evaluate all with no --limit"
        )
    # All of them now: a bad file must not show after other methods have run.
    images = iter(list(_read([files[key] for key in wanted], test.shapes)))

    def fill(image: RGB, mask: Mask) -> RGB:
        return next(images)

    return fill


def _read(files: list[Path], shapes: list[tuple[int, int]]) -> Iterator[RGB]:
    for file, (height, width) in zip(files, shapes, strict=True):
        pixels = read_image(file, str(file))
        if pixels.shape[:2] != (height, width):
            raise FinefillError(
                f"{file}: {pixels.shape[1]}x{pixels.shape[0]} pixels, the test image is "
                f"{width}x{height}: complete what --write-inputs writes"
            )
        yield pixels
