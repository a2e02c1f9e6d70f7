#!/usr/bin/env bash
# ONNX Runtime 1.32.0 (CPU), onnx 1.23.2.
#
# One would guess: ONNX Runtime's CPU kernel of ai.onnx::Attention takes the masks that opset 24 allows. "The last
# dimension can also be shorter than total_sequence_length and will be padded to total_sequence_length with negative
# infinity", and a mask may broadcast.
#
# What happens: the kernel wants the last dimension to be total_sequence_length and fails when it runs, both for a
# shorter mask and for one of size 1. The checker accepts the model, the session is made, onnx's ReferenceEvaluator
# runs it. A model of onnx's own backend suite (test_attention_4d_diff_heads_mask4d_padded_kv) fails for that.
#
# Why it matters: a mask that covers only the prompt in front of a preallocated cache is what the padding is for.
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


def answers(mask: list[int]) -> tuple[object, object]:
    """The output's shape by onnx, and by ONNX Runtime or its complaint."""
    shapes = {"q": [1, 1, 4, 8], "k": [1, 1, 6, 8], "v": [1, 1, 6, 8], "mask": mask}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 8])
    graph = helper.make_graph([helper.make_node("Attention", list(shapes), ["y"])], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    feeds = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    reference = ReferenceEvaluator(model).run(None, feeds)[0].shape
    try:
        return reference, session.run(None, feeds)[0].shape
    except Exception as reason:
        return reference, str(reason).strip().rpartition("false. ")[2]


whole, short, one = answers([4, 6]), answers([4, 4]), answers([4, 1])
for title, (reference, runtime) in {"(4, 6)": whole, "(4, 4)": short, "(4, 1)": one}.items():
    print(f"mask {title} of 6 keys: onnx {reference}, ONNX Runtime {runtime}")
expected = all("inconsistent" in str(answer[1]) and answer[0] == whole[0] for answer in (short, one))
sys.exit(not (expected and whole[0] == whole[1]))
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
