"""The plan of a photo: which windows, at which scale, in which order. No pixel is computed here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from finefill.completion.plan import (
    Box,
    Window,
    bounds,
    extent,
    groups,
    largest_input,
    plan,
    wholes,
    window_around,
)
from tests.completion.pictures import drawn
from tests.conftest import CARD

Mask = NDArray[np.bool_]


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Boxes of all sizes, and pixels strewn over a part."""
    height, width = draw(st.integers(16, 700)), draw(st.integers(16, 700))
    mask = np.zeros((height, width), bool)
    for _ in range(draw(st.integers(0, 6))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        bottom, right = draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width))
        mask[top:bottom, left:right] = True
    strewn = draw(st.sampled_from([0, 1e-4, 1e-2]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return np.asarray(mask | (rng.random((height, width)) < strewn))


CARDS = st.sampled_from(
    [
        CARD,
        {**CARD, "detail": False},
        {**CARD, "detail": False, "recipe": {"name": "faces"}},
        {**CARD, "trained_size": 256, "hole_range": [60, 150], "size_multiple": 32},
        {**CARD, "trained_size": 64, "hole_range": [8, 63], "size_multiple": 1},
        {**CARD, "trained_size": 512, "hole_range": [16, 256], "fixed_size": [512, 512]},
        {**CARD, "trained_size": 64, "hole_range": [1, 63], "fixed_size": [64, 160]},
    ]
)


def most_of(card: dict[str, Any]) -> list[int]:
    """The (height, width) that a network takes."""
    return card.get("fixed_size", [largest_input(card)] * 2)


@settings(max_examples=60, deadline=None)
@given(mask=masks(), card=CARDS)
def test_every_pixel_has_one_window_and_every_window_fits(mask: Mask, card: dict[str, Any]) -> None:
    height, width = mask.shape
    filled = np.zeros(mask.shape, int)
    turns = []
    for window in plan(mask, card):
        box, hole = window.box, window.hole
        assert 0 <= box.top <= hole.top < hole.bottom <= box.bottom <= height
        assert 0 <= box.left <= hole.left < hole.right <= box.right <= width
        filled[hole.slices] += mask[hole.slices]
        multiple = card["size_multiple"]
        assert all(side <= most for side, most in zip(window.size, most_of(card), strict=True))
        enlarged = max(1, min(2, 128 / min(mask.shape))) if card.get("recipe") else 1
        for side, full in zip(window.size, box.shape, strict=True):
            assert 16 <= side <= round(full * enlarged)
            assert -(-side // multiple) * multiple <= largest_input(card)
        assert 0 < window.scale <= enlarged + 0.01
        assert hole.side * window.scale <= card["hole_range"][1] + 1 or 16 in window.size
        turns.append(window.turn)
    np.testing.assert_array_equal(filled, mask)
    assert turns == sorted(turns)


def test_the_scale_of_a_narrow_window_is_that_of_its_length() -> None:
    """Its width of 75 pixels becomes 19, of 19.4, which says less."""
    mask = np.zeros((310, 75), bool)
    mask[:, :70] = True
    (window,) = plan(mask, CARD)
    assert window.size == (80, 19)
    assert window.scale == 80 / 310


@pytest.mark.parametrize(
    ("shape", "side", "size"),
    [
        ((89, 109), 40, (128, 128)),  # 89 pixels of it are seen at 128
        ((64, 64), 32, (128, 128)),
        ((40, 50), 20, (80, 100)),  # at most twice as large
        ((89, 89), 70, (102, 102)),  # 70 become 80, the largest hole
        ((128, 200), 40, (128, 128)),
    ],
)
def test_what_is_smaller_than_the_trained_size_is_enlarged(
    shape: tuple[int, int], side: int, size: tuple[int, int]
) -> None:
    mask = np.zeros(shape, bool)
    mask[4 : 4 + side, 4 : 4 + side] = True
    (window,) = plan(mask, {**CARD, "detail": False, "recipe": {"name": "faces"}})
    assert window.size == size
    (window,) = plan(mask, {**CARD, "detail": False})  # a network of others
    assert window.size == window.box.shape


@settings(max_examples=30, deadline=None)
@given(mask=masks())
def test_windows_of_a_turn_need_nothing_from_each_other(mask: Mask) -> None:
    windows = plan(mask, CARD)
    turn_of = {window.hole: window.turn for window in windows}
    assert len(turn_of) == len(windows)
    for window in windows:
        assert all(turn_of[hole] < window.turn for hole in window.known)
        if window.turn:  # no later than it must be
            assert max(turn_of[hole] for hole in window.known) == window.turn - 1


def test_scales() -> None:
    """CARD: trained at 128x128 with holes up to 80 pixels; its detail comes from around them."""
    shape = (1000, 1000)
    cases = {
        4: (64, 64),  # half the trained size at least
        24: (72, 72),  # three times the hole
        50: (80, 80),  # five eighths of the trained size, as long as that is enough
        67: (112, 112),  # 1.6 times the hole, rounded up to a multiple of 8
        80: (128, 128),
        100: (160, 128),  # from here on at a reduced scale
        400: (640, 128),
    }
    for side, (window, size) in cases.items():
        (one,) = plan(drawn(shape, (300, 300, side, side)), CARD)
        assert one.hole == Box(300, 300 + side, 300, 300 + side)
        assert one.box.shape == (window, window)
        assert one.size == (size, size)
        assert one.scale == pytest.approx(size / window)
    (small,) = plan(drawn(shape, (300, 300, 4, 4)), {**CARD, "detail": False})
    assert small.size == (128, 128)
    (large,) = plan(drawn(shape, (300, 300, 80, 80)), {**CARD, "detail": False})
    assert large.size == (160, 160)  # twice the hole


def test_at_the_photos_edge_the_window_is_pushed_inside() -> None:
    (window,) = plan(drawn((150, 2000), (100, 1950, 50, 50)), CARD)
    assert window == Window(Box(70, 150, 1920, 2000), Box(100, 150, 1950, 2000), (80, 80))


def test_far_holes_share_a_turn_and_near_ones_take_turns() -> None:
    far = plan(drawn((1000, 1000), (100, 100, 60, 60), (800, 800, 60, 60)), CARD)
    assert [window.turn for window in far] == [0, 0]
    assert all(window.known == () for window in far)
    scratch = plan(drawn((1000, 200), (0, 100, 1000, 4)), CARD)
    assert len(scratch) == 13  # 1000 pixels by pieces of 80
    first, second, third, *_ = sorted(scratch, key=lambda window: window.hole.top)
    assert (first.turn, second.turn, third.turn) == (0, 1, 0)
    assert second.known == (first.hole, third.hole)
    assert max(window.size for window in scratch) == (128, 128)


def test_a_scratch_beside_a_hole_is_not_scaled_down_with_it() -> None:
    mask = drawn((600, 600), (200, 200, 200, 200), (180, 200, 4, 60))  # 16 rows between
    windows = plan(mask, CARD)
    assert [(window.hole, window.scale) for window in windows] == [
        (Box(180, 184, 200, 260), 1.0),
        (Box(200, 400, 200, 400), 0.4),
    ]


def test_a_band_of_subtitles_stays_at_the_photos_resolution() -> None:
    windows = plan(drawn((1080, 1920), (900, 0, 48, 1920)), CARD)
    assert len(windows) == 24  # 1920 pixels by pieces of 80
    assert {window.scale for window in windows} == {1.0}
    assert all(window.hole.shape == (48, 80) for window in windows)
    turns = [window.turn for window in sorted(windows, key=lambda window: window.hole.left)]
    assert turns == [0, 1] * 12  # every second one first: nothing runs through all of them


def test_of_a_crack_with_a_wide_spot_only_that_is_scaled_down() -> None:
    mask = drawn((1000, 2000), (500, 100, 4, 1800), (450, 900, 110, 110))
    windows = plan(mask, CARD)
    (spot,) = (window for window in windows if window.scale < 1)
    assert spot.hole == Box(450, 560, 884, 1026)  # and a quarter of a square of 65 on both sides
    assert spot.scale == pytest.approx(80 / 142, abs=0.01)
    assert windows[-1] == spot  # what is thin is surer, and known to it
    assert len(windows) == 1 + 10 + 11  # 784 and 874 pixels by pieces of 80
    assert all(window.hole.shape[0] == 4 for window in windows[:-1])


def test_many_specks_are_few_turns() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((1500, 2000)) < 2e-5
    windows = plan(mask, CARD)
    assert len(windows) > 25
    assert max(window.turn for window in windows) <= 2
    assert {window.scale for window in windows} == {1.0}


def test_an_empty_mask_needs_no_window() -> None:
    assert plan(np.zeros((30, 40), bool), CARD) == []


def test_the_extent_of_what_is_masked() -> None:
    mask = drawn((30, 40), (4, 20, 3, 5), (10, 7, 2, 2))
    assert extent(mask) == Box(4, 12, 7, 25)
    assert extent(np.zeros((30, 40), bool)) == Box(0, 0, 0, 0)
    assert plan(mask, CARD, extent(mask)) == plan(mask, CARD)


def test_groups() -> None:
    mask = drawn((300, 400), (5, 10, 15, 20), (200, 12, 20, 2), (100, 300, 190, 90))
    mask[5:20, 39:50] = True  # 9 free columns between: the same group
    found = {Box(5, 20, 10, 50), Box(100, 290, 300, 390), Box(200, 220, 12, 14)}
    assert set(groups(mask, 10)) == found
    assert groups(np.zeros((30, 40), bool), 10) == []


def test_groups_nested_deeper_than_pythons_stack() -> None:
    """Each row can be cut off only when the last column is, 1100 cuts deep."""
    side = 3 * 550
    mask = np.zeros((side, side), bool)
    for at in range(0, side, 3):
        mask[at, at:] = True
        mask[at + 3 :, at] = True
    found = groups(mask, 1)
    assert len(found) == 2 * 550 - 1
    assert found[:2] == [Box(0, 1, 0, side), Box(3, side, 0, 1)]


def test_windows_stay_in_the_picture() -> None:
    assert window_around(Box(10, 20, 10, 20), 30, (100, 100)) == Box(0, 30, 0, 30)
    assert window_around(Box(50, 60, 80, 100), 40, (100, 100)) == Box(35, 75, 60, 100)
    assert window_around(Box(5, 10, 50, 60), 40, (20, 100)) == Box(0, 20, 35, 75)


def test_boxes() -> None:
    box = Box(10, 30, 40, 100)
    assert (box.shape, box.side) == ((20, 60), 60)
    assert box.within(Box(5, 50, 30, 200)) == Box(5, 25, 10, 70)
    assert box.within(Box(20, 50, 50, 90)) == Box(0, 10, 0, 40)  # cut to lie in it


def test_parts_of_one_hole_are_whole() -> None:
    """Two pieces that touch, one that does not, and one that only its corner would touch."""
    mask = np.zeros((100, 200), bool)
    mask[10:50, 10:130] = mask[60:90, 10:50] = mask[50:60, 130:150] = True
    left, right = Box(10, 50, 10, 70), Box(10, 50, 70, 130)
    other, corner = Box(60, 90, 10, 50), Box(50, 60, 130, 150)
    assert wholes(mask, [left, other, corner, right]) == [[left, right], [other], [corner]]
    assert bounds([left, right]) == Box(10, 50, 10, 130)
    mask[10:50, 70] = False  # a known column between them
    assert wholes(mask, [left, right]) == [[left], [right]]


def test_long_and_ragged_holes_stay_in_pieces() -> None:
    band = drawn((60, 500), (10, 10, 20, 100))  # five times as long as wide
    first, second = Box(10, 30, 10, 60), Box(10, 30, 60, 110)
    assert wholes(band, [first, second]) == [[first], [second]]
    ring = drawn((100, 100), (10, 10, 80, 80))
    ring[15:85, 15:85] = False
    upper, lower = Box(10, 50, 10, 90), Box(50, 90, 10, 90)
    assert wholes(ring, [upper, lower]) == [[upper], [lower]]


@settings(deadline=None, max_examples=60)
@given(masks(), CARDS)
def test_every_hole_is_in_one_whole(mask: Mask, card: dict[str, Any]) -> None:
    holes = [window.hole for window in plan(mask, card)]
    parts = [part for whole in wholes(mask, holes) for part in whole]
    assert sorted(map(str, parts)) == sorted(map(str, holes))
