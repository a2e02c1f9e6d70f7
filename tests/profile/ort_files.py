"""Files as ONNX Runtime rewrites them, with the shape of every tensor, as a run of the file has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

LEVELS = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
NUMPY_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def optimised(path: Path, level: str) -> Path:
    """What ONNX Runtime makes of the file at that level, shapes included."""
    result = path.with_name(f"{path.stem}_{level}.onnx")
    _session(str(path), level, result)
    return with_shapes(result)


def with_shapes(path: Path) -> Path:
    """The same file, with the type and shape that every tensor has in a run: no inference knows them all."""
    model = onnx.load(path)
    outputs = list(model.graph.output)
    made = [name for node in model.graph.node for name in node.output if name]
    inner = [name for name in made if name not in {output.name for output in outputs}]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    session = _session(model.SerializeToString(), "none")
    feeds = {given.name: np.ones(given.shape, NUMPY_TYPES[given.type]) for given in session.get_inputs()}
    del model.graph.output[len(outputs) :], model.graph.value_info[:]
    for name, array in zip(inner, session.run(inner, feeds), strict=True):
        dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
        model.graph.value_info.append(helper.make_tensor_value_info(name, dtype, array.shape))
    onnx.save(model, path)
    return path


def _session(model: str | bytes, level: str, save_to: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = LEVELS[level]
    if save_to is not None:
        options.optimized_model_filepath = str(save_to)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
