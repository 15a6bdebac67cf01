"""What files say besides their pixels stays, without previews."""

from __future__ import annotations

import os
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from finefill import FinefillError
from finefill.files.metadata import without_previews
from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.conftest import check_exif, exif_with
from tests.files.pictures import HOLE, MAY_LOSE, SIZE, picture, tiny_jpeg, told


def test_long_profiles_and_texts_of_png(tmp_path: Path) -> None:
    long = np.random.default_rng(0).bytes(1_500_000)
    texts = PngInfo()
    texts.add_itxt("Description", "x" * 1_500_000, zip=True)
    picture("RGB").save(tmp_path / "in.png", icc_profile=long, pnginfo=texts)
    with pytest.warns(UserWarning, match="profile is damaged"):
        photo = read_photo(tmp_path / "in.png")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.png")
    with pytest.warns(UserWarning, match="profile is damaged"):
        after = read_photo(tmp_path / "out.png")
    assert after.stored.info["icc_profile"] == long
    assert b"Description" in (tmp_path / "out.png").read_bytes()


def camera_exif(order: str) -> bytes:
    """EXIF as cameras write it: a maker note with a preview, and a thumbnail at the end.

    Laid out by hand, after TIFF 6.0; what Pillow writes has neither.
    """
    note = b"MAKER\0" + tiny_jpeg(10) + b"end of note"
    thumbnail = tiny_jpeg(20)
    # The header is 8 bytes, an IFD 2 + 12 per entry + 4.
    sub = 8 + 2 + 2 * 12 + 4
    note_at = sub + 2 + 12 + 4
    second = note_at + len(note) + len(note) % 2
    thumbnail_at = second + 2 + 2 * 12 + 4

    def ifd(following: int, *entries: tuple[int, int, int, int]) -> bytes:
        packed = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
        return struct.pack(order + "H", len(entries)) + packed + struct.pack(order + "I", following)

    maker = int.from_bytes(b"ABC\0", "little" if order == "<" else "big")
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    block += ifd(second, (0x010F, 2, 4, maker), (0x8769, 4, 1, sub))
    block += ifd(0, (0x927C, 7, len(note), note_at)) + note + bytes(len(note) % 2)
    block += ifd(0, (0x0201, 4, 1, thumbnail_at), (0x0202, 4, 1, len(thumbnail)))
    assert len(block) == thumbnail_at
    return b"Exif\0\0" + block + thumbnail


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="1" dc:title="kept">'
    b"<xmp:Thumbnails><rdf:Alt>PREVIEW</rdf:Alt></xmp:Thumbnails></rdf:Description></x:xmpmeta>"
)


XMP_PLAIN = XMP.replace(b"<xmp:Thumbnails><rdf:Alt>PREVIEW</rdf:Alt></xmp:Thumbnails>", b"")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("source", ["jpg", "png", "webp", "avif"])
def test_exif_and_xmp_stay_without_previews(tmp_path: Path, source: str, order: str) -> None:
    exif = camera_exif(order)
    parsed = Image.Exif()
    parsed.load(exif)
    assert parsed.get_ifd(ExifTags.IFD.IFD1)[0x0202] == len(tiny_jpeg(20))
    options: dict[str, Any] = {"exif": exif, "xmp": XMP}
    if source == "png":
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options = {"exif": exif, "pnginfo": texts}
    picture("RGB").save(tmp_path / f"in.{source}", **options)
    photo = read_photo(tmp_path / f"in.{source}")
    note = b"MAKER\0" + bytes(len(tiny_jpeg(10))) + b"end of note"
    for target in ("jpg", "png", "webp", "avif", "tif"):
        path = tmp_path / f"out.{target}"
        write_photo(photo, photo.rgb, HOLE, path)
        data = path.read_bytes()
        assert b"PREVIEW" not in data
        for value in (10, 20):
            assert tiny_jpeg(value)[160:] not in data  # its pixels
        with Image.open(path) as after:
            after.load()
            said = after.getexif()
            assert said[0x010F] == "ABC"
            assert said.get_ifd(0x8769)[0x927C] == note
            assert b'dc:title="kept"' in bytes(after.info["xmp"])
            assert not said.get_ifd(ExifTags.IFD.IFD1)
            if target not in ("tif", "avif"):  # the block as it was, at the same places
                kept = bytes(after.info["exif"]).removeprefix(b"Exif\0\0")
                assert kept.index(note) == exif.removeprefix(b"Exif\0\0").index(b"MAKER")


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\0\0", b"Exif\0\0what", b"MM\0*\0\0\0\x08"]
)
def test_damaged_exif_passes(tmp_path: Path, exif: bytes) -> None:
    assert without_previews(exif) == exif
    for source in ("jpg", "png", "webp"):
        picture("RGB").save(tmp_path / f"in.{source}", exif=exif)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow's, of corrupt EXIF
            photo = read_photo(tmp_path / f"in.{source}")
            for target in ("jpg", "png", "webp", "avif", "tif", "bmp", "gif"):
                write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")
                assert read_photo(tmp_path / f"out.{target}").rgb.shape == photo.rgb.shape


