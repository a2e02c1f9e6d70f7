"""A dialect: the operators that a tool takes, and how others are written in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir
from onnx_ir.passes import common

from onnxlens.export import passes
from onnxlens.export.dialects.definitions import by_definition
from onnxlens.export.dialects.parts import SOURCE_KEY, Parts, Rule


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one tool takes.

    Attributes:
        doc: of which tool and version, in one line.
        takes: the operators of ONNX's own domain that it reads.
        rules: how an operator is written in others: those that it does not take, and those that it takes in
            some forms alone, for which the rule returns None where the form is one of them.
    """

    name: str
    doc: str
    takes: frozenset[str]
    rules: Mapping[str, Rule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What became of a graph.

    Attributes:
        replaced: how many nodes were written in others.
        left: the operator of each node that the tool does not take and that has no other form, by its name.
    """

    replaced: int
    left: Mapping[str, str]


def rewrite(model: ir.Model, dialect: Dialect) -> Rewriting:
    """Write every node that the tool does not take in operators that it takes, with equal numbers.

    The last of them has the node's name and outputs, the others its name and their operator. All have its
    metadata, and say under ``SOURCE_KEY`` of which node they are a part. Weights keep names and values.
    """
    writer = _Writer(model, dialect)
    replaced = sum([writer.write(node) for node in list(model.graph)])
    with passes.weights_as_inputs(model.graph):
        if writer.defined:
            passes.fold(model)
        common.RemoveUnusedNodesPass()(model)
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        common.NameFixPass()(model)
    left = {
        node.name or "": node.op_type
        for node in model.graph
        if node.domain or node.op_type not in dialect.takes
    }
    return Rewriting(replaced, left)


class _Writer:
    def __init__(self, model: ir.Model, dialect: Dialect) -> None:
        self._graph, self._dialect = model.graph, dialect
        self._opset = model.opset_imports[""]
        self._constants: set[ir.Value | None] = {None, *model.graph.initializers.values()}
        for node in model.graph:  # in order
            if self._constants.issuperset(node.inputs):
                self._constants.update(node.outputs)
        self._names = {node.name for node in model.graph}
        self.defined = False

    def write(self, node: ir.Node) -> bool:
        """Write the node in other operators, and those in others if they have to be; False if it may stay."""
        parts = Parts(node, self._opset, self._constants)
        results = self._results(node, parts)
        if results is None:
            return False
        self._name(node, parts.nodes, results)
        graph = self._graph
        ir.convenience.replace_nodes_and_values(graph, node, [node], parts.nodes, node.outputs, results)
        for part in parts.nodes:
            self.write(part)
        return True

    def _results(self, node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
        if node.domain:
            return None
        rule = self._dialect.rules.get(node.op_type)
        results = None if rule is None else rule(node, parts)
        if results is None and node.op_type not in self._dialect.takes:
            parts.clear()
            results = by_definition(node, parts)
            self.defined |= results is not None
        return results

    def _name(self, node: ir.Node, parts: Sequence[ir.Node], results: Sequence[ir.Value]) -> None:
        last = results[0].producer()
        for part in parts:
            part.metadata_props.update({SOURCE_KEY: node.name or "", **node.metadata_props})
            part.name = (
                node.name if part is last else self._free(f"{node.name or node.op_type}_{part.op_type}")
            )
            for value in part.outputs:
                value.name = value.name or self._free(f"{part.name}_output")

    def _free(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}_{count}"
        self._names.add(name)
        return name
