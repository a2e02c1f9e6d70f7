"""Completing the types that a file leaves out, by the libraries that know how: never by a guess.

Three of them, each where the one before leaves something open: ONNX's shape inference with data propagation;
constant folding, which finds the values of shapes that are computed; ONNX Runtime's symbolic shape inference,
which knows some of ONNX Runtime's own operators. All three run on a skeleton of the model, in which operators
of ONNX stand in for ONNX Runtime's where they have the same types (``surrogates``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, shape_inference

from onnxlens.errors import first_line
from onnxlens.profile.graph.loading.inference.attention_rules import ATTENTION, takes_lengths
from onnxlens.profile.graph.loading.inference.child import GaveUpError, Limits, in_child
from onnxlens.profile.graph.loading.inference.facts import sharper
from onnxlens.profile.graph.loading.inference.memo import Memo
from onnxlens.profile.graph.loading.inference.runs import Runs
from onnxlens.profile.graph.loading.protobuf import FileGraph, FileNode, all_graphs, versions
from onnxlens.profile.graph.loading.value_types import (
    LEFT_OUT,
    SURROGATE_MARK,
    UNKNOWN,
    ValueType,
    declared_types,
)
from onnxlens.specs.bounds import OutOfBoundsError, require_shape
from onnxlens.specs.record import record

SLOW_INFERENCE_NODES = 20_000
"""Beyond this many nodes ONNX Runtime's inference does not run: it takes a millisecond for each."""


COUNTED = frozenset({"Loop", "SequenceMap"})
"""Operators whose body runs a number of times that the walk finds."""


@dataclass(slots=True)
class Inference:
    """What is known of a model's values, by unique name.

    Attributes:
        types: what the file declares, completed.
        constants: small values that were found by folding.
        notes: which library found what, and which failed.
        learned: how many shapes, or numbers of shapes, were inferred.
        trip_counts: how often loops run, by the prefix of their body, as far as the file decides it.
        runs: by the prefix of a body with which types it runs, where these change from round to round.
        misfits: what does not fit together: a reshape of other sizes, operands of different ones.
        is_folded: whether values were folded, because types did not follow from types alone.
    """

    types: dict[str, ValueType]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    learned: int = 0
    trip_counts: dict[str, int] = field(default_factory=dict)
    runs: Runs = field(default_factory=dict)
    misfits: list[str] = field(default_factory=list)
    is_folded: bool = False


@record(frozen=True, slots=True)
class _Source:
    """What is inferred from: the model without its weights, its graph, and the folder of the file."""

    skeleton: onnx.ModelProto
    graph: FileGraph
    folder: Path
    limits: Limits
    memo: Memo


def complete_types(
    model: onnx.ModelProto, graph: FileGraph, folder: Path, memo: Memo, *, doubtful: bool = False
) -> Inference:
    """The types of all values: declared, else inferred, else unknown.

    Args:
        model: with its functions written out.
        graph: the model's.
        folder: of the file, for small external tensors.
        memo: of the walks through the graph, for those at other sizes.
        doubtful: whether its sizes may not fit together: the user changed what the file fixes.
    """
    declared = declared_types((inner.prefix, inner.proto, inner.constants()) for inner in graph.all())
    found = Inference(declared)
    nodes = [node for inner in graph.all() for node in inner.nodes]
    walked = doubtful or any(node.op_type in COUNTED or takes_lengths(node) for node in nodes)
    for node in nodes:
        if node.op_type == "STFT" and "onesided" not in node.attributes:
            node.proto.attribute.append(helper.make_attribute("onesided", 1))  # ONNX's takes 0 by default
    if not walked and not any(_open(graph, found)):
        return found
    from onnxlens.profile.graph.loading.inference.skeleton import without_weights

    skeleton = without_weights(model, graph)
    source = _Source(skeleton, graph, folder, Limits.for_graph(len(nodes), skeleton.ByteSize()), memo)
    for name, step in STEPS.items():
        if len(nodes) > SLOW_INFERENCE_NODES and step is _infer_symbolically:
            found.notes.append(f"{name} was not tried: the file has more than {SLOW_INFERENCE_NODES:,} nodes")
            break
        _take_step(name, source, found)
        if step is _infer and walked:
            continue
        if not any(_open(graph, found)) or (step is _walk and not _needs_runtime(graph, found)):
            break
    return found


