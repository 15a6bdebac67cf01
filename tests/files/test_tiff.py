"""TIFF: white as zero, previews, tables of EXIF and maps, whatever the compression."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finefill import FinefillError
from finefill.completion.verify import verify_file
from finefill.files import tiff
from finefill.files.formats import usable
from finefill.files.photo import Photo, turn
from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.files.pictures import MAY_LOSE

tifffile = pytest.importorskip("tifffile", reason="writes the files")

SIZE = (24, 40)
HOLE = np.zeros(SIZE, bool)
HOLE[5:12, 6:15] = True
GREY = (np.arange(24 * 40).reshape(SIZE) * 65 + 300).astype(np.uint16)
RGB = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
KEYS = (1, 1, 0, 1, 3072, 0, 1, 32633)  # a geographic key directory: EPSG:32633
MAP = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 4e5, 52e5, 0.0), True),
    (34735, "H", 8, KEYS, True),
    (34737, "s", 0, "WGS 84 / UTM zone 33N|", True),
    (42113, "s", 0, "0", True),
]


def save(path: Path, samples: NDArray[Any], **options: Any) -> Path:
    photometric = "rgb" if samples.ndim == 3 else "minisblack"
    tifffile.imwrite(
        path,
        samples,
        **({"photometric": photometric, "metadata": None, "software": False} | options),
    )
    return path


def with_exif(path: Path) -> Path:
    """Give a TIFF file tables of EXIF and GPS, as raw developers do."""
    exif: tiff.Table = {
        0x8827: tiff.short(100),  # ISO speed
        0x829A: tiff.Value(5, struct.pack("<II", 1, 250)),
        0x927C: tiff.Value(7, b"MAKER\0note"),
        tiff.INTEROP: {1: tiff.Value(2, b"R98\0")},
    }
    gps: tiff.Table = {1: tiff.Value(2, b"N\0")}
    with open(path, "r+b") as file:
        tiff.append(file, {0x010F: tiff.Value(2, b"Maker\0"), tiff.EXIF: exif, tiff.GPS: gps})
    return path


def check_exif(path: Path) -> None:
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        assert tags[0x010F].value == "Maker"
        assert tags[tiff.EXIF].value["ISOSpeedRatings"] == 100
        assert tags[tiff.EXIF].value["ExposureTime"] == (1, 250)
        assert tags[tiff.EXIF].value["MakerNote"] == b"MAKER\0note"
        assert tags[tiff.GPS].value["GPSLatitudeRef"] == "N"
    with Image.open(path) as image:
        assert image.getexif().get_ifd(tiff.INTEROP)[1] == "R98"


@MAY_LOSE
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 16)}, {"rowsperstrip": 5}])
def test_16_bits_with_white_as_zero(
    tmp_path: Path, compression: str | None, order: str, layout: dict[str, Any]
) -> None:
    options = {"photometric": "miniswhite", "compression": compression, "byteorder": order}
    photo = read_photo(save(tmp_path / "in.tif", 65535 - GREY, **options, **layout))
    seen = np.rint(GREY / 257).astype(np.uint8)
    np.testing.assert_array_equal(photo.rgb, np.repeat(seen[..., None], 3, axis=2))
    fill = np.full_like(photo.rgb, 200)
    for name in ("out.tif", "out.png", "out.bmp"):
        write_photo(photo, fill, HOLE, tmp_path / name)
        told = verify_file(photo, HOLE, tmp_path / name) if name != "out.bmp" else "unchanged"
        assert told.startswith("unchanged")
        again = read_photo(tmp_path / name)
        np.testing.assert_array_equal(again.rgb[~HOLE], photo.rgb[~HOLE])
        assert (again.rgb[HOLE] == 200).all()
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].photometric == 0  # as it was
        np.testing.assert_array_equal(file.pages[0].asarray()[~HOLE], (65535 - GREY)[~HOLE])
        assert (file.pages[0].asarray()[HOLE] == 65535 - 200 * 257).all()


def test_verification_looks_at_what_the_samples_mean(tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path / "in.tif", 65535 - GREY, photometric="miniswhite"))
    save(tmp_path / "same.tif", GREY)
    save(tmp_path / "negative.tif", 65535 - GREY)
    assert verify_file(photo, HOLE, tmp_path / "same.tif").startswith("unchanged")
    with pytest.raises(FinefillError, match="pixels outside the mask differ"):
        verify_file(photo, HOLE, tmp_path / "negative.tif")


@pytest.mark.parametrize("mode", ["1", "L"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "group4"])
def test_few_bits_with_white_as_zero(tmp_path: Path, mode: str, compression: str) -> None:
    if compression == "group4" and mode == "L":
        compression = "packbits"
    image = Image.fromarray((GREY >> 8).astype(np.uint8)).convert(mode)
    image.save(tmp_path / "in.tif", compression=compression, tiffinfo={262: 0})
    photo = read_photo(tmp_path / "in.tif")
    np.testing.assert_array_equal(photo.rgb[..., 0], np.asarray(image.convert("L")))
    write_photo(photo, np.full_like(photo.rgb, 255), HOLE, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].photometric == 0
    again = read_photo(tmp_path / "out.tif")
    assert again.stored.info["compression"] == compression
    np.testing.assert_array_equal(again.rgb[~HOLE], photo.rgb[~HOLE])
    assert (again.rgb[HOLE] == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I;16B"])
@pytest.mark.parametrize(
    "compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd"]
)
def test_tables_of_exif_and_gps(tmp_path: Path, mode: str, compression: str) -> None:
    if mode.startswith("I;16"):
        image = Image.fromarray(GREY.astype(">u2" if mode == "I;16B" else "<u2"))
    else:
        image = Image.fromarray((RGB >> 8).astype(np.uint8)).convert(mode)
    if compression == "jpeg" and mode not in ("L", "RGB"):
        compression = "tiff_lzw"
    image.save(tmp_path / "in.tif", compression=compression)
    photo = read_photo(with_exif(tmp_path / "in.tif"))
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    check_exif(tmp_path / "out.tif")
    again = read_photo(tmp_path / "out.tif")
    assert again.stored.mode == photo.stored.mode
    np.testing.assert_array_equal(np.asarray(again.stored)[~HOLE], np.asarray(photo.stored)[~HOLE])
    if mode in ("L", "RGB"):
        for name in ("out.jpg", "out.png", "out.webp"):
            write_photo(photo, photo.rgb, HOLE, tmp_path / name)
            with Image.open(tmp_path / name) as after:
                assert after.getexif()[0x010F] == "Maker"
                assert after.getexif().get_ifd(tiff.EXIF)[0x8827] == 100
                assert after.getexif().get_ifd(tiff.GPS)[1] == "N"


@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
def test_big_tiff(tmp_path: Path, photometric: str) -> None:
    options: dict[str, Any] = {"photometric": photometric, "bigtiff": True}
    photo = read_photo(save(tmp_path / "in.tif", GREY, **options))
    seen = GREY if photometric == "minisblack" else 65535 - GREY
    np.testing.assert_array_equal(photo.rgb[..., 0], np.rint(seen / 257))
    save(tmp_path / "in.tif", GREY, byteorder=">", **options)
    with pytest.raises(FinefillError, match="BigTIFF in big-endian order: save it"):
        read_photo(tmp_path / "in.tif")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True}])
def test_maps_keep_their_places(
    tmp_path: Path, order: str, bits: int, bands: int, options: dict[str, Any]
) -> None:
    samples = RGB if bands == 3 else GREY
    samples = samples if bits == 16 else (samples >> 8).astype(np.uint8)
    save(tmp_path / "in.tif", samples, byteorder=order, extratags=MAP, **options)
    photo = read_photo(tmp_path / "in.tif")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        page = file.pages[0]
        for tag, _, _, value, _ in MAP:
            assert page.tags[tag].value == value
        np.testing.assert_array_equal(page.asarray()[~HOLE], samples[~HOLE])
    with pytest.warns(UserWarning, match=r"PNG holds no .*\(GeoTIFF\): left out"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.png")


def test_turned_maps_lose_their_places_with_a_warning(tmp_path: Path) -> None:
    tags = [*MAP, (0x0112, "H", 1, 6, True)]
    save(tmp_path / "in.tif", (RGB >> 8).astype(np.uint8), extratags=tags)
    with pytest.warns(UserWarning, match="coordinates on the map"):
        photo = read_photo(tmp_path / "in.tif")
    assert photo.kept.tags.keys() & tiff.GEO == {42113}  # a value, no place


@pytest.mark.parametrize("bits", [8, 16])
def test_texts_resolution_and_private_tags_stay(tmp_path: Path, bits: int) -> None:
    samples = RGB if bits == 16 else (RGB >> 8).astype(np.uint8)
    tags = [
        (269, "s", 0, "document", True), (285, "s", 0, "page 1", True),
        (0x4746, "H", 1, 4, True), (0x9C9E, "B", 6, b"k\0w\0\0\0", True),
        (65000, "f", 2, (1.5, -2.0), True), (65001, "I", 1, 4711, True),
    ]  # fmt: skip
    save(tmp_path / "in.tif", samples, resolution=(118.1, 59.05), resolutionunit=3, extratags=tags)
    with pytest.warns(UserWarning, match=r"left out: its TIFF tags 65001$"):  # perhaps a place
        photo = read_photo(tmp_path / "in.tif")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    with (
        tifffile.TiffFile(tmp_path / "in.tif") as before,
        tifffile.TiffFile(tmp_path / "out.tif") as after,
    ):
        for tag in (269, 285, 0x4746, 0x9C9E, 65000, 282, 283, 296):
            assert after.pages[0].tags[tag].value == before.pages[0].tags[tag].value, tag


def shot(path: Path, *, inside: bool, marked: bool, order: str = "<", bits: int = 8) -> Path:
    """A file whose first picture is a preview of 40x24 of the one of 160x96."""
    large = np.kron(RGB, np.ones((4, 4, 1), np.uint16))
    with tifffile.TiffWriter(path, byteorder=order) as file:
        options: dict[str, Any] = {"photometric": "rgb", "metadata": None}
        small = (RGB >> 8).astype(np.uint8)
        extra = [(0x010F, "s", 0, "Maker", True)]
        file.write(small, subfiletype=int(marked), subifds=int(inside), extratags=extra, **options)
        file.write(large if bits == 16 else (large >> 8).astype(np.uint8), **options)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("inside", "marked"), [(True, True), (False, True), (False, False)])
def test_a_preview_is_not_the_photo(
    tmp_path: Path, order: str, bits: int, inside: bool, marked: bool
) -> None:
    path = shot(tmp_path / "in.tif", inside=inside, marked=marked, order=order, bits=bits)
    with pytest.warns(
        UserWarning, match="its first picture, 40x24, is a preview: the one of 160x96"
    ):
        photo = read_photo(path)
    assert photo.rgb.shape == (96, 160, 3)
    hole = np.kron(HOLE, np.ones((4, 4), bool))
    write_photo(photo, photo.rgb, hole, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert len(file.pages) == 1
        assert file.pages[0].tags[0x010F].value == "Maker"
        expected = np.kron(RGB, np.ones((4, 4, 1), np.uint16)) >> (0 if bits == 16 else 8)
        np.testing.assert_array_equal(file.pages[0].asarray()[~hole], expected[~hole])


def test_pages_of_two_sizes_are_no_preview(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for scale in (1, 2):
            page = np.full((24 * scale, 40 * scale + scale), 100 * scale, np.uint8)
            file.write(page if scale == 1 else page[:, :60], metadata=None)
    with pytest.warns(UserWarning, match="several pictures: only the first"):
        assert read_photo(tmp_path / "in.tif").rgb.shape == (24, 41, 3)


def raw_files() -> dict[str, bytes]:
    """Name -> the first bytes of camera raw files, or a TIFF file with samples of a sensor."""
    sensor = io.BytesIO()
    tifffile.imwrite(sensor, GREY, photometric="cfa", metadata=None)
    dng = io.BytesIO()
    version = [(50706, "B", 4, bytes([1, 4, 0, 0]), True)]
    tifffile.imwrite(dng, RGB, photometric="rgb", metadata=None, extratags=version)
    plain = io.BytesIO()
    tifffile.imwrite(plain, RGB, photometric="rgb", metadata=None)
    return {
        "a.tif": sensor.getvalue(),
        "b.tif": dng.getvalue(),
        "c.nef": plain.getvalue(),
        "d.jpg": b"II*\0\x10\0\0\0CR\x02\0" + bytes(64),
        "e.raf": b"FUJIFILMCCD-RAW 0201" + bytes(64),
        "f": b"\0\0\0\x18ftypcrx " + bytes(64),
        "g.tif": b"IIU\0\x08\0\0\0" + bytes(64),
        "h.tif": b"IIRO\x08\0\0\0" + bytes(64),
    }


@pytest.mark.parametrize("name", list("abcdefgh"))
def test_camera_raw_is_refused_by_name(tmp_path: Path, name: str) -> None:
    found = next(one for one in raw_files() if one.startswith(name))
    (tmp_path / found).write_bytes(raw_files()[found])
    with pytest.raises(FinefillError, match=f"{found}: is camera raw: develop it first"):
        read_photo(tmp_path / found)


def test_tiff_above_pillows_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``max_pixels`` alone decides; Pillow checks again when it seeks and when it decodes."""
    images = [Image.new("1", (2000, 1000), value) for value in (1, 0)]
    images[0].save(tmp_path / "in.tif", compression="group4")
    images[0].save(tmp_path / "two.tif", save_all=True, append_images=images[1:])
    images[0].convert("L").save(tmp_path / "in.mpo", save_all=True, append_images=images[1:])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900_000)
    assert read_photo(tmp_path / "in.tif", max_pixels=2_000_000).rgb.all()
    for name in ("two.tif", "in.mpo"):
        with pytest.warns(UserWarning, match="several pictures"):
            assert read_photo(tmp_path / name, max_pixels=2_000_000).rgb.all()
    assert Image.MAX_IMAGE_PIXELS == 900_000
    with pytest.raises(FinefillError, match="--max-pixels"):
        read_photo(tmp_path / "in.tif", max_pixels=1_999_999)


