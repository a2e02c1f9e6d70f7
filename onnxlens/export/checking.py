"""Whether what was written is valid ONNX, by ONNX's own checker."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from onnxlens.errors import ExportError
from onnxlens.export.passes import weights_as_inputs


def check_graph(model: ir.Model) -> None:
    """Check nodes, types and shapes on a copy in which the weights are graph inputs: no weight has to exist.

    Raises:
        ExportError: the checker refuses the graph.
    """
    with weights_as_inputs(model.graph):
        copy = ir.to_proto(model)
    try:
        onnx.checker.check_model(copy, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"{model.graph.name}: ONNX's checker refuses the graph: {_first_line(error)}{_remedy(error)}"
        ) from error


def check_file(path: Path) -> None:
    """Check that the file, with the weights it points at, can be opened as a whole.

    Raises:
        ExportError: the checker refuses the file.
    """
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{path.name}: ONNX's checker refuses the file: {_first_line(error)}") from error


def _remedy(error: Exception) -> str:
    """Convolutions, poolings and much else take bfloat16 since opset 22."""
    return "; from --opset 22 on it takes bfloat16" if "tensor(bfloat16)" in str(error) else ""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
