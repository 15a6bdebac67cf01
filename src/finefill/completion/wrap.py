"""Tiles and panoramas: photographs that go on at the other border.

Such a photograph may be cut anywhere: it is rolled until the cut lies far from all holes, filled,
and rolled back. Then a hole at a border is filled from both sides of it.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from finefill.completion.plan import Box, Window
from finefill.errors import FinefillError
from finefill.masks import Mask

Wrap = Literal["x", "y", "xy"]
WRAPS: tuple[Wrap, ...] = get_args(Wrap)
Shift = tuple[int, int]


def check_wrap(wrap: str | None) -> None:
    """Refuse what is neither one of ``WRAPS`` nor None."""
    if wrap is not None and wrap not in WRAPS:
        raise FinefillError(f"wrap: {wrap!r}: use one of {', '.join(WRAPS)}")


def shift_of(mask: Mask, wrap: Wrap | None) -> Shift:
    """How far to roll a photograph so that its borders lie far from the holes.

    Args:
        mask: (H, W) bool, True = to be completed.
        wrap: "x": the left border goes on at the right one; "y": the top at the bottom; "xy": both;
            None: neither.

    Returns:
        (rows, columns), 0 <= rows < H, 0 <= columns < W, for :func:`numpy.roll` over both axes.
    """
    rows, columns = mask.shape
    across = wrap is not None and "x" in wrap
    down = wrap is not None and "y" in wrap
    return (
        -_cut(mask.sum(axis=1)) % rows if down else 0,
        -_cut(mask.sum(axis=0)) % columns if across else 0,
    )


def notes(mask: Mask, wrap: Wrap | None) -> tuple[str, ...]:
    """What is to be told: holes that go across all of the photograph cannot avoid a cut."""
    found = []
    for axis, lines, name in ((0, "column", "x"), (1, "row", "y")):
        if wrap is not None and name in wrap and mask.any(axis=axis).all():
            found.append(
                f"wrap {name}: no {lines} is free of holes, so one fill does not meet itself: look "
                "at it, or complete it in two parts"
            )
    return tuple(found)


def moved(window: Window, shift: Shift, shape: tuple[int, ...]) -> Window:
    """A window of the rolled photograph (H, W), in pixels of the photograph itself.

    Its top and left lie in the photograph. What goes on at the other border ends beyond the height
    or width.
    """
    if not any(shift):
        return window

    def back(box: Box) -> Box:
        top, left = (box.top - shift[0]) % shape[0], (box.left - shift[1]) % shape[1]
        return Box(top, top + box.shape[0], left, left + box.shape[1])

    known = tuple(map(back, window.known))
    return window._replace(box=back(window.box), hole=back(window.hole), known=known)


def _cut(masked: NDArray[np.int_]) -> int:
    """Before which line of a cycle to cut it.

    In the middle of the longest run of lines that have the fewest masked pixels: as far from all
    masked lines as possible where some lines have none.

    Args:
        masked: (N,), the number of masked pixels in each line.
    """
    others = np.flatnonzero(masked > masked.min())
    if not len(others):
        return 0
    # Lines between one of the others and the next, around the cycle.
    runs = np.diff(others, append=others[0] + len(masked)) - 1
    longest = int(runs.argmax())
    return int(others[longest] + 1 + runs[longest] // 2) % len(masked)
