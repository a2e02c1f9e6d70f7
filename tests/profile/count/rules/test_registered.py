"""Rules of users: registered in a program, or found by the entry point of an installed package."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import pytest

import onnxlens
from onnxlens import rules
from onnxlens.errors import UsageError
from onnxlens.profile.count.rules import NodeView, NotCountable, Traffic, Work, lookup
from tests.cli.calls import Outcome, onnxlens_process
from tests.profile.count.rules.nodes import node
from tests.profile.models import ledger_of, op, save, value, weight

FUSED = node("FusedBlock", [(2, 6, 10), (4, 6)], [(2, 4, 10)], weights=(1,), domain="acme.npu")


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test starts without registered rules, and leaves none."""
    monkeypatch.setattr(lookup, "_registered", {})
    lookup._installed.cache_clear()
    yield
    lookup._installed.cache_clear()


def fused_block(fused: NodeView) -> Work:
    """A 1x1 convolution and a Relu."""
    return Work(
        macs=prod(fused.output_shape()) * fused.input_shape(1)[1], vector_ops=prod(fused.output_shape())
    )


def compressed(fused: NodeView) -> Traffic:
    """Weights at half their size."""
    return Traffic(fused.input(1).size_bytes // 2, fused.input(0).size_bytes, fused.output().size_bytes)


def constantly(result: Any) -> Callable[[NodeView], Any]:
    return lambda _: result


def broken(fused: NodeView) -> Work:
    raise RuntimeError("no such engine")


def test_the_public_name_is_the_module() -> None:
    assert rules is onnxlens.rules is sys.modules["onnxlens.profile.count.rules"]
    assert {"NodeView", "NotCountable", "Traffic", "ValueView", "Work", "register"} <= set(rules.__all__)


def test_a_registered_rule_counts() -> None:
    with pytest.raises(NotCountable, match="no rule for acme.npu::FusedBlock"):
        rules.work_of(FUSED)
    rules.register("acme.npu", "FusedBlock", fused_block)
    # 2 x 4 x 10 outputs, each a sum over 6 channels
    assert rules.work_of(FUSED) == Work(macs=80 * 6, vector_ops=80)
    assert rules.traffic_of(FUSED) == Traffic(4 * 24, 4 * 120, 4 * 80)


def test_a_registered_traffic_rule_counts_the_bytes() -> None:
    rules.register("acme.npu", "FusedBlock", fused_block, traffic=compressed)
    assert rules.traffic_of(FUSED) == Traffic(2 * 24, 4 * 120, 4 * 80)


def test_a_built_in_rule_is_replaced_only_on_purpose() -> None:
    relu = node("Relu", [(5,)], [(5,)])
    for domain in ("", "ai.onnx"):
        with pytest.raises(UsageError) as refusal:
            rules.register(domain, "Relu", constantly(Work(vector_ops=7)))
        assert str(refusal.value) == (
            f"the rule for ai.onnx::Relu from {__name__} would replace onnxlens's own; "
            "onnxlens.rules.register(..., replace=True) does so"
        )
    assert rules.work_of(relu) == Work(vector_ops=5)
    rules.register("ai.onnx", "Relu", constantly(Work(vector_ops=7)), replace=True)
    assert rules.work_of(relu) == Work(vector_ops=7)


def test_a_second_rule_replaces_the_first_only_on_purpose() -> None:
    rules.register("acme.npu", "FusedBlock", fused_block)
    with pytest.raises(UsageError, match=f"would replace the rule for acme.npu::FusedBlock from {__name__};"):
        rules.register("acme.npu", "FusedBlock", constantly(Work(1)))
    rules.register("acme.npu", "FusedBlock", constantly(Work(1)), replace=True)
    assert rules.work_of(FUSED) == Work(1)


@pytest.mark.parametrize(
    "result", [Work(-1), Work(1.5), Work(True), 7, None, Traffic(1)], ids=str  # type: ignore[arg-type]
)  # fmt: skip
def test_a_result_that_is_not_work_is_refused(result: Any) -> None:
    rules.register("acme.npu", "FusedBlock", constantly(result))
    with pytest.raises(UsageError) as refusal:
        rules.work_of(FUSED)
    assert str(refusal.value) == (
        f"the rule for acme.npu::FusedBlock from {__name__} returned {result!r} for the node ''; "
        "expected a Work of non-negative ints"
    )


def test_a_result_that_is_not_traffic_is_refused() -> None:
    rules.register("acme.npu", "FusedBlock", fused_block, traffic=constantly(Traffic(write_bytes=-4)))
    with pytest.raises(UsageError, match="expected a Traffic of non-negative ints"):
        rules.traffic_of(FUSED)


@pytest.mark.parametrize("wrong", [{"rule": 3}, {"rule": fused_block, "traffic": 3}], ids=["rule", "traffic"])
def test_a_rule_must_be_a_function(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is 3; expected a function of a NodeView"):
        rules.register("acme.npu", "FusedBlock", **wrong)


def test_a_rule_that_fails_leaves_the_node_unknown() -> None:
    rules.register("acme.npu", "FusedBlock", broken)
    with pytest.raises(
        NotCountable, match=r"does not fit the rule for acme\.npu::FusedBlock.*no such engine"
    ):
        rules.work_of(FUSED)
    rules.register("acme.npu", "FusedBlock", lambda fused: Work(fused.input(9).elements), replace=True)
    with pytest.raises(NotCountable, match="^FusedBlock has no input 9$"):
        rules.work_of(FUSED)


def vendor_file(folder: Path) -> Path:
    """x -> FusedBlock -> FusedBlock -> Relu, the first two an operator of a compiler's."""
    return save(
        folder,
        [
            op("FusedBlock", "x w", "a", domain="acme.npu"),
            op("FusedBlock", "a v", "b", domain="acme.npu"),
            op("Relu", "b", "y"),
        ],
        [value("x", (2, 6, 10))],
        [value("y", (2, 3, 10))],
        weights=[weight("w", 4, 6), weight("v", 3, 4)],
        between=[value("a", (2, 4, 10)), value("b", (2, 3, 10))],
        opsets={"": 18, "acme.npu": 1},
    )


MACS = 80 * 6 + 60 * 4


def test_the_ledger_counts_and_says_by_which_rules(tmp_path: Path) -> None:
    path = vendor_file(tmp_path)
    _, before = ledger_of(path)
    assert (before.totals.macs, before.totals.unknown_nodes) == (0, 2)
    assert not [note for note in before.notes if "registered" in note]
    rules.register("acme.npu", "FusedBlock", fused_block)
    rules.register("", "Relu", constantly(Work(vector_ops=1)), replace=True)
    _, after = ledger_of(path)
    assert (after.totals.macs, after.totals.vector_ops, after.totals.unknown_nodes) == (MACS, 80 + 60 + 1, 0)
    assert (
        f"3 nodes counted by registered rules: acme.npu::FusedBlock from {__name__}, "
        f"ai.onnx::Relu from {__name__} in place of onnxlens's"
    ) in after.notes


RULES_OF_ACME = """
from math import prod
from onnxlens import rules

def add_rules(register):
    register("acme.npu", "FusedBlock", fused_block)

def fused_block(node):
    return rules.Work(macs=prod(node.output_shape()) * node.input_shape(1)[1])
"""


def install(folder: Path, source: str, package: str = "acme-rules", module: str = "acme_rules") -> None:
    """An installed package with an entry point: a module and its dist-info."""
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[onnxlens.rules]\n{module} = {module}:add_rules\n")
    (folder / f"{module}.py").write_text(source)


def onnxlens_with(site: Path, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Outcome:
    """A command line in a process that has ``site`` on its path."""
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    return onnxlens_process(*arguments)


def test_the_command_line_counts_by_the_rules_of_installed_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", RULES_OF_ACME)
    options = ("--strict", "--format", "json")
    done = onnxlens_with(tmp_path / "site", monkeypatch, "profile", vendor_file(tmp_path), *options)
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["totals"]["macs"] == MACS
    assert "2 nodes counted by registered rules: acme.npu::FusedBlock from acme-rules" in document["notes"]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import acme_engine\n", "ModuleNotFoundError: No module named 'acme_engine'"),
        ("def add_rules(): pass\n", "TypeError: add_rules() takes 0 positional arguments but 1 was given"),
        (
            "def add_rules(register): register('', 'Conv', print)\n",
            "UsageError: the rule for ai.onnx::Conv from acme-rules would replace onnxlens's own; "
            "onnxlens.rules.register(..., replace=True) does so",
        ),
    ],
    ids=["import", "signature", "ours"],
)
def test_a_broken_entry_point_is_one_line_with_the_packages_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, error: str
) -> None:
    install(tmp_path / "site", source)
    done = onnxlens_with(tmp_path / "site", monkeypatch, "profile", vendor_file(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "onnxlens: package acme-rules: its entry point acme_rules = acme_rules:add_rules "
        f"(group onnxlens.rules) failed: {error}; repair or uninstall the package\n"
    )


def test_two_packages_with_a_rule_for_one_operator_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        install(tmp_path, RULES_OF_ACME, f"{name}-rules", f"{name}_rules")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"FusedBlock from second-rules would replace .* from first-rules"):
        rules.work_of(FUSED)
    # a rule of the program's own comes before those of packages
    rules.register("acme.npu", "FusedBlock", constantly(Work(5)))
    assert rules.work_of(FUSED) == Work(5)


def test_entry_points_load_only_for_an_operator_without_a_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "import acme_engine\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert rules.work_of(node("Relu", [(5,)], [(5,)])) == Work(vector_ops=5)
    assert rules.known_operators()
    with pytest.raises(UsageError, match="package acme-rules"):
        rules.traffic_of(FUSED)
