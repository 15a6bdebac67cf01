"""What several commands have: options, ``@options.model`` above a function; how they warn."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import click

from finefill import files
from finefill.errors import FinefillError

FILLS = ("auto", "network", "regions")
FILL = (
    "How holes are filled: by the network; by regions copied from around them, which continue "
    "facades, windows and tiles; or what suits each hole's surroundings."
)

Option = Callable[[Any], Any]  # what click.option returns

model = click.option(
    "--model",
    default="places",
    show_default=True,
    help="A name that `finefill models` lists, or an .onnx file.",
)
convention = click.option(
    "--convention",
    help="How to use somebody else's .onnx file: lama, migan, or a JSON file (docs/networks.md).  "
    "[default: as its card says, or FILE.json beside it, or what its inputs match]",
)
fill = click.option(
    "--fill", type=click.Choice(FILLS), default="auto", show_default=True, help=FILL
)
wrap = click.option(
    "--wrap",
    type=click.Choice(["x", "y", "xy"]),
    help="For tiles and panoramas: the photo, as it is shown, goes on at the other border, from "
    "left to right (x), from top to bottom (y), or both.",
)
max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=files.MAX_PIXELS,
    show_default=True,
    help="Refuse larger images before decoding them.",
)


def grow(masks: str) -> Option:
    """By how much to widen ``masks``: what the command calls them."""
    return click.option(
        "--grow",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help=f"Widen {masks} by so many pixels on all sides.",
    )


def labels(more: str = "") -> Option:
    """Which objects of annotations to take."""
    return click.option(
        "--label",
        "labels",
        multiple=True,
        help=f"Take only objects of this name from annotations{more}.",
    )


def line_width(more: str = "") -> Option:
    """How wide annotations' lines are drawn."""
    return click.option(
        "--line-width",
        type=click.FloatRange(min=0, min_open=True, max=1000),
        help=f"Draw the lines and points of annotations so many pixels wide{more}.",
    )


def mask_value(masks: str) -> Option:
    """Which values of ``masks`` count."""
    return click.option(
        "--mask-value",
        "values",
        multiple=True,
        metavar="N|#RRGGBB|transparent|opaque",
        help=f"Take only this value or colour, or what is transparent, or opaque, of {masks}.",
    )


def mask_drawn(how: str) -> Option:
    """Whether masks lie on photos as shown or as stored; ``how`` says that in a sentence."""
    return click.option(
        "--mask-drawn",
        "drawn",
        type=click.Choice(["shown", "stored"]),
        help=f"{how}  [default: shown]",
    )


def once(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> str:
    """The callback of an option that may be given once, but is taken for one of several.

    With ``multiple=True``; otherwise click takes the last one and drops the others.

    Raises:
        click.BadParameter: it is given again.
    """
    if len(given) > 1:
        raise click.BadParameter(
            f"give it once, not {len(given)} times: {', '.join(given)}", context, option
        )
    return given[0] if given else ""


def strict(how: str) -> Option:
    """Refuse what would be warned of; ``how`` says that in a sentence."""
    return click.option("--strict", is_flag=True, help=how)


@contextlib.contextmanager
def warnings_at_once() -> Iterator[None]:
    """Print what is warned of inside when it comes, for work that takes long; once a place."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        otherwise = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, UserWarning):
                click.echo(f"finefill: warning: {message}", err=True)
            else:
                otherwise(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


@contextlib.contextmanager
def warnings_on_stderr(*, strict: bool = False, writing: bool = False) -> Iterator[None]:
    """Print what is warned of inside, or raise the first as a FinefillError if ``strict``.

    What warns while ``writing`` is stopped by it at once: afterwards the file would be there.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error" if strict and writing else "always", UserWarning)
        try:
            yield
        except UserWarning as warning:
            raise FinefillError(f"{warning} (--strict: nothing is written)") from None
    for warned in caught:
        if issubclass(warned.category, UserWarning):
            if strict:
                raise FinefillError(f"{warned.message} (--strict: nothing is written)")
            click.echo(f"finefill: warning: {warned.message}", err=True)
