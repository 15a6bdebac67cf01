"""Photographs that do not fit in memory: a stream from tar shards, by path or address.

Shards are read by the WebDataset library (extra ``stream``): local paths, ``http(s)://`` and
``pipe:COMMAND``, with braces for many (``photos-{000..099}.tar``).
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import tarfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finefill.data.photos import (
    Exclusions,
    Pixels,
    at_step,
    crops_and_masks,
    excluded,
    fit,
    is_photo,
    read_image,
)
from finefill.data.recipes import Recipe
from finefill.errors import FinefillError

BUFFER = 1000  # photographs, still packed, among which the next one is drawn
AHEAD = 4  # batches that are unpacked before they are wanted


def is_stream(source: str) -> bool:
    """Whether ``--data`` can only mean shards to stream: an address, a command, or braces."""
    return "://" in source or source.startswith("pipe:") or _has_braces(source)


class Stream:
    """An endless stream of photographs from tar shards, and some of them held out.

    Every pass over the shards has an order drawn from (seed, step that the training begins or
    resumes at, pass); within it a photograph is drawn from the next ``BUFFER`` ones. The crops
    and masks of a batch are drawn from (seed, step). So a run is a function of its settings until
    it is resumed, which starts a new pass. Of several processes each reads its own shards.

    Attributes:
        validation: the first photographs of the first shard, which are not trained on.
        exclude: photographs that are left out: see :func:`finefill.data.read_exclusions`.
        count: None: how many there are is not known.
        fingerprint: SHA-256 over the names and pixels of those held out.

    Raises:
        FinefillError: a shard cannot be read or holds no photograph, one of its images is broken
            or smaller than the recipe's crop, or there are fewer shards than processes.
    """

    def __init__(
        self,
        sources: Sequence[str],
        recipe: Recipe,
        *,
        exclude: Exclusions = frozenset(),
        rank: int = 0,
        size: int = 1,
        workers: int = 0,
    ) -> None:
        _library()
        self.recipe = recipe
        self.exclude = exclude
        self.rank, self.size = rank, size  # of this process, of those that train together
        self.shards = [shard for source in sources for shard in _expanded(source)]
        self.count = None
        if len(self.shards) < self.size:
            raise FinefillError(
                f"{len(self.shards)} shards for {self.size} processes: give each at least "
                "one with --data"
            )
        head = itertools.islice(self._files(self.shards[0]), recipe.validation)
        digest, self.validation = hashlib.sha256(b"stream"), list[Pixels]()
        for name, content in head:
            image = self._unpacked(name, content)
            digest.update(name.rpartition(": ")[2].encode() + image.tobytes())
            self.validation.append(image)
        self.fingerprint = digest.hexdigest()
        self.pool = ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1))
        self.photographs: Iterator[Pixels] | None = None

    def batch(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """This process's next N / processes crops, with the masks of batch ``step``.

        Returns:
            Images (n, S, S, 3) uint8 and masks (n, S, S) bool.
        """
        if self.photographs is None:
            self.photographs = self._decoded(step)
        count = self.recipe.batch // self.size
        chosen = list(itertools.islice(self.photographs, count))
        step_and_rank = step * self.size + self.rank
        return crops_and_masks(chosen, at_step(self.recipe, step), step_and_rank)

    def _decoded(self, start: int) -> Iterator[Pixels]:
        """Photographs unpacked by threads, some batches ahead, in the order of the stream."""
        waiting: deque[Future[Pixels]] = deque()
        for name, content in self._shuffled(start):
            waiting.append(self.pool.submit(self._unpacked, name, content))
            if len(waiting) > AHEAD * self.recipe.batch // self.size:
                yield waiting.popleft().result()

    def _shuffled(self, start: int) -> Iterator[tuple[str, bytes]]:
        seed = f"{self.recipe.seed} {start} {self.rank}"
        shuffle = _library().shuffle(BUFFER, initial=BUFFER // 2, rng=random.Random(seed))
        shuffled: Iterator[tuple[str, bytes]] = shuffle(self._packed(start))
        return shuffled

    def _packed(self, start: int) -> Iterator[tuple[str, bytes]]:
        """Pass after pass, this process's shards; without those held out."""
        for number in itertools.count():
            rng = np.random.default_rng((self.recipe.seed, 6, start, number))
            order = rng.permutation(len(self.shards))[self.rank :: self.size]
            found = 0
            for index in order:
                skipped = len(self.validation) if index == 0 else 0
                for item in itertools.islice(self._files(self.shards[index]), skipped, None):
                    found += 1
                    yield item
            if not found:
                raise FinefillError(
                    f"{self.shards[order[0]]}: too few photographs to train on after "
                    f"{len(self.validation)} were held out; give more or --set validation=…"
                )

    def _files(self, shard: str) -> Iterator[tuple[str, bytes]]:
        """(shard and name, content) of a shard's photographs but those to leave out."""
        file = shard.rpartition("/")[2]
        for name, content in _files(shard):
            if not excluded(self.exclude, file, name.removeprefix(f"{shard}: ")):
                yield name, content

    def _unpacked(self, name: str, content: bytes) -> Pixels:
        return fit(read_image(io.BytesIO(content), name), self.recipe, name)


def _files(shard: str) -> Iterator[tuple[str, bytes]]:
    """(shard and name, content) of a shard's photographs.

    Raises:
        FinefillError: it cannot be read to its end, or holds none.
    """
    library = _library()
    empty = True
    try:
        with library.gopen(shard) as stream:
            for item in library.tariterators.tar_file_iterator(stream, select_files=is_photo):
                empty = False
                yield f"{shard}: {item['fname']}", item["data"]
            while stream.read(1 << 16):  # what follows the last file, so that the sender can end
                pass
    except (tarfile.TarError, OSError, ValueError) as error:
        raise FinefillError(f"{shard}: not a readable tar shard ({error})") from error
    if empty:
        raise FinefillError(f"{shard}: no images inside; --data wants tar shards of photographs")


def _expanded(source: str) -> list[str]:
    if not _has_braces(source):
        return [source]
    shards: list[str] = _library().shardlists.expand_urls(source)
    return shards


def _has_braces(source: str) -> bool:
    return "{" in source and not Path(source).exists()


def _library() -> Any:
    try:
        import webdataset
    except ImportError as error:
        raise FinefillError(
            f"streaming shards needs WebDataset ({error}): pip install 'finefill[stream]'"
        ) from error
    return webdataset