@pytest.mark.parametrize("orientation", [3, 6])
def test_an_image_that_is_not_loaded_is_turned_once(tmp_path: Path, orientation: int) -> None:
    from finefill.files.photo import photo_of

    stored = turn((RGB >> 8).astype(np.uint8), orientation, back=True)
    save(tmp_path / "in.tif", stored, extratags=[(0x0112, "H", 1, orientation, True)])
    with Image.open(tmp_path / "in.tif") as image:
        photo = photo_of(image)
    np.testing.assert_array_equal(photo.rgb, (RGB >> 8).astype(np.uint8))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("target", ["out.tif", "out.png"])
def test_grey_with_alpha(
    tmp_path: Path, bits: int, photometric: str, order: str, orientation: int, target: str
) -> None:
    alpha = np.where(np.indices(SIZE)[0] % 2, np.uint16(65535), np.uint16(257 * 90))
    upright = np.dstack([GREY, alpha]) if bits == 16 else (np.dstack([GREY, alpha]) >> 8)
    upright = upright.astype(f"u{bits // 8}")
    stored = turn(upright, orientation, back=True).copy()
    if photometric == "miniswhite":
        stored[..., 0] = np.iinfo(stored.dtype).max - stored[..., 0]
    options: dict[str, Any] = {"photometric": photometric, "extrasamples": ["unassalpha"]}
    tags = [(0x0112, "H", 1, orientation, True), (0x010F, "s", 0, "Maker", True)]
    save(
        tmp_path / "in.tif",
        stored,
        planarconfig="contig",
        byteorder=order,
        extratags=tags,
        **options,
    )
    photo = read_photo(tmp_path / "in.tif")
    write_photo(photo, np.full_like(photo.rgb, 200), HOLE, tmp_path / target)
    again = read_photo(tmp_path / target)
    assert again.stored.mode == "LA"
    after = np.asarray(again.stored) if again.samples is None else again.samples
    np.testing.assert_array_equal(after[~HOLE], upright[~HOLE])
    assert (after[HOLE][:, 0] == 200 * (257 if bits == 16 else 1)).all()
    assert b"Maker" in again.kept.exif


