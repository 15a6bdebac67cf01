"""``finefill models``, and how commands take a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from finefill.cli import options

if TYPE_CHECKING:
    from finefill.completion import Engine

# What is shown of a card, in this order; a key that it lacks is left out.
_SHOWN = (
    "domain", "version", "date", "trained_size", "fixed_size", "hole_range", "size_multiple",
    "samples", "parameters", "data", "licence", "terms", "convention", "device", "metrics",
)  # fmt: skip
_COLUMNS = ("name", "domain", "MB", "parameters", "terms", "lite0")
_RIGHT = ("MB", "parameters", "lite0")
METRIC = "lite0"  # feature distance by a network that nothing was trained with, less is better


@click.command()
@click.argument("model", required=False)
@options.convention
@click.option("--recipe", is_flag=True, help="Show the settings of the training too.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print how MODEL is used, as a FILE.json says it."
)
def models(model: str | None, convention: str | None, recipe: bool, as_json: bool) -> None:
    """List the installed models, or show the card of MODEL: a name or an .onnx file."""
    from finefill.completion import Engine, find, load, measured, names

    if model is not None:
        engine = Engine(find(model), convention=convention)
        if as_json:
            click.echo(engine.convention.text(), nl=False)
            return
        tell(engine)
        _show(engine, recipe, measured(model))
        return
    if convention or recipe or as_json:
        raise click.UsageError("--convention, --recipe and --json are about one MODEL: name it")
    if not (installed := names()):
        click.echo("no models are installed: give --model FILE.onnx", err=True)
        return
    rows = [
        dict(zip(_COLUMNS, _COLUMNS, strict=True)),
        *(_row(load(name), measured(name)) for name in installed),
    ]
    widths = {key: max(len(row[key]) for row in rows) for key in _COLUMNS}
    for row in rows:
        cells = [
            row[key].rjust(widths[key]) if key in _RIGHT else row[key].ljust(widths[key])
            for key in _COLUMNS
        ]
        click.echo("  ".join(cells).rstrip())
    known = f"{METRIC}: distance of features, less is better; " if _measured(rows) else ""
    click.echo(f"{known}finefill models NAME: the card")


def opened(model: str, convention: str | None) -> Engine:
    """The engine that a command was asked for; what was found out about its file is told."""
    from finefill.completion import load

    engine = load(model, convention)
    tell(engine)
    return engine


def tell(engine: Engine) -> None:
    """Say which convention was taken because a file matches it."""
    if engine.recognised:
        click.echo(
            f"finefill: {engine.path}: has no card and the inputs of {engine.recognised}: used as "
            f"that (--convention {engine.recognised})",
            err=True,
        )


def _measured(rows: list[dict[str, str]]) -> bool:
    return any(row[METRIC] not in (METRIC, "-") for row in rows)


def _row(engine: Engine, measured: Mapping[str, Any]) -> dict[str, str]:
    card = engine.card
    size = sum(file.stat().st_size for file in engine.files)
    return {
        "name": str(card["name"]),
        "domain": str(card.get("domain", "")),
        "MB": f"{size / 1e6:.1f}",
        "parameters": _parameters(card.get("parameters")),
        "terms": in_a_word(card),
        METRIC: _quality({**card.get("metrics", {}), **measured}),
    }


def in_a_word(card: Mapping[str, Any]) -> str:
    """The terms of a model, in a word or two: the card's own words count."""
    terms, licence = str(card.get("terms", "")), str(card.get("licence", ""))
    if "research" in terms:
        return "research"
    if terms and terms != "not stated":
        return terms if len(terms) <= 24 else f"{terms[:23]}…"
    return licence or "not stated"


def _parameters(count: object) -> str:
    return f"{count / 1e6:.1f}M" if isinstance(count, int) and count else "-"


def _quality(metrics: Mapping[str, Any]) -> str:
    """The first of a card's measured sets that has the metric."""
    for found in metrics.values():
        if isinstance(found, Mapping) and METRIC in found:
            return f"{found[METRIC]:.3f}"
    return "-"


def _show(engine: Engine, recipe: bool, measured: Mapping[str, Any]) -> None:
    card = {**engine.card, "metrics": {**engine.card.get("metrics", {}), **measured}}
    click.echo(card["name"])
    click.echo(f"  file: {engine.path}")
    click.echo(f"  sha256: {engine.sha256}")
    for key in _SHOWN:
        if card.get(key) not in (None, "", {}):
            click.echo(f"  {key.replace('_', ' ')}: {_text(card[key])}")
    settings = card.get("recipe")
    if isinstance(settings, Mapping):
        name = settings.get("name", "")
        if recipe:
            click.echo(f"  recipe: {name}")
            for key, value in sorted(settings.items()):
                click.echo(f"    {key.replace('_', ' ')}: {_text(value)}")
        else:
            click.echo(f"  recipe: {name}, {len(settings)} settings (--recipe shows them)")


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
