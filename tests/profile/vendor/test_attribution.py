"""Records of a small net led back: what each form of name leads to, how figures are split, what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.vendor.attribution import attribute, split
from onnxlens.specs.layers import LayerRecord, LayerReport, ToolCosts
from tests.profile.models import op, save, value, weight

SAME = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
NODES = [
    op("Conv", "x w1", "a", "stem", **SAME),
    op("BatchNormalization", "a s s s s", "b", "norm"),
    op("Relu", "b", "c", "act"),
    op("Conv", "c w2", "d", "left", **SAME),
    op("Conv", "c w3", "e", "right", **SAME),
    op("Add", "d e", "f", ""),
    op("MatMul", "f w4", "y", "head"),
]
WEIGHTS = {"w1": (4, 3, 3, 3), "s": (4,), "w2": (4, 4, 3, 3), "w3": (4, 4, 3, 3), "w4": (8, 5)}
CONV, NORM, ACT, LEFT, RIGHT, ADD, HEAD = range(7)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """An 8 x 8 image of 3 channels through two convolutions side by side, with nodes ``node_`` and output."""
    folder = tmp_path_factory.mktemp("net")
    weights = [weight(name, *shape) for name, shape in WEIGHTS.items()]
    return load_graph(save(folder, NODES, [value("x", (1, 3, 8, 8))], [value("y", None)], weights))


def record(name: str, op_type: str = "", placement: str = "", **figures: int | float) -> LayerRecord:
    return LayerRecord(name, op_type, (name,), placement, figures or {"cycles": 100})


def led(net: Graph, tool: str, *records: LayerRecord, refused: dict[str, str] | None = None) -> ToolCosts:
    return attribute(net, count_nodes(net), LayerReport(tool, records, refused=refused or {}))


def nodes(net: Graph, tool: str, name: str, op_type: str = "") -> tuple[int, ...]:
    """What one record leads to that stands among records of all nodes, so that chains add nothing."""
    others = [record(node.view.name) for node in net.nodes]
    return led(net, tool, record(name, op_type), *others).matches[0].nodes


NAMES = [
    ("rknn", "Conv:node_a", "Conv", (CONV,)),
    ("rknn", "Conv:node_a#2_tile3_ConvAddRelu", "ConvAddRelu", (CONV,)),
    ("rknn", "Conv:node_y#2_branch1", "Conv", (HEAD,)),
    ("rknn", "Split:c_split", "Split", (ACT,)),
    ("rknn", "Reshape:f_tp-rs", "Reshape", (ADD,)),
    ("rknn", "Conv:node_f#1_mm#3", "ConvExGelu", (HEAD,)),
    ("rknn", "InputOperator:x", "InputOperator", (CONV,)),
    ("rknn", "Add:d-rs_tile0_conv_add", "Add", (LEFT,)),
    ("rknn", "c_split_o1", "Split", (ACT,)),
    ("rknn", "a_int8", "Conv", (CONV,)),
    ("rknn", "exSwish:node_c_2exswish", "exSwish", (ACT,)),
    ("qnn", "node_a_token_28:OpId_66 (cycles)", "", (CONV,)),
    ("qnn", "node_y/MatMulAddFusion_2:OpId_9", "", (HEAD,)),
    ("qnn", "eReshape:OpId_20", "", (RIGHT,)),
    ("tpu-mlir", "c_Relu", "Conv2D", (ACT,)),
    ("tpu-mlir", "load_w2_filter_reorderd", "Load", (LEFT,)),
    ("tpu-mlir", "e_Conv_f32", "Cast", (RIGHT,)),
    ("tpu-mlir", "c_Relud_Conv_f16", "Cast", (LEFT,)),
    ("tpu-mlir", "c_Relu_d_Conv", "Add", (ACT, LEFT)),
    ("tpu-mlir", "load_0", "Load", (CONV,)),
    ("tpu-mlir", "y_MatMul_1", "MatMul", (HEAD,)),
    (
        "tensorrt",
        "[ONNX Layer: node_a]\x1f[ONNX Layer: node_b]\x1e[ONNX Layer: node_c]",
        "",
        (CONV, NORM, ACT),
    ),
    ("tensorrt", "node_a + node_c", "", (CONV, ACT)),
    ("tensorrt", "PWN(PWN(node_c))", "", (ACT,)),
    ("tensorrt", "{ForeignNode[node_b...node_e]}", "", (NORM, ACT, LEFT, RIGHT)),
    ("tensorrt", "Reformatting CopyNode for Input Tensor 0 to node_d", "Reformat", (LEFT,)),
    ("openvino", "node_d,node_e", "", (LEFT, RIGHT)),
    ("openvino", "node_a/WithoutBiases", "Convolution", (CONV,)),
    ("openvino", "node_c_abcd_acdb_node_d/WithoutBiases", "Reorder", (LEFT,)),
    ("openvino", "node_y_f32_abcd_bf16_fake", "Reorder", (HEAD,)),
    ("openvino", "y/sink_port_0", "Result", (HEAD,)),
    ("core-ml", "c_cast_fp16", "relu", (ACT,)),
    ("core-ml", "x_to_fp16", "cast", (CONV,)),
    ("executorch", "left", "aten.convolution.default", (LEFT,)),
    ("onnxruntime", "fused node_a_nchwc", "", (CONV,)),
    ("onnxruntime", "InsertedPrecisionFreeCast_d", "Cast", (LEFT,)),
    ("onnxruntime", "node_b_bn_nchwc", "Conv", (NORM,)),
    ("onnxruntime", "node_y/MatMulAddFusion/", "", (HEAD,)),
    ("k230", "w3", "", (RIGHT,)),
    ("zigzag", "node_e", "", (RIGHT,)),
    ("plain", "stem", "", (CONV,)),
    ("plain", "node_a + node_c", "", (CONV, ACT)),
    ("plain", "c_Relu", "", (ACT,)),
    ("of-a-user", "node_e", "", (RIGHT,)),
    ("of-a-user", "node_e_tile1", "", (RIGHT,)),
    ("of-a-user", "node_d_branch0", "", (LEFT,)),
    ("of-a-user", "node_d#2", "", (LEFT,)),
    ("of-a-user", "node_a_token_9", "", (CONV,)),
    ("of-a-user", "node_y/MatMulAddFusion", "", (HEAD,)),
]


@pytest.mark.parametrize(
    ("tool", "name", "op_type", "expected"), NAMES, ids=[f"{it[0]}-{it[1]}" for it in NAMES]
)
def test_a_name_leads_to(net: Graph, tool: str, name: str, op_type: str, expected: tuple[int, ...]) -> None:
    assert nodes(net, tool, name, op_type) == expected


SCOPE = "package.nets.Net/package.nets.Made_{}"


def test_scopes_of_other_layers_in_a_name_do_not_count(net: Graph) -> None:
    """TFLite's names have all that shares a constant: the operator and the MACs tell which one it is."""
    assert net.hierarchy.class_name("stem") in ("Conv2d", "Made")
    root, stem = net.called[""], net.hierarchy.class_name("stem")
    name = f"{root}/p.{net.hierarchy.class_name('left')}_left;;{root}/p.{stem}_stem;2"
    one = led(net, "ethos-u", record(name, "Conv2D", macs=6912, cycles=10))  # 4 x 8 x 8 x 3 x 3 x 3
    assert one.figures["cycles"] == {CONV: 10}
    other = led(net, "ethos-u", record(name, "Conv2D", macs=9216, cycles=10))  # 4 x 8 x 8 x 4 x 3 x 3
    assert other.figures["cycles"] == {LEFT: 10}


