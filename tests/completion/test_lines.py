"""Straight edges across holes: on drawn cases, whose lines are known."""

import numpy as np
import pytest

from finefill.completion.exemplar import fill_hole, regions
from finefill.completion.exemplar.align import Regions, align
from finefill.completion.exemplar.ends import MOST, edges_around, found_once
from finefill.completion.exemplar.lines import (
    APART,
    BROKEN,
    FIRST,
    NONE,
    OFFERED,
    TRUST,
    WIDE,
    Continued,
    Lines,
    along,
    broken,
    continued,
    draw,
    enlarged_lines,
    find_lines,
)
from finefill.completion.exemplar.look import look_at
from finefill.completion.exemplar.regions import PRICE_OFF_LINE, off_lines
from finefill.completion.exemplar.strips import FINE, levels, steps_across
from finefill.completion.exemplar.window import lay_out
from finefill.completion.plan import Box

MARGIN = 24
DARK, BRIGHT = (60, 50, 40), (180, 190, 200)
HOLE = (slice(50, 80), slice(45, 85))


def half_plane(slope, height, width=130, start=0.0):
    """(height, width, 3): bright below the line row = start + slope * column, dark above it.

    Pixels on the line are mixed as an area average mixes them.
    """
    rows, columns = np.mgrid[:height, :width]
    share = np.clip(rows - (start + slope * columns) + 0.5, 0, 1)[..., None]
    return (share * BRIGHT + (1 - share) * DARK).astype(np.float32)


def canvas_of(image, hole=HOLE, guide=120):
    """One panel with a hole, over which a guide of one grey lies."""
    mask = np.zeros(image.shape[:2], bool)
    mask[hole] = True
    shown = np.where(mask[..., None], np.float32(guide), image).astype(np.float32)
    return lay_out([(shown, ~mask)], mask, MARGIN)


def missed(ends, start, slope):
    """By how many pixels, straight down, ends miss a line of the image."""
    ends = ends - MARGIN * (1 + 1j)
    return np.abs(ends.imag - (start + slope * ends.real))


@pytest.mark.parametrize(("start", "slope"), [(65.0, 0.0), (48.3, 0.25), (79.6, -0.2)])
def test_an_edge_that_goes_through_is_found_where_it_is(start, slope):
    lines = find_lines(canvas_of(half_plane(slope, 130, start=start)))
    assert lines.ends.shape == (1, 2)
    assert missed(lines.ends, start, slope).max() < 0.5
    # The hole lies between its ends, which look at each other over 40 columns.
    assert sorted(lines.ends[0].real - MARGIN) == pytest.approx([42, 87], abs=3)
    across = lines.profiles[0]
    first, last = (
        (DARK, BRIGHT) if lines.ends[0, 0].real < lines.ends[0, 1].real else (BRIGHT, DARK)
    )
    np.testing.assert_allclose(across[:, 0], [first] * 2, atol=1)
    np.testing.assert_allclose(across[:, -1], [last] * 2, atol=1)


def test_without_an_edge_nothing_changes():
    rows, columns = np.mgrid[:130, :130]
    slope = np.repeat((60 + rows + 0.3 * columns)[..., None], 3, axis=2).astype(np.float32)
    noise = np.random.default_rng(3).normal(120, 12, (130, 130, 3)).astype(np.float32)
    for image in (slope, noise):
        canvas = canvas_of(image)
        lines = find_lines(canvas)
        assert not len(lines.ends)
        drawn, trust = draw(canvas, continued(canvas, lines))
        assert drawn is canvas
        look = look_at(drawn, lines, trust)
        np.testing.assert_array_equal(look.trust_near, look_at(canvas).trust_near)


def test_an_edge_that_does_not_come_out_is_none():
    ends = half_plane(0.0, 130, start=65.0)
    ends[:, 65:] = DARK
    assert not len(find_lines(canvas_of(ends)).ends)
    shifted = half_plane(0.0, 130, start=58.0)
    shifted[:, 65:] = half_plane(0.0, 130, start=68.0)[:, 65:]
    assert not len(find_lines(canvas_of(shifted)).ends)
    turned = half_plane(0.0, 130, start=65.0)
    turned[:, 65:] = turned[::-1, 65:]  # what was bright is dark
    assert not len(find_lines(canvas_of(turned)).ends)


