"""Small ONNX files for the tests of loading, counting and flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.scopes import CLASSES_KEY, SCOPES_KEY
from onnxlens.specs.codec import to_text
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.manifest import Manifest, StateTensor, manifest_path_of
from onnxlens.specs.tensor import TensorSpec

IR_VERSION = 10
"""One that every ONNX Runtime of today opens."""

Dims = Sequence[int | str | None]

NET_CLASSES: Mapping[str, str] = {
    "": "Net",
    "stem": "Conv2d",
    "relu": "ReLU",
    "body.0": "Block",
    "body.0.conv": "Conv2d",
    "head": "Linear",
}
"""The modules of ``net`` whose forward runs; ``body`` is only the parent of ``body.0``."""

NET_WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "stem.weight": (4, 3, 3, 3),
    "stem.bias": (4,),
    "body.0.conv.weight": (4, 4, 1, 1),
    "head.weight": (2, 4),
    "head.bias": (2,),
}


def value(name: str, shape: Dims | None, dtype: int = TensorProto.FLOAT) -> ValueInfoProto:
    """A tensor of the graph with its type; None for an unknown rank."""
    return helper.make_tensor_value_info(name, dtype, shape)


def weight(name: str, *shape: int) -> TensorProto:
    """A float32 initializer of zeros."""
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


def integers(name: str, values: Any) -> TensorProto:
    """An int64 initializer."""
    return numpy_helper.from_array(np.array(values, np.int64), name)


def far_weight(name: str, *shape: int) -> TensorProto:
    """A float32 initializer with external data in a file that does not exist."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="absent.onnx.data")
    return tensor


def op(op_type: str, inputs: str, outputs: str, at: str | None = None, **attributes: Any) -> NodeProto:
    """A node over space-separated names (``-`` for one left out), traced in the module ``at``."""
    names = [[name.removeprefix("-") for name in side.split()] for side in (inputs, outputs)]
    node = helper.make_node(op_type, *names, name=f"node_{names[1][0]}", **attributes)
    if at is not None:
        trace_in(node, at)
    return node


def trace_in(node: NodeProto, path: str) -> None:
    """Write the metadata that torch's dynamo exporter writes for a call inside the module at ``path``."""
    calls = [known for known in NET_CLASSES if path == known or path.startswith(f"{known}.") or not known]
    calls = calls if path in calls else [*calls, path]
    classes = [f"package.nets.{NET_CLASSES.get(call, 'Made')}" for call in calls]
    for key, texts in ((SCOPES_KEY, [*calls, "call_1"]), (CLASSES_KEY, [*classes, "aten.call"])):
        node.metadata_props.add(key=key, value=repr(texts))


def save(
    folder: Path,
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Sequence[TensorProto] = (),
    *,
    between: Sequence[ValueInfoProto] = (),
    opsets: Mapping[str, int] | None = None,
) -> Path:
    """Write ``graph.onnx`` without checking it."""
    graph = helper.make_graph(list(nodes), "made", inputs, outputs, list(weights), value_info=list(between))
    imports = [helper.make_opsetid(*pair) for pair in (opsets or {"": 18}).items()]
    path = folder / "graph.onnx"
    model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    path.write_bytes(model.SerializeToString())
    return path


def ledger_of(path: Path) -> tuple[Graph, Ledger]:
    """The file's graph and its ledger."""
    graph = load_graph(path)
    return graph, build_ledger(graph)


def net_nodes() -> list[NodeProto]:
    """A stem, a residual block, a head; the same ReLU after stem and block; all with dynamo metadata."""
    return [
        op("Conv", "x stem.weight stem.bias", "a", "stem", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        op("Relu", "a", "b", "relu"),
        op("Conv", "b body.0.conv.weight", "c", "body.0.conv", kernel_shape=[1, 1]),
        op("Add", "b c", "d", "body.0"),
        op("Relu", "d", "e", "relu"),
        op("GlobalAveragePool", "e", "f", ""),
        op("Flatten", "f", "g", ""),
        op("Gemm", "g head.weight head.bias", "y", "head", transB=1),
    ]


NET_INPUTS = [value("x", (1, 3, 8, 8))]
NET_OUTPUTS = [value("y", (1, 2))]
NET_BETWEEN = [
    *(value(name, (1, 4, 8, 8)) for name in "abcde"),
    value("f", (1, 4, 1, 1)),
    value("g", (1, 4)),
]


def save_net(folder: Path, nodes: Sequence[NodeProto] | None = None) -> Path:
    """The net of ``net_nodes``, or those nodes, with weights that are in no file."""
    weights = [far_weight(name, *shape) for name, shape in NET_WEIGHTS.items()]
    return save(folder, nodes or net_nodes(), NET_INPUTS, NET_OUTPUTS, weights, between=NET_BETWEEN)


def name_like_older_exporter(nodes: Sequence[NodeProto]) -> None:
    """The names that torch's TorchScript exporter gives, instead of metadata; ``body`` is a Sequential."""
    names = (
        "/stem/Conv", "/relu/Relu", "/body/body.0/conv/Conv", "/body/body.0/Add", "/relu_1/Relu",
        "/GlobalAveragePool", "/Flatten", "/head/Gemm",
    )  # fmt: skip
    for node, name in zip(nodes, names, strict=True):
        node.ClearField("metadata_props")
        node.name = name


def write_manifest(onnx_path: Path, *extra: StateTensor) -> Manifest:
    """Our manifest of the net: its ``state_dict``, with ``extra`` entries."""
    tensors = (StateTensor(name, "float32", shape, "parameter") for name, shape in NET_WEIGHTS.items())
    manifest = Manifest(
        graph="net",
        origin="package.nets:net",
        family="user",
        opset=18,
        settings={},
        weights="none",
        has_weights=False,
        inputs=(TensorSpec("x", "float32", (1, 3, 8, 8)),),
        outputs=(TensorSpec("y", "float32", (1, 2)),),
        input_ranges={"x": (-1.0, 1.0)},
        modules={**NET_CLASSES, "body": "ModuleList", "unused": "Linear"},
        tensors=(*tensors, *extra),
    )
    manifest_path_of(onnx_path).write_text(to_text(manifest), encoding="utf-8")
    return manifest


def light_nets() -> Path:
    """The folder of the weightless published networks that the onnx package ships."""
    return Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
