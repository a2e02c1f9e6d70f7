#!/usr/bin/env bash
# torch 2.13.0 (CPU build), FakeTensorMode and saved_tensors_hooks.
#
# One would guess: a network run on fake tensors keeps for its backward pass tensors of the same sizes as in a real
# run, so that the memory of a training step can be planned without having it.
#
# What happens: for most operators it does, to the byte. An LSTM is on a CPU one operator of oneDNN,
# mkldnn_rnn_layer, whose fourth result is the workspace that its gradients read: 28 KiB for 5 steps of 3 samples of
# 8 features. Its fake form returns a workspace of no elements.
#
# Why it matters: planners that sum what autograd keeps on fake tensors have a training LSTM's memory a factor of
# twenty too low, and nothing says so.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 "numpy>=2,<3"
cat > "$folder/seen.py" <<'PY'
import sys
from contextlib import nullcontext

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks


def kept(layer: type[torch.nn.Module], fake: bool) -> int:
    """Bytes of what autograd keeps, each memory once, without the parameters."""
    with FakeTensorMode() if fake else nullcontext():
        module, x = layer(8, 8), torch.rand(5, 3, 8)
        own = {each.untyped_storage()._cdata for each in module.parameters()}
        found, held = {}, []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            memory = tensor.untyped_storage()
            held.append(memory)
            found[memory._cdata] = memory.nbytes()
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            module(x)
    return sum(size for memory, size in found.items() if memory not in own)


print("torch", torch.__version__)
seen = {}
for layer in (torch.nn.GRU, torch.nn.LSTM):
    seen[layer.__name__] = real, fake = kept(layer, False), kept(layer, True)
    print(f"{layer.__name__}: {real:,} bytes kept in truth, {fake:,} on fake tensors")
sys.exit(seen["GRU"][0] != seen["GRU"][1] or seen["LSTM"][0] < 10 * seen["LSTM"][1])
PY
if ! "$folder/venv/bin/python" -W ignore "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
