"""One step: what it averages, measures and adds up."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from finefill.data import recipes
from finefill.data.photos import Photos, validation_batches
from finefill.errors import FinefillError
from finefill.nets import PatchDiscriminator, around_holes
from finefill.training import augment, balance, losses, schedule, stages, steps
from finefill.training.batches import to_device
from tests.training.runs import CPU, RECIPE


def second_stage(
    recipe: recipes.Recipe, photos: Path
) -> tuple[steps.Parts, tuple[torch.Tensor, torch.Tensor]]:
    """All networks of a recipe with fresh weights, and a batch of images and masks."""
    source = Photos([photos], RECIPE)
    batch = to_device(*next(validation_batches(source, RECIPE)), CPU)
    parts = stages.first_stage(recipe, CPU)
    stages.second_stage(parts, source)
    return parts, batch


def test_average_follows_the_weights() -> None:
    kept, new = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(kept.weight, 1.0)
    torch.nn.init.constant_(new.weight, 3.0)
    steps.update_average(kept, new, 0.75)
    assert kept.weight.item() == 1.5


def test_psnr_by_hand() -> None:
    x, mask = torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2)
    assert steps.psnr(x, x + 0.2, mask).item() == pytest.approx(20.0, abs=1e-4)  # 4 / 0.04 = 100


def test_matching_is_the_distance_of_the_judges_features(photos: Path) -> None:
    """Mean over the hidden layers of |x - y| in the hole over the original's mean activation."""
    recipe = dataclasses.replace(RECIPE, discriminator="patch", matching_proportion=1.0)
    parts, batch = second_stage(recipe, photos)
    judge = parts.discriminator
    assert isinstance(judge, PatchDiscriminator)
    judge.eval()  # spectral normalisation does not go on between two looks
    scene = steps.see(parts, *batch)
    expected, x, y = 0.0, scene.original, scene.completed.detach()
    layers = list(judge.layers)
    for conv, activation in zip(layers[:-1:2], layers[1::2], strict=True):
        x, y = activation(conv(x)), activation(conv(y))
        hole = torch.nn.functional.avg_pool2d(batch[1], batch[1].shape[-1] // x.shape[-1])
        inside = ((x - y).abs() * hole).sum() / (hole.sum() * x.shape[1])
        expected += (inside / x.abs().mean()).item() / 4
    terms = steps.generator_terms(parts, scene)
    assert terms["match"].item() == pytest.approx(expected, rel=1e-4)
    assert torch.equal(layers[-1](x), judge(scene.original, scene.mask))
    before = [p.detach().clone() for p in judge.parameters()]
    judge.requires_grad_(False)
    terms["match"].backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    assert any(p.grad is not None and p.grad.any() for p in parts.generator.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, judge.parameters(), strict=True))
    for wrong in ("discriminator=image", "adversarial_proportion=0"):
        with pytest.raises(FinefillError, match="matching_proportion needs"):
            recipes.override(recipe, [wrong])


@pytest.mark.parametrize("adversarial", ["paper", "relativistic"])
def test_one_pass_of_the_judge_gives_both_its_terms(adversarial: str, photos: Path) -> None:
    """Scalars and gradients are those of a pass for each term; an image passes once a step."""
    recipe = dataclasses.replace(
        RECIPE, discriminator="patch", adversarial=adversarial, matching_proportion=1.0
    )
    parts, batch = second_stage(recipe, photos)
    judge = parts.discriminator
    assert isinstance(judge, PatchDiscriminator)
    judge.eval().requires_grad_(False)  # spectral normalisation does not go on between two looks
    scene = steps.see(parts, *batch)
    weights = list(parts.generator.parameters())
    share = judge.hole_share(scene.mask)
    with torch.no_grad():
        original = judge.features(scene.original)
        original_logits = judge(scene.original, scene.mask)
    logits = judge(scene.completed, scene.mask)
    if adversarial == "relativistic":
        logits = logits - original_logits
    layers = dict.fromkeys(original, 0.25)
    apart = {
        "adv": losses.adversarial(logits, share),
        "match": losses.perceptual(original, judge.features(scene.completed), scene.mask, layers),
    }
    passes: list[torch.Size] = []
    judge.layers[0].register_forward_hook(lambda module, seen, found: passes.append(found.shape))
    together = steps.generator_terms(parts, scene)
    assert len(passes) == 2  # the original and the completed image
    for name, term in apart.items():
        torch.testing.assert_close(together[name], term)
        wanted = torch.autograd.grad(term, weights, retain_graph=True)
        found = torch.autograd.grad(together[name], weights, retain_graph=True)
        torch.testing.assert_close(found, wanted)
        assert any(gradient.any() for gradient in found)
    balanced = balance.gradient_norms(together, weights)
    for name, term in apart.items():
        assert balanced[name] == pytest.approx(balance.gradient_norms({"": term}, weights)[""])
    passes.clear()
    parts.lambdas = {"adv": 0.5, "match": 0.5}
    steps.train_step(parts, *batch, schedule.label_source(recipe, 0))
    assert len(passes) == 4  # two of the discriminator's own step, two of the generator's


