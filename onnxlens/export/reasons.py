"""Why torch could not export a module, in one line: its messages are pages, and the reason is deep inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from onnxlens.errors import ExportError, first_line

if TYPE_CHECKING:
    from torch.export import ExportedProgram

NO_FUNCTION = re.compile(r"No ONNX function found for <OpOverload\(op='(?P<operator>[^']+)'")
"""Its message for an operator that it cannot translate."""

COLORS = re.compile(r"\x1b\[[0-9;]*m")


def why_not(error: Exception, program: ExportedProgram | None) -> str:
    """The reason, with the operator that the exporter lacks and the modules that use it.

    Args:
        error: that torch raised.
        program: what was to be translated; None if the module could not be traced at all.
    """
    causes = [*_causes(error)]
    for cause in causes:
        if isinstance(cause, ExportError):
            return str(cause)
        if lacking := NO_FUNCTION.search(str(cause)):
            operator = lacking["operator"]
            used = _users(operator, program)
            where = f" (used by {', '.join(used)})" if used else ""
            return (
                f"torch's exporter has no ONNX form of the operator {operator}{where}; "
                "replace it in the module with operators that it has"
            )
    reason = COLORS.sub("", first_line(causes[-1]))
    if isinstance(causes[-1], KeyError):  # says no more than the key
        reason = f"KeyError: {reason}"
    return f"torch could not trace the module: {reason}"


def _causes(error: Exception) -> Iterator[Exception]:
    """The error and what it was raised from, down to the first one."""
    current: BaseException | None = error
    while isinstance(current, Exception):
        yield current
        current = current.__cause__


def _users(operator: str, program: ExportedProgram | None) -> list[str]:
    """The paths of at most three modules that call the operator, or one that torch takes apart into it."""
    if program is None:
        return []
    found: dict[str, None] = {}
    for graph in (program.graph, program.run_decompositions().graph):
        for node in graph.nodes:
            if str(node.target).rpartition(".")[0] == operator and (
                stack := node.meta.get("nn_module_stack")
            ):
                path = [*stack.values()][-1][0]
                found[path or "the model"] = None
        if found:
            break
    return [*found][:3]
