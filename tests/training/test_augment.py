"""One augmentation for both images that the discriminator compares."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from finefill.data import recipes
from finefill.errors import FinefillError
from finefill.nets import PatchDiscriminator
from finefill.training import augment, loop, schedule, steps
from tests.training.runs import RECIPE, same
from tests.training.test_steps import second_stage

KINDS = ("colour", "shift", "cutout")


def test_colours_by_hand() -> None:
    """Red 0.3, green 0, blue -0.3: grey 0. Then 1.5 (0 + 2 (x - 0) + 0.1)."""
    image = torch.tensor([0.3, 0.0, -0.3]).view(1, 3, 1, 1)
    found = augment.coloured(image, torch.tensor([[0.1, 2.0, 1.5]]))
    torch.testing.assert_close(found.flatten(), torch.tensor([1.05, 0.15, -0.75]))
    grey = augment.coloured(image + 0.5, torch.tensor([[0.0, 0.0, 1.0]]))
    torch.testing.assert_close(grey.flatten(), torch.full((3,), 0.5))


def test_a_shift_moves_whole_pixels() -> None:
    """Of 16 rows and 8 columns: 2 down and 1 to the left; the other image stays."""
    image = torch.rand(2, 3, 16, 8)
    found = augment.shifted(image, torch.tensor([[0.125, -0.125], [0.0, 0.0]]))
    assert torch.equal(found[0, :, 2:, :-1], image[0, :, :-2, 1:])
    assert not found[0, :, :2].any()
    assert not found[0, :, :, -1].any()
    assert torch.equal(found[1], image[1])


def test_a_square_is_cut_out() -> None:
    """Half of the sides, centred at a quarter of the rows and at the right edge."""
    expected = torch.ones(8, 16)
    expected[:4, 12:] = 0
    assert torch.equal(augment.kept((8, 16), torch.tensor([[0.25, 1.0]]))[0, 0], expected)


def test_numbers_lie_in_their_ranges_and_a_kind_gets_the_same_alone() -> None:
    drawn = augment.draw(KINDS, 4000, torch.Generator().manual_seed(0))
    assert drawn.colour is not None
    assert drawn.shift is not None
    assert drawn.cut is not None
    lows, highs = drawn.colour.amin(0), drawn.colour.amax(0)
    torch.testing.assert_close(lows, torch.tensor([-0.5, 0.0, 0.5]), atol=0.01, rtol=0)
    torch.testing.assert_close(highs, torch.tensor([0.5, 2.0, 1.5]), atol=0.01, rtol=0)
    assert drawn.shift.abs().max().item() == pytest.approx(0.125, abs=1e-3)
    assert (drawn.cut.amin().item(), drawn.cut.amax().item()) == pytest.approx((0, 1), abs=1e-3)
    alone = augment.draw(("shift",), 4000, torch.Generator().manual_seed(0))
    assert alone.colour is alone.cut is None
    assert alone.shift is not None
    assert torch.equal(alone.shift, drawn.shift)


def test_both_images_stay_equal_outside_the_hole_and_gradients_pass() -> None:
    original = torch.rand(4, 3, 32, 32) * 2 - 1
    mask = torch.zeros(4, 1, 32, 32)
    mask[..., 10:20, 6:18] = 1
    fill = torch.zeros(4, 3, 32, 32, requires_grad=True)
    completed = mask * fill + (1 - mask) * original
    drawn = augment.draw(KINDS, 4, torch.Generator().manual_seed(2))
    one, other, hole = drawn.image(original), drawn.image(completed), drawn.mask(mask)
    assert torch.equal(hole, hole.round())
    outside = (hole == 0).expand_as(one)
    assert torch.equal(one[outside], other[outside])
    assert not torch.equal(one, other)
    other.sum().backward()
    assert fill.grad is not None
    # A pixel still seen gets contrast * (grey's third + ...): summed over channels, the contrast.
    assert drawn.colour is not None
    seen = hole.sum((1, 2, 3))
    torch.testing.assert_close(fill.grad.sum((1, 2, 3)), 3 * drawn.colour[:, 2] * seen)


def test_the_judge_sees_what_was_augmented(photos: Path) -> None:
    recipe = dataclasses.replace(
        RECIPE, discriminator="patch", matching_proportion=1.0, augment=KINDS
    )
    parts, batch = second_stage(recipe, photos)
    judge = parts.discriminator
    assert isinstance(judge, PatchDiscriminator)
    judge.eval()  # spectral normalisation does not go on between two looks
    scene = steps.see(parts, *batch, source=schedule.label_source(recipe, 7))
    drawn = augment.draw(KINDS, len(batch[0]), schedule.label_source(recipe, 7))
    hole = drawn.mask(scene.mask)
    for completed, image in ((False, scene.original), (True, scene.completed)):
        found, _ = steps.discriminate(parts, scene, completed=completed)
        assert torch.equal(found, judge(drawn.image(image), hole))
    with_it = steps.generator_terms(parts, scene)
    plain = steps.generator_terms(
        parts, dataclasses.replace(scene, judged=steps.judged(parts, scene, None))
    )
    assert torch.equal(with_it["rec"], plain["rec"])  # what nobody judges stays
    assert not torch.equal(with_it["adv"], plain["adv"])
    assert not torch.equal(with_it["match"], plain["match"])
    held_out = steps.see(parts, *batch)  # validation
    found, _ = steps.discriminate(parts, held_out, completed=False)
    assert torch.equal(found, judge(batch[0], batch[1]))


def test_a_run_with_it_goes_on_as_if_never_stopped(photos: Path, tmp_path: Path) -> None:
    recipe = recipes.override(
        RECIPE, ['augment=["colour","shift","cutout"]', "discriminator=patch"]
    )
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    assert loop.train(recipe, [photos], whole, device="cpu", quiet=True)
    assert not loop.train(recipe, [photos], parted, device="cpu", quiet=True, max_minutes=0)
    assert loop.train(recipe, [photos], parted, device="cpu", quiet=True, resume=True)
    assert same(whole, parted)


@pytest.mark.parametrize(
    ("change", "message"),
    [('augment=["colour","noise"]', "augment knows"), ("discriminator=local", "image or patch")],
)
def test_settings_that_do_not_fit(change: str, message: str) -> None:
    recipe = recipes.override(recipes.tiny(), ['augment=["colour"]'])
    with pytest.raises(FinefillError, match=message):
        recipes.override(recipe, [change])
