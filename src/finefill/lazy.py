"""Public faces that cost nothing: a package's names, each imported when it is first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def lazy(
    package: str,
    names: Iterable[str],
    homes: Mapping[str, Iterable[str]],
    offering: str | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package (PEP 562) that imports nothing by itself.

    Args:
        package: its full name.
        names: all that it offers. What has no home among ``homes`` is a module of the package.
        homes: module of the package -> the names that come from there.
        offering: full name of the module of the package that offers them; None: the package.
    """
    home = {name: module for module, some in homes.items() for name in some}
    offered = sorted(names)

    def get(name: str) -> Any:
        if name not in offered:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found: Any = importlib.import_module(f"{package}.{home.get(name, name)}")
        if name in home:
            found = getattr(found, name)
        setattr(sys.modules[offering or package], name, found)
        return found

    return get, lambda: offered
