#!/usr/bin/env bash
# safetensors writes files that only their owner can read, whatever the umask says.
#
# Guess:   save_file() makes a file like any other program: 0644 with the usual umask 022.
# Happens: it is 0600, and a file that was 0644 becomes 0600 when it is saved again. A server that
#          runs as another user cannot read a checkpoint that was copied with its permissions.
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.3.5

cd "$folder"
umask 022
found=$("$folder/venv/bin/python" - <<'PYTHON'
import os

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file


def mode(path: str) -> str:
    return oct(os.stat(path).st_mode & 0o777)


open("plain", "w").close()
save_file({"x": np.arange(3.0)}, "new.safetensors")
save_file({"x": np.arange(3.0)}, "again.safetensors")
os.chmod("again.safetensors", 0o644)
save_file({"x": np.arange(3.0)}, "again.safetensors")
assert load_file("new.safetensors")["x"].tolist() == [0, 1, 2]
print("safetensors", safetensors.__version__)
print("open():", mode("plain"), "save_file():", mode("new.safetensors"))
print("save_file() over a file of 0o644:", mode("again.safetensors"))
PYTHON
)
echo "$found"
expected='open(): 0o644 save_file(): 0o600
save_file() over a file of 0o644: 0o600'
if [ "$(tail -n 2 <<<"$found")" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
