#!/usr/bin/env bash
# torch 2.13.0 (CPU build), torch.utils.flop_counter.FlopCounterMode.
#
# One would guess: a matrix times a vector is counted as the same matrix times a matrix of one column.
#
# What happens: mm, bmm, addmm and baddbmm are counted, mv, addmv, dot and vdot are not: 0 operations.
#
# Why it matters: pooling by attention with one learned query, scoring heads and the power iteration of spectral
# normalization are written as products with vectors; written with a matrix of one column they count.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 "numpy>=2,<3"
cat > "$folder/seen.py" <<'PY'
import sys
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode


def counted(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


print("torch", torch.__version__)
weight, vector = torch.ones(16, 8), torch.ones(8)
seen = {
    "matrix of one column": counted(lambda: weight @ vector[:, None]),
    "mv": counted(lambda: weight @ vector),
    "addmv": counted(lambda: torch.addmv(torch.ones(16), weight, vector)),
    "dot": counted(lambda: torch.dot(vector, vector)),
}
for name, operations in seen.items():
    print(f"{name}: {operations} operations")
sys.exit([*seen.values()] != [2 * 16 * 8, 0, 0, 0])
PY
if ! "$folder/venv/bin/python" -W ignore "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
