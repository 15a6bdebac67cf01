"""Learning rates as functions of the step."""

from __future__ import annotations

import dataclasses

import pytest

from finefill.training import schedule
from tests.training.runs import RECIPE


def test_learning_rates_follow_the_polynomial() -> None:
    recipe = dataclasses.replace(RECIPE, rec_rates=(1.0, 0.2), all_rates=(0.5, 0.1))
    assert schedule.rates(recipe, 0) == (1.0, 0.0)
    assert schedule.rates(recipe, recipe.rec_steps // 2)[0] == pytest.approx(0.6)
    assert schedule.rates(recipe, recipe.rec_steps)[0] == 0.5
    assert schedule.polynomial(1.0, 0.0, 0.5, 2.0) == 0.25


def test_what_is_due_every_so_many_steps_of_the_second_stage() -> None:
    """4 steps of the first stage; the perceptual term in every third, a measurement every fifth."""
    recipe = dataclasses.replace(
        RECIPE, batch=2, rec_samples=8, all_samples=40, perceptual_every=3, balance_every=5
    )
    steps = range(recipe.rec_steps, recipe.total_steps)
    assert (steps.start, steps.stop) == (4, 24)
    due = [step for step in steps if schedule.perceptual_due(recipe, step)]
    assert due == [4, 7, 10, 13, 16, 19, 22]
    assert [step for step in steps if schedule.rebalance_due(recipe, step)] == [9, 14, 19]
    once = dataclasses.replace(recipe, balance_every=0)
    assert not any(schedule.rebalance_due(once, step) for step in steps)
