"""Batches made in the background, so that an accelerator does not wait for the next one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Batch = tuple[NDArray[np.uint8], NDArray[np.bool_]]  # images (N, S, S, 3), masks (N, S, S)


class Ahead:
    """Returns the batch asked for, and has a thread make the one that follows it."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1)
        self.waiting: tuple[int, Future[Batch]] | None = None

    def __call__(self, draw: Callable[[int], Batch], number: int) -> Batch:
        """The batch of this number: the same as ``draw(number)``."""
        made = None
        if self.waiting is not None:  # two calls of draw at a time would mix up a stream
            following, future = self.waiting
            made = future.result()
        batch = made if made is not None and following == number else draw(number)
        self.waiting = number + 1, self.pool.submit(draw, number + 1)
        return batch
