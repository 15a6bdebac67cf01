"""Training end to end on a few photographs: learning, stopping, resuming, failing, exporting."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from finefill import Engine
from finefill.cli.training import begin_at
from finefill.completion import catalog
from finefill.data import recipes
from finefill.data.photos import Frame, Photos, cut, training_batch, validation_batches
from finefill.errors import FinefillError, OperationError
from finefill.export.model import difference, export, folded, load_generator
from finefill.export.start import begin_with
from finefill.nets.crops import around_holes
from finefill.training import batches, build, checkpoint, loop, schedule, stages, steps
from finefill.training.batches import to_device
from finefill.training.resident import Resident, cut_here, on_device

RECIPE = recipes.override(
    recipes.tiny(),
    [
        "rec_samples=24",
        "all_samples=40",
        "checkpoint_every=4",
        "log_every=2",
        "balance_every=4",  # a measurement falls on every checkpoint of the second stage
        "precision=fp32",
    ],
)
LENGTH = RECIPE.total_steps
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of the bundled photograph."""
    import finefill

    folder = tmp_path_factory.mktemp("photos")
    with Image.open(Path(finefill.__file__).parent / "assets" / "demo.jpg") as demo:
        for number in range(16):
            x, y = 150 * (number % 4), 110 * (number // 4)
            demo.crop((x, y, x + 150, y + 110)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert loop.train(RECIPE, [photos], run, device="cpu", quiet=True)
    return run


def same(a: Path, b: Path, name: str = checkpoint.LAST) -> bool:
    first, second = checkpoint.load(a / name), checkpoint.load(b / name)
    assert first[0].keys() == second[0].keys()
    assert first[1] == second[1]
    return all(torch.equal(first[0][name], second[0][name]) for name in first[0])


def events(run: Path, kind: str) -> list[dict[str, object]]:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


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

    def counted(*arguments: object) -> dict[str, torch.Tensor]:
        nonlocal taken
        taken += 1
        if taken in stops:
            os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C in the middle of a step
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "train_step", counted)
    results = [loop.train(RECIPE, [photos], run, device="cpu", quiet=True)]
    while not results[-1]:
        results.append(loop.train(RECIPE, [photos], run, resume=True, device="cpu", quiet=True))
    assert len(results) == len(stops) + 1
    assert taken == LENGTH
    assert same(run, finished)


PLUS = ["generator=plus", "discriminator=patch", "widths=[8,16]", "depths=[1,1]"]


def test_resuming_restores_every_state_of_the_plus_networks(photos: Path, tmp_path: Path) -> None:
    """Spectral normalisation keeps vectors of its own."""
    recipe = recipes.override(RECIPE, PLUS)
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
        images, masks = original(*arguments)  # type: ignore[arg-type]
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


def test_a_checkpoint_with_nan_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.LAST
    checkpoint.save(path, {"a": torch.ones(3)}, {"step": 1})
    with pytest.raises(FinefillError, match="NaN"):
        checkpoint.save(path, {"a": torch.tensor([1.0, float("nan")])}, {"step": 2})
    assert checkpoint.load(path)[1] == {"step": 1}


def test_kill_at_any_moment_leaves_a_readable_checkpoint(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "finefill", "train", "--recipe", "tiny", "--quiet"]
    command += ["--data", str(photos), "-o", str(run), "--device", "cpu"]
    command += ["--set", "checkpoint_every=1", "--set", "rec_samples=400000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for attempt in range(2):
        again = ["--resume"] if attempt else []
        process = subprocess.Popen([*command, *again], env=environment)
        before = checkpoint.load(run / checkpoint.LAST)[1]["step"] if attempt else 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            last = run / checkpoint.LAST
            if last.exists() and checkpoint.load(last)[1]["step"] > before + 5:
                break
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert checkpoint.load(run / checkpoint.LAST)[1]["step"] > before


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


def test_others_may_read_a_checkpoint(finished: Path) -> None:
    """The rights of any new file, as the user's mask says."""
    assert (finished / checkpoint.LAST).stat().st_mode == (finished / "log.jsonl").stat().st_mode


def test_dilations_beyond_the_map_are_refused(photos: Path, tmp_path: Path) -> None:
    recipe = recipes.override(RECIPE, ["dilations=[2,8]"])  # 32 pixels, three levels: 8x8
    with pytest.raises(FinefillError, match="a side of 8 at a size of 32"):
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


def test_windows_follow_the_holes() -> None:
    image = torch.arange(2 * 3 * 16 * 16, dtype=torch.float32).view(2, 3, 16, 16)
    mask = torch.zeros(2, 1, 16, 16)
    mask[0, :, 0:4, 0:4] = 1
    mask[1, :, 6:10, 8:12] = 1
    cut, _, hole = around_holes(image, -image, mask, 8)
    assert hole.sum((1, 2, 3)).tolist() == [16, 16]
    assert torch.equal(cut[0], image[0, :, 0:8, 0:8])
    assert torch.equal(cut[1], image[1, :, 4:12, 6:14])


def test_average_follows_the_weights() -> None:
    kept, new = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(kept.weight, 1.0)
    torch.nn.init.constant_(new.weight, 3.0)
    steps.update_average(kept, new, 0.75)
    assert kept.weight.item() == 1.5


def test_learning_rates_follow_the_polynomial() -> None:
    recipe = dataclasses.replace(RECIPE, rec_rates=(1.0, 0.2), all_rates=(0.5, 0.1))
    assert schedule.rates(recipe, 0) == (1.0, 0.0)
    assert schedule.rates(recipe, recipe.rec_steps // 2)[0] == pytest.approx(0.6)
    assert schedule.rates(recipe, recipe.rec_steps)[0] == 0.5
    assert schedule.polynomial(1.0, 0.0, 0.5, 2.0) == 0.25


def test_psnr_by_hand() -> None:
    x, mask = torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2)
    assert steps.psnr(x, x + 0.2, mask).item() == pytest.approx(20.0, abs=1e-4)  # 4 / 0.04 = 100


def test_export_equals_the_network(finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.onnx"
    card = export(finished / checkpoint.LAST, output, {"name": "mine", "terms": "none"})
    assert card["difference"] < 1e-4
    engine = Engine(output)
    assert engine.card["name"] == "mine"
    assert engine.card["samples"] == LENGTH * RECIPE.batch
    assert engine.card["size_multiple"] == 4
    net, _ = load_generator(finished / checkpoint.LAST)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded(net).modules())
    image = np.full((37, 50, 3), 90, np.uint8)
    mask = np.zeros((37, 50), bool)
    mask[10:20, 10:30] = True
    filled = engine.fill(image, mask)
    assert (filled[~mask] == 90).all()
    # The comparison can fail: other weights are found out.
    torch.manual_seed(1)
    net.last.weight.data.normal_()
    assert difference(net, output) > 1e-2
    with pytest.raises(FinefillError, match="unknown field 'nmae'"):
        export(finished / checkpoint.LAST, output, {"nmae": "typo"})


def test_half_weights_halve_the_file_and_change_little(photos: Path, tmp_path: Path) -> None:
    settings = ["widths=[32,32]", "depths=[1,2]", "rec_samples=8", "all_samples=0"]
    recipe = recipes.override(RECIPE, settings)
    assert loop.train(recipe, [photos], tmp_path / "run", device="cpu", quiet=True)
    path = tmp_path / "run" / checkpoint.LAST
    export(path, tmp_path / "whole.onnx", {})
    card = export(path, tmp_path / "half.onnx", {}, half_weights=True)
    assert card["difference"] < 1e-4
    assert 0 < card["rounding"] < 5e-3
    sizes = [(tmp_path / name).stat().st_size for name in ("half.onnx", "whole.onnx")]
    assert sizes[0] < 0.65 * sizes[1]
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    fills = [
        Engine(tmp_path / n).fill(image, mask).astype(int) for n in ("half.onnx", "whole.onnx")
    ]
    assert abs(fills[0] - fills[1]).max() <= 3


def test_a_graph_that_disagrees_is_not_kept(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finefill.export.model.TOLERANCE", 1e-12)
    with pytest.raises(FinefillError, match="differs from PyTorch"):
        export(finished / checkpoint.LAST, tmp_path / "model.onnx", {})
    assert list(tmp_path.iterdir()) == []


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
        photos / "0.png": "not a readable checkpoint",
        tmp_path: "no checkpoint there",
    }.items():
        with pytest.raises(FinefillError, match=message):
            begin_with(bad, net, [])
    with pytest.raises(FinefillError, match="does not fit the recipe"):
        begin_with(begin_at("places"), build.generator(RECIPE), [])
    with pytest.raises(FinefillError, match=r"nowhere: .* \(places, faces"):
        begin_at("nowhere")


@pytest.mark.parametrize("discriminator", ["patch", "features"])
def test_the_loss_adds_what_a_step_looks_at(discriminator: str, photos: Path) -> None:
    """Eq. 1 from the terms that are logged; the perceptual one twice as much every second step."""
    every = 2 if discriminator == "patch" else 1
    recipe = dataclasses.replace(
        RECIPE, discriminator=discriminator, judged_layers=("relu1_2",), perceptual_every=every
    )
    batch = to_device(*next(validation_batches(Photos([photos], RECIPE), RECIPE)), CPU)
    parts = stages.first_stage(recipe, CPU)
    stages.second_stage(parts, None)
    parts.lambdas = {"adv": 0.5, "per": 0.25}
    for step in range(recipe.rec_steps, recipe.rec_steps + 3):
        looks = schedule.perceptual_due(recipe, step)
        assert looks == (every == 1 or step % 2 == recipe.rec_steps % 2)
        labels = schedule.label_source(recipe, step)
        found = steps.train_step(parts, *batch, labels, perceptual=looks)
        assert ("per" in found) == looks
        expected = found["rec"] + 0.5 * found["adv"]
        if looks:
            expected = expected + every * 0.25 * found["per"]
        assert found["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    for wrong in ("perceptual_every=0", "perceptual_every=2"):
        with pytest.raises(FinefillError, match="perceptual_every must be"):
            recipes.override(
                dataclasses.replace(recipe, perceptual_every=1, discriminator="features"), [wrong]
            )


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


def test_crops_cut_on_the_device_show_what_those_of_the_cpu_do(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:70, :90]
    for number in range(12):  # planes, of several sizes: both ways of sampling are exact on them
        image = np.stack([rows + columns, 2 * rows, 200 - 2 * columns + number], 2)
        image = image[: 60 + number % 3, : 90 - number % 4].astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    recipe = dataclasses.replace(RECIPE, shorter_side=None, crop=(30, 64), rotation=20.0, batch=8)
    photos = Photos([tmp_path], recipe)
    resident = Resident(photos, recipe, CPU)
    for step in (0, 3):
        expected, holes = training_batch(photos, recipe, step)
        found, mask = resident.batch(step)
        assert np.array_equal(mask[:, 0].numpy() > 0, holes)
        pixels = ((found + 1) * 127.5).permute(0, 2, 3, 1).numpy()
        # Up to two pixels of a plane's slope: `cut` rounds a frame's place and side.
        assert np.abs(pixels - expected)[:, 1:-1, 1:-1].max() <= 6
        second, _ = resident.batch(step, rank=1, ranks=2)
        assert torch.equal(second, found[4:])
    # Whole pixels: nothing is rounded, so not half a pixel may be between the two.
    at, pixels = (
        Frame(30, 40, 20),
        torch.from_numpy(photos.train[0].transpose(2, 0, 1).copy())[None],
    )
    for frame in (at, dataclasses.replace(at, flip=True), dataclasses.replace(at, degrees=90.0)):
        found = (cut_here(pixels, [frame], 20)[0].permute(1, 2, 0).numpy() + 1) * 127.5
        assert np.allclose(found, cut(photos.train[0], frame, 20), atol=0.01)
    run = tmp_path / "run"
    assert loop.train(recipe, photos, run, device="cpu", resident=True, quiet=True)
    with pytest.raises(FinefillError, match="leave --resident out"):
        on_device(None, recipe, CPU)
