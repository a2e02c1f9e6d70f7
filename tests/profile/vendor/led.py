"""The recorded reports and their graphs, unpacked once, and what is asked of how they are led back."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.vendor.attribution import attribute
from onnxlens.profile.vendor.readers import read_report
from onnxlens.specs.layers import WAYS, LayerReport, ToolCosts
from onnxlens.specs.ledger import NodeCost

DATA = Path(__file__).parents[2] / "data" / "vendor"
PACKED = DATA / "led"


@dataclass(frozen=True)
class Case:
    """A report of a graph: the file, one that says what its names mean, and the figure that is asked for."""

    tool: str
    graph: str
    file: str
    metric: str
    names: str = ""
    label: str = ""

    def __str__(self) -> str:
        return f"{self.label or self.tool}-{self.graph}"


TPU = ("{}-tpu-mlir-compiler_profile_0.txt", "{}-tpu-mlir-bm1684x_final.mlir")
CASES = (
    Case("ethos-u", "hed", "ethos-u/hed-u55-256_per-layer.csv", "cycles", label="u55"),
    Case("ethos-u", "hed", "hed-ethos-u85-512-per-layer.csv", "cycles", label="u85"),
    Case("ethos-u", "mlsd-tiny", "mlsd-tiny-ethos-u55-256-per-layer.csv", "cycles", label="u55"),
    Case("ethos-u", "mlsd-tiny", "mlsd-tiny-ethos-u85-512-per-layer.csv", "cycles", label="u85"),
    Case("k230", "hed", "k230", "macs"),
    Case("k230", "hed", "k230/mac.csv", "macs", label="k230 without tiles"),
    Case("k230", "mlsd-tiny", "mlsd-tiny-k230-mac.csv", "macs"),
    Case("rknn", "hed", "rknn/hed.txt", "cycles"),
    Case("rknn", "clip-text", "clip-text-rknn.txt", "cycles"),
    Case("rknn", "unet", "unet-rknn.txt", "cycles"),
    Case("qnn", "clip-text", "clip-text-qnn.csv", "cycles"),
    Case("qnn", "unet", "qnn/unet-input_blocks.1.csv", "cycles"),
    Case("openvino", "hed", "openvino/hed-counters.json", "time_s"),
    Case(
        "tpu-mlir",
        "hed",
        "tpu-mlir/compiler_profile_0.txt",
        "cycles",
        "tpu-mlir/hed_bm1684x_f16_final.mlir",
    ),
    *(
        Case("tpu-mlir", graph, TPU[0].format(graph), "cycles", TPU[1].format(graph))
        for graph in ("clip-text", "unet")
    ),
)


@cache
def folder() -> TemporaryDirectory[str]:
    """Where packed files are unpacked to, as long as the tests run."""
    return TemporaryDirectory(prefix="onnxlens-led-")


def found(name: str) -> Path:
    """A file of the data, unpacked."""
    if not (PACKED / f"{name}.gz").is_file():
        return DATA / name
    path = Path(folder().name) / name
    if not path.exists():
        path.write_bytes(gzip.decompress((PACKED / f"{name}.gz").read_bytes()))
    return path


@cache
def graph_of(name: str) -> tuple[Graph, tuple[NodeCost, ...]]:
    graph = load_graph(found(f"{name}.onnx"))
    return graph, count_nodes(graph)


@cache
def report_of(case: Case) -> LayerReport:
    return read_report(found(case.file), case.tool, found(case.names) if case.names else None)


def led(case: Case) -> ToolCosts:
    return attribute(*graph_of(case.graph), report_of(case))


def shares(case: Case, metric: str = "") -> dict[str, float]:
    """The share of a figure in each way that records are led back."""
    costs, metric = led(case), metric or case.metric
    whole = sum(record.figures.get(metric, 0) for record in costs.report.records)
    return {way: (costs.led(metric, way) or 0) / whole for way in WAYS}


def by_module(graph: Graph, of_node: Mapping[int, int | float]) -> dict[str, float]:
    """A figure of the nodes that each module runs itself."""
    sums: dict[str, float] = {}
    for node, figure in of_node.items():
        sums[graph.module_of(node)] = sums.get(graph.module_of(node), 0) + figure
    return sums
