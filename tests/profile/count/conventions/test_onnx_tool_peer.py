"""Our counts in onnx-tool's convention against its own output in the same run, operator by operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from onnx import TensorProto, helper

import onnxlens as api
from onnxlens.errors import ToolError
from onnxlens.profile.count.conventions.peers import figure
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.ledger import Ledger
from reference_report.onnx_tool_table import onnx_tool_table
from tests.profile.count.conventions import nets
from tests.profile.count.conventions.peers import printed, without_weights
from tests.profile.models import integers, op, save, value, weight

GRAPHS: Mapping[str, api.Settings] = {
    "hed": api.Settings(weights="none"),
    "clip-text": api.Settings(weights="none"),
    "mlsd-tiny": api.Settings(weights="none"),
    "midas-dpt-hybrid": api.Settings(weights="none", height=384, width=384),
    "controlnet": api.Settings(weights="none", height=64, width=64),
    "vae-decoder": api.Settings(weights="none", height=64, width=64),
    "sd-unet": api.Settings(weights="none"),
}
READABLE = sorted(set(nets.NETS) - {"recurrent"})
UNET_FILLED_BYTES = 3_438_083_856
"""4 bytes for each of the UNet's 859,520,964 parameters."""


def by_operator(ledger: Ledger) -> Mapping[str, int]:
    """Our counts of the operators that onnx-tool prints: it leaves out a few that compute nothing."""
    counts: Counter[str] = Counter()
    for node in ledger.nodes:
        assert node.peer is not None
        assert not node.peer.unknown_nodes, node.peer.reason
        counts[node.op_type] += node.peer.macs
    return counts


def assert_counts_as_printed(path: Path, readable: Path) -> None:
    """The whole, and every operator type, to the digit."""
    ledger = build_ledger(load_graph(path), "onnx-tool")
    theirs = dict(printed(readable))
    assert ledger.totals.peer is not None
    assert ledger.totals.peer.macs == theirs.pop("_")
    ours = by_operator(ledger)
    assert {op_type: ours[op_type] for op_type in theirs} == theirs
    assert not any(count for op_type, count in ours.items() if op_type not in theirs)


# the ControlNet has the UNet's layers
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow if each == "sd-unet" else ()) for each in GRAPHS]
)
def test_our_count_is_what_onnx_tool_prints_for_a_graph_of_the_catalog(name: str, tmp_path: Path) -> None:
    path = api.export_graph(name, tmp_path / "exported", GRAPHS[name]).onnx_path
    assert_counts_as_printed(path, without_weights(path, tmp_path))


@pytest.mark.parametrize("name", READABLE)
def test_our_count_is_what_onnx_tool_prints_for_a_small_network(name: str, tmp_path: Path) -> None:
    target = f"{nets.__name__}:{name.replace('-', '_')}"
    path = api.export_graph(target, tmp_path / "exported", api.Settings(weights="none")).onnx_path
    assert_counts_as_printed(path, without_weights(path, tmp_path))


@pytest.mark.slow
def test_our_count_is_what_onnx_tool_prints_for_the_unets_own_file(tmp_path: Path) -> None:
    exported = api.export_graph("sd-unet", tmp_path, api.Settings(weights="none"))
    with exported.data_path.open("wb") as data:
        data.truncate(2 * UNET_FILLED_BYTES)  # a hole: it reads as zeros and takes no room
    assert_counts_as_printed(exported.onnx_path, exported.onnx_path)


IMAGE = (2, 3, 4, 4)
ONE_INPUT = (
    "Abs Atan Ceil Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish Hardmax Identity LeakyRelu Log "
    "LogSoftmax LpNormalization Neg Reciprocal Relu Round Sigmoid Sign Sin Softmax Softplus Sqrt Tanh"
).split()
TWO_INPUTS = (
    "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mod Mul Or Pow Sub Sum Xor"
).split()


