#!/usr/bin/env bash
# Pillow: naming the format is the dearer way. It imports every plugin, the file's name only one.
#
# Guess:   save(..., format="WEBP") and open(..., formats=["WEBP"]) spare the search for the format,
#          so they import the plugin of WebP, or at most the common ones.
# Happens: save("x.webp") imports one plugin; with format="WEBP" added it imports all of them (more
#          than 40), as for any format beyond the five common ones (BMP, GIF, JPEG, PPM, PNG).
#          open() asks the file's name, too: formats=["WEBP"] imports one plugin for "x.webp", and
#          all for a stream. WebP in memory has no name to give, and costs a program's start.
# Version: Pillow 13.0.0.
# Source:  run here, each call in a process of its own; PIL/Image.py, save(): only the branch
#          without `format` calls _import_plugin_for_extension.
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0

cd "$folder"
cat >once.py <<'PYTHON'
import io
import sys
import time
from pathlib import Path

from PIL import Image

call = sys.argv[1]
stream = io.BytesIO(Path("x.webp").read_bytes() if "open" in call else b"")
image = Image.new("RGB", (8, 8))
start = time.perf_counter()
eval(call)
print(f"{1e3 * (time.perf_counter() - start):.0f} ms", file=sys.stderr)
plugins = [name for name in sys.modules if name.startswith("PIL.") and name.endswith("ImagePlugin")]
print(f"{call}: {'one plugin' if len(plugins) == 1 else 'more than 40 plugins' if len(plugins) > 40 else len(plugins)}")
PYTHON

"$folder/venv/bin/python" -c 'import PIL; print("Pillow", PIL.__version__)'
found=$(
  for call in \
    'image.save("x.webp")' \
    'image.save("x.webp", format="WEBP")' \
    'image.save(stream, format="WEBP")' \
    'Image.open("x.webp")' \
    'Image.open("x.webp", formats=["WEBP"])' \
    'Image.open(stream, formats=["WEBP"])'; do
    "$folder/venv/bin/python" once.py "$call"
  done
)
echo "$found"
expected='image.save("x.webp"): one plugin
image.save("x.webp", format="WEBP"): more than 40 plugins
image.save(stream, format="WEBP"): more than 40 plugins
Image.open("x.webp"): one plugin
Image.open("x.webp", formats=["WEBP"]): one plugin
Image.open(stream, formats=["WEBP"]): more than 40 plugins'
if [ "$found" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
