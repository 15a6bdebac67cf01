"""Packages of the extras, imported when they are asked for."""

from __future__ import annotations

import importlib
from typing import Any

from finefill.errors import FinefillError


def require(module: str, title: str) -> Any:
    """A module of the extra ``baselines``.

    Raises:
        FinefillError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise FinefillError(
            f"{title} is not installed: pip install 'finefill[baselines]' brings the baselines"
        ) from error
