"""The columns of nodes that only the graph knows: shapes, attributes, the kind of work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from onnxlens.reports.numbers import shapes
from onnxlens.reports.tables.render import Cell, Column, first_of
from onnxlens.specs.grouping import NodeFacts
from onnxlens.specs.ledger import Ledger, NodeCost

FACTS: Mapping[str, Callable[[NodeFacts, int | None], Cell]] = MappingProxyType(
    {
        "inputs": lambda facts, limit: shapes(facts.inputs, limit),
        "outputs": lambda facts, limit: shapes(facts.outputs, limit),
        "attributes": lambda facts, limit: first_of(_attributes(facts), limit, " ") or None,
        "family": lambda facts, limit: facts.family,
        "resolution": lambda facts, limit: facts.resolution,
        "dtype": lambda facts, limit: facts.dtype,
    }
)
"""The columns of nodes that only the graph knows, computed where they are named."""


def _attributes(facts: NodeFacts) -> Sequence[str]:
    """``kernel_shape=3,3``."""
    return [
        f"{name}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in facts.attributes.items()
    ]


def fact_column(name: str, ledger: Ledger) -> Column[NodeCost]:
    """The column of nodes; empty where the ledger has no facts."""
    found = {id(node): facts for node, facts in zip(ledger.nodes, ledger.facts, strict=False)}

    def cell(limit: int | None, node: NodeCost) -> Cell:
        facts = found.get(id(node))
        return None if facts is None else FACTS[name](facts, limit)

    return Column("", partial(cell, None), partial(cell, 2))