def every_operator(folder: Path) -> Path:
    """One node of nearly every type that onnx-tool counts, side by side over the same inputs."""
    nodes = [
        *(op(name, "x", f"y_{name}") for name in ONE_INPUT),
        *(op(name, "x x", f"y_{name}") for name in TWO_INPUTS),
        op("Sum", "x x x", "y_sum3"),
        op("Clip", "x low high", "y_clip"),
        op("PRelu", "x slope", "y_prelu"),
        op("LRN", "x", "y_lrn", size=3),
        op("Not", "x", "y_not"),
        op("CumSum", "x axis", "y_cumsum"),
        op("BatchNormalization", "x c c c c", "y_batch"),
        op("InstanceNormalization", "x c c", "y_instance"),
        op("LayerNormalization", "x last last", "y_layer", axis=-1),
        op("LayerNormalization", "x rows rows", "y_layer2", axis=1),
        op("QuantizeLinear", "x scale zero", "y_quantized"),
        op("DequantizeLinear", "y_quantized scale zero", "y_dequantized"),
    ]
    pooled = {
        "y_max": (op("MaxPool", "x", "y_max", kernel_shape=[2, 3]), (2, 3, 3, 2)),
        "y_average": (op("AveragePool", "x", "y_average", kernel_shape=[3, 3]), (2, 3, 2, 2)),
        "y_line": (op("MaxPool", "line", "y_line", kernel_shape=[2]), (2, 3, 15)),
        "y_global": (op("GlobalAveragePool", "x", "y_global"), (2, 3, 1, 1)),
        **{
            f"y_{name}": (op(name, "x", f"y_{name}", axes=[1, 2], keepdims=0), (2, 4))
            for name in ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd")
        },
        "y_sum": (op("ReduceSum", "x axes", "y_sum", keepdims=0), (2, 4)),
        "y_gemm": (op("Gemm", "mat last_mat c3", "y_gemm", transB=1), (5, 3)),
        "y_gemm2": (op("Gemm", "mat mat2", "y_gemm2"), (5, 3)),
        "y_mat": (op("MatMul", "x mat3", "y_mat"), (2, 3, 4, 7)),
        "y_einsum": (op("Einsum", "mat mat2", "y_einsum", equation="ab, bc -> ac"), (5, 3)),
        "y_up": (op("Resize", "x - scales", "y_up", mode="linear"), (2, 3, 8, 8)),
        "y_cubic": (op("Resize", "x - scales", "y_cubic", mode="cubic"), (2, 3, 8, 8)),
        "y_near": (op("Resize", "x - scales", "y_near", mode="nearest"), (2, 3, 8, 8)),
        "y_conv": (op("Conv", "x kernel c6", "y_conv", kernel_shape=[3, 3]), (2, 6, 2, 2)),
        "y_group": (op("Conv", "x depth", "y_group", kernel_shape=[3, 3], group=3), (2, 3, 2, 2)),
        "y_trans": (op("ConvTranspose", "x kernel3 c2", "y_trans", kernel_shape=[2, 2]), (2, 2, 5, 5)),
    }
    weights = [
        *(weight(name, size) for name, size in (("c", 3), ("c3", 3), ("c2", 2), ("c6", 6), ("last", 4))),
        weight("rows", 3, 4, 4), weight("slope", 3, 1, 1), weight("low"), weight("high"), weight("scale"),
        weight("last_mat", 3, 4), weight("mat2", 4, 3), weight("mat3", 4, 7),
        weight("kernel", 6, 3, 3, 3), weight("depth", 3, 1, 3, 3), weight("kernel3", 3, 2, 2, 2),
        helper.make_tensor("zero", TensorProto.UINT8, [], [0]),
        helper.make_tensor("scales", TensorProto.FLOAT, [4], [1, 1, 2, 2]),
        integers("axis", 1), integers("axes", [1, 2]),
    ]  # fmt: skip
    made = [value(node.output[0], IMAGE) for node in nodes]
    made += [value(name, shape) for name, (_, shape) in pooled.items()]
    inputs = [value("x", IMAGE), value("line", (2, 3, 16)), value("mat", (5, 4))]
    return save(folder, [*nodes, *(node for node, _ in pooled.values())], inputs, made, weights)