def types_at_other_sizes(
    model: onnx.ModelProto, graph: FileGraph, folder: Path, memo: Memo, before: Inference
) -> tuple[Inference, bool]:
    """The types by one walk alone, and whether it leaves nothing open that ``complete_types`` may find.

    Args:
        model: as for ``complete_types``, its inputs of other sizes than before.
        graph: likewise.
        folder: likewise.
        memo: likewise.
        before: what ``complete_types`` found, with the same dimensions fixed.
    """
    found = Inference(declared_types((inner.prefix, inner.proto, inner.constants()) for inner in graph.all()))
    _walk(_Source(model, graph, folder, Limits(0, 0), memo), found)
    if not before.is_folded:
        found.constants = {}
    open_before = {id(node) for node in _open(graph, before)}
    return found, all(id(node) in open_before for node in _open(graph, found))


def _take_step(name: str, source: _Source, found: Inference) -> None:
    """What one of them finds, and a note on it."""
    before = found.learned
    try:
        STEPS[name](source, found)
    except OutOfBoundsError:
        raise
    except GaveUpError as error:
        found.notes.append(f"{name} gave up: {error}; what only it could find stays unknown")
    except Exception as error:  # whatever a library raises at a graph that it does not understand
        found.notes.append(f"{name} failed: {first_line(error)}")
    if found.learned > before:
        found.notes.append(f"shapes that the file leaves out were inferred by {name}")


def _open(graph: FileGraph, found: Inference) -> Iterator[FileNode]:
    """Nodes of which a library may find more: a type, or a number where there is not an input's symbol.

    Of an old Dropout's mask ONNX tells nothing; one that nobody reads is no reason to ask on.
    """
    symbols = _input_dims(graph, found) - {"?"}
    closed: set[int] = set()  # the ids of types that are shared by many values
    for inner in graph.all():
        prefix, names_read = inner.prefix, cache(inner.names_read)
        for node in inner.nodes:
            for name in node.outputs:
                known = found.types.get(prefix + name if prefix else name, UNKNOWN)
                if id(known) not in closed and name:
                    if not _is_open(known, symbols):
                        closed.add(id(known))
                    elif node.op_type != "Dropout" or name == node.outputs[0] or name in names_read():
                        yield node
                        break


def _needs_runtime(graph: FileGraph, found: Inference) -> bool:
    """Whether ONNX Runtime's inference knows what the walk does not: its own operators, and symbols.

    Where all inputs are fixed, what ONNX's own operators leave open hangs on data.
    """
    if _input_dims(graph, found):
        return True
    return any(node.domain not in OWN_DOMAINS or node.op_type in LEFT_OUT for node in _open(graph, found))


def _input_dims(graph: FileGraph, found: Inference) -> set[str]:
    """The symbols in the inputs' shapes."""
    shapes = [found.types[value.name].shape for value in graph.proto.input]
    return {dim for shape in shapes for dim in (("?",) if shape is None else shape) if isinstance(dim, str)}


OWN_DOMAINS = ("", "ai.onnx.ml")

UNFINISHED = "too many rounds to be walked through one by one; --run counts what runs"


def _is_open(known: ValueType, symbols: set[str]) -> bool:
    if known.kind != "tensor":
        return False
    return known.shape is None or any(isinstance(dim, str) and dim not in symbols for dim in known.shape)


def _infer(source: _Source, found: Inference) -> None:
    work = partial(_inferred, source.skeleton, with_nodes=bool(source.graph.inner))
    _learn(onnx.ModelProto.FromString(in_child(work, source.limits)), source, found)


def _inferred(skeleton: onnx.ModelProto, with_nodes: bool) -> bytes:
    """What ONNX's inference makes of it; types are in the graph's nodes only where graphs are."""
    inferred = shape_inference.infer_shapes(skeleton, data_prop=True)
    if not with_nodes:
        del inferred.graph.node[:], inferred.graph.initializer[:]
    return inferred.SerializeToString()


