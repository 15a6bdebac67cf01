"""Completion by regions: every step on cases whose result is known by hand."""

import itertools

import numpy as np
import pytest

from finefill.completion import fill_with_report, load
from finefill.completion.exemplar import allowed, fill_hole, structured, thin
from finefill.completion.exemplar.align import Regions, align, enlarged
from finefill.completion.exemplar.candidates import (
    IMPOSSIBLE,
    Problem,
    candidates,
    distinct,
    search,
)
from finefill.completion.exemplar.choose import directedness, gradients, uprightness
from finefill.completion.exemplar.coarser import at_half, halved
from finefill.completion.exemplar.labels import (
    Edges,
    min_sum,
    settle,
    squared_distances,
    surroundings_difference,
)
from finefill.completion.exemplar.look import activity, halve, look_at
from finefill.completion.exemplar.poisson import System, _doubled, _halved, solve
from finefill.completion.exemplar.regions import parts_needed
from finefill.completion.exemplar.repeats import _quick, correlation, repeats
from finefill.completion.exemplar.seams import Cutting, _first_good, _in_run, cut
from finefill.completion.exemplar.tiles import channel_sum, tiles_of
from finefill.completion.exemplar.window import (
    Canvas,
    Panel,
    at_size,
    lay_out,
    matching_canvas,
    scaled_slices,
)
from finefill.completion.plan import Box
from finefill.errors import FinefillError


