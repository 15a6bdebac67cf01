"""Photographs with ICC profiles: seen in sRGB, completed alike, written back in their own."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageEnhance

from finefill import Engine, complete
from finefill.completion.photo import fill_photo
from finefill.files.colour import Colours, colours_of
from finefill.files.formats import usable
from finefill.files.photo import put_back
from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.conftest import CARD, write_model
from tests.files.pictures import MAY_LOSE, told

# Columns: red, green and blue as XYZ relative to D50, from the specifications of the spaces.
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
ADOBE = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
P3 = np.array(
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
PROPHOTO = np.array([[0.79767, 0.13519, 0.03134], [0.28804, 0.71188, 0.00008], [0.0, 0.0, 0.82521]])
PROFILES = {"adobe": (ADOBE, 563 / 256), "p3": (P3, 2.25), "prophoto": (PROPHOTO, 461 / 256)}


WHITE = np.array([0.9642, 1.0, 0.8249])


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def packed(kind: bytes, own: dict[bytes, bytes]) -> bytes:
    """An ICC v2 profile; ``kind`` is its class, colours and connection space."""
    text = b"a test profile\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(80),
        b"cprt": b"text" + bytes(4) + b"none\0\0\0\0",
        b"wtpt": b"XYZ " + bytes(4) + fixed(*WHITE),
    } | own
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    head = b"none" + struct.pack(">I", 0x02100000) + kind
    head += bytes(12) + b"acsp" + bytes(28) + fixed(*WHITE)
    body = head + bytes(124 - len(head)) + struct.pack(">I", len(tags)) + table + data
    return struct.pack(">I", 4 + len(body)) + body


def profile_bytes(matrix: NDArray[np.float64] | None, gamma: float) -> bytes:
    """An ICC v2 profile of three primaries and one gamma; of grey without primaries."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    if matrix is None:
        return packed(b"mntrGRAYXYZ ", {b"kTRC": curve})
    tags = dict[bytes, bytes]()
    for i, name in enumerate((b"r", b"g", b"b")):
        tags[name + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*matrix[:, i])
        tags[name + b"TRC"] = curve
    return packed(b"mntrRGB XYZ ", tags)


