"""A small ledger and flow, made by hand: reports are tested without any ONNX file."""

from __future__ import annotations

from dataclasses import replace

from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.ledger import Attribution, Ledger, ModuleCost, NodeCost, Totals, Window, lower_bounds
from onnxlens.specs.tensor import TensorSpec

IMAGE = TensorSpec("image", "float32", (1, 3, 64, 64))
FEATURES = TensorSpec("features", "float32", (1, 16, 64, 64))
TOKENS = TensorSpec("tokens", "int64", (1, 4096))
LOGITS = TensorSpec("logits", "float32", (1, 10))

CONV = NodeCost(
    "conv", "Conv", "", "block.conv", "Conv2d", macs=1_769_472, vector_ops=65_536, params=448,
    weight_read_bytes=1_792, read_bytes=49_152, write_bytes=262_144,
)  # fmt: skip
EXP = NodeCost(
    "exp", "Exp", "", "block", "Block", special_ops=65_536, read_bytes=262_144, write_bytes=262_144
)
SORT = NodeCost(
    "sort", "Sort", "com.vendor", "", "Net", read_bytes=262_144, write_bytes=262_144,
    status="unknown", reason="no rule for com.vendor::Sort",
)  # fmt: skip
FOLD = NodeCost("fold", "Transpose", "", "head", "Linear", status="free")
GEMM = NodeCost(
    "gemm", "Gemm", "", "head", "Linear", macs=655_360, params=655_360,
    weight_read_bytes=2_621_440, read_bytes=262_144, write_bytes=40,
)  # fmt: skip
NODES = (CONV, EXP, SORT, FOLD, GEMM)


def _module(
    path: str, class_name: str, depth: int, order: int, *nodes: NodeCost,
    inputs: tuple[TensorSpec, ...] = (), outputs: tuple[TensorSpec, ...] = (), live_bytes: int = 0,
) -> ModuleCost:  # fmt: skip
    running = [node for node in nodes if node.status != "free"]
    weights = sum(node.weight_read_bytes for node in nodes)
    return ModuleCost(
        path, class_name, depth, order, inputs, outputs, {node.op_type: 1 for node in running},
        macs=sum(node.macs for node in nodes),
        vector_ops=sum(node.vector_ops for node in nodes),
        special_ops=sum(node.special_ops for node in nodes),
        params=sum(node.params for node in nodes),
        weight_read_bytes=weights,
        read_bytes=sum(node.read_bytes for node in nodes),
        write_bytes=sum(node.write_bytes for node in nodes),
        unknown_nodes=sum(node.status == "unknown" for node in nodes),
        resident_weight_bytes=weights,
        live_bytes=live_bytes,
        lower_bounds=lower_bounds(nodes),
    )  # fmt: skip


MODULES = (
    _module("", "Net", 0, 1, *NODES, inputs=(IMAGE,), outputs=(LOGITS,), live_bytes=524_288),
    _module("block", "Block", 1, 1, CONV, EXP, inputs=(IMAGE,), outputs=(FEATURES,), live_bytes=524_288),
    _module("block.conv", "Conv2d", 2, 1, CONV, inputs=(IMAGE,), outputs=(FEATURES,), live_bytes=311_296),
    _module("head", "Linear", 1, 5, FOLD, GEMM, inputs=(FEATURES, FEATURES, TOKENS, LOGITS),
            outputs=(LOGITS,), live_bytes=262_184),
    _module("unused", "Linear", 1, 0),
)  # fmt: skip

TOTALS = Totals(
    nodes=5,
    macs=1_769_472 + 655_360,
    vector_ops=65_536,
    special_ops=65_536,
    flops=2 * (1_769_472 + 655_360) + 65_536 + 65_536,
    params=448 + 655_360,
    buffers=0,
    weight_read_bytes=1_792 + 2_621_440,
    read_bytes=49_152 + 262_144 + 262_144 + 262_144,
    write_bytes=262_144 + 262_144 + 262_144 + 40,
    resident_weight_bytes=2_623_232,
    peak_live_bytes=524_288,
    free_nodes=1,
    unknown_nodes=1,
    unknown_bytes=524_288,
    lower_bounds=("macs", "vector_ops", "special_ops", "flops"),  # what Sort moves is known
)


def ledger(attribution: Attribution = "metadata") -> Ledger:
    """Four modules, five nodes: one of an unknown operator, one free."""
    return Ledger(
        "net", "net.onnx", 18, attribution, "seeded", TOTALS, MODULES, NODES,
        notes=("one thing to know",), conventions={"macs": "multiply-accumulates"},
        windows={0: Window((3, 3), (1, 1), 1)},
    )  # fmt: skip


def known_ledger() -> Ledger:
    """The same, but nothing in it is unknown."""
    nodes = tuple(replace(node, status="counted", reason="") if node is SORT else node for node in NODES)
    modules = tuple(replace(module, unknown_nodes=0, lower_bounds=None) for module in MODULES)
    totals = replace(TOTALS, unknown_nodes=0, unknown_bytes=0, lower_bounds=None)
    return replace(ledger(), nodes=nodes, modules=modules, totals=totals)


BLOCK = (("block", "Block"),)


def costs(macs: int, params: int) -> dict[str, int | float]:
    """Of a box."""
    return {"macs": macs, "params": params}


def flow() -> FlowGraph:
    """The ledger's modules: a block that is opened, with a branch around its convolution, and a head."""
    return FlowGraph(
        "net", "net.onnx", 2,
        (
            FlowNode("input/image", "input", "image", "image"),
            FlowNode("n1", "module", "block.conv", "Conv2d", BLOCK, 1, costs(1_769_472, 448)),
            FlowNode("n2", "operators", "block", "Exp, Add", BLOCK, 2),
            FlowNode("n3", "module", "head", "Linear", (), 3, costs(655_360, 655_360)),
            FlowNode("output/logits", "output", "logits", "logits"),
        ),
        (
            FlowEdge("input/image", "n1", IMAGE),
            FlowEdge("input/image", "n2", IMAGE),
            FlowEdge("n1", "n2", FEATURES),
            FlowEdge("n2", "n3", FEATURES),
            FlowEdge("n2", "n3", TOKENS),
            FlowEdge("n3", "output/logits", LOGITS),
        ),
    )  # fmt: skip
