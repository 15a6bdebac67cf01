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
