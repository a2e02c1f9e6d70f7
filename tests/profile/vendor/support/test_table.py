"""Tables of rules and of runs: what they say of a node, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.profile.vendor.support.table import SupportTable, load_table, tables
from onnxlens.profile.vendor.support.verdicts import traits, verdict_of


def table(tmp_path: Path, text: str) -> SupportTable:
    path = tmp_path / "acme.toml"
    path.write_text(text)
    return load_table(path)


def conv(x: Any = (1, 3, 8, 8), w: Any = (4, 3, 3, 3), dtype: str = "float32", **attributes: Any) -> NodeView:
    inputs = (ValueView("x", dtype, x), ValueView("w", dtype, w, True))
    return NodeView("Conv", inputs, (ValueView("y", dtype, None),), attributes, "", 18, "conv")


RULES = """
title = "Acme"
types = ["float32", "int8"]
[operators.Conv]
opsets = [1, 20]
ranks = [4]
constant = [1]
limits = ["kernel <= 11", "dilation == 1", "group == 1", "auto_pad == NOTSET"]
[[operators.Resize]]
limits = ["mode == nearest"]
[[operators.Resize]]
limits = ["mode == linear", "antialias == 0"]
"""


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (conv(), "accepted"),
        (conv(w=(4, 3, 11, 11)), "accepted"),  # the kernel is that of the weights
        (conv(w=(4, 3, 12, 3)), "kernel_shape is 12 x 3, not <= 11"),
        (conv(kernel_shape=(3, 13)), "kernel_shape is 3 x 13, not <= 11"),
        (conv(dilations=(1, 2)), "dilations is 1 x 2, not == 1"),
        (conv(group=3), "group is 3, not == 1"),
        (conv(auto_pad="SAME_UPPER"), "auto_pad is SAME_UPPER, not == NOTSET"),
        (conv(x=(1, 3, 8), w=(4, 3, 3)), "rank 3"),
        (conv(dtype="float16"), "input 0 is float16"),
    ],
)
def test_a_rule_is_kept_or_broken(tmp_path: Path, node: NodeView, expected: str) -> None:
    verdict = verdict_of(table(tmp_path, RULES), node)
    assert (verdict.support, verdict.reason) == (
        ("accepted", "") if expected == "accepted" else ("refused", expected)
    )


def test_what_is_not_known_of_a_node_is_no_refusal(tmp_path: Path) -> None:
    verdict = verdict_of(table(tmp_path, RULES), conv(x=None))
    assert (verdict.support, verdict.reason) == ("unknown", "the rank of its input is unknown")


def test_one_of_several_rules_is_enough(tmp_path: Path) -> None:
    rules = table(tmp_path, RULES)

    def resize(**attributes: Any) -> str:
        node = NodeView("Resize", (ValueView("x", "int8", (1, 1, 4, 4)),), (None,), attributes)
        return verdict_of(rules, node).support

    assert [resize(), resize(mode="linear"), resize(mode="cubic")] == ["accepted", "accepted", "refused"]
    assert resize(mode="linear", antialias=1) == "refused"


def test_an_operator_that_is_not_listed_is_refused_by_rules_and_unknown_to_runs(tmp_path: Path) -> None:
    node = NodeView("Gelu", (ValueView("x", "float32", (1,)),), (None,), {}, "com.microsoft")
    verdict = verdict_of(table(tmp_path, RULES), node)
    assert (verdict.support, verdict.reason) == ("refused", "com.microsoft.Gelu is not in the table")
    runs = '[operators.Relu]\ncases = [{ types = ["float32"], rank = 3, accepted = 1 }]'
    assert verdict_of(table(tmp_path, runs), node).support == "unknown"


CASES = """
tool = "acme"
[operators.Conv]
cases = [
  { types = ["float32", "float32"], rank = 4, constant = [1], accepted = 5 },
  { types = ["float32", "float32"], rank = 4, constant = [1], attributes = { dilations = [2] }, wrong = 1, reason = "error 0.5" },
  { types = ["float32", "float32"], rank = 3, constant = [1], refused = 2, reason = "rank" },
  { types = ["float32", "float32"], rank = 4, constant = [1], attributes = { group = 2 }, accepted = 1, crashed = 1, reason = "signal" },
]
"""  # noqa: E501


@pytest.mark.parametrize(
    ("node", "support", "reason"),
    [
        (conv(pads=(0, 0, 0, 0), dilations=(1, 1)), "accepted", ""),
        (conv(dilations=(3, 3)), "wrong", "error 0.5"),
        (conv(x=(1, 3, 8), w=(4, 3, 3)), "refused", "rank"),
        (conv(group=3), "unknown", "of runs like it: 1 accepted, 1 crashed (signal)"),
        (conv(dtype="float16"), "unknown", "tried with float32, not with float16"),
        (conv(x=(1, 3, 4, 8, 8)), "unknown", "of runs with other ranks: 5 accepted, 2 refused (rank)"),
        (conv(strides=(2, 2)), "accepted", "tried with other attributes"),
        (conv(x=(1, 3, 8), w=(4, 3, 3), strides=(2,)), "unknown", "refused with other attributes (rank)"),
    ],
)
def test_runs_on_the_nodes_most_like_it_decide(
    tmp_path: Path, node: NodeView, support: str, reason: str
) -> None:
    verdict = verdict_of(table(tmp_path, CASES), node)
    assert verdict.support == support
    assert verdict.reason.startswith(reason) if reason else not verdict.reason


def test_traits_are_few_values_and_leave_out_defaults_and_sizes() -> None:
    given = {"kernel_shape": (7, 7), "strides": (1, 1), "pads": (0, 3, 0, 1), "group": 32, "alpha": 0.2}
    assert traits("Conv", 18, "", given, 4) == {"pads": [0, 1, 2], "group": 2}
    assert traits("Softmax", 13, "", {"axis": -1}, 3) == {}  # the default
    assert traits("Softmax", 13, "", {"axis": 2}, 3) == {}  # the same
    assert traits("Softmax", 13, "", {"axis": 1}, 3) == {"axis": "between"}
    assert traits("Concat", 13, "", {"axis": 0}, 3) == {"axis": "first"}  # it has no default
    assert traits("Resize", 18, "", {"mode": "linear"}, 4) == {"mode": "linear"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("title = ", "cannot be read as TOML"),
        ("title = 'x'", "operators: lists none; add"),
        ("[operators.Conv]\nrank = [4]", "Conv: has the key 'rank', which is none; did you mean 'ranks'?"),
        ("operator = 1", "did you mean 'operators'?"),
        ("[operators.Conv]\nranks = 4", "Conv.ranks: 4; expected a list"),
        ("[operators.Conv]\nranks = ['4']", "expected whole numbers"),
        ("[operators.Conv]\ntypes = ['float']", "'float' is no type; they are"),
        ("[operators.Conv]\nopsets = [18]", "expected the lowest and the highest, \\[1, 18\\]"),
        ("[operators.Conv]\nlimits = ['kernel 3']", "expected an attribute, a sign and a value"),
        ("[operators.Conv]\nlimits = ['mode < linear']", "only numbers are more or less"),
        ("[operators.Conv]\nlimits = ['kernl < 3']", "'kernl < 3': its attributes are auto_pad, dilations, "),
        ("[operators.Relu]\nlimits = ['kernel < 3']", "'kernel < 3': its attributes are "),
        ("[operators.Conv]\nconstant = [3]", "Conv.constant: \\[3\\]; its inputs are 0 to 2"),
        ("[operators.Conv]\nconstant = [-1]", "its inputs are 0 to 2"),
        ("[operators.Convv]", "ONNX has no 'Convv'; did you mean 'Conv'?"),
        ("[operators]\nConv = 1", "Conv: 1; expected a table"),
        ("[operators.Conv]\ncases = [{ types = ['float32'] }]", "expected how many runs were"),
        ("[operators.Conv]\ncases = [{ accepted = 0 }]", "expected how many runs were"),
    ],
)
def test_a_fault_names_the_file_and_the_key(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as raised:
        table(tmp_path, text)
    assert str(raised.value).startswith(str(tmp_path / "acme.toml"))


def test_there_is_no_such_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no table of what 'acme' supports; there are"):
        load_table("acme")
    with pytest.raises(UsageError, match="cannot be read"):
        load_table(tmp_path / "absent.toml")


@pytest.mark.parametrize("name", tables())
def test_every_table_of_the_package_says_what_it_is_of(name: str) -> None:
    found = load_table(name)
    assert found.version and found.date and " runs of " in found.how and found.cases["Relu"]


def test_the_ethos_u_divides_nothing() -> None:
    """As Arm's list of operators says too; Add and Conv are on it."""
    found = load_table("ethos-u")
    x = ValueView("x", "float32", (1, 8, 16, 16))
    verdicts = {
        name: verdict_of(found, NodeView(name, (x, x), (x,), {}, "", 14, "n")) for name in ("Add", "Div")
    }
    assert {name: each.support for name, each in verdicts.items()} == {"Add": "accepted", "Div": "refused"}
    assert verdicts["Div"].reason.startswith("Vela leaves DIV to the processor")
    assert verdict_of(found, conv()).support == "accepted"
