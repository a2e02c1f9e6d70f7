"""The ONNX file on disk, parsed without its external weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import inliner

from onnxlens.errors import GraphError, first_line
from onnxlens.profile.graph.loading.file_kind import kind_of
from onnxlens.profile.graph.loading.functions import write_out_functions
from onnxlens.profile.graph.loading.inference.child import Limits, in_child
from onnxlens.profile.graph.loading.mapped import read_without_weights
from onnxlens.profile.graph.loading.protobuf import VERSION_MARK, all_graphs, subgraphs
from onnxlens.profile.graph.loading.sorting import sort_nodes

MODIFIED = ("ai.onnx.preview", "FlexAttention")


def read_model(path: Path, *, to_write: bool = True) -> onnx.ModelProto:
    """The model in the file, its functions written out where they are called, its nodes sorted.

    They are its own ones, and FlexAttention where a graph of its own changes its scores: what that computes
    is then among the nodes of the function body.

    Parsing the message alone leaves external data where it is, present or not.

    Args:
        path: of the file.
        to_write: whether a file is made of it. Else its nodes may stay out of order, its operators may be of
            several opsets, as those of no file can, and the weights in a large file are not read.

    Raises:
        GraphError: there is no such file, it holds no ONNX graph, or one that has to be of several opsets.
    """
    model = _parsed(path, with_weights=to_write)
    if not model.graph.node:
        raise GraphError(f"{path}: the graph has no nodes; is it an ONNX model?")
    try:
        if model.functions:
            write_out_functions(model)
        if to_write:
            sort_nodes(model.graph)
        if _has_modifiers(model):
            work = partial(_inlined, model)
            limits = Limits.for_graph(len(model.graph.node), model.ByteSize())
            model = onnx.ModelProto.FromString(in_child(work, limits))
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from error
    except Exception as error:  # the library's, in a process of its own
        raise GraphError(f"{path}: its functions cannot be written out: {first_line(error)}") from error
    other = [opset.domain for opset in model.opset_import if VERSION_MARK in opset.domain]
    if other and to_write:
        named = ", ".join(domain.replace(VERSION_MARK, " ") for domain in sorted(other))
        raise GraphError(
            f"{path}: its functions use operators of {named} beside those of its own opset, which "
            "no graph can; convert them to one opset first"
        )
    return model


def _inlined(model: onnx.ModelProto) -> bytes:
    return inliner.inline_selected_functions(
        model, [MODIFIED], inline_schema_functions=True
    ).SerializeToString()


def _has_modifiers(model: onnx.ModelProto) -> bool:
    """Whether a graph changes the scores or the probabilities of a FlexAttention."""
    if all(opset.domain != MODIFIED[0] for opset in model.opset_import):
        return False
    nodes = (node for _, graph in all_graphs(model.graph) for node in graph.node)
    return any((node.domain, node.op_type) == MODIFIED and any(subgraphs(node)) for node in nodes)


def _parsed(path: Path, *, with_weights: bool) -> onnx.ModelProto:
    if path.is_dir():
        raise GraphError(f"{path}: is a folder; give the .onnx file in it")
    if path.exists() and not path.is_file():
        raise GraphError(f"{path}: is a pipe or a device; give an .onnx file")
    if not path.is_file():
        raise GraphError(
            f"{path}: no such file; give an .onnx file or a graph of the catalog ('onnxlens graphs')"
        )
    if path.stat().st_size == 0:
        raise GraphError(f"{path}: the file is empty; export or download it again")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes() if with_weights else read_without_weights(path))
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
