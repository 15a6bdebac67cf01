"""One queue of trainings: resumable, and shared by as many processes as are started on it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from finefill.data import Photos, from_json
from finefill.errors import FinefillError
from finefill.reproduce.variants import Variant
from finefill.training import checkpoint, train

WAIT = 5.0  # seconds between looks at what another process is training


def with_parents(names: Iterable[str], variants: Mapping[str, Variant]) -> list[str]:
    """The named variants and those they start from, in the order of ``variants``."""
    wanted = set(names)
    wanted |= {parent for name in wanted if (parent := variants[name].parent)}
    return [name for name in variants if name in wanted]


def is_done(variant: Variant, runs: Path) -> bool:
    """Whether a variant is trained to its end.

    Raises:
        FinefillError: its folder holds a run with other settings.
    """
    run = runs / variant.name
    if not (run / checkpoint.LAST).exists():
        return False
    state = checkpoint.read_state(run / checkpoint.LAST)
    parent_still = variant.parent is not None and state["step"] == variant.recipe.rec_steps
    if from_json(state["recipe"]) != variant.recipe and not parent_still:
        raise FinefillError(
            f"{run}: holds a run with other settings; choose another -o or remove it"
        )
    return int(state["step"]) >= variant.recipe.total_steps


def train_variants(
    names: Iterable[str],
    variants: Mapping[str, Variant],
    photos: Photos,
    runs: Path,
    *,
    deadline: float | None = None,
    device: str = "auto",
    vgg: Path | None = None,
    quiet: bool = False,
) -> bool:
    """Train what is still missing of the named variants, each in ``runs/NAME``.

    Start the same call in several processes to share the work: a variant is locked while it is
    trained, and the lock falls with its process.

    Args:
        deadline: ``time.monotonic()`` after which to stop with a checkpoint.

    Returns:
        True when all are trained, False when the time or a signal ended the work before.

    Raises:
        FinefillError: a training fails, or a folder holds a run with other settings.
    """
    pending = with_parents(names, variants)
    while pending:
        worked = False
        for name in list(pending):
            variant = variants[name]
            if is_done(variant, runs):
                pending.remove(name)
                worked = True
                continue
            if variant.parent and not is_done(variants[variant.parent], runs):
                continue
            if deadline is not None and time.monotonic() >= deadline:
                return False
            runs.mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(runs / f"{name}.lock", timeout=0):
                    minutes = None if deadline is None else (deadline - time.monotonic()) / 60
                    if not is_done(variant, runs) and not _train(
                        variant, photos, runs, minutes, device, vgg, quiet
                    ):
                        return False
            except Timeout:
                continue
            worked = True
            break  # look again from the front: parents may have ended meanwhile
        if not worked:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(WAIT)
    return True


def _train(
    variant: Variant,
    photos: Photos,
    runs: Path,
    minutes: float | None,
    device: str,
    vgg: Path | None,
    quiet: bool,
) -> bool:
    run = runs / variant.name
    last = run / checkpoint.LAST
    if not quiet:
        print(f"{variant.name}: {variant.title}")
    if variant.parent and not last.exists():
        run.mkdir(parents=True, exist_ok=True)
        temporary = last.with_name(last.name + ".new")
        shutil.copyfile(runs / variant.parent / checkpoint.LAST, temporary)
        temporary.replace(last)
    if variant.dcgan:
        from finefill.training import train_dcgan

        return train_dcgan(
            variant.recipe,
            photos,
            run,
            samples=variant.recipe.total_steps * variant.recipe.batch,
            resume=last.exists(),
            max_minutes=minutes,
            device=device,
            quiet=quiet,
        )
    return train(
        variant.recipe,
        photos,
        run,
        resume=last.exists(),
        max_minutes=minutes,
        device=device,
        vgg=vgg,
        quiet=quiet,
    )
