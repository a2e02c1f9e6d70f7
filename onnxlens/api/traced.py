"""A target's module with its values, traced for tools that convert from PyTorch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget
from onnxlens.errors import ExportError, GraphError, UsageError, first_line

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from onnxlens.profile.graph.graph import Graph

CALL = re.compile(r"@\d+$")
"""What torch puts behind the path of a module that is called once more."""


def write_traced(it: OpenedTarget, path: Path) -> Mapping[str, str]:
    """Write the module with its weights as ``torch.export`` saves it; in float32 where the file is in halves.

    Returns:
        By the name of each operation what it is in the file: the name of its node, else its module's path.

    Raises:
        UsageError: the target is a file from elsewhere, which has no module.
        ExportError: the module cannot be traced.
    """
    import torch

    from onnxlens.export.exported import WidenedWeights, widened
    from onnxlens.specs.tensor import HALVES

    try:
        half = it.runnable.manifest.dtype in HALVES
        module = it.take_module(WidenedWeights(it.runnable) if half else None)
    except GraphError as error:
        raise UsageError(
            f"{it.target}: this tool converts from PyTorch, and the file's module is not known: {error}"
        ) from error
    arrays = [widened(each) if half else each for each in it.inputs.values()]
    try:
        with torch.no_grad():
            program = torch.export.export(module, tuple(map(torch.from_numpy, arrays)), strict=False)
    except Exception as error:
        raise ExportError(f"{it.target}: torch could not trace the module: {first_line(error)}") from error
    torch.export.save(program, path)
    return _labels(program, it.graph)


def _labels(program: ExportedProgram, graph: Graph) -> Mapping[str, str]:
    """The exporter names a node after the operation; another of that name is in another module."""
    labels = {}
    for operation in program.graph.nodes:
        stack = operation.meta.get("nn_module_stack")
        module = CALL.sub("", [*stack.values()][-1][0]) if stack else ""
        node = graph.producer(operation.name)
        is_same = node is not None and graph.module_of(node) == module
        label = graph.nodes[node].view.name if node is not None and is_same else module
        if label:
            labels[operation.name] = label
    return labels
