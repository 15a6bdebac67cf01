"""Results as files: per-image CSV, JSON summary, Markdown table."""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from finefill.errors import FinefillError
from finefill.evaluation.kinds import MaskSet, known_distances
from finefill.evaluation.metrics import (
    HIGHER,
    HOLE,
    IMAGE,
    LOWER,
    METRICS,
    ZERO,
    AnyMetric,
    Metric,
    summarise,
)
from finefill.evaluation.protocol import MethodResult, TestSet

Results = Mapping[str, MethodResult]
INFINITE = "Infinity"


def per_image_csv(test: TestSet, results: Results, metrics: Sequence[AnyMetric] = METRICS) -> str:
    """One line for each method and image: index, image, method, the metrics, seconds."""
    first = next(iter(results.values()))
    keys = [m.key for m in metrics if isinstance(m, Metric) and m.key in first.values]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "image", "method", *keys, "psnr_outside", "seconds"])
    for method, result in results.items():
        for i, name in enumerate(test.names):
            numbers = [f"{result.values[key][i]:.6f}" for key in keys]
            numbers += [f"{result.outside[i]:.2f}", f"{result.seconds[i]:.4f}"]
            writer.writerow([i, name, method, *numbers])
    return text.getvalue()


def summary(
    test: TestSet,
    holes: MaskSet,
    results: Results,
    *,
    run: Mapping[str, Any],
    seed: int,
    metrics: Sequence[AnyMetric] = METRICS,
) -> dict[str, Any]:
    """Means with bootstrap 95% intervals, paired differences, and what is needed to repeat them.

    Args:
        results: by method; the first method is the one that the others are compared with. Results
            may lack some of the metrics.
        run: further facts of the run (command, versions, ...), put in front as they are.
    """
    methods: dict[str, Any] = {}
    differences: dict[str, Any] = {}
    first = next(iter(results.values()))
    for name, result in results.items():
        numbers = {key: vars(summarise(v, seed=seed)) for key, v in result.values.items()}
        numbers |= {
            key: {"mean": value} if isinstance(value, float) else vars(summarise(value, seed=seed))
            for key, value in result.set_values.items()
        }
        methods[name] = {
            **numbers,
            "seconds_per_image": round(float(result.seconds.mean()), 5),
            "changed_outside_the_hole": result.trespassed,
            # The lowest: a mean would hide one photograph among many.
            "psnr_outside": _number(result.outside.min()),
        }
        if result is not first:
            differences[name] = {
                key: vars(summarise(first.values[key] - values, seed=seed))
                for key, values in result.values.items()
            }
    return {
        **run,
        "seed": seed,
        "data": {
            "images": len(test.names),
            "size": "whole photographs" if test.whole else list(test.images[0].shape[:2]),
            "enlarged": test.enlarged,
            "sha256": test.sha256,
        },
        "masks": {
            "kind": holes.kind,
            "sha256": holes.sha256,
            "hole_share": round(holes.share, 4),
            "known_distance": _known_distance(holes),
        },
        "conventions": "hole pixels x channels (keys ending in _image: the whole image), [-1, 1] "
        "scale; PSNR: peak 2, mean of per-image values; outside: the lowest PSNR of what is not "
        "hole; low and high: bootstrap 95% interval of the mean; differences: "
        "the first method minus each other, image by image",
        "metrics": {
            m.key: {
                "label": m.label,
                "region": m.region,
                "best": m.best,
                "trained_on": m.trained_on,
            }
            for m in metrics
        },
        "methods": methods,
        "differences": differences,
    }


def markdown(facts: Mapping[str, Any], metrics: Sequence[AnyMetric] = METRICS) -> str:
    """The summary as a Markdown page; the best mean of a column is bold."""
    lines = [f"# {facts['data']['images']} images, {facts['masks']['kind']} masks", ""]
    for region, head in ((HOLE, "Over the hole"), (IMAGE, "Over the whole image")):
        shown = [m for m in measured(facts, metrics) if m.region == region]
        if shown:
            lines += [f"{head}:", "", *_table([facts], shown, complete=region == HOLE), ""]
    if facts["differences"]:
        shown = [m for m in measured(facts, metrics) if m.region == HOLE and isinstance(m, Metric)]
        lines += [f"Difference of {next(iter(facts['methods']))} to each other, image by image "
                  "(bold: the interval excludes 0):", ""]  # fmt: skip
        lines += [*_differences(facts["differences"], shown), ""]
    lines += [f"Over {facts['conventions']}.", ""]
    for name, result in facts["methods"].items():
        if count := result["changed_outside_the_hole"]:
            lines.append(f"- {name} changed pixels outside the hole of {count} images")
    lines += [
        f"- data: {facts['data']['images']} crops, SHA-256 `{facts['data']['sha256']}`",
        f"- masks: {facts['masks']['kind']}, seed {facts['seed']}, SHA-256 "
        f"`{facts['masks']['sha256']}`",
        f"- command: `{facts['command']}`",
        f"- versions: {', '.join(f'{k} {v}' for k, v in facts['versions'].items())}",
        "",
    ]
    return "\n".join(lines)


