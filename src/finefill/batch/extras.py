"""The libraries of the extra ``cluster``, imported when they are needed."""

from __future__ import annotations

from typing import Any

from finefill.errors import FinefillError


def ray() -> Any:
    """Ray, for ``--engine ray``.

    Raises:
        FinefillError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise FinefillError(
            f"--engine ray needs Ray ({error}): pip install 'finefill[cluster]'"
        ) from error
    return ray
