"""Measuring completions: metrics, a fixed protocol, classical baselines, reports and sheets.

Everything that completes images is the same kind of callable here, :data:`protocol.Method`:
``fill(image, mask) -> image``. Nothing in this package imports training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finefill.lazy import lazy

__all__ = [
    "AnyMetric",
    "MaskSet",
    "Method",
    "MethodResult",
    "TestSet",
    "bursts",
    "kinds",
    "latent_search",
    "leaks",
    "load_baseline",
    "metrics",
    "outputs",
    "pairs",
    "prepare_folder",
    "protocol",
    "report",
    "sheets",
]

if TYPE_CHECKING:
    from finefill.evaluation import (
        bursts,
        kinds,
        leaks,
        metrics,
        outputs,
        pairs,
        protocol,
        report,
        sheets,
    )
    from finefill.evaluation.baselines import load_baseline
    from finefill.evaluation.kinds import MaskSet
    from finefill.evaluation.latent import latent_search
    from finefill.evaluation.metrics import AnyMetric
    from finefill.evaluation.protocol import Method, MethodResult, TestSet
    from finefill.evaluation.report import prepare_folder
else:
    __getattr__, __dir__ = lazy(
        __name__,
        __all__,
        {
            "baselines": ["load_baseline"],
            "latent": ["latent_search"],
            "metrics": ["AnyMetric"],
            "kinds": ["MaskSet"],
            "protocol": ["Method", "MethodResult", "TestSet"],
            "report": ["prepare_folder"],
        },
    )
