"""Which inputs of a language model hold what earlier tokens left, by what reads them and by their names."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from onnxlens.errors import UsageError
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.specs.phases import CacheInput, CacheKind, FoundBy
from onnxlens.specs.tensor import Dim, TensorSpec, is_floating

MICROSOFT = "com.microsoft"


class Slot(NamedTuple):
    """Where an operator takes a cache and returns it, and how it is laid out."""

    source: int
    result: int | None
    kind: CacheKind = "growing"
    batch: int | None = 0
    length: int | None = 2


KEYS_AND_VALUES: Mapping[tuple[str, str], tuple[Slot, ...]] = {
    (MICROSOFT, "GroupQueryAttention"): (Slot(3, 1), Slot(4, 2)),
    (MICROSOFT, "SparseAttention"): (Slot(3, 1), Slot(4, 2)),
    (MICROSOFT, "PagedAttention"): tuple(
        Slot(source, result, "paged", None, None) for result, source in enumerate((3, 4, 17, 18), 1)
    ),
    (MICROSOFT, "MultiHeadAttention"): (
        Slot(6, 1), Slot(7, 2), Slot(1, None, "cross"), Slot(2, None, "cross"),
    ),
    (MICROSOFT, "DecoderMaskedMultiHeadAttention"): (
        Slot(5, 1), Slot(6, 2), Slot(1, None, "cross"), Slot(2, None, "cross"),
    ),
    (MICROSOFT, "DecoderMaskedSelfAttention"): (Slot(4, 1, "growing", 1, 3),),
    (MICROSOFT, "Attention"): (Slot(4, 1, "growing", 1, 3),),
    (MICROSOFT, "QAttention"): (Slot(8, 1, "growing", 1, 3),),
    ("", "Attention"): (Slot(4, 1), Slot(5, 2)),
    ("", "TensorScatter"): (Slot(0, 0, "buffer"),),
    **{
        (domain, operator): (Slot(3, 1, "state", 0, None),)
        for domain in ("", MICROSOFT)
        for operator in ("CausalConvWithState", "LinearAttention")
    },
}  # fmt: skip
"""The caches of operators that have them as inputs. Keys of four dimensions are those of another sequence."""

WRITTEN_INTO = frozenset({"ScatterND", "ScatterElements", "IndexPut"})
"""Operators that put new rows into a buffer, their first input."""

PASSING = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Reshape", "Transpose"})
"""Operators behind which a cache is still that cache, perhaps with its axes in another order."""
STEPS = 6

NAMED = re.compile(r"past|cache|(^|[._])(ssm|conv|recurrent)_?state", re.IGNORECASE)
OF_OTHERS = re.compile(r"cross|encoder", re.IGNORECASE)
FIXED = re.compile(r"conv|ssm|recurrent", re.IGNORECASE)
RENAMED = (
    ("past_key_values", "present"), ("past_key_values", "present_key_values"), ("past", "present"),
    ("past", "new"), ("cache", "new_cache"), ("cache", "cache_out"), ("_in", "_out"), ("in_", "out_"),
)  # fmt: skip
"""What inputs are called, and the outputs that hand them on."""

LEAST_RANK = 3
"""Of a cache: sequences, tokens and what each of them has."""

QUANTIZED = ("int8", "uint8", "int4", "uint4")


def find_caches(graph: Graph, pattern: str = "") -> tuple[CacheInput, ...]:
    """The inputs that are caches, in the file's order.

    Args:
        graph: with the file's own dimensions.
        pattern: a regular expression for the names of caches; "" to find them.

    Raises:
        UsageError: the pattern is none, or no input has such a name.
    """
    by_operator = {cache.tensor.name: cache for cache in _by_operator(graph)}
    named = _matching(graph, pattern) if pattern else _named(graph)
    if pattern:
        by_operator = {name: cache for name, cache in by_operator.items() if name in named}
    taken = {cache.output for cache in by_operator.values()}
    rest = [tensor for name, tensor in named.items() if name not in by_operator]
    outputs = [tensor for tensor in graph.outputs if tensor.name not in taken]
    found_by: FoundBy = "pattern" if pattern else "name"
    made = {tensor.name: tensor.shape for tensor in graph.outputs}
    by_name = {
        tensor.name: _of_name(tensor, output, found_by, made)
        for tensor, output in zip(rest, _returned(rest, outputs, in_order=bool(pattern)), strict=True)
    }
    if by_name and not by_operator and not pattern and not any(each.output for each in by_name.values()):
        by_name = {}  # names alone, and nothing that is handed on
    found = {**by_operator, **by_name}
    return tuple(found[tensor.name] for tensor in graph.inputs if tensor.name in found)


def _matching(graph: Graph, pattern: str) -> dict[str, TensorSpec]:
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--cache {pattern!r} is no regular expression ({error}); escape what is not meant"
        ) from error
    found = {tensor.name: tensor for tensor in graph.inputs if wanted.search(tensor.name)}
    if not found:
        names = ", ".join(tensor.name for tensor in graph.inputs) or "none"
        raise UsageError(f"--cache {pattern!r} matches no input of {graph.path.name}; its inputs are {names}")
    return found


def _named(graph: Graph) -> dict[str, TensorSpec]:
    """Those that are called so, and hold numbers in rows."""
    return {
        tensor.name: tensor
        for tensor in graph.inputs
        if NAMED.search(tensor.name)
        and len(tensor.shape) >= LEAST_RANK
        and (is_floating(tensor.dtype) or tensor.dtype in QUANTIZED)
    }


def _by_operator(graph: Graph) -> Iterator[CacheInput]:
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    outputs = {tensor.name: tensor.shape for tensor in graph.outputs}
    seen: set[str] = set()
    for node in graph.nodes:
        for slot in _slots(node.view):
            value = node.view.inputs[slot.source] if slot.source < len(node.view.inputs) else None
            source, direct = source_of(graph, value.name) if value is not None else ("", False)
            if source not in inputs or source in seen:
                continue
            tensor = inputs[source]
            output, window = _output_of(graph, node.view, slot.result, outputs)
            if slot.kind == "cross" and (len(tensor.shape) != 4 or source in outputs):
                continue
            if len(tensor.shape) < LEAST_RANK or not (output or slot.kind == "cross"):
                continue
            seen.add(source)
            found = _of_slot(tensor, output, node.view, slot, direct=direct)
            found = replace(found, kind=_kind(found, outputs))
            yield replace(found, window=window) if window and found.kind == "growing" else found


def _slots(view: NodeView) -> Sequence[Slot]:
    known = KEYS_AND_VALUES.get((view.domain, view.op_type))
    if known is not None:
        return known
    if view.op_type == "Concat" and view.domain == "" and len(view.inputs) > 1:
        return (Slot(0, 0, "growing", 0, view.attribute("axis", 0)),)
    return (Slot(0, 0, "buffer"),) if view.op_type in WRITTEN_INTO else ()


def _of_slot(tensor: TensorSpec, output: str, view: NodeView, slot: Slot, *, direct: bool) -> CacheInput:
    kind, window = slot.kind, None
    length = None if slot.length is None else slot.length % len(tensor.shape)
    batch = slot.batch
    if view.attribute("sliding_window_cache", 0):
        kind, window = "buffer", max(view.attribute("local_window_size", 0), 1)
    if view.attribute("state_window", 0):
        batch = 1  # behind that of the states
    if not direct and kind != "paged":
        length = _length_axis(tensor) if length is not None else None
    return CacheInput(tensor, output, kind, "operator", view.op_type, batch, length, window)


Shapes = Mapping[str, Sequence[Dim]]


def _kind(found: CacheInput, outputs: Shapes) -> CacheKind:
    """A buffer, where a fixed length does not grow."""
    axis = found.length_axis
    if found.kind != "growing" or axis is None:
        return found.kind
    before, after = found.tensor.shape[axis], outputs.get(found.output, ())
    if not isinstance(before, int) or not before:
        return "growing"
    grown = after[axis] if len(after) > axis else 0
    return "growing" if isinstance(grown, int) and grown > before else "buffer"


def _of_name(tensor: TensorSpec, output: str, found_by: FoundBy, outputs: Shapes) -> CacheInput:
    kind: CacheKind = "growing"
    length: int | None = _length_axis(tensor)
    if OF_OTHERS.search(tensor.name):
        kind = "cross"
    elif FIXED.search(tensor.name):
        kind, length = "state", None
    found = CacheInput(tensor, output, kind, found_by, "", 0, length)
    return replace(found, kind=_kind(found, outputs))


def _length_axis(tensor: TensorSpec) -> int:
    """The only open axis behind the batch's, else the last but one."""
    open_axes = [axis for axis, dim in enumerate(tensor.shape) if axis and isinstance(dim, str)]
    return open_axes[0] if len(open_axes) == 1 else len(tensor.shape) - 2


