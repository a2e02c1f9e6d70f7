#!/usr/bin/env bash
# torch 2.13.0, onnx 1.23.2, onnx-ir 1.1.0, onnxscript 0.7.2.
#
# One would guess: a network's file holds each of its parameters under its name: as many elements as
# sum(p.numel() for p in network.parameters()), at least before anything is optimized.
#
# What happens: torch.onnx.export(dynamo=True) keeps one of all initializers that hold the same values. In a network that
# is fresh, or partly so, those are all biases of one width (zeros), all scales of norms (ones), zero convolutions and
# LoRA's second matrices. The others' names are gone, and their nodes read the one that is left.
#
# Why it matters: elements in the file are fewer than the network's parameters, by an amount that depends on their
# values: the same architecture, trained, gives another number. Writing new weights into the file by name, a fine-tuned
# checkpoint or an adapter, fails for the names that are gone, and changes every layer that shares the one that is there.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnx-ir==1.1.0 onnxscript==0.7.2 torch==2.13.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnx-ir|onnxscript|torch) "
cat > "$folder/seen.py" <<'PY'
import sys
from math import prod
from pathlib import Path

import onnx
import torch
from torch import nn

path = Path(sys.argv[1]) / "net.onnx"
layer = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True, norm_first=True)
network = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).train(False)


def elements(biases: float) -> tuple[int, int]:
    """Of the biases and norms in the file, and how many there are; random ones, or equal ones."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() == 1:
                parameter.normal_(0, biases).add_(float("norm" in name and name.endswith("weight")))
            else:
                parameter.normal_()
    example = (torch.zeros(1, 8, 64),)
    torch.onnx.export(network, example, path, dynamo=True, external_data=False, verbose=False)
    named = dict(network.named_parameters())
    held = [tensor for tensor in onnx.load(path).graph.initializer if tensor.name in named and len(tensor.dims) == 1]
    return sum(prod(tensor.dims) for tensor in held), len(held)


flat = [parameter for parameter in network.parameters() if parameter.dim() == 1]
right, names = sum(parameter.numel() for parameter in flat), len(flat)
trained, fresh = elements(0.1), elements(0.0)
print(f"biases and scales of norms of the network: {right:,} elements in {names} tensors")
print(f"in its file where they are random:         {trained[0]:,} in {trained[1]}")
print(f"in its file where they are zero and one:   {fresh[0]:,} in {fresh[1]}")
sys.exit((right, names) != trained or fresh != (192 + 64 + 256 + 64, 4))
PY
if ! "$folder/venv/bin/python" -W ignore "$folder/seen.py" "$folder" 2> "$folder/complaints"; then
    cat "$folder/complaints"
    echo "this has changed"
    exit 1
fi