def test_layouts_that_nobody_here_reads_are_named(tmp_path: Path) -> None:
    five = np.dstack([GREY] * 5)
    options: dict[str, Any] = {"photometric": "separated", "extrasamples": ["unassalpha"]}
    save(tmp_path / "in.tif", five, **options)
    with pytest.raises(
        FinefillError, match=r"in\.tif: TIFF of 5 channels of 16 bits in this layout"
    ):
        read_photo(tmp_path / "in.tif")


def test_no_resolution_is_made_up(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "in.tif")
    photo = read_photo(tmp_path / "in.tif")
    for name in ("out.tif", "out.png"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / name)
    with Image.open(tmp_path / "out.png") as image:
        assert "dpi" not in image.info
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert 282 not in file.pages[0].tags


@pytest.mark.parametrize(
    ("tag", "words"),
    [(37724, "Photoshop's layers"), (52545, r"content credentials \(C2PA\)"), (330, "further")],
)
def test_tags_that_hold_pictures_or_proofs_are_told(tmp_path: Path, tag: int, words: str) -> None:
    save(tmp_path / "in.tif", GREY)
    value = tiff.Value(tiff.LONG, struct.pack("<I", 8)) if tag == 330 else tiff.Value(7, b"layers")
    with open(tmp_path / "in.tif", "r+b") as file:
        tiff.append(file, {tag: value})
    with pytest.warns(UserWarning, match=f"left out: .*{words}"):
        photo = read_photo(tmp_path / "in.tif")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        assert tag not in written.pages[0].tags


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32])
def test_signed_samples_are_refused(tmp_path: Path, kind: type[Any]) -> None:
    save(tmp_path / "in.tif", (GREY >> 9).astype(kind))
    with pytest.raises(FinefillError, match=r"in\.tif: its samples have signs"):
        read_photo(tmp_path / "in.tif")


