"""onnxlens: export PyTorch models to ONNX, and see what every module of them costs.

The names below are loaded when they are first used: ``import onnxlens`` imports neither torch nor onnx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxlens.api.annotate import annotate_picture
    from onnxlens.api.bench import bench_graph
    from onnxlens.api.check import check_graph
    from onnxlens.api.check_layers import check_layers
    from onnxlens.api.export import export_graph
    from onnxlens.api.extract import extract_module
    from onnxlens.api.graphs import list_graphs
    from onnxlens.api.ledger import ledger_of, write_trace
    from onnxlens.api.measure import measure_graph
    from onnxlens.api.opened import OpenedTarget
    from onnxlens.api.profile import profile_graph, profile_with_flow
    from onnxlens.api.reconcile import reconcile_graph
    from onnxlens.api.render import explore_graph, flow_of, read_groups, render_graph, render_pages
    from onnxlens.api.run import run_reference
    from onnxlens.api.target import Job, LayerRequest, Settings
    from onnxlens.api.view import netron_picture, view_graph
    from onnxlens.errors import OnnxlensError
    from onnxlens.profile.count import rules
    from onnxlens.specs.bench import BenchReport, BenchRequest
    from onnxlens.specs.flow import FlowRequest
    from onnxlens.specs.graph import GraphSpec
    from onnxlens.specs.ledger import Ledger
    from onnxlens.specs.tensor import TensorSpec

__all__ = [
    "BenchReport",
    "BenchRequest",
    "FlowRequest",
    "GraphSpec",
    "Job",
    "LayerRequest",
    "Ledger",
    "OnnxlensError",
    "OpenedTarget",
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
    "profile_with_flow",
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
    "BenchReport": "specs.bench",
    "BenchRequest": "specs.bench",
    "FlowRequest": "specs.flow",
    "GraphSpec": "specs.graph",
    "Job": "api.target",
    "LayerRequest": "api.target",
    "Ledger": "specs.ledger",
    "OnnxlensError": "errors",
    "OpenedTarget": "api.opened",
    "Settings": "api.target",
    "TensorSpec": "specs.tensor",
    "annotate_picture": "api.annotate",
    "bench_graph": "api.bench",
    "check_graph": "api.check",
    "check_layers": "api.check_layers",
    "explore_graph": "api.render",
    "export_graph": "api.export",
    "extract_module": "api.extract",
    "flow_of": "api.render",
    "ledger_of": "api.ledger",
    "list_graphs": "api.graphs",
    "measure_graph": "api.measure",
    "netron_picture": "api.view",
    "profile_graph": "api.profile",
    "profile_with_flow": "api.profile",
    "read_groups": "api.render",
    "reconcile_graph": "api.reconcile",
    "render_graph": "api.render",
    "render_pages": "api.render",
    "rules": "profile.count.rules",
    "run_reference": "api.run",
    "view_graph": "api.view",
    "write_trace": "api.ledger",
}
"""The module that each name is loaded from."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("onnxlens")
    if name not in _HOMES:
        raise AttributeError(f"module 'onnxlens' has no attribute {name!r}")
    found = import_module(f"onnxlens.{_HOMES[name]}")
    return found if name == "rules" else getattr(found, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
