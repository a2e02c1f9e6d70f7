#!/usr/bin/env bash
# litert-torch 0.10.0, torch 2.13.0, Python 3.11.
#
# One would guess: the name of a tensor in the TFLite file that litert-torch writes says which modules the operation
# comes from - their classes and names are in it, joined by ";" where several were fused, such as a convolution and the
# ReLU behind it.
#
# What happens: constants that are equal are one, under the name of the first operation that needs it, and whatever is
# fused with that constant later has this name too. In a chain of equally large convolutions with ReLUs each one's name
# has the first ReLU in it as well, which is in another module, because all compare with the same tensor of zeros.
#
# Why it matters: whoever leads a compiler's figures back to PyTorch's modules by these names (Vela prints them for
# every layer) gives a part of each layer to the first one's activation.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check litert-torch==0.10.0 ai-edge-quantizer==0.10.0 \
    torch==2.13.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(litert-torch|torch) "
cat > "$folder/names.py" <<'PY'
"""Convert three convolutions with a ReLU each, and print which ReLUs each fused convolution is named after."""

import re
import sys

import litert_torch
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn


class Layer(nn.Module):
    def __init__(self, inner, outer):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(inner, outer, 3, padding=1), nn.ReLU()

    def forward(self, x):
        return self.relu(self.conv(x))


network = nn.Sequential(Layer(3, 4), Layer(4, 4), Layer(4, 4), nn.Conv2d(4, 7, 1)).eval()
litert_torch.convert(network, (torch.rand(1, 3, 8, 8),)).export(sys.argv[1])
found = []
for tensor in Interpreter(model_path=sys.argv[1]).get_tensor_details():
    name = tensor["name"]
    if "Conv2d_conv" in name and "ReLU_relu" in name and len(tensor["shape"]) == 4 and tensor["shape"][1] == 8:
        layers = re.findall(r"Layer_(\d)/[^;]*ReLU_relu", name)
        print(f"convolution {len(found)} is named after the ReLUs of the layers", *layers)
        found.append(layers)
sys.exit(found != [["0"], ["1", "0"], ["2", "0"]])
PY
"$folder/venv/bin/python" "$folder/names.py" "$folder/net.tflite" 2> "$folder/log.txt"
