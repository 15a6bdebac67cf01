#!/usr/bin/env bash
# Pillow: some rows of an enlargement, asked for by `box`, are not those of the whole enlargement.
#
# Guess:   the scale, the positions and the pixels around are the same, so the values are, too (or
#          differ by 1 from rounding). In the whole picture and in its columns they are.
# Happens: as soon as fewer rows are asked for than the WHOLE picture has, the passes change places:
#          rows first, then columns. Between the passes the values are rounded and cut to 0..255, so
#          where a filter overshoots (BICUBIC, LANCZOS) many levels are lost in another way. The
#          order is chosen for pictures that get lower, but the box, which gets higher here, has no
#          part in the choice. Tiles of a picture do not meet. In mode "F" nothing is cut: equal.
# Version: Pillow 13.0.0 (where the choice of the order is new).
# Source:  run here: each result is compared with its two passes done one by one.
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6

cd "$folder"
found=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import PIL
from PIL import Image

BICUBIC = Image.Resampling.BICUBIC
SIDE = 64
noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


def resize(image, size, box=None):
    return image.resize(size, BICUBIC, box=box)


def difference(one, other):
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).max())


def told(value):
    return "equal" if value < 0.001 else "1 level" if value <= 1 else "more than 5 levels" if value > 5 else str(value)


print("Pillow", PIL.__version__)
for mode in ("L", "F"):
    image = Image.fromarray(noise).convert(mode)
    whole = resize(image, (2 * SIDE, 2 * SIDE))
    for count in (32, 31):  # rows or columns of the picture; the edges are whole pixels
        box = (0, 16, SIDE, 16 + count)
        rows = resize(image, (2 * SIDE, 2 * count), box)
        value = difference(rows, whole.crop([2 * edge for edge in box]))
        print(f"{mode}: {count} rows -> {2 * count}: {told(value)}")
        box = (16, 0, 16 + count, SIDE)
        columns = resize(image, (2 * count, 2 * SIDE), box)
        value = difference(columns, whole.crop([2 * edge for edge in box]))
        print(f"{mode}: {count} columns -> {2 * count}: {told(value)}")

image = Image.fromarray(noise)
whole = resize(image, (2 * SIDE, 2 * SIDE))
value = difference(whole, resize(resize(image, (2 * SIDE, SIDE)), (2 * SIDE, 2 * SIDE)))
print("whole, against columns first:", told(value))
box = (0, 16, SIDE, 47)
value = difference(
    resize(image, (2 * SIDE, 62), box), resize(resize(image, (SIDE, 62), box), (2 * SIDE, 62))
)
print("31 rows, against rows first:", told(value))
PYTHON
)
echo "$found"
expected='L: 32 rows -> 64: equal
L: 32 columns -> 64: equal
L: 31 rows -> 62: more than 5 levels
L: 31 columns -> 62: equal
F: 32 rows -> 64: equal
F: 32 columns -> 64: equal
F: 31 rows -> 62: equal
F: 31 columns -> 62: equal
whole, against columns first: equal
31 rows, against rows first: equal'
if [ "$(tail -n 10 <<<"$found")" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
