"""The trace of a run: what it holds, and what Perfetto's own parser reads from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onnxlens.errors import UsageError
from onnxlens.reports.trace import trace_document
from onnxlens.specs.measured import NodeTiming, one_after_another
from tests.reports import ledgers, tool_costs
from tests.reports.trace_viewer import Opened, Slice, opened

MICRO = 1e-6
RUN = (
    NodeTiming("conv", "Conv", "block.conv", 10 * MICRO, 30 * MICRO, ("conv",)),
    NodeTiming("exp_sort", "FusedExp", "block", 40 * MICRO, 15 * MICRO, ("exp", "sort")),
    NodeTiming("reorder", "ReorderOutput", None, 55 * MICRO, 2 * MICRO),
    NodeTiming("fused_gemm", "FusedGemm", "head", 60 * MICRO, 1.5 * MICRO, ("gemm", "exp")),
    NodeTiming("conv_again", "Conv", "block.conv", 70 * MICRO, 10 * MICRO, ("elsewhere",)),
)

# The macs are those of the whole module: 1,769,472 of the convolution, 655,360 of the head, and both.
ALL, BLOCK, HEAD = 1_769_472 + 655_360, 1_769_472, 655_360
MODULE_SLICES = [
    Slice("modules", "net", 10_000, 70_000, 0, None, ALL),
    Slice("modules", "block", 10_000, 45_000, 1, "net", BLOCK),
    Slice("modules", "block.conv", 10_000, 30_000, 2, "block", BLOCK),
    Slice("modules", "head", 60_000, 1_500, 1, "net", HEAD),
    Slice("modules", "block", 70_000, 10_000, 1, "net", BLOCK),
    Slice("modules", "block.conv", 70_000, 10_000, 2, "block", BLOCK),
]
OPERATOR_SLICES = [
    Slice("operators", "conv", 10_000, 30_000, 0, None, 1_769_472),
    Slice("operators", "exp_sort", 40_000, 15_000, 0, None, None),  # sort is of an unknown operator
    Slice("operators", "reorder", 55_000, 2_000, 0, None, None),
    Slice("operators", "fused_gemm", 60_000, 1_500, 0, None, 655_360),
    Slice("operators", "conv_again", 70_000, 10_000, 0, None, None),
]


@pytest.fixture(scope="module")
def shown(node: str) -> Opened:
    return opened(trace_document(ledgers.ledger(), RUN), node)


def test_perfetto_shows_the_module_hierarchy_nested_on_one_track(shown: Opened) -> None:
    assert shown.track("modules") == MODULE_SLICES


def test_perfetto_shows_the_operators_on_another_track(shown: Opened) -> None:
    assert shown.track("operators") == OPERATOR_SLICES
    assert len(shown.slices) == len(MODULE_SLICES) + len(OPERATOR_SLICES)


def test_perfetto_reads_all_of_it_without_a_complaint(shown: Opened) -> None:
    assert shown.problems == ()
    assert shown.processes == ("net (net.onnx)",)


def test_perfetto_complains_of_slices_that_do_not_nest(node: str) -> None:
    """Proves that the parser reports problems at all."""
    document = trace_document(ledgers.ledger(), RUN)
    across = {**document["traceEvents"][-1], "ts": 75}
    shown = opened({**document, "traceEvents": [*document["traceEvents"], across]}, node)
    assert shown.problems == (("slice_drop_overlapping_complete_event", 1),)


def test_a_slice_has_the_number_of_its_segment_of_the_module() -> None:
    events = trace_document(ledgers.ledger(), RUN)["traceEvents"]
    segments = [
        (event["name"], event["args"].get("stretch")) for event in events if event.get("cat") == "module"
    ]
    assert segments == [
        ("net", None),
        ("block", "1 of 2"),
        ("block.conv", "1 of 2"),
        ("head", None),
        ("block", "2 of 2"),
        ("block.conv", "2 of 2"),
    ]


def test_the_order_in_which_nodes_are_given_does_not_matter() -> None:
    assert trace_document(ledgers.ledger(), RUN[::-1]) == trace_document(ledgers.ledger(), RUN)


def test_a_node_inside_another_nests_and_its_module_ends_with_it(node: str) -> None:
    """The loop is the block's; its body runs a node of the head, which is not in the block."""
    run = (
        NodeTiming("loop", "Loop", "block", 0, 100 * MICRO),
        NodeTiming("body", "Gemm", "head", 20 * MICRO, 30 * MICRO),
    )
    shown = opened(trace_document(ledgers.ledger(), run), node)
    assert shown.problems == ()
    assert [(s.name, s.ts, s.dur, s.depth) for s in shown.track("operators")] == [
        ("loop", 0, 100_000, 0),
        ("body", 20_000, 30_000, 1),
    ]
    assert [(s.name, s.ts, s.dur, s.depth) for s in shown.track("modules")] == [
        ("net", 0, 100_000, 0),
        ("block", 0, 20_000, 1),
        ("head", 20_000, 30_000, 1),
    ]


def test_nodes_that_overlap_by_a_rounding_error_still_follow_one_another(node: str) -> None:
    """0.1 + 0.2 is more than 0.3: the first node ends after the second starts, by less than a nanosecond."""
    run = (
        NodeTiming("exp", "Exp", "block", 0.1, 0.2),
        NodeTiming("gemm", "Gemm", "head", 0.3, 0.1),
    )
    assert run[0].end_s > run[1].start_s
    shown = opened(trace_document(ledgers.ledger(), run), node)
    assert [s.depth for s in shown.track("operators")] == [0, 0]
    assert [s.name for s in shown.track("modules")] == ["net", "block", "head"]


def test_durations_without_a_start_are_laid_end_to_end(node: str) -> None:
    run = one_after_another(replace(timing, start_s=0.0) for timing in RUN)
    shown = opened(trace_document(ledgers.ledger(), run), node)
    spans = [(0, 30_000), (30_000, 15_000), (45_000, 2_000), (47_000, 1_500), (48_500, 10_000)]
    assert [(s.ts, s.dur) for s in shown.track("operators")] == spans
    assert [s.name for s in shown.track("modules")] == [s.name for s in MODULE_SLICES]


def test_nodes_that_ran_at_once_are_refused_by_name() -> None:
    late = replace(RUN[1], start_s=30 * MICRO)
    with pytest.raises(UsageError, match="nodes 'conv' and 'exp_sort' ran at once"):
        trace_document(ledgers.ledger(), (RUN[0], late))


def test_a_report_with_times_is_a_process_of_its_own(node: str) -> None:
    shown = opened(trace_document(tool_costs.ledger(), RUN), node)
    assert shown.problems == ()
    assert sorted(shown.processes) == ["net (net.onnx)", "net by ethos-u-u55-256, one after another"]
    half = {each.name for each in shown.slices if each.dur == 500_000_000}  # the only time that is told
    assert half == {"net", "head", "gemm"}
    alone = trace_document(tool_costs.ledger(), ())["traceEvents"]
    assert {event["pid"] for event in alone} == {1}


def test_no_duration_is_invented() -> None:
    with pytest.raises(UsageError, match="a trace needs measured times; give --latency"):
        trace_document(ledgers.ledger(), ())
