#!/usr/bin/env bash
# imagecodecs.jpegxl_decode gives the white of a 10-bit JPEG XL as 1023 in an array of uint16.
#
# Guess:   JPEG XL stores samples from 0 to 1, and libjxl scales them to the type that is asked for:
#          white is 65535 in uint16, as it is 255 in uint8.
# Happens: white is 1023, and nothing beside the array tells of the 10 bits. Taken as 16 bits, the
#          picture is nearly black.
# Version: imagecodecs 2026.3.6 (libjxl 0.11.2).
# Source:  run here; pillow-jxl-plugin reads the same file, with white as 255.
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  imagecodecs==2026.3.6 numpy==2.4.6 pillow==13.0.0 pillow-jxl-plugin==1.3.8

cd "$folder"
found=$("$folder/venv/bin/python" - <<'PYTHON'
import io

import imagecodecs
import numpy as np
import pillow_jxl  # noqa: F401  (Pillow then opens JPEG XL)
from PIL import Image

print("imagecodecs", imagecodecs.__version__, imagecodecs.jpegxl_version())
for bits in (8, 10, 16):
    white = np.full((8, 8, 3), 2**bits - 1, np.uint8 if bits == 8 else np.uint16)
    data = imagecodecs.jpegxl_encode(white, lossless=True, bitspersample=bits)
    array = imagecodecs.jpegxl_decode(data)
    other = Image.open(io.BytesIO(data)).getpixel((0, 0))[0]
    print(f"white of {bits} bits: {array.dtype} {array.max()}, of the other package: {other}")
PYTHON
)
echo "$found"
expected='white of 8 bits: uint8 255, of the other package: 255
white of 10 bits: uint16 1023, of the other package: 255
white of 16 bits: uint16 65535, of the other package: 255'
if [ "$(tail -n 3 <<<"$found")" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