def test_edges_that_cross_are_both_found():
    image = half_plane(0.0, 130, start=65.0)
    image[:, 60:] -= 35
    lines = find_lines(canvas_of(image))
    inside = lines.ends - MARGIN * (1 + 1j)
    level = np.abs(inside.imag - 64.5).max(1) < 1
    upright = np.abs(inside.real - 59.5).max(1) < 1
    assert level.sum() == 1
    assert upright.sum() == 1
    assert len(lines.ends) == 2


def test_windows_one_above_the_other_are_no_line_but_a_pole_is():
    image = np.full((130, 130, 3), BRIGHT, np.float32)
    image[25:55, 55:70] = DARK
    image[75:105, 55:70] = DARK
    assert not len(find_lines(canvas_of(image)).ends)
    image[:, 55:70] = DARK
    at = find_lines(canvas_of(image)).ends - MARGIN * (1 + 1j)
    assert sorted(at.real.mean(1)) == pytest.approx([54.5, 69.5], abs=0.5)


@pytest.mark.parametrize(("start", "slope"), [(65.0, 0.0), (45.2, 0.2), (86.4, -0.25)])
@pytest.mark.parametrize("beyond", [10, 12])
@pytest.mark.parametrize("border", [True, False])
def test_an_edge_seen_shortly_beyond_the_hole_is_answered_there(start, slope, beyond, border):
    image = half_plane(slope, 130, 85 + beyond if border else 130, start)
    image[:, 85 + beyond :] = DARK  # nothing, where the photograph ends
    lines = find_lines(canvas_of(image))
    assert lines.ends.shape == (1, 2)
    assert missed(lines.ends, start, slope).max() < 0.5
    assert sorted(lines.ends[0].real - MARGIN) == pytest.approx([42, 87], abs=3)


@pytest.mark.parametrize("deviation", [12, 40])
def test_an_edge_that_runs_into_noise_gets_no_answer(deviation):
    for seed in range(10):
        image = half_plane(0.1, 130, start=58.0)
        noise = np.random.default_rng(seed).normal(120, deviation, image.shape)
        image[:, 65:] = noise[:, 65:].clip(0, 255)
        assert not len(find_lines(canvas_of(image)).ends)


def test_an_answer_goes_the_same_way_and_is_not_far_off():
    for shift, found in ((0, 1), (2, 1), (6, 0)):  # by 40 columns, at most 1.5 + 0.045 * 44 = 3.5
        image = half_plane(0.0, 95, 95, start=65.0)
        image[:, 65:] = half_plane(0.0, 95, 95, start=65.0 + shift)[:, 65:]
        assert len(find_lines(canvas_of(image)).ends) == found
    turned = half_plane(0.0, 130, 95, start=65.0)
    turned[:, 65:] = turned[::-1, 65:]  # what was bright is dark
    assert not len(find_lines(canvas_of(turned[:95])).ends)


@pytest.mark.parametrize(("above", "found"), [(34, 1), (14, 0)])
def test_a_pole_may_reach_the_photographs_border(above, found):
    # The hole is 65 pixels high; less than 0.85 of that is seen of it above, and nothing below.
    image = half_plane(0.0, 130, above + 65 + 14, 60.0).transpose(1, 0, 2)
    hole = (slice(above, above + 65), slice(45, 75))
    lines = find_lines(canvas_of(np.ascontiguousarray(image), hole))
    assert len(lines.ends) == found
    assert np.all(np.abs(lines.ends.real - MARGIN - 59.5) < 0.6)


def test_a_line_found_again_is_left_out():
    step = np.float32([120, 140, 160])  # of a line seen from its first end; the other sees -step
    at = np.array([
        [42 + 65j, 88 + 65j],
        [43 + 66j, 87 + 67j],  # 1.4 and 2.2 away
        [87 + 67j, 43 + 66j],  # the same from the other end
        [42 + 67j, 88 + 67j],  # 2 away, but the other side is brighter: a thin bar's other edge
        [42 + 69j, 88 + 69j],  # 4 away
        [42 + 65j, 88 + 68j],  # one end is the same, the other 3 away
    ])  # fmt: skip
    sides = np.array([1, 1, -1, -1, 1, 1])
    steps = sides[:, None, None] * np.stack([step, -step])
    assert found_once(at, steps).tolist() == [True, False, False, True, True, True]


