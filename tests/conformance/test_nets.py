"""Networks of every kind, exported at two opsets: PyTorch's own counter has to agree, module by module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from onnxlens.specs.ledger import Ledger
from tests.conformance.conftest import LedgerOf
from tests.conformance.nets import NETS

OPSETS = (18, 23)
COLUMNS = ("macs", "vector_ops", "special_ops", "weight_read_bytes", "read_bytes", "write_bytes")


def on_meta(name: str) -> nn.Module:
    """The network without memory: on a CPU the counter misses attention and recurrent layers."""
    with torch.device("meta"):
        return NETS[name].factory().eval()


def macs_by_torch(name: str) -> dict[str, int]:
    """FLOPs / 2 of every module that has any, by its path; "" is the network."""
    module = on_meta(name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*NETS[name].samples())
    counts = {where: sum(flops.values()) // 2 for where, flops in counter.get_flop_counts().items()}
    inside = {where.partition(".")[2]: macs for where, macs in counts.items() if where != "Global"}
    return {path: macs for path, macs in inside.items() if macs}


def macs_by_module(ledger: Ledger) -> dict[str, int]:
    return {module.path: module.macs for module in ledger.modules if module.macs}


def sums(rows: Iterable[Any], column: str) -> int:
    return sum(getattr(row, column) for row in rows)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", NETS)
def test_macs_are_those_that_torch_counts(name: str, opset: int, ledger_at: LedgerOf) -> None:
    net, ledger = NETS[name], ledger_at(name, opset)
    counted = macs_by_torch(name)
    assert ledger.totals.macs == counted.get("", 0) + net.without_formula - net.before_run > 0
    if not net.without_formula and not net.before_run:
        assert macs_by_module(ledger) == counted


@pytest.mark.parametrize("name", NETS)
def test_two_opsets_agree(name: str, ledger_at: LedgerOf) -> None:
    old, new = (ledger_at(name, opset) for opset in OPSETS)
    assert (old.opset, new.opset) == OPSETS
    assert macs_by_module(old) == macs_by_module(new)
    assert {module.path: module.params for module in old.modules} == {
        module.path: module.params for module in new.modules
    }


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", NETS)
def test_every_node_is_counted_and_every_parameter_once(name: str, opset: int, ledger_at: LedgerOf) -> None:
    ledger = ledger_at(name, opset)
    assert [node.reason for node in ledger.nodes if node.status == "unknown"] == []
    assert ledger.attribution == "metadata"
    assert ledger.totals.params == sum(parameter.numel() for parameter in on_meta(name).parameters())


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", NETS)
def test_rows_sum_to_totals(name: str, opset: int, ledger_at: LedgerOf) -> None:
    """A module's row is the sum of its children and its own nodes; operators and nodes sum to the totals."""
    ledger = ledger_at(name, opset)
    parents = {module.path: parent_of(module.path, ledger) for module in ledger.modules if module.path}
    for column in COLUMNS:
        total = getattr(ledger.totals, column)
        assert sums(ledger.operators, column) == sums(ledger.nodes, column) == total
        for module in ledger.modules:
            children = [child for child in ledger.modules if parents.get(child.path) == module.path]
            own = [node for node in ledger.nodes if node.module_path == module.path]
            assert getattr(module, column) == sums(children, column) + sums(own, column), module.path
    for operator in ledger.operators:
        same = [node for node in ledger.nodes if node.op_type == operator.op_type]
        assert all(sums(same, column) == getattr(operator, column) for column in COLUMNS)
    running = Counter(node.op_type for node in ledger.nodes if node.status != "free")
    assert ledger.modules[0].operators == running


def parent_of(path: str, ledger: Ledger) -> str:
    """The innermost module that contains ``path``, by the paths alone."""
    outer = [module.path for module in ledger.modules if path.startswith(f"{module.path}.")]
    return max(outer, key=len, default="")


@pytest.mark.parametrize("opset", OPSETS)
def test_what_depends_on_the_data_is_unknown_and_never_zero(opset: int, ledger_at: LedgerOf) -> None:
    ledger = ledger_at("routed_experts", opset)
    by_path = {module.path: module for module in ledger.modules}
    # 6 tokens of 8 into 2 scores; how many of them an expert gets is known at run time only
    assert ledger.totals.macs == by_path["gate"].macs == 6 * 8 * 2
    assert by_path["gate"].unknown_nodes == 0
    assert by_path["experts.0"].unknown_nodes == by_path["experts.1"].unknown_nodes == 1
    assert {node.op_type for node in ledger.nodes if node.status == "unknown"} >= {"NonZero", "Gemm"}
    assert all("dynamic" in node.reason for node in ledger.nodes if node.status == "unknown")
