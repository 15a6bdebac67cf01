"""Training end to end on a few photographs: learning, stopping, resuming, failing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import shutil
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from finefill.data import recipes
from finefill.data.photos import Photos
from finefill.errors import FinefillError, OperationError
from finefill.export.model import export, folded, load_generator
from finefill.training import batches, checkpoint, loop, setup, stages, steps
from tests.training.runs import LENGTH, RECIPE, events, same


def test_the_run_leaves_what_it_promises(finished: Path) -> None:
    assert (finished / checkpoint.LAST).exists()
    assert (finished / checkpoint.BEST).exists()
    assert [e["step"] for e in events(finished, "balance")] == [6, 10, 14]
    measured = events(finished, "balance")[0]
    norms, lambdas = measured["gradient_norms"], measured["lambdas"]
    assert isinstance(norms, dict)
    assert isinstance(lambdas, dict)
    assert lambdas["per"] * norms["per"] == pytest.approx(2.0 * norms["rec"])
    assert lambdas["adv"] * norms["adv"] == pytest.approx(0.3 * norms["rec"])
    assert {"rec", "adv", "per", "disc", "rate"} <= events(finished, "train")[-1].keys()
    with Image.open(finished / "grids" / f"{LENGTH:08d}.png") as grid:
        assert grid.size[0] == 4 * RECIPE.size
    assert list((finished / "tensorboard").iterdir())


@pytest.mark.parametrize("stops", [(3,), (6,), (9, 10)], ids=str)
def test_stopped_and_resumed_equals_unstopped(
    stops: tuple[int, ...],
    photos: Path,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stops in the first stage, at its end, and in the second where a measurement is due."""
    run = tmp_path / "run"
    original = steps.train_step
    taken = 0

    def counted(*arguments: object, **named: object) -> dict[str, torch.Tensor]:
        nonlocal taken
        taken += 1
        if taken in stops:
            os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C in the middle of a step
        return original(*arguments, **named)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(loop, "train_step", counted)
    results = [loop.train(RECIPE, [photos], run, device="cpu", quiet=True)]
    while not results[-1]:
        results.append(loop.train(RECIPE, [photos], run, resume=True, device="cpu", quiet=True))
    assert len(results) == len(stops) + 1
    assert taken == LENGTH
    assert same(run, finished)


PLUS = ["generator=plus", "discriminator=patch", "widths=[8,16]", "depths=[1,1]"]


def test_resuming_restores_every_state_of_the_plus_networks(photos: Path, tmp_path: Path) -> None:
    """Spectral normalisation keeps vectors of its own; batches have one of two sizes each.

    The perceptual network is approximated anew whenever a run is resumed.
    """
    recipe = recipes.override(RECIPE, [*PLUS, "other_sizes=[48]", "perceptual_rank=0.5"])
    assert loop.train(recipe, [photos], tmp_path / "whole", device="cpu", quiet=True)
    results = [loop.train(recipe, [photos], tmp_path / "parts", max_minutes=0, quiet=True)]
    while not results[-1]:
        results.append(
            loop.train(recipe, [photos], tmp_path / "parts", resume=True, max_minutes=0, quiet=True)
        )
    assert len(results) == LENGTH
    assert same(tmp_path / "parts", tmp_path / "whole")
    card = export(tmp_path / "whole" / checkpoint.LAST, tmp_path / "plus.onnx", {"name": "plus"})
    assert card["difference"] < 1e-4
    net, _ = load_generator(tmp_path / "whole" / checkpoint.LAST)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded(net).modules())


def test_resuming_without_a_discriminator_keeps_the_best(photos: Path, tmp_path: Path) -> None:
    """Rates at which the best state is not the last, and would be lost if its score were."""
    recipe = recipes.override(
        RECIPE, ["adversarial_proportion=0", "all_rates=[0.02,0.02]", 'fixed_lambdas=[["per",1]]']
    )
    assert loop.train(recipe, [photos], tmp_path / "whole", device="cpu", quiet=True)
    run, done = tmp_path / "parts", False
    while not done:
        done = loop.train(
            recipe, [photos], run, resume=run.exists(), max_minutes=0, device="cpu", quiet=True
        )
    assert checkpoint.read_state(run / checkpoint.BEST)["step"] < LENGTH
    assert same(run, tmp_path / "whole")
    assert same(run, tmp_path / "whole", checkpoint.BEST)


@pytest.mark.parametrize(("setting", "stays"), [("perceptual_rank=0.5", False), ("seed=0", True)])
def test_a_best_by_other_features_does_not_stay(
    setting: str, stays: bool, photos: Path, finished: Path, tmp_path: Path
) -> None:
    tensors, state = checkpoint.load(finished / checkpoint.LAST)
    checkpoint.save(tmp_path / checkpoint.LAST, tensors, state | {"best": 0.0})
    longer = recipes.override(RECIPE, [setting, f"all_samples={RECIPE.all_samples + 16}"])
    assert loop.train(longer, [photos], tmp_path, resume=True, device="cpu", quiet=True)
    best = checkpoint.read_state(tmp_path / checkpoint.LAST)["best"]
    assert (best == 0) == stays
    assert (tmp_path / checkpoint.BEST).exists() != stays