@pytest.mark.parametrize("kink", [0.1, 0.12, 0.14])  # more than two ends of one line may bend
def test_an_edge_that_each_end_answers_is_one_line(kink):
    image = half_plane(0.0, 130, start=65.0)
    image[:, 65:] = half_plane(kink, 130, start=65.0 - 65 * kink)[:, 65:]
    assert find_lines(canvas_of(image)).ends.shape == (1, 2)


@pytest.mark.parametrize("thick", [2, 4])
def test_both_edges_of_a_thin_bar_are_found(thick):
    image = np.full((130, 130, 3), BRIGHT, np.float32)
    image[62 : 62 + thick] = DARK
    at = find_lines(canvas_of(image)).ends - MARGIN * (1 + 1j)
    assert sorted(at.imag.mean(1)) == pytest.approx([61.5, 61.5 + thick], abs=0.5)


def test_a_step_is_what_four_samples_on_each_side_differ_by():
    values = np.float32([0, 0, 0, 0, 0.5, 1, 1, 1, 1, 1])
    # Around the fifth, 1 - 0; around the sixth, 1 - (0 + 0 + 0 + 0.5) / 4.
    np.testing.assert_allclose(steps_across(values), [1, 0.875])
    # Of a step by (20, 10, 20), colours that lie 0, half of it and all of it further.
    steps = np.float32([[[20, 10, 20], [-20, -10, -20]]])
    colours = np.float32([[50, 60, 70], [60, 65, 80], [70, 70, 90]])
    found = levels(np.broadcast_to(colours, (1, 2, 1, 3, 3)), steps)[0, :, 0]
    np.testing.assert_allclose(found - found[:, :1], [[0, 0.5, 1], [0, -0.5, -1]], atol=1e-6)


def one_line(first, second, start, end):
    """A line between two points; dark and bright by its sides, times a factor at each end."""
    across = np.repeat([DARK, BRIGHT], [WIDE * FINE + 1, WIDE * FINE], axis=0)
    profiles = np.stack([across * start, across * end])[None].astype(np.float32)
    return Lines(np.array([[first, second]], np.complex128) + MARGIN * (1 + 1j), profiles)


def test_colours_are_drawn_between_the_ends():
    canvas = canvas_of(np.full((130, 130, 3), 120, np.float32))
    drawn, trust = draw(canvas, continued(canvas, one_line(42 + 65j, 88 + 65j, 1.0, 1.0)))
    at = MARGIN + 65
    # On the line as it is at the ends; a pixel beside it four fifths of that, one of the guide.
    np.testing.assert_allclose(drawn.pixels[at, MARGIN + 60], DARK, rtol=1e-6)
    np.testing.assert_allclose(
        drawn.pixels[at + 1, MARGIN + 60], 0.8 * np.array(BRIGHT) + 24, rtol=1e-6
    )
    np.testing.assert_allclose(
        drawn.pixels[at - 1, MARGIN + 60], 0.8 * np.array(DARK) + 24, rtol=1e-6
    )
    assert trust[at, MARGIN + 60] == TRUST
    assert trust[at + 1, MARGIN + 60] == pytest.approx(0.8 * TRUST)
    assert trust[at + WIDE + 1, MARGIN + 60] == 0
    assert not trust[~canvas.hole].any()
    np.testing.assert_array_equal(drawn.pixels[~canvas.hole], canvas.pixels[~canvas.hole])
    assert (canvas.pixels[canvas.hole] == 120).all()


def test_ends_that_differ_are_mixed_and_trusted_less():
    canvas = canvas_of(np.full((130, 130, 3), 0, np.float32), guide=0)
    lines = one_line(45 + 65j, 85 + 65j, 1.0, 1.0)
    lines.profiles[0, 1] += 40 / np.sqrt(3)  # by 40 over the channels
    drawn, trust = draw(canvas, continued(canvas, lines))
    at = (MARGIN + 65, MARGIN + 65)  # halfway
    assert trust[at] == pytest.approx(TRUST / 2)
    np.testing.assert_allclose(drawn.pixels[at], (np.array(DARK) + 20 / np.sqrt(3)) / 2, rtol=1e-5)


