#!/usr/bin/env bash
# onnx 1.23.2.
#
# One would guess: onnx.shape_inference gets through operators that keep the shape of their input, such as those that
# a scikit-learn pipeline starts with.
#
# What happens: Scaler, Normalizer and Imputer of ai.onnx.ml have no shape inference at all: their outputs get not
# even a rank, and neither does anything behind them. Binarizer, as elementwise as they are, has one; so have the tree
# ensembles, but not LinearRegressor and SVMRegressor.
#
# Why it matters: a pipeline that starts with StandardScaler has no shapes from its first node on, with the input's
# shape given in full. Tools that rely on inferred shapes know nothing of the whole model.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx) "
cat > "$folder/seen.py" <<'PY'
import sys

import onnx
from onnx import TensorProto, helper

OPERATORS = {
    "Scaler": {"offset": [0.0], "scale": [1.0]},
    "Normalizer": {},
    "Imputer": {"imputed_value_floats": [0.0]},
    "LinearRegressor": {"coefficients": [1.0] * 4, "intercepts": [0.0], "targets": 1},
    "Binarizer": {},
    "TreeEnsembleRegressor": {"n_targets": 1},
}


def inferred(op_type: str) -> list[int] | None:
    """The shape of the operator's output for an input of (2, 4); None without a rank."""
    node = helper.make_node(op_type, ["x"], ["y"], domain="ai.onnx.ml", **OPERATORS[op_type])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])
    graph = helper.make_graph([node], "g", [x], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=imports, ir_version=9))
    tensor = model.graph.output[0].type.tensor_type
    return [dim.dim_value for dim in tensor.shape.dim] if tensor.HasField("shape") else None


found = {op_type: inferred(op_type) for op_type in OPERATORS}
print(found)
sys.exit([*found.values()] != [None] * 4 + [[2, 4], [2, 1]])
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
