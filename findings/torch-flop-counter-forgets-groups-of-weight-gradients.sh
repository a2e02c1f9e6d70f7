#!/usr/bin/env bash
# torch 2.13.0 (CPU build), torch.utils.flop_counter.FlopCounterMode.
#
# One would guess: the gradient of a convolution's weight takes as many multiply-adds as the convolution itself, for a
# grouped one too: each output position adds one product to each weight.
#
# What happens: forward and the gradient of the input are counted with the groups, the gradient of the weight without.
# A depthwise convolution of 8 channels counts 8 times too many there, so that its backward pass seems to take 9 times
# the forward pass and not 2 times.
#
# Why it matters: FlopCounterMode is what training cost tables of PyTorch models come from. MobileNet-like networks,
# most of whose layers are depthwise, look several times as costly to train as they are.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 "numpy>=2,<3"
cat > "$folder/seen.py" <<'PY'
import sys

import torch
from torch.utils.flop_counter import FlopCounterMode


def counted(groups: int) -> tuple[int, int]:
    """Multiply-adds of the forward and of the backward pass."""
    layer = torch.nn.Conv2d(8, 8, kernel_size=3, padding=1, groups=groups, bias=False)
    x = torch.ones(1, 8, 10, 10, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        y = layer(x)
    with FlopCounterMode(display=False) as backward:
        y.sum().backward()
    return forward.get_total_flops() // 2, backward.get_total_flops() // 2


print("torch", torch.__version__)
seen = {}
for groups in (1, 8):
    ahead = 10 * 10 * 8 * (8 // groups) * 9
    seen[groups] = counted(groups)
    print(f"groups {groups}: forward {seen[groups][0]} (in truth {ahead}), backward {seen[groups][1]} (in truth {2 * ahead})")
plain, grouped = 10 * 10 * 8 * 8 * 9, 10 * 10 * 8 * 9
sys.exit(seen != {1: (plain, 2 * plain), 8: (grouped, grouped + 8 * grouped)})
PY
if ! "$folder/venv/bin/python" -W ignore "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
