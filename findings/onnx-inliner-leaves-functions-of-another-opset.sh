#!/usr/bin/env bash
# onnx 1.23.2.
#
# One would guess: after onnx.inliner.inline_local_functions a model has no local functions, or the call says which it
# could not inline.
#
# What happens: a function whose opset import differs from the model's, by as little as 17 against 18, stays where it
# is: no error, no warning, no return value that tells. This holds although its operators (Relu) are the same in both
# opsets. With convert_version=True it is inlined.
#
# Why it matters: jax2onnx and others write functions with imports of their own. Code that inlines to get rid of
# functions goes on with a node of an unknown domain: a profiler counts nothing for it, a converter fails much later.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx) "
cat > "$folder/seen.py" <<'PY'
import sys

import onnx
import onnx.inliner
from onnx import TensorProto, helper


def left(opset: int, **options: bool) -> list[str]:
    """The operators of a model at opset 18 after its function of another opset was inlined."""
    relu = helper.make_node("Relu", ["x"], ["y"])
    function = helper.make_function("my", "F", ["x"], ["y"], [relu], [helper.make_opsetid("", opset)])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("F", ["x"], ["y"], domain="my")], "g", [x], [y])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("my", 1)]
    model = helper.make_model(graph, opset_imports=imports, functions=[function], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return [node.op_type for node in onnx.inliner.inline_local_functions(model, **options).graph.node]


same, other, converted = left(18), left(17), left(17, convert_version=True)
print("function at opset 18:", same, " at 17:", other, " at 17, convert_version=True:", converted)
sys.exit((same, other, converted) != (["Relu"], ["F"], ["Relu"]))
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
