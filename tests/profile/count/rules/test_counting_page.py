"""The page of conventions names every operator in its section; its tables are what is counted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest

from onnxlens.profile.count.rules import Traffic, Work, known_operators, lookup
from onnxlens.profile.count.rules.elementwise import PER_ELEMENT
from onnxlens.profile.count.rules.microsoft.elementwise import PER_ELEMENT as MICROSOFT_PER_ELEMENT
from tests.profile.count.rules.nodes import node

PAGE = (Path(__file__).parents[4] / "docs" / "counting.md").read_text(encoding="utf-8")
ONNX, MICROSOFT, OTHERS = "The operators", "ONNX Runtime's operators", "Other quantizers' operators"


def table_rows(section: str) -> list[list[str]]:
    """The cells of every table row under the page's heading ``section``."""
    _, rest = PAGE.split(f"\n## {section}\n")
    rows = [line for line in rest.split("\n## ")[0].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def named_in(cell: str) -> set[str]:
    return set(re.findall(r"`([A-Z]\w+)`", cell))


def section_of(operator: tuple[str, str]) -> str:
    """ONNX's own operators, those that ONNX Runtime adds to any domain, those of quantizers."""
    domain, op_type = operator
    if domain.startswith(("com.microsoft", "com.ms.")) or not domain:
        return ONNX if onnx.defs.has(op_type, domain) else MICROSOFT
    return ONNX if domain.startswith("ai.onnx") else OTHERS


@pytest.mark.parametrize("operator", sorted(known_operators()), ids=":".join)
def test_every_operator_is_in_a_table_of_its_section(operator: tuple[str, str]) -> None:
    assert any(operator[1] in named_in(cell) for row in table_rows(section_of(operator)) for cell in row)


@pytest.mark.parametrize("domain", ["com.microsoft.nchwc", "com.ms.internal.nhwc"])
def test_a_layout_lists_its_operators(domain: str) -> None:
    (row,) = (row for row in table_rows(MICROSOFT) if row[0] == domain)
    known = {op_type for known, op_type in known_operators() if known == domain}
    assert named_in(re.sub(r"\(as `\w+`\)", "", row[1])) == known


@pytest.mark.parametrize("section", [ONNX, MICROSOFT, OTHERS])
def test_the_tables_name_no_other_operator(section: str) -> None:
    first_cells = [row[0] for row in table_rows(section)]
    known = {op_type for domain, op_type in known_operators() if section_of((domain, op_type)) == section}
    assert set().union(*map(named_in, first_cells)) <= known


@pytest.mark.parametrize(
    ("section", "counted"), [(ONNX, PER_ELEMENT), (MICROSOFT, MICROSOFT_PER_ELEMENT)], ids=[ONNX, MICROSOFT]
)
def test_the_element_wise_table_is_what_is_counted(section: str, counted: Mapping[str, Work]) -> None:
    stated = {
        name: (int(vector), int(special))
        for operators, *costs in table_rows(section)
        if len(costs) == 2 and all(cost.isdigit() for cost in costs)
        for vector, special in [costs]
        for name in named_in(operators)
    }
    assert stated == {name: (cost.vector_ops, cost.special_ops) for name, cost in counted.items()}


def test_the_example_of_a_registered_rule_prints_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lookup, "_registered", {})
    example, _ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out.strip() == example.rpartition("#")[2].strip() == "8388608"
    ((operator, registered),) = lookup._registered.items()
    assert operator == ("acme.npu", "FusedBlock")
    block = node("FusedBlock", [(1, 64, 32, 32), (128, 64)], [(1, 128, 32, 32)], weights=(1,))
    # 1 x 128 x 32 x 32 outputs; half a byte a weight
    assert registered.rule(block) == Work(131_072 * 64, 2 * 131_072, 131_072)
    assert registered.traffic is not None
    assert registered.traffic(block) == Traffic(128 * 64 // 2, 4 * 65_536, 4 * 131_072)


def test_operators_listed_as_without_a_rule_have_none() -> None:
    _, without = PAGE.split("\n## What has no rule\n")
    assert named_in(without)
    assert not named_in(without) & {op_type for _, op_type in known_operators()}
