"""A spec that contradicts itself cannot be made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from torch import nn

from onnxlens.errors import GraphError, ParityError, UsageError
from onnxlens.specs.bench import BenchReport, BenchRequest, MatmulPeak, Timed
from onnxlens.specs.graph import CheckpointScope, GraphSpec
from onnxlens.specs.ledger import NodeCost
from onnxlens.specs.tensor import TensorSpec, dtype_name, storage_bytes
from tests.specs import samples

GRAPH = GraphSpec(
    name="edge",
    family="user",
    factory=lambda: nn.Linear(2, 3),
    inputs=(samples.IMAGE,),
    outputs=(samples.EDGES,),
    input_ranges={"image": (0, 1)},
)

BENCH, UNATTRIBUTED = samples.BENCH, samples.BENCH.nodes[1]


def unattributed(share: float | None) -> BenchReport:
    return replace(BENCH, profiled=replace(BENCH.profiled, unattributed=share))


REFUSED: tuple[tuple[str, Callable[[], Any], type[Exception], str], ...] = (
    ("negative", lambda: TensorSpec("x", "int8", (2, -1)), ValueError, r"dimension -1 of \(2, -1\)"),
    ("no runs", lambda: BenchRequest(runs=0), UsageError, "runs is 0; give 1 to 100,000"),
    ("no warm-ups", lambda: BenchRequest(warmup=-1), UsageError, "warmup is -1; give 0 to 100,000"),
    ("no threads", lambda: BenchRequest(threads=0), UsageError, "threads is 0; give 1 to 1,024"),
    ("descending", lambda: Timed(0.1, 0.2, 0.3), UsageError, "percentiles 0.2, 0.1, 0.3 s do not ascend"),
    ("negative MACs", lambda: Timed(0.1, 0.1, 0.1, -1), UsageError, "-1 MACs; a count is not negative"),
    ("rate of nothing", lambda: Timed(0.1, 0.1, 0.1, 0, 5.0, 0.5), UsageError, r"5.0 MACs/s of 0 MACs"),
    ("no share", lambda: Timed(0.1, 0.1, 0.1, 1, 10.0), UsageError, "of 1 MACs, None of the peak"),
    ("no peak", lambda: MatmulPeak(0.0, 8, "float32"), UsageError, "expected more than 0"),
    (
        "kind",
        lambda: replace(UNATTRIBUTED, kind="odd"),
        UsageError,
        "kind 'odd' is not one of node, fused, layout",
    ),
    ("layout", lambda: replace(BENCH, layout_share=1.1), UsageError, "out of 0 to 1"),
    ("no unattributed", lambda: unattributed(None), UsageError, "shares of the node time are missing"),
    ("hidden stray", lambda: unattributed(0.0), UsageError, "nodes without a module, and no time is unat"),
    (
        "no such module",
        lambda: replace(BENCH, nodes=(replace(UNATTRIBUTED, module_path="x"),)),
        UsageError,
        "no row of module 'x'",
    ),
    ("nameless", lambda: TensorSpec("x", "int8", ("",)), ValueError, "is not a size or a symbol"),
    ("family", lambda: replace(GRAPH, family="gan"), UsageError, "family 'gan' is none of annotator"),
    ("twice", lambda: replace(GRAPH, outputs=(samples.IMAGE,)), UsageError, "tensor 'image' is named twice"),
    ("range", lambda: replace(GRAPH, input_ranges={}), UsageError, r"the inputs are \['image'\]"),
    ("extra", lambda: replace(GRAPH, input_ranges={"image": (0, 1), "y": (0, 1)}), UsageError, "'y'"),
    (
        "endless",
        lambda: replace(GRAPH, input_ranges={"image": (0, inf)}),
        UsageError,
        r"is \(0, inf\); give",
    ),
    ("downwards", lambda: replace(GRAPH, input_ranges={"image": (1, 0)}), UsageError, r"'image' is \(1, 0\)"),
    ("no tolerance", lambda: replace(GRAPH, tolerance=0.0), UsageError, "'edge': tolerance 0.0 is not a pos"),
    ("NaN", lambda: replace(GRAPH, tolerance=float("nan")), UsageError, "tolerance nan is not a positive"),
    ("schema", lambda: replace(samples.MANIFEST, schema="other/1"), GraphError, "has schema 'other/1'"),
    ("status", lambda: replace(samples.CONV, status="done"), GraphError, "status 'done' is none of"),
    ("reasonless", lambda: replace(samples.CONV, status="unknown"), GraphError, "with reason ''"),
    ("reasoned", lambda: replace(samples.CONV, reason="why"), GraphError, "'counted' with reason 'why'"),
    (
        "shared id",
        lambda: replace(samples.FLOW, nodes=(samples.FLOW.nodes[1],) * 2, edges=()),
        GraphError,
        "two boxes share an id",
    ),
    (
        "from nowhere",
        lambda: replace(samples.FLOW, nodes=samples.FLOW.nodes[1:]),
        GraphError,
        "edge input/image -> n1 ends at no box",
    ),
    (
        "to nowhere",
        lambda: replace(samples.FLOW, nodes=samples.FLOW.nodes[:1]),
        GraphError,
        "edge input/image -> n1 ends at no box",
    ),
    ("no block", lambda: replace(samples.FLOW.nodes[1], repeats=0), GraphError, "'n1' stands for 0 blocks"),
    ("zero", lambda: replace(samples.PARITY_RESULT, tolerance=0.0), ParityError, "not a positive number"),
    ("nan", lambda: replace(samples.PARITY_RESULT, tolerance=float("nan")), ParityError, "nan of 'edges'"),
    ("no run", lambda: replace(samples.LATENCY, runs=0), UsageError, "over 0 runs"),
    ("p10", lambda: replace(samples.LATENCY, p10_s=0.21), UsageError, "do not ascend"),
    ("p90", lambda: replace(samples.LATENCY, p90_s=0.19), UsageError, "do not ascend"),
    ("past", lambda: replace(samples.LATENCY, p10_s=-0.1), UsageError, "do not ascend"),
    ("share", lambda: replace(samples.LATENCY, unattributed=1.1), UsageError, "not between 0 and 1"),
)


@pytest.mark.parametrize(
    ("build", "error", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_contradiction_is_refused(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    "figure", ["macs", "vector_ops", "special_ops", "weight_read_bytes", "read_bytes", "write_bytes"]
)
@pytest.mark.parametrize("where", ["totals", "modules", "nodes"])
def test_a_ledger_whose_sums_differ_is_refused(where: str, figure: str) -> None:
    def raised(row: Any) -> Any:
        return replace(row, **{figure: getattr(row, figure) + 1})

    rows = getattr(samples.LEDGER, where)
    changed = raised(rows) if where == "totals" else (raised(rows[0]), *rows[1:])
    with pytest.raises(GraphError, match=f"graph 'edge': {figure} is "):
        replace(samples.LEDGER, **{where: changed})


def test_the_operators_of_a_ledger_are_its_nodes_by_type_most_macs_first() -> None:
    operators = samples.LEDGER.operators
    assert [(cost.domain, cost.op_type, cost.nodes) for cost in operators] == [
        ("", "Conv", 1),
        ("", "Relu", 1),
        ("com.foo", "Foo", 1),
    ]
    assert [cost.unknown_nodes for cost in operators] == [0, 0, 1]
    twice = replace(samples.RELU, node="relu_2")
    totals = replace(samples.TOTALS, vector_ops=14, read_bytes=56, write_bytes=56)
    doubled = replace(samples.LEDGER, totals=totals, modules=(), nodes=(*samples.LEDGER.nodes, twice))
    relu = doubled.operators[1]
    assert (relu.nodes, relu.vector_ops, relu.read_bytes, relu.write_bytes) == (2, 7 + 7, 28 + 28, 28 + 28)


def test_flops_are_two_a_mac_and_one_an_element_operation() -> None:
    assert NodeCost("n", "Op", "", "", "", macs=5, vector_ops=3, special_ops=4).flops == 2 * 5 + 3 + 4
    assert samples.LEDGER.modules[0].flops == 2 * 100 + 7


def test_intensity_is_flops_per_byte_and_none_without_memory_traffic() -> None:
    assert samples.TOTALS.moved_bytes == 432 + 28 + 28
    assert samples.TOTALS.arithmetic_intensity == 207 / 488
    still = replace(samples.TOTALS, weight_read_bytes=0, read_bytes=0, write_bytes=0)
    assert still.arithmetic_intensity is None


@pytest.mark.parametrize(
    ("dtype", "elements", "size_bytes"),
    [
        ("float32", 3, 12),
        ("bool", 3, 3),
        ("complex128", 2, 32),
        ("float8e4m3fn", 5, 5),
        ("int4", 4, 2),  # two to a byte
        ("uint4", 5, 3),  # the last byte half empty
        ("float4e2m1", 1, 1),
        ("int2", 4, 1),  # four to a byte
        ("uint2", 5, 2),
        ("int4", 0, 0),
        ("string", 3, None),
    ],
)
def test_elements_of_less_than_a_byte_are_packed(dtype: str, elements: int, size_bytes: int | None) -> None:
    assert storage_bytes(dtype, elements) == size_bytes
    assert TensorSpec("x", dtype, (elements,)).size_bytes == size_bytes


def test_a_dynamic_tensor_has_no_size() -> None:
    assert samples.IMAGE.elements is None
    assert samples.IMAGE.size_bytes is None
    assert samples.IMAGE.shape_text() == "(batch, 3, 8, 8)"
    assert str(TensorSpec("x", "int8", (2,))) == "x int8(2,)"


def test_onnx_names_of_types_become_numpys() -> None:
    names = ["FLOAT", "DOUBLE", "FLOAT16", "INT64", "BFLOAT16"]
    assert [dtype_name(name) for name in names] == ["float32", "float64", "float16", "int64", "bfloat16"]


def test_a_scope_takes_its_parts_and_leaves_other_networks_keys() -> None:
    scope = CheckpointScope("vae.", ("encoder.", "quant."))
    keys = ["vae.encoder.a", "vae.decoder.a", "quant.b", "vae.quant.b", "encoder.a"]
    assert [scope.module_key(key) for key in keys] == ["encoder.a", None, None, "quant.b", None]


def test_a_graph_is_built_in_eval_mode_without_gradients_on_the_requested_device() -> None:
    module = GRAPH.build("meta")
    assert not module.training
    assert all(p.is_meta and not p.requires_grad for p in module.parameters())
    assert not any(p.is_meta for p in GRAPH.build().parameters())