def markdown_of_kinds(
    summaries: Sequence[Mapping[str, Any]], metrics: Sequence[AnyMetric] = METRICS
) -> str:
    """Summaries of several kinds of masks as one table on a Markdown page."""
    first = summaries[0]
    lines = [f"# {first['data']['images']} images, masks by kind", "", "Over the hole:", ""]
    lines += [*table(summaries, metrics).split("\n"), "", f"Over {first['conventions']}.", ""]
    lines += ["| masks | hole | seed | SHA-256 |", "|---|---:|---:|---|"]
    for facts in summaries:
        masks = facts["masks"]
        share = f"{masks['hole_share']:.1%}"
        lines.append(f"| {masks['kind']} | {share} | {facts['seed']} | `{masks['sha256']}` |")
    lines += [
        "",
        f"- data: SHA-256 `{first['data']['sha256']}`",
        f"- command: `{first['command']}`",
    ]
    return "\n".join([*lines, ""])


def table(summaries: Sequence[Mapping[str, Any]], metrics: Sequence[AnyMetric] = METRICS) -> str:
    """The hole's table alone: a row for each kind of masks and method."""
    shown = [m for m in measured(summaries[0], metrics) if m.region == HOLE]
    return "\n".join(_table(summaries, shown, complete=True))


def measured(facts: Mapping[str, Any], metrics: Sequence[AnyMetric]) -> list[AnyMetric]:
    """Those of the metrics that every method of a summary has."""
    return [m for m in metrics if all(m.key in result for result in facts["methods"].values())]


def _table(
    summaries: Sequence[Mapping[str, Any]], shown: Sequence[AnyMetric], complete: bool
) -> list[str]:
    """Rows of all summaries; of several, each row says its masks, and the best is each one's own.

    Args:
        complete: with what is no metric too: distance to the known, PSNR outside, time.
    """
    choose: dict[str, Callable[[list[float]], float]] = {
        HIGHER: max,
        LOWER: min,
        ZERO: lambda values: min(values, key=abs),
    }
    arrows = {HIGHER: "↑", LOWER: "↓", ZERO: "→ 0"}
    several = len(summaries) > 1
    head = [*(["masks"] if several else []), "method"]
    names = len(head)
    head += [f"{title(m)} {arrows[m.best]}" for m in shown]
    head += ["px to known", "PSNR outside (dB) ↑", "ms/image"] if complete else []
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * names + "---:|" * (len(head) - names)]
    for facts in summaries:
        methods = facts["methods"]
        best = {m.key: choose[m.best]([r[m.key]["mean"] for r in methods.values()]) for m in shown}
        for name, result in methods.items():
            cells = [*([facts["masks"]["kind"]] if several else []), name]
            cells += [_cell(m, result[m.key], best[m.key]) for m in shown]
            if complete:
                known, outside = facts["masks"]["known_distance"], result["psnr_outside"]
                cells += [f"{known:.1f}" if known is not None else ""]
                cells += ["∞" if outside == INFINITE else f"{outside:.1f}"]
                cells += [f"{result['seconds_per_image'] * 1e3:.1f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _number(value: float) -> float | str:
    """A number as JSON has it: infinity as the word that Python and JavaScript read as such."""
    return round(float(value), 2) if math.isfinite(value) else INFINITE


def _known_distance(holes: MaskSet) -> float | None:
    """Mean over the masks of their pixels' mean distance to the known; None without SciPy."""
    try:
        return round(float(known_distances(holes).mean()), 2)
    except FinefillError:
        return None


def title(metric: AnyMetric) -> str:
    """A metric's label; whether models are trained with it belongs to it."""
    return f"{metric.label} (trained on)" if metric.trained_on else metric.label


def _differences(differences: Mapping[str, Any], shown: Sequence[AnyMetric]) -> list[str]:
    lines = [
        f"| to | {' | '.join(map(title, shown))} |",
        "|---|" + "---:|" * len(shown),
    ]
    for name, values in differences.items():
        cells = [interval(values[m.key], m.digits) for m in shown]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return lines


def interval(value: Mapping[str, float], digits: int) -> str:
    """A difference with its interval; bold where that excludes 0."""
    mean, low, high = (f"{value[key]:+.{digits}f}" for key in ("mean", "low", "high"))
    excludes = value["low"] > 0 or value["high"] < 0
    return f"**{mean}** [{low}, {high}]" if excludes else f"{mean} [{low}, {high}]"


def _cell(metric: AnyMetric, value: Mapping[str, float], best: float) -> str:
    digits = metric.digits
    mean = f"{value['mean']:.{digits}f}"
    strong = f"**{mean}**" if mean == f"{best:.{digits}f}" else mean
    if "low" not in value:
        return strong
    return f"{strong} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


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
