"""Completing the types that a file leaves out, by the libraries that know how: never by a guess.

Three of them, each where the one before leaves something open: ONNX's shape inference with data propagation;
constant folding, which finds the values of shapes that are computed; ONNX Runtime's symbolic shape inference,
which knows some of ONNX Runtime's own operators. All three run on a skeleton of the model, in which operators
of ONNX stand in for ONNX Runtime's where they have the same types (``surrogates``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import shape_inference

from onnxlens.errors import first_line
from onnxlens.profile.graph.loading.protobuf import FileGraph, all_graphs
from onnxlens.profile.graph.loading.value_types import SURROGATE_MARK, UNKNOWN, ValueType, declared_types

SLOW_INFERENCE_NODES = 20_000
"""Beyond this many nodes only ONNX's own inference runs: the other two take a millisecond for each."""


FOLDING_ROUNDS = 8
"""Each round sees one more shape that is computed from another; models need two or three."""


@dataclass(slots=True)
class Inference:
    """What is known of a model's values, by unique name.

    Attributes:
        types: what the file declares, completed.
        constants: small values that were found by folding.
        notes: which library found what, and which failed.
        learned: how many shapes, or numbers of shapes, were inferred.
        nested: whether nodes of the model contain graphs.
    """

    types: dict[str, ValueType]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    learned: int = 0
    nested: bool = False


def complete_types(model: onnx.ModelProto, graph: FileGraph) -> Inference:
    """The types of all values: declared, else inferred, else unknown."""
    declared = declared_types((inner.prefix, inner.proto, inner.constants()) for inner in graph.all())
    found = Inference(declared, nested=bool(graph.inner))
    if not _open(graph, found):
        return found
    from onnxlens.profile.graph.loading.inference.skeleton import without_weights

    skeleton = without_weights(model, graph)
    nodes = sum(len(inner.nodes) for inner in graph.all())
    for name, step in STEPS.items():
        if nodes > SLOW_INFERENCE_NODES and step is not _infer:
            found.notes.append(f"{name} was not tried: the file has more than {SLOW_INFERENCE_NODES:,} nodes")
            break
        before = found.learned
        try:
            skeleton = step(skeleton, found)
        except Exception as error:  # whatever a library raises at a graph that it does not understand
            found.notes.append(f"{name} failed: {first_line(error)}")
        if found.learned > before:
            found.notes.append(f"shapes that the file leaves out were inferred by {name}")
        if not _open(graph, found):
            break
    return found


def _open(graph: FileGraph, found: Inference) -> bool:
    """Whether a library may find more: a type, or a number for a dimension that is not an input's symbol."""
    symbols = {
        dim
        for value in graph.proto.input
        for dim in found.types[value.name].shape or ()
        if isinstance(dim, str)
    } - {"?"}
    closed: set[int] = set()  # the ids of types that are shared by many values
    for inner in graph.all():
        prefix = inner.prefix
        for node in inner.nodes:
            for name in node.outputs:
                known = found.types.get(prefix + name if prefix else name, UNKNOWN)
                if id(known) not in closed and name:
                    if _is_open(known, symbols):
                        return True
                    closed.add(id(known))
            if node.op_type == "Loop" and node.inputs[0] and not _is_held(inner, node.inputs[0], found):
                return True
    return False


def _is_open(known: ValueType, symbols: set[str]) -> bool:
    if known.kind != "tensor":
        return False
    return known.shape is None or any(isinstance(dim, str) and dim not in symbols for dim in known.shape)


def _is_held(graph: FileGraph, name: str, found: Inference) -> bool:
    """Whether the value is in the file, or was computed."""
    held = any(tensor.name == name for tensor in graph.proto.initializer)
    constant = any(name in node.output for node in graph.constants())
    return held or constant or graph.prefix + name in found.constants


def _infer(skeleton: onnx.ModelProto, found: Inference) -> onnx.ModelProto:
    inferred = shape_inference.infer_shapes(skeleton, data_prop=True)
    _learn(inferred, found)
    return inferred


def _fold(skeleton: onnx.ModelProto, found: Inference) -> onnx.ModelProto:
    """What is computed from shapes and constants alone becomes a constant; then shapes follow from it.

    A shape that follows may make the next shape's value known: so again, until nothing is new.
    """
    from onnxlens.profile.graph.loading.inference.folding import fold
    from onnxlens.profile.graph.loading.inference.skeleton import with_constants

    for _ in range(FOLDING_ROUNDS):
        folded = fold(skeleton, found.types)
        new = {name: value for name, value in folded.items() if name not in found.constants}
        if not new:
            break
        found.constants.update(new)
        skeleton = _infer(with_constants(skeleton, new), found)
    return skeleton


def _infer_symbolically(skeleton: onnx.ModelProto, found: Inference) -> onnx.ModelProto:
    """As ``SymbolicShapeInference.infer_shapes``, which leaves a file behind where it cannot infer all."""
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

    with _silent("onnxruntime.tools.symbolic_shape_infer"):
        inference = SymbolicShapeInference(2**31 - 1, auto_merge=False, guess_output_rank=False, verbose=0)
        del inference.dispatcher_["Einsum"]  # knows an ellipsis in front alone: ONNX's own is asked instead
        inference._preprocess(skeleton)
        while inference.run_:
            inference._infer_impl()
        inference._update_output_from_vi()
    inferred: onnx.ModelProto = inference.out_mp_
    _learn(inferred, found)
    return inferred


STEPS: Mapping[str, Callable[[onnx.ModelProto, Inference], onnx.ModelProto]] = {
    "ONNX's shape inference": _infer,
    "constant folding": _fold,
    "ONNX Runtime's symbolic shape inference": _infer_symbolically,
}


def _learn(inferred: onnx.ModelProto, found: Inference) -> None:
    """Take over what is more than was known: a first shape, or numbers where there were symbols."""
    graphs = all_graphs(inferred.graph) if found.nested else [("", inferred.graph)]
    for name, new in declared_types((prefix, graph, graph.node) for prefix, graph in graphs).items():
        if SURROGATE_MARK in name:
            continue
        known = found.types.get(name, UNKNOWN)
        if known.shape is None or (new.is_fixed and not known.is_fixed):
            found.types[name] = new if new.dtype else ValueType(known.dtype, new.shape, new.kind)
            found.learned += new.shape is not None


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """No logging by a library meanwhile: the notes tell what it does not understand."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
