#!/usr/bin/env bash
# numpy.unique of a plain array imports numpy.ma, the package of masked arrays, at its first call.
#
# Guess:   an array without a mask needs nothing of numpy.ma, which numpy loads only when it is used.
# Happens: unique(x) asks whether x is masked, and so loads it: some milliseconds of a program's
#          start. unique(x, return_index=True), which does more, does not.
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6

cd "$folder"
found=$("$folder/venv/bin/python" - <<'PYTHON'
import sys
import time

import numpy as np

x = np.array([3, 1, 3])
print("numpy", np.__version__)
steps = [("import", lambda: None), ("unique(x, return_index=True)", lambda: np.unique(x, return_index=True))]
for name, call in [*steps, ("unique(x)", lambda: np.unique(x))]:
    start = time.perf_counter()
    call()
    print(f"{1e3 * (time.perf_counter() - start):.2f} ms", file=sys.stderr)
    print(f"after {name}: numpy.ma loaded: {'numpy.ma' in sys.modules}")
PYTHON
)
echo "$found"
expected='after import: numpy.ma loaded: False
after unique(x, return_index=True): numpy.ma loaded: False
after unique(x): numpy.ma loaded: True'
if [ "$(tail -n 3 <<<"$found")" != "$expected" ]; then
  echo "changed"
  exit 1
fi
echo "as described"
