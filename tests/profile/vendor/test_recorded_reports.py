"""Recorded reports of six tools, led back to their graphs: what is known beside a record's name agrees."""

from __future__ import annotations

from math import prod

import pytest

from onnxlens.profile.vendor import attribution
from onnxlens.profile.vendor.finding import Asked, Finder, Led
from onnxlens.specs.layers import METRICS, LayerRecord
from tests.profile.vendor.led import CASES, Case, by_module, graph_of, led, report_of, shares

GOAL = 0.97
BY_CASE = {str(case): case for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nearly_all_is_led_back_and_nothing_is_lost(case: Case) -> None:
    costs = led(case)
    assert 1 - shares(case)["unattributed"] >= GOAL
    for metric, figures in costs.figures.items():
        records = costs.report.records
        if METRICS[metric].together == "sum":
            whole = sum(record.figures.get(metric, 0) for record in records)
            missing = costs.led(metric, "unattributed") or 0
            rounding = 0 if isinstance(whole, int) else 1e-9
            assert sum(figures.values()) + missing == pytest.approx(whole, abs=rounding, rel=0)


def convolution_macs(name: str) -> dict[str, float]:
    """By module, from the shapes alone: for each element of the output one MAC per weight of its channel."""
    graph, _ = graph_of(name)
    macs: dict[str, float] = {}
    for index, node in enumerate(graph.nodes):
        if node.view.op_type == "Conv":
            amount = prod(node.view.output_shape()) * prod(node.view.input_shape(1)[1:])
            macs[graph.module_of(index)] = macs.get(graph.module_of(index), 0) + amount
    return macs


@pytest.mark.parametrize("name", ["k230-hed", "k230 without tiles-hed", "k230-mlsd-tiny"])
def test_groups_of_tiles_without_a_name_have_the_macs_of_each_module(name: str) -> None:
    case = BY_CASE[name]
    assert by_module(graph_of(case.graph)[0], led(case).figures["macs"]) == convolution_macs(case.graph)


def test_layers_with_the_names_of_nodes_have_the_macs_of_each_module() -> None:
    """As ZigZag names them, which has a layer per convolution."""
    graph, costs = graph_of("mlsd-tiny")
    records = tuple(
        LayerRecord(node.view.name, "Conv", (node.view.name,), "", {"macs": prod(node.view.output_shape())})
        for node in graph.nodes
        if node.view.op_type == "Conv"
    )
    found = attribution.attribute(graph, costs, attribution.LayerReport("zigzag", records))
    expected = {
        graph.module_of(index): prod(node.view.output_shape())
        for index, node in enumerate(graph.nodes)
        if node.view.op_type == "Conv"
    }
    assert by_module(graph, found.figures["macs"]) == expected


VELA_COUNTS_MORE = {"block16.conv1.0": (11 * 11) / (3 * 3)}
"""A 3 x 3 kernel of dilation 5 is an 11 x 11 one for Vela."""


@pytest.mark.parametrize("name", ["u55-hed", "u85-hed", "u55-mlsd-tiny", "u85-mlsd-tiny"])
def test_vela_has_the_macs_of_each_convolution(name: str) -> None:
    case = BY_CASE[name]
    graph, costs = graph_of(case.graph)
    theirs: dict[str, float] = {}
    for match in led(case).matches:
        if match.record.op_type.endswith("Conv2D") and "macs" in match.record.figures:
            path = next(graph.module_of(node) for node in match.nodes if costs[node].macs)
            theirs[path] = theirs.get(path, 0) + match.record.figures["macs"]
    assert theirs == {
        path: macs * VELA_COUNTS_MORE.get(path, 1) for path, macs in convolution_macs(case.graph).items()
    }


PRODUCTS = ("Conv", "MatMul", "Gemm")


@pytest.mark.parametrize("graph_name", ["hed", "clip-text", "unet"])
def test_the_weights_that_rknn_prints_are_those_of_the_nodes(graph_name: str) -> None:
    """The parts of a convolution that was cut up have together as many weights as the node."""
    case = BY_CASE[f"rknn-{graph_name}"]
    graph, _ = graph_of(graph_name)
    printed: dict[int, int] = {}
    for match in led(case).matches:
        if match.record.op_type.startswith("Conv") and match.nodes:
            node = next(each for each in match.nodes if graph.nodes[each].view.op_type in PRODUCTS)
            weights = next(shape for shape in match.record.inputs[1:] if len(shape) == 4)
            printed[node] = printed.get(node, 0) + prod(weights)
    views = [node.view for node in graph.nodes if node.view.op_type in PRODUCTS]
    assert len(printed) == sum(view.input(1).is_weight for view in views)
    for node, amount in printed.items():
        assert amount == prod(graph.nodes[node].view.input_shape(1)), graph.nodes[node].view.name


@pytest.mark.parametrize("graph_name", ["hed", "clip-text", "unet"])
def test_the_tensors_of_tpu_mlir_have_the_size_of_what_the_nodes_make(graph_name: str) -> None:
    """Or half of it: some layers are cut in two."""
    graph, _ = graph_of(graph_name)
    compared = 0
    for match in led(BY_CASE[f"tpu-mlir-{graph_name}"]).matches:
        record = match.record
        if record.op_type in ("Conv2D", "MatMul", "Softmax", "LayerNorm", "Add", "Pool2D"):
            made_by = [graph.nodes[node].view.outputs for node in match.nodes]
            sizes = {prod(value.sizes()) for outputs in made_by for value in outputs if value}
            made = prod(record.outputs[0])
            assert {made, 2 * made} & sizes, record
            compared += 1
    assert compared >= 18


def test_geglu_halves_that_rknn_names_after_the_norm_are_the_projection() -> None:
    """``node_layer_norm_2#1_mm#3`` reads the norm: it is half of the product behind it."""
    graph, _ = graph_of("unet")
    found = [match for match in led(BY_CASE["rknn-unet"]).matches if "_mm#" in match.record.name]
    paths = {graph.module_of(node) for match in found for node in match.nodes[:1]}
    assert len(found) == 2
    assert paths == {"input_blocks.1.1.transformer_blocks.0.ff.net.0.proj"}


def test_a_layer_that_qnn_prints_as_0_is_in_the_one_that_took_it_in() -> None:
    graph, _ = graph_of("unet")
    found = {match.record.name: match for match in led(BY_CASE["qnn-unet"]).matches}
    norm = found["node_group_norm_1:OpId_87"]
    assert [graph.nodes[node].view.op_type for node in norm.nodes] == [
        "Reshape", "InstanceNormalization", "Reshape", "Mul", "Add",
    ]  # fmt: skip
    assert not found["node_InstanceNormalization_48_token_32:OpId_76"].record.figures


def test_errors_by_tensor_stand_at_their_nodes_and_take_no_node_from_a_layer() -> None:
    graph, _ = graph_of("hed")
    costs = led(BY_CASE["k230-hed"])
    edge = graph.producer("edge_3")
    assert edge is not None
    assert costs.figures["cosine_distance"][edge] == pytest.approx(1 - 0.99991965, abs=1e-12)
    assert costs.figures["macs"][edge] == 262_144


@pytest.mark.parametrize("name", ["k230-mlsd-tiny", "u55-hed", "rknn-hed"])
def test_a_mutant_that_leads_to_the_next_node_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks above can fail: with every record moved by one product they do."""
    graph, costs = graph_of(BY_CASE[name].graph)
    products = [node for node, cost in enumerate(costs) if cost.macs]
    after = dict(zip(products, products[1:] + products[:1], strict=True))
    whole = attribution.with_chains

    def moved(*args: object, **named: object) -> list[Led]:
        return [
            Led(
                tuple(after.get(node, node) for node in each.nodes),
                each.trail,
                each.confidence,
                tuple(after.get(node, node) for node in each.covered),
            )
            for each in whole(*args, **named)
        ]

    monkeypatch.setattr(attribution, "with_chains", moved)
    check = {
        "k230-mlsd-tiny": lambda: test_groups_of_tiles_without_a_name_have_the_macs_of_each_module(name),
        "u55-hed": lambda: test_vela_has_the_macs_of_each_convolution(name),
        "rknn-hed": lambda: test_the_weights_that_rknn_prints_are_those_of_the_nodes("hed"),
    }[name]
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize("other", ["rknn-unet", "tpu-mlir-clip-text", "qnn-unet"])
def test_what_is_no_name_of_the_graph_is_not_led_to_its_nodes_by_their_order(other: str) -> None:
    """A report of another graph: only the few names that both have lead somewhere."""
    graph, costs = graph_of("hed")
    found = attribution.attribute(graph, costs, report_of(BY_CASE[other]))
    assert {match.trail for match in found.matches} <= {"node", "tensor", "none"}
    names = {node.view.name for node in graph.nodes} | {value.name for value in graph.inputs}
    names |= {
        value.name for node in graph.nodes for value in node.view.outputs if value
    } | graph.weights.keys()
    led_on = [match for match in found.matches if match.nodes]
    assert all(any(name in match.record.sources[0] for name in names) for match in led_on)


def test_names_are_looked_up_once_for_all_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of one tile per record does not take the name apart a thousand times."""
    graph, costs = graph_of("hed")
    looked: list[str] = []
    whole = Finder._whole

    def counted(self: Finder, name: str, asked: Asked) -> Led:
        looked.append(name)
        return whole(self, name, asked)

    monkeypatch.setattr(Finder, "_whole", counted)
    record = LayerRecord("Conv:node_conv2d_3_tile0", "Conv", ("Conv:node_conv2d_3_tile0",), "", {"cycles": 1})
    found = attribution.attribute(graph, costs, attribution.LayerReport("rknn", (record,) * 1000))
    assert looked == ["Conv:node_conv2d_3_tile0"]
    assert sum(found.figures["cycles"].values()) == 1000
