from __future__ import annotations

from math import inf, nan
from pathlib import Path

import pytest

import onnxlens as api
from onnxlens.errors import GraphError, UsageError
from onnxlens.profile.count.measured import with_measurements
from onnxlens.reports.tables.ledger import cost_table
from onnxlens.reports.tables.query import Asked, Query, understood
from onnxlens.specs.measured import Measurements, ModuleError, ModuleTiming, NodeTiming
from tests.profile.models import op, save, save_net, value
from tests.reports import ledgers


def test_figures_are_at_their_modules_and_all_else_stays_none() -> None:
    ledger = with_measurements(
        ledgers.ledger(), [ModuleTiming("block", 0.5), ModuleTiming("", 2.0)], [ModuleError("head", 1e-6)]
    )
    assert [(m.path, m.latency_s, m.parity_error) for m in ledger.modules] == [
        ("", 2.0, None),
        ("block", 0.5, None),
        ("block.conv", None, None),
        ("head", None, 1e-6),
        ("unused", None, None),
    ]
    assert (ledger.totals.latency_s, ledger.totals.parity_error) == (2.0, None)
    # the block's 1,769,472 MACs in half a second
    assert ledger.modules[1].achieved_macs_per_s == 3_538_944
    assert ledger.modules[2].achieved_macs_per_s is None
    assert ledger.notes == ledgers.ledger().notes


def test_nothing_measured_changes_nothing() -> None:
    assert with_measurements(ledgers.ledger()) == ledgers.ledger()


def test_one_measurement_does_not_take_another_away() -> None:
    first = with_measurements(ledgers.ledger(), [ModuleTiming("", 2.0)])
    both = with_measurements(first, errors=[ModuleError("", 0.0)])
    assert (both.totals.latency_s, both.totals.parity_error) == (2.0, 0.0)
    assert (both.modules[0].latency_s, both.modules[0].parity_error) == (2.0, 0.0)


def rolled_up(folder: Path, *times: tuple[str, float]) -> dict[str, tuple[float | None, bool]]:
    ledger = api.ledger_of(save_net(folder), timings=[ModuleTiming(*pair) for pair in times])
    lower = "latency_s" in (ledger.totals.lower_bounds or ())
    assert (ledger.totals.latency_s, lower) == (ledger.modules[0].latency_s, lower)
    return {
        module.path: (module.latency_s, "latency_s" in (module.lower_bounds or ()))
        for module in ledger.modules
    }


def test_times_add_up_to_the_modules_around_them(tmp_path: Path) -> None:
    """body holds body.0, whose convolution and own sum take time; the model has a pooling of its own."""
    found = rolled_up(tmp_path, ("body.0.conv", 0.25), ("stem", 0.5), ("head", 2.0))
    assert found["body.0.conv"] == (0.25, False)
    assert found["body.0"] == (0.25, True)  # and what its sum takes
    assert found[""] == (2.75, True)
    whole = rolled_up(
        tmp_path, ("body.0", 0.75), ("body.0.conv", 0.25), (api.ledger_of(save_net(tmp_path)).graph, 9.0)
    )
    assert whole["body.0"] == (0.75, False)  # its own time, not that of its parts
    assert whole[""] == (9.0, False)  # by the graph's name


def test_a_module_that_only_holds_others_takes_what_they_take(tmp_path: Path) -> None:
    nodes = [
        op("Relu", "x", "a", "stage.0"),
        op("Neg", "a", "b", "stage.1"),
        op("Abs", "b", "y", "stage.1.deep"),
    ]
    path = save(tmp_path, nodes, [value("x", (10,))], [value("y", (10,))])
    times = [ModuleTiming("stage.0", 0.5), ModuleTiming("stage.1", 0.25)]
    ledger = api.ledger_of(path, timings=times)
    root = ledger.modules[0]
    assert (root.latency_s, root.lower_bounds) == (0.75, None)


