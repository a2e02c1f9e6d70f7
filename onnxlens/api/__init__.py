"""The Python API: one function per task, composed of the four folders.

A ``target`` is the name of a graph of the catalog, ``package.module:factory`` for a function that returns a
``GraphSpec``, or the path of an ``.onnx`` file.
"""

from onnxlens.api.counting import (
    flow_of,
    ledger_of,
    profile_graph,
    profile_with_flow,
    read_groups,
    reconcile_graph,
)
from onnxlens.api.cutting import extract_module
from onnxlens.api.drawing import render_graph, render_pages, write_trace
from onnxlens.api.exploring import explore_graph
from onnxlens.api.exporting import export_graph, list_graphs
from onnxlens.api.running import (
    annotate_picture,
    bench_graph,
    check_graph,
    check_layers,
    measure_graph,
    run_reference,
)
from onnxlens.api.target import Job, Settings
from onnxlens.api.viewing import netron_picture, view_graph

__all__ = [
    "Job",
    "Settings",
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
    "run_reference",
    "view_graph",
    "write_trace",
]