def test_every_formula_is_that_of_the_package(tmp_path: Path) -> None:
    path = every_operator(tmp_path)
    assert_counts_as_printed(path, path)


def test_an_operator_that_stops_onnx_tool_is_not_countable(tmp_path: Path) -> None:
    """GroupNormalization is not an operator of onnx-tool: it stops, and we report that instead of 0."""
    node = op("GroupNormalization", "x c c", "y", num_groups=3)
    path = save(tmp_path, [node], [value("x", IMAGE)], [value("y", IMAGE)], [weight("c", 3)], opsets={"": 21})
    with pytest.raises(ToolError, match="GroupNormalization"):
        onnx_tool_table(path)
    ledger = build_ledger(load_graph(path), "onnx-tool")
    assert ledger.unknown == (1, "it stops at GroupNormalization, which it cannot infer the shape of")


def test_a_count_below_zero_is_not_onnx_tools() -> None:
    cost = figure(lambda: -48, 48, "a pooling")
    reason = "the peer's formula gives -48: an attribute is out of its range"
    assert (cost.macs, cost.unknown_nodes, cost.reason) == (0, 1, reason)


def test_attention_as_one_operator_stops_onnx_tool(tmp_path: Path) -> None:
    settings = api.Settings(weights="none", opset=23)
    path = api.export_graph(f"{nets.__name__}:vit", tmp_path / "exported", settings).onnx_path
    with pytest.raises(ToolError, match="Attention"):
        onnx_tool_table(without_weights(path, tmp_path))
    ledger = build_ledger(load_graph(path), "onnx-tool")
    assert ledger.unknown == (1, "it stops at Attention, which it cannot infer the shape of")
    unknown = [module.path for module in ledger.modules if module.peer and module.peer.unknown_nodes]
    assert unknown == ["", "attention"]


def test_a_recurrent_layer_without_a_bias_stops_onnx_tool(tmp_path: Path) -> None:
    def gru(biased: bool) -> Path:
        node = op("GRU", "x w r b" if biased else "x w r", "y h", hidden_size=5)
        shapes = [value("y", (7, 1, 2, 5)), value("h", (1, 2, 5))]
        weights = [weight("w", 1, 15, 3), weight("r", 1, 15, 5), *([weight("b", 1, 30)] if biased else [])]
        return save(tmp_path, [node], [value("x", (7, 2, 3))], shapes, weights)

    assert_counts_as_printed(gru(True), gru(True))
    with pytest.raises(ToolError, match="index out of range"):
        onnx_tool_table(gru(False))
    assert build_ledger(load_graph(gru(False)), "onnx-tool").unknown == (1, "it stops at GRU without a bias")


def test_an_lstm_in_both_directions_is_counted_as_the_package_does(tmp_path: Path) -> None:
    node = op("LSTM", "x w r b", "y h c", hidden_size=5, direction="bidirectional")
    shapes = [value("y", (7, 2, 2, 5)), value("h", (2, 2, 5)), value("c", (2, 2, 5))]
    weights = [weight("w", 2, 20, 3), weight("r", 2, 20, 5), weight("b", 2, 40)]
    path = save(tmp_path, [node], [value("x", (7, 2, 3))], shapes, weights)
    assert_counts_as_printed(path, path)
    # 7 steps x 2 sequences: w 2x20x3, r 2x20x5, b 2x40, and per hidden element 4 + 3 x 32 + 2 x 38 + 4
    total = build_ledger(load_graph(path), "onnx-tool").totals.peer
    assert total is not None
    assert total.macs == 7 * 2 * (120 + 200 + 80 + 5 * (4 + 96 + 76 + 4))
