from __future__ import annotations

import pytest

from onnxlens.errors import GraphError
from onnxlens.specs.layers import LayerMatch, LayerRecord, LayerReport, ToolCosts


def test_a_figure_that_is_not_modelled_is_left_out_and_never_a_name_of_its_own() -> None:
    with pytest.raises(GraphError, match="layer 'a': no figure is called 'ticks'"):
        LayerRecord("a", figures={"ticks": 1})
    with pytest.raises(GraphError, match="layer 'a': cycles is -1"):
        LayerRecord("a", figures={"cycles": -1})
    with pytest.raises(GraphError, match="layer 'a': time_s is nan"):
        LayerRecord("a", figures={"time_s": float("nan")})


def test_figures_of_nodes_add_up_or_are_the_largest() -> None:
    one = LayerRecord("one", figures={"cycles": 3, "error": 0.25})
    two = LayerRecord("two", figures={"cycles": 4, "error": 0.5})
    lost = LayerRecord("lost", figures={"cycles": 5})
    costs = ToolCosts(
        LayerReport("tool", (one, two, lost), chip="chip"),
        (
            LayerMatch(one, "exact", "node", 1.0, (0,)),
            LayerMatch(two, "shared", "tensor", 1.0, (1, 2)),
            LayerMatch(lost, "unattributed", "none", 0.0, ()),
        ),
        {"cycles": {0: 3, 1: 1, 2: 3}, "error": {0: 0.25, 1: 0.5, 2: 0.5}},
    )
    assert costs.report.label == "tool-chip"
    assert costs.of("cycles", [0, 1, 2]) == 7
    assert costs.of("error", [0, 1]) == 0.5
    assert costs.of("cycles", [9]) is None
    assert costs.of("macs", [0]) is None
    assert (costs.led("cycles", "exact"), costs.led("cycles", "shared")) == (3, 4)
    assert (costs.led("cycles", "unattributed"), costs.led("error", "unattributed")) == (5, None)