def test_holes_larger_than_a_window_are_told() -> None:
    """At size 32 squares have up to 20 pixels; at 64 twice as many."""
    recipe = recipes.override(RECIPE, ["discriminator=patch", "perceptual_window=24"])
    settings = ["discriminator_window=24", "size=64", "crop=[64,64]", "shorter_side=64"]
    for changes, told in ((settings[:1], 0), (settings, 2)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            setup.tell_windows(recipes.override(recipe, changes))
        assert len(caught) == told
        assert all("a hole of 40 pixels" in str(warning.message) for warning in caught)


def test_max_minutes_stops_with_a_checkpoint(photos: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert not loop.train(RECIPE, [photos], run, max_minutes=0, device="cpu", quiet=True)
    assert checkpoint.load(run / checkpoint.LAST)[1]["step"] == 1
    assert loop.train(RECIPE, [photos], run, resume=True, device="cpu", quiet=True)
    assert same(run, finished)


def test_learning_reduces_the_loss(photos: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, rec_samples=600, all_samples=0, checkpoint_every=50)
    loop.train(recipe, [photos], tmp_path / "run", device="cpu", quiet=True)
    curve = [float(str(e["rec"])) for e in events(tmp_path / "run", "train")]
    assert np.mean(curve[-10:]) < 0.6 * np.mean(curve[:5])


def test_nan_stops_and_keeps_the_last_good_checkpoint(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    original = batches.training_batch

    def poisoned(*arguments: object) -> object:
        loop_step = arguments[2]
        images, masks = original(*arguments)  # type: ignore[arg-type]  # passed on
        if loop_step == 4:  # from the next batch on
            monkeypatch.setattr(batches, "to_device", lambda *_: nan_batch)
        return images, masks

    nan_batch = (torch.full((4, 3, 32, 32), float("nan")), torch.ones(4, 1, 32, 32))
    monkeypatch.setattr(batches, "training_batch", poisoned)
    with pytest.raises(FinefillError, match="step 6: rec is nan"):
        loop.train(RECIPE, [photos], run, device="cpu", quiet=True)
    tensors, state = checkpoint.load(run / checkpoint.LAST)
    assert state["step"] == 4
    assert all(torch.isfinite(t).all() for t in tensors.values())


@contextlib.contextmanager
def files_up_to(limit: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: what a full disk does, at a chosen point."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_stops_a_run_in_one_line(photos: Path, tmp_path: Path) -> None:
    """At a checkpoint, at the grid, in the log: what is there is whole, and the run can go on."""
    run = tmp_path / "run"
    with files_up_to(20_000), pytest.raises(OperationError, match=r"best.safetensors: .*make room"):
        loop.train(RECIPE, [photos], run, device="cpu", quiet=True)
    assert not list(run.glob("*.safetensors*"))
    (grid,) = (run / "grids").iterdir()
    with Image.open(grid) as image:
        image.load()

    run = tmp_path / "second"
    assert not loop.train(RECIPE, [photos], run, max_minutes=0, device="cpu", quiet=True)
    before = (run / checkpoint.LAST).read_bytes()
    with files_up_to(20_000), pytest.raises(OperationError, match="what was there is kept"):
        loop.train(RECIPE, [photos], run, resume=True, device="cpu", quiet=True)
    assert (run / checkpoint.LAST).read_bytes() == before
    with files_up_to(1_000), pytest.raises(OperationError, match=r"cannot be written .*--resume"):
        loop.train(RECIPE, [photos], run, resume=True, device="cpu", quiet=True)
    assert loop.train(RECIPE, [photos], run, resume=True, device="cpu", quiet=True)


def test_dilations_beyond_the_map_are_refused(photos: Path, tmp_path: Path) -> None:
    recipe = recipes.override(RECIPE, ["dilations=[2,8]"])  # 32 pixels, three levels: 8x8
    with pytest.raises(FinefillError, match="a side of 8 at a size of 32"):
        loop.train(recipe, [photos], tmp_path / "run", device="cpu", quiet=True)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ("[36,30]", "size 30 is not a multiple of 4"),
        (
            "[64,24]",
            "dilations of 6 reach beyond the deepest level, whose map has a side of 6 at a",
        ),
    ],
)
def test_every_size_fits_the_network(sizes: str, told: str, photos: Path, tmp_path: Path) -> None:
    recipe = recipes.override(RECIPE, [*PLUS, "dilations=[6]", f"other_sizes={sizes}"])
    with pytest.raises(FinefillError, match=told):
        loop.train(recipe, [photos], tmp_path / "run", device="cpu", quiet=True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["other_sizes=[24]", "perceptual_window=4"], "relu2_2 needs 4 pixels, .* network 3"),
        (['vgg_layers=[["x",1]]'], "unknown VGG16 layer 'x': choose from relu1_1"),
        (["perceptual_window=3"], "relu2_2 needs 4 pixels, .* network 3"),
        (["size=16", 'vgg_layers=[["relu4_3",1]]', "perceptual_window=15"], "relu4_3 needs 16"),
    ],
)
def test_every_size_has_cells_to_look_at(
    settings: list[str], told: str, photos: Path, tmp_path: Path
) -> None:
    """Told before the first stage, not where the second begins."""
    recipe = recipes.override(RECIPE, [*PLUS, "dilations=[1]", *settings])
    with pytest.raises(FinefillError, match=told):
        loop.train(recipe, [photos], tmp_path / "run", device="cpu", quiet=True)


