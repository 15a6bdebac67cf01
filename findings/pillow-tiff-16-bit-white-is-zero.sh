#!/usr/bin/env bash
# Pillow reads a TIFF of 16 bits whose white is zero as a negative; one of 8 bits it reads well.
#
# Guess:   PhotometricInterpretation 0 (white is zero) is undone at every depth, or at none.
# Happens: 8 bits are inverted, so black is 0 as everywhere in Pillow. 16 bits (little-endian) come
#          as they are stored: black is 65535.
# Version: Pillow 13.0.0. The files are made by tifffile 2026.3.3.
# Source:  run here; PIL/TiffImagePlugin.py, OPEN_INFO: (II, 0, (1,), 1, (16,), ()) is "I;16" as
#          with 1 in the place of 0.
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6

cd "$folder"
found=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import PIL
import tifffile
from PIL import Image

print("Pillow", PIL.__version__)
for dtype in (np.uint8, np.uint16):
    white_to_black = np.array([[0, np.iinfo(dtype).max]], dtype)
    for photometric in ("miniswhite", "minisblack"):
        tifffile.imwrite("x.tif", white_to_black, photometric=photometric, byteorder="<")
        with Image.open("x.tif") as image:
            print(np.dtype(dtype), photometric, image.mode, np.asarray(image).tolist()[0])
PYTHON
)
echo "$found"
expected='uint8 miniswhite L [255, 0]
uint8 minisblack L [0, 255]
uint16 miniswhite I;16 [0, 65535]
uint16 minisblack I;16 [0, 65535]'
if [ "$(tail -n 4 <<<"$found")" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
