"""From the errors of single values to the rows of modules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnxlens.profile.count.rules import is_view
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.parity.matching import MatchedCall, Matching
from onnxlens.profile.parity.parity import Deviation, Deviations, worst
from onnxlens.profile.parity.slices import Slice, Slicer
from onnxlens.specs.parity import ModuleParity, RowKind, Verdict
from onnxlens.specs.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class SliceModule:
    """The module that runs all nodes of a slice, or the innermost that contains them all."""

    path: str
    nodes: tuple[GraphNode, ...]


class ModuleRows:
    """Makes the rows of one graph."""

    def __init__(
        self,
        graph: Graph,
        slicer: Slicer,
        matching: Matching,
        types: Mapping[str, TensorSpec],
        tolerance: float,
    ) -> None:
        """Find the parent modules; an error over ``tolerance`` decides a verdict."""
        self._graph = graph
        self._hierarchy = graph.hierarchy
        self._tolerance = tolerance
        self._slicer = slicer
        self._calls = matching.calls
        self._types = types
        self._slice_modules: dict[str, SliceModule] = {}
        self._given = frozenset(tensor.name for tensor in graph.inputs)
        paths = self._hierarchy.paths
        self._parents = frozenset(parent for path in paths for parent in self._hierarchy.lineage(path)[:-1])

    def order(self, value: str) -> int:
        """The position of the value's node in execution order, from 1."""
        producer = self._graph.producer(value)
        if producer is None:
            raise KeyError(value)
        return producer + 1

    def _module(self, part: Slice) -> SliceModule:
        outputs = (name for node in self._slicer.operators(part) for name in node.output if name)
        producers = dict.fromkeys(map(self._graph.producer, outputs))
        nodes = [self._graph.nodes[index] for index in producers if index is not None]
        running = [node for node in nodes if not node.constant_folded]
        lineages = [self._hierarchy.lineage(node.module.path) for node in running]
        shared = [levels[0] for levels in zip(*lineages, strict=False) if len(set(levels)) == 1]
        return SliceModule(shared[-1], tuple(running))

    def rows(self, slices: Sequence[Slice], found: Deviations) -> tuple[ModuleParity, ...]:
        """A row for each module call and each segment of a module's own operators, in execution order.

        Values of slices that were not compared have no row yet.
        """
        by_value = {part.value: part for part in slices}
        for part in slices:
            if part.value not in self._slice_modules:
                self._slice_modules[part.value] = self._module(part)
        rows = [row for call in self._calls for row in self._module_row(call, by_value, found)]
        covered = {name for call in self._calls for name in call.outputs if self._is_own(call, name)}
        rows += [self._operators_row(part, found) for part in slices if part.value not in covered]
        return tuple(sorted(rows, key=lambda row: (row.order, -row.depth, row.kind == "module")))

    def _is_own(self, call: MatchedCall, name: str) -> bool:
        """Whether the call's module has no children and produces the value by itself."""
        found = self._slice_modules.get(name)
        return found is not None and found.path == call.path not in self._parents

    def _module_row(
        self, call: MatchedCall, by_value: Mapping[str, Slice], found: Deviations
    ) -> Iterator[ModuleParity]:
        """The call's row, once all its outputs have been compared."""
        if call.reason:
            yield self._row(call.path, call.call + 1, "module", (), _Errors(reason=call.reason))
        elif all(name in by_value for name in call.outputs):
            output = worst(found.output[name] for name in call.outputs)
            errors = _Errors(self._input_error(call.inputs, found), output)
            if all(self._is_own(call, name) for name in call.outputs):
                read = {name for value in call.outputs for name in by_value[value].inputs}
                local = worst(found.local[name] for name in call.outputs)
                errors = _Errors(self._input_error(read, found), output, local)
            yield self._row(call.path, call.call + 1, "module", call.outputs, errors)

    def _operators_row(self, part: Slice, found: Deviations) -> ModuleParity:
        module = self._slice_modules[part.value]
        types = [node.view.op_type for node in module.nodes if not is_view(node.view)]
        operators = tuple(types or (node.view.op_type for node in module.nodes))
        errors = _Errors(
            self._input_error(part.inputs, found), found.output[part.value], found.local[part.value]
        )
        return self._row(module.path, 0, "operators", (part.value,), errors, operators)

    def _input_error(self, inputs: Collection[str], found: Deviations) -> float | None:
        """The worst error of the inputs; graph inputs are the same on both sides."""
        if self._given.issuperset(inputs):
            return 0.0
        known = [found.output[name] for name in inputs if name in found.output]
        return worst(known).rel_l2 if known else None

    def _row(
        self,
        path: str,
        call: int,
        kind: RowKind,
        tensors: tuple[str, ...],
        errors: _Errors,
        operators: tuple[str, ...] = (),
    ) -> ModuleParity:
        output = None if errors.unknown_reason else errors.output
        local = errors.local if output else None
        return ModuleParity(
            path=path,
            class_name=self._hierarchy.class_name(path),
            depth=self._hierarchy.depth(path),
            order=max((self.order(name) for name in tensors), default=0),
            call=call,
            kind=kind,
            operators=operators,
            tensors=tensors,
            shape=self._types[tensors[0]].shape if tensors else (),
            inherited=errors.inputs,
            output=output.rel_l2 if output else None,
            introduced=local.rel_l2 if local else None,
            max_abs=output.max_abs if output else None,
            verdict=errors.verdict(self._tolerance),
            reason=errors.unknown_reason,
        )


@dataclass(frozen=True, slots=True)
class _Errors:
    """The known errors of one row, or the reason why there are none."""

    inputs: float | None = None
    output: Deviation | None = None
    local: Deviation | None = None
    reason: str = ""

    @property
    def unknown_reason(self) -> str:
        """Why the row is not comparable; empty if it is."""
        return self.reason or (self.output.reason if self.output else "")

    def verdict(self, tolerance: float) -> Verdict:
        if self.unknown_reason or self.output is None:
            return "not comparable"
        if self.local is not None and not self.local.rel_l2 <= tolerance:
            return "introduces"
        return "agrees" if self.output.rel_l2 <= tolerance else "carries"