@MAY_LOSE
@pytest.mark.parametrize("colours", [256, 16])
def test_a_colour_map_goes_back_as_it_was(tmp_path: Path, colours: int) -> None:
    """Of 16 bits; Pillow knows the upper 8 of them."""
    bits = 8 if colours == 256 else 4
    table = np.linspace(0, 65535, 3 * colours).astype(np.uint16).reshape(3, colours)
    values = (np.arange(24 * 40).reshape(SIZE) % colours).astype(np.uint8)
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, values, photometric="palette", colormap=np.resize(table, (3, 256)))
    if bits == 4:  # tifffile writes 8 bits only: the samples and three tags by hand
        packed = (values[:, ::2] << 4 | values[:, 1::2]).tobytes()
        with open(path, "r+b") as file:
            place = file.seek(0, io.SEEK_END)
            file.write(packed)
            numbers = {258: 4, 279: len(packed), 273: place, 278: 24}
            added: tiff.Table = {
                tag: tiff.Value(tiff.LONG, struct.pack("<I", number))
                for tag, number in numbers.items()
            }
            added[258] = tiff.short(4)
            added[320] = tiff.Value(tiff.SHORT, table.astype("<u2").tobytes())
            tiff.append(file, added)
    photo = read_photo(path)
    assert photo.stored.mode == "P"
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        np.testing.assert_array_equal(file.pages[0].colormap[:, :colours], table)
        np.testing.assert_array_equal(file.pages[0].asarray()[~HOLE], values[~HOLE])


