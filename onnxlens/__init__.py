"""onnxlens: export PyTorch models to ONNX, and see what every module of them costs.

The names below are loaded when they are first used: ``import onnxlens`` imports neither torch nor onnx.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxlens.api import (
        annotate_picture,
        bench_graph,
        check_graph,
        check_layers,
        explore_graph,
        export_graph,
        extract_module,
        flow_of,
        ledger_of,
        list_graphs,
        measure_graph,
        netron_picture,
        profile_graph,
        read_groups,
        reconcile_graph,
        render_graph,
        render_pages,
        run_reference,
        view_graph,
        write_trace,
    )
    from onnxlens.api.target import Job, LayerRequest, Settings
    from onnxlens.errors import OnnxlensError
    from onnxlens.profile.count import rules
    from onnxlens.specs.bench import BenchReport, BenchRequest
    from onnxlens.specs.flow import FlowRequest
    from onnxlens.specs.graph import GraphSpec
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.tensor import TensorSpec

__version__ = version("onnxlens")

__all__ = [
    "BenchReport",
    "BenchRequest",
    "FlowRequest",
    "GraphSpec",
    "Job",
    "LayerRequest",
    "Ledger",
    "OnnxlensError",
    "Settings",
    "TensorSpec",
    "annotate_picture",
    "bench_graph",
    "check_graph",
    "check_layers",
    "explore_graph",
    "export_graph",
    "extract_module",
    "flow_of",
    "ledger_of",
    "list_graphs",
    "measure_graph",
    "netron_picture",
    "profile_graph",
    "read_groups",
    "reconcile_graph",
    "render_graph",
    "render_pages",
    "rules",
    "run_reference",
    "view_graph",
    "write_trace",
]

_HOMES = {
    "BenchReport": "onnxlens.specs.bench",
    "BenchRequest": "onnxlens.specs.bench",
    "FlowRequest": "onnxlens.specs.flow",
    "GraphSpec": "onnxlens.specs.graph",
    "LayerRequest": "onnxlens.api.target",
    "Ledger": "onnxlens.specs.ledger",
    "OnnxlensError": "onnxlens.errors",
    "Job": "onnxlens.api.target",
    "Settings": "onnxlens.api.target",
    "TensorSpec": "onnxlens.specs.tensor",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'onnxlens' has no attribute {name!r}")
    if name == "rules":
        return import_module("onnxlens.profile.count.rules")
    return getattr(import_module(_HOMES.get(name, "onnxlens.api")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