def _walk(source: _Source, found: Inference) -> None:
    """What each node makes of what is known: types, and values computed from shapes and constants."""
    from onnxlens.profile.graph.loading.inference.walk import Walk

    walk = Walk(source.graph, found.types, versions(source.skeleton), source.folder, source.memo)
    found.is_folded = True
    told = dict.fromkeys(f"{prefix.rstrip('/')}: {UNFINISHED}" for prefix in walk.unfinished)
    found.notes += [note for note in told if note not in found.notes]
    record, found.misfits, found.runs = walk.record, walk.misfits, walk.record.runs
    for name, fact in record.facts.items():
        _take(found, name, fact.type)
        if fact.value is not None:
            found.constants[name] = fact.value
    found.trip_counts = {prefix: count for prefix, count in record.trip_counts.items() if count is not None}


def _infer_symbolically(source: _Source, found: Inference) -> None:
    _symbolic_module()  # imported here, once for all files
    work = partial(_symbolically_inferred, source.skeleton, found.constants)
    before = found.learned
    _learn(onnx.ModelProto.FromString(in_child(work, source.limits)), source, found)
    if found.learned > before:
        _walk(source, found)  # what hangs on it


def _symbolically_inferred(skeleton: onnx.ModelProto, constants: Mapping[str, np.ndarray]) -> bytes:
    """As ``SymbolicShapeInference.infer_shapes``, which leaves a file behind where it cannot infer all."""
    from onnxlens.profile.graph.loading.inference.skeleton import with_constants

    module = _symbolic_module()
    inference = module.SymbolicShapeInference(2**31 - 1, auto_merge=False, guess_output_rank=False, verbose=0)
    del inference.dispatcher_["Einsum"]  # knows an ellipsis in front alone: ONNX's own is asked instead
    for _, op_type in ATTENTION:
        if op_type in inference.dispatcher_:
            inference.dispatcher_[op_type] = _with_open_caches(inference, inference.dispatcher_[op_type])
    inference._preprocess(with_constants(skeleton, constants))
    while inference.run_:
        inference._infer_impl()
    inference._update_output_from_vi()
    inferred: bytes = inference.out_mp_.SerializeToString()
    return inferred


def _with_open_caches(inference: Any, handler: Callable[[NodeProto], None]) -> Callable[[NodeProto], None]:
    """A handler whose caches have a length of their own: some are given that of the past."""

    def infer(node: NodeProto) -> None:
        handler(node)
        for name in filter(None, node.output[1:]):
            shape = inference.known_vi_[name].type.tensor_type.shape
            if len(shape.dim) > 1:
                shape.dim[len(shape.dim) - 2].dim_param = f"{name}_length"

    return infer


@cache
def _symbolic_module() -> Any:
    """ONNX Runtime's module alone: the package that it is in imports PyTorch, which takes seconds."""
    import logging  # few files get here

    package = find_spec("onnxruntime")
    folder = Path(next(iter(package.submodule_search_locations or []))) if package is not None else Path()
    spec = spec_from_file_location(SYMBOLIC, folder / "tools" / "symbolic_shape_infer.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} has no symbolic_shape_infer")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.logger.setLevel(logging.CRITICAL + 1)  # the notes tell what it does not understand
    return module


SYMBOLIC = "onnxlens._symbolic_shape_infer"


STEPS: Mapping[str, Callable[[_Source, Inference], None]] = {
    "ONNX's shape inference": _infer,
    "constant folding": _walk,
    "ONNX Runtime's symbolic shape inference": _infer_symbolically,
}


def _learn(inferred: onnx.ModelProto, source: _Source, found: Inference) -> None:
    """Take over what is more than was known: a first shape, or numbers where there were symbols."""
    graphs = all_graphs(inferred.graph) if source.graph.inner else [("", inferred.graph)]
    for name, new in declared_types((prefix, graph, graph.node) for prefix, graph in graphs).items():
        if SURROGATE_MARK in name:
            continue
        _take(found, name, new)


def _take(found: Inference, name: str, new: ValueType) -> None:
    known = found.types.get(name, UNKNOWN)
    kind = sharper(known, new)
    if kind is not known or name not in found.types:
        require_shape(name, kind.shape)
        found.types[name] = kind
        found.learned += kind.shape != known.shape
