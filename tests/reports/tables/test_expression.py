"""Conditions of ``--where``: what they mean, where they end, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from onnxlens.errors import UsageError
from onnxlens.reports.tables.expression import comparisons, decided, parse

TEXTS = frozenset({"path", "class"})
NAMES = {"path", "class", "macs", "latency_s", "moved_bytes", "order"}
ROW = {"path": "blocks.1.attn", "class": "Conv2d", "macs": 10, "moved_bytes": 2 * 2**20, "order": 3}


def resolve(name: str) -> str:
    if name not in NAMES:
        raise UsageError(f"no column {name}")
    return name


def value(text: str, row: dict[str, Any] | None = None, lower: tuple[str, ...] = ()) -> bool | None:
    row = ROW if row is None else row
    return decided(
        parse(text, resolve, TEXTS),
        lambda each: each.holds(row.get(each.column), lower=each.column in lower),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("macs==10", True), ("macs = 10", True), ("macs!=10", False), ("macs<10", False), ("macs<=10", True),
        ("macs>9.5", True), ("macs>=1e1", True), ("moved_bytes==2MiB", True), ("moved_bytes>=2.1 MB", False),
        ("class=='Conv2d'", True), ('class=="Conv2d"', True), ("class==Conv2d", True),
        ("'class'!=Conv2d", False),
        ("path~attn$", True), ("path!~^blocks", False), ("path~'^blocks[.]1 '", False),
        ("macs>5 and macs<8", False), ("macs>5 or macs<3", True), ("not macs>5", False),
        ("macs<5 and macs>1 or macs==10", True),  # and binds closer
        ("macs<5 and (macs>1 or macs==10)", False),
        ("not macs<5 and not (macs==9 or macs==8)", True), ("NOT macs<5 AND macs==10", True),
        ("(path~^(blocks|middle).*(attn|ff) and macs>1)", True), (r"path~[(]|\.1\.", True),
        ("path~(x y|attn) and order==3", True), ("(macs>1G)or(class==Conv2d)", True),
    ],
)  # fmt: skip
def test_a_condition_means_what_it_says(text: str, expected: bool) -> None:
    assert value(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency_s>1ms", None), ("not latency_s>1ms", None), ("latency_s>1 or macs==10", True),
        ("latency_s>1 or macs==11", None), ("latency_s>1 and macs==11", False),
        ("latency_s>1 and macs==10", None),
    ],
)  # fmt: skip
def test_a_missing_figure_is_neither_true_nor_false(text: str, expected: bool | None) -> None:
    assert value(text) is expected


@pytest.mark.parametrize("symbol", ["==", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("bound", [9, 10, 11])
def test_a_lower_bound_decides_only_what_every_larger_figure_would(symbol: str, bound: int) -> None:
    # what is at least ``bound`` may be any of these
    outcomes = {value(f"macs{symbol}10", {"macs": figure}) for figure in range(bound, 13)}
    expected = outcomes.pop() if len(outcomes) == 1 else None
    assert value(f"macs{symbol}10", {"macs": bound}, lower=("macs",)) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected COLUMN OPERATOR VALUE"), ("macs", "an operator is missing: macs holds numbers"),
        ("macs>", "'' is not a number"), ("macs>many", "'many' is not a number"),
        ("macs>nan", "nothing compares with 'nan'"),
        ("macs>5ms", "'ms' is not a unit of macs; there are k, M,"),
        ("macs=>5", r"no operator '=>'; did you mean >=\?"), ("macs<>5", r"did you mean !=\?"),
        ("class=~Conv", r"no operator '=~'; did you mean ~\?"), ("class is Conv2d", r"did you mean ==\?"),
        ("macs like 5", "no operator 'like'; macs holds numbers; compare it with == != < <= > >="),
        ("macs~1", "macs holds numbers; compare it with == != < <= > >="),
        ("path>a", "path holds text; compare it with == != ~ !~"),
        ("path~(", r"'\(' is not a regular expression"), ("path==", "a value is missing after =="),
        ("path=='a", "the quote before 'a' is not closed"), ("(macs>1", r"a '\)' is missing"),
        ("macs>1)", r"'\)' follows a whole condition"), ("macs>1 path~b", "join conditions with and, or"),
        ("macs>1 && macs<5", "join conditions with and, or"),
        ("class==A||macs>1", "join conditions with and, or"),
        ("(" * 51 + "macs>1", "more than 50 levels"), ("not " * 51 + "macs>1", "more than 50 levels"),
        ("macs>1 and", "expected COLUMN OPERATOR VALUE"), ("colour==red", "no column colour"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused_with_the_remedy(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        parse(text, resolve, TEXTS)
    assert "\n" not in str(raised.value)


def test_a_comparison_knows_how_it_was_written() -> None:
    found = comparisons(parse("macs > 1 G and not(path ~ 'a b')", resolve, TEXTS))
    assert [each.text for each in found] == ["macs > 1 G", "path ~ 'a b'"]
