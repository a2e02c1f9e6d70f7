#!/usr/bin/env bash
# torch 2.13.0 (CPU), onnx 1.23.2, onnxscript 0.7.
#
# One would guess: torch.onnx.export(dynamo=True) loads its table of operator translations once per process.
#
# What happens: every call builds the registry anew: it converts some 500 functions to their signatures, which takes
# longer than all the rest of a small module's export. There is no argument to pass a registry in.
#
# Why it matters: who exports many small graphs in one process (a model split into parts, a test suite, a sweep over
# opsets) waits mostly for the same table. ONNXRegistry.from_torchlib can be cached per opset; it is internal to
# torch.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 onnx==1.23.2 "onnxscript>=0.7,<0.8" "numpy>=2,<3"
cat > "$folder/measure.py" <<'PY'
import logging
import sys
import time
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry

read, calls = ONNXRegistry.from_torchlib, []


def timed(*arguments, **options):
    start = time.process_time()
    registry = read(*arguments, **options)
    calls.append(time.process_time() - start)
    return registry


ONNXRegistry.from_torchlib = staticmethod(timed)
module, x = torch.nn.Linear(4, 4), (torch.zeros(1, 4),)
for _ in range(3):
    start = time.process_time()
    torch.onnx.export(module, x, dynamo=True, verbose=False)
    whole = time.process_time() - start
    print(f"export: {whole:.2f} s of CPU, of it reading the operators: {calls[-1]:.2f} s", file=sys.stderr)
print(len(calls), int(100 * calls[-1] / whole))
PY
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(torch|onnx|onnxscript) "
read -r calls share <<< "$("$folder/venv/bin/python" "$folder/measure.py")"
echo "three exports of one Linear read the operators $calls times; in the last that was $share % of the time"
if (( calls != 3 || share < 25 )); then
    echo "this has changed"
    exit 1
fi