def test_offsets_keep_to_the_line_and_lead_out():
    lines = one_line(40 + 60j, 70 + 100j, 1.0, 1.0)  # a length of 50, three across to four down
    middles = np.array([[80, 55], [80, 90]]) + MARGIN  # halfway; far off
    offsets = along(lines, middles)
    each = OFFERED // 2
    away = 25 + FIRST + APART * np.arange(each)
    expected = np.rint(np.stack([0.8 * away, 0.6 * away], axis=1))
    np.testing.assert_array_equal(offsets[0, each:], expected)
    np.testing.assert_array_equal(offsets[0, :each], -expected)
    assert not offsets[1].any()


def test_an_offset_from_where_the_line_would_break_costs():
    canvas = canvas_of(half_plane(0.0, 130, start=64.5))
    lines = one_line(42 + 64.5j, 88 + 64.5j, 1.0, 1.0)
    middles = np.array([[64, 60], [56, 60]]) + MARGIN
    offsets = np.array([[[0, -30], [0, 35], [-30, -30], [1, -30]]] * 2)
    price = broken(canvas, lines, middles, offsets)
    # Along the line; along it; where all is dark; a pixel off, a side of which is half bright.
    np.testing.assert_allclose(price[0, :3] / BROKEN, [0, 0, 1], atol=1e-3)
    assert 0 < price[0, 3] < BROKEN / 2
    assert not price[1].any()  # no line crosses it


@pytest.mark.parametrize("slope", [0.0, 0.2, -0.35])
@pytest.mark.parametrize("width", [130, 97])  # 45 columns beyond the hole, or 12 to the border
def test_a_fill_continues_a_slanted_edge(slope, width):
    start = 65 - 65 * slope
    image = np.rint(half_plane(slope, 130, width, start)).astype(np.uint8)
    hole = Box(50, 80, 45, 85)
    mask = np.zeros(image.shape[:2], bool)
    mask[hole.slices] = True
    hidden = image.copy()
    hidden[mask] = 255, 0, 255
    filled = fill_hole(hidden, mask, hole, np.full((20, 20, 3), 120, np.uint8), hole)
    assert filled is not None
    rows, columns = np.mgrid[hole.slices]
    beside = np.abs(rows - (start + slope * columns)) > 2
    error = np.abs(filled.astype(int) - image[hole.slices]).max(2)
    assert error[beside].max() <= 4  # of 120 between the sides


def test_where_edges_leave_nothing_to_copy_a_hole_is_matched_without_them(monkeypatch):
    image = np.rint(half_plane(0.2, 130, start=52.0)).astype(np.uint8)
    hole = Box(50, 80, 45, 85)
    mask = np.zeros(image.shape[:2], bool)
    mask[hole.slices] = True
    guide = np.full((20, 20, 3), 120, np.uint8)
    real, asked = regions.match, []

    def nothing_along_edges(canvas, lines):
        asked.append(len(lines.ends))
        return None if len(lines.ends) else real(canvas, lines)

    with monkeypatch.context() as patch:
        patch.setattr(regions, "match", nothing_along_edges)
        filled = fill_hole(image, mask, hole, guide, hole)
    assert asked == [1, 0]
    monkeypatch.setattr(regions, "find_lines", lambda canvas: NONE)
    np.testing.assert_array_equal(filled, fill_hole(image, mask, hole, guide, hole))


def test_where_all_is_edges_the_strongest_count():
    noise = np.random.default_rng(4).normal(120, 40, (130, 130, 3)).astype(np.float32)
    rows, columns = np.mgrid[:130, :130]
    lattice = (rows % 6 < 1) & (columns % 6 < 1) & (np.abs(rows - 65) < 40)
    noise[:, 65:] += 100  # an upright edge through all of it
    at, across = edges_around(noise, ~lattice, lattice)
    assert len(at) == MOST
    assert (np.abs(at.real - 64.5) <= 1).sum() >= 5  # of 14 rows of holes
    np.testing.assert_allclose(np.abs(across), 1, rtol=1e-6)


