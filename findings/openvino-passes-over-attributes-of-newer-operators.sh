#!/usr/bin/env bash
# openvino 2026.4.1, with onnx 1.23.2.
#
# One would guess: an operator in a version that is newer than the frontend knows is refused, or at least one with an
# attribute that only the newer version has; so are attributes of old versions that a plugin has no form for.
#
# What happens: the ONNX frontend reads such a node as the newest version that it knows, and passes over what it does not
# know. SpaceToDepth of opset 28 with mode="CRD" is computed as DCR; Attention of opset 25 with left_window_size looks back
# without a limit; GRU with layout=1 (batch first, since opset 14) is computed as if the batch were the sequence; Resize
# with antialias=1 (since opset 18) is computed without. Neither convert_model nor compile_model says anything; the shapes
# are right but for the GRU's, whose axes are in another order.
#
# Why it matters: sliding-window language models, batch-first recurrent networks and antialiased downsampling give wrong
# numbers that no error and no shape gives away. What a runtime supports cannot be found out by compiling alone.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 onnx==1.23.2
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(openvino|onnx) "
cat > "$folder/seen.py" <<'PY'
import sys

import numpy as np
import openvino
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

CORE = openvino.Core()
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
DRAWN = np.random.default_rng(0)


def error(title, node, opset, out, held=(), **shapes):
    """The relative error of the first output against onnx's own reference."""
    arrays = {name: DRAWN.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in arrays.items()]
    made = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, out)]
    graph = helper.make_graph([node], "one", ends, made, list(held))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=11)
    (wanted,) = ReferenceEvaluator(model).run(None, arrays)
    run = CORE.compile_model(CORE.read_model(model.SerializeToString()), "CPU", EXACT).create_infer_request()
    run.infer(list(arrays.values()))
    got = run.get_output_tensor(0).data
    found = np.inf if got.shape != wanted.shape else np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
    print(f"{title}: shapes {got.shape} and {wanted.shape}, relative error {found:.1e}")
    return found


depth = {"blocksize": 2}
window = {"is_causal": 1}
gru = {"hidden_size": 4}
qkv = {name: (1, 2, 16, 8) for name in "qkv"}
rnn = {"x": (3, 3, 5), "w": (1, 12, 5), "r": (1, 12, 4)}  # batch and sequence are alike, so that both layouts fit
space, attend, step = ("SpaceToDepth", ["x"], ["y"]), ("Attention", ["q", "k", "v"], ["y"]), ("GRU", ["x", "w", "r"], ["y"])
sizes = [helper.make_tensor("s", TensorProto.INT64, [4], [1, 1, 3, 3])]
shrink = ("Resize", ["x", "", "", "s"], ["y"])
known = [
    error("Resize 18, linear", helper.make_node(*shrink, mode="linear"), 18, (1, 1, 3, 3), sizes, x=(1, 1, 9, 9)),
    error("SpaceToDepth 13", helper.make_node(*space, **depth), 18, (1, 8, 3, 3), x=(1, 2, 6, 6)),
    error("Attention 23, causal", helper.make_node(*attend, **window), 23, (1, 2, 16, 8), **qkv),
    error("GRU 14, layout 0", helper.make_node(*step, **gru), 18, (3, 1, 3, 4), **rnn),
]
smooth = helper.make_node(*shrink, mode="linear", antialias=1)
passed_over = [
    error("Resize 18, linear, antialias 1", smooth, 18, (1, 1, 3, 3), sizes, x=(1, 1, 9, 9)),
    error("SpaceToDepth 28, mode CRD", helper.make_node(*space, mode="CRD", **depth), 28, (1, 8, 3, 3), x=(1, 2, 6, 6)),
    error("Attention 25, window 2", helper.make_node(*attend, left_window_size=2, **window), 25, (1, 2, 16, 8), **qkv),
    error("GRU 14, layout 1", helper.make_node(*step, layout=1, **gru), 18, (3, 3, 1, 4), **rnn),
]
sys.exit(int(max(known) > 1e-4 or min(passed_over) < 1e-2))
PY
"$folder/venv/bin/python" "$folder/seen.py"
