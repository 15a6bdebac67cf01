"""Two processes that train one network over gloo: the same curve, and what ends all of them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import finefill
from finefill.cli import main
from finefill.data import recipes
from finefill.data.photos import Photos, training_batch
from finefill.errors import FinefillError
from finefill.training import balance, checkpoint, loop, schedule, setup
from finefill.training.distributed import World, join, synchronise
from finefill.training.steps import Parts

SOURCE = Path(finefill.__file__).parents[1]
# The terms from the first step on: their rounding differences grow with every step of a GAN.
SETTINGS = [
    *("rec_samples=8", "all_samples=4000", "discriminator_warmup=1", "balance_every=2"),
    *("log_every=1", "checkpoint_every=2", "precision=fp32"),
]
RECIPE = recipes.override(recipes.tiny(), SETTINGS)


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


def stop_after(run: Path, steps: int, photos: Path, *, resume: bool = False) -> None:
    """Train alone until the run has so many steps."""
    recipe = dataclasses.replace(RECIPE, all_samples=RECIPE.batch * steps - RECIPE.rec_samples)
    # The rates fall towards the end of a run; here they must be those of the long one.
    rates = schedule.rates
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "rates", lambda _, step: rates(RECIPE, step))
        assert loop.train(recipe, [photos], run, resume=resume, device="cpu", quiet=True)


def test_a_slice_is_a_part_of_the_whole_batch(photos: Path) -> None:
    recipe = recipes.override(RECIPE, ['mask_mix=[["square",1],["strokes",1]]'])
    crops = Photos([photos], recipe)
    images, holes = training_batch(crops, recipe, 5)
    parts = [training_batch(crops, recipe, 5, rank, 2) for rank in range(2)]
    assert np.array_equal(np.concatenate([part[0] for part in parts]), images)
    assert np.array_equal(np.concatenate([part[1] for part in parts]), holes)


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(FinefillError, match="batch of 4 does not divide among 3"):
        setup.check_batch(RECIPE, World(0, 3))
    with pytest.raises(FinefillError, match="two images"):
        setup.check_batch(dataclasses.replace(RECIPE, sync_bn=False), World(0, 4))
    setup.check_batch(RECIPE, World(0, 4))


@pytest.fixture(scope="module")
def launched(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that two processes of torchrun left, the second one killed, and their errors.

    They run this file (one start-up serves all tests): its checks, then a training.
    """
    folder = tmp_path_factory.mktemp("launched")
    run = folder / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", str(free_port()), __file__, str(folder)]
    command += ["train", "--recipe", "tiny", "--data", str(photos), "-o", str(run)]
    command += ["--device", "cpu", "--quiet"]
    command += [word for setting in SETTINGS for word in ("--set", setting)]
    launcher = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while launcher.poll() is None and time.monotonic() < deadline:
        if (run / checkpoint.LAST).exists() and _step(run) >= 6:
            os.kill(_process_of_rank(launcher.pid, 1), signal.SIGKILL)
            break
        time.sleep(0.05)
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode != 0
    assert (run / checkpoint.LAST).exists(), errors
    return folder, errors


def test_when_one_is_killed_the_others_end_and_say_so(launched: tuple[Path, str]) -> None:
    assert "finefill: process 0 of 2 lost another one" in launched[1]
    assert "--resume" in launched[1]


def test_two_processes_train_as_one_does_and_one_goes_on(
    launched: tuple[Path, str], photos: Path, tmp_path: Path
) -> None:
    run, alone = launched[0] / "run", tmp_path / "alone"
    stop_after(alone, 6, photos)
    ours, theirs = events(run, "train")[:6], events(alone, "train")
    for name in ("rec", "per", "adv", "disc", "d_original", "d_completed", "loss"):
        both = [[float(e[name]) for e in log if name in e] for log in (ours, theirs)]
        assert len(both[0]) == len(both[1]) >= 4
        assert np.allclose(*both, rtol=2e-3), name
    assert events(run, "balance")[0]["gradient_norms"] == pytest.approx(
        events(alone, "balance")[0]["gradient_norms"],
        rel=1e-2,  # rounding, after adversarial steps
    )
    assert events(run, "validation")[0]["psnr"] == pytest.approx(
        events(alone, "validation")[0]["psnr"], abs=1e-3
    )
    kept = _step(run)
    stop_after(run, kept + 2, photos, resume=True)
    assert _step(run) == kept + 2


def _step(run: Path) -> int:
    return int(checkpoint.read_state(run / checkpoint.LAST)["step"])


def _process_of_rank(launcher: int, rank: int) -> int:
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text(encoding="utf-8")
    for child in children.split():
        variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if f"RANK={rank}".encode() in variables:
            return int(child)
    raise AssertionError("no such process")


@pytest.fixture
def told(launched: tuple[Path, str]) -> list[dict[str, Any]]:
    """What each process wrote down."""
    return [json.loads((launched[0] / f"{r}.json").read_text(encoding="utf-8")) for r in range(2)]


