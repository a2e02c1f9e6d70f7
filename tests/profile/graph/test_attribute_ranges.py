"""Numbers that no attribute may be: refused in one line that names the node, as ONNX Runtime does, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from onnxlens.errors import GraphError
from onnxlens.profile.graph.loading import load_graph

IMAGE, KERNEL = (1, 4, 8, 8), (4, 4, 3, 3)


def file_of(folder: Path, op_type: str, attributes: dict[str, Any], opset: int = 18) -> Path:
    """One node, of an image, and of a kernel if it is a convolution; the file says what its output is."""
    inputs = {"x": IMAGE, "w": KERNEL} if "Conv" in op_type else {"x": IMAGE}
    node = helper.make_node(op_type, [*inputs], ["y"], "it", **attributes)
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, IMAGE)
    graph = helper.make_graph([node], "g", given, [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


OUT_OF_RANGE = [
    ("Conv", {"strides": [-1, -1]}, "strides"),
    ("Conv", {"dilations": [0, 1]}, "dilations"),
    ("Conv", {"kernel_shape": [-3, -3]}, "kernel_shape"),
    ("Conv", {"group": 0}, "group"),
    ("Conv", {"group": -4}, "group"),
    ("Conv", {"pads": [1, 1, -1, -1]}, "pads"),
    ("ConvTranspose", {"output_padding": [-1, -1]}, "output_padding"),
    ("MaxPool", {"kernel_shape": [0, 0]}, "kernel_shape"),
    ("AveragePool", {"kernel_shape": [-2, -2]}, "kernel_shape"),
    ("LRN", {"size": -3}, "size"),
    ("DepthToSpace", {"blocksize": -2}, "blocksize"),
    ("SpaceToDepth", {"blocksize": 0}, "blocksize"),
    ("Split", {"num_outputs": -1}, "num_outputs"),
    ("Softmax", {"axis": 4}, "axis 4"),
    ("Softmax", {"axis": -5}, "axis -5"),
    ("Flatten", {"axis": 5}, "axis 5"),
    ("ArgMax", {"axis": 9}, "axis 9"),
]


@pytest.mark.parametrize(("op_type", "attributes", "named"), OUT_OF_RANGE)
def test_what_no_network_has_is_refused_by_name(
    tmp_path: Path, op_type: str, attributes: dict[str, Any], named: str
) -> None:
    path = file_of(tmp_path, op_type, attributes)
    with pytest.raises(GraphError) as raised:
        load_graph(path)
    message = str(raised.value)
    assert f"the {op_type} " in message and named in message and "\n" not in message
    session = onnxruntime.SessionOptions()
    session.log_severity_level = 4
    with pytest.raises(Exception):  # noqa: B017, PT011 - each of its own type
        onnxruntime.InferenceSession(path, session, ["CPUExecutionProvider"]).run(
            None, {name: onnx.numpy_helper.to_array(zeros(name)) for name in ("x",)}
        )


def zeros(name: str) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, IMAGE, [0.0] * 256)


@pytest.mark.parametrize(
    ("op_type", "attributes", "opset"),
    [
        ("Pad", {"pads": [0, 0, -1, -1, 0, 0, -1, -1]}, 2),  # crops
        ("Flatten", {"axis": 4}, 18),
        ("Softmax", {"axis": -4}, 18),
    ],
)
def test_the_ends_of_the_ranges_are_read(
    tmp_path: Path, op_type: str, attributes: dict[str, Any], opset: int
) -> None:
    assert load_graph(file_of(tmp_path, op_type, attributes, opset)).nodes


def test_an_opset_below_1_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"imports the opset -1 of 'ai\.onnx'"):
        load_graph(file_of(tmp_path, "Relu", {}, -1))