def with_hole(shape, top, bottom, left, right):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def fill(photo, mask):
    """The photo with its hole filled by regions; grey for a guide, which knows nothing."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    hole = Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
    hidden = photo.copy()
    hidden[mask] = 255, 0, 255  # nothing of what was there may help
    mean = np.full((20, 20, 3), photo[~mask].mean(0), np.uint8)
    part = fill_hole(hidden, mask, hole, mean, hole)
    assert part is not None
    result = photo.copy()
    result[hole.slices][mask[hole.slices]] = part[mask[hole.slices]]
    return result


def chessboard(height, width, side):
    rows, columns = np.mgrid[:height, :width] // side
    grey = np.where((rows + columns) % 2, 40, 200).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def test_sums_over_channels():
    values = np.array([[[1, 2, 3], [255, 255, 255]]], np.int16)
    assert channel_sum(values).tolist() == [[6, 765]]
    assert channel_sum(np.float32([1, 2, 4, 0.5])) == 7.5
    thousand = np.random.default_rng(5).random((10, 100, 4), np.float32)
    assert np.array_equal(channel_sum(thousand), thousand.sum(2))  # rounded alike


def test_places_of_a_canvas_are_the_pixels_of_its_hole():
    hole = np.zeros((6, 8), bool)
    hole[2, 5] = hole[4, 3] = True
    pixels, known = np.zeros((6, 8, 3), np.uint8), ~hole
    canvas = lay_out([(pixels, known), (pixels[:, ::-1], known[:, ::-1])], hole, 2)
    assert canvas.places.tolist() == [[4, 7], [6, 5]]  # two more: the margin
    assert lay_out([(pixels, known)], np.zeros_like(hole), 2).places.shape == (0, 2)


@pytest.mark.parametrize("side", [30, 64, 100])
def test_constant_stays_constant(side):
    photo = np.full((300, 320, 3), (90, 120, 30), np.uint8)
    mask = with_hole((300, 320), 90, 90 + side, 100, 100 + side)
    assert np.array_equal(fill(photo, mask), photo)


@pytest.mark.parametrize("square", [8, 12, 16])
def test_chessboard_stays_exact(square):
    photo = chessboard(200, 210, square)
    mask = with_hole((200, 210), 70, 120, 80, 130)
    assert np.array_equal(fill(photo, mask), photo)


def test_chessboard_stays_exact_where_it_is_matched_at_a_reduced_scale():
    photo = chessboard(420, 420, 24)
    mask = with_hole((420, 420), 150, 270, 140, 260)  # 120 pixels are matched as 64
    wrong = np.abs(fill(photo, mask).astype(int) - photo).max(2) > 8
    assert wrong.sum() < 0.02 * mask.sum()  # some edges by a pixel


def test_striped_wall_continues_in_phase():
    random = np.random.default_rng(0)
    wave = np.tile(random.integers(0, 256, (14, 3)), (20, 1))[:200]  # a period of 14 columns
    photo = np.repeat(wave[None], 150, axis=0).astype(np.uint8)
    mask = with_hole((150, 200), 50, 95, 60, 125)
    assert np.array_equal(fill(photo, mask), photo)


def test_two_textures_meet_at_one_seam():
    height, width = 180, 180
    rows, columns = np.mgrid[:height, :width]
    stripes = np.where(rows // 4 % 2, 230, 150)
    grey = np.where(columns < 91, stripes, 40).astype(np.uint8)
    photo = np.repeat(grey[..., None], 3, axis=2)
    mask = with_hole((height, width), 65, 115, 65, 115)
    result = fill(photo, mask)
    dark = result[65:115, 65:115, 0] < 95
    assert (np.abs(np.diff(dark.astype(int), axis=1)).sum(1) == 1).all()  # in each row one seam
    first = 65 + dark.argmax(1)
    assert np.abs(first - 91).max() <= 2
    light = ~dark
    light[:, 91 - 65 - 2 :] = False
    difference = result[65:115, 65:115].astype(int) - photo[65:115, 65:115]
    # In phase but for a row or two; brightness is matched at the seam.
    assert (np.abs(difference[light]) > 3).mean() < 0.05


def test_only_what_is_masked_is_copied_to_and_nothing_masked_is_copied():
    random = np.random.default_rng(1)
    photo = random.integers(0, 200, (160, 160, 3)).astype(np.uint8)
    mask = with_hole((160, 160), 60, 100, 60, 100)
    other = with_hole((160, 160), 60, 100, 110, 125)  # another hole, its turn comes later
    photo[other] = 255  # never seen elsewhere
    hole, guide = Box(60, 100, 60, 100), np.full((40, 40, 3), 100, np.uint8)
    first = fill_hole(photo, mask | other, hole, guide, hole)
    changed = photo.copy()
    changed[mask | other] = 0, 255, 0
    assert np.array_equal(fill_hole(changed, mask | other, hole, guide, hole), first)


def test_too_little_to_copy_from():
    photo = np.full((40, 40, 3), 100, np.uint8)
    mask = with_hole((40, 40), 2, 38, 2, 38)  # no piece of 12x12 is known
    assert fill_hole(photo, mask, Box(2, 38, 2, 38), photo[2:38, 2:38], Box(2, 38, 2, 38)) is None


def test_large_holes_are_completed_at_a_reduced_scale(monkeypatch):
    monkeypatch.setattr("finefill.completion.exemplar.regions.WINDOW_PIXELS", 40_000)
    photo = np.repeat(np.repeat(chessboard(60, 60, 1), 8, 0), 8, 1)  # squares of 8
    mask = with_hole((480, 480), 180, 300, 180, 300)
    difference = np.abs(fill(photo, mask).astype(int) - photo).max(2)
    assert (difference[mask] < 80).mean() > 0.9  # soft edges, but the squares are there


def test_panels_stand_side_by_side():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    known = np.ones((4, 6), bool)
    smaller = (image[:3, :5], known[:3, :5])
    canvas = lay_out([(image, known), smaller], with_hole((4, 6), 1, 2, 2, 4), 2)
    assert canvas.pixels.shape == (8, 6 + 4 + 6 + 4, 3)  # the odd width is made even
    assert canvas.lefts == (2, 12)
    assert np.array_equal(canvas.pixels[2:5, 12:17], image[:3, :5])
    assert canvas.known.sum() == 24 + 15
    assert np.argwhere(canvas.hole).tolist() == [[3, 4], [3, 5]]
    assert canvas.panel_of(np.array([0, 9, 10, 19])).tolist() == [0, 0, 1, 1]


def test_only_what_may_be_copied_is_scaled():
    photo = np.random.default_rng(9).integers(100, 150, (60, 80, 3)).astype(np.uint8)
    hole = with_hole((60, 80), 20, 40, 30, 50)
    whole, all_masked = at_size(photo, hole, (71, 94))
    part, masked = at_size(photo, hole, (71, 94), Box(10, 30, 5, 90))
    difference = part[10:30, 5:90].astype(int) - whole[10:30, 5:90]
    assert np.abs(difference).max() <= 1  # rounding: Pillow may take columns first
    assert np.array_equal(masked[10:30, 5:90], all_masked[10:30, 5:90])
    masked[10:30, 5:90] = True
    assert masked.all()


def test_parts_needed_lie_around_what_is_copied():
    image, known = np.zeros((100, 120, 3), np.uint8), np.ones((100, 120), bool)
    low = lay_out([(image, known)] * 2, with_hole((100, 120), 40, 42, 50, 52), 24)
    pixels = low.places  # the second panel, mirrored, begins 168 columns after the first
    regions = Regions(pixels, np.zeros(4, int), np.array([[10, 168 - 20]]), 20.0)
    parts = parts_needed(low, regions, (300, 360))
    assert parts[0] == Box(0, 300, 0, 360)
    # Rows 50 and 51, columns 30 and 31, 11 more on each side, times 3.
    assert parts[1] == Box(3 * 39, 3 * 62, 3 * 19, 3 * 42)


def test_sizes():
    assert Panel(factor=0.85).size((100, 200)) == (85, 170)
    assert Panel(factor=0.85).size((17, 200)) == (16, 170)
    assert scaled_slices(Box(10, 20, 3, 7), 0.5, 0.5) == (slice(5, 10), slice(1, 4))


def test_tiles_touch_the_hole():
    tiles = tiles_of(with_hole((16, 17), 3, 9, 4, 12))  # rows of tiles 0 to 2, columns 1 and 2
    assert tiles.cells.tolist() == [[0, 1], [0, 2], [1, 1], [1, 2], [2, 1], [2, 2]]
    assert tiles.across.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert tiles.down.tolist() == [[0, 2], [1, 3], [2, 4], [3, 5]]
    assert tiles.corners[0].tolist() == [-4, 0]
    assert tiles.beside(1, -1).tolist() == [-1, 2, -1, 4, -1, -1]
    assert tiles.beside(9, 0).tolist() == [-1] * 6


def test_activity_is_the_mean_gradient_and_that_of_the_surroundings_in_the_hole():
    ramp = np.repeat((3.0 * np.arange(40, dtype=np.float32))[None, :, None], 3, 2).repeat(40, 0)
    hole = with_hole((40, 40), 12, 28, 12, 28)
    found = activity(ramp, ~hole, hole)
    assert found.shape == (40, 40, 1)
    outside = ~hole[8:32, 8:32]  # there is no gradient before the first column
    assert np.allclose(found[8:32, 8:32][outside], 3, atol=1e-4)
    assert np.allclose(found[hole], 3, atol=0.1)
    ramp[hole] = 50  # a blank guide: nothing is going on but at its edge, seven pixels off
    assert (activity(ramp, ~hole, hole)[19:22, 19:22] == 0).all()


def test_halving_takes_means():
    assert halve(np.arange(8, dtype=np.float32).reshape(2, 4, 1)).tolist() == [[[2.5], [4.5]]]


def problem_of(photo, mask):
    hidden = photo.astype(np.float32)
    hidden[mask] = photo[~mask].mean(0)
    canvas = lay_out([(hidden, ~mask)], mask, 24)
    return Problem(look_at(canvas), tiles_of(canvas.hole))


def test_search_finds_the_period():
    random = np.random.default_rng(2)
    tile = random.integers(0, 256, (1, 36, 3)).repeat(1, 0)
    photo = np.tile(tile, (120, 4, 1)).astype(np.uint8)[:, :140]  # columns repeat after 36
    problem = problem_of(photo, with_hole((120, 140), 50, 66, 60, 76))
    again = repeats(problem.look.canvas).offsets
    for offsets in (search(problem), candidates(problem, again)):
        assert (offsets[..., 1] % 36 == 0).any(1).all()
    assert (search(problem)[:, 0, 1] % 36 == 0).all()


def test_half_the_scale_tells_offsets_at_twice_their_size_and_joins_the_guide():
    """Squares of 8, at half the scale of 4: what fits moves by 8 and 8, or 16, or 24 and 8."""
    photo, mask = chessboard(96, 120, 8), with_hole((96, 120), 32, 60, 42, 74)
    canvas = matching_canvas(photo, mask, mask, np.full((96, 120, 3), 120, np.float32))
    half = halved(canvas)
    assert half.sizes[0] == (48, 60)
    assert half.places.min(0).tolist() == [half.margin + 16, half.margin + 21]
    assert half.places.max(0).tolist() == [half.margin + 29, half.margin + 36]
    tiles = tiles_of(canvas.hole)
    found = at_half(canvas, tiles)
    offsets = found.offsets
    assert offsets.shape == (len(tiles.cells), 5, 2)
    sources = 4 * tiles.cells[:, None] + 2 + offsets
    here = offsets[canvas.panel_of(sources[..., 1]) == 0]
    assert len(here)
    assert (here % 8 == 0).all()
    assert (here.sum(1) % 16 == 0).all()
    # At the middles of squares the guide, 120, and the square's 40 or 200 are mixed, half each.
    seen = found.canvas.pixels[canvas.margin :, canvas.lefts[0] :]
    for row, column in itertools.product(range(36, 60, 8), range(44, 74, 8)):
        assert np.allclose(seen[row, column], 60 + photo[row, column] / 2, atol=0.01)
    assert np.array_equal(found.canvas.pixels[~canvas.hole], canvas.pixels[~canvas.hole])


def test_offsets_from_elsewhere_are_candidates_first():
    problem = problem_of(chessboard(96, 120, 8), with_hole((96, 120), 32, 60, 42, 74))
    further = np.broadcast_to(np.array([(0, 48)]), (len(problem.tiles.cells), 1, 2))
    possible = problem.possible(further)[:, 0]
    assert possible.any()
    assert not possible.all()  # beyond the right edge
    offered = candidates(problem, np.empty((0, 2), np.intp), 7, further)
    assert offered.shape == (len(further), 7, 2)
    assert (offered[possible, 0] == (0, 48)).all()
    assert not (offered[~possible] == (0, 48)).all(2).any()


def test_nothing_at_half_the_scale():
    """Eight known columns: four at half the scale, and no piece is so narrow."""
    photo, mask = np.full((96, 64, 3), 90, np.uint8), with_hole((96, 64), 0, 96, 8, 64)
    canvas = matching_canvas(photo, mask, mask, photo.astype(np.float32))
    assert at_half(canvas, tiles_of(canvas.hole)) is None


def test_distinct_keeps_the_first_possible_ones():
    offsets = np.array([[[1, 1], [2, 2], [1, 1], [3, 3], [4, 4]]])
    possible = np.array([[True, False, True, True, True]])
    assert distinct(offsets, possible, 3)[0].tolist() == [[1, 1], [3, 3], [4, 4]]


def test_squared_distances():
    first = np.array([[[0.0, 0.0], [1.0, 2.0]]], np.float32)
    second = np.array([[[3.0, 4.0]]], np.float32)
    assert squared_distances(first, second).tolist() == [[[25.0], [8.0]]]


def test_message_passing_is_exact_on_a_chain():
    random = np.random.default_rng(3)
    unary = random.random((5, 3)).astype(np.float32)
    pairs = np.stack([np.arange(4), np.arange(1, 5)], axis=1)
    costs = random.random((4, 3, 3)).astype(np.float32)
    energies = {
        labels: sum(unary[i, a] for i, a in enumerate(labels))
        + sum(costs[i, a, b] for i, (a, b) in enumerate(itertools.pairwise(labels)))
        for labels in itertools.product(range(3), repeat=5)
    }
    best = min(energies, key=energies.__getitem__)
    found = min_sum(unary, [Edges(pairs, costs, np.arange(4))], 1)
    assert tuple(found) == best


def test_settling_changes_single_labels_for_the_better():
    unary = np.array([[0, 5], [1, 0], [0, 5]], np.float32)
    pairs = np.array([[0, 1], [1, 2]])
    differ = np.broadcast_to(2 * (1 - np.eye(2, dtype=np.float32)), (2, 2, 2))
    found = settle(unary, [Edges(pairs, differ, np.arange(2))], np.array([0, 1, 0]), np.arange(3))
    assert found.tolist() == [0, 0, 0]  # 1 instead of 0 + 2 + 2


def flat_canvas(pixels, known, hole):
    return Canvas(pixels, known, hole, (2,), ((pixels.shape[0] - 4, pixels.shape[1] - 4),), 2)


def test_cut_goes_where_both_show_the_same():
    # To fill: columns 4 to 9 of row 4. One region copies row 9, the other row 14; they are alike in
    # columns 6 and 7 alone, and each goes on with what is known at its own end.
    pixels = np.full((18, 16, 3), 100, np.uint8)
    pixels[9, 3:6], pixels[9, 8:11] = 10, 250
    pixels[14, 3:6], pixels[14, 8:11] = 250, 60
    pixels[4, :4], pixels[4, 10:] = 10, 60
    hole = with_hole((18, 16), 4, 5, 4, 10)
    known = np.zeros((18, 16), bool)
    known[4, 2:14] = ~hole[4, 2:14]
    known[[9, 14], 2:14] = True
    places = np.argwhere(hole)
    regions = Regions(places, np.zeros(6, int), np.array([[5, 0], [10, 0]]), 20.0)
    choices = np.repeat([[0], [1]], 6, axis=1)
    label = cut(
        flat_canvas(pixels, known, hole),
        regions,
        choices,
        np.zeros((2, 6), np.float32),
        Cutting(choices=2, sweeps=4, price=0.5),
    )
    assert label[:2].tolist() == [0, 0]
    assert label[4:].tolist() == [1, 1]


def test_the_first_different_good_choices():
    choices = np.array([[7, 7], [7, 8], [9, 8], [5, 7]])
    prices = np.float32([[0, 0], [1, 1], [2, 2], [3, 3]])
    good = np.array([[True, False], [True, False], [True, False], [True, True]])
    chosen, paid = _first_good(choices, prices, good, 3)
    assert chosen.tolist() == [[7, 7], [9, 7], [5, 7]]
    assert paid.tolist() == [[0, 3], [2, IMPOSSIBLE], [3, IMPOSSIBLE]]


def test_places_in_a_row():
    chosen = np.array([[1, 1, 0, 1], [0, 1, 1, 1]], bool)
    assert _in_run(chosen, 1).tolist() == [[0, 1, -1, 0], [-1, 0, 1, 2]]
    assert _in_run(chosen, 0).tolist() == [[0, 0, -1, 0], [-1, 1, 0, 1]]


@pytest.mark.parametrize("shape", [(4, 6), (5, 7)])
def test_halving_a_system_is_the_transpose_of_doubling(shape):
    fine, coarse = np.prod(shape), -(-shape[0] // 2) * -(-shape[1] // 2)
    up = _doubled(
        np.eye(coarse, dtype=np.float32).reshape(coarse, -(-shape[0] // 2), -1), (coarse, *shape)
    )
    down = _halved(np.eye(fine, dtype=np.float32).reshape(fine, *shape))
    assert np.allclose(up.reshape(coarse, fine), down.reshape(fine, coarse).T)
    assert np.allclose(up.sum(0), 1)  # what is constant stays so


def test_cut_keeps_to_what_is_known():
    pixels = np.full((12, 12, 3), 100, np.uint8)
    hole = with_hole((12, 12), 4, 6, 4, 6)
    known = ~hole
    known[8:] = False
    regions = Regions(np.argwhere(hole), np.zeros(4, int), np.array([[4, 0], [-2, 0]]), 20.0)
    label = cut(
        flat_canvas(pixels, known, hole),
        regions,
        np.repeat([[0], [1]], 4, axis=1),
        np.zeros((2, 4), np.float32),
        Cutting(choices=2, sweeps=1, price=0.5),
    )
    assert label.tolist() == [1, 1, 1, 1]


def test_offsets_are_enlarged_panel_by_panel():
    def canvas(height, width, margin, panels):
        image = np.zeros((height, width, 3), np.uint8)
        known = np.ones((height, width), bool)
        return lay_out([(image, known)] * panels, with_hole((height, width), 4, 6, 4, 6), margin)

    low, high = canvas(10, 20, 6, 3), canvas(30, 60, 3, 2)  # the middle panel is not used
    # low: panels begin at 6, 38 and 70; high: at 3 and 69.
    offsets = np.array([[2, 5], [0, 70 - 6 + 1]])
    regions = Regions(np.array([[10, 10], [10, 11]]), np.array([0, 1]), offsets, 20.0)
    assert enlarged(low, high, regions, [0, 2]).tolist() == [[6, 15], [0, 66 + 3]]


def test_align_moves_a_region_until_it_meets_its_surroundings():
    random = np.random.default_rng(4)
    photo = np.tile(random.integers(0, 256, (1, 40, 3)), (60, 3, 1)).astype(np.uint8)
    hole = with_hole((60, 120), 20, 40, 44, 64)
    canvas = lay_out([(photo, ~hole)], hole, 8)
    pixels = np.argwhere(canvas.hole)
    label = np.zeros(len(pixels), int)
    wrong = Regions(pixels, label, np.array([[0, 38]]), 20.0)  # 2 pixels less than the period
    assert align(canvas, wrong, 3).tolist() == [[0, 40]]


@pytest.mark.parametrize("shape", [(3, 5), (17, 12), (33, 40)])
def test_equations_are_solved(shape):
    random = np.random.default_rng(5)
    right, below = random.random((2, *shape)).astype(np.float32)
    right[:, -1] = below[-1] = 0
    diagonal = 0.05 + right + below
    diagonal[:, 1:] += right[:, :-1]
    diagonal[1:] += below[:-1]
    system = System(diagonal, right, below)
    count = shape[0] * shape[1]
    matrix = system.times(np.eye(count, dtype=np.float32).reshape(count, *shape))
    matrix = matrix.reshape(count, count).astype(float)
    assert np.allclose(matrix, matrix.T)
    wanted = random.normal(size=(3, *shape)).astype(np.float32)
    exact = np.linalg.solve(matrix, wanted.reshape(3, -1).T.astype(float)).T.reshape(wanted.shape)
    for enough, wrong in ((3e-2, 0.1), (1e-4, 1e-3)):
        found = solve(system, wanted, enough)
        assert np.abs(found - exact).max() < wrong * np.abs(exact).max()


def test_brightness_is_matched():
    """A wall in two lights: the half that a hole lies in is lit 30 levels brighter."""
    photo = np.tile(chessboard(160, 80, 8), (1, 2, 1)) // 2
    photo[:, 80:] += 30
    mask = with_hole((160, 160), 60, 100, 96, 136)
    difference = fill(photo, mask).astype(int) - photo
    assert np.abs(difference).mean() < 3
    assert np.array_equal(difference[~mask], np.zeros_like(difference[~mask]))


def test_the_smallest_holes():
    photo = chessboard(40, 40, 4)
    for bottom, right in ((21, 21), (22, 30), (30, 21)):
        mask = with_hole((40, 40), 20, bottom, 20, right)
        assert np.array_equal(fill(photo, mask), photo)


def test_ways():
    engine = load("places")
    photo = chessboard(200, 200, 10)
    mask = with_hole((200, 200), 80, 120, 80, 120)
    copied = fill_with_report(engine, photo, mask, fill="regions")
    assert [one.way for one in copied.filled] == ["regions"]
    assert np.array_equal(copied.rgb, photo)
    invented = fill_with_report(engine, photo, mask, fill="network")
    assert [one.way for one in invented.filled] == ["network"]
    assert not np.array_equal(invented.rgb, photo)
    chosen = fill_with_report(engine, photo, mask)
    assert [one.way for one in chosen.filled] == ["regions"]
    assert np.array_equal(chosen.rgb, photo)


def test_faces_are_never_copied():
    engine = load("faces")
    photo = chessboard(200, 200, 10)
    mask = with_hole((200, 200), 80, 120, 80, 120)
    assert [one.way for one in fill_with_report(engine, photo, mask).filled] == ["network"]
    with pytest.raises(FinefillError, match="model faces does not allow regions"):
        fill_with_report(engine, photo, mask, fill="regions")


def test_unknown_way():
    with pytest.raises(FinefillError, match="fill: 'patches': use one of auto, network, regions"):
        fill_with_report(
            load("places"), chessboard(64, 64, 8), with_hole((64, 64), 20, 40, 20, 40),
            fill="patches",
        )  # fmt: skip


def test_what_cannot_be_copied_is_told():
    photo, mask = chessboard(60, 60, 5), with_hole((60, 60), 6, 54, 6, 54)
    report = fill_with_report(load("places"), photo, mask, fill="regions")
    assert [one.way for one in report.filled] == ["network"]
    assert report.warnings == [
        "the hole of 48x48 pixels at 6,6: for a part of it nothing to copy was found"
    ]


def test_directedness_by_hand():
    """Stripes have one direction, at any angle; a chessboard two across; noise has none."""
    rows, columns = np.mgrid[:96, :96]
    hole = with_hole((96, 96), 32, 64, 32, 64)

    def of(grey):
        return directedness(gradients(np.repeat(np.uint8(grey)[..., None], 3, axis=2), hole))

    assert of(100 + 50 * np.sin(columns / 3)) == pytest.approx(1, abs=1e-3)
    assert of(100 + 50 * np.sin((columns + 2 * rows) / 9)) > 0.9
    assert of(np.where((rows // 8 + columns // 8) % 2, 60, 160)) > 0.8
    assert of(np.random.default_rng(6).integers(0, 256, (96, 96))) < 0.1
    assert of(np.full((96, 96), 7)) == 0


def test_which_holes_regions_are_for():
    wall = chessboard(128, 128, 9)
    assert structured(wall, with_hole((128, 128), 40, 88, 40, 88))
    noise = np.random.default_rng(7).integers(0, 256, wall.shape).astype(np.uint8)
    assert not structured(noise, with_hole((128, 128), 40, 88, 40, 88))


def test_thin_holes_are_for_the_network():
    assert thin(Box(40, 55, 40, 88), 1)
    assert not thin(Box(40, 56, 40, 88), 1)
    assert thin(Box(40, 56, 40, 200), 0.5)  # 8 pixels as they are seen


def test_upright_edges_by_hand():
    """A row of poles is upright, a ladder's rungs lie; of a chessboard's edges half stand."""
    rows, columns = np.mgrid[:96, :96]
    hole = with_hole((96, 96), 32, 64, 32, 64)

    def of(grey):
        return uprightness(gradients(np.repeat(np.uint8(grey)[..., None], 3, axis=2), hole))

    poles = np.where(columns // 6 % 2, 40, 200)
    assert of(poles) == pytest.approx(1, abs=1e-3)
    assert of(poles.T) == 0
    assert of(100 + 50 * np.sin((columns + 2 * rows) / 9)) == 0
    # Where edges cross, the tensor tells no direction: of squares of 24 half that stands is left.
    assert 0.2 < of(np.where((rows // 24 + columns // 24) % 2, 60, 160)) < 0.5
    assert of(np.random.default_rng(6).integers(0, 256, (96, 96))) < 0.03
    assert of(np.full((96, 96), 7)) == 0


def test_one_upright_edge_is_structure():
    """A trunk in a thicket: its directions are all, but edges stand."""
    thicket = np.random.default_rng(8).integers(90, 110, (128, 128)).astype(np.uint8)
    hole = with_hole((128, 128), 40, 88, 40, 88)
    assert not structured(np.repeat(thicket[..., None], 3, axis=2), hole)
    thicket[:, 60:70] = 20
    assert structured(np.repeat(thicket[..., None], 3, axis=2), hole)


def test_correlation_by_hand():
    """Two equal edges 20 columns apart: at 0 all is alike; at 20 one of two finds its like."""
    grey = np.zeros((40, 60), np.float32)
    grey[:, 10:] = 100
    grey[:, 30:] = 200
    likeness, overlap = correlation(grey, np.ones((40, 60), bool))
    assert likeness.shape == overlap.shape == (79, 119)
    assert likeness[39, 59] == pytest.approx(1, abs=1e-4)
    # In the overlap of 39 columns lie both edges of the one, and one of the other.
    assert likeness[39, 59 + 20] == pytest.approx(2**-0.5, abs=1e-3)
    assert abs(likeness[39, 59 + 7]) < 1e-3
    assert overlap[39, 59] == pytest.approx(39 * 59)
    assert overlap[39 - 3, 59 + 5] == pytest.approx(36 * 54)


def test_lengths_of_quick_transforms():
    assert [_quick(length) for length in (447, 450, 7, 1021)] == [450, 450, 8, 1024]


def test_a_wall_of_windows_repeats_itself():
    """Windows every 18 rows and 14 columns."""
    wall = np.full((90, 112, 3), 180, np.float32)
    for row in range(4, 90, 18):
        for column in range(3, 112, 14):
            wall[row : row + 9, column : column + 6] = 60
    known = ~with_hole((90, 112), 30, 60, 40, 80)
    canvas = lay_out([(wall, known)], ~known, 8)
    found = {tuple(offset) for offset in repeats(canvas).offsets.tolist()}
    assert len(found) == 8
    assert repeats(canvas).rows
    assert found <= {(18 * row, 14 * column) for row in range(-4, 5) for column in range(-7, 8)}
    blank = lay_out(
        [(np.full((40, 40, 3), 90, np.float32), np.ones((40, 40), bool))], known[:40, :40], 8
    )
    assert repeats(blank).offsets.shape == (0, 2)
    assert not repeats(blank).rows


def test_noise_stands_in_no_rows():
    noise = np.random.default_rng(3).uniform(60, 200, (90, 112, 3)).astype(np.float32)
    canvas = lay_out([(noise, np.ones((90, 112), bool))], np.zeros((90, 112), bool), 8)
    assert not repeats(canvas).rows


def test_bland_sources_cost_what_they_lack(monkeypatch):
    """Left of the hole are stripes, right of it is nothing."""
    wall = np.full((64, 160, 3), 100, np.float32)
    wall[:, :88] += 40.0 * (np.arange(88) // 2 % 2)[:, None]
    known = ~with_hole((64, 160), 24, 40, 72, 88)
    canvas = lay_out([(wall, known)], ~known, 24)
    problem = Problem(look_at(canvas), tiles_of(canvas.hole))
    offsets = np.broadcast_to(np.array([(0, -40), (0, 40)]), (len(problem.tiles.cells), 2, 2))
    dear = surroundings_difference(problem, offsets)
    monkeypatch.setattr("finefill.completion.exemplar.labels.BLAND", np.float32(0))
    extra = dear - surroundings_difference(problem, offsets)
    lively = problem.look.wide[..., 3]
    rows, columns = problem.centres.T
    expected, found = lively[rows, columns], lively[rows, columns + 20]
    assert (expected > 5).all()
    assert (found == 0).all()
    assert np.allclose(extra[:, 1], 60 * expected**2, rtol=1e-3)
    assert (extra[:, 0] < 0.1 * extra[:, 1]).all()


def test_the_card_allows_regions():
    assert allowed({"detail": True})
    assert not allowed({"detail": False})
    assert not allowed({"detail": True, "regions": False})
