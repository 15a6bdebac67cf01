"""Test photographs that training photographs look like: what a model has seen of its test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finefill.errors import FinefillError
from finefill.files import RGB

HASH_SIDE = 8  # 64 bits
BITS = 3  # of 64 that may differ
PICTURE_SIDE = 16  # of the small grey picture that confirms what the hash suspects
ALIKE = 0.93  # least correlation of two of them; aligned faces of two people reach 0.92
CHUNK = 256  # training photographs compared at a time

Hash = NDArray[np.uint8]  # 8 bytes


@dataclass(frozen=True)
class Leak:
    """A training photograph that looks like a test photograph.

    Attributes:
        bits: of 64 in which their difference hashes differ.
        correlation: of their small grey pictures, at most 1.
        mirrored: whether it looks like the other's mirror image.
    """

    source: str
    trained: str
    tested: str
    bits: int
    correlation: float
    mirrored: bool


def difference_hash(image: RGB) -> Hash:
    """Difference hash (Krawetz 2013) of a photograph (H, W, 3): 8 bytes.

    The photograph, grey, is scaled to 9x8 pixels; each bit says whether a pixel is darker than its
    right neighbour. Scaling, compression and brightness hardly change it.
    """
    small = _grey(image, (HASH_SIDE + 1, HASH_SIDE))
    return np.packbits(small[:, 1:] > small[:, :-1])


def find_leaks(
    trained: Iterable[tuple[str, str, RGB]], tested: Iterable[tuple[str, RGB]]
) -> list[Leak]:
    """All pairs that look alike, by test photograph, the most alike first.

    A pair is suspected where the difference hashes are within 3 bits, the test photograph taken as
    it is and mirrored. It is listed where small grey pictures of 16x16 pixels correlate by at least
    0.93: hashes alone suspect aligned faces of different people.

    Args:
        trained: source (shard or folder), name and photograph (H, W, 3).
        tested: name and photograph.

    Raises:
        FinefillError: there are no test photographs.
    """
    names: list[str] = []
    hashes: list[Hash] = []
    pictures: list[NDArray[np.float64]] = []
    for name, image in tested:
        for view in (image, image[:, ::-1]):
            names.append(name)
            hashes.append(difference_hash(view))
            pictures.append(_picture(view))
    if not names:
        raise FinefillError("no test photographs to look for: give some with --data")
    known, small = np.stack(hashes), np.stack(pictures)
    found: dict[tuple[str, str, str], Leak] = {}
    for chunk in _chunks(trained):
        theirs = np.stack([difference_hash(image) for _, _, image in chunk])
        bits = np.bitwise_count(theirs[:, None] ^ known[None]).sum(-1, dtype=np.int64)
        for i, j in np.argwhere(bits <= BITS):
            source, name, image = chunk[i]
            correlation = float((_picture(image) * small[j]).mean())
            if correlation < ALIKE:
                continue
            leak = Leak(source, name, names[j], int(bits[i, j]), round(correlation, 3), bool(j % 2))
            before = found.setdefault((source, name, names[j]), leak)
            if leak.correlation > before.correlation:  # a symmetric photograph matches both ways
                found[source, name, names[j]] = leak
    order = {name: i for i, name in enumerate(names)}
    return sorted(found.values(), key=lambda leak: (order[leak.tested], -leak.correlation))


def _chunks(
    trained: Iterable[tuple[str, str, RGB]],
) -> Iterator[list[tuple[str, str, RGB]]]:
    chunk: list[tuple[str, str, RGB]] = []
    for item in trained:
        chunk.append(item)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _grey(image: RGB, size: tuple[int, int]) -> NDArray[np.float64]:
    small = Image.fromarray(np.ascontiguousarray(image)).convert("L")
    return np.asarray(small.resize(size, Image.Resampling.BOX), np.float64)


def _picture(image: RGB) -> NDArray[np.float64]:
    """(16, 16) with mean 0 and variance 1, so that the mean product of two is a correlation."""
    small = _grey(image, (PICTURE_SIDE, PICTURE_SIDE))
    return np.asarray((small - small.mean()) / (small.std() or 1.0))


def page(leaks: list[Leak], trained: int, tested: int) -> str:
    """The pairs as a Markdown page."""
    lines = [
        "# Training photographs that look like test photographs",
        "",
        f"{len({(leak.source, leak.trained) for leak in leaks})} of {trained} training photographs "
        f"look like {len({leak.tested for leak in leaks})} of {tested} test photographs: "
        f"difference hashes within {BITS} of 64 bits and a correlation of {ALIKE} or more.",
        "",
    ]
    if leaks:
        lines += ["| test photograph | training photograph | bits | correlation | mirrored |"]
        lines += ["|---|---|---:|---:|---|"]
        lines += [
            f"| {leak.tested} | {leak.source} {leak.trained} | {leak.bits} | "
            f"{leak.correlation:.3f} | {'yes' if leak.mirrored else ''} |"
            for leak in leaks
        ]
    return "\n".join([*lines, ""])


def exclusions(leaks: list[Leak]) -> str:
    """What ``finefill train --exclude`` reads: shard or folder, and name, one a line."""
    pairs = dict.fromkeys((leak.source, leak.trained) for leak in leaks)
    return "".join(f"{source} {name}\n" for source, name in pairs)
