#!/usr/bin/env bash
# torch 2.13.0 (CPU), onnx 1.23.2, onnxscript 0.7.
#
# One would guess: the metadata that torch.onnx.export(dynamo=True) leaves on each node (pkg.torch.onnx.name_scopes,
# class_hierarchy) names the module that the node comes from: a Conv node the Conv2d.
#
# What happens: in eval mode the exporter folds BatchNorm2d into the convolution before it, and the Conv node that is
# left has the metadata of the BatchNorm2d. Of the Conv2d no node is left, although its name stands in that of the
# weight.
#
# Why it matters: in every network of Conv and BatchNorm (ResNet, MobileNet, YOLO) a table of cost by module puts all
# convolutions at the normalizations, and has no row for the convolutions.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 onnx==1.23.2 "onnxscript>=0.7,<0.8" "numpy>=2,<3"
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(torch|onnx|onnxscript) "
cat > "$folder/seen.py" <<'PY'
import logging
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
import torch


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x))


program = torch.onnx.export(Block().eval(), (torch.zeros(1, 3, 8, 8),), dynamo=True, verbose=False)
(node,) = program.model_proto.graph.node
scopes = {entry.key: entry.value for entry in node.metadata_props}["pkg.torch.onnx.name_scopes"]
print(node.op_type, "with the weight", node.input[1], "is said to be of", scopes)
sys.exit(node.op_type != "Conv" or "'bn'" not in scopes or "'conv'" in scopes)
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
