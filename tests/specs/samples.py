"""One valid spec of every kind that is written as JSON, small enough to read."""

from __future__ import annotations

from math import inf

from onnxlens.specs.bench import (
    BenchReport,
    LatencyResult,
    MatmulPeak,
    MemoryUse,
    ModuleTime,
    NodeTime,
    OperatorTime,
    Timed,
)
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.ledger import Ledger, ModuleCost, NodeCost, Totals
from onnxlens.specs.manifest import Manifest, StateTensor
from onnxlens.specs.parity import ModuleParity, ModuleParityReport, ParityReport, ParityResult
from onnxlens.specs.tensor import TensorSpec

IMAGE = TensorSpec("image", "float32", ("batch", 3, 8, 8))
EDGES = TensorSpec("edges", "float16", (1, 4, 8, 8))

MANIFEST = Manifest(
    graph="edge",
    origin="package.module:edge",
    family="user",
    opset=18,
    settings={"batch": 1, "height": 8, "width": 8},
    weights="seeded",
    has_weights=True,
    inputs=(IMAGE,),
    outputs=(EDGES,),
    input_ranges={"image": (0.0, 255.0)},
    modules={"": "Edge", "conv": "Conv2d"},
    tensors=(
        StateTensor("conv.weight", "float32", (4, 3, 3, 3), "parameter"),
        StateTensor("steps", "int64", (), "buffer"),
    ),
    versions={"torch": "2"},
)

CONV = NodeCost("conv", "Conv", "", "conv", "Conv2d", macs=100, params=108, weight_read_bytes=432)
RELU = NodeCost("relu", "Relu", "", "", "Edge", vector_ops=7, read_bytes=28, write_bytes=28)
FOO = NodeCost("foo", "Foo", "com.foo", "", "Edge", status="unknown", reason="no rule for com.foo::Foo")
BOUNDS = ("macs", "vector_ops", "special_ops", "flops")


def module_cost(path: str, *, macs: int, vector_ops: int, latency_s: float | None = None) -> ModuleCost:
    return ModuleCost(
        path=path,
        class_name="Conv2d" if path else "Edge",
        depth=1 if path else 0,
        order=1,
        inputs=(IMAGE,),
        outputs=(EDGES,),
        operators={"Conv": 1},
        macs=macs,
        vector_ops=vector_ops,
        special_ops=0,
        params=108,
        weight_read_bytes=432,
        read_bytes=0 if path else 28,
        write_bytes=0 if path else 28,
        unknown_nodes=0 if path else 1,
        resident_weight_bytes=432,
        live_bytes=56,
        lower_bounds=None if path else BOUNDS,
        latency_s=latency_s,
    )


TOTALS = Totals(
    nodes=3,
    macs=100,
    vector_ops=7,
    special_ops=0,
    flops=207,
    params=108,
    buffers=1,
    weight_read_bytes=432,
    read_bytes=28,
    write_bytes=28,
    resident_weight_bytes=432,
    peak_live_bytes=56,
    free_nodes=0,
    unknown_nodes=1,
    unknown_bytes=16,
    lower_bounds=BOUNDS,
)

LEDGER = Ledger(
    graph="edge",
    source="edge.onnx",
    opset=18,
    attribution="metadata",
    weights="seeded",
    totals=TOTALS,
    modules=(
        module_cost("", macs=100, vector_ops=7),
        module_cost("conv", macs=100, vector_ops=0, latency_s=0.5),
    ),
    nodes=(CONV, RELU, FOO),
    notes=("a note",),
    conventions={"macs": "multiply-accumulates"},
)

FLOW = FlowGraph(
    graph="edge",
    source="edge.onnx",
    depth=1,
    nodes=(
        FlowNode("input/image", "input", "image", "image"),
        FlowNode(
            "n1",
            "module",
            "block.conv",
            "Conv2d",
            (("block", "Block"),),
            1,
            {"macs": 100, "params": 108, "latency_s": 0.5},
            3,
        ),
    ),
    edges=(FlowEdge("input/image", "n1", IMAGE),),
)

PARITY_RESULT = ParityResult("edges", 1e-6, 1e-7, 2.0, 1e-6, 1.0, 1e-5, True)
PARITY = ParityReport("edge", "edge.onnx", 18, "seeded", "cpu", "pytorch", (PARITY_RESULT,))

OVERFLOW = ModuleParity(
    path="block.conv",
    class_name="Conv2d",
    depth=2,
    order=1,
    call=1,
    kind="module",
    operators=(),
    tensors=("a",),
    shape=(1, 4, 8, 8),
    inherited=0.0,
    output=inf,
    introduced=inf,
    max_abs=inf,
    verdict="introduces",
)
NOT_COMPARABLE = ModuleParity(
    path="block.split",
    class_name="Split",
    depth=2,
    order=0,
    call=1,
    kind="module",
    operators=(),
    tensors=(),
    shape=(),
    inherited=None,
    output=None,
    introduced=None,
    max_abs=None,
    verdict="not comparable",
    reason="two of one shape",
)
PROPAGATED = ModuleParity(
    path="",
    class_name="Edge",
    depth=0,
    order=7,
    call=0,
    kind="operators",
    operators=("Mul", "Add", "Mul", "Relu", "Neg"),
    tensors=("edges",),
    shape=(1, 4, 8, 8),
    inherited=0.5,
    output=0.25,
    introduced=3e-7,
    max_abs=0.125,
    verdict="carries",
)
LAYERS = ModuleParityReport(
    "edge", "edge.onnx", 18, "seeded", "cpu", 1e-5, 1, False, (OVERFLOW, NOT_COMPARABLE, PROPAGATED)
)

LATENCY = LatencyResult(0.2, 0.1, 0.3, 1, 5, "cpu", "a processor", 0.25)

CONV_TIME = Timed(0.1, 0.08, 0.12, 100, 1000.0, 0.5)
UNATTRIBUTED_TIME = Timed(0.02, 0.01, 0.03)
BENCH = BenchReport(
    graph="edge",
    source="edge.onnx",
    opset=18,
    weights="seeded",
    attribution="metadata",
    provider="cpu",
    device="a processor",
    level="all",
    threads=2,
    dtype="float32",
    machine={"cores": "2", "load": "1.0"},
    load_before=1.0,
    load_after=1.5,
    latency=LatencyResult(0.2, 0.18, 0.22, 1, 5, "cpu", "a processor"),
    profiled=LatencyResult(0.2, 0.18, 0.22, 1, 5, "cpu", "a processor", 0.25),
    node_sum_s=0.12,
    layout_share=0.1,
    matrix_product=MatmulPeak(2000.0, 8, "float32"),
    memory=MemoryUse("in the arena", 1024),
    modules=(
        ModuleTime("", "Edge", 0, 1, CONV_TIME, 0.01),
        ModuleTime("conv", "Conv2d", 1, 1, CONV_TIME, 0.01),
    ),
    operators=(OperatorTime("Conv", 1, CONV_TIME), OperatorTime("Split", 1, UNATTRIBUTED_TIME)),
    nodes=(
        NodeTime("conv_nchwc", "Conv", "fused", ("conv", "relu"), CONV_TIME, "conv"),
        NodeTime("split", "Split", "unknown", (), UNATTRIBUTED_TIME),
    ),
    eager=LatencyResult(0.3, 0.2, 0.4, 1, 5, "torch", "a processor"),
    notes=("torch.compile did not work here",),
)
