"""Types of a file's values as loading finds them, and as ONNX Runtime computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, ValueInfoProto

from onnxlens.profile.graph.loading import load_graph


def found(model: ModelProto, folder: Path) -> Mapping[str, tuple[str | None, object]]:
    """The types that loading finds, by the value's name."""
    path = folder / "graph.onnx"
    onnx.save(model, path)
    graph = load_graph(path)
    outputs = (value for node in graph.nodes for value in node.view.outputs if value is not None)
    return {value.name: (value.dtype, value.shape) for value in outputs}


def run(
    model: ModelProto, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] = ()
) -> Mapping[str, tuple[str, object]]:
    """The type of every value in ONNX Runtime, or of those outputs, without optimizations."""
    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    made = outputs or (name for node in copy.graph.node for name in node.output if name)
    copy.graph.output.extend(ValueInfoProto(name=name) for name in made)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, dict(feeds))
    return {name: (str(value.dtype), value.shape) for name, value in zip(names, values, strict=True)}
