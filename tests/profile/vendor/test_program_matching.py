"""Steps of a program led to nodes: products by their MACs and readers, all else by the products around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxlens
from onnxlens.api.layers import layer_doubts
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.vendor.program_matching import led_by_program
from onnxlens.specs.layers import WAYS, LayerRecord, LayerReport, Step

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
        report = led_by_program(LayerReport("k230", tuple(records), program=tuple(steps)), loaded, {})
        assert report.program is None
        sources = [() if step.record is None else report.records[step.record].sources for step in steps]
        return {at: list(names) for at, names in enumerate(sources) if names}

    return made


def on_cpu(operator: str) -> LayerRecord:
    return LayerRecord("operator", operator, placement="cpu")


RECORDS = [
    group(4 * 8 * 4, ROW),  # mix
    group(),  # quantizes what Softmax made
    group(4 * 8 * 4, (4, 4)),  # scores
    group(MACS, ROW),
    group(MACS, ROW),
    group(MACS, ROW),
    group(),  # turns k
    on_cpu("Softmax"),
    on_cpu("Add"),
]

STEPS = [
    Step(3),  # 0: v, which another could be
    Step(4),  # 1: k
    Step(5),  # 2: q
    Step(6, ((1, 0),)),  # 3
    Step(2, ((2, 0), (3, 1))),  # 4: scores
    Step(7, ((4, 0),)),  # 5
    Step(1, ((5, 0),)),  # 6
    Step(None, ((6, 0),)),  # 7
    Step(0, ((7, 0), (0, 1))),  # 8: mix
    Step(8, ((8, 0),)),  # 9
]


def test_equal_products_are_told_apart_by_what_reads_them_and_as_which_argument(match: Match) -> None:
    found = match(STEPS, RECORDS)
    assert [found[step] for step in (0, 1, 2, 4, 8)] == [["v"], ["k"], ["q"], ["scores"], ["mix"]]


def test_all_else_is_led_by_the_products_before_and_behind_it(match: Match) -> None:
    found = match(STEPS, RECORDS)
    assert (found[3], found[5], found[9]) == (["turn"], ["softmax"], ["residual"])
    assert found[6] == ["softmax"]  # nothing else is there


def test_several_products_in_one_group_are_found_together(match: Match) -> None:
    records = [*RECORDS[:4], group(2 * MACS, ROW, ROW), on_cpu("Softmax")]
    steps = [
        Step(3),
        Step(4),
        Step(2, ((1, 0),)),
        Step(5, ((2, 0),)),
        Step(0, ((3, 0), (0, 1))),
    ]
    found = match(steps, records)
    assert (found[0], found[1]) == (["v"], ["q", "k"])


def test_nothing_is_led_where_the_macs_are_others(match: Match) -> None:
    assert match(STEPS, [*RECORDS[:3], group(MACS + 1, ROW), *RECORDS[4:]]) == {}
    assert match((), RECORDS) == {}


RECORDED = Path(__file__).parents[2] / "data" / "vendor"


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
    part = tmp_path / "part.onnx"
    onnxlens.extract_module(target, module, part, onnxlens.Settings(weights="none", **settings))
    ledger = onnxlens.import_profile(RECORDED / recorded, part)
    (tool,) = ledger.tools
    assert [tool.figures["macs"].get(at) for at, cost in enumerate(ledger.nodes) if cost.macs] == [
        cost.macs for cost in ledger.nodes if cost.macs
    ]
    for metric in ("macs", "off_chip_bytes"):
        parts = {way: tool.led(metric, way) or 0 for way in WAYS}
        assert parts["unattributed"] <= 0.01 * sum(parts.values())
    assert layer_doubts(ledger) == []
