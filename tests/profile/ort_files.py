"""Files as ONNX Runtime rewrites them, without the types of intermediate values."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime

LEVELS = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def optimized(path: Path, level: str) -> Path:
    """The file as ONNX Runtime optimizes it at that level."""
    result = path.with_name(f"{path.stem}_{level}.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it warns that what it saves is this machine's
    options.graph_optimization_level = LEVELS[level]
    options.optimized_model_filepath = str(result)
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return without_types(result)


def without_types(path: Path) -> Path:
    """The same file without the types of its intermediate values."""
    model = onnx.load(path)
    del model.graph.value_info[:]
    onnx.save(model, path)
    return path
