"""Records without names: by MACs, by operator, size and order between known ones, or not at all."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from random import Random

import pytest

from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.vendor.alignment import common
from onnxlens.profile.vendor.attribution import attribute
from onnxlens.specs.layers import LayerRecord, LayerReport, ToolCosts
from tests.profile.models import op, save, value, weight


def chain(folder: Path, *widths: int) -> Graph:
    """Products of those widths one behind another, a Relu behind each; a module each."""
    nodes, read = [], "x"
    for at in range(len(widths) - 1):
        nodes.append(op("MatMul", f"{read} w{at}", f"m{at}", f"p{at}"))
        nodes.append(op("Relu", f"m{at}", f"r{at}", f"a{at}"))
        read = f"r{at}"
    weights = [weight(f"w{at}", *pair) for at, pair in enumerate(zip(widths, widths[1:], strict=False))]
    return load_graph(save(folder, nodes, [value("x", (1, widths[0]))], [value(read, None)], weights))


def led(graph: Graph, tool: str, *records: LayerRecord) -> ToolCosts:
    return attribute(graph, count_nodes(graph), LayerReport(tool, records))


def group(macs: int, **more: object) -> LayerRecord:
    return LayerRecord(f"group of {macs}", placement="npu", figures={"macs": macs}, **more)


def nameless(op_type: str, *shape: int) -> LayerRecord:
    return LayerRecord(op_type, op_type, (), "npu", {"time_s": 1.0}, (), (shape,) if shape else ())


def first_nodes(found: ToolCosts) -> list[int | None]:
    return [match.nodes[0] if match.nodes else None for match in found.matches]


def test_groups_come_from_the_outputs_back(tmp_path: Path) -> None:
    """2 x 3, 3 x 4, 4 x 5 and 5 x 6 are 6, 12, 20 and 30 MACs: the last two, then the first two."""
    graph = chain(tmp_path, 2, 3, 4, 5, 6)
    found = led(graph, "k230", group(50), group(18))
    assert [match.nodes for match in found.matches] == [(4, 5, 6, 7), (0, 1, 2, 3)]
    assert found.figures["macs"] == {0: 6, 2: 12, 4: 20, 6: 30}
    assert {match.confidence for match in found.matches} == {0.9}
    assert led(graph, "k230", group(18), group(50)).figures == {}, "the first group holds the output"


def test_equal_groups_have_their_turn(tmp_path: Path) -> None:
    """3 x 3 four times: of three groups of 9, 18 and 9 MACs the one of 18 is the middle."""
    found = led(chain(tmp_path, 3, 3, 3, 3, 3), "k230", group(9), group(18), group(9))
    assert [match.nodes for match in found.matches] == [(6, 7), (2, 3, 4, 5), (0, 1)]


def test_groups_that_do_not_come_to_all_macs_are_not_led_by_them(tmp_path: Path) -> None:
    graph = chain(tmp_path, 3, 3, 3, 3, 3)
    assert led(graph, "k230", group(9), group(18)).figures == {}


def test_the_nodes_of_a_group_hang_together(tmp_path: Path) -> None:
    """Two branches of equal products: a group of two takes none of the other branch."""
    nodes = [
        op("MatMul", "x w0", "a", "left.0"),
        op("MatMul", "x w1", "b", "right.0"),
        op("MatMul", "a w2", "c", "left.1"),
        op("MatMul", "b w3", "d", "right.1"),
        op("Add", "c d", "y", ""),
    ]
    weights = [weight(f"w{at}", 3, 3) for at in range(4)]
    graph = load_graph(save(tmp_path, nodes, [value("x", (1, 3))], [value("y", None)], weights))
    found = led(graph, "k230", group(9), group(9), group(9), group(9))
    assert first_nodes(found) == [2, 0, 3, 1], "depth first: the whole left branch, then the right one"
    assert led(graph, "k230", group(18), group(18)).figures == {}


def test_sizes_and_operators_in_their_order(tmp_path: Path) -> None:
    graph = chain(tmp_path, 2, 3, 4)
    records = [
        nameless("Matmul", 1, 3),
        nameless("Relu", 1, 3),
        nameless("Matmul", 1, 4),
        nameless("Relu", 1, 4),
    ]
    found = led(graph, "tt-perf", *records)
    assert first_nodes(found) == [0, 1, 2, 3]
    assert {match.confidence for match in found.matches} == {0.8}
    assert first_nodes(led(graph, "tt-perf", *records[::-1])) != [0, 1, 2, 3]


def test_operators_alone_are_less_sure(tmp_path: Path) -> None:
    found = led(chain(tmp_path, 2, 3, 4), "tt-perf", nameless("Matmul"), nameless("Matmul"))
    assert [(match.nodes[0], match.confidence) for match in found.matches] == [(0, 0.5), (2, 0.5)]


def test_which_of_several_modules_a_record_is_of_is_not_guessed(tmp_path: Path) -> None:
    """One product is missing in the report: any of them may be; between known ones it is certain again."""
    graph = chain(tmp_path, 3, 3, 3, 3)
    lost = led(graph, "tt-perf", nameless("Matmul", 1, 3), nameless("Matmul", 1, 3))
    assert first_nodes(lost) == [None, None]
    assert lost.led("time_s", "unattributed") == 2.0
    known = LayerRecord("node_r0", "Relu", ("node_r0",), "npu", {"time_s": 1.0})
    after = LayerRecord("node_m2", "Matmul", ("node_m2",), "npu", {"time_s": 1.0})
    assert first_nodes(led(graph, "tt-perf", known, nameless("Matmul", 1, 3), after)) == [1, 2, 4]


def test_names_of_another_graph_are_not_led_by_their_order(tmp_path: Path) -> None:
    graph = chain(tmp_path, 2, 3, 4)
    records = [
        LayerRecord(name, "Matmul", (name,), "", {"time_s": 1.0}, (), (shape,))
        for name, shape in (("other_1", (1, 3)), ("other_2", (1, 4)))
    ]
    assert first_nodes(led(graph, "tt-perf", *records)) == [None, None]


def test_records_of_nodes_side_by_side_are_shared(tmp_path: Path) -> None:
    """Query, key and value: a tool may run them in any order, so that each record is of all three."""
    nodes = [op("MatMul", f"x w{at}", f"m{at}", name) for at, name in enumerate(("query", "key", "value"))]
    nodes += [op("Add", "m0 m1", "s", ""), op("Add", "s m2", "t", ""), op("MatMul", "t w3", "y", "out")]
    weights = [weight(f"w{at}", 3, 3) for at in range(4)]
    graph = load_graph(save(tmp_path, nodes, [value("x", (1, 3))], [value("y", None)], weights))
    kinds = ("Matmul", "Matmul", "Matmul", "Add", "Add", "Matmul")
    found = led(graph, "tt-perf", *(nameless(kind, 1, 3) for kind in kinds))
    assert [match.nodes for match in found.matches] == [*[(0, 1, 2)] * 3, (3,), (4,), (5,)]
    assert [match.way for match in found.matches] == ["shared"] * 3 + ["exact"] * 3
    assert found.figures["time_s"] == pytest.approx(dict.fromkeys(range(6), 1))


def test_products_of_equal_macs_side_by_side_are_shared(tmp_path: Path) -> None:
    """But nncase goes through them in an order that is known."""
    nodes = [op("MatMul", f"x w{at}", f"m{at}", name) for at, name in enumerate(("query", "key"))]
    nodes += [op("Add", "m0 m1", "s", ""), op("MatMul", "s w2", "y", "out")]
    weights = [weight(f"w{at}", 3, 3) for at in range(3)]
    graph = load_graph(save(tmp_path, nodes, [value("x", (1, 3))], [value("y", None)], weights))
    found = led(graph, "tt-perf", group(9), group(9), group(9))
    assert [match.nodes[:2] for match in found.matches] == [(0, 1), (0, 1), (3,)]
    assert found.figures["macs"] == {0: 9, 1: 9, 3: 9}
    assert first_nodes(led(graph, "k230", group(9), group(9), group(9))) == [3, 0, 1]


def test_names_that_a_tool_gives_anew_say_nothing(tmp_path: Path) -> None:
    """As coremltools does from PyTorch: as many operators as nodes, in their order."""
    graph = chain(tmp_path, 2, 3, 4)
    names = ("input_1_cast_fp16", "linear"), ("input_3", "relu"), ("linear_1", "linear"), ("var_9", "relu")
    records = [LayerRecord(name, kind, (name,), "ane", {"cost_share": 0.1}) for name, kind in names]
    assert first_nodes(led(graph, "core-ml", *records)) == [0, 1, 2, 3]
    assert first_nodes(led(graph, "core-ml", *records[:3])) == [0, None, 2], (
        "one of two activations is missing"
    )


def longest(one: str, other: str) -> int:
    """The length of a longest common subsequence, by trying all."""
    for size in range(min(len(one), len(other)), 0, -1):
        subsequences = {tuple(each) for each in combinations(other, size)}
        if any(tuple(each) in subsequences for each in combinations(one, size)):
            return size
    return 0


@pytest.mark.parametrize("seed", range(30))
def test_a_longest_common_subsequence(seed: int) -> None:
    draw = Random(seed)
    one, other = ("".join(draw.choices("abcd", k=draw.randrange(9))) for _ in range(2))
    pairs = common(one, other)
    assert all(one[left] == other[right] for left, right in pairs)
    assert pairs == sorted(pairs) and len({left for left, _ in pairs}) == len({right for _, right in pairs})
    assert len(pairs) == longest(one, other)


def test_nothing_is_equal_to_what_has_no_key() -> None:
    assert common([None, "a", None], [None, "a"]) == [(1, 1)]


def test_a_product_that_is_named_after_what_reads_it_is_led_by_its_macs(tmp_path: Path) -> None:
    """1 x 3 x 8 x 8 by a kernel of 4 x 3 x 3 x 3, padded: 4 x 64 x 27 = 6,912 MACs.

    As litert-torch names them: the convolution after the pooling, the change of layout after the convolution.
    """
    nodes = [
        op("Conv", "x w0", "c", "conv", pads=[1, 1, 1, 1]),
        op("Relu", "c", "r", "relu"),
        op("MaxPool", "r", "p", "pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    weights = [weight("w0", 4, 3, 3, 3)]
    graph = load_graph(save(tmp_path, nodes, [value("x", (1, 3, 8, 8))], [value("p", None)], weights))
    turned = LayerRecord("conv;1", "Transpose", ("conv",), "npu", {"cycles": 1})
    found = led(
        graph,
        "ethos-u",
        turned,
        LayerRecord("pool;1", "Conv2D", ("pool",), "npu", {"cycles": 10, "macs": 6912}),
        LayerRecord("pool;2", "MaxPool", ("pool",), "npu", {"cycles": 100, "macs": 64}),
    )
    assert found.figures["cycles"] == {0: 11, 2: 100}
    assert [match.trail == "aligned" for match in found.matches] == [False, True, False]
    other = LayerRecord("pool;1", "Conv2D", ("pool",), "npu", {"cycles": 10, "macs": 6911})
    found = led(graph, "ethos-u", turned, other)
    assert found.figures["cycles"] == {0: 1, 2: 10}, "of other MACs: what the name says"
