"""What is outside the hole looks as before, as libraries see it that wrote neither file.

Formats, modes, bits, orientation, alpha, byte order and compression come together here; pixels are
compared upright and in 16 bits, decoded by tifffile and imagecodecs.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from finefill.completion.verify import verify_file
from finefill.files.photo import turn
from finefill.files.reading import read_photo
from finefill.files.shown import for_network
from finefill.files.writing import write_photo
from tests.files.pictures import MAY_LOSE

codecs = pytest.importorskip("imagecodecs", reason="reads the files")
tifffile = pytest.importorskip("tifffile", reason="reads the files")


def seen(path: Path) -> NDArray[np.uint16]:
    """(H, W, 4) of 16 bits, upright; colours under alpha 0 are black."""
    data, orientation = path.read_bytes(), 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        if path.suffix != ".tif":
            with Image.open(path) if path.suffix != ".jxl" else Image.new("L", (1, 1)) as image:
                orientation = image.getexif().get(0x0112, 1)
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            values = page.asarray()
            if page.photometric == 0:
                grey = values[..., :1] if values.ndim == 3 else values
                grey[:] = np.iinfo(values.dtype).max - grey
            if page.planarconfig == 2 and values.ndim == 3:
                values = np.moveaxis(values, 0, -1)
            if 0x0112 in page.tags:
                orientation = page.tags[0x0112].value
    elif path.suffix == ".png":
        values = codecs.png_decode(data)
    elif path.suffix == ".webp":
        values = codecs.webp_decode(data, hasalpha=True)
    else:
        values = codecs.jpegxl_decode(data)
    values = values[..., None] if values.ndim == 2 else values
    values = values.astype(np.uint16) * np.uint16(1 if values.dtype == np.uint16 else 257)
    bands = values.shape[2]
    colour = values[..., :1].repeat(3, axis=2) if bands < 3 else values[..., :3]
    alpha = values[..., -1:] if bands in (2, 4) else np.full_like(values[..., :1], 65535)
    return turn(np.dstack([np.where(alpha > 0, colour, 0), alpha]), orientation)


# Extension -> layouts: bits, channels.
KINDS = {
    "png": [(8, 1), (8, 2), (8, 3), (8, 4), (16, 1), (16, 2), (16, 3), (16, 4)],
    "tif": [(8, 1), (8, 2), (8, 3), (8, 4), (16, 1), (16, 2), (16, 3), (16, 4)],
    "webp": [(8, 3), (8, 4)],
    "jxl": [(8, 1), (8, 2), (8, 3), (8, 4)],
}


def made(path: Path, values: NDArray[Any], data: st.DataObject, orientation: int) -> None:
    bands = 1 if values.ndim == 2 else values.shape[2]
    exif = Image.Exif()
    exif[0x0112] = orientation
    if path.suffix == ".tif":
        options: dict[str, Any] = {
            "photometric": "rgb"
            if bands > 2
            else data.draw(st.sampled_from(["minisblack", "miniswhite"])),
            "byteorder": data.draw(st.sampled_from("<>")),
            "compression": data.draw(st.sampled_from([None, "lzw", "zlib", "packbits", "zstd"])),
            "extratags": [(0x0112, "H", 1, orientation, True)],
            "extrasamples": ["unassalpha"] if bands in (2, 4) else None,
            "planarconfig": "contig" if bands > 1 else None,
        }
        if data.draw(st.booleans()):
            options["tile"] = (16, 32)
        tifffile.imwrite(path, values, metadata=None, **options)
    elif path.suffix == ".jxl":
        path.write_bytes(codecs.jpegxl_encode(values, lossless=True))
    elif values.dtype == np.uint16 and bands > 1:
        path.write_bytes(codecs.png_encode(values))
    else:
        options = {"lossless": True, "exact": True} if path.suffix == ".webp" else {}
        Image.fromarray(values).save(path, exif=exif, **options)


@MAY_LOSE
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.data(),
    source=st.sampled_from(list(KINDS)),
    orientation=st.integers(1, 8),
    range_=st.sampled_from([(0, 1), (0, 1 / 16), (0.3, 0.35)]),
    seed=st.integers(0, 99),
)
def test_what_is_seen_outside_the_hole_stays(
    tmp_path: Path,
    data: st.DataObject,
    source: str,
    orientation: int,
    range_: tuple[float, float],
    seed: int,
) -> None:
    bits, bands = data.draw(st.sampled_from(KINDS[source]))
    wanted = [kind for kind in KINDS if bands in (n for b, n in KINDS[kind] if b == bits)]
    wanted = [kind for kind in wanted if kind != "webp" or bands > 2]
    target = data.draw(st.sampled_from(sorted({*wanted, source})))
    height, width = data.draw(st.integers(16, 48)), data.draw(st.integers(16, 48))
    rng = np.random.default_rng(seed)
    full = 2**bits - 1
    low, high = (int(part * full) for part in range_)
    values = rng.integers(low, high + 1, (height, width, bands)).astype(f"u{bits // 8}")
    if bands in (2, 4):
        values[..., -1] = rng.choice([0, full // 3, full], (height, width))
    path, out = tmp_path / f"in.{source}", tmp_path / f"out.{target}"
    made(path, values[..., 0] if bands == 1 else values, data, orientation)
    before = seen(path)
    photo = read_photo(path)
    assert photo.rgb.shape[:2] == before.shape[:2]
    hole = np.zeros(before.shape[:2], bool)
    top, left = data.draw(st.integers(0, hole.shape[0] - 3)), data.draw(st.integers(0, 12))
    hole[top : top + 7, left : left + 9] = True
    shown = for_network(photo, hole)
    fill = np.where(hole[..., None], np.uint8(255) - shown.rgb, shown.rgb)
    write_photo(shown, fill, hole, out)
    after = seen(out)
    np.testing.assert_array_equal(after[~hole], before[~hole])
    assert verify_file(photo, hole, out).startswith("unchanged")
