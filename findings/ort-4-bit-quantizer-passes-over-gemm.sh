#!/usr/bin/env bash
# onnxruntime 1.32.0, onnx 1.23.2, onnx-ir 1.1.0, onnxscript 0.7.2, torch 2.13.0.
#
# One would guess: the 4-bit weight quantizer (MatMulNBitsQuantizer) packs the weight of every linear layer, whichever
# of its two spellings, MatMul and Add or Gemm, the exporter chose; or says what it left.
#
# What happens: it looks at MatMul alone. Torch's exporter writes Gemm where a layer's input has two dimensions: all
# layers of GPT-2, both of OPT's MLP, any network fed (tokens, width). Of these nothing is packed, nothing is raised, and
# the saved file has the size of the float one. A head whose weight is the transposed table of embeddings is left, too,
# as its weight is a node's output.
#
# Why it matters: "int4" in a file's name says nothing of its weights. A plan for memory or bandwidth made from the name
# is wrong by up to 7 times, and a step of decoding is bound by float weights.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 onnx-ir==1.1.0 \
    onnxscript==0.7.2 torch==2.13.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnx-ir|onnxruntime|onnxscript|torch) "
cat > "$folder/seen.py" <<'PY'
import logging
import sys
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from torch import nn

logging.disable(logging.INFO)
folder = Path(sys.argv[1])
torch.manual_seed(0)
network = nn.Sequential(nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256)).eval()


def quantized(shape: tuple[int, ...]) -> tuple[list[str], int]:
    """The products of the network for inputs of this shape once it is quantized, and the file's bytes."""
    path, packed = folder / "floats.onnx", folder / "packed.onnx"
    example = (torch.zeros(shape),)
    torch.onnx.export(network, example, path, dynamo=True, external_data=False, verbose=False)
    quantizer = MatMulNBitsQuantizer(onnx.load(path), block_size=32, is_symmetric=True)
    quantizer.process()
    quantizer.model.save_model_to_file(str(packed), use_external_data_format=False)
    products = [node.op_type for node in onnx.load(packed).graph.node if node.op_type[:2] in ("Ge", "Ma")]
    return [name for name in products if name != "Gelu"], packed.stat().st_size


three, two = quantized((1, 8, 256)), quantized((8, 256))
print("input (1, 8, 256):", *three[0], f"- a file of {three[1]:,} bytes")
print("input (8, 256):   ", *two[0], f"- a file of {two[1]:,} bytes")
sys.exit(three[0] != ["MatMulNBits"] * 2 or two[0] != ["Gemm"] * 2 or two[1] < 6 * three[1])
PY
if ! "$folder/venv/bin/python" -W ignore "$folder/seen.py" "$folder" 2> "$folder/complaints"; then
    cat "$folder/complaints"
    echo "this has changed"
    exit 1
fi
