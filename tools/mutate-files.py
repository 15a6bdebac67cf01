"""Damaged image files of every format: each is completed, or refused in one line.

    python tools/mutate-files.py --count 10000 --seed 1 -o /tmp/mutated

Whole files are made, some of their bytes are changed, left out, put in or cut off, and what comes
of it is read, filled and written in a format by chance. A file that ends otherwise, or slowly, is
kept in the folder and named; the exit code is then 1. Needs the extra `formats`.

With `--server http://127.0.0.1:8383` the files are sent to a running `finefill serve` instead: each
gets a completed image or an answer of 4xx with one line. The answers are counted by their status.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import random
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import Image

from finefill import FinefillError
from finefill.files import for_network, read_photo, write_photo

SIDE = 40
SLOW = 5.0  # seconds
OUTPUTS = ("jpg", "png", "tif", "webp", "bmp", "gif", "avif", "heic", "jxl")
XMP = b'<x:xmpmeta xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"><a hdrgm:Version="1.0"/>'


def whole_files() -> dict[str, bytes]:
    """Name -> contents of small files of all formats, modes and depths."""
    y, x = np.mgrid[:SIDE, :SIDE]
    rgb = np.dstack([x * 6, y * 6, x * y % 256]).astype(np.uint8)
    deep = rgb * np.uint16(257)
    image, files = Image.fromarray(rgb), dict[str, bytes]()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif.get_ifd(0x8825)[1] = "N"

    def save(name: str, picture: Image.Image, kind: str, **options: object) -> None:
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        files[name] = buffer.getvalue()

    save("jpeg", image, "JPEG", exif=exif, xmp=XMP)
    files["jpeg with a film"] = files["jpeg"] + b"\0\0\0\x18ftypmp42" + bytes(200)
    save("mpo", image, "MPO", save_all=True, append_images=[image])
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        save(f"png {mode}", image.convert(mode), "PNG", exif=exif)
        save(f"tiff {mode}", image.convert(mode), "TIFF", compression="tiff_lzw")
    save("png key", image.convert("P"), "PNG", transparency=3)
    save("tiff cmyk", image.convert("CMYK"), "TIFF")
    save("webp", image.convert("RGBA"), "WEBP", exif=exif, xmp=XMP)
    save("webp lossless", image, "WEBP", lossless=True)
    save("avif", image.convert("RGBA"), "AVIF", exif=exif)
    save("gif", image.convert("P"), "GIF", transparency=3)
    save("bmp", image, "BMP")
    for bands in (2, 3, 4):
        samples = np.ascontiguousarray(np.dstack([deep, deep])[..., :bands])
        files[f"png 16 bit {bands}"] = bytes(imagecodecs.png_encode(samples))
    layouts: dict[str, dict[str, Any]] = {
        "white": {"photometric": "miniswhite"}, "big-endian": {"byteorder": ">"},
        "bigtiff": {"bigtiff": True}, "tiles": {"tile": (16, 16), "compression": "zlib"},
    }  # fmt: skip
    for name, options in layouts.items():
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, deep[..., 0], **({"photometric": "minisblack"} | options))
        files[f"tiff 16 bit {name}"] = buffer.getvalue()
    for name, kind in (("8", rgb), ("16", deep)):
        buffer = io.BytesIO()
        no_data = [(42113, "s", 2, "0", False)]
        tifffile.imwrite(buffer, kind, photometric="rgb", extratags=no_data)
        files[f"tiff {name} bit with gaps"] = buffer.getvalue()
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(rgb[::2, ::2], photometric="rgb", subfiletype=1, subifds=1)
        writer.write(deep, photometric="rgb")
    files["tiff with a preview"] = buffer.getvalue()
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, exif=exif.tobytes(), xmp=XMP)
    files["heic"] = buffer.getvalue()
    for name, samples in (("8", rgb), ("16", deep)):
        files[f"jxl {name} bit"] = bytes(imagecodecs.jpegxl_encode(samples, lossless=True))
    return files


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A file with some changes, most of them near its beginning."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        if len(changed) < 9:
            break
        end = min(len(changed), 600) if chance.random() < 0.6 else len(changed)
        at, kind = chance.randrange(end), chance.random()
        if kind < 0.5:
            changed[at] = chance.randrange(256)
        elif kind < 0.7:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind < 0.8:
            del changed[at : at + chance.randrange(1, 9)]
        elif kind < 0.9:
            changed[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif kind < 0.95:
            changed[at : at + 4] = b"\xff" * 4
        else:
            del changed[at:]
    return bytes(changed)


def complete(data: bytes, target: Path) -> bool:
    """Read, fill with white and write; False where that was refused, in one line."""
    try:
        photo = read_photo(data, max_pixels=1_000_000)
        mask = np.zeros(photo.rgb.shape[:2], bool)
        mask[5:10, 5:12] = True
        shown = for_network(photo, mask)
        write_photo(shown, np.full_like(shown.rgb, 255), mask, target)
        if read_photo(target).rgb.shape != photo.rgb.shape:
            raise AssertionError("the output has another size")
    except FinefillError as error:
        if "\n" in str(error):
            raise AssertionError(f"not one line: {error}") from error
        return False
    return True


class Server:
    """A running server that files are sent to; ``statuses`` counts its answers."""

    def __init__(self, address: str) -> None:
        """``address``: as `finefill serve` prints it."""
        self._url = f"{address.rstrip('/')}/v1/complete"
        self.statuses: collections.Counter[int] = collections.Counter()

    def complete(self, data: bytes, target: Path) -> bool:
        """Have a file completed; False where that was refused, in one line."""
        kind = {".jpg": "jpeg", ".tif": "tiff"}.get(target.suffix, target.suffix[1:])
        fields = {"boxes": "5,5,7,5"}
        if kind in ("png", "jpeg", "webp", "tiff", "avif"):
            fields["format"] = kind
        mark = "finefill-mutated-file-" + random.Random(data).randbytes(8).hex()
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        head = f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        body = "".join([*parts, head]).encode() + data + f"\r\n--{mark}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        request = urllib.request.Request(self._url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                self.statuses[answer.status] += 1
                read_photo(answer.read())
        except urllib.error.HTTPError as error:
            self.statuses[error.code] += 1
            told = json.loads(error.read())["detail"]
            if not 400 <= error.code < 500 or "\n" in told:
                raise AssertionError(f"answered {error.code}: {told}") from error
            return False
        return True


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--server", metavar="URL", help="send the files to a running server")
    asked = parser.parse_args()
    server = Server(asked.server) if asked.server else None
    act: Callable[[bytes, Path], bool] = complete if server is None else server.complete
    asked.output.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    chance, files = random.Random(asked.seed), whole_files()
    done = wrong = 0
    for number in range(asked.count):
        name = chance.choice(list(files))
        data = mutated(files[name], chance)
        target = asked.output / f"out.{chance.choice(OUTPUTS)}"
        begin = time.monotonic()
        try:
            done += act(data, target)
            told = f"{time.monotonic() - begin:.1f} s" if time.monotonic() - begin > SLOW else ""
        except Exception as error:  # what nobody expected is what is looked for
            told = f"{type(error).__name__}: {error}"
        if told:
            wrong += 1
            kept = asked.output / f"{asked.seed}-{number}"
            kept.write_bytes(data)
            print(f"{kept}: {name} to {target.suffix}: {told}")
    refused = asked.count - done - wrong
    print(f"{asked.count} files: {done} completed, {refused} refused, {wrong} wrong")
    if server is not None:
        counts = sorted(server.statuses.items())
        print("answers: " + ", ".join(f"{status} x {count}" for status, count in counts))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