def test_windows_scale_with_the_batch(photos: Path) -> None:
    recipe = dataclasses.replace(
        RECIPE,
        generator="plus",
        discriminator="patch",
        perceptual_window=20,
        discriminator_window=16,
        other_sizes=(48,),
    )
    parts, _ = second_stage(recipe, photos)
    for side, window in ((32, 20), (48, 30)):
        mask = torch.zeros(1, 1, side, side)
        mask[..., 4:12, 8:20] = 1
        scene = steps.see(parts, torch.rand(1, 3, side, side), mask)
        assert scene.window is not None
        assert scene.window.shape == (1, 1, window, window)
        assert scene.window.sum() == mask.sum()
        assert scene.judged is not None
        assert scene.judged.mask.shape == (1, 1, side // 2, side // 2)
        logits, _ = steps.discriminate(parts, scene, completed=True)
        assert logits.shape == (1, 1, side // 16, side // 16)
    mask = torch.ones(1, 1, 56, 56)
    scene = steps.see(parts, torch.rand(1, 3, 56, 56), mask)
    assert scene.judged is not None
    assert scene.judged.mask.shape == (1, 1, 32, 32)  # 28 pixels, in whole cells of 8
    for wrong in ("discriminator=features", "discriminator_window=20"):
        with pytest.raises(FinefillError, match="discriminator_window "):
            recipes.override(recipe, [wrong])


def test_the_judges_window_is_around_the_hole_that_augmentation_leaves(photos: Path) -> None:
    recipe = dataclasses.replace(
        RECIPE, discriminator="patch", augment=("shift",), discriminator_window=16
    )
    parts, (image, mask) = second_stage(recipe, photos)
    scene = steps.see(parts, image, mask, source=schedule.label_source(recipe, 3))
    drawn = augment.draw(("shift",), len(mask), schedule.label_source(recipe, 3))
    moved = drawn.image(scene.original), drawn.image(scene.completed), drawn.mask(mask)
    assert scene.judged is not None
    for found, expected in zip(scene.judged, around_holes(*moved, 16), strict=True):
        assert torch.equal(found, expected)
    still = around_holes(scene.original, scene.completed, mask, 16)
    assert not torch.equal(scene.judged.original, still[0])


def test_a_relativistic_judge_compares_the_pair(photos: Path) -> None:
    """Both steps take the difference of the same cells' logits, each with its own sign."""
    recipe = dataclasses.replace(RECIPE, discriminator="patch", adversarial="relativistic")
    parts, batch = second_stage(recipe, photos)
    judge = parts.discriminator
    assert isinstance(judge, PatchDiscriminator)
    judge.eval()  # spectral normalisation does not go on between two looks
    scene = steps.see(parts, *batch)
    with torch.no_grad():
        margin = judge(scene.original, scene.mask) - judge(scene.completed, scene.mask)
    share = judge.hole_share(scene.mask)

    def expected(margin: torch.Tensor) -> float:
        return float((-margin.sigmoid().log() * share).sum() / share.sum())

    found = steps.generator_terms(parts, scene)["adv"].item()
    assert found == pytest.approx(expected(-margin), rel=1e-5)
    scalars = steps.discriminator_step(parts, scene, schedule.label_source(recipe, 0))
    assert scalars["disc"].item() == pytest.approx(expected(margin), rel=1e-5)
    with pytest.raises(FinefillError, match="adversarial must be"):
        recipes.override(recipe, ["adversarial=wgan"])


@pytest.mark.parametrize("discriminator", ["patch", "features"])
def test_the_loss_adds_what_a_step_looks_at(discriminator: str, photos: Path) -> None:
    """Eq. 1 from the terms that are logged; the perceptual one twice as much every second step."""
    every = 2 if discriminator == "patch" else 1
    recipe = dataclasses.replace(
        RECIPE, discriminator=discriminator, judged_layers=("relu1_2",), perceptual_every=every
    )
    parts, batch = second_stage(recipe, photos)
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
