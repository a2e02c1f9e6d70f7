"""What modules take if they run alone, and the fixed values that must be there for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from onnxlens.profile.count.liveness import FLOATS, WorkingSets, held_bytes, live_bytes
from onnxlens.profile.count.rules import is_view
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.profile.graph.quantization import DEQUANTIZERS, REARRANGERS
from onnxlens.specs.ledger import Ledger, ModuleCost, is_lower_bound, joined_bounds

Fixed = Sequence[tuple[str, int]]
"""Names of tensors that do not change from run to run, and their bytes."""


def with_working_sets(ledger: Ledger, graph: Graph, stored_as: str = "") -> Ledger:
    """The ledger with what each module takes if it runs alone: activations at their most, and weights.

    Args:
        ledger: of ``graph``.
        graph: the graph.
        stored_as: the dtype in which floats are held; "" for the file's. It holds for weights and activations
            alive too, not for what is moved.
    """
    fixed, running = fixed_values(graph, stored_as), graph.by_module()
    sized = not is_lower_bound("live_bytes", ledger.totals.lower_bounds)
    live = live_bytes(graph, ledger.idle, stored_as) if stored_as else ()

    sets = WorkingSets(graph, ledger.idle, stored_as=stored_as, sized=sized)

    def measured(module: ModuleCost) -> ModuleCost:
        size, unsized = sets.of(module.path)
        nodes = running[module.path]
        weights = resident_bytes(nodes, fixed)
        return replace(
            module,
            working_bytes=size + weights,
            resident_weight_bytes=weights,
            live_bytes=max((live[index] for index in nodes), default=0) if live else module.live_bytes,
            lower_bounds=joined_bounds((module.lower_bounds, ("working_bytes",) if unsized else None)),
        )

    modules = tuple(map(measured, ledger.modules))
    return replace(
        ledger,
        modules=modules,
        totals=replace(
            ledger.totals,
            resident_weight_bytes=modules[0].resident_weight_bytes,
            peak_live_bytes=modules[0].live_bytes,
        ),
        notes=(*ledger.notes, *((f"memory: as if floats were held as {stored_as}",) if stored_as else ())),
    )


def resident_bytes(running: Iterable[int], fixed: Sequence[Fixed]) -> int:
    """Bytes of the fixed values that the nodes read, each once."""
    return sum(dict(chain.from_iterable([fixed[index] for index in running])).values())


def fixed_values(graph: Graph, stored_as: str = "") -> Sequence[Fixed]:
    """The tensors of the file that each node reads as fixed values, and their bytes; none of a view.

    What the bodies inside a node return of them is read by it.
    """
    stored = _stored(graph, stored_as)
    return [
        [
            tensor
            for value in node.reads
            if value.is_weight and not is_view(node.view)
            for tensor in stored.get(value.name) or _stored_alone(value, stored_as)
        ]
        for node in graph.nodes
    ]


def _stored(graph: Graph, stored_as: str) -> Mapping[str, Fixed]:
    """What constant-folded values are stored as, by name: what dequantizes or is a view makes no copy.

    Nor does what rearranges quantized numbers; of floats it does, as runtimes fold it.
    """
    found: dict[str, Fixed] = {}
    for node in graph.nodes:
        view = node.view
        if not node.constant_folded or not view.has_input(0):
            continue
        operator, first = (view.domain, view.op_type), view.input(0)
        packed = operator in DEQUANTIZERS
        quantized = first.stored_bytes is not None or first.dtype not in FLOATS
        if packed or is_view(view) or (quantized and operator in REARRANGERS):
            read = [value for value in view.inputs if value is not None] if packed else [first]
            held_as = "" if packed else stored_as
            parts = [found.get(value.name) or _stored_alone(value, held_as) for value in read]
            found |= {output.name: [*chain(*parts)] for output in view.outputs[:1] if output is not None}
    return found


def _stored_alone(value: ValueView, stored_as: str) -> Fixed:
    return [(value.name, held_bytes(value, stored_as) or 0)]
