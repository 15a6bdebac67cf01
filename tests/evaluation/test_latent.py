"""Latent search: the DCGAN and its training, the search, weights and blending by hand."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from finefill import masks
from finefill.data import recipes
from finefill.data.photos import Photos
from finefill.errors import FinefillError
from finefill.evaluation import latent
from finefill.evaluation.latent import latent_search, nearness, poisson_blend, search
from finefill.masks.meaning import Mask
from finefill.nets import Discriminator
from finefill.nets.dcgan import LatentGenerator
from finefill.training import checkpoint, dcgan
from finefill.training.dcgan import load_dcgan, train_dcgan

Pixels = NDArray[np.uint8]
Nets = tuple[LatentGenerator, Discriminator]

RECIPE = dataclasses.replace(
    recipes.tiny(), size=16, crop=(32, 32), precision="fp32", checkpoint_every=4, log_every=2
)
SAMPLES = 8 * RECIPE.batch  # 8 steps


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of noise."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (36, 40, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert train_dcgan(RECIPE, [photos], run, samples=SAMPLES, device="cpu", quiet=True)
    return run


@pytest.fixture(scope="module")
def pair() -> Nets:
    """Networks of 16 pixels whose images depend on z, without training."""
    torch.manual_seed(0)
    generator, discriminator = LatentGenerator(16, 8, latent=6), Discriminator(16, 4)
    for net in (generator, discriminator):
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                torch.nn.init.normal_(module.weight, 0.0, 0.2)
    return generator, discriminator


def frozen(pair: Nets) -> Nets:
    generator, discriminator = copy.deepcopy(pair)
    generator.eval().requires_grad_(False)
    discriminator.eval().requires_grad_(False)
    return generator, discriminator


def hole(top: int, left: int, height: int, width: int, size: int = 16) -> Mask:
    mask = np.zeros((size, size), bool)
    mask[top : top + height, left : left + width] = True
    return mask


class TestGenerator:
    def test_parameters_by_hand(self) -> None:
        net = LatentGenerator(64, 64, latent=100)
        # Deconvolutions of 4x4, two parameters a channel of BN, and the last layer's bias.
        channels = [100, 512, 256, 128, 64, 3]
        weights = sum(16 * a * b for a, b in itertools.pairwise(channels))
        assert sum(p.numel() for p in net.parameters()) == weights + 2 * (512 + 256 + 128 + 64) + 3
        assert next(net.parameters()).std().item() == pytest.approx(0.02, rel=0.02)

    @pytest.mark.parametrize("size", [8, 32, 128])
    def test_shape_and_range(self, size: int) -> None:
        image = LatentGenerator(size, 4, latent=5)(torch.rand(2, 5))
        assert image.shape == (2, 3, size, size)
        assert image.abs().max() < 1

    @pytest.mark.parametrize("size", [4, 48, 63])
    def test_other_sizes_are_refused(self, size: int) -> None:
        with pytest.raises(ValueError, match=f"got {size}"):
            LatentGenerator(size)


class TestTraining:
    def test_the_run_leaves_what_it_promises(self, finished: Path) -> None:
        lines = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
        assert [line["event"] for line in lines] == ["start", *["train"] * 4]
        assert lines[-1]["step"] == 8
        assert {"disc", "gen", "d_original", "d_generated"} <= lines[-1].keys()
        with Image.open(finished / "grids" / "00000008.png") as grid:
            assert grid.size == (128, 128)

    def test_it_loads_frozen(self, finished: Path) -> None:
        generator, discriminator, state = load_dcgan(finished / checkpoint.LAST)
        assert (state["kind"], state["latent"]) == ("dcgan", 100)
        assert (state["step"], state["samples"]) == (8, SAMPLES)
        assert recipes.from_json(state["recipe"]) == RECIPE
        assert generator(torch.zeros(1, 100)).shape == (1, 3, 16, 16)
        for net in (generator, discriminator):
            assert not net.training
            assert not any(p.requires_grad for p in net.parameters())

    def test_stopped_and_resumed_equals_unstopped(
        self, photos: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original, taken = dcgan.train_step, 0

        def counted(*arguments: object) -> dict[str, torch.Tensor]:
            nonlocal taken
            taken += 1
            if taken == 3:
                os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C in the middle of a step
            return original(*arguments)  # type: ignore[arg-type]  # passed on

        monkeypatch.setattr(dcgan, "train_step", counted)
        run = tmp_path / "run"

        def go_on(resume: bool, max_minutes: float | None = None) -> bool:
            read = Photos([photos], RECIPE)
            return train_dcgan(
                RECIPE, read, run, samples=SAMPLES, resume=resume, max_minutes=max_minutes,
                device="cpu", quiet=True,
            )  # fmt: skip

        assert [go_on(False), go_on(True, 0), go_on(True)] == [False, False, True]
        assert taken == 8
        ours, theirs = (checkpoint.load(r / checkpoint.LAST) for r in (run, finished))
        assert ours[1] == theirs[1]
        assert ours[0].keys() == theirs[0].keys()
        assert all(torch.equal(ours[0][name], theirs[0][name]) for name in theirs[0])

    def test_it_learns_the_colour_of_its_photographs(self, tmp_path: Path) -> None:
        folder = tmp_path / "photos"
        folder.mkdir()
        for number in range(10):
            colour = (200 + number, 40 + number, 120)
            Image.new("RGB", (40, 40), colour).save(folder / f"{number}.png")
        recipe = dataclasses.replace(RECIPE, size=8, batch=8, checkpoint_every=1000)
        train_dcgan(recipe, [folder], tmp_path / "run", samples=8 * 200, device="cpu", quiet=True)
        generator, _, _ = load_dcgan(tmp_path / "run" / checkpoint.LAST)
        made = generator(dcgan.latents(recipe, 0, 64)).mean((0, 2, 3))
        wanted = torch.tensor([204.5, 44.5, 120]) / 127.5 - 1
        assert (made - wanted).abs().max() < 0.3  # 0.65 at the start, a grey

    def test_the_losses_of_a_step_by_hand(self) -> None:
        pair = dcgan._pair(RECIPE, torch.device("cpu"))
        before = copy.deepcopy(pair)
        image, z = torch.rand(4, 3, 16, 16), dcgan.latents(RECIPE, 0, 4)
        scalars = dcgan.train_step(pair, image, z, torch.Generator().manual_seed(1))
        # BN makes a batch of photographs and one of generated images two calls.
        real = before.discriminator.layers(image).sigmoid().flatten()
        fake = before.discriminator.layers(before.generator(z)).sigmoid().flatten()
        label = 0.8 + 0.2 * torch.rand(4, generator=torch.Generator().manual_seed(1))
        terms = -label * real.log() - (1 - label) * (1 - real).log() - (1 - fake).log()
        torch.testing.assert_close(scalars["disc"], terms.mean().detach())
        # The generator is judged by the discriminator after its step, with the same images.
        fake = copy.deepcopy(pair.discriminator).layers(before.generator(z)).sigmoid()
        torch.testing.assert_close(scalars["gen"], -fake.log().mean().detach())

    def test_z_is_a_function_of_seed_and_step(self) -> None:
        one = dcgan.latents(RECIPE, 3, 1000)
        assert torch.equal(one, dcgan.latents(RECIPE, 3, 1000))
        assert not torch.equal(one, dcgan.latents(RECIPE, 4, 1000))
        assert not torch.equal(one, dcgan.latents(dataclasses.replace(RECIPE, seed=1), 3, 1000))
        assert -1 <= one.min() < -0.99
        assert 0.99 < one.max() <= 1

    def test_nan_stops_and_keeps_the_last_good_checkpoint(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = dcgan.latents

        def poisoned(recipe: recipes.Recipe, number: int, count: int) -> torch.Tensor:
            return original(recipe, number, count) * (float("nan") if number == 5 else 1)

        monkeypatch.setattr(dcgan, "latents", poisoned)
        with pytest.raises(FinefillError, match=r"step 6: .* is nan"):
            train_dcgan(RECIPE, [photos], tmp_path, samples=SAMPLES, device="cpu", quiet=True)
        assert checkpoint.load(tmp_path / checkpoint.LAST)[1]["step"] == 4

    def test_what_does_not_fit_is_refused(
        self, photos: Path, finished: Path, tmp_path: Path
    ) -> None:
        def train(recipe: recipes.Recipe, data: Path, run: Path, resume: bool = False) -> None:
            train_dcgan(
                recipe, [data], run, samples=SAMPLES, resume=resume, device="cpu", quiet=True
            )

        with pytest.raises(FinefillError, match="holds a run already"):
            train(RECIPE, photos, finished)
        two = dataclasses.replace(
            RECIPE, generator="plus", discriminator="patch", other_sizes=(32,)
        )
        with pytest.raises(FinefillError, match="has one size"):
            train(two, photos, tmp_path / "two")
        with pytest.raises(FinefillError, match=r"recipe tiny: .* got 24"):
            train(dataclasses.replace(RECIPE, size=24), photos, tmp_path / "new")
        checkpoint.save(tmp_path / checkpoint.LAST, {"a": torch.ones(1)}, {"step": 1})
        with pytest.raises(FinefillError, match="not the checkpoint of a DCGAN"):
            train(RECIPE, photos, tmp_path, resume=True)
        with pytest.raises(FinefillError, match="not the checkpoint of a DCGAN"):
            load_dcgan(tmp_path / checkpoint.LAST)
        other = tmp_path / "photos"
        other.mkdir()
        for number in range(6):
            Image.new("RGB", (40, 40), (number, 0, 0)).save(other / f"{number}.png")
        with pytest.raises(FinefillError, match="other photographs"):
            train(RECIPE, other, finished, resume=True)


class TestSearch:
    def picture(self, generator: LatentGenerator) -> Pixels:
        """An image that the generator can make."""
        z = 1.6 * torch.rand(1, generator.latent, generator=torch.Generator().manual_seed(7)) - 0.8
        with torch.no_grad():
            made: NDArray[np.float32] = (
                copy.deepcopy(generator).eval()(z)[0].permute(1, 2, 0).numpy()
            )
        pixels: Pixels = np.rint((made + 1) * 127.5).astype(np.uint8)
        return pixels

    def loss(
        self,
        pair: Nets,
        image: Pixels,
        mask: Mask,
        z: torch.Tensor,
    ) -> float:
        """The contextual loss, computed once more in NumPy."""
        with torch.no_grad():
            made = copy.deepcopy(pair[0]).eval()(z[None])[0].permute(1, 2, 0).numpy()
        distance = np.abs(made - (image / 127.5 - 1)).sum(axis=2)
        return float((nearness(mask, 3) * distance).sum())  # 7 at 64 pixels are 3 at 16

    def test_known_pixels_and_the_hole_are_reached(self, pair: Nets) -> None:
        image, mask = self.picture(pair[0]), hole(3, 4, 9, 8)
        z = latent.first_z(pair[0], 1, 0)
        nets = frozen(pair)
        found = search(*nets, image, mask, steps=200, rate=0.05, prior=0.003, z=z)
        start, end = self.loss(pair, image, mask, z[0]), self.loss(pair, image, mask, found)
        assert end < 0.2 * start
        assert found.abs().max() <= 1

        pasted = latent_search(*pair, steps=0, blend=False)(image, mask)
        completed = latent_search(*pair, steps=200, rate=0.05, blend=False)(image, mask)
        errors = [np.abs(c.astype(int) - image)[mask].mean() for c in (pasted, completed)]
        assert errors[1] < 0.3 * errors[0]

    @pytest.mark.parametrize("blend", [False, True])
    def test_it_changes_the_hole_only_and_depends_on_nothing_else(
        self, pair: Nets, blend: bool
    ) -> None:
        rng = np.random.default_rng(1)
        image, mask = rng.integers(0, 256, (16, 16, 3), np.uint8), hole(0, 5, 7, 11)
        damaged = image.copy()
        damaged[mask] = 127
        fill = latent_search(*pair, steps=5, starts=2, blend=blend)
        completed = fill(damaged, mask)
        assert completed.dtype == np.uint8
        assert (completed[~mask] == image[~mask]).all()
        assert (completed[mask] != 127).any()
        assert (fill(damaged, mask) == completed).all()
        assert (fill(image, mask) == completed).all()  # what is in the hole does not matter
        other = latent_search(*pair, steps=5, starts=2, blend=blend, seed=1)
        assert (other(damaged, mask) != completed).any()
        assert (damaged[mask] == 127).all()  # the caller's arrays and networks stay as they are
        assert pair[0].training
        assert all(p.requires_grad and p.grad is None for net in pair for p in net.parameters())

    def test_several_starts_keep_the_best(self, pair: Nets) -> None:
        image, mask = self.picture(pair[0]), hole(4, 4, 8, 8)
        nets = frozen(pair)
        z = latent.first_z(pair[0], 4, 2)

        def run(z: torch.Tensor) -> torch.Tensor:
            return search(*nets, image, mask, steps=10, rate=0.05, prior=0.0, z=z)

        singles = [run(one[None]) for one in z]
        best = min(singles, key=lambda one: self.loss(pair, image, mask, one))
        torch.testing.assert_close(run(z), best, atol=1e-4, rtol=0)

    def test_the_prior_makes_images_more_real(self, pair: Nets) -> None:
        image, mask = self.picture(pair[0]), hole(4, 4, 8, 8)
        nets = frozen(pair)
        torch.nn.init.normal_(nets[1].layers[-1].weight, 0.0, 6.0)  # type: ignore[arg-type]  # its own weight
        logits = []
        for prior in (0.0, 100.0):
            z = latent.first_z(pair[0], 1, 0)
            z = search(*nets, image, mask, steps=30, rate=0.05, prior=prior, z=z)
            logits.append(nets[1].layers(nets[0](z[None])).item())
        assert logits[1] > logits[0] + 0.1

    def test_losses_by_hand(self) -> None:
        made = torch.zeros(2, 3, 1, 2)
        made[1, :, 0, 1] = torch.tensor([0.5, -0.5, 1.0])
        weight = torch.tensor([[1.0, 0.25]])
        assert latent.contextual(made, torch.zeros(3, 1, 2), weight).tolist() == [0.0, 0.5]

        judge = Discriminator(8, 2).eval()
        torch.nn.init.zeros_(judge.layers[-1].weight)  # type: ignore[arg-type]  # its own weight
        torch.nn.init.constant_(judge.layers[-1].bias, np.log(3))  # type: ignore[arg-type]  # its own bias
        # D = 3/4: log(1 - D) = -log 4
        assert latent.realism(judge, torch.zeros(1, 3, 8, 8)).item() == pytest.approx(-np.log(4))

    def test_what_does_not_fit_is_refused(
        self, pair: Nets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill = latent_search(*pair, steps=1)
        image = np.zeros((16, 16, 3), np.uint8)
        with pytest.raises(FinefillError, match="20x16 pixels, the DCGAN makes 16x16"):
            fill(np.zeros((16, 20, 3), np.uint8), np.ones((16, 20), bool))
        with pytest.raises(FinefillError, match="covers all"):
            fill(image, np.ones((16, 16), bool))
        assert (fill(image, np.zeros((16, 16), bool)) == 0).all()
        monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
        with pytest.raises(FinefillError, match="SciPy is not installed"):
            latent_search(*pair)


class TestWeights:
    def test_around_one_missing_pixel(self) -> None:
        expected = np.zeros((5, 5))
        expected[1:4, 1:4] = 1 / 9
        expected[2, 2] = 0  # the hole itself
        np.testing.assert_allclose(nearness(hole(2, 2, 1, 1, 5), 3), expected)

    def test_in_a_corner_only_what_exists_counts(self) -> None:
        expected = np.array([[0, 1 / 6, 0], [1 / 6, 1 / 9, 0], [0, 0, 0]])
        np.testing.assert_allclose(nearness(hole(0, 0, 1, 1, 3), 3), expected)

    def test_it_falls_off_over_three_pixels(self) -> None:
        weights = nearness(hole(0, 32, 64, 32, 64), 7)
        np.testing.assert_allclose(weights[30, 27:33], [0, 0, 1 / 7, 2 / 7, 3 / 7, 0])


HOLES = {
    "even": hole(20, 22, 24, 20, 64),
    "odd": hole(19, 21, 23, 25, 64),
    "corner": hole(0, 0, 24, 25, 64),
    "bottom": hole(41, 20, 23, 24, 64),
    "across": hole(20, 0, 16, 64, 64),
    "two": hole(2, 3, 5, 6, 64) | hole(40, 41, 24, 23, 64),
    "strokes": masks.random_strokes(np.random.default_rng(3), 64, 64),
    "one left": ~hole(63, 63, 1, 1, 64),
}


class TestBlending:
    @pytest.mark.parametrize("shift", [0, 23, -31])
    @pytest.mark.parametrize("name", HOLES)
    def test_a_shifted_copy_blends_into_the_original(self, name: str, shift: int) -> None:
        image = np.random.default_rng(5).integers(40, 216, (64, 64, 3), np.uint8)
        mask = HOLES[name]
        guide = (image.astype(int) + shift).astype(np.uint8)
        damaged = image.copy()
        damaged[mask] = 127
        assert (poisson_blend(guide, damaged, mask) == image).all()

    def test_a_row_by_hand(self) -> None:
        image = np.array([[10, 0, 0, 0, 50]], np.uint8)[..., None].repeat(3, axis=2)
        guide = np.array([[0, 5, 7, 1, 0]], np.uint8)[..., None].repeat(3, axis=2)
        mask = np.array([[False, True, True, True, False]])
        # The difference runs straight from 10 to 50: 20, 30, 40.
        assert poisson_blend(guide, image, mask)[0, :, 1].tolist() == [10, 25, 37, 41, 50]

    def test_one_pixel_takes_the_mean_of_its_neighbours(self) -> None:
        image = np.zeros((3, 3, 3), np.uint8)
        image[0, 1], image[1, 0], image[1, 2], image[2, 1] = 4, 8, 12, 16
        guide = np.full((3, 3, 3), 0, np.uint8)
        guide[1, 1] = (0, 100, 250)
        blended = poisson_blend(guide, image, hole(1, 1, 1, 1, 3))
        assert blended[1, 1].tolist() == [10, 110, 255]  # clipped, not wrapped
        assert poisson_blend(guide, image, hole(0, 0, 1, 1, 3))[0, 0].tolist() == [6, 6, 6]

    def test_it_solves_the_poisson_equation(self) -> None:
        rng = np.random.default_rng(6)
        small = rng.integers(60, 200, (2, 1, 3, 5, 5)).astype(np.float32)
        smooth = F.interpolate(torch.from_numpy(small).flatten(0, 1), (64, 64), mode="bilinear")
        image, guide = smooth.permute(0, 2, 3, 1).round().numpy().astype(np.uint8)
        mask = HOLES["even"]
        blended = poisson_blend(guide, image, mask).astype(float)

        def laplacian(a: NDArray[np.float64]) -> NDArray[np.float64]:
            total = sum(np.roll(a, s, axis) for s in (1, -1) for axis in (0, 1))
            return np.asarray(total - 4 * a)[mask]

        # Rounding to grey levels moves each of the five values by at most a half.
        assert np.abs(laplacian(blended) - laplacian(guide.astype(float))).max() <= 4
        assert np.abs(blended - image)[mask].mean() > 5  # the guide's content, not the image's
