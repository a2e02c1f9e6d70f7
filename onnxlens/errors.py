"""The exception tree.

OnnxlensError
├── UsageError        a request that cannot be carried out: an unknown graph, a size, a path
├── CheckpointError   a weight file that is unreadable or does not match the network
├── ExportError       a module that could not be written as ONNX
├── GraphError        an ONNX file that cannot be read or understood
├── ParityError       a comparison that could not be made
└── ToolError         an outside program (Graphviz, a browser) that is missing or failed

A message is one line: what is wrong, the value found, the value expected, and what to do. The command line
prints it after ``onnxlens:`` and exits with 2, the exit code of wrong use and bad input.
"""

from __future__ import annotations


class OnnxlensError(Exception):
    """Base of every error that onnxlens raises on purpose."""


class UsageError(OnnxlensError):
    """The request cannot be carried out."""


class CheckpointError(OnnxlensError):
    """The weight file is unreadable or does not match the network."""


class ExportError(OnnxlensError):
    """The module could not be written as ONNX."""


class GraphError(OnnxlensError):
    """The ONNX file cannot be read or understood."""


class ParityError(OnnxlensError):
    """The comparison could not be made; a comparison that was made and failed is a result, not an error."""


class ToolError(OnnxlensError):
    """An outside program is missing or failed."""


def first_line(error: BaseException) -> str:
    """The line that says what happened: libraries append details. The error's class where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
