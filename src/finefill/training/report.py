"""What a run tells: JSON lines, a progress bar, image grids, and TensorBoard where installed."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from finefill.data import Recipe
from finefill.errors import OperationError
from finefill.files import replacing


@contextlib.contextmanager
def writing(run: Path) -> Iterator[None]:
    """A block that writes below ``run``.

    Raises:
        OperationError: the disk refuses, in place of OSError.
    """
    try:
        yield
    except OSError as error:
        raise OperationError(
            f"{run}: cannot be written ({error}): make room and go on with --resume, or choose "
            "another -o"
        ) from error


class Report:
    """Writes ``log.jsonl``, ``grids/STEP.png`` and ``tensorboard/`` below the run's folder.

    Raises:
        OperationError: it cannot; from the methods too.
    """

    def __init__(self, run: Path, recipe: Recipe, step: int, *, quiet: bool) -> None:
        self.run, self.recipe = run, recipe
        self.sums: dict[str, Tensor] = {}
        self.counts = Counter[str]()
        self.since, self.started = 0, time.monotonic()
        with writing(run):
            run.mkdir(parents=True, exist_ok=True)
            self.log = (run / "log.jsonl").open("a", encoding="utf-8")
            self.board = _tensorboard(run, quiet)
        self.bar: Any = None
        if not quiet:
            from tqdm import tqdm

            self.bar = tqdm(
                total=recipe.total_steps * recipe.batch,
                initial=step * recipe.batch,
                unit="img",
                smoothing=0.02,
                dynamic_ncols=True,
            )

    def __enter__(self) -> Report:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
        # Closing writes what is left: where writing has failed it fails again.
        with writing(self.run) if kind is None else contextlib.suppress(OSError):
            if self.board is not None:
                self.board.close()
            self.log.close()

    def line(self, event: str, **values: object) -> None:
        """One JSON line with a time stamp, written through at once."""
        record = {"event": event, "time": round(time.time(), 1), **values}
        with writing(self.run):
            self.log.write(json.dumps(record) + "\n")
            self.log.flush()

    def step(self, step: int, scalars: dict[str, Tensor], rate: float) -> None:
        """Collect a step's scalars; every ``log_every`` steps write their means."""
        for name, value in scalars.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] += 1  # the perceptual term may count in some steps alone
        self.since += 1
        if self.bar is not None:
            stage = "rec" if step <= self.recipe.rec_steps else "all"
            self.bar.set_description(stage, refresh=False)
            self.bar.update(self.recipe.batch)
        if step % self.recipe.log_every:
            return
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        now = time.monotonic()
        speed = self.since * self.recipe.batch / (now - self.started)
        self.line(
            "train",
            step=step,
            samples=step * self.recipe.batch,
            images_per_second=round(speed, 2),
            rate=rate,
            **{name: round(value, 6) for name, value in means.items()},
        )
        self._scalars("train", step, means | {"rate": rate, "images_per_second": speed})
        self.sums, self.counts, self.since, self.started = {}, Counter(), 0, now

    def validation(self, step: int, scores: dict[str, float], grid: Tensor) -> None:
        """Scores and an image grid (K, 4, 3, H, W): a row each of input, output, completion, x."""
        self.line("validation", step=step, **{k: round(v, 6) for k, v in scores.items()})
        self._scalars("validation", step, scores)
        rows, columns, _, height, width = grid.shape
        pixels = grid.float().cpu().permute(0, 3, 1, 4, 2).numpy()  # (K, H, 4, W, 3)
        sheet = pixels.reshape(rows * height, columns * width, 3)
        sheet = np.round((sheet + 1) * 127.5).astype(np.uint8)
        self.picture(step, sheet)
        if self.board is not None:
            with writing(self.run):
                self.board.add_image(
                    "input, output, completion, original", sheet, step, dataformats="HWC"
                )

    def picture(self, step: int, sheet: NDArray[np.uint8]) -> None:
        """Write a picture (H, W, 3) as the grid of this step."""
        path = self.run / "grids" / f"{step:08d}.png"
        with writing(self.run):
            path.parent.mkdir(exist_ok=True)
        with replacing(path) as file:
            Image.fromarray(sheet).save(file, "PNG")

    def _scalars(self, group: str, step: int, values: dict[str, float]) -> None:
        if self.board is not None:
            with writing(self.run):
                for name, value in values.items():
                    self.board.add_scalar(f"{group}/{name}", value, step)


class Silence(Report):
    """Of several processes the first one reports; the others have this."""

    def __init__(self) -> None:
        """Open nothing."""

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def line(self, event: str, **values: object) -> None:
        """Nothing."""

    def step(self, step: int, scalars: dict[str, Tensor], rate: float) -> None:
        """Nothing."""

    def validation(self, step: int, scores: dict[str, float], grid: Tensor) -> None:
        """Nothing."""


def _tensorboard(run: Path, quiet: bool) -> Any:
    """A SummaryWriter, or None with a word where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        if not quiet:
            print("TensorBoard is not installed: log.jsonl and grids/ only", file=sys.stderr)
        return None
    return SummaryWriter(str(run / "tensorboard"))
