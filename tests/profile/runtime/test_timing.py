"""Times by module: node times and provenances are made up; the graph and its MACs are those of a net."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.runtime.profile_events import NodeRuns
from onnxlens.profile.runtime.provenance import Kind, Provenance
from onnxlens.profile.runtime.timing import Timing, build_timing
from onnxlens.specs.bench import ModuleTime, NodeTime
from tests.profile.models import ledger_of, save_net

# of the net: 4 channels on 8 x 8 positions, each over 3 channels x 9 taps; then over 4 channels x 1 tap
STEM_MACS, BLOCK_MACS = 4 * 64 * 27, 4 * 64 * 4
HEAD_MACS = 2 * 4

BEST = 10_000.0


def ran(node: str, *seconds: float, op_type: str = "Conv", known: bool = True) -> NodeRuns:
    return NodeRuns(node, known, op_type, seconds, (1,) * len(seconds))


def provenance(
    node: str, kind: Kind, sources: tuple[int, ...], path: str | None, op: str = "Conv"
) -> Provenance:
    return Provenance(node, op, "", kind, sources, path)


PROVENANCES = {
    item.node: item
    for item in (
        provenance("stem+relu", "fused", (0, 1), "stem"),
        provenance("reorder", "layout", (), "stem", "ReorderOutput"),
        provenance("block", "node", (2,), "body.0.conv"),
        provenance("cast", "inserted", (), "body.0", "Cast"),
        provenance("add", "node", (3,), "body.0", "Add"),
        provenance("pooled", "fused", (4, 5, 6), "", "GlobalAveragePool"),
        provenance("gemm", "node", (7,), "head", "Gemm"),
        provenance("lost", "inserted", (), None, "Split"),
    )
}

RAN = (
    ran("stem+relu", 4.0, 2.0, 3.0),
    ran("reorder", 1.0, 1.0, 1.0, op_type="ReorderOutput"),
    ran("block", 2.0, 5.0, 3.0),
    ran("cast", 0.5, 0.25, 0.5, op_type="Cast"),
    ran("add", 1.0, 1.0, 2.0, op_type="Add"),
    ran("pooled", 1.0, 1.0, 1.0, op_type="GlobalAveragePool"),
    ran("gemm", 0.5, 0.5, 0.5, op_type="Gemm"),
)
UNATTRIBUTED = (
    ran("lost", 1.0, 1.0, 1.0, op_type="Split"),
    ran("never heard of", 0.5, 1.5, 0.5, op_type="Foo"),
    ran("gemm", 0.25, 0.25, 0.25, op_type="Gemm", known=False),
)


@pytest.fixture
def timing(tmp_path: Path) -> Timing:
    return timing_of(tmp_path, RAN)


def timing_of(
    folder: Path, nodes: tuple[NodeRuns, ...], provenances: dict[str, Provenance] = PROVENANCES
) -> Timing:
    graph, ledger = ledger_of(save_net(folder))
    return build_timing(nodes, provenances, graph, ledger, BEST)


def module(timing: Timing, path: str) -> ModuleTime:
    return next(row for row in timing.modules if row.path == path)


def node(timing: Timing, name: str) -> NodeTime:
    return next(row for row in timing.nodes if row.node == name)


def test_the_models_time_in_each_run_is_that_of_its_nodes(timing: Timing) -> None:
    # runs of 10, 10.75 and 11 s
    assert [sum(run) for run in zip(*(node.seconds for node in RAN), strict=True)] == [10.0, 10.75, 11.0]
    assert timing.node_sum_s == module(timing, "").time.median_s == 10.75
    assert module(timing, "").time.p10_s == pytest.approx(10.0 + 0.2 * 0.75)
    assert module(timing, "").time.p90_s == pytest.approx(11.0 - 0.2 * 0.25)
    assert timing.unattributed == 0


def test_modules_include_their_children_run_by_run(timing: Timing) -> None:
    # body.0 takes 2 + 0.5 + 1, then 5 + 0.25 + 1, then 3 + 0.5 + 2 s
    assert module(timing, "body.0").time.median_s == 5.5
    assert module(timing, "body.0.conv").time.median_s == 3.0
    assert module(timing, "stem").time.median_s == 4.0


def test_the_time_of_what_was_fused_is_in_another_module(timing: Timing, tmp_path: Path) -> None:
    relu = module(timing, "relu")
    # its first call went into the stem's convolution, its second into the pooling of the model itself
    assert (relu.time, relu.timed_in, relu.layout_s) == (None, ("stem", ""), 0.0)
    assert module(timing, "stem").timed_in is None
    alone = {name: it for name, it in PROVENANCES.items() if name not in ("stem+relu", "pooled")}
    gone = module(timing_of(tmp_path, RAN, alone), "relu")
    assert (gone.time, gone.timed_in) == (None, None)  # no node that ran is known to compute it
    with pytest.raises(UsageError, match="its time is its own"):
        replace(relu, time=module(timing, "stem").time)


def test_the_median_of_a_module_is_not_the_sum_of_medians(timing: Timing) -> None:
    parts = [module(timing, path).time.median_s for path in ("stem", "body.0", "head")]
    assert sum(parts) + 1.0 != timing.node_sum_s  # 4 + 5.5 + 0.5 + 1 s, from different runs


def test_layout_belongs_to_its_module_and_is_shown_apart(timing: Timing) -> None:
    assert module(timing, "stem").layout_s == 1.0
    assert module(timing, "body.0").layout_s == 0.5
    assert module(timing, "body.0.conv").layout_s == 0
    assert module(timing, "").layout_s == 1.5
    # of runs with 1.5, 1.25 and 1.5 s of layout the median, of the median of all time: as in the model's row
    assert timing.layout_share == pytest.approx(1.5 / 10.75)
    assert node(timing, "reorder").time.macs == 0


def test_an_inserted_node_that_computes_is_not_layout(tmp_path: Path) -> None:
    pieces = {**PROVENANCES, "add": provenance("add", "inserted", (3,), "body.0", "Add")}
    assert module(timing_of(tmp_path, RAN, pieces), "body.0").layout_s == 0.5


def test_macs_per_second_are_shown_with_percent_of_peak(timing: Timing) -> None:
    stem = module(timing, "stem").time
    assert (stem.macs, stem.macs_per_s) == (STEM_MACS, STEM_MACS / 4.0)
    assert stem.share_of_best == pytest.approx(STEM_MACS / 4.0 / BEST)
    assert node(timing, "stem+relu").time.macs_per_s == STEM_MACS / 3.0
    assert node(timing, "stem+relu").sources == ("node_a", "node_b")
    assert module(timing, "").time.macs == STEM_MACS + BLOCK_MACS + HEAD_MACS
    add = node(timing, "add").time
    assert (add.macs, add.macs_per_s, add.share_of_best) == (0, None, None)


def test_time_without_a_module_is_in_none_and_is_reported(tmp_path: Path) -> None:
    timing = timing_of(tmp_path, RAN + UNATTRIBUTED)
    assert module(timing, "").time.median_s == 10.75  # as without them
    assert timing.node_sum_s == 12.75  # 11.75, 13.5 and 12.75 s
    assert timing.unattributed == pytest.approx((3 * 1.0 + 2.5 + 3 * 0.25) / (11.75 + 13.5 + 12.75))
    unattributed = [(row.node, row.kind) for row in timing.nodes if row.module_path is None]
    assert unattributed == [("lost", "inserted"), ("never heard of", "unknown"), ("gemm", "unknown")]


def test_macs_of_a_source_that_several_nodes_share_are_not_reported_by_node(tmp_path: Path) -> None:
    halves = {
        **PROVENANCES,
        "half": provenance("half", "node", (2,), "body.0.conv"),
        "block": provenance("block", "node", (2,), "body.0.conv"),
    }
    timing = timing_of(tmp_path, (*RAN, ran("half", 1.0, 1.0, 1.0)), halves)
    assert node(timing, "block").time.macs is None
    assert module(timing, "body.0.conv").time.macs == BLOCK_MACS
    by_type = {row.op_type: row for row in timing.operators}
    assert (by_type["Conv"].nodes, by_type["Conv"].time.macs) == (3, None)
    assert by_type["Gemm"].time.macs == HEAD_MACS


def test_a_node_of_a_decomposed_operator_has_no_macs_of_its_own(tmp_path: Path) -> None:
    pieces = {**PROVENANCES, "block": provenance("block", "inserted", (2,), "body.0.conv")}
    assert node(timing_of(tmp_path, RAN, pieces), "block").time.macs is None


def test_operators_take_the_time_of_their_nodes_most_first(timing: Timing) -> None:
    assert [row.op_type for row in timing.operators][:2] == ["Conv", "Add"]
    conv = timing.operators[0]
    assert (conv.nodes, conv.time.median_s, conv.time.macs) == (2, 6.0, STEM_MACS + BLOCK_MACS)


def test_a_convolution_whose_macs_stand_at_another_node_is_suspect(tmp_path: Path) -> None:
    swapped = {
        "block": provenance("block", "node", (3,), "body.0"),
        "add": provenance("add", "node", (2,), "body.0.conv", "Add"),
    }
    (note,) = timing_of(tmp_path, RAN, PROVENANCES | swapped).notes
    assert note == (
        "suspect: Conv block took 3000000 us and has no MACs, and the 1,024 MACs of Conv node_c have no time "
        "of their own: one may be the other's"
    )


def test_nodes_next_to_each_other_are_suspect_if_the_macs_took_no_time(tmp_path: Path) -> None:
    # an operator of the runtime's own took the time, and the sum behind it cannot do 1,024 MACs in 1 ms
    named = {**PROVENANCES, "block": provenance("block", "node", (3,), "body.0", "Own")}
    named["add"] = provenance("add", "node", (2,), "body.0.conv", "Add")
    took = tuple(replace(it, op_type="Own") if it.node == "block" else it for it in RAN)
    slow = timing_of(tmp_path, took, named)
    assert slow.notes == ()  # in a second it may
    fast = tuple(replace(it, seconds=(1e-3,) * 3) if it.node == "add" else it for it in took)
    (note,) = timing_of(tmp_path, fast, named).notes
    assert note.startswith("suspect: Own block took 3000000 us and has no MACs, and the 1,024 MACs of Conv")


def test_time_at_its_own_node_is_not_suspect(timing: Timing) -> None:
    assert timing.notes == ()
