#!/usr/bin/env bash
# onnx 1.23.2, ONNX Runtime 1.32.0 (CPU).
#
# One would guess: inlining a model's local functions does not change what the model computes. An attribute that a
# call leaves out takes the default that the function declares (FunctionProto.attribute_proto).
#
# What happens: onnx.inliner.inline_local_functions drops such an attribute. The operator inside the function then
# falls back to its own default, without an error or a warning: LeakyRelu takes alpha = 0.01 where the function says
# 0.5. ONNX Runtime runs the model as it is with 0.5. onnx's own ReferenceEvaluator raises a TypeError on it.
#
# Why it matters: the inlined model passes the checker and gives other numbers. With `group`, `strides` or `axis` in
# place of alpha it has other shapes and another cost, so that profilers and compilers that inline first are wrong
# without a sign.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 "numpy>=2,<3"
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnxruntime|numpy) "
cat > "$folder/seen.py" <<'PY'
import sys

import numpy as np
import onnx
import onnx.inliner
import onnxruntime as ort
from onnx import TensorProto, helper

leaky = helper.make_node("LeakyRelu", ["x"], ["y"])
leaky.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
opsets = [helper.make_opsetid("", 18)]
function = helper.make_function(
    "my", "Leaky", ["x"], ["y"], [leaky], opsets, attribute_protos=[helper.make_attribute("slope", 0.5)]
)
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
graph = helper.make_graph([helper.make_node("Leaky", ["x"], ["y"], domain="my")], "g", [x], [y])
imports = [*opsets, helper.make_opsetid("my", 1)]
model = helper.make_model(graph, opset_imports=imports, functions=[function], ir_version=9)
onnx.checker.check_model(model, full_check=True)
inlined = onnx.inliner.inline_local_functions(model)
onnx.checker.check_model(inlined, full_check=True)


def run(model: onnx.ModelProto) -> list[float]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.array([-1, 1], np.float32)})[0].astype(float).round(4).tolist()


print("Leaky(-1, 1) with a default slope of 0.5:", run(model))
print("after inline_local_functions:            ", run(inlined))
sys.exit(run(model) != [-0.5, 1] or run(inlined) != [-0.01, 1])
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