def test_what_a_layer_took_in_is_covered_and_its_figure_stays_with_the_product(net: Graph) -> None:
    found = led(
        net, "rknn", record("Conv:node_a", "ConvRelu", "npu"), record("Conv:node_d"), record("Conv:node_e")
    )
    assert found.matches[0].nodes == (CONV, NORM, ACT)
    assert (found.matches[0].way, found.matches[0].confidence) == ("exact", 1)
    assert found.figures["cycles"][CONV] == 100 and NORM not in found.figures["cycles"]
    assert {found.placement[node] for node in (CONV, NORM, ACT)} == {"npu"}


def test_a_layer_that_is_named_after_its_activation_has_the_convolution_before(net: Graph) -> None:
    found = led(net, "tpu-mlir", record("c_Relu", "Conv2D"))
    assert found.matches[0].nodes == (CONV, NORM, ACT)
    assert found.figures["cycles"] == {CONV: 100}
    assert found.matches[0].way == "shared"


def test_a_record_never_takes_a_second_product(net: Graph) -> None:
    """Nothing names the convolutions: the sum behind them has neither of both."""
    found = led(net, "rknn", record("Add:node_f", "Add"))
    assert found.matches[0].nodes == (ADD,)


def test_several_modules_share_by_macs_then_by_traffic_and_by_time_where_it_is_known(net: Graph) -> None:
    # 6,912 and 9,216 MACs are 3 to 4: of 10 cycles 4 2/7 and 5 5/7, so that the larger rest is the second's
    name = "node_a + node_d"
    found = led(net, "tensorrt", record(name, cycles=10, time_s=7.0))
    assert found.figures["cycles"] == {CONV: 4, LEFT: 6}
    assert found.figures["time_s"] == pytest.approx({CONV: 3.0, LEFT: 4.0})
    assert found.matches[0].way == "shared"
    # 256 elements in and out, and twice as many in: 2 to 3
    records = record("node_c + node_f", cycles=500), record("node_d"), record("node_e")
    found = led(net, "tensorrt", *records)
    assert {node: found.figures["cycles"][node] for node in (ACT, ADD)} == {ACT: 200, ADD: 300}
    bounds = [0.0] * 7
    bounds[CONV], bounds[LEFT] = 1.0, 3.0  # of 10 cycles 2.5 and 7.5: the first of equal rests has more
    report = LayerReport("tensorrt", (record(name, cycles=10),))
    assert attribute(net, count_nodes(net), report, bounds).figures["cycles"] == {CONV: 3, LEFT: 7}


