"""Average the weights of models that continue one another, to begin a training with.

    python tools/average-models.py A.onnx B.onnx -o mean.onnx
    finefill train --recipe scenes --from mean.onnx …

Of two checkpoints of one course of training the mean is often better than either (Izmailov et al.
2018, "Averaging Weights Leads to Wider Optima and Better Generalization"); of trainings that began
apart it is worth nothing. Takes float32 models of ``finefill export``; the card is that of the
first. Needs finefill with the extra ``train``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import numpy as np
import onnx
from onnx import numpy_helper

from finefill.completion import Engine
from finefill.errors import FinefillError
from finefill.files import replacing


@click.command(help=__doc__.partition("\n")[0] if __doc__ else None)
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def average(models: tuple[Path, ...], output: Path) -> None:
    """Write the mean of the models."""
    for path in models:
        Engine(path, threads=1, convention="finefill")  # or its errors
    loaded = [onnx.load(path) for path in models]
    tables = [{t.name: t for t in model.graph.initializer} for model in loaded]
    for path, table in zip(models, tables, strict=True):
        if shapes(table) != shapes(tables[0]):
            raise FinefillError(f"{path}: has another network than {models[0]}: give models of one")
    for tensor in loaded[0].graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f":
            each = [numpy_helper.to_array(table[tensor.name]) for table in tables]
            mean = np.mean([one.astype(np.float64) for one in each], axis=0)
            tensor.CopyFrom(numpy_helper.from_array(mean.astype(values.dtype), tensor.name))
        elif values.dtype in (np.int8, np.uint8):
            raise FinefillError(f"{models[0]}: is in 8 bits: give the float32 models")
    with replacing(output) as file:
        file.write(loaded[0].SerializeToString())
    click.echo(f"{output}: the mean of {len(models)} models")


def shapes(table: dict[str, onnx.TensorProto]) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Type and shape of each constant, by name."""
    return {name: (tensor.data_type, tuple(tensor.dims)) for name, tensor in table.items()}


if __name__ == "__main__":
    try:
        average()
    except FinefillError as error:
        click.echo(f"average-models: {error}", err=True)
        sys.exit(2)