def source_of(graph: Graph, name: str) -> tuple[str, bool]:
    """What a value was before it was cast or turned, and whether it is that itself."""
    direct = True
    for _ in range(STEPS):
        index = graph.producer(name)
        if index is None:
            break
        view = graph.nodes[index].view
        if view.op_type not in PASSING or view.inputs[0] is None:
            break
        direct = direct and view.op_type not in ("Reshape", "Transpose")
        name = view.inputs[0].name
    return name, direct


def _output_of(graph: Graph, view: NodeView, result: int | None, outputs: Container[str]) -> tuple[str, int]:
    """The output of the graph that a node's output becomes, and how many of its last rows; "" for none."""
    value = view.outputs[result] if result is not None and result < len(view.outputs) else None
    name, window, out_of = value.name if value is not None else "", 0, _out_of_branches(graph)
    for _ in range(STEPS):
        if name in outputs or not name:
            return name, window
        onward = [graph.nodes[index].view for index in graph.consumers(name)]
        passed = {
            each.outputs[0].name: _last_rows(each)
            for each in onward
            if each.outputs and each.outputs[0] and (each.op_type in PASSING or _last_rows(each))
        }
        passed |= dict.fromkeys(out_of.get(name, ()), 0)
        name = next((each for each in passed if each in outputs), next(iter(passed), ""))
        window = passed.get(name, 0) or window
    return "", 0


