"""From the errors of single values to those of modules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnxlens.profile.count.rules import is_view
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.hierarchy import Hierarchy
from onnxlens.profile.parity.layers.cutting import Cutter, Slice
from onnxlens.profile.parity.layers.deviations import Deviation, Deviations, worst
from onnxlens.profile.parity.layers.matching import Call, Matching
from onnxlens.specs.layers import LayerKind, LayerParity, Verdict
from onnxlens.specs.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class Part:
    """The module that owns all nodes of a slice, or the innermost that holds them all."""

    path: str
    nodes: tuple[GraphNode, ...]


class LayerRows:
    """Makes the rows of one graph."""

    def __init__(
        self,
        graph: Graph,
        hierarchy: Hierarchy,
        cutter: Cutter,
        matching: Matching,
        types: Mapping[str, TensorSpec],
        tolerance: float,
    ) -> None:
        """Index what makes each value; an error over ``tolerance`` decides a verdict."""
        self._tolerance = tolerance
        self._hierarchy = hierarchy
        self._cutter = cutter
        self._calls = matching.calls
        self._types = types
        self._parts: dict[str, Part] = {}
        self._given = frozenset(tensor.name for tensor in graph.inputs)
        self._holders = frozenset(outer for path in hierarchy.paths for outer in hierarchy.lineage(path)[:-1])
        self._places = {
            value.name: (order, node)
            for order, node in enumerate(graph.nodes, start=1)
            for value in node.view.outputs
            if value is not None
        }

    def order(self, value: str) -> int:
        """The place of the value's node in the order of execution, from 1."""
        return self._places[value][0]

    def _part(self, part: Slice) -> Part:
        """Whose nodes the slice is made of."""
        outputs = (name for node in self._cutter.operators(part) for name in node.output if name)
        makers = [self._places[name][1] for name in outputs if name in self._places]
        nodes = {id(node): node for node in makers if not node.constant_folded}
        lineages = [self._hierarchy.lineage(node.module.path) for node in nodes.values()]
        shared = [levels[0] for levels in zip(*lineages, strict=False) if len(set(levels)) == 1]
        return Part(shared[-1], tuple(nodes.values()))

    def rows(self, slices: Sequence[Slice], found: Deviations) -> tuple[LayerParity, ...]:
        """A row for each call of a module and each stretch of a module's own operators, in execution order.

        Args:
            slices: those that were compared; what no slice makes has no row yet.
            found: the errors of their values.
        """
        by_value = {part.value: part for part in slices}
        for part in slices:
            if part.value not in self._parts:
                self._parts[part.value] = self._part(part)
        alone = {part.value: self._parts[part.value] for part in slices}
        rows = [row for call in self._calls for row in self._module_row(call, by_value, alone, found)]
        owned = {name for call in self._calls for name in call.outputs if self._is_own(call, name, alone)}
        rows += [
            self._operators_row(part, alone[part.value], found) for part in slices if part.value not in owned
        ]
        return tuple(sorted(rows, key=lambda row: (row.order, -row.depth, row.kind == "module")))

    def _is_own(self, call: Call, name: str, alone: Mapping[str, Part]) -> bool:
        """Whether the call's module, one without others inside, makes the value on its own."""
        return call.path not in self._holders and name in alone and alone[name].path == call.path

    def _module_row(
        self, call: Call, by_value: Mapping[str, Slice], alone: Mapping[str, Part], found: Deviations
    ) -> Iterator[LayerParity]:
        """The call's row, once all that it hands on was compared."""
        if call.reason:
            yield self._row(call.path, call.call + 1, "module", (), _Errors(reason=call.reason))
        elif all(name in by_value for name in call.outputs):
            output = worst(found.output[name] for name in call.outputs)
            errors = _Errors(self._inherited(call.inputs, found), output)
            if all(self._is_own(call, name, alone) for name in call.outputs):
                read = {name for value in call.outputs for name in by_value[value].inputs}
                introduced = worst(found.introduced[name] for name in call.outputs)
                errors = _Errors(self._inherited(read, found), output, introduced)
            yield self._row(call.path, call.call + 1, "module", call.outputs, errors)

    def _operators_row(self, part: Slice, whose: Part, found: Deviations) -> LayerParity:
        types = [node.view.op_type for node in whose.nodes if not is_view(node.view)]
        operators = tuple(types or (node.view.op_type for node in whose.nodes))
        errors = _Errors(
            self._inherited(part.inputs, found), found.output[part.value], found.introduced[part.value]
        )
        return self._row(whose.path, 0, "operators", (part.value,), errors, operators)

    def _inherited(self, inputs: Collection[str], found: Deviations) -> float | None:
        """The worst of what is handed in; inputs of the graph are the same on both sides."""
        if self._given.issuperset(inputs):
            return 0.0
        known = [found.output[name] for name in inputs if name in found.output]
        return worst(known).rel_l2 if known else None

    def _row(
        self,
        path: str,
        call: int,
        kind: LayerKind,
        tensors: tuple[str, ...],
        errors: _Errors,
        operators: tuple[str, ...] = (),
    ) -> LayerParity:
        told = not errors.why and errors.output is not None
        return LayerParity(
            path=path,
            class_name=self._hierarchy.class_name(path),
            depth=self._hierarchy.depth(path),
            order=max((self.order(name) for name in tensors), default=0),
            call=call,
            kind=kind,
            operators=operators,
            tensors=tensors,
            shape=self._types[tensors[0]].shape if tensors else (),
            inherited=errors.inherited,
            output=errors.output.rel_l2 if told and errors.output else None,
            introduced=errors.introduced.rel_l2 if told and errors.introduced else None,
            max_abs=errors.output.max_abs if told and errors.output else None,
            verdict=errors.verdict(self._tolerance),
            reason=errors.why,
        )


@dataclass(frozen=True, slots=True)
class _Errors:
    """What is known of one row; a reason where nothing can be."""

    inherited: float | None = None
    output: Deviation | None = None
    introduced: Deviation | None = None
    reason: str = ""

    @property
    def why(self) -> str:
        """Why nothing can be told; empty where something can."""
        return self.reason or (self.output.reason if self.output else "")

    def verdict(self, tolerance: float) -> Verdict:
        if self.why or self.output is None:
            return "not comparable"
        if self.introduced is not None and not self.introduced.rel_l2 <= tolerance:
            return "introduces"
        return "agrees" if self.output.rel_l2 <= tolerance else "carries"
