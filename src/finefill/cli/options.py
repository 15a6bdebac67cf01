"""Options that several commands have: ``@options.model`` above a command's function."""

from __future__ import annotations

import click

from finefill import files

FILLS = ("auto", "network", "regions")
FILL = (
    "How holes are filled: by the network; by regions copied from around them, which continue "
    "facades, windows and tiles; or what suits each hole's surroundings."
)

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
