"""The paper's tables and figures again: variants, one queue of trainings, measures, a page.

Reads top to bottom: :mod:`variants` says what is trained, :mod:`experiments` what is compared,
:mod:`queue` trains, :mod:`measure` scores, :mod:`page` writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = [
    "Bench",
    "Budget",
    "Experiment",
    "Variant",
    "base",
    "experiments",
    "load_method",
    "measure",
    "page",
    "removal",
    "train_variants",
    "variants",
]

if TYPE_CHECKING:
    from finefill.reproduce import experiments, measure, page, removal, variants
    from finefill.reproduce.experiments import Experiment
    from finefill.reproduce.measure import Bench
    from finefill.reproduce.methods import load_method
    from finefill.reproduce.queue import train_variants
    from finefill.reproduce.variants import Budget, Variant, base
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {
            "experiments": ["Experiment"],
            "measure": ["Bench"],
            "methods": ["load_method"],
            "queue": ["train_variants"],
            "variants": ["Budget", "Variant", "base"],
        },
    )
