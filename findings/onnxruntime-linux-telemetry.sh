#!/usr/bin/env bash
# ONNX Runtime on Linux writes a device id and a database into ~/.cache/Microsoft when a session is made.
#
# Guess:   the packages of PyPI for Linux report nothing; telemetry is a matter of Windows builds.
# Happens: making one session leaves deviceid and onnxruntime.db there.
#          Nothing is left with ORT_DISABLE_TELEMETRY=1 in the environment.
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2

cat > "$folder/make_session.py" <<'PYTHON'
import sys

import onnx
import onnxruntime
from onnx import TensorProto, helper

value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
print("onnxruntime", onnxruntime.__version__, "on", sys.platform)
PYTHON

mkdir "$folder/home" "$folder/quiet"
env -u ORT_DISABLE_TELEMETRY -u XDG_CACHE_HOME HOME="$folder/home" \
  "$folder/venv/bin/python" "$folder/make_session.py"
echo "files after one session:"
(cd "$folder/home" && find . -type f | sort)
env -u XDG_CACHE_HOME ORT_DISABLE_TELEMETRY=1 HOME="$folder/quiet" \
  "$folder/venv/bin/python" "$folder/make_session.py"
echo "files with ORT_DISABLE_TELEMETRY=1:"
(cd "$folder/quiet" && find . -type f | sort)

found=$(find "$folder/home" -name deviceid -o -name onnxruntime.db | wc -l)
quiet=$(find "$folder/quiet" -type f | wc -l)
if [ "$found" != 2 ] || [ "$quiet" != 0 ]; then
  echo "changed: $found of the 2 files by default, $quiet files with ORT_DISABLE_TELEMETRY=1"
  exit 1
fi
echo "as described"
