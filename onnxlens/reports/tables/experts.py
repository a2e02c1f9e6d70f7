"""The columns of mixtures of experts: what one token uses of the params, what a batch reads on average.

Only a ledger with experts has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any

from onnxlens.reports.numbers import short_bytes, short_count
from onnxlens.reports.tables.render import Column
from onnxlens.specs.experts import Routing
from onnxlens.specs.groups import nodes_inside
from onnxlens.specs.ledger import Ledger

Of = Callable[[Ledger], Callable[[Any], list[Routing]]]


def of_modules(ledger: Ledger) -> Callable[[Any], list[Routing]]:
    """The experts inside a module."""
    inside = nodes_inside(ledger)
    return lambda module: [ledger.experts[i] for i in inside[module.path] if i in ledger.experts]


def of_nodes(ledger: Ledger) -> Callable[[Any], list[Routing]]:
    """The experts of a node."""
    found = {id(ledger.nodes[index]): [routing] for index, routing in ledger.experts.items()}
    return lambda node: found.get(id(node), [])


def expert_columns(of: Of) -> Mapping[str, Callable[[Ledger], Column[Any]]]:
    """Params without those of experts that a token misses; weights read without those that tokens miss."""

    def active(row: Any, routings: list[Routing]) -> int:
        params: int = row.params
        return params - sum(each.inactive_params for each in routings)

    def expected(row: Any, routings: list[Routing]) -> int:
        read: int = row.weight_read_bytes
        return read - round(sum(each.spared_bytes for each in routings))

    def built(
        figure: Callable[[Any, list[Routing]], int], short: Callable[[float], str], ledger: Ledger
    ) -> Column[Any]:
        routings = cache(partial(of, ledger))  # few tables show them

        def exact(row: Any) -> int | None:
            return figure(row, routings()(row)) if ledger.experts else None

        def text(row: Any) -> str:
            value = exact(row)
            return "-" if value is None else short(value)

        return Column("", exact, text, right=True)

    return MappingProxyType(
        {
            "active_params": partial(built, active, short_count),
            "expected_weight_read_bytes": partial(built, expected, short_bytes),
        }
    )