@pytest.mark.parametrize("zoom", [2, 3])
@pytest.mark.parametrize("off", [0.0, 0.8])
def test_lines_are_found_anew_where_they_are_at_full_size(zoom, off):
    slope, start = 0.2, 52.3 * zoom
    large = half_plane(slope, 130 * zoom, 130 * zoom, start)
    small = large.reshape(130, zoom, 130, zoom, 3).mean((1, 3))
    hole = tuple(slice(part.start * zoom, part.stop * zoom) for part in HOLE)
    low, high = canvas_of(small), canvas_of(np.rint(large), hole)
    found = find_lines(low)
    wrong = Lines(found.ends + off * 1j, found.profiles)  # by up to 2.4 pixels of the large one
    lines = enlarged_lines(low, high, wrong)
    assert missed(lines.ends, start, slope).max() < 0.5
    np.testing.assert_allclose(lines.profiles[0][:, [0, -1]], found.profiles[0][:, [0, -1]], atol=2)


def test_where_nothing_is_seen_at_full_size_a_line_is_only_scaled():
    low, high = canvas_of(np.zeros((130, 130, 3))), canvas_of(np.zeros((260, 260, 3)))
    # Pixel 40 of the small one is pixels 80 and 81, their middle 80.5.
    lines = enlarged_lines(low, high, one_line(40 + 60j, 90 + 60j, 1.0, 1.0))
    inside = lines.ends - MARGIN * (1 + 1j)
    np.testing.assert_allclose(inside, [[80.5 + 120.5j, 180.5 + 120.5j]])


def test_a_region_moves_until_it_keeps_a_line():
    # Nothing within reach of the hole is known; the line alone tells where an edge should be.
    image = half_plane(0.0, 130, start=20.0).astype(np.uint8)  # bright from row 20 down
    hole, known = np.zeros((2, 130, 130), bool)
    hole[50:80, 45:85] = True
    known[:46] = True
    canvas = lay_out([(image, known)], hole, MARGIN)
    regions = Regions(canvas.places, np.zeros(len(canvas.places), int), np.array([[-47, 0]]), 20.0)
    # The edge at row 65.0 lies before row 65: copied from row 20, 45 above it.
    drawn = continued(canvas, one_line(42 + 64.5j, 88 + 64.5j, 1.0, 1.0))
    assert align(canvas, regions, 3, drawn).tolist() == [[-45, 0]]
    assert align(canvas, regions, 3).tolist() == [[-47, 0]]


def test_what_a_choice_off_a_line_costs():
    canvas = canvas_of(np.full((130, 130, 3), 100).astype(np.uint8))
    regions = Regions(canvas.places, np.zeros(1200, int), np.array([[-30, 0], [35, 0]]), 20.0)
    choices = np.repeat([[0], [1]], 1200, axis=1)
    drawn = Continued(np.array([7]), np.float32([[110, 100, 80]]), np.float32([0.5]))
    prices = off_lines(canvas, regions, choices, drawn)
    np.testing.assert_allclose(prices[:, 7], PRICE_OFF_LINE * 0.5 * (100 + 400))
    assert np.count_nonzero(prices) == 2
    assert not off_lines(canvas, regions, choices, None).any()


@pytest.mark.parametrize("slope", [0.08, -0.15])
def test_a_pole_that_leans_stays_on_its_line_at_full_size(slope):
    rows, columns = np.mgrid[:520, :420]
    middle = 210 + slope * (rows - 260)
    share = np.clip(10.5 - np.abs(columns - middle), 0, 1)[..., None]  # 20 pixels wide
    noise = np.random.default_rng(5).normal(0, 3, (520, 420, 3))
    image = (share * DARK + (1 - share) * BRIGHT + noise).clip(0, 255).astype(np.uint8)
    hole = Box(180, 340, 130, 290)
    mask = np.zeros(image.shape[:2], bool)
    mask[hole.slices] = True
    filled = fill_hole(image, mask, hole, np.full((20, 20, 3), 150, np.uint8), hole)
    assert filled is not None
    dark = np.abs(filled.mean(2) - np.mean(DARK)) < np.abs(filled.mean(2) - np.mean(BRIGHT))
    at = np.arange(180, 340)
    left = 130 + dark.argmax(1)
    right = 289 - dark[:, ::-1].argmax(1)
    wanted = 210 + slope * (at - 260)
    assert np.abs(left - (wanted - 9.5)).max() <= 1.5  # a pixel, and half a pixel of rounding
    assert np.abs(right - (wanted + 9.5)).max() <= 1.5
    assert np.all(dark.sum(1) == right - left + 1)  # in one piece
