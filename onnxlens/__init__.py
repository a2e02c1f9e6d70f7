"""onnxlens: export PyTorch models to ONNX, and see what every module of them costs.

The names below are loaded when they are first used: ``import onnxlens`` imports neither torch nor onnx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxlens.api.annotate import annotate_picture as annotate_picture
    from onnxlens.api.bench import bench_graph as bench_graph
    from onnxlens.api.calibrate import calibrate_host as calibrate_host
    from onnxlens.api.check import check_graph as check_graph
    from onnxlens.api.check_layers import check_layers as check_layers
    from onnxlens.api.compile import compile_graph as compile_graph
    from onnxlens.api.compile import list_compilers as list_compilers
    from onnxlens.api.export import export_graph as export_graph
    from onnxlens.api.extract import extract_module as extract_module
    from onnxlens.api.file_form import FileForm as FileForm
    from onnxlens.api.file_form import export_form as export_form
    from onnxlens.api.formula import formulas_of as formulas_of
    from onnxlens.api.formula import ledger_at as ledger_at
    from onnxlens.api.graphs import list_graphs as list_graphs
    from onnxlens.api.groups import with_facts as with_facts
    from onnxlens.api.groups import with_groups as with_groups
    from onnxlens.api.hardware import OnChips as OnChips
    from onnxlens.api.hardware import chip_of as chip_of
    from onnxlens.api.hardware import chips_of as chips_of
    from onnxlens.api.hardware import list_chips as list_chips
    from onnxlens.api.hardware import plot_roofline as plot_roofline
    from onnxlens.api.hardware import with_bounds as with_bounds
    from onnxlens.api.hardware import with_chips as with_chips
    from onnxlens.api.layers import import_profile as import_profile
    from onnxlens.api.layers import layer_doubts as layer_doubts
    from onnxlens.api.layers import layers_from as layers_from
    from onnxlens.api.layers import plot_layers as plot_layers
    from onnxlens.api.layers import read_all_layers as read_all_layers
    from onnxlens.api.layers import read_layers as read_layers
    from onnxlens.api.layers import with_layers as with_layers
    from onnxlens.api.layers import write_layers as write_layers
    from onnxlens.api.ledger import ledger_of as ledger_of
    from onnxlens.api.ledger import memory_peak as memory_peak
    from onnxlens.api.ledger import with_working_sets as with_working_sets
    from onnxlens.api.ledger import write_table as write_table
    from onnxlens.api.ledger import write_trace as write_trace
    from onnxlens.api.measure import measure_graph as measure_graph
    from onnxlens.api.memory import memory_plan as memory_plan
    from onnxlens.api.memory import write_arena as write_arena
    from onnxlens.api.memory import write_memory_plot as write_memory_plot
    from onnxlens.api.opened import OpenedTarget as OpenedTarget
    from onnxlens.api.phases import phases_of as phases_of
    from onnxlens.api.phases import write_phases_plot as write_phases_plot
    from onnxlens.api.profile import profile_graph as profile_graph
    from onnxlens.api.profile import profile_with_flow as profile_with_flow
    from onnxlens.api.reconcile import reconcile_graph as reconcile_graph
    from onnxlens.api.render import explore_graph as explore_graph
    from onnxlens.api.render import flow_of as flow_of
    from onnxlens.api.render import read_groups as read_groups
    from onnxlens.api.render import render_graph as render_graph
    from onnxlens.api.render import render_pages as render_pages
    from onnxlens.api.run import run_reference as run_reference
    from onnxlens.api.schedule import ScheduleRequest as ScheduleRequest
    from onnxlens.api.schedule import schedule_graph as schedule_graph
    from onnxlens.api.schedule import write_gantt as write_gantt
    from onnxlens.api.support import support_of as support_of
    from onnxlens.api.target import Settings as Settings
    from onnxlens.api.timings import read_timings as read_timings
    from onnxlens.api.traffic import traffic_of as traffic_of
    from onnxlens.api.traffic import with_traffic as with_traffic
    from onnxlens.api.traffic import write_traffic_plot as write_traffic_plot
    from onnxlens.api.view import netron_picture as netron_picture
    from onnxlens.api.view import view_graph as view_graph
    from onnxlens.api.workload import write_workload as write_workload
    from onnxlens.errors import OnnxlensError as OnnxlensError
    from onnxlens.pipeline.add_control import add_control as add_control
    from onnxlens.pipeline.bill import bill_of as bill_of
    from onnxlens.pipeline.bill import bill_sweep as bill_sweep
    from onnxlens.pipeline.bill import write_bill_plot as write_bill_plot
    from onnxlens.pipeline.generate import generate_pictures as generate_pictures
    from onnxlens.pipeline.training import training_cost as training_cost
    from onnxlens.profile.count import rules as rules
    from onnxlens.profile.vendor import readers as readers
    from onnxlens.specs.bench import BenchReport as BenchReport
    from onnxlens.specs.bench import BenchRequest as BenchRequest
    from onnxlens.specs.bill import BillRequest as BillRequest
    from onnxlens.specs.compiled import CompileAsk as CompileAsk
    from onnxlens.specs.compiled import CompileReport as CompileReport
    from onnxlens.specs.flow import FlowRequest as FlowRequest
    from onnxlens.specs.generate import Control as Control
    from onnxlens.specs.generate import GenerateRequest as GenerateRequest
    from onnxlens.specs.graph import GraphSpec as GraphSpec
    from onnxlens.specs.groups import group_costs as group_costs
    from onnxlens.specs.ledger import Ledger as Ledger
    from onnxlens.specs.measured import ModuleTiming as ModuleTiming
    from onnxlens.specs.parity import LayerRequest as LayerRequest
    from onnxlens.specs.phases import PhasesRequest as PhasesRequest
    from onnxlens.specs.summary import Job as Job
    from onnxlens.specs.tensor import TensorSpec as TensorSpec
    from onnxlens.specs.training import TrainingRequest as TrainingRequest

_NAMES = {
    "api.annotate": ("annotate_picture",),
    "api.bench": ("bench_graph",),
    "api.calibrate": ("calibrate_host",),
    "api.check": ("check_graph",),
    "api.check_layers": ("check_layers",),
    "api.compile": ("compile_graph", "list_compilers"),
    "api.export": ("export_graph",),
    "api.extract": ("extract_module",),
    "api.file_form": ("FileForm", "export_form"),
    "api.formula": ("formulas_of", "ledger_at"),
    "api.graphs": ("list_graphs",),
    "api.groups": ("with_facts", "with_groups"),
    "api.hardware": (
        "OnChips",
        "chip_of",
        "chips_of",
        "list_chips",
        "plot_roofline",
        "with_bounds",
        "with_chips",
    ),
    "api.layers": (
        "import_profile",
        "layer_doubts",
        "layers_from",
        "plot_layers",
        "read_all_layers",
        "read_layers",
        "with_layers",
        "write_layers",
    ),
    "api.ledger": ("ledger_of", "memory_peak", "with_working_sets", "write_table", "write_trace"),
    "api.measure": ("measure_graph",),
    "api.memory": ("memory_plan", "write_arena", "write_memory_plot"),
    "api.opened": ("OpenedTarget",),
    "api.phases": ("phases_of", "write_phases_plot"),
    "api.profile": ("profile_graph", "profile_with_flow"),
    "api.reconcile": ("reconcile_graph",),
    "api.render": ("explore_graph", "flow_of", "read_groups", "render_graph", "render_pages"),
    "api.run": ("run_reference",),
    "api.schedule": ("ScheduleRequest", "schedule_graph", "write_gantt"),
    "api.support": ("support_of",),
    "api.target": ("Settings",),
    "api.timings": ("read_timings",),
    "api.traffic": ("traffic_of", "with_traffic", "write_traffic_plot"),
    "api.view": ("netron_picture", "view_graph"),
    "api.workload": ("write_workload",),
    "errors": ("OnnxlensError",),
    "pipeline.bill": ("bill_of", "bill_sweep", "write_bill_plot"),
    "pipeline.add_control": ("add_control",),
    "pipeline.generate": ("generate_pictures",),
    "pipeline.training": ("training_cost",),
    "profile.count.rules": ("rules",),
    "profile.vendor.readers": ("readers",),
    "specs.bench": ("BenchReport", "BenchRequest"),
    "specs.bill": ("BillRequest",),
    "specs.compiled": ("CompileAsk", "CompileReport"),
    "specs.flow": ("FlowRequest",),
    "specs.generate": ("Control", "GenerateRequest"),
    "specs.graph": ("GraphSpec",),
    "specs.groups": ("group_costs",),
    "specs.ledger": ("Ledger",),
    "specs.measured": ("ModuleTiming",),
    "specs.parity": ("LayerRequest",),
    "specs.phases": ("PhasesRequest",),
    "specs.summary": ("Job",),
    "specs.tensor": ("TensorSpec",),
    "specs.training": ("TrainingRequest",),
}
"""What is public, by the module that it is loaded from."""

_HOMES = {name: home for home, names in _NAMES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("onnxlens")
    if name not in _HOMES:
        raise AttributeError(f"module 'onnxlens' has no attribute {name!r}")
    found = import_module(f"onnxlens.{_HOMES[name]}")
    return found if name in ("readers", "rules") else getattr(found, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
