"""Real runs of compilers in environments of their own on a network with a dilated kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

import onnxlens
from onnxlens.specs.compiled import CompileAsk
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec

TARGET = "tests.profile.vendor.compilers.test_dilated_runs:dilated"


def dilated() -> GraphSpec:
    """A stem that is padded by hand, and a convolution with holes."""

    def network() -> nn.Module:
        pad, stem = nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 16, 3, stride=2)
        return nn.Sequential(pad, stem, nn.ReLU(), nn.Conv2d(16, 16, 3, padding=5, dilation=5), nn.ReLU())

    return GraphSpec(
        name="dilated",
        family="user",
        factory=network,
        inputs=(TensorSpec("image", "float32", (1, 3, 64, 64)),),
        outputs=(),
        input_ranges={"image": (-1, 1)},
    )


@pytest.mark.vendor
@pytest.mark.parametrize("tool", ["ethos-u", "rknn", "tpu-mlir"])
def test_cycles_lead_to_the_convolutions(tool: str, require_compiler: Callable[[str], None]) -> None:
    require_compiler(tool)
    report = onnxlens.compile_graph(TARGET, CompileAsk((tool,)))
    (found,) = report.compilations
    assert found.report is not None, found.failure
    (costs,) = report.ledger.tools
    convolutions = [i for i, node in enumerate(report.ledger.nodes) if node.op_type == "Conv"]
    assert [report.ledger.nodes[each].module_path for each in convolutions] == ["1", "3"]
    assert all(costs.figures["cycles"][each] for each in convolutions)
    whole = sum(record.figures.get("cycles", 0) for record in found.report.records)
    assert (costs.led("cycles", "unattributed") or 0) < 0.25 * whole  # layout at the ends, in a net so small
    if tool == "ethos-u":  # it multiplies 11 x 11 for 3 x 3
        assert any("3 x 3 (dilation 5) scheduled as 11 x 11" in note for note in report.ledger.notes)
        assert costs.figures["macs"][convolutions[1]] == 32 * 32 * 16 * 16 * 121
    else:
        assert not any("scheduled as" in note for note in report.ledger.notes)
