#!/usr/bin/env bash
# torch 2.13.0, onnx 1.23.2, onnx-ir 1.1.0, onnxscript 0.7.2.
#
# One would guess: nn.AdaptiveAvgPool2d is a pooling in the file, of a few nodes, whatever the size of the map.
#
# What happens: torch.onnx.export(dynamo=True) writes out the decomposition that PyTorch computes with. To 6 x 6 positions,
# of 18 x 18: AveragePool. Of 20 x 20, where all windows are 4 long: a GatherND to rank 6 and ReduceMean. Of 16 x 16, where
# windows are 3 and 4 long: a GatherND, two Where, and a Gather or two and an Add for each of the 4 x 4 positions of the
# longest window, 41 nodes. Of 64 x 64: 305 nodes for one pooling, and 12 x 12 positions of constants.
#
# Why it matters: nodes, bytes and constants of a pyramid pooling (PSPNet, UPerNet) hang on the size of the picture in jumps:
# costs at one size say nothing of another, a file for one size cannot be made from that for another by its shapes, and
# compilers that know AveragePool meet a gather of rank 6 and hundreds of additions.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnx-ir==1.1.0 onnxscript==0.7.2 torch==2.13.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnx-ir|onnxscript|torch) "
cat > "$folder/seen.py" <<'PY'
import sys
from collections import Counter
from pathlib import Path

import onnx
import torch
from torch import nn

path = Path(sys.argv[1]) / "net.onnx"


def nodes(side: int) -> Counter[str]:
    pool = nn.AdaptiveAvgPool2d(6).train(False)
    torch.onnx.export(pool, (torch.zeros(1, 512, side, side),), path, dynamo=True, external_data=False, verbose=False)
    return Counter(node.op_type for node in onnx.load(path).graph.node if node.op_type != "Constant")


seen = {f"{side} x {side} to 6 x 6": nodes(side) for side in (18, 20, 16, 64)}
for what, counted in seen.items():
    print(f"{what}: {sum(counted.values())} nodes: {', '.join(f'{n} {name}' for name, n in sorted(counted.items()))}")
even, same, uneven, large = seen.values()
sys.exit(even != {"AveragePool": 1} or same["ReduceMean"] != 1 or (sum(uneven.values()), sum(large.values())) != (41, 305))
PY
if ! "$folder/venv/bin/python" -W ignore "$folder/seen.py" "$folder" 2> "$folder/complaints"; then
    cat "$folder/complaints"
    echo "this has changed"
    exit 1
fi
