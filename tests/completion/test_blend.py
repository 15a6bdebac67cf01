"""Fills that meet the photograph at the hole's edge."""

import numpy as np
import pytest
from numpy.typing import NDArray

from finefill.completion.blend import meet_edges, spread


def square(side: int, hole: int) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), bool)
    first = (side - hole) // 2
    mask[first : first + hole, first : first + hole] = True
    return mask


def test_a_fill_of_another_tone_gets_the_tone_around_it() -> None:
    known, hole = np.full((96, 96, 3), 100, np.float32), square(96, 60)
    met = meet_edges(known, known + 40, hole, 2)
    np.testing.assert_allclose(met[hole], 100, atol=1e-3)


def test_a_fill_that_goes_on_already_stays() -> None:
    known, hole = np.full((50, 50, 3), 100, np.float32), square(50, 20)
    np.testing.assert_allclose(meet_edges(known, known, hole, 1)[hole], 100, atol=1e-3)


def test_the_shift_goes_smoothly_from_one_side_to_the_other() -> None:
    ramp = np.linspace(0, 200, 96, dtype=np.float32)
    known = np.repeat(np.tile(ramp, (96, 1))[..., None], 3, axis=2)
    hole = square(96, 60)
    met = meet_edges(known, np.full_like(known, 100), hole, 1)[48, 18:78, 0]
    assert met[0] == pytest.approx(known[48, 18, 0], abs=6)
    assert met[-1] == pytest.approx(known[48, 77, 0], abs=6)
    assert np.diff(met).min() > -1
    assert met[30] == pytest.approx(100, abs=10)


def test_texture_of_the_fill_stays() -> None:
    known, hole = np.full((96, 96, 3), 100, np.float32), square(96, 60)
    fill = known + np.where(np.indices((96, 96)).sum(0) % 2, 10, -10)[..., None]
    met = meet_edges(known, fill.astype(np.float32), hole, 2)
    inner = square(96, 40)
    assert met[inner].std() == pytest.approx(10, abs=0.5)


def test_a_hole_at_the_border_of_the_photo() -> None:
    known, hole = np.full((40, 31, 3), 60, np.float32), np.zeros((40, 31), bool)
    hole[:20, :15] = True
    met = meet_edges(known, known + 30, hole, 2)
    np.testing.assert_allclose(met[hole], 60, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (17, 40), (64, 64)])
def test_spread_keeps_values_and_stays_within_their_range(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    weight = (random.random((*shape, 1)) < 0.2).astype(np.float32)
    weight[0, 0] = 1
    values = random.uniform(-50, 50, (*shape, 3)).astype(np.float32) * weight
    found = spread(values, weight)
    known = weight[..., 0] == 1
    np.testing.assert_allclose(found[known], values[known], atol=1e-4)
    low, high = values[known].min(0), values[known].max(0)
    assert (found >= low - 1e-3).all()
    assert (found <= high + 1e-3).all()


def test_nothing_known_gives_zeros() -> None:
    assert not spread(np.zeros((9, 9, 3), np.float32), np.zeros((9, 9, 1), np.float32)).any()
