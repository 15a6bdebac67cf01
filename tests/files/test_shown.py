"""Transparency around and in a hole; samples of 16 bits that use a part of their range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import Engine, complete
from finefill.completion import fill_photo
from finefill.files.photo import alpha_of, photo_of, put_back
from finefill.files.reading import read_photo
from finefill.files.shown import for_network
from finefill.files.spread import alpha_in, spread
from finefill.files.writing import write_photo
from tests.files.pictures import MAY_LOSE
from tests.files.test_colour import PROFILES, profile_bytes

SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE]
BODY = (Y - 56) ** 2 + (X - 48) ** 2 < 30**2
LABEL = np.zeros((SIDE, SIDE), bool)
LABEL[4:14, 4:30] = True  # on transparent ground
RIM = np.zeros((SIDE, SIDE), bool)
RIM[48:64, 68:88] = True  # over the outline


def box(top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top:bottom, left:right] = True
    return mask


def sprite(hidden: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A disc of one colour; ``hidden`` is what stands under alpha 0. A red label beside it."""
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[..., :3] = hidden
    pixels[BODY] = (90, 140, 60, 255)
    pixels[LABEL] = (255, 0, 0, 255)
    return pixels


@pytest.mark.parametrize("hidden", [(255, 0, 255), (0, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("kind", ["array", "png", "key", "palette", "gif", "LA"])
def test_hidden_colours_do_not_bleed(
    tmp_path: Path, engine: Engine, hidden: tuple[int, int, int], kind: str
) -> None:
    pixels = sprite(hidden)
    image = Image.fromarray(pixels)
    path = tmp_path / ("in.gif" if kind == "gif" else "in.png")
    if kind == "LA":
        image = image.convert("LA")
    if kind == "key":
        image.convert("RGB").save(path, transparency=hidden)
    elif kind in ("palette", "gif"):
        colours = [hidden, (90, 140, 60), (255, 0, 0)]
        flat = Image.fromarray((BODY + 2 * LABEL).astype(np.uint8)).convert("P")
        flat.putpalette([value for colour in colours for value in colour])
        flat.save(path, transparency=0)
    else:
        image.save(path)
    if kind == "array":
        after = np.asarray(complete(image, RIM, engine).convert("RGBA")).astype(int)
    else:
        photo = for_network(read_photo(path), RIM)
        out = tmp_path / f"out{path.suffix}"
        write_photo(photo, fill_photo(engine, photo.rgb, RIM), RIM, out)
        with Image.open(out) as result:
            after = np.asarray(result.convert("RGBA")).astype(int)
    seen = RIM & (after[..., 3] > 0)
    wanted = np.asarray(image.convert("RGBA"))[56, 48, :3].astype(int)
    assert 0.3 < seen.sum() / RIM.sum() < 0.75
    assert np.abs(after[seen][:, :3] - wanted).max() <= 6
    # The outline goes on: the disc covers what it covered, but for some pixels.
    assert (seen != (RIM & BODY)).sum() < 0.08 * RIM.sum()
    np.testing.assert_array_equal(after[~RIM][:, 3] > 0, np.asarray(image)[~RIM][..., -1] > 0)


@pytest.mark.parametrize("level", [255, 120])
@pytest.mark.parametrize("kind", ["png", "tif", "webp", "gif", "key", "I;16", "deep"])
def test_a_label_on_transparent_ground_leaves_nothing(
    tmp_path: Path, kind: str, level: int
) -> None:
    """Nor is a hole of which all around is transparent filled with a block."""
    pixels = sprite((0, 0, 0))
    pixels[LABEL, 3] = level
    path = tmp_path / f"in.{kind if kind in ('tif', 'webp', 'gif') else 'png'}"
    if kind == "key":
        Image.fromarray(pixels[..., :3]).save(path, transparency=(0, 0, 0))
    elif kind == "I;16":
        Image.fromarray(pixels[..., 1] * np.uint16(200)).save(path, transparency=0)
    elif kind == "deep":
        codecs = pytest.importorskip("imagecodecs", reason="needs the extra formats")
        path.write_bytes(codecs.png_encode(pixels * np.uint16(257)))
    elif kind == "gif":
        opaque = pixels.copy()
        opaque[LABEL, 3] = 255
        Image.fromarray(opaque).save(path)
    else:
        Image.fromarray(pixels).save(path, **({"lossless": True} if kind == "webp" else {}))
    photo = read_photo(path)
    before = np.asarray(alpha_of(photo.stored))
    wide = box(2, 16, 2, 32)
    write_photo(photo, np.full_like(photo.rgb, 200), wide, tmp_path / f"out{path.suffix}")
    after = np.asarray(alpha_of(read_photo(tmp_path / f"out{path.suffix}").stored))
    assert (after[wide] == 0).all()
    np.testing.assert_array_equal(after[~wide], before[~wide])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_in_a_hole(dtype: type[np.uint8] | type[np.uint16]) -> None:
    most, hole = np.iinfo(dtype).max, box(30, 60, 30, 60)
    alpha = np.full((SIDE, SIDE), most, dtype)
    alpha[40:50, 40:50] = 0  # erased, and the mask drawn wider
    assert (alpha_in(alpha, hole) == most).all()
    alpha[30:60, 30:60] = most // 2  # see-through in an opaque picture
    assert (alpha_in(alpha, hole) == most).all()
    alpha[:] = most // 2
    assert (alpha_in(alpha, hole) == most // 2).all()
    alpha[:, 45:] = 0  # an edge goes on: each side has its half, by the nearest pixel
    filled = alpha.copy()
    filled[hole] = alpha_in(np.where(hole, most, alpha).astype(dtype), hole)
    assert ((filled != alpha).sum(axis=1) <= 15).all()
    assert set(np.unique(filled)) == {0, most // 2}
    ramp = (X * (most // 255)).astype(dtype)  # a shadow: what fits already stays
    np.testing.assert_array_equal(alpha_in(ramp, hole), ramp[hole])
    blot = ramp.copy()
    blot[35:55, 35:55] = most
    soft = alpha_in(blot, hole).astype(int) / (most // 255)
    assert np.abs(soft - X[hole]).max() <= 8


def test_the_nearest_pixel_decides() -> None:
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[:, :48] = 255
    alpha[20:40, 20:80] = 77
    filled = alpha.copy()
    filled[20:40, 20:80] = alpha_in(alpha, box(20, 40, 20, 80)).reshape(20, 60)
    # Above and below are 10 pixels away at most, left and right at least as near at the ends.
    np.testing.assert_array_equal(filled[:, :48] == 255, np.ones((SIDE, 48), bool))
    np.testing.assert_array_equal(filled[:, 48:] == 0, np.ones((SIDE, 48), bool))


def test_colours_spread_into_what_is_unknown() -> None:
    rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
    rgb[:, :40] = (10, 20, 30)
    rgb[:, 60:] = (200, 100, 50)
    weights = np.full((SIDE, SIDE), 255, np.uint8)
    weights[:, 40:60] = 0
    result = spread(rgb, weights)
    np.testing.assert_array_equal(result[weights > 0], rgb[weights > 0])
    assert np.abs(result[:, 40].astype(int) - (10, 20, 30)).max() < 40
    assert np.abs(result[:, 59].astype(int) - (200, 100, 50)).max() < 40
    single = np.zeros((SIDE, SIDE), np.uint8)
    single[70, 80] = 255
    assert np.abs(spread(rgb, single).astype(int) - rgb[70, 80]).max() <= 3


GREY = (np.sin(X / 17) * 60 + np.cos(Y / 23) * 50 + 128).astype(np.uint16)  # 18 to 238
MIDDLE = box(36, 60, 36, 60)


@pytest.mark.parametrize(
    ("scale", "offset"), [(16, 0), (8, 500), (4, 200), (1, 0), (64, 0), (1, 40000), (257, 0)]
)
@pytest.mark.parametrize(
    "kind", ["grey.png", "grey.tif", "white.tif", "rgb.tif", "rgb.png", "LA.png"]
)
def test_samples_that_use_a_part_of_16_bits(
    tmp_path: Path, engine: Engine, scale: int, offset: int, kind: str
) -> None:
    """The fill has the photo's levels, not multiples of 257."""
    values = (GREY * scale + offset).astype(np.uint16)
    path = tmp_path / kind
    if kind.startswith("grey"):
        Image.fromarray(values).save(path)
    else:
        codecs = pytest.importorskip("imagecodecs", reason="needs the extra formats")
        tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
        opaque = np.full_like(values, 65535)
        if kind == "white.tif":
            tifffile.imwrite(path, 65535 - values, photometric="miniswhite", metadata=None)
        elif kind == "rgb.tif":
            tifffile.imwrite(path, np.dstack([values] * 3), photometric="rgb", metadata=None)
        else:
            bands = [values, opaque] if kind == "LA.png" else [values] * 3
            path.write_bytes(codecs.png_encode(np.dstack(bands)))
    photo = read_photo(path)
    shown = for_network(photo, MIDDLE)
    if scale < 128:
        assert shown.rgb.min() <= 6
        assert shown.rgb.max() >= 249
    out = tmp_path / f"out{path.suffix}"
    write_photo(shown, fill_photo(engine, shown.rgb, MIDDLE), MIDDLE, out)
    again = read_photo(out)
    after = np.asarray(again.stored) if again.samples is None else again.samples[..., 0]
    np.testing.assert_array_equal(after[~MIDDLE], values[~MIDDLE])
    inside, around = (
        after[MIDDLE].astype(float),
        values[box(30, 66, 30, 66) & ~MIDDLE].astype(float),
    )
    span = float(values.max() - values.min())
    assert abs(inside.mean() - around.mean()) < 0.12 * span
    assert inside.min() >= values.min() - 0.04 * span - 32
    assert inside.max() <= values.max() + 0.04 * span + 32
    if scale > 1:
        assert len(np.unique(inside)) > 60


def test_a_gradient_has_no_steps_of_8_bits() -> None:
    """The fraction of a level comes back from the pixels around."""
    ramp = np.repeat(np.linspace(40, 60, SIDE)[None], SIDE, axis=0)
    values = (ramp * 257).astype(np.uint16)
    photo = for_network(photo_of(Image.fromarray(values)), MIDDLE)
    assert photo.levels is not None
    fill = np.repeat(np.rint(np.linspace(0, 255, SIDE))[None, :, None] // 10, SIDE, axis=0)
    fill = np.repeat(fill, 3, axis=2).astype(np.uint8)
    after = np.asarray(put_back(photo, fill, MIDDLE))[MIDDLE].astype(float)
    low, high = photo.levels
    exact = (after - low) * 255 / (high - low)
    assert np.abs(exact - fill[MIDDLE][:, 0]).max() <= 0.51
    assert len(np.unique(after)) > 2 * len(np.unique(fill[MIDDLE][:, 0]))


def test_odd_samples_do_not_decide(engine: Engine) -> None:
    """A hot pixel, and a hole in the data far away."""
    values = (GREY * 16).astype(np.uint16)
    values[30, 30], values[31, 70] = 65535, 0
    photo = for_network(photo_of(Image.fromarray(values)), MIDDLE)
    assert photo.levels is not None
    assert photo.levels[1] < 5000


def test_an_image_with_white_as_zero_in_memory(tmp_path: Path, engine: Engine) -> None:
    tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
    values = (GREY * 250).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", 65535 - values, photometric="miniswhite", metadata=None)
    with Image.open(tmp_path / "in.tif") as image:
        after = np.asarray(complete(image, MIDDLE, engine))
    plain = np.asarray(complete(Image.fromarray(values), MIDDLE, engine))
    np.testing.assert_array_equal(after[~MIDDLE], (65535 - values)[~MIDDLE])
    assert np.abs(after[MIDDLE].astype(int) - (65535 - plain[MIDDLE].astype(int))).max() <= 2


@pytest.mark.parametrize("kind", ["RGBA", "P"])
def test_hidden_colours_do_not_bleed_with_a_profile(
    tmp_path: Path, engine: Engine, kind: str
) -> None:
    """Colours of the photo's own are looked up beside the hole, but not under transparency."""
    pixels = sprite((255, 0, 255))
    image = Image.fromarray(pixels)
    options: dict[str, object] = {"icc_profile": profile_bytes(*PROFILES["p3"])}
    if kind == "P":
        image = Image.fromarray((BODY + 2 * LABEL).astype(np.uint8)).convert("P")
        image.putpalette([255, 0, 255, 90, 140, 60, 255, 0, 0])
        options["transparency"] = 0
    image.save(tmp_path / "in.png", **options)
    photo = for_network(read_photo(tmp_path / "in.png"), RIM)
    write_photo(photo, fill_photo(engine, photo.rgb, RIM), RIM, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as result:
        after = np.asarray(result.convert("RGBA")).astype(int)
    shown = RIM & (after[..., 3] > 0)
    assert 0.3 < shown.sum() / RIM.sum() < 0.75
    assert np.abs(after[shown][:, :3] - (90, 140, 60)).max() <= 6


@MAY_LOSE
@pytest.mark.parametrize("target", ["out.jpg", "out.bmp", "out.webp", "out.tif"])
@pytest.mark.parametrize("bands", [1, 3])
def test_outputs_of_8_bits_are_as_dark_as_the_photo(
    tmp_path: Path, engine: Engine, target: str, bands: int
) -> None:
    """The fill is stretched for the networks alone."""
    tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
    values = (GREY * 64).astype(np.uint16)  # 4 to 60 of 255
    kind = "minisblack" if bands == 1 else "rgb"
    pixels = values if bands == 1 else np.dstack([values] * 3)
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric=kind, metadata=None, software=False)
    photo = for_network(read_photo(tmp_path / "in.tif"), MIDDLE)
    write_photo(photo, fill_photo(engine, photo.rgb, MIDDLE), MIDDLE, tmp_path / target)
    after = read_photo(tmp_path / target).rgb[..., 0].astype(float)
    ring = box(33, 63, 33, 63) & ~MIDDLE
    assert abs(after[MIDDLE].mean() - values[ring].mean() / 257) < 8
    assert np.abs(after - values / 257)[~MIDDLE].max() < (12 if target == "out.jpg" else 1)


def dim(distance: int) -> NDArray[np.uint16]:
    """Samples of 272 to 1152 with a bright spot, radius 8, so far right of the middle."""
    values = (GREY * 4 + 200).astype(np.uint16)
    values[(Y - 48) ** 2 + (X - 48 - distance) ** 2 < 64] = 65535
    return values


@pytest.mark.parametrize("kind", ["in.png", "rgb.tif", "white.tif"])
def test_a_bright_spot_within_reach_leaves_the_dark_their_levels(
    tmp_path: Path, engine: Engine, kind: str
) -> None:
    """The spot is cut for the networks, not in the file."""
    values, path = dim(35), tmp_path / kind
    if kind == "in.png":
        Image.fromarray(values).save(path)
    else:
        tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
        white = kind == "white.tif"
        pixels = 65535 - values if white else np.dstack([values] * 3)
        tifffile.imwrite(path, pixels, photometric="miniswhite" if white else "rgb", metadata=None)
    photo = for_network(read_photo(path), MIDDLE)
    out = tmp_path / f"out{path.suffix}"
    write_photo(photo, fill_photo(engine, photo.rgb, MIDDLE), MIDDLE, out)
    again = read_photo(out)
    after = np.asarray(again.stored) if again.samples is None else again.samples[..., 0]
    np.testing.assert_array_equal(after[~MIDDLE], values[~MIDDLE])
    inside, around = after[MIDDLE].astype(float), values[box(30, 66, 30, 66) & ~MIDDLE]
    assert len(np.unique(inside)) > 60
    assert abs(inside.mean() - around.mean()) < 0.12 * 880
    assert 200 <= inside.min() <= inside.max() <= 1300


@pytest.mark.parametrize("bright", [0, 1, 2])
def test_a_bright_channel_leaves_the_others_their_levels(
    tmp_path: Path, engine: Engine, bright: int
) -> None:
    """As of fluorescence: each channel has levels of its own."""
    tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
    factors = [200 if at == bright else 4 for at in range(3)]
    values = np.dstack([GREY * factor + 100 for factor in factors]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", values, photometric="rgb", metadata=None)
    photo = for_network(read_photo(tmp_path / "in.tif"), MIDDLE)
    write_photo(photo, fill_photo(engine, photo.rgb, MIDDLE), MIDDLE, tmp_path / "out.tif")
    after = tifffile.imread(tmp_path / "out.tif")
    for at, factor in enumerate(factors):
        inside = after[MIDDLE][:, at].astype(float)
        around = values[box(30, 66, 30, 66) & ~MIDDLE][:, at].astype(float)
        assert len(np.unique(inside)) > 60
        assert abs(inside.mean() - around.mean()) < 0.12 * 220 * factor


def test_channels_alike_keep_their_balance() -> None:
    """A reddish photograph: one pair of levels, so red stays twice of green and 4 times of blue."""
    pytest.importorskip("tifffile", reason="needs the extra formats")
    values = np.dstack([GREY * 64, GREY * 32, GREY * 16]).astype(np.uint16)
    eight = Image.fromarray((values // 257).astype(np.uint8))
    photo = for_network(photo_of(eight)._replace(samples=values), MIDDLE)
    assert photo.levels is not None
    assert [level.shape for level in photo.levels] == [(1,), (1,)]
    low, high = (int(level[0]) for level in photo.levels)
    wanted = np.rint((values.astype(float) - low) * 255 / (high - low)).clip(0, 255)
    assert np.abs(photo.rgb - wanted).max() <= 1


def test_dark_and_bright_beside_a_hole_are_told() -> None:
    """The spot goes on into the hole: neither can be cut."""
    with pytest.warns(UserWarning, match="far brighter"):
        photo = for_network(photo_of(Image.fromarray(dim(14))), MIDDLE)
    assert photo.levels is not None
    assert photo.levels[1][0] == 65535


def test_the_far_range_of_an_ordinary_photo_is_kept() -> None:
    """A hole in a sky of little range, with a dark tree within reach."""
    sky = (50000 + 200 * (X % 4) + 10 * Y).astype(np.uint16)
    sky[:, 80:] = 3000
    photo = for_network(photo_of(Image.fromarray(sky)), MIDDLE)
    assert photo.levels is not None
    assert [int(level[0]) for level in photo.levels] == [0, 65535]


@pytest.mark.parametrize(("width", "kept"), [(6, False), (16, True)])
def test_a_bright_plain_keeps_its_levels_beside_little_that_is_dark(width: int, kept: bool) -> None:
    """Fewer than 4 levels of 8 bits would be left: 6 of 96 columns are cut, 16 are too many."""
    sky = (50000 + 50 * (X % 4) + Y).astype(np.uint16)
    sky[:, SIDE - width :] = 3000
    photo = for_network(photo_of(Image.fromarray(sky)), MIDDLE)
    assert photo.levels is not None
    low, high = (int(level[0]) for level in photo.levels)
    assert (low <= 3000) is kept
    assert low <= 50000 < 50245 <= high  # what is beside the hole is never cut


@pytest.mark.parametrize("kind", ["rgb.tif", "grey.tif", "white.tif", "alpha.tif"])
def test_a_flat_colour_of_16_bits_goes_on_exactly(
    tmp_path: Path, engine: Engine, kind: str
) -> None:
    """Two flat halves, with a hole in each: both get the stored samples."""
    tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
    values = np.full((SIDE, SIDE, 4), (10001, 20002, 30003, 65535), np.uint16)
    values[:, 48:, :3] = (60123, 777, 40404)
    if kind in ("grey.tif", "white.tif"):
        values = values[..., 0]
    elif kind == "rgb.tif":
        values = np.ascontiguousarray(values[..., :3])
    white = "miniswhite" if kind == "white.tif" else "minisblack"
    tifffile.imwrite(
        tmp_path / kind,
        values,
        photometric="rgb" if values.ndim == 3 else white,
        extrasamples=["unassalpha"] if kind == "alpha.tif" else None,
        metadata=None,
    )
    mask = box(20, 50, 10, 36) | box(60, 80, 60, 84)
    photo = for_network(read_photo(tmp_path / kind), mask)
    write_photo(photo, fill_photo(engine, photo.rgb, mask), mask, tmp_path / "out.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), values)


@pytest.mark.parametrize("target", ["out.jpg", "out.webp", "out.bmp", "out.gif"])
@pytest.mark.parametrize("kind", ["grey.png", "rgb.tif", "alpha.tif"])
def test_samples_of_12_bits_are_dark_with_8(tmp_path: Path, target: str, kind: str) -> None:
    """17 * 238 = 4046 of 65535 are 15 of 255: told; a 16-bit file is written without a word.

    Opaque alpha, 65535, says nothing about how bright the colours are.
    """
    values = (GREY * 17).astype(np.uint16)
    if kind == "grey.png":
        Image.fromarray(values).save(tmp_path / kind)
    else:
        tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
        alpha = [np.full_like(values, 65535)] if kind == "alpha.tif" else []
        pixels = np.dstack([values] * 3 + alpha)
        said = {"photometric": "rgb", "metadata": None, "software": False}
        extra = {"extrasamples": ["unassalpha"]} if alpha else {}
        tifffile.imwrite(tmp_path / kind, pixels, **said, **extra)
    photo = for_network(read_photo(tmp_path / kind), MIDDLE)
    with pytest.warns(UserWarning, match=r"to 15 of 255\): write a 16-bit PNG or TIFF"):
        write_photo(photo, photo.rgb, MIDDLE, tmp_path / target)
    for same in ("out.png", "out.tif"):
        write_photo(photo, photo.rgb, MIDDLE, tmp_path / same)


def test_a_low_range_high_up_is_flat_with_8(tmp_path: Path) -> None:
    values = (GREY + 40000).astype(np.uint16)
    photo = for_network(photo_of(Image.fromarray(values)), MIDDLE)
    with pytest.warns(UserWarning, match="it is flat"):
        write_photo(photo, photo.rgb, MIDDLE, tmp_path / "out.jpg")


@pytest.mark.parametrize("bands", [1, 3])
def test_a_plane_of_16_bits_goes_on_exactly(tmp_path: Path, engine: Engine, bands: int) -> None:
    """Each channel rises by its own whole numbers; each of two holes gets what belongs there."""
    tifffile = pytest.importorskip("tifffile", reason="needs the extra formats")
    planes = [1000 + 100 * X + 50 * Y, 30000 + 30 * X - 20 * Y, 60000 - 40 * X]
    values = np.squeeze(np.dstack(planes[:bands]).astype(np.uint16))
    kind = "rgb" if bands == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "in.tif", values, photometric=kind, metadata=None)
    mask = box(20, 40, 10, 36) | box(60, 80, 60, 84)
    photo = for_network(read_photo(tmp_path / "in.tif"), mask)
    write_photo(photo, fill_photo(engine, photo.rgb, mask), mask, tmp_path / "out.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), values)


@pytest.mark.parametrize("top", [8000, 20000, 65535])
@pytest.mark.parametrize("factor", [4, 16, 30])
def test_a_far_spot_of_any_brightness_takes_few_levels(top: int, factor: int) -> None:
    """What is beside the hole keeps 32 levels of 8 bits at least, without a word."""
    values = (GREY * factor + 200).astype(np.uint16)
    values[(Y - 48) ** 2 + (X - 83) ** 2 < 64] = top
    photo = for_network(photo_of(Image.fromarray(values)), MIDDLE)
    around = photo.rgb[box(28, 68, 28, 68) & ~MIDDLE]
    assert int(around.max()) - int(around.min()) >= 32
