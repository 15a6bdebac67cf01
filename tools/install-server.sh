#!/bin/sh
# Installs finefill with its server into a virtual environment of its own:
#     tools/install-server.sh FOLDER [PYTHON]
# Run it anywhere; it installs the checkout that it lies in. The Containerfile uses it too.
set -eu

folder=${1:?"usage: tools/install-server.sh FOLDER [PYTHON]"}
python=${2:-python3}
source=$(cd "$(dirname "$0")/.." && pwd)

"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
    --constraint "$source/constraints.txt" "$source[web]"
# Nothing is installed there later on.
"$folder/bin/python" -m pip uninstall --quiet --yes pip
"$folder/bin/finefill" serve --help >/dev/null
du -sm "$folder" | cut -f 1 | sed 's/$/ MB/'
