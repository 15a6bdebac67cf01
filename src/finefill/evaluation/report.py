"""Results as files: per-image CSV, JSON summary, Markdown table."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finefill.errors import FinefillError
from finefill.evaluation.metrics import METRICS, Metric, Summary, summarise
from finefill.evaluation.protocol import MaskSet, MethodResult, TestSet

Results = Mapping[str, MethodResult]


def per_image_csv(test: TestSet, results: Results, metrics: Sequence[Metric] = METRICS) -> str:
    """One line for each method and image: index, image, method, the metrics, seconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "image", "method", *(m.key for m in metrics), "seconds"])
    for method, result in results.items():
        for i, name in enumerate(test.names):
            numbers = [f"{result.values[m.key][i]:.6f}" for m in metrics]
            writer.writerow([i, name, method, *numbers, f"{result.seconds[i]:.4f}"])
    return text.getvalue()


def summary(
    test: TestSet,
    holes: MaskSet,
    results: Results,
    *,
    run: Mapping[str, Any],
    seed: int,
    metrics: Sequence[Metric] = METRICS,
) -> dict[str, Any]:
    """Means with bootstrap 95% intervals, and what is needed to repeat them.

    Args:
        run: further facts of the run (command, versions, ...), put in front as they are.
    """
    methods: dict[str, Any] = {}
    for name, result in results.items():
        numbers = {m.key: vars(summarise(result.values[m.key], seed=seed)) for m in metrics}
        methods[name] = {**numbers, "seconds_per_image": round(float(result.seconds.mean()), 5)}
    return {
        **run,
        "seed": seed,
        "data": {
            "images": len(test.names),
            "size": list(test.images.shape[1:3]),
            "enlarged": test.enlarged,
            "sha256": test.sha256,
        },
        "masks": {
            "kind": holes.kind,
            "sha256": holes.sha256,
            "hole_share": round(float(holes.masks.mean()), 4),
        },
        "conventions": "hole pixels x channels, [-1, 1] scale; PSNR: peak 2, mean of per-image "
        "values; low and high: bootstrap 95% interval of the mean",
        "methods": methods,
    }


def markdown(facts: Mapping[str, Any], metrics: Sequence[Metric] = METRICS) -> str:
    """The summary as a Markdown page with one table; the best mean of a column is bold."""
    methods: Mapping[str, Any] = facts["methods"]
    best = {
        m.key: (max if m.higher_is_better else min)(r[m.key]["mean"] for r in methods.values())
        for m in metrics
    }
    arrows = [f"{m.label} {'↑' if m.higher_is_better else '↓'}" for m in metrics]
    lines = [
        f"# {facts['data']['images']} images, {facts['masks']['kind']} masks",
        "",
        f"| method | {' | '.join(arrows)} | ms/image |",
        "|---|" + "---:|" * (len(metrics) + 1),
    ]
    for name, result in methods.items():
        cells = [_cell(m, Summary(**result[m.key]), best[m.key]) for m in metrics]
        lines.append(f"| {name} | {' | '.join(cells)} | {result['seconds_per_image'] * 1e3:.1f} |")
    lines += [
        "",
        f"Over {facts['conventions']}.",
        "",
        f"- data: {facts['data']['images']} crops, SHA-256 `{facts['data']['sha256']}`",
        f"- masks: {facts['masks']['kind']}, seed {facts['seed']}, SHA-256 "
        f"`{facts['masks']['sha256']}`",
        f"- command: `{facts['command']}`",
        f"- versions: {', '.join(f'{k} {v}' for k, v in facts['versions'].items())}",
        "",
    ]
    return "\n".join(lines)


def _cell(metric: Metric, value: Summary, best: float) -> str:
    digits = metric.digits
    mean = f"{value.mean:.{digits}f}"
    strong = f"**{mean}**" if mean == f"{best:.{digits}f}" else mean
    return f"{strong} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def to_json(facts: Mapping[str, Any]) -> str:
    """The summary as JSON text."""
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def prepare_folder(folder: Path) -> None:
    """Make the output folder, and fail before hours of work rather than after.

    Raises:
        FinefillError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FinefillError(
            f"{folder}: cannot write there ({error.strerror}); choose another folder with -o"
        ) from error
