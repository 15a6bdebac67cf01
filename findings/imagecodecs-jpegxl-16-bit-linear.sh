#!/usr/bin/env bash
# imagecodecs.jpegxl_encode labels 16-bit RGB as linear light, though it labels 8-bit RGB as sRGB.
#
# Guess:   more bits are the same picture, only finer. libjxl itself takes integers of 8 and of 16
#          bits alike for sRGB where it is told no profile; only floats for linear light.
# Happens: a lossless file of uint16 RGB has linear light in its header. A viewer that obeys the
#          header shows the middle of the range, 127 of 255, as 187: the picture is far too bright.
# Version: imagecodecs 2026.3.6 (libjxl 0.11.2).
# Source:  run here; the profile is read by another package, pillow-jxl-plugin. What libjxl assumes:
#          encode.h, JxlEncoderAddImageFrame.
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
from PIL import Image, ImageCms

print("imagecodecs", imagecodecs.__version__, imagecodecs.jpegxl_version())
for dtype in (np.uint8, np.uint16):
    grey = np.full((8, 8, 3), np.iinfo(dtype).max // 2, dtype)
    image = Image.open(io.BytesIO(imagecodecs.jpegxl_encode(grey, lossless=True)))
    stored = image.getpixel((0, 0))[0]
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    told = ImageCms.getProfileDescription(profile).strip()
    shown = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    print(f"{np.dtype(dtype)}: profile {told}, {stored} is shown as {shown.getpixel((0, 0))[0]}")
PYTHON
)
echo "$found"
expected='uint8: profile sRGB, 127 is shown as 127
uint16: profile RGB_D65_SRG_Rel_Lin, 127 is shown as 187'
if [ "$(tail -n 2 <<<"$found")" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
