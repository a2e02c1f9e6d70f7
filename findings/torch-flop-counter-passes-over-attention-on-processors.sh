#!/usr/bin/env bash
# torch 2.13.0 (CPU build), torch.utils.flop_counter.FlopCounterMode.
#
# One would guess: scaled_dot_product_attention counts the same wherever it runs, as the two products that it is.
#
# What happens: the counter has formulas for the kernels of GPUs and for the plain form in operators. On a processor
# attention runs in a kernel of its own (aten::_scaled_dot_product_flash_attention_for_cpu), for which there is none:
# it counts 0, without a word. Under the math backend, or on the meta device, it counts in full.
#
# Why it matters: who counts a transformer on a laptop gets its projections alone. At 4,096 tokens of width 512 that is
# half of the work or less, and not what the meta device says of the same network.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 "numpy>=2,<3"
cat > "$folder/seen.py" <<'PY'
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

HEADS, TOKENS, WIDTH = 4, 128, 64


def counted(device: str = "cpu") -> int:
    """Multiply-adds of one attention."""
    q, k, v = torch.ones(3, 1, HEADS, TOKENS, WIDTH, device=device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        scaled_dot_product_attention(q, k, v)
    return counter.get_total_flops() // 2


truth = 2 * HEADS * TOKENS * TOKENS * WIDTH
default = counted()
with sdpa_kernel(SDPBackend.MATH):
    plain = counted()
meta = counted("meta")
print("torch", torch.__version__)
print(f"by default on the processor: {default}; by the math backend: {plain}; on the meta device: {meta}; in truth {truth}")
sys.exit((default, plain, meta) != (0, truth, truth))
PY
if ! "$folder/venv/bin/python" -W ignore "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