@pytest.mark.parametrize(
    ("figure", "weights", "expected"),
    [
        (10, {0: 1, 1: 1, 2: 1}, {0: 4, 1: 3, 2: 3}),  # the first of equal rests has the one that is left
        (2, {0: 1, 1: 1, 2: 1}, {0: 1, 1: 1, 2: 0}),
        (7, {0: 0, 1: 5}, {1: 7}),
        (100, {0: 1, 1: 2}, {0: 33, 1: 67}),
        (10**20 + 1, {0: 1, 1: 1}, {0: 5 * 10**19 + 1, 1: 5 * 10**19}),
        (3, {0: 0.5, 1: 0.25}, {0: 2, 1: 1}),
        (1.5, {0: 1, 1: 2}, {0: 0.5, 1: 1.0}),
    ],
)
def test_a_figure_in_parts(
    figure: int | float, weights: dict[int, float], expected: dict[int, float]
) -> None:
    assert split(figure, weights) == expected
    assert sum(split(figure, weights).values()) == figure


def test_errors_are_not_split_and_the_largest_counts(net: Graph) -> None:
    found = led(net, "k230", record("a", error=0.2), record("w1", error=0.3))
    assert found.figures["error"] == {CONV: 0.3}


def test_tiles_add_up(net: Graph) -> None:
    tiles = [record(f"Conv:node_d_tile{at}", "Conv", cycles=at) for at in range(1000)]
    found = led(net, "rknn", *tiles)
    assert found.figures["cycles"] == {LEFT: 999 * 1000 // 2}
    assert {match.way for match in found.matches} == {"exact"}


def test_records_in_any_order_lead_to_the_same(net: Graph) -> None:
    records = [record(f"Conv:{node.view.name}", "Conv", cycles=at) for at, node in enumerate(net.nodes)]
    assert led(net, "rknn", *records[::-1]).figures == led(net, "rknn", *records).figures


def test_an_empty_report_is_one(net: Graph) -> None:
    found = led(net, "rknn")
    assert (found.matches, found.figures, found.placement) == ((), {}, {})
    assert found.led("cycles", "unattributed") is None


HOSTILE = [
    "", " ", ".*", "(", "[ONNX Layer: ", "node_a(", "^node_a$", "node_[a]", "a" * 100_000, "node_" * 2000,
    "Conv:", "Conv:Conv:Conv:", ";;;", "/", "//", "../node_a", "#132", "_tile0", "load_",
    "load_99", "\x1f\x1e",
    "{ForeignNode[node_a...nothing]}", "serving_default_output_7_output", "node_z", "node_ä",
    "node_a\x00", "📦",
    "_" * 5000, "load_" * 1000 + "a_Conv",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize(
    "tool", ["ethos-u", "k230", "rknn", "tpu-mlir", "qnn", "tensorrt", "openvino", "plain"]
)
def test_what_names_nothing_stays_apart(net: Graph, tool: str, name: str) -> None:
    others = [record(node.view.name) for node in net.nodes]
    found = led(net, tool, record(name), *others)
    assert found.matches[0].way == "unattributed" and found.matches[0].nodes == ()
    assert found.led("cycles", "unattributed") == 100


def test_a_number_is_stripped_only_if_no_record_has_the_name_without_it(net: Graph) -> None:
    assert led(net, "qnn", record("node_a_2:OpId_3")).matches[0].nodes[0] == CONV
    assert nodes(net, "qnn", "node_a_2:OpId_3") == ()


def test_nodes_of_one_name_share_its_figures(tmp_path: Path) -> None:
    twice = [op("Relu", "x", "a", "one"), op("Relu", "a", "y", "two")]
    for node in twice:
        node.name = "same"
    graph = load_graph(save(tmp_path, twice, [value("x", (4,))], [value("y", (4,))]))
    found = led(graph, "plain", record("same", cycles=7))
    assert found.figures["cycles"] == {0: 4, 1: 3} and found.matches[0].way == "shared"


def test_what_a_tool_refuses_stands_at_its_node(net: Graph) -> None:
    found = led(net, "rknn", refused={"node_y": "MatMul of rank 4", "nothing": "?"})
    assert found.refused == {HEAD: "MatMul of rank 4"}


def test_a_node_that_two_units_run_says_both(net: Graph) -> None:
    found = led(
        net, "rknn", record("Conv:node_a_tile0", "Conv", "npu"), record("Conv:node_a_tile1", "Conv", "cpu")
    )
    assert found.placement[CONV] == "cpu+npu"


def test_layers_that_only_move_do_not_place_what_they_bring(net: Graph) -> None:
    found = led(net, "tpu-mlir", record("load_w2", "Load", "dma"), record("d_Conv", "Conv2D", "npu"))
    assert found.placement[LEFT] == "npu"
    assert found.figures["cycles"] == {LEFT: 200}


def test_all_of_a_module_is_what_a_table_of_modules_means(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a", "body.0"), op("Relu", "a", "b", "body.0.conv"), op("Relu", "b", "y", "")]
    graph = load_graph(save(tmp_path, nodes, [value("x", (4,))], [value("y", (4,))]))
    found = led(graph, "plain", record("body.0", cycles=8))
    assert found.figures["cycles"] == {0: 4, 1: 4} and found.matches[0].trail == "module"


def test_names_in_which_letters_and_digits_alone_are_left(tmp_path: Path) -> None:
    """As QNN's own converters write them; one that two nodes may have leads to none."""
    made = [op("Relu", "x", "/a/b", ""), op("Relu", "/a/b", "/c.d", ""), op("Relu", "/c.d", "/c/d", "")]
    graph = load_graph(save(tmp_path, made, [value("x", (2,))], [value("/c/d", None)]))
    assert nodes(graph, "qnn", "node__a_b:OpId_3") == nodes(graph, "qnn", "_a_b") == (0,)
    assert nodes(graph, "qnn", "node__c_d:OpId_4") == ()
