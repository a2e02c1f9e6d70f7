"""Every node is in one group, and what the groups cost adds up to the whole to the digit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from onnx import NodeProto
from torch.utils.flop_counter import FlopCounterMode

import onnxlens as api
from onnxlens.errors import GraphError, UsageError
from onnxlens.profile.count.facts import with_facts
from onnxlens.profile.count.families import SCORES, families, of_operator
from onnxlens.profile.count.grouping import with_groups
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.count.rules import known_operators
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.reference_model import catalog
from onnxlens.specs.grouping import OTHER, Grouping
from onnxlens.specs.groups import group_costs, groups_together
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.measured import NodeTiming
from tests.profile.models import ledger_of, op, save, save_net, value, weight

SUMMED = ("macs", "vector_ops", "special_ops", "weight_read_bytes", "read_bytes", "write_bytes")
KINDS = ("class", "family", "stage", "resolution", "dtype")


def require_whole_groups(ledger: Ledger, *more: str) -> None:
    """By every kind, and by operator: figures over the groups are the totals; each node is in one."""
    found = [replace(ledger, grouping=None), *(with_groups(ledger, by) for by in (*KINDS, *more))]
    for each in found:
        groups = group_costs(each)
        for name in (*SUMMED, "params", "unknown_nodes", "free_nodes", "nodes"):
            assert sum(getattr(group, name) for group in groups) == getattr(ledger.totals, name), name
        assert len({group.name for group in groups}) == len(groups)
        together = groups_together(groups)
        assert set(together.lower_bounds or ()) == set(ledger.totals.lower_bounds or ()) - {"live_bytes"}
        by_name = {group.name: group for group in groups}
        if each.grouping is not None:
            for name in {*each.grouping.names}:
                macs = sum(
                    node.macs
                    for node, own in zip(each.nodes, each.grouping.names, strict=True)
                    if own == name
                )
                assert by_name[name].macs == macs


def test_groups_of_catalog_graphs_add_up(hed: Graph, clip_text: Graph) -> None:
    for graph in (hed, clip_text):
        require_whole_groups(
            with_facts(build_ledger(graph), graph), "path~([a-z]+)", "operator~^(Conv|MatMul)"
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names())
def test_groups_of_every_graph_add_up(name: str, tmp_path: Path) -> None:
    graph = load_graph(api.export_graph(name, tmp_path, api.Settings(weights="none")).onnx_path)
    ledger = with_facts(build_ledger(graph), graph)
    require_whole_groups(ledger)
    with api.OpenedTarget(graph.path) as opened:
        if name in ("sd-unet", "controlnet", "control-ldm"):
            groups = group_costs(api.with_groups(opened, ledger, "survey"))
            assert sum(group.macs for group in groups) == ledger.totals.macs
            assert sum(group.params for group in groups) == ledger.totals.params


def test_groups_that_lose_a_parameter_are_refused(tmp_path: Path) -> None:
    _, ledger = ledger_of(save_net(tmp_path))
    names = ("all",) * len(ledger.nodes)
    with pytest.raises(GraphError, match="params is .* in total, 1 over the groups"):
        group_costs(ledger, Grouping(names, {"all": 1}))


def grouped(path: Path, by: str) -> dict[str, int]:
    """The MACs of each group, in the order of the rows."""
    with api.OpenedTarget(path) as opened:
        ledger = api.with_groups(opened, opened.ledger, by)
    return {group.name: group.macs for group in group_costs(ledger)}


# of save_net: a 3x3 convolution of 3 maps into 4 on 8 x 8, a 1x1 of 4 into 4, a product of 4 into 2
STEM, CONV, HEAD = 4 * 64 * 3 * 9, 4 * 64 * 4, 4 * 2


@pytest.mark.parametrize(
    ("by", "macs"),
    [
        (
            "family",
            {"convolution": STEM + CONV, "linear": HEAD, "elementwise": 0, "pooling": 0, "movement": 0},
        ),
        ("stage", {"stem": STEM, "relu": 0, "body": CONV, "head": HEAD, OTHER: 0}),
        ("dtype", {"float32": STEM + CONV + HEAD}),
        ("resolution", {"8x8": STEM + CONV, "1x1": 0, "vectors": HEAD}),
        ("path~(conv|stem)$", {"stem": STEM, "conv": CONV, OTHER: HEAD}),
        ("path~^body", {"body": CONV, OTHER: STEM + HEAD}),
        ("operator~^(Conv|Gemm)$", {"Conv": STEM + CONV, "Gemm": HEAD, OTHER: 0}),
        ("node~_(a)$", {"a": STEM, OTHER: CONV + HEAD}),
    ],
)
def test_nodes_are_in_the_group_that_their_kind_or_module_says(
    by: str, macs: dict[str, int], tmp_path: Path
) -> None:
    found = grouped(save_net(tmp_path), by)
    assert {name.partition(".")[0]: figure for name, figure in found.items()} == macs
    assert list(found)[-1] == OTHER or OTHER not in found


def test_what_matches_nothing_is_refused_with_what_would(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    with pytest.raises(UsageError, match=re.escape("'stem' matches in other letters: (?i)STEM")):
        grouped(path, "path~STEM")
    with pytest.raises(UsageError, match="no operator matches 'Gelu'; there are 'Conv', 'Relu', 'Add'"):
        grouped(path, "operator~Gelu")
    with pytest.raises(UsageError, match="give a file of groups"):
        grouped(path, "survey")


def test_a_file_of_groups_names_modules_and_what_runs_for_them(tmp_path: Path) -> None:
    file = tmp_path / "groups.toml"
    file.write_text('[[group]]\nname = "Trunk"\nmodules = ["stem", "body.0"]\n', encoding="utf-8")
    assert grouped(save_net(tmp_path), str(file)) == {"Trunk": STEM + CONV, OTHER: HEAD}


def attention_nodes() -> Iterator[NodeProto]:
    """One head with a projection each for queries, keys, values and results, and a product beside it."""
    for name in "qkv":
        yield op("MatMul", f"x w{name}", f"p{name}")
    yield op("Transpose", "pk", "kt", perm=[0, 2, 1])
    yield op("MatMul", "pq kt", "s")
    yield op("Mul", "s half", "t")
    yield op("Softmax", "t", "u")
    yield op("MatMul", "u pv", "o")
    yield op("MatMul", "o wo", "r")
    yield op("Add", "x r", "a")
    yield op("MatMul", "a wf", "y")


def test_attention_is_told_from_other_products(tmp_path: Path) -> None:
    shapes = {**dict.fromkeys(("pq", "pk", "pv", "o", "r", "a"), (1, 6, 4)), "kt": (1, 4, 6)}
    shapes |= dict.fromkeys("stu", (1, 6, 6))
    weights = [weight(f"w{name}", 4, 4) for name in "qkvof"]
    path = save(
        tmp_path, list(attention_nodes()), [value("x", (1, 6, 4))], [value("y", (1, 6, 4))],
        [*weights, weight("half", 1)], between=[value(name, shape) for name, shape in shapes.items()],
    )  # fmt: skip
    assert grouped(path, "family") == {
        "attention projection": 4 * 6 * 4 * 4,
        "attention scores": 2 * 6 * 6 * 4,
        "linear": 6 * 4 * 4,
        "elementwise": 0,
        "movement": 0,
    }
    assert grouped(path, "resolution") == {"6 tokens": 5 * 96 + 288}


@pytest.mark.parametrize("name", ["einsum_attention", "cross_attention"])
@pytest.mark.parametrize("opset", [18, 23])
def test_scores_are_what_torch_counts_for_products_of_activations(
    name: str, opset: int, tmp_path: Path
) -> None:
    from tests.conformance.nets import NETS

    with torch.device("meta"):
        module = NETS[name].factory().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*NETS[name].samples())
    batched = counter.get_flop_counts()["Global"][torch.ops.aten.bmm] // 2
    settings = api.Settings(weights="none", opset=opset)
    exported = api.export_graph(f"tests.conformance.nets:{name}", tmp_path, settings)
    graph = load_graph(exported.onnx_path)
    costs = build_ledger(graph).nodes
    found = zip(families(graph), costs, strict=True)
    assert sum(cost.macs for family, cost in found if family == SCORES) == batched


def test_every_operator_of_onnx_has_a_family_that_its_name_does_not_belie() -> None:
    found = {operator: of_operator(*operator) for operator in known_operators()}
    assert {name for (_, name), family in found.items() if family == "convolution"} >= {"Conv", "QLinearConv"}
    for name, family in {
        "LogSoftmax": "softmax", "LayerNormalization": "norm", "GlobalAveragePool": "pooling",
        "DynamicQuantizeLSTM": "recurrent", "DynamicQuantizeLinear": "quantization", "Cast": "movement",
        "ReduceMean": "reduction", "Mean": "elementwise", "Loop": "control flow", "Gelu": "elementwise",
        "MatMulNBits": "linear", "GroupQueryAttention": SCORES, "Resize": "resampling",
    }.items():  # fmt: skip
        assert {each for (_, operator), each in found.items() if operator == name} == {family}, name
    assert of_operator("acme", "Conv") == OTHER


def test_time_goes_to_the_groups_of_what_a_kernel_runs(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    # a kernel of a convolution and its ReLU: all MACs are the first's; one of both elementwise nodes
    timings = [
        NodeTiming("k1", "FusedConv", "stem", 0.0, 2.0, ("node_a", "node_b")),
        NodeTiming("k2", "Add", "body.0", 2.0, 0.5, ("node_d", "node_e")),
        NodeTiming("k3", "ReorderOutput", None, 2.5, 0.25),
    ]
    with api.OpenedTarget(path) as opened:
        ledger = api.with_groups(opened, api.ledger_of(opened, nodes=timings), "family")
    times = {group.name: group.latency_s for group in group_costs(ledger)}
    assert times == {
        "convolution": 2.0, "elementwise": 0.5, "linear": 0.0, "pooling": 0.0, "movement": 0.0, OTHER: 0.25,
    }  # fmt: skip
    assert groups_together(group_costs(ledger)).latency_s == 2.75
