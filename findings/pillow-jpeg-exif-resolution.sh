#!/usr/bin/env bash
# Pillow gives a JPEG whose resolution is in EXIF the horizontal one for both directions.
#
# Guess:   info["dpi"] of a fax or film scan with XResolution 200 and YResolution 100 is (200, 100), as
#          from TIFF, from PNG, and from a JPEG that has them in its JFIF header.
# Happens: it is (200, 200) where the JFIF header gives no unit and EXIF counts; YResolution is not
#          looked at. Saved with dpi=info["dpi"], the picture is printed at half its height.
# Version: Pillow 13.0.0.
# Source:  run here; JpegImagePlugin reads tag 0x011A alone.
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0

cd "$folder"
found=$("$folder/venv/bin/python" - <<'PYTHON'
import io

import PIL
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

scan = Image.new("RGB", (16, 8), "white")
exif = Image.Exif()
exif[0x011A], exif[0x011B], exif[0x0128] = IFDRational(200), IFDRational(100), 2  # per inch


def read(**saved):
    file = io.BytesIO()
    scan.save(file, **saved)
    return tuple(round(one) for one in Image.open(file).info["dpi"])


print("Pillow", PIL.__version__)
print("JPEG, in EXIF:", read(format="JPEG", exif=exif))
print("JPEG, in JFIF:", read(format="JPEG", dpi=(200, 100)))
print("TIFF:", read(format="TIFF", dpi=(200, 100)))
print("PNG:", read(format="PNG", dpi=(200, 100)))
PYTHON
)
echo "$found"
expected='JPEG, in EXIF: (200, 200)
JPEG, in JFIF: (200, 100)
TIFF: (200, 100)
PNG: (200, 100)'
if [ "$(tail -n 4 <<<"$found")" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