def _last_rows(view: NodeView) -> int:
    """How many rows a Slice keeps, which takes the last ones of one axis; 0 for another node."""
    if view.op_type != "Slice" or view.domain or len(view.inputs) < 4:
        return 0
    held = [value.read_constant() for value in view.inputs[1:] if value is not None and value.read_constant]
    ends = [int(each.flat[0]) for each in held if each is not None and each.size == 1]
    if len(ends) < len(view.inputs) - 1 or ends[3:] not in ([], [1]):
        return 0
    start, end = ends[:2]
    return max(-start, 0) if end >= 2**31 - 1 else 0


def _out_of_branches(graph: Graph) -> Mapping[str, Sequence[str]]:
    """By what a branch of an If makes, what that is outside."""
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        for body in node.bodies if node.view.op_type == "If" else ():
            for made, inside in zip(node.view.outputs, body.results, strict=False):
                if made is not None and inside is not None:
                    found.setdefault(inside.name, []).append(made.name)
    return found


def _returned(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], *, in_order: bool
) -> Sequence[str]:
    """The output that hands each input on, by their names; or in their order, where the types say so too."""
    names = {tensor.name for tensor in outputs}
    found = [next(filter(names.__contains__, _renamed(tensor.name)), "") for tensor in inputs]
    if any(found) or not inputs or not in_order:
        return found
    alike = [
        each for each in outputs if (each.dtype, len(each.shape)) == (inputs[0].dtype, len(inputs[0].shape))
    ]
    return [each.name for each in alike] if len(alike) == len(inputs) else found


def _renamed(name: str) -> Iterator[str]:
    for before, after in RENAMED:
        if before in name:
            yield name.replace(before, after)
    yield from (f"{name}_out", f"new_{name}", f"{name}.1")
