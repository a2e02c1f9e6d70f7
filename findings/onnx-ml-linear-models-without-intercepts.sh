#!/usr/bin/env bash
# onnx 1.23.2, ONNX Runtime 1.32.0 (CPU).
#
# One would guess: LinearRegressor and LinearClassifier (ai.onnx.ml) without `intercepts`, which the specification
# makes optional, add nothing, and every runtime agrees on that.
#
# What happens: three answers for one kind of model. ONNX Runtime runs the regressor and adds nothing, but refuses the
# classifier ("intercepts must not be empty"). onnx's ReferenceEvaluator runs both and returns NaN for every score,
# without a warning. onnx's shape inference gives the classifier's scores 0 columns.
#
# Why it matters: the reference evaluator is what converters are tested against; a NaN from it looks like a fault of
# the model. Who writes such files has to write zeros.
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
import onnxruntime as ort
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

x = np.ones((1, 3), np.float32)


def columns_inferred() -> int:
    """Of the scores of a classifier of two classes and three features."""
    attributes = {"coefficients": [1.0, 2.0, 3.0, 3.0, 2.0, 1.0], "classlabels_ints": [0, 1]}
    node = helper.make_node("LinearClassifier", ["x"], ["label", "y"], domain="ai.onnx.ml", **attributes)
    ends = [helper.make_tensor_value_info("x", 1, [1, 3]), onnx.ValueInfoProto(name="y")]
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=imports)
    return onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim[1].dim_value


def scores(op_type: str, outputs: list[str], columns: int, **attributes: object) -> tuple[object, object]:
    """By ONNX Runtime, or its complaint; and by onnx."""
    node = helper.make_node(op_type, ["x"], outputs, domain="ai.onnx.ml", **attributes)
    ends = [helper.make_tensor_value_info(*end) for end in (("x", 1, [1, 3]), ("y", 1, [1, columns]))]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    reference = ReferenceEvaluator(model).run(None, {"x": x})[0].tolist()
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, {"x": x})[0].tolist(), reference
    except Exception as reason:
        return str(reason).strip().rpartition("LinearClassifier: ")[2], reference


schema = onnx.defs.get_schema("LinearClassifier", 3, "ai.onnx.ml").attributes
print("intercepts required by the schema:", schema["intercepts"].required)
regressor = scores("LinearRegressor", ["y"], 1, coefficients=[1.0, 2.0, 3.0], targets=1)
classifier = scores(
    "LinearClassifier", ["label", "y"], 2, coefficients=[1.0, 2.0, 3.0, 3.0, 2.0, 1.0], classlabels_ints=[0, 1]
)
print("regressor:  ONNX Runtime", regressor[0], " onnx", regressor[1])
print("classifier: ONNX Runtime", classifier[0], " onnx", classifier[1])
print("columns of the classifier's scores by shape inference:", columns_inferred())
as_seen = columns_inferred() == 0 and regressor[0] == [[6.0]] and "must not be empty" in str(classifier[0])
sys.exit(not (as_seen and np.isnan([*regressor[1][0], *classifier[1][0]]).all()))
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
