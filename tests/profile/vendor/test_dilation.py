"""Dilated kernels that a tool multiplies with their holes: told by its MACs, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlens.api.opened import OpenedTarget
from onnxlens.profile.vendor.dilation import dilation_notes, span
from onnxlens.specs.layers import LayerMatch, LayerRecord, LayerReport, ToolCosts

OURS = 32 * 32 * 8 * 4 * 9
"""The MACs of 3 x 3 taps, from 4 to 8 channels, at 32 x 32 positions."""

WITH_HOLES = OURS * 121 // 9
"""A kernel of dilation 5 spans 11 x 11."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Three convolutions of dilation 5, 1 and 5."""
    nodes, weights = [], []
    for index, (name, dilation) in enumerate((("a", 5), ("b", 1), ("c", 5))):
        inner = 4 if index == 0 else 8
        weights.append(numpy_helper.from_array(np.ones((8, inner, 3, 3), np.float32), f"w{name}"))
        ends = (["x", "a", "b"][index], name)
        how = {"dilations": [dilation] * 2, "pads": [dilation] * 4}
        nodes.append(helper.make_node("Conv", [ends[0], f"w{name}"], [ends[1]], f"node_{name}", **how))
    value = helper.make_tensor_value_info
    given, made = value("x", TensorProto.FLOAT, [1, 4, 32, 32]), value("c", TensorProto.FLOAT, [1, 8, 32, 32])
    graph = helper.make_graph(nodes, "three", [given], [made], weights)
    path = tmp_path / "three.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def notes_of(model: Path, *layers: tuple[int, dict[str, int]]) -> tuple[str, ...]:
    """The lines for layers that lead to these nodes and have these figures."""
    records = [LayerRecord(f"layer {node}", figures=figures) for node, figures in layers]
    matches = [
        LayerMatch(record, "exact", "node", 1.0, (node,))
        for record, (node, _) in zip(records, layers, strict=True)
    ]
    with OpenedTarget(model) as it:
        tool = ToolCosts(LayerReport("ethos-u", tuple(records)), tuple(matches), {})
        return dilation_notes(it.graph, it.ledger.nodes, tool)


def test_a_span_is_from_the_first_tap_to_the_last() -> None:
    assert span((3, 3), (5, 5)) == (11, 11)
    assert span((3, 1), (2, 4)) == (5, 1)


def test_holes_that_are_counted_are_one_line_for_all_such_kernels(model: Path) -> None:
    found = notes_of(
        model,
        (0, {"macs": WITH_HOLES, "cycles": 300}),
        (1, {"macs": 2 * OURS, "cycles": 500}),
        (2, {"macs": 2 * WITH_HOLES, "cycles": 200}),
    )
    assert found == ("dilated 3 x 3 (dilation 5) scheduled as 11 x 11: 50% of cycles (layer 0, layer 2)",)


@pytest.mark.parametrize(
    ("figures", "flagged"),
    [
        ({"macs": OURS}, False),  # as we count it
        ({"macs": 4 * OURS}, False),  # rounded up to the width of an array, and still far from 13.4
        ({"macs": WITH_HOLES}, True),
        ({"macs": 12 * OURS}, True),  # without what lies beyond the padded plane
        ({"cycles": 10**9}, False),  # no MACs, no word
    ],
)
def test_the_macs_must_be_nearer_to_those_with_holes(
    model: Path, figures: dict[str, int], flagged: bool
) -> None:
    assert bool(notes_of(model, (0, figures), (1, {"macs": OURS, "cycles": 1}))) == flagged


def test_the_share_is_of_time_where_there_are_no_cycles(model: Path) -> None:
    layers = ((0, {"macs": WITH_HOLES, "time_s": 3}), (1, {"macs": 2 * OURS, "time_s": 1}))
    assert "75% of time" in notes_of(model, *layers)[0]


def test_a_kernel_that_is_not_square_is_told_as_it_is(model: Path) -> None:
    proto = onnx.load(model)
    conv = proto.graph.node[0]
    del conv.attribute[:]
    conv.attribute.append(helper.make_attribute("dilations", [1, 5]))
    conv.attribute.append(helper.make_attribute("pads", [1, 5, 1, 5]))
    onnx.save(proto, model)
    (note,) = notes_of(model, (0, {"macs": OURS * 33 // 9, "cycles": 1}))
    assert note.startswith("dilated 3 x 3 (dilation 1 x 5) scheduled as 3 x 11: 100% of cycles")
