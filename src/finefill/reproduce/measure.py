"""Scores of an experiment's methods on identical images and masks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from finefill.data import Recipe
from finefill.evaluation import (
    AnyMetric,
    MaskSet,
    Method,
    MethodResult,
    TestSet,
    kinds,
    load_baseline,
    protocol,
    report,
    sheets,
)
from finefill.reproduce.experiments import LATENT, Experiment
from finefill.reproduce.methods import load_method
from finefill.reproduce.variants import Variant
from finefill.training import build

SHOWN = 12  # random images on a sheet
SEARCHED = 36  # random images for a method that takes seconds for each


@dataclass(frozen=True)
class Bench:
    """What all methods are measured on and with."""

    test: TestSet
    metrics: Sequence[AnyMetric]
    runs: Path
    variants: Mapping[str, Variant]
    seed: int
    done: dict[tuple[str, str], MethodResult]  # by (method, masks): experiments share methods

    @property
    def shown(self) -> list[int]:
        """The random images of the sheets: some of the few, from all over the set."""
        return self.few[:: max(1, len(self.few) // SHOWN)][:SHOWN]

    @property
    def few(self) -> list[int]:
        """The random images that slow methods are measured on."""
        return sheets.pick(len(self.test.names), SEARCHED, self.seed)


def measure(
    bench: Bench, experiment: Experiment, tell: Callable[[str], object] = lambda text: None
) -> tuple[dict[str, Any], dict[str, Image.Image]]:
    """Measure one experiment; returns its facts (JSON) and its sheets by file name.

    Raises:
        FinefillError: a run is missing, or a package of a classical fill.
    """
    facts: dict[str, Any] = {
        "rows": {name: _row(bench, name) for name in experiment.variants},
        "masks": {},
    }
    images = {}
    for kind in experiment.masks:
        holes = kinds.make_masks(kind, len(bench.test.names), bench.seed, bench.test.size)
        names = [
            *experiment.classical,
            *(n for n in experiment.variants if not _searches(bench, n)),
        ]
        results = {name: _result(bench, name, holes, tell) for name in _first(experiment, names)}
        facts["masks"][kind] = _summary(bench, bench.test, holes, results)
        slow = [name for name in experiment.variants if _searches(bench, name)]
        if slow:
            small, few = _subset(bench.test, holes, bench.few)
            found = {experiment.baseline: _pick(results[experiment.baseline], bench.few)}
            found[LATENT] = _latent(bench, slow[0], small, few, tell)
            facts["masks"][f"{kind}, {len(bench.few)} random images"] = _summary(
                bench, small, few, found
            )
            results[LATENT] = _spread(found[LATENT], bench.few)
        if experiment.sheet:
            order = [*experiment.classical, *([LATENT] if slow else []), *experiment.variants]
            rows = {name: results[name] for name in order if name in results}
            images[f"{experiment.name}-{kind}"] = sheets.contact_sheet(
                bench.test, holes, rows, bench.shown
            )
    if experiment.curve:
        facts["curves"] = {
            name: curve(bench.runs, bench.variants, name) for name in experiment.variants
        }
    return facts, images


def cost(recipe: Recipe) -> tuple[int, float]:
    """Parameters of a recipe's generator, and GFLOP (2 a multiplication) to fill one image."""
    net = build.generator(recipe).eval()
    image = torch.zeros(1, 3, recipe.size, recipe.size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(image, image[:, :1])
    return net.parameter_count(), counter.get_total_flops() / 1e9


def curve(runs: Path, variants: Mapping[str, Variant], name: str) -> list[tuple[int, float]]:
    """(samples seen, PSNR on the validation photographs) of a run and of what it started from."""
    variant = variants[name]
    points: dict[int, float] = {}
    if variant.parent:
        points |= dict(curve(runs, variants, variant.parent))
    for line in (runs / name / "log.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["event"] == "validation":
            points[record["step"] * variant.recipe.batch] = record["psnr"]
    return sorted(points.items())


def _row(bench: Bench, name: str) -> dict[str, Any]:
    """What a trained method is."""
    variant = bench.variants[name]
    _, state = load_method(bench.runs / name)
    facts: dict[str, Any] = {
        "title": variant.title,
        "samples": state["samples"],
        "seed": variant.recipe.seed,
        "device": state["device"],
        "data": state["data"],
        "lambdas": state.get("lambdas", {}),
    }
    if not variant.dcgan:
        facts["parameters"], facts["gflop"] = cost(variant.recipe)
    return facts


def _result(bench: Bench, name: str, holes: MaskSet, tell: Callable[[str], object]) -> MethodResult:
    key = (name, holes.kind)
    if key not in bench.done:
        tell(f"measuring {name}, {holes.kind}")
        bench.done[key] = protocol.evaluate(
            bench.test, holes, _method(bench, name), metrics=bench.metrics, keep=bench.shown
        )
    return bench.done[key]


def _method(bench: Bench, name: str) -> Method:
    if name in bench.variants:
        return load_method(bench.runs / name)[0]
    return load_baseline(name)


def _latent(
    bench: Bench, name: str, test: TestSet, holes: MaskSet, tell: Callable[[str], object]
) -> MethodResult:
    tell(f"searching {name}, {holes.kind}: seconds an image")
    method, _ = load_method(bench.runs / name)
    everything = range(len(test.names))
    return protocol.evaluate(test, holes, method, metrics=bench.metrics, keep=everything)


def _searches(bench: Bench, name: str) -> bool:
    return name in bench.variants and bench.variants[name].dcgan


def _first(experiment: Experiment, names: list[str]) -> list[str]:
    """The baseline in front: the others are compared with the first."""
    return [experiment.baseline, *(name for name in names if name != experiment.baseline)]


def _subset(test: TestSet, holes: MaskSet, indices: Sequence[int]) -> tuple[TestSet, MaskSet]:
    names = tuple(test.names[i] for i in indices)
    chosen = list(indices)
    return (
        dataclasses.replace(test, names=names, images=[test.images[i] for i in chosen]),
        dataclasses.replace(holes, masks=tuple(holes.masks[i] for i in chosen)),
    )


def _pick(result: MethodResult, indices: Sequence[int]) -> MethodResult:
    """A result for some of its images; measures of the whole set are left out."""
    chosen = list(indices)
    return dataclasses.replace(
        result,
        values={key: values[chosen] for key, values in result.values.items()},
        set_values={},
        seconds=result.seconds[chosen],
        outside=result.outside[chosen],
    )


def _spread(result: MethodResult, indices: Sequence[int]) -> MethodResult:
    """Completions back under the numbers of the whole set, for the sheet."""
    return dataclasses.replace(
        result, completions={indices[i]: image for i, image in result.completions.items()}
    )


def _summary(
    bench: Bench, test: TestSet, holes: MaskSet, results: Mapping[str, MethodResult]
) -> dict[str, Any]:
    return report.summary(test, holes, results, run={}, seed=bench.seed, metrics=bench.metrics)
