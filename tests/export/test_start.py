"""A new run begins with the generator of a run or of a model."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from finefill.cli.training import begin_at
from finefill.completion import catalog
from finefill.data import recipes
from finefill.data.photos import Photos, validation_batches
from finefill.errors import FinefillError
from finefill.export.model import difference, export
from finefill.export.start import begin_with
from finefill.training import build, checkpoint, loop
from finefill.training.batches import to_device
from tests.training.runs import CPU, RECIPE


def test_fine_tuning_begins_with_the_generator_of_another_run(
    finished: Path, photos: Path, tmp_path: Path
) -> None:
    """At a rate of 0 the weights stay, so what the new run holds is what it began with."""
    still = recipes.override(
        RECIPE,
        [
            *("rec_samples=4", "all_samples=0", "rec_rates=[0, 0]"),
            *("perceptual_proportion=0", "adversarial_proportion=0"),
        ],
    )
    run = tmp_path / "run"
    assert loop.train(
        still, [photos], run, start=partial(begin_with, finished), device="cpu", quiet=True
    )
    before = checkpoint.load(finished / checkpoint.BEST)[0]
    after = checkpoint.load(run / checkpoint.LAST)[0]
    names = [
        name.removeprefix("average.")
        for name in before
        if name.startswith("average.") and name.endswith(".weight")
    ]
    assert len(names) > 5
    assert all(torch.equal(after[f"generator.{n}"], before[f"average.{n}"]) for n in names)

    other = recipes.override(still, ["widths=[8, 16, 24]"])
    with pytest.raises(FinefillError, match="does not fit the recipe"):
        loop.train(
            other,
            [photos],
            tmp_path / "other",
            start=partial(begin_with, finished),
            device="cpu",
            quiet=True,
        )
    with pytest.raises(FinefillError, match="nowhere"):
        loop.train(
            still,
            [photos],
            tmp_path / "o",
            start=partial(begin_with, tmp_path / "nowhere"),
            device="cpu",
            quiet=True,
        )


def held_out(photos: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    crops = Photos([photos], RECIPE)
    cpu = CPU
    return [to_device(*batch, cpu) for batch in validation_batches(crops, RECIPE)]


@pytest.mark.parametrize("half_weights", [False, True])
def test_fine_tuning_begins_with_an_exported_model(
    finished: Path, photos: Path, tmp_path: Path, half_weights: bool
) -> None:
    """The same function, and batch normalisation that fits what it sees."""
    model = tmp_path / "model.onnx"
    export(finished / checkpoint.BEST, model, {}, half_weights=half_weights)
    net, batches = build.generator(RECIPE), held_out(photos)
    begin_with(model, net, batches)
    assert net.training
    assert difference(net.eval(), model) < 1e-4
    image, mask = map(torch.cat, zip(*batches, strict=True))
    with torch.no_grad():
        wanted = net(image * (1 - mask), mask)
        found = net.train()(image * (1 - mask), mask)
    assert (found - wanted).abs().mean() < 0.05 * wanted.abs().mean()
    run = tmp_path / "run"
    assert loop.train(
        RECIPE, [photos], run, start=partial(begin_with, model), device="cpu", quiet=True
    )


@pytest.mark.parametrize("name", ["places", "faces"])
def test_fine_tuning_begins_with_a_shipped_model(name: str, photos: Path) -> None:
    net = build.generator(recipes.get("scenes"))
    model = begin_at(name)
    assert model == begin_at(f"{name}-fp32") == catalog.locate(f"{name}-fp32")
    begin_with(model, net, held_out(photos))
    assert difference(net.eval(), model) < 1e-4


def test_models_that_nothing_can_begin_with(photos: Path, tmp_path: Path) -> None:
    net = build.generator(recipes.get("scenes"))
    for bad, message in {
        catalog.locate("places"): "is in 8 bits",
        tmp_path / "none.onnx": "none.onnx",
        photos / "00.png": "not a readable checkpoint",
        tmp_path: "no checkpoint there",
    }.items():
        with pytest.raises(FinefillError, match=message):
            begin_with(bad, net, [])
    with pytest.raises(FinefillError, match="does not fit the recipe"):
        begin_with(begin_at("places"), build.generator(RECIPE), [])
    with pytest.raises(FinefillError, match=r"nowhere: .* \(places, faces"):
        begin_at("nowhere")
