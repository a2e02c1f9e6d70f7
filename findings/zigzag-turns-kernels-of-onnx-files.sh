#!/usr/bin/env bash
# zigzag-dse 3.9.1, with onnx 1.23.2.
#
# One would guess: ZigZag reads a convolution's kernel_shape, strides, dilations and pads from an ONNX file as ONNX has them:
# height first, then width. A 1 x 7 kernel slides along the width.
#
# What happens: its reader gives the first number to FX and ix, along the width, and the second to FY and iy, while the output's
# height and width go to OY and OX rightly. A 1 x 7 kernel becomes 7 x 1 on the same output: the MACs are the same, but the
# input that the layer is said to read is another (80 of the 128 elements of this layer), and with it traffic, energy and
# cycles. With square kernels and even strides nothing is wrong.
#
# Why it matters: networks with separable 1 x n and n x 1 kernels (Inception, text and line detectors, audio) get the costs of the
# other kernel, and nothing tells. The same layer written as ZigZag's own YAML, with FX = 7, is right.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zigzag-dse==3.9.1 six onnx==1.23.2
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(zigzag-dse|onnx) "
cat > "$folder/seen.py" <<'PY'
import logging
import sys
import warnings
from pathlib import Path

import zigzag
from onnx import TensorProto, helper
from zigzag.parser.onnx.onnx_model_parser import ONNXModelParser

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
kernel, pads = [1, 7], [0] * 4
node = helper.make_node(
    "Conv", ["x", "w"], ["y"], "row", kernel_shape=kernel, pads=pads, strides=[1, 1], dilations=[1, 1], group=1
)
sizes = {"x": [1, 1, 8, 16], "w": [1, 1, *kernel], "y": [1, 1, 8, 10]}
ends = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items()}
graph = helper.make_graph([node], "one", [ends["x"], ends["w"]], [ends["y"]])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
mapping = Path(zigzag.__file__).parent / "inputs" / "mapping" / "tpu_like.yaml"
(layer,) = ONNXModelParser(model, str(mapping)).run().topological_sort()
loops = {str(name): size for name, size in layer.layer_dim_sizes.items()}
held = {str(name): size for name, size in layer.operand_size_elem.items()}
print(f"kernel 1 x 7, output 8 x 10: OY {loops['OY']}, OX {loops['OX']}, FY {loops['FY']}, FX {loops['FX']}")
print(f"input: {held['I']} elements; the convolution reads all {8 * 16}")
sys.exit((loops["FY"], loops["FX"], held["I"]) != (7, 1, 80))
PY
"$folder/venv/bin/python" "$folder/seen.py"