def test_overviews_and_masks_of_maps_are_told(tmp_path: Path) -> None:
    grey = (GREY >> 8).astype(np.uint8)

    def pages(*kinds: int) -> Path:
        path = tmp_path / "in.tif"
        with tifffile.TiffWriter(path) as writer:
            for kind in kinds:
                part = grey[::2, ::2] if kind & 1 else grey
                part = part > 100 if kind & 4 else part
                writer.write(part, photometric="minisblack", subfiletype=kind, metadata=None)
        return path

    for kinds, texts in {
        (0, 1): ["left out: its smaller versions (overviews)"],
        (0, 4): ["left out: its mask of the pixels that count"],
        (0, 4, 1, 5): ["left out: its mask of the pixels", "left out: its smaller versions"],
        (0, 0): ["has several pictures: only the first is used"],
        (0, 0, 4): ["has several pictures: only the first is used", "left out: its mask"],
    }.items():
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            photo = read_photo(pages(*kinds))
        np.testing.assert_array_equal(photo.rgb[..., 0], grey)
        said = [str(one.message) for one in found]
        assert len(said) == len(texts)
        assert all(text in one for text, one in zip(texts, said, strict=True))


def test_colours_multiplied_by_alpha_are_told(tmp_path: Path) -> None:
    rgba = np.full((*HOLE.shape, 4), 128, np.uint8)
    rgba[..., :3] = (64, 32, 100)  # of half: 128, 64, 199
    save(tmp_path / "in.tif", rgba, photometric="rgb", extrasamples=["assocalpha"])
    with pytest.warns(UserWarning, match="stored multiplied by alpha: they are written without"):
        photo = read_photo(tmp_path / "in.tif")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages[0].extrasamples == (2,)
        after = file.asarray()[~HOLE].astype(int)
    assert np.abs(after - (128, 64, 199, 128)).max() <= 1