@pytest.mark.parametrize("source", ["jpg", "png", "webp", "avif", "tif"])
def test_an_orientation_in_xmp_alone_does_not_count(tmp_path: Path, source: str) -> None:
    """Browsers do not turn such pictures; the packet goes back as it came."""
    said = XMP_PLAIN.replace(b'tiff:Orientation="1"', b'tiff:Orientation="6"')
    options: dict[str, Any] = {"xmp": said}
    if source == "png":
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", said.decode())
        options = {"pnginfo": texts}
    if source == "tif":
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[700] = said
        options = {"tiffinfo": info}
    picture("RGB").save(tmp_path / f"in.{source}", **options)
    photo = read_photo(tmp_path / f"in.{source}")
    assert (photo.orientation, photo.rgb.shape[:2]) == (1, SIZE)
    for target in ("jpg", "png", "webp", "avif", "tif"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")
        again = read_photo(tmp_path / f"out.{target}")
        assert (again.orientation, again.rgb.shape[:2]) == (1, SIZE)
        assert again.kept.xmp == said
        assert b"Exif" not in (tmp_path / f"out.{target}").read_bytes()[:4096]


def test_a_turned_photo_tells_no_orientation_in_xmp(tmp_path: Path) -> None:
    said = XMP.replace(b'tiff:Orientation="1"', b'tiff:Orientation="6"')
    exif = Image.Exif()
    exif[0x0112] = 6
    picture("RGB").save(tmp_path / "in.jpg", xmp=said, exif=exif)
    photo = read_photo(tmp_path / "in.jpg")
    assert photo.orientation == 6
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[4:8, 4:8] = True
    for name in ("out.tif", "out.jpg"):
        write_photo(photo, photo.rgb, mask, tmp_path / name)
        again = read_photo(tmp_path / name)
        assert again.rgb.shape == photo.rgb.shape
        assert again.orientation == (1 if name == "out.tif" else 6)
        assert b"kept" in again.kept.xmp
        assert (b"tiff:Orientation" in again.kept.xmp) == (name == "out.jpg")


def test_comments_and_texts_stay(tmp_path: Path) -> None:
    for extension in ("jpg", "gif"):
        picture("P").convert("L").save(tmp_path / f"in.{extension}", comment=b"a remark")
        photo = read_photo(tmp_path / f"in.{extension}")
        write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{extension}")
        with Image.open(tmp_path / f"out.{extension}") as after:
            assert after.info["comment"] == b"a remark"
    texts = PngInfo()
    texts.add_text("Title", "A street", zip=True)
    texts.add_itxt("Description", "Straße")
    texts.add(b"gAMA", struct.pack(">I", 100000))
    picture("RGB").save(tmp_path / "in.png", pnginfo=texts, dpi=(72, 72))
    photo = read_photo(tmp_path / "in.png")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as after:
        after.load()
        assert after.info["Title"] == "A street"
        assert after.info["Description"] == "Straße"
        assert after.info["gamma"] == 1.0


@pytest.mark.parametrize("source", ["jpg", "gif"])
def test_a_comment_becomes_a_text_of_png_and_back(tmp_path: Path, source: str) -> None:
    picture("L").save(tmp_path / f"in.{source}", comment=b"Scan 17, box 4")
    photo = read_photo(tmp_path / f"in.{source}")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as after:
        after.load()
        assert after.info["Comment"] == "Scan 17, box 4"
    photo = read_photo(tmp_path / "out.png")
    for target in ("jpg", "gif", "png"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / f"again.{target}")
        assert read_photo(tmp_path / f"again.{target}").kept.comment == b"Scan 17, box 4"
    for target in ("tif", "webp", "avif", "bmp"):
        with pytest.warns(UserWarning, match=r"holds no texts of PNG \(Comment\): left out$"):
            write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")


@pytest.mark.parametrize(
    ("target", "fmt"), [("tif", "TIFF"), ("webp", "WEBP"), ("avif", "AVIF"), ("bmp", "BMP")]
)
def test_a_comment_that_is_not_held_is_told(tmp_path: Path, target: str, fmt: str) -> None:
    picture("L").save(tmp_path / "in.jpg", comment=b"Scan 17, box 4")
    photo = read_photo(tmp_path / "in.jpg")
    with pytest.warns(UserWarning, match=rf"out\.{target}: {fmt} holds no comment: left out$"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / f"out.{target}")


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "iTXt packed"])
def test_texts_of_png_that_are_a_comment(tmp_path: Path, kind: str) -> None:
    """``Comment`` before ``Description``, in Latin-1 or UTF-8; the others are told by name."""
    texts = PngInfo()
    add = texts.add_itxt if kind.startswith("iTXt") else texts.add_text
    for name in ("parameters", "Description", "Comment"):
        add(name, f"Straße: {name}", zip=kind in ("zTXt", "iTXt packed"))
    picture("RGB").save(tmp_path / "in.png", pnginfo=texts)
    photo = read_photo(tmp_path / "in.png")
    with pytest.warns(UserWarning, match=r"no texts of PNG \(parameters, Description\): left out"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as after:
        assert after.info["comment"] == "Straße: Comment".encode()
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.png")
    assert read_photo(tmp_path / "out.png").kept.chunks == photo.kept.chunks


def test_a_comment_that_png_cannot_hold(tmp_path: Path) -> None:
    picture("L").save(tmp_path / "in.jpg", comment=b"a\0b")
    photo = read_photo(tmp_path / "in.jpg")
    with pytest.warns(UserWarning, match="PNG holds no comment with zeros: left out"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.png")


@MAY_LOSE
@pytest.mark.parametrize("target", ["gif", "bmp"])
def test_exif_and_xmp_that_are_not_held_are_told(tmp_path: Path, target: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the turned pixels say this themselves
    picture("RGB").save(tmp_path / "in.jpg", exif=exif)
    photo = read_photo(tmp_path / "in.jpg")
    write_photo(photo, photo.rgb, HOLE.T, tmp_path / f"out.{target}")
    exif.get_ifd(0x8825)[1] = "N"
    picture("RGB").save(tmp_path / "in.jpg", exif=exif, xmp=XMP_PLAIN)
    photo = read_photo(tmp_path / "in.jpg")
    with pytest.warns(UserWarning, match="holds no EXIF, no XMP: left out$"):
        write_photo(photo, photo.rgb, HOLE.T, tmp_path / f"out.{target}")


LAYOUT = {0x0100: 9, 0x0101: 7, 0x0152: 2, 0x0112: 6, 0x0106: 1}  # of another image


def test_exif_in_tiff_does_not_describe_another_image(tmp_path: Path) -> None:
    exif = exif_with(LAYOUT)
    exif.get_ifd(0x8825)[1] = "N"
    picture("RGB").save(tmp_path / "in.jpg", exif=exif)
    photo = read_photo(tmp_path / "in.jpg")
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[4:8, 4:8] = True
    source = photo
    for name in ("out.tif", "again.tif", "out.jpg"):  # from TIFF as well
        write_photo(source, photo.rgb, mask, tmp_path / name)
        source = read_photo(tmp_path / name)
        assert (source.rgb.shape, source.orientation) == (photo.rgb.shape, 1)
        if name != "out.jpg":
            np.testing.assert_array_equal(source.rgb, photo.rgb)
        with Image.open(tmp_path / name) as after:
            said = after.getexif()
            check_exif(said)
            assert said.get_ifd(0x8825)[1] == "N"


# Texts named as Pillow names other things.
NAMES = (
    "background", "compression", "dpi", "duration", "exif", "icc_profile", "interlace", "loop",
    "palette", "transparency", "version", "xmp",
)  # fmt: skip


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_texts_are_not_taken_for_what_pillow_says(tmp_path: Path, name: str, late: bool) -> None:
    texts = PngInfo()
    texts.add_itxt(name, "group4")
    image = picture("P")
    image.save(tmp_path / "in.png", pnginfo=texts)
    if late:
        data = (tmp_path / "in.png").read_bytes()
        start = data.index(b"iTXt") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4])
        data = data[:start] + data[end:-12] + data[start:end] + data[-12:]
        (tmp_path / "in.png").write_bytes(data)
    photo = read_photo(tmp_path / "in.png")
    np.testing.assert_array_equal(photo.rgb, np.asarray(image.convert("RGB")))
    for target in ("jpg", "png", "webp", "avif", "tif", "bmp", "gif"):
        path = tmp_path / f"out.{target}"
        with told("" if target == "png" else rf"{path}: .* holds no texts of PNG \({name}\)"):
            write_photo(photo, photo.rgb, HOLE, path)
        assert read_photo(path).rgb.shape == photo.rgb.shape
    assert photo.kept.chunks  # Pillow itself cannot read one called "interlace"
    assert read_photo(tmp_path / "out.png").kept.chunks == photo.kept.chunks


@MAY_LOSE
def test_exif_fields_of_a_wrong_type(tmp_path: Path) -> None:
    entries = struct.pack("<HHII", 0x0112, 3, 1, 6)
    entries += struct.pack("<HHI", 0x011A, 2, 2) + b"a\0\0\0"  # the resolution as text
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    picture("RGB").save(tmp_path / "in.jpg", exif=exif)
    photo = read_photo(tmp_path / "in.jpg")
    assert photo.orientation == 6
    for target in ("jpg", "png", "webp", "tif", "bmp", "gif"):
        write_photo(photo, photo.rgb, HOLE.T, tmp_path / f"out.{target}")
        assert read_photo(tmp_path / f"out.{target}").rgb.shape == photo.rgb.shape
    with pytest.raises(FinefillError, match=r"out\.avif: cannot be written as AVIF"):
        write_photo(photo, photo.rgb, HOLE.T, tmp_path / "out.avif")  # Pillow writes all anew


@MAY_LOSE
def test_what_a_writer_cannot_write_is_one_line(tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    photo.stored.info["duration"] = "long"
    with pytest.raises(FinefillError, match=r"out\.gif: cannot be written as GIF"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.gif")
    assert os.listdir(tmp_path) == ["in.png"]


def test_what_is_too_long_for_jpeg_is_told(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    picture("RGB").save(tmp_path / "in.png", exif=exif)
    photo = read_photo(tmp_path / "in.png")
    with pytest.warns(UserWarning, match="exif: too long for a JPEG file"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.jpg")
    assert read_photo(tmp_path / "out.jpg").kept.exif == b""


@pytest.mark.parametrize("where", ["exif", "xmp"])
def test_the_orientation_stays_where_the_rest_is_too_long(tmp_path: Path, where: str) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    texts = PngInfo()
    if where == "exif":
        exif[0x010E] = "x" * 70_000
    else:
        said = XMP.replace(b'tiff:Orientation="1"', b'tiff:Orientation="6"')
        texts.add_itxt("XML:com.adobe.xmp", said.decode() + " " * 70_000)
    picture("RGB").save(tmp_path / "in.png", exif=exif, pnginfo=texts)
    photo = read_photo(tmp_path / "in.png")
    assert photo.orientation == 6
    with pytest.warns(UserWarning, match=f"{where}: too long for a JPEG file"):
        write_photo(photo, photo.rgb, HOLE.T, tmp_path / "out.jpg")
    again = read_photo(tmp_path / "out.jpg")
    assert (again.orientation, again.rgb.shape) == (6, photo.rgb.shape)
    assert (again.stored.getexif().get(0x010F) == "Maker") == (where == "xmp")


def test_a_comment_too_long_for_jpeg_is_left_out(tmp_path: Path) -> None:
    picture("L").save(tmp_path / "in.gif", comment=b"x" * 70_000)
    photo = read_photo(tmp_path / "in.gif")
    with pytest.warns(UserWarning, match="comment: too long for a JPEG file"):
        write_photo(photo, photo.rgb, HOLE, tmp_path / "out.jpg")
    assert read_photo(tmp_path / "out.jpg").kept.comment == b""
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.gif")
    assert read_photo(tmp_path / "out.gif").kept.comment == b"x" * 70_000
