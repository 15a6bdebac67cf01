#!/usr/bin/env bash
# Pillow writes the white of a TIFF's palette as 65280, where TIFF's white is 65535.
#
# Guess:   a TIFF with a palette keeps its colours when it is opened and saved.
# Happens: a palette's 16 bits become 8 when it is read, and 256 times that when it is written (257
#          times would be exact): 65535 comes back as 65280. Pillow itself sees no difference;
#          readers that use the 16 bits see a grey a little darker than white.
# Version: Pillow 13.0.0. The palette is made and read by tifffile 2026.3.3.
# Source:  run here; PIL/TiffImagePlugin.py: "colormap += [v * 256 ...". TIFF 6.0, ColorMap: 65535
#          is the most of a colour.
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

palette = np.zeros((3, 256), np.uint16)
palette[:, 1] = 65535
pixels = np.array([[0, 1]], np.uint8)
tifffile.imwrite("before.tif", pixels, photometric="palette", colormap=palette)
with Image.open("before.tif") as image:
    image.save("after.tif")

print("Pillow", PIL.__version__)
for name in ("before.tif", "after.tif"):
    with tifffile.TiffFile(name) as file:
        white = file.pages[0].colormap[:, 1].tolist()
    with Image.open(name) as image:
        print(name, white, "in Pillow:", image.mode, image.convert("RGB").getpixel((1, 0)))
PYTHON
)
echo "$found"
expected='before.tif [65535, 65535, 65535] in Pillow: P (255, 255, 255)
after.tif [65280, 65280, 65280] in Pillow: P (255, 255, 255)'
if [ "$(tail -n 2 <<<"$found")" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