@pytest.mark.parametrize(
    ("mode", "way"),
    [(mode, way) for mode in ("L", "RGB") for way in ("raw", "packbits", "zstd", "lzma")]
    + [("1", way) for way in ("tiff_ccitt", "group3", "group4", "packbits")],
)
def test_lossless_compression_stays(tmp_path: Path, mode: str, way: str) -> None:
    before = Image.fromarray((RGB >> 8).astype(np.uint8)).convert(mode)
    before.save(tmp_path / "in.tif", compression=way)
    photo = read_photo(tmp_path / "in.tif")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    with Image.open(tmp_path / "out.tif") as after:
        assert after.info["compression"] == way
        np.testing.assert_array_equal(np.asarray(after)[~HOLE], np.asarray(before)[~HOLE])


def layouts(photo: Photo, path: Path) -> list[str]:
    """What is told of the layout as the photo is written, unchanged."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        write_photo(photo, photo.rgb, HOLE, path)
    return [str(one.message).partition("layout: ")[2] for one in found]


def test_tiles_and_big_tiff_are_told(tmp_path: Path) -> None:
    tiles, big = "tiles (strips are written)", "BigTIFF (classic TIFF is written)"
    for samples in (GREY, RGB, (RGB >> 8).astype(np.uint8)):
        for options, words in (
            ({}, []),
            ({"tile": (16, 16)}, [f"{tiles}; the pixels are the same"]),
            ({"bigtiff": True}, [f"{big}; the pixels are the same"]),
            ({"bigtiff": True, "tile": (16, 16)}, [f"{tiles}, {big}; the pixels are the same"]),
        ):
            photo = read_photo(save(tmp_path / "in.tif", samples, **options))
            assert layouts(photo, tmp_path / "out.tif") == words
            np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif")[~HOLE],
                                          samples[~HOLE])  # fmt: skip
            assert layouts(photo, tmp_path / "out.png") == []


def test_grey_of_few_bits_is_told(tmp_path: Path) -> None:
    """Of 4 bits, 0 to 15 become 0, 17 … 255; of 2, 0 to 3 become 0, 85 … 255."""
    for bits, step in ((4, 17), (2, 85)):
        values = (np.arange(24 * 40).reshape(SIZE) % 2**bits).astype(np.uint8)
        count = 8 // bits
        packed = sum(values[:, at::count] << bits * (count - 1 - at) for at in range(count))
        save(tmp_path / "in.tif", np.asarray(packed, np.uint8))
        with open(tmp_path / "in.tif", "r+b") as file:
            tiff.append(file, {256: tiff.short(40), 258: tiff.short(bits)})
        rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(packed, np.uint8))
        header = struct.pack(">IIBBBBB", 40, 24, bits, 0, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n"
        for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
            png += struct.pack(">I", len(data)) + name + data
            png += struct.pack(">I", zlib.crc32(name + data))
        (tmp_path / "in.png").write_bytes(png)
        words = f"{bits} bits a sample (8 are written, of the same levels); the pixels are the same"
        for kind, other in (("tif", "png"), ("png", "tif")):
            photo = read_photo(tmp_path / f"in.{kind}")
            assert layouts(photo, tmp_path / f"out.{kind}") == [words]
            with Image.open(tmp_path / f"out.{kind}") as after:
                np.testing.assert_array_equal(np.asarray(after)[~HOLE], values[~HOLE] * step)
            assert layouts(photo, tmp_path / f"out.{other}") == []


def test_ranges_and_numbers_of_inks_stay(tmp_path: Path) -> None:
    inks: tiff.Table = {
        332: tiff.short(1),
        334: tiff.short(4),
        336: tiff.Value(tiff.SHORT, struct.pack("<2H", 5, 250)),
    }
    Image.fromarray((RGB >> 8).astype(np.uint8)).convert("CMYK").save(tmp_path / "in.tif")
    with open(tmp_path / "in.tif", "r+b") as file:
        tiff.append(file, inks)
    photo = read_photo(tmp_path / "in.tif")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        found = [written.pages[0].tags[tag].value for tag in (332, 334, 336)]
    assert found == [1, 4, (5, 250)]
    with pytest.warns(UserWarning, match="JPEG holds no TIFF's own tags: left out"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.jpg")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [tiff.SHORT, tiff.LONG])
def test_exif_tells_the_turned_size(tmp_path: Path, order: str, kind: int) -> None:
    """40x24 stored and orientation 6: 24x40 where it is written upright."""

    def entry(tag: int, kind: int, number: int) -> bytes:
        code = "H2x" if kind == tiff.SHORT else "I"
        return struct.pack(f"{order}HHI{code}", tag, kind, 1, number)

    exif = b"Exif\0\0" + (b"II*\0" if order == "<" else b"MM\0*")
    exif += struct.pack(order + "IH", 8, 2)
    exif += struct.pack(order + "HHIHH", tiff.ORIENTATION, tiff.SHORT, 1, 6, 0)
    exif += entry(tiff.EXIF, tiff.LONG, 38) + bytes(4) + struct.pack(order + "H", 2)
    exif += entry(40962, kind, 40) + entry(40963, kind, 24) + bytes(4)
    Image.fromarray((RGB >> 8).astype(np.uint8)).save(tmp_path / "in.jpg", exif=exif)
    photo = read_photo(tmp_path / "in.jpg")
    hole = turn(HOLE, 6)
    names = ["out.tif", "out.jpg"] + ["out.heic"] * usable(".heic") + ["out.jxl"] * usable(".jxl")
    for name in names:
        write_photo(photo, photo.rgb, hole, tmp_path / name)
        table = tiff.exif_table(read_photo(tmp_path / name).kept.exif)[tiff.EXIF]
        assert isinstance(table, dict)
        told = [
            value.numbers for tag in (40962, 40963) if isinstance(value := table[tag], tiff.Value)
        ]
        assert told == ([(40,), (24,)] if name == "out.jpg" else [(24,), (40,)])
    # A TIFF file that is itself turned.
    with Image.open(tmp_path / "in.jpg") as image:
        image.save(tmp_path / "in.tif", exif=image.getexif())
    table = tiff.exif_table(read_photo(tmp_path / "in.tif").kept.exif)[tiff.EXIF]
    assert isinstance(table, dict)
    sides = [table[tag] for tag in (40962, 40963)]
    assert [side.numbers for side in sides if isinstance(side, tiff.Value)] == [(24,), (40,)]
