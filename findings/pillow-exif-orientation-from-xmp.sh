#!/usr/bin/env bash
# Pillow's getexif() and ImageOps.exif_transpose() obey an orientation that only the XMP tells.
#
# Guess:   a file without EXIF has an empty getexif(), and exif_transpose leaves it as it is.
# Happens: tiff:Orientation of the XMP becomes tag 274 of getexif(), and the picture is turned. A
#          program that goes by EXIF alone shows the same file unturned.
# Version: Pillow 13.0.0.
# Source:  run here; PIL/Image.py, getexif: "XMP tags". Since
#          https://github.com/python-pillow/Pillow/pull/4560
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
from PIL import Image, ImageOps

XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>
</rdf:RDF></x:xmpmeta>"""

print("Pillow", PIL.__version__)
for options in ({}, {"xmp": XMP}):
    file = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(file, "JPEG", **options)
    assert b"Exif\0\0" not in file.getvalue()
    image = Image.open(file)
    exif = {int(tag): value for tag, value in image.getexif().items()}
    turned = ImageOps.exif_transpose(image)
    print(f"{'with' if options else 'without'} XMP: {exif} {image.size} -> {turned.size}")
PYTHON
)
echo "$found"
expected='without XMP: {} (3, 2) -> (3, 2)
with XMP: {274: 6} (3, 2) -> (2, 3)'
if [ "$(tail -n 2 <<<"$found")" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