def linear_of(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light of sRGB values, all 0 to 1."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab_of(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE Lab, relative to D50, of sRGB values 0 to 1."""
    part = linear_of(rgb) @ SRGB.T / WHITE
    f = np.where(part > (6 / 29) ** 3, np.cbrt(part), part * (29 / 6) ** 2 / 3 + 4 / 29)
    return f @ np.array([[0, 500, 0], [116, -500, 200], [0, 0, -200]]) - [16, 0, 0]


def srgb_of(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undoes :func:`lab_of`; colours outside sRGB are clipped."""
    y = (lab[..., :1] + 16) / 116
    f = y + lab[..., 1:2] / 500 * [1, 0, 0] - lab[..., 2:] / 200 * [0, 0, 1]
    part = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
    linear = (part * WHITE @ np.linalg.inv(SRGB).T).clip(0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def ink_profile() -> bytes:
    """An ICC v2 profile of inks that reflect the square root of what screens shine; by tables."""

    def table(inputs: int, points: int, values: NDArray[np.float64]) -> bytes:
        ramp = bytes(range(256))
        outputs = values.shape[-1]
        unit = struct.pack(">9i", *(np.eye(3, dtype=int) * 65536).ravel())
        head = b"mft1" + bytes(4) + bytes([inputs, outputs, points, 0]) + unit
        grid = np.rint(values.clip(0, 255)).astype(np.uint8).tobytes()
        return head + ramp * inputs + grid + ramp * outputs

    step = np.linspace(0, 1, 9)
    inks = np.stack(np.meshgrid(step, step, step, step, indexing="ij"), axis=-1)
    seen = ((1 - inks[..., :3]) * (1 - inks[..., 3:])) ** 0.5
    to_lab = lab_of(seen) * [2.55, 1, 1] + [0, 128, 128]
    step = np.linspace(0, 255, 33)
    lab = np.stack(np.meshgrid(step, step, step, indexing="ij"), axis=-1)
    wanted = srgb_of((lab - [0, 128, 128]) / [2.55, 1, 1])
    from_lab = np.concatenate([1 - wanted**2, np.zeros((33, 33, 33, 1))], axis=-1) * 255
    tags = {b"A2B0": table(4, 9, to_lab), b"B2A0": table(3, 33, from_lab)}
    return packed(b"prtrCMYKLab ", tags)


def converted(
    rgb: NDArray[np.uint8], matrix: NDArray[np.float64], gamma: float
) -> NDArray[np.uint8]:
    """SRGB pixels in the space of the primaries, by the formulas."""
    other = linear_of(rgb / 255) @ SRGB.T @ np.linalg.inv(matrix).T
    return np.rint(255 * other.clip(0, 1) ** (1 / gamma)).astype(np.uint8)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine without fine detail, whose choices hang on single levels."""
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    return Engine(write_model(path, {**CARD, "detail": False}), threads=1)


@pytest.fixture(scope="module")
def part(demo_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A part of the photograph, its colours strengthened."""
    return np.array(ImageEnhance.Color(Image.fromarray(demo_rgb[200:360, 200:400])).enhance(2.5))


MASK = np.zeros((160, 200), bool)
MASK[50:110, 60:130] = True


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("extension", ["png", "tif", "webp"])
def test_other_colours_are_seen_and_completed_as_srgb(
    plain: Engine, part: NDArray[np.uint8], tmp_path: Path, name: str, extension: str
) -> None:
    matrix, gamma = PROFILES[name]
    profile, stored = profile_bytes(matrix, gamma), converted(part, matrix, gamma)
    assert np.abs(stored.astype(int) - part).max() > 20  # it does look different without
    source, target = tmp_path / f"in.{extension}", tmp_path / f"out.{extension}"
    lossless = {"lossless": True} if extension == "webp" else {}
    Image.fromarray(stored).save(source, icc_profile=profile, **lossless)
    photo = read_photo(source)
    apart = np.abs(photo.rgb.astype(int) - part)
    assert apart.mean() < 1
    # In dark corners one level of a wide space with a plain gamma is several of sRGB.
    assert np.quantile(apart, 0.99) <= 3
    write_photo(photo, fill_photo(plain, photo.rgb, MASK), MASK, target)
    with Image.open(target) as after:
        assert after.info["icc_profile"] == profile
        np.testing.assert_array_equal(np.asarray(after)[~MASK], stored[~MASK])
    expected = complete(part, MASK, plain)[MASK].astype(int)
    assert np.abs(read_photo(target).rgb[MASK] - expected).mean() < 2
    # Without the conversion, the same numbers are other colours.
    assert np.abs(np.asarray(Image.open(target))[MASK] - expected).mean() > 3


def test_images_in_memory_are_converted_too(plain: Engine, part: NDArray[np.uint8]) -> None:
    image = Image.fromarray(converted(part, *PROFILES["adobe"]))
    image.info["icc_profile"] = profile_bytes(*PROFILES["adobe"])
    result = complete(image, MASK, plain)
    seen = colours_of(result.info["icc_profile"], "RGB", "")
    assert seen is not None
    expected = complete(part, MASK, plain)[MASK].astype(int)
    assert np.abs(seen.to_srgb(result)[MASK] - expected).mean() < 2


@MAY_LOSE
def test_a_grey_profile(tmp_path: Path) -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None], 32, axis=0)
    for mode, extension in (("L", "png"), ("LA", "png"), ("L", "jpg")):
        Image.fromarray(grey).convert(mode).save(
            tmp_path / f"in.{extension}", icc_profile=profile_bytes(None, 1.0), quality=100
        )
        photo = read_photo(tmp_path / f"in.{extension}")
        # Linear 128/255 is 188 in sRGB.
        assert abs(int(photo.rgb[8, 128, 0]) - 188) <= 1
        mask = np.zeros(grey.shape, bool)
        mask[10:20, 100:150] = True
        result = put_back(photo, np.full_like(photo.rgb, 188), mask)
        level = int(np.asarray(result.convert("LA"))[15, 120, 0])
        assert abs(level - 128) <= 1
        write_photo(photo, photo.rgb, mask, tmp_path / "out.webp")  # holds no grey: sRGB, untagged
        with Image.open(tmp_path / "out.webp") as after:
            assert "icc_profile" not in after.info
            assert abs(int(np.asarray(after)[8, 128, 0]) - 188) <= 1


@MAY_LOSE
def test_an_ink_profile(part: NDArray[np.uint8], tmp_path: Path) -> None:
    inks = np.zeros((*part.shape[:2], 4), np.uint8)
    inks[..., :3] = np.rint(255 * (1 - (part / 255) ** 2))
    naive = np.asarray(Image.frombytes("CMYK", (200, 160), inks.tobytes()).convert("RGB"))
    assert np.abs(naive.astype(int) - part).mean() > 20
    for extension in ("tif", "jpg"):
        image = Image.frombytes("CMYK", (200, 160), inks.tobytes())
        image.save(tmp_path / f"in.{extension}", icc_profile=ink_profile(), quality=95)
        photo = read_photo(tmp_path / f"in.{extension}")
        assert np.abs(photo.rgb.astype(int) - part).mean() < 5  # the tables are coarse
        result = put_back(photo, part, MASK)
        assert np.abs(np.asarray(result)[MASK].astype(int) - inks[MASK]).mean() < 5
        write_photo(photo, photo.rgb, MASK, tmp_path / "out.png")
        with Image.open(tmp_path / "out.png") as after:
            assert (after.mode, "icc_profile" in after.info) == ("RGB", False)
            assert np.abs(np.asarray(after).astype(int) - part).mean() < 5


def test_formats_without_profiles_get_srgb(part: NDArray[np.uint8], tmp_path: Path) -> None:
    matrix, gamma = PROFILES["adobe"]
    image = Image.fromarray(converted(part, matrix, gamma))
    image.save(tmp_path / "in.png", icc_profile=profile_bytes(matrix, gamma))
    photo = read_photo(tmp_path / "in.png")
    with pytest.warns(UserWarning, match=r"BMP does not keep its colour profile \(its colours"):
        write_photo(photo, photo.rgb, MASK, tmp_path / "out.bmp")
    assert np.abs(read_photo(tmp_path / "out.bmp").rgb.astype(int) - photo.rgb).max() <= 3


def test_srgb_profiles_change_nothing(part: NDArray[np.uint8]) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colours_of(profile, "RGB", "") is None
    # Primaries of sRGB, but another curve: up to 7 levels in the shadows.
    assert isinstance(colours_of(profile_bytes(SRGB, 2.2), "RGB", ""), Colours)
    buffer = io.BytesIO()
    Image.fromarray(part).save(buffer, "PNG", icc_profile=profile)
    np.testing.assert_array_equal(read_photo(buffer.getvalue()).rgb, part)


@pytest.mark.parametrize("kind", ["noise", "cut", "no curves"])
def test_a_damaged_profile_is_told_and_kept(
    part: NDArray[np.uint8], tmp_path: Path, kind: str
) -> None:
    good = profile_bytes(*PROFILES["p3"])
    profile = {
        "noise": b"\x07" * 300,
        "cut": good[:200],
        "no curves": good.replace(b"rTRC", b"xTRC"),
    }[kind]
    Image.fromarray(part).save(tmp_path / "in.png", icc_profile=profile)
    with pytest.warns(UserWarning, match=r"in\.png: its colour profile is damaged"):
        photo = read_photo(tmp_path / "in.png")
    np.testing.assert_array_equal(photo.rgb, part)
    write_photo(photo, 255 - part, MASK, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as after:
        assert after.info["icc_profile"] == profile
        np.testing.assert_array_equal(np.asarray(after)[MASK], 255 - part[MASK])


def test_a_profile_for_other_samples_is_ignored(part: NDArray[np.uint8]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert colours_of(profile_bytes(None, 1.0), "RGB", "") is None
        assert colours_of(None, "RGB", "") is None
        assert colours_of(b"", "RGB", "") is None


def test_large_images_go_in_parts(part: NDArray[np.uint8]) -> None:
    colours = colours_of(profile_bytes(*PROFILES["adobe"]), "RGB", "")
    assert colours is not None
    large = np.tile(part, (40, 1, 1))  # 6400x200: more than one part each way
    assert large.shape[0] * large.shape[1] > 1 << 20
    once = colours.to_srgb(Image.fromarray(part))
    np.testing.assert_array_equal(
        colours.to_srgb(Image.fromarray(large)), np.tile(once, (40, 1, 1))
    )
    back = colours.from_srgb(large.reshape(-1, 3))
    np.testing.assert_array_equal(back[: part[..., 0].size], colours.from_srgb(part.reshape(-1, 3)))
    assert len(back) == large.shape[0] * large.shape[1]


@pytest.mark.parametrize("kind", ["grey", "damaged", "sRGB"])
@pytest.mark.parametrize("target", ["bmp", "gif", "jxl", "png", "tif"])
def test_a_profile_that_is_not_used_is_told_where_it_is_dropped(
    part: NDArray[np.uint8], tmp_path: Path, kind: str, target: str
) -> None:
    if not usable(f".{target}"):
        pytest.skip("needs the extra formats")
    grey = part[..., 0] // 64 * 64  # few colours, for GIF
    profile = {
        "grey": profile_bytes(None, 1.0),
        "damaged": b"\x07" * 300,
        "sRGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    }[kind]
    Image.fromarray(np.dstack([grey] * 3)).save(tmp_path / "in.png", icc_profile=profile)
    with told("its colour profile is damaged" if kind == "damaged" else ""):
        photo = read_photo(tmp_path / "in.png")
    dropped = target in ("bmp", "gif", "jxl") and kind != "sRGB"
    with told(r"does not keep its colour profile \(damaged, or of other" if dropped else ""):
        write_photo(photo, photo.rgb, MASK, tmp_path / f"out.{target}")