def test_a_module_that_was_fused_says_where_its_time_is(tmp_path: Path) -> None:
    times = [ModuleTiming("", 2.0), ModuleTiming("stem", 0.5), ModuleTiming("relu", None, ("stem", ""))]
    ledger = api.ledger_of(save_net(tmp_path), timings=times)
    relu = next(module for module in ledger.modules if module.path == "relu")
    assert (relu.latency_s, relu.timed_in) == (None, ("stem", ""))
    asked = understood(Asked(columns="path,latency,timed_in", where=["path==relu"]))
    assert "in stem, +1 more" in cost_table(ledger, asked)
    assert cost_table(ledger, asked, "csv").splitlines()[1] == f'relu,,"stem, {ledger.graph}"'
    with pytest.raises(GraphError, match="time None, and that of None"):
        ModuleTiming("relu", None)


def test_own_time_is_that_of_kernels_and_not_what_remains(tmp_path: Path) -> None:
    """Medians do not subtract: without the kernels' times a module has no own one."""
    path = save_net(tmp_path)
    timings = [ModuleTiming("", 2.0), ModuleTiming("stem", 0.5), ModuleTiming("relu", None, ("stem",))]
    names = {node.module_path: node.node for node in api.ledger_of(path).nodes}
    kernels = [
        NodeTiming("fused", "FusedConv", "stem", 0.0, 0.25, (names["stem"], names["relu"])),
        NodeTiming("second", "Conv", "stem", 0.25, 0.25, (names["stem"],)),
        NodeTiming("copy", "Reorder", None, 0.5, 0.5),
    ]
    measured = api.ledger_of(path, timings=timings, nodes=kernels)
    asked = understood(Asked(columns="path,own_latency,own_latency_percent", where=["path~^(stem|relu)$"]))
    lines = [line.split() for line in cost_table(measured, asked).splitlines()]
    assert ["stem", "500", "ms", "50", "%"] in lines  # of a whole second, the kernel of none included
    assert ["relu", "in", "stem", "-"] in lines
    with pytest.raises(UsageError, match="own_latency_s holds no figure"):
        cost_table(api.ledger_of(path, timings=timings), asked)


def test_no_rate_follows_from_a_part_of_the_time(tmp_path: Path) -> None:
    ledger = api.ledger_of(save_net(tmp_path), timings=[ModuleTiming("stem", 0.5)])
    assert (ledger.modules[0].latency_s, ledger.modules[0].achieved_macs_per_s) == (0.5, None)
    text = cost_table(ledger, Query())
    assert "latency: >= 500 ms, of the modules that were timed" in text
    assert "MACs/s achieved" not in text


def test_no_time_at_all_gives_no_rate() -> None:
    assert with_measurements(ledgers.ledger(), [ModuleTiming("", 0.0)]).modules[0].achieved_macs_per_s is None


def test_what_belongs_to_no_row_is_noted() -> None:
    ledger = with_measurements(ledgers.ledger(), [ModuleTiming("elsewhere", 1.0)])
    assert ledger.notes[-1] == "times of modules that have no row: 1 (first: elsewhere)"


def test_a_module_that_was_measured_twice_is_refused() -> None:
    with pytest.raises(GraphError, match="module 'head': two times were measured, 1.0 and 2.0"):
        with_measurements(ledgers.ledger(), [ModuleTiming("head", 1.0), ModuleTiming("head", 2.0)])


@pytest.mark.parametrize("seconds", [-1.0, inf, nan])
def test_a_time_is_finite_and_not_negative(seconds: float) -> None:
    with pytest.raises(GraphError, match="expected a finite number, 0 or more"):
        ModuleTiming("", seconds)
    with pytest.raises(GraphError, match="node 'n': duration"):
        NodeTiming("n", "Conv", "", 0.0, seconds)


def test_an_error_may_be_infinite_but_is_a_number() -> None:
    assert ModuleError("", inf).rel_l2 == inf
    for figure in (-1.0, nan):
        with pytest.raises(GraphError, match="expected 0 or more, or infinity"):
            ModuleError("", figure)


def test_measurements_add_up() -> None:
    times = Measurements(timings=(ModuleTiming("", 1.0),), notes=("a",))
    errors = Measurements(errors=(ModuleError("", 0.0),), notes=("b",))
    assert times + errors == Measurements((ModuleTiming("", 1.0),), (ModuleError("", 0.0),), (), ("a", "b"))
