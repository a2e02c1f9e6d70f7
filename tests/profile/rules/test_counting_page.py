"""The page that states the conventions names every operator; its element-wise table is what is counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onnxlens.profile.rules import known_operators
from onnxlens.profile.rules.elementwise import PER_ELEMENT

PAGE = (Path(__file__).parents[3] / "docs" / "counting.md").read_text(encoding="utf-8")


def table_rows() -> list[list[str]]:
    """The cells of every table row of the page."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def named_in(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


@pytest.mark.parametrize("operator", sorted(known_operators()), ids=":".join)
def test_every_operator_stands_in_a_table(operator: tuple[str, str]) -> None:
    assert any(operator[1] in named_in(cell) for row in table_rows() for cell in row)


def test_the_tables_name_no_other_operator() -> None:
    first_cells = [row[0] for row in table_rows()]
    assert set().union(*map(named_in, first_cells)) <= {op_type for _, op_type in known_operators()}


def test_the_element_wise_table_is_what_is_counted() -> None:
    stated = {
        name: (int(vector), int(special))
        for operators, *costs in table_rows()
        if len(costs) == 2 and all(cost.isdigit() for cost in costs)
        for vector, special in [costs]
        for name in named_in(operators)
    }
    assert stated == {name: (cost.vector_ops, cost.special_ops) for name, cost in PER_ELEMENT.items()}