def test_statistics_and_gradients_are_those_of_the_whole_batch(told: list[dict[str, Any]]) -> None:
    x, net = _input(), _net()
    terms = {"a": (net(x) ** 2).mean(), "b": net(x).abs().mean()}
    norms = balance.gradient_norms(terms, list(net.parameters()))
    net.zero_grad()
    terms["a"].backward()
    expected = [p.grad.tolist() for p in net.parameters() if p.grad is not None]
    for one in told:
        assert one["norms"] == pytest.approx(norms, rel=1e-5)
        for ours, theirs in zip(one["gradients"], expected, strict=True):
            assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-6)
        assert np.allclose(one["mean"], net[1].running_mean.tolist(), atol=1e-6)
        assert np.allclose(one["variance"], net[1].running_var.tolist(), atol=1e-6)
    assert told[0]["weight"] == pytest.approx(2 / 3)  # 1 and 2 things: their mean is 1.5
    assert told[1]["weight"] == pytest.approx(4 / 3)


def test_processes_agree(told: list[dict[str, Any]]) -> None:
    for one in told:
        assert one["any"] == [False, True]
        assert one["different"] == "use the same command"
        # Only the second process had a NaN in its slice, and only it got the signal.
        assert one["nan"].startswith("step 3: rec is nan")
        assert one["stopped"] == [False, 3]
        assert one["resumed"] == [True, 4]
        assert one["weights"] == told[0]["weights"]
        assert one["average"] == told[0]["average"]
        # With statistics of its own for each process, they are averaged with the checkpoint.
        assert one["own"] == told[0]["own"] != one["weights"]


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 1, 1))


def _input() -> torch.Tensor:
    return 3 + torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def _shared_net(world: World) -> tuple[nn.Sequential, nn.Module]:
    net = _net()
    synchronise(net, torch.device("cpu"))
    return net, world.share(net, torch.device("cpu"))


def _tell(photos: Path, folder: Path, world: World) -> None:
    """One of two processes: what it finds goes to a file."""
    found: dict[str, Any] = {}
    net, shared = _shared_net(world)
    x = world.own(_input())
    (shared(x) ** 2).mean().backward()
    found["gradients"] = [p.grad.tolist() for p in net.parameters() if p.grad is not None]
    net, _ = _shared_net(world)
    terms = {"a": (net(x) ** 2).mean(), "b": net(x).abs().mean()}
    found["norms"] = world.gradient_norms(terms, list(net.parameters()))
    found["mean"], found["variance"] = net[1].running_mean.tolist(), net[1].running_var.tolist()
    found["weight"] = float(world.weight(torch.tensor(1.0 + world.rank)))
    found["any"] = [world.any(False), world.any(not world.first)]
    try:
        world.check_same(str(world.rank), "use the same command")
    except FinefillError as error:
        found["different"] = str(error)
    found |= _train(photos, folder, world)
    (folder / f"{world.rank}.json").write_text(json.dumps(found), encoding="utf-8")


def _train(photos: Path, folder: Path, world: World) -> dict[str, Any]:
    """A run that meets NaN, and one that is stopped and resumed; each by the second process."""
    recipe = recipes.override(RECIPE, ["rec_samples=16", "all_samples=0"])
    draw, take = loop.next_batch, loop.train_step
    found: dict[str, Any] = {}
    taken: list[Parts] = []

    def poisoned(parts: Parts, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = draw(parts, *rest)
        return (image * float("nan") if rest[1] == 2 and not world.first else image), mask

    def signalled(parts: Parts, *rest: Any, **named: Any) -> dict[str, torch.Tensor]:
        taken.append(parts)
        if len(taken) == 3 and not world.first:
            os.kill(os.getpid(), signal.SIGTERM)
        return take(parts, *rest, **named)

    loop.next_batch = poisoned
    try:
        loop.train(recipe, [photos], folder / "nan", device="cpu", quiet=True)
    except FinefillError as error:
        found["nan"] = str(error)
    loop.next_batch, loop.train_step = draw, signalled
    done = loop.train(recipe, [photos], folder / "stopped", device="cpu", quiet=True)
    found["stopped"] = [done, len(taken)]
    world.any(True)  # the first process has written its checkpoint
    done = loop.train(recipe, [photos], folder / "stopped", resume=True, device="cpu", quiet=True)
    found["resumed"] = [done, len(taken)]
    average = taken[-1].average
    assert average is not None
    for name, net in (("weights", taken[-1].generator), ("average", average)):
        found[name] = [float(t.double().sum()) for t in net.state_dict().values()]
    own = dataclasses.replace(recipe, sync_bn=False)
    loop.train(own, [photos], folder / "own", device="cpu", quiet=True)
    found["own"] = [float(t.double().sum()) for t in taken[-1].generator.state_dict().values()]
    return found


if __name__ == "__main__":
    with join(torch.device("cpu")) as (own_world, _):
        _tell(Path(sys.argv[sys.argv.index("--data") + 1]), Path(sys.argv.pop(1)), own_world)
        main()
