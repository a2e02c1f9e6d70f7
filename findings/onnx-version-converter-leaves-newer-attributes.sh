#!/usr/bin/env bash
# onnx 1.23.2.
#
# One would guess: a model that onnx.version_converter has brought down to an older opset is valid there, and a node
# whose attribute stands at its default is converted like one that leaves the attribute out.
#
# What happens: from opset 18 to 17, ReduceMean gets its axes as an attribute, as it should, but a written
# noop_with_empty_axes = 0 stays, which ReduceMean has only since 18: onnx's own checker refuses the result. Left out,
# it works. The metadata of all nodes are gone as well. Split with num_outputs, Pad and Resize have no way down at all,
# although the older operators accept such nodes as they are.
#
# Why it matters: torch's exporter writes noop_with_empty_axes, Split with num_outputs and the module paths of nodes in
# their metadata, so its models come down invalid, not at all, or without a word of which module a node is of.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx) "
cat > "$folder/seen.py" <<'PY'
import sys

import onnx
from onnx import TensorProto, helper, version_converter


def lowered(operator: str, outputs: int, **attributes: int) -> str:
    """What becomes of one node at opset 17: valid, invalid, or no way; and how many metadata are left."""
    inputs = ["x", "axes"] if operator == "ReduceMean" else ["x"]
    names = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(operator, inputs, names, name="n", **attributes)
    node.metadata_props.add(key="scope", value="encoder")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 4 // outputs]) for name in names]
    if operator == "ReduceMean":
        results = [helper.make_tensor_value_info("y0", TensorProto.FLOAT, [2, 1])]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    graph = helper.make_graph([node], "g", [x], results, [axes] if operator == "ReduceMean" else [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    try:
        older = version_converter.convert_version(model, 17)
    except RuntimeError:
        return "no way"
    metadata = len(older.graph.node[0].metadata_props)
    try:
        onnx.checker.check_model(older, full_check=True)
    except onnx.checker.ValidationError:
        return f"invalid, {metadata} metadata"
    return f"valid, {metadata} metadata"


found = [
    lowered("ReduceMean", 1),
    lowered("ReduceMean", 1, noop_with_empty_axes=0),
    lowered("Split", 2, axis=1, num_outputs=2),
]
print(found)
sys.exit(found != ["valid, 0 metadata", "invalid, 0 metadata", "no way"])
PY
if ! "$folder/venv/bin/python" "$folder/seen.py"; then
    echo "this has changed"
    exit 1
fi
