"""Files as ONNX Runtime rewrites them, with the shape of every tensor."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime
from onnx import TensorProto, helper

LEVELS = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def optimised(path: Path, level: str) -> Path:
    """What ONNX Runtime makes of the file at that level, shapes included."""
    result = path.with_name(f"{path.stem}_{level}.onnx")
    _session(str(path), level, result)
    return with_shapes(result)


def with_shapes(path: Path) -> Path:
    """The same file, with the type and shape of every tensor, as ONNX Runtime infers them.

    It tells them of a graph's outputs only, so every tensor is made one; nothing is run.
    """
    model = onnx.load(path)
    outputs = list(model.graph.output)
    known = {output.name for output in outputs}
    inner = [name for node in model.graph.node for name in node.output if name and name not in known]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    made = _session(model.SerializeToString(), "none").get_outputs()
    del model.graph.output[len(outputs) :], model.graph.value_info[:]
    for value in made[len(outputs) :]:
        dtype = getattr(TensorProto, value.type.removeprefix("tensor(").removesuffix(")").upper())
        model.graph.value_info.append(helper.make_tensor_value_info(value.name, dtype, value.shape))
    onnx.save(model, path)
    return path


def _session(model: str | bytes, level: str, save_to: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = LEVELS[level]
    if save_to is not None:
        options.optimized_model_filepath = str(save_to)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
