"""A catalog graph at sizes that its one export was not made at, against true exports."""

from __future__ import annotations

import pytest

from onnxlens.api.opened import OpenedTarget
from onnxlens.api.target import Settings
from onnxlens.errors import UsageError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.reference_model import catalog
from onnxlens.specs.formula import FORMULAS


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names())
def test_costs_are_those_of_a_true_export(name: str) -> None:
    least = catalog.ENTRIES[name].smallest_side
    with OpenedTarget(name) as any_size:
        for batch, height, width in ((1, 2 * least, 3 * least), (3, 5 * least, 4 * least)):
            found = any_size.graph_at({"batch": batch, "height": height, "width": width})
            with OpenedTarget(name, Settings(batch=batch, height=height, width=width)) as exported:
                expected = exported.ledger
            costs = [
                [
                    (module.path, *(getattr(module, column) for column in FORMULAS))
                    for module in ledger.modules
                ]
                for ledger in (build_ledger(found), expected)
            ]
            assert costs[0] == costs[1]


def test_a_network_whose_nodes_vary_has_no_formula() -> None:
    with (
        OpenedTarget("uniformer-seg") as it,
        pytest.raises(UsageError, match="^uniformer-seg: its adaptive pool"),
    ):
        it.sizes.variables(())
