"""A graph as other tools want it: one file at fixed sizes, its weights inside, every node named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx

from onnxlens.errors import UsageError
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.graph.loading.protobuf import label_of
from onnxlens.profile.subgraph.extractor import typed
from onnxlens.profile.subgraph.weight_files import (
    ONE_FILE_BYTES,
    from_folder,
    stored_bytes,
    write_with_weights,
)
from onnxlens.specs.manifest import data_path_of

Change = Callable[[onnx.ModelProto], onnx.ModelProto]


def write_one_file(
    path: Path, graph: Graph, out: Path, producer: str = "", change: Change | None = None
) -> Path:
    """Write the graph in ``path`` as ``out``, at the sizes of ``graph``.

    Args:
        path: of the file, whose weights may be beside it.
        graph: the same, loaded: types and shapes of all values are written as it knows them.
        out: the new file.
        producer: the name that the file says it is produced by; "" for that of the file.
        change: what is done to the graph in between, while its weights are not read.

    Raises:
        UsageError: it would be larger than a protobuf can be.
        CheckpointError: the weights cannot be read.
    """
    return save_whole(prepared(path, graph, producer, change), path, out)


def save_whole(model: onnx.ModelProto, path: Path, out: Path) -> Path:
    """Write the model as ``out`` with its weights inside, which are beside the file ``path`` if external.

    Raises:
        UsageError: it would be larger than a protobuf can be.
        CheckpointError: the weights cannot be read.
    """
    if (size := stored_bytes(model)) > ONE_FILE_BYTES:
        raise UsageError(
            f"{path}: has {size / 2**30:.1f} GiB, more than the 2 GiB of one file; "
            "take a smaller graph, or one module of it ('onnxlens extract')"
        )
    write_with_weights(model, out, data_path_of(out), from_folder(path.parent))
    return out


def prepared(path: Path, graph: Graph, producer: str = "", change: Change | None = None) -> onnx.ModelProto:
    """The same as a model; weights that are in a data file are still referenced there."""
    model = read_model(path)
    for node in model.graph.node:
        node.name = label_of(node)
    _write_types(model.graph, graph)
    model.producer_name = producer or model.producer_name
    return model if change is None else change(model)


def _write_types(proto: onnx.GraphProto, graph: Graph) -> None:
    """Put what is known of all values in the place of what the file says."""
    views = (value for node in graph.nodes for value in node.view.outputs if value is not None)
    known = {view.name: view.spec for view in views if view.kind == "tensor" and view.dtype}
    known |= {spec.name: spec for spec in graph.inputs}
    known = {name: spec for name, spec in known.items() if spec.elements is not None}
    ends = {value.name: value for value in (*proto.input, *proto.output)}
    for name, value in ends.items():
        if name in known and value.type.WhichOneof("value") in (None, "tensor_type"):
            value.CopyFrom(typed(name, known[name].dtype, known[name].shape))
    between = [name for node in proto.node for name in node.output if name in known and name not in ends]
    del proto.value_info[:]
    proto.value_info.extend(typed(name, known[name].dtype, known[name].shape) for name in between)
