"""The ONNX file on disk, parsed without its external weights."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import inliner

from onnxlens.errors import GraphError, first_line
from onnxlens.profile.graph.loading.file_kind import kind_of
from onnxlens.profile.graph.loading.protobuf import all_graphs, subgraphs

MODIFIED = ("ai.onnx.preview", "FlexAttention")


def read_model(path: Path) -> onnx.ModelProto:
    """The model in the file, its functions written out where they are called.

    They are its own ones, and FlexAttention where a graph of its own changes its scores: what that computes
    is then among the nodes of the function body.

    Parsing the message alone leaves external data where it is, present or not.

    Raises:
        GraphError: there is no such file, or it holds no ONNX graph.
    """
    model = _parsed(path)
    if not model.graph.node:
        raise GraphError(f"{path}: the graph has no nodes; is it an ONNX model?")
    try:
        if model.functions:
            model = inliner.inline_local_functions(model)
        if _has_modifiers(model):
            model = inliner.inline_selected_functions(model, [MODIFIED], inline_schema_functions=True)
        return model
    except Exception as error:  # the C++ library raises RuntimeError and others
        raise GraphError(f"{path}: its functions cannot be written out: {first_line(error)}") from error


def _has_modifiers(model: onnx.ModelProto) -> bool:
    """Whether a graph changes the scores or the probabilities of a FlexAttention."""
    if all(opset.domain != MODIFIED[0] for opset in model.opset_import):
        return False
    nodes = (node for _, graph in all_graphs(model.graph) for node in graph.node)
    return any((node.domain, node.op_type) == MODIFIED and any(subgraphs(node)) for node in nodes)


def _parsed(path: Path) -> onnx.ModelProto:
    if path.is_dir():
        raise GraphError(f"{path}: is a folder; give the .onnx file in it")
    if not path.is_file():
        raise GraphError(
            f"{path}: no such file; give an .onnx file or a graph of the catalog ('onnxlens graphs')"
        )
    if path.stat().st_size == 0:
        raise GraphError(f"{path}: the file is empty; export or download it again")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, ValueError, TypeError) as error:
        raise GraphError(f"{path}: {_not_onnx(path, first_line(error))}") from error
    except OSError as error:
        raise GraphError(f"{path}: cannot be read: {first_line(error)}") from error
    if not model.HasField("graph"):
        raise GraphError(f"{path}: {_not_onnx(path, 'it holds no graph')}")
    return model


def _not_onnx(path: Path, why: str) -> str:
    with path.open("rb") as file:
        kind = kind_of(file.read(64), path.stat().st_size)
    return f"not an ONNX file ({why}); {f'it is {kind}' if kind else 'expected a serialised ModelProto'}"
