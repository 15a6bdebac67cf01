"""What files hold besides a picture: kept, or left out with a warning."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from finefill.files import iptc, tiff, xmp
from finefill.files.metadata import Kept
from finefill.files.reading import read_photo
from finefill.files.writing import write_photo
from tests.files.pictures import HOLE, MAY_LOSE, picture, tiny_jpeg

HEAD = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
TAIL = b"</rdf:Description></rdf:RDF></x:xmpmeta>"
HDR = b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" '
MOTION = (
    b'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1" '
    b'GCamera:MicroVideoOffset="5000" GCamera:SpecialTypeID="kept" '
)
CONTAINER = (
    b'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
    b'xmlns:Item="http://ns.google.com/photos/1.0/container/item/" dc:title="kept">'
    b'<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item '
    b'Item:Mime="image/jpeg" Item:Length="99"/></rdf:li></rdf:Seq></Container:Directory>'
)
PHONE = HEAD + HDR + MOTION + CONTAINER + TAIL
JUMBF = b"JP\0\1\0\0\0\1\0\0\1\0jumb\0\0\0\x1ajumd"
FILM = b"\0\0\0\x18ftypmp42" + bytes(4988)


def jpeg(*, before: bytes = b"", after: bytes = b"", **options: Any) -> bytes:
    """A JPEG file with segments after its first marker and bytes after its end."""
    buffer = io.BytesIO()
    picture("RGB", 64, 64).save(buffer, "JPEG", quality=92, **options)
    data = buffer.getvalue()
    return data[:2] + before + data[2:] + after


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(data)) + data


def through(data: bytes, target: Path, match: str = "") -> bytes:
    """Complete a file in memory, as ``target``; what reading warns of must match."""
    (target.parent / "in").write_bytes(data)
    if match:
        with pytest.warns(UserWarning, match=match):
            photo = read_photo(target.parent / "in")
    else:
        photo = read_photo(target.parent / "in")
    mask = np.zeros(photo.rgb.shape[:2], bool)
    mask[4:9, 4:9] = True
    write_photo(photo, photo.rgb, mask, target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_photo(target)  # says no more that something is missing
    return target.read_bytes()


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (FILM, r"its film \(motion photo\); its gain map \(HDR\)"),
        (tiny_jpeg(9) + FILM, "another picture after it"),
        (tiny_jpeg(9), "another picture after it"),
        (b"", r"its gain map \(HDR\); its film"),
    ],
)
@pytest.mark.parametrize("progressive", [False, True])
def test_what_phones_put_after_the_picture(
    tmp_path: Path, after: bytes, words: str, progressive: bool
) -> None:
    data = jpeg(after=after, xmp=PHONE, progressive=progressive, restart_marker_blocks=3)
    said = through(data, tmp_path / "out.jpg", rf"left out: .*{words}")
    for gone in (b"hdrgm", b"MotionPhoto", b"MicroVideo", b"Container", b"Item:", b"ftyp"):
        assert gone not in said
    assert b'GCamera:SpecialTypeID="kept"' in said
    assert b'dc:title="kept"' in said


@pytest.mark.parametrize("fmt", ["png", "webp", "avif"])
def test_tags_of_a_gain_map_go_from_every_format(tmp_path: Path, fmt: str) -> None:
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", PHONE.decode())
    buffer = io.BytesIO()
    options: dict[str, Any] = {"pnginfo": texts} if fmt == "png" else {"xmp": PHONE}
    picture("RGB", 64, 64).save(buffer, fmt, **options)
    said = through(buffer.getvalue(), tmp_path / f"out.{fmt}", r"its gain map \(HDR\); its film")
    assert b"hdrgm:Version" not in said
    assert b'dc:title="kept"' in said


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (HEAD + b'a:b="1"/>', HEAD + b'a:b="1"/>'),
        (HEAD + b'GCamera:MotionPhoto="0"/>', HEAD[:-1] + b"/>"),
        (HEAD + b"><GCamera:MotionPhoto>1</GCamera:MotionPhoto><a/>", HEAD + b"><a/>"),
        (
            HEAD + HDR.replace(b"hdrgm", b"odd") + b"><odd:GainMapMin>1</odd:GainMapMin>" + TAIL,
            None,
        ),
        (HEAD + b"><xmp:Thumbnails><a/>", b""),  # it does not end
        (b"<a " + b" " * 200_000 + b"<" * 200_000, b"<a " + b" " * 200_000 + b"<" * 200_000),
    ],
)
def test_packets_are_cut(packet: bytes, expected: bytes | None) -> None:
    said, lost = xmp.cleaned(packet)
    if expected is None:
        assert b"odd" not in said
        assert lost == ["its gain map (HDR)"]
    else:
        assert said == expected


def test_two_pictures_told_by_an_index(tmp_path: Path) -> None:
    """MPF, which phones and stereo cameras write; Pillow takes such a file for its own format."""
    buffer = io.BytesIO()
    first, second = picture("RGB", 64, 64), picture("L", 64, 64)
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    (tmp_path / "in.jpg").write_bytes(buffer.getvalue())
    with pytest.warns(UserWarning, match="has several pictures: only the first is used"):
        photo = read_photo(tmp_path / "in.jpg")
    assert photo.stored.format == "MPO"
    assert photo.kept.lost == ()
    write_photo(photo, photo.rgb, np.eye(64, dtype=bool), tmp_path / "out.jpg")
    assert b"MPF\0" not in (tmp_path / "out.jpg").read_bytes()


def resources(thumbnail: bytes) -> bytes:
    """As Photoshop writes them: IPTC, a path, and a thumbnail."""

    def block(number: int, data: bytes, name: bytes = b"\0\0") -> bytes:
        data = name + struct.pack(">I", len(data)) + data
        return b"8BIM" + struct.pack(">H", number) + data + bytes(len(data) % 2)

    records = b"\x1c\x02\x19\0\x07harbour"
    return block(0x0404, records) + block(1036, thumbnail) + block(2000, b"path", b"\x03one")


@MAY_LOSE
@pytest.mark.parametrize("source", ["in.jpg", "in.tif", "in.png"])
@pytest.mark.parametrize("target", ["out.jpg", "out.tif", "out.png"])
@pytest.mark.parametrize("length", [3, 70_000])
def test_iptc_stays_without_its_preview(
    tmp_path: Path, source: str, target: str, length: int
) -> None:
    image = picture("RGB")
    thumbnail = b"PREVIEW" * length
    wanted = b"\x1c\x02\x19\0\x07harbour"
    whole = resources(thumbnail)
    if source == "in.jpg":
        image.save(tmp_path / source, extra=iptc.segments(whole))
    elif source == "in.tif":
        image.save(tmp_path / source, tiffinfo={0x8649: whole, 0x83BB: wanted}, compression="raw")
    else:
        texts = PngInfo()
        texts.add_text(*iptc.text_of(whole), zip=length > 3)
        image.save(tmp_path / source, pnginfo=texts)
    photo = read_photo(tmp_path / source)
    assert photo.kept.iptc == wanted
    write_photo(photo, photo.rgb, HOLE, tmp_path / target)
    again = read_photo(tmp_path / target)
    assert again.kept.iptc == wanted
    assert again.kept.resources == iptc.split(whole)[1] != b""
    assert b"PREVIEW" not in (tmp_path / target).read_bytes()
    if target == "out.jpg":  # as another reader finds it
        with Image.open(tmp_path / target) as image:
            assert image.info["photoshop"] == {0x0404: wanted, 2000: b"path"}
    if target == "out.tif":
        with Image.open(tmp_path / target) as image:
            assert image.tag_v2[0x83BB] == wanted  # type: ignore[attr-defined]  # TIFF only
    for name in ("out.webp", "out.gif", "out.bmp"):
        with pytest.warns(UserWarning, match="holds no IPTC, no resources of Photoshop: left out"):
            write_photo(photo, photo.rgb, HOLE, tmp_path / name)


@pytest.mark.parametrize(
    ("before", "match"),
    [
        (segment(0xEB, JUMBF + b"c2pa"), "content credentials"),
        (segment(0xEB, JUMBF + b"c2pa") + segment(0xEB, JUMBF + b"more"), "changed picture$"),
        (segment(0xEB, JUMBF + b"other"), "JUMBF boxes"),
        (segment(0xFE, b"a remark") + segment(0xFE, b"another"), "the last of its comments"),
        (segment(0xE1, b"FLIR\0\1\0\0" + bytes(40)), r"thermal data \(FLIR\)"),
        (segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(99)), "extended XMP"),
        (segment(0xE4, b"own") + segment(0xE4, b"more") + segment(0xE9, b"x"), "APP4, APP9$"),
    ],
)
def test_segments_that_are_left_out_are_told(tmp_path: Path, before: bytes, match: str) -> None:
    said = through(jpeg(before=before), tmp_path / "out.jpg", rf"left out: .*{match}")
    assert before not in said


@pytest.mark.parametrize("after", [b"", bytes(7000), b"\n", b"\r\n\0\0"])
def test_padding_after_a_jpeg_picture_is_nothing(tmp_path: Path, after: bytes) -> None:
    through(jpeg(after=after, comment=b"a remark"), tmp_path / "out.jpg")


def test_bytes_after_a_jpeg_picture_are_told(tmp_path: Path) -> None:
    through(
        jpeg(after=b"SEFH" + bytes(9) + b"SEFT"), tmp_path / "out.jpg", "17 bytes after its end"
    )


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))


def test_chunks_of_png(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    picture("RGB").save(buffer, "PNG")
    data = buffer.getvalue()
    kept, cicp = chunk(b"fiFi", b"may be copied"), chunk(b"cICP", bytes([12, 13, 0, 1]))
    gone = chunk(b"caBX", b"\0\0\0\x10jumb") + chunk(b"mkBT", b"layers") + chunk(b"mDCV", bytes(24))
    ground, bits = chunk(b"bKGD", bytes([0, 1, 0, 2, 0, 3])), chunk(b"sBIT", b"\5\6\5")
    known = chunk(b"tIME", bytes([7, 233, 1, 1, 1, 1, 1])) + ground + bits
    data = data[:33] + kept + cicp + gone + known + data[33:]
    said = through(
        data,
        tmp_path / "out.png",
        r"content credentials.*; its chunks mkBT, mDCV$",
    )
    for same in (kept, cicp, ground, bits):
        assert said.count(same) == 1
        assert said.index(same) < said.index(b"IDAT")
    for name in (b"caBX", b"mkBT", b"mDCV", b"tIME"):
        assert name not in said


@pytest.mark.parametrize(
    ("chunks", "told"),
    [
        ((b"cICP", bytes([9, 16, 0, 1])), "colours of PNG (cICP)"),
        ((b"cICP", bytes([1, 13, 0, 1])), ""),
        ((b"gAMA", (100_000).to_bytes(4)), "colours of PNG (gAMA)"),
        ((b"gAMA", (45_455).to_bytes(4)), ""),
        ((b"gAMA", (100_000).to_bytes(4), b"sRGB", b"\0"), ""),
        ((b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)),
         "colours of PNG (cHRM)"),
        ((b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)), ""),
    ],
)  # fmt: skip
def test_colours_of_png_in_other_formats(chunks: tuple[bytes, ...], told: str) -> None:
    kept = Kept(chunks=tuple(zip(chunks[::2], chunks[1::2], strict=True)))
    assert kept.not_held("JPEG") == ([told] if told else [])
    assert kept.not_held("PNG") == []


def test_a_profile_counts_for_more_than_gamma() -> None:
    kept = Kept(chunks=((b"gAMA", (100_000).to_bytes(4)),), profile=True)
    assert kept.not_held("JPEG") == []


def test_exif_tags_that_may_be_places_are_told_in_tiff() -> None:
    long, short = tiff.Value(4, (1234).to_bytes(4, "little")), tiff.short(7)
    kept = Kept(exif=tiff.block({50_000: long, 50_001: short}))
    assert kept.not_held("TIFF") == ["places in another file (EXIF's tags 50000)"]
    assert kept.not_held("JPEG") == []


def test_chunks_of_webp(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    picture("RGB").save(buffer, "WEBP", lossless=True, xmp=b"<a/>")
    data = buffer.getvalue() + b"C2PA\x04\0\0\0jumbXYZ \x02\0\0\0ab"
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    through(data, tmp_path / "out.webp", r"content credentials.*; its chunks XYZ")


@pytest.mark.parametrize(
    ("primaries", "transfer", "told"), [(1, 13, False), (12, 13, True), (9, 16, True)]
)
def test_colours_by_code_points(tmp_path: Path, primaries: int, transfer: int, told: bool) -> None:
    """AVIF's box of ITU-T H.273's numbers: sRGB; Display P3; Rec. 2100 PQ."""
    buffer = io.BytesIO()
    picture("RGB").save(buffer, "AVIF")
    data = buffer.getvalue()
    at = data.index(b"colrnclx") + 8
    data = data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]
    (tmp_path / "in.avif").write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_photo(tmp_path / "in.avif")
    assert [("taken for sRGB" in str(one.message)) for one in caught] == [True] * told


def test_credentials_in_boxes(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    picture("RGB").save(buffer, "AVIF")
    box = b"uuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + bytes(8)
    (tmp_path / "in.avif").write_bytes(buffer.getvalue() + struct.pack(">I", 4 + len(box)) + box)
    with pytest.warns(UserWarning, match="content credentials"):
        read_photo(tmp_path / "in.avif")


def test_xmp_of_gif_is_told(tmp_path: Path) -> None:
    """Pillow neither reads nor writes it."""
    buffer = io.BytesIO()
    picture("P").save(buffer, "GIF")
    data = buffer.getvalue()
    packet = b"<x:xmpmeta/>"
    block = b"\x21\xff\x0bXMP DataXMP" + packet + b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    at = data.index(b"\x2c", 13 + 3 * 256 if data[10] & 7 == 7 else 13)
    (tmp_path / "in.gif").write_bytes(data[:at] + block + data[at:])
    with pytest.warns(UserWarning, match="left out: its XMP$"):
        photo = read_photo(tmp_path / "in.gif")
    write_photo(photo, photo.rgb, HOLE, tmp_path / "out.gif")
