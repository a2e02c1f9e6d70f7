#!/usr/bin/env bash
# litert-torch 0.10.0, torch 2.13.0, ai-edge-litert 2.3.0.
#
# One would guess: the name of a layer in a TFLite file from litert-torch, whose parts are PyTorch's module paths, names
# the modules that were fused into it. A profile or an NPU's report by layer (Vela's) is then led back to PyTorch by it.
#
# What happens: it names modules of other layers too, even of the far end of the network. Constants that are equal, such as
# the zero shift of a batch norm or a zero bias, are merged, and the name of the first module that had the value stays in the
# names of all layers that use it: the second and the third convolution below name the first one's batch norm.
#
# Why it matters: whoever splits a layer's cycles over the modules in its name gives parts of all layers to the first ones; whoever
# takes the deepest module that they have in common gets the whole model. The operator and its MACs tell which module it is.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python="${LITERT_TORCH_PYTHON:-}"  # of an environment that has it: the packages are 2 GB
if [ -z "$python" ]; then
    python3 -m venv "$folder/venv"
    python="$folder/venv/bin/python"
    "$python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 litert-torch==0.10.0 ai-edge-litert==2.3.0
fi
"$python" -m pip list --disable-pip-version-check 2>/dev/null | grep -E "^(ai-edge-litert|litert-torch|torch) "
cat > "$folder/seen.py" <<'PY'
import re
import sys

import litert_torch
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn


class Stage(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = Stage(3), Stage(8), Stage(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(self.second(self.first(x)))


torch.manual_seed(0)
litert_torch.convert(Net().eval(), (torch.randn(1, 3, 8, 8),)).export(sys.argv[1])
interpreter = Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
names = {each["index"]: each["name"] for each in interpreter.get_tensor_details()}
found = []
for operator in interpreter._get_ops_details():
    if operator["op_name"] == "CONV_2D":
        stages = re.findall(r"Stage_(\w+?)/[\w.]*?(\w+)(?:;|$)", names[int(operator["outputs"][0])])
        found.append(sorted({stage for stage, _ in stages}))
        print("a convolution's name has", ", ".join(f"{stage}.{part}" for stage, part in stages))
sys.exit(found != [["first"], ["first", "second"], ["first", "third"]])
PY
if ! "$python" -W ignore "$folder/seen.py" "$folder/net.tflite" > "$folder/log" 2>&1; then
    tail -n 5 "$folder/log"
    echo "this has changed"
    exit 1
fi
grep convolution "$folder/log"