def test_runs_are_not_mixed_up(photos: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(FinefillError, match="--resume"):
        loop.train(RECIPE, [photos], finished, device="cpu", quiet=True)
    with pytest.raises(FinefillError, match="no checkpoint"):
        loop.train(RECIPE, [photos], tmp_path / "none", resume=True, device="cpu", quiet=True)
    other = tmp_path / "photos"
    other.mkdir()
    for number in range(8):
        Image.new("RGB", (60, 60), (number, 0, 0)).save(other / f"{number}.png")
    with pytest.raises(FinefillError, match="other photographs"):
        loop.train(RECIPE, [other], finished, resume=True, device="cpu", quiet=True)
    (tmp_path / checkpoint.LAST).write_bytes(b"half a file")
    with pytest.raises(FinefillError, match="not a readable checkpoint"):
        checkpoint.load(tmp_path / checkpoint.LAST)


@pytest.mark.parametrize(
    "settings",
    [
        ["adversarial_proportion=0"],
        ["perceptual_proportion=0", "discriminator_sees=output"],
        ["adversarial_proportion=0", "perceptual_proportion=0"],
        ["precision=bf16", "perceptual_window=24", "two_sided_smoothing=false"],
        ["precision=bf16", "perceptual_rank=0.25", "discriminator=features"],
        [
            "generator=context_encoder",
            "size=64",
            "crop=[64,64]",
            "shorter_side=64",
            "reconstruction=l2",
            "discriminator=local+image",
            "perceptual_proportion=0",
        ],
        ["generator=gfc", "discriminator=local", 'mask_mix=[["center",1]]'],
    ],
    ids=str,
)
def test_switches_of_the_experiments_run(settings: list[str], photos: Path, tmp_path: Path) -> None:
    recipe = recipes.override(RECIPE, [*settings, "rec_samples=8", "all_samples=8"])
    assert loop.train(recipe, [photos], tmp_path / "run", device="cpu", quiet=True)
    terms = events(tmp_path / "run", "train")[-1].keys() & {"rec", "adv", "per"}
    expected = {"rec"} | stages.proportions(recipe).keys()
    assert terms == expected


def test_fixed_lambdas_are_taken_and_not_measured(photos: Path, tmp_path: Path) -> None:
    settings = ["rec_samples=0", "all_samples=8", 'fixed_lambdas=[["adv",0.25]]']
    recipe = recipes.override(RECIPE, [*settings, "perceptual_proportion=0"])
    assert loop.train(recipe, [photos], tmp_path / "run", device="cpu", quiet=True)
    assert checkpoint.read_state(tmp_path / "run" / checkpoint.LAST)["lambdas"] == {"adv": 0.25}
    assert not events(tmp_path / "run", "balance")
    last = events(tmp_path / "run", "train")[-1]
    assert last["loss"] == pytest.approx(last["rec"] + 0.25 * last["adv"], abs=1e-5)


def test_a_run_starts_from_the_first_stage_of_another(photos: Path, tmp_path: Path) -> None:
    """The second stage after a copied first one is that of a run that did both."""
    whole = recipes.override(RECIPE, ["rec_samples=16", "all_samples=8"])
    first = dataclasses.replace(
        whole, all_samples=0, adversarial_proportion=0.0, perceptual_proportion=0.0
    )
    crops = Photos([photos], whole)
    assert loop.train(first, crops, tmp_path / "first", device="cpu", quiet=True)
    assert loop.train(whole, crops, tmp_path / "whole", device="cpu", quiet=True)
    (tmp_path / "child").mkdir()
    shutil.copy(tmp_path / "first" / checkpoint.LAST, tmp_path / "child" / checkpoint.LAST)
    assert loop.train(whole, crops, tmp_path / "child", resume=True, device="cpu", quiet=True)
    one, two = (checkpoint.load(tmp_path / n / checkpoint.LAST)[0] for n in ("whole", "child"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_with_a_discriminator_of_features_is_resumed(photos: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, discriminator="features", judged_layers=("relu2_2",))
    loop.train(recipe, [photos], tmp_path / "one", device="cpu", quiet=True)
    half = dataclasses.replace(recipe, all_samples=recipe.all_samples // 2)
    loop.train(half, [photos], tmp_path / "two", device="cpu", quiet=True)
    tensors, _ = checkpoint.load(tmp_path / "two" / checkpoint.LAST)
    assert "discriminator.mix_relu2_2" in tensors
    assert loop.train(recipe, [photos], tmp_path / "two", resume=True, device="cpu", quiet=True)
    first, second = (checkpoint.load(tmp_path / n / checkpoint.LAST)[0] for n in ("one", "two"))
    mixture = "discriminator.mix_relu2_2"
    assert torch.equal(first[mixture], second[mixture])
