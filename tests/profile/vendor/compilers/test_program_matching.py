"""Steps of a program led to nodes: products by their MACs and readers, all else by the products around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxlens
from onnxlens.api.file_form import Dialected
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.subgraph.one_file import prepared
from onnxlens.profile.vendor.attribution import attribute
from onnxlens.profile.vendor.compilers.matching import Matching
from onnxlens.profile.vendor.compilers.program import Step, cpu_records, read_program
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import WAYS, LayerRecord, LayerReport

MACS = 4 * 8 * 8

ROW = (4, 8)


def group(macs: int = 0, *outputs: Sequence[int]) -> LayerRecord:
    figures = {"macs": macs} if macs else {}
    return LayerRecord("group", placement="npu", figures=figures, outputs=tuple(map(tuple, outputs)))


Match = Callable[[Sequence[Step], Sequence[LayerRecord]], dict[int, list[str]]]


@pytest.fixture
def match(tmp_path: Path) -> Match:
    """Leads steps to the nodes of an attention of one head, with a residual addition, by name."""
    products = [("q", "x", "wq"), ("k", "x", "wk"), ("v", "x", "wv")]
    nodes = [
        *(helper.make_node("MatMul", [x, w], [name], name=name) for name, x, w in products),
        helper.make_node("Transpose", ["k"], ["kt"], name="turn", perm=[1, 0]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"], name="scores"),
        helper.make_node("Softmax", ["scores"], ["p"], name="softmax"),
        helper.make_node("MatMul", ["p", "v"], ["o"], name="mix"),
        helper.make_node("Add", ["o", "x"], ["y"], name="residual"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ROW) for name in "xy"]
    weights = [numpy_helper.from_array(np.ones((8, 8), np.float32), f"w{name}") for name in "qkv"]
    graph = helper.make_graph(nodes, "attention", ends[:1], ends[1:], weights)
    path = tmp_path / "attention.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    loaded = load_graph(path)

    def made(steps: Sequence[Step], records: Sequence[LayerRecord]) -> dict[int, list[str]]:
        macs = [cost.macs or 0 for cost in build_ledger(loaded).nodes]
        found = Matching(loaded, macs, steps, records).found()
        return {step: [loaded.nodes[node].view.name for node in nodes] for step, nodes in found.items()}

    return made


RECORDS = [
    group(4 * 8 * 4, ROW),  # mix
    group(),  # quantizes what Softmax made
    group(4 * 8 * 4, (4, 4)),  # scores
    group(MACS, ROW),
    group(MACS, ROW),
    group(MACS, ROW),
    group(),  # turns k
]

STEPS = [
    Step("", 3, ROW, []),  # 0: v, which another could be
    Step("", 4, ROW, []),  # 1: k
    Step("", 5, ROW, []),  # 2: q
    Step("", 6, (8, 4), [(1, 0)]),  # 3
    Step("", 2, (4, 4), [(2, 0), (3, 1)]),  # 4: scores
    Step("Softmax", None, (4, 4), [(4, 0)]),  # 5
    Step("", 1, (4, 4), [(5, 0)]),  # 6
    Step("", 0, ROW, [(6, 0), (0, 1)]),  # 7: mix
    Step("Add", None, ROW, [(7, 0)]),  # 8
]


def test_equal_products_are_told_apart_by_what_reads_them_and_as_which_argument(match: Match) -> None:
    found = match(STEPS, RECORDS)
    assert [found[step] for step in (0, 1, 2, 4, 7)] == [["v"], ["k"], ["q"], ["scores"], ["mix"]]


def test_all_else_is_led_by_the_products_before_and_behind_it(match: Match) -> None:
    found = match(STEPS, RECORDS)
    assert (found[3], found[5], found[8]) == (["turn"], ["softmax"], ["residual"])
    assert found[6] == ["softmax"]  # nothing else is there


def test_several_products_in_one_group_are_found_together(match: Match) -> None:
    records = [*RECORDS[:4], group(2 * MACS, ROW, ROW), group()]
    steps = [
        Step("", 3, ROW, []),
        Step("", 4, ROW, []),
        Step("", 2, (4, 4), [(1, 0)]),
        Step("Softmax", None, (4, 4), [(2, 0)]),
        Step("", 0, ROW, [(3, 0), (0, 1)]),
    ]
    found = match(steps, records)
    assert (found[0], found[1]) == (["v"], ["q", "k"])


def test_nothing_is_led_where_the_macs_are_others(match: Match) -> None:
    assert match(STEPS, [*RECORDS[:3], group(MACS + 1, ROW), *RECORDS[4:]]) == {}
    assert match((), RECORDS) == {}


DATA = Path(__file__).parents[3] / "data" / "vendor"
RECORDED = DATA / "k230-tiny" / "final_main.dot"


def test_a_program_is_read_with_its_calls_in_order_and_their_arguments() -> None:
    groups = list(range(15))
    steps = read_program(RECORDED.read_text("utf-8"), groups)
    assert sorted(step.record for step in steps if step.record is not None) == groups
    for at, step in enumerate(steps):
        assert all(read < at for read, _ in step.reads)
    (mix,) = [step for step in steps if step.record == 3]  # TileMatMul_0 reads the scores, then the values
    assert [steps[read].output for read, _ in mix.reads] == [(1, 1, 36, 36), (1, 1, 36, 8)]
    assert [record.op_type for record in cpu_records(steps).values()] == ["InstanceNormalization", "Softmax"]


def test_a_program_of_other_groups_is_not_taken() -> None:
    assert read_program(RECORDED.read_text("utf-8"), range(14)) == ()
    assert read_program("digraph\n{\n}\n", [0]) == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recorded", "target", "module", "settings"),
    [
        ("k230-clip-layer", "clip-text", "transformer.text_model.encoder.layers.0", {"batch": 1}),
        ("k230-unet-block", "sd-unet", "input_blocks.1", {"batch": 1, "height": 128, "width": 128}),
    ],
)
def test_a_recorded_program_of_a_network_leads_all_of_its_figures_back(
    recorded: str, target: str, module: str, settings: dict[str, int], tmp_path: Path
) -> None:
    part, folder = tmp_path / "part.onnx", DATA / recorded
    weightless = onnxlens.Settings(weights="none", **settings)
    onnxlens.extract_module(target, module, part, weightless)
    with onnxlens.OpenedTarget(part) as it:
        change = Dialected(it.graph, "k230")
        model = prepared(part, it.graph, change=change)
    written = tmp_path / "written.onnx"
    onnx.save(model, written)
    graph = load_graph(written)
    costs = build_ledger(graph).nodes
    records = read_report(folder, "k230").records
    groups = [index for index, record in enumerate(records) if record.placement]
    steps = read_program((folder / "final_main.dot").read_text("utf-8"), groups)
    found = Matching(graph, [cost.macs or 0 for cost in costs], steps, records).found()
    placed = [replace(records[step.record or 0], sources=()) for step in steps]
    names = {at: tuple(graph.nodes[node].view.name for node in nodes) for at, nodes in found.items()}
    led = [
        replace(record, sources=names.get(at, ()))
        for at, record in enumerate(placed)
        if steps[at].record is not None
    ]
    tool = attribute(graph, costs, LayerReport("k230", tuple(led)))
    assert [tool.figures["macs"].get(at) for at, cost in enumerate(costs) if cost.macs] == [
        cost.macs for cost in costs if cost.macs
    ]
    for metric in ("macs", "off_chip_bytes"):
        parts = {way: tool.led(metric, way) or 0 for way in WAYS}
        assert parts["unattributed"] <= 0.01 * sum(parts.values())
