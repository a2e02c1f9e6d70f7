"""One node at a time in ONNX Runtime, on the CPU and without its optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ELEMENT_TYPES = {"float": TensorProto.FLOAT, "double": TensorProto.DOUBLE}
"""ONNX Runtime's names of element types, where they are not ONNX's in lower case."""

IR_VERSION = 10
"""Of the models made here, whatever the file's: one that all releases of ONNX Runtime in use can read."""

OLDEST_OPSET = 7
"""Of those that ONNX Runtime supports."""


@dataclass(frozen=True, eq=False)
class Value:
    """What a name stands for while a graph runs.

    Attributes:
        constant: the same in every run of the file, because it follows from weights and constants alone.
        data: the tensor, sequence or map; None is the empty optional, or a weight not read yet.
        weight: the initializer itself: kernels may ask for a constant, and get it.
    """

    constant: bool = False
    data: Any = None
    weight: TensorProto | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a tensor."""
        return tuple(self.weight.dims if self.weight is not None else self.data.shape())

    def array(self) -> np.ndarray:
        """Of a tensor whose type numpy has."""
        return np.asarray(self.ort().numpy())

    def ort(self) -> Any:
        """As ONNX Runtime holds it."""
        return self.data if self.weight is None else _read(self.weight)

    def signature(self) -> object:
        """Equal for values that one session can take in turn."""
        if self.weight is not None:
            return id(self.weight)
        return (self.data.data_type(), self.shape if self.data.is_tensor() else ())

    def is_here(self) -> bool:
        """False is the empty optional."""
        return self.data is not None or self.weight is not None


NOTHING = Value(constant=True)


def from_array(array: np.ndarray, constant: bool = False) -> Value:
    """A tensor of numpy's, or of ml_dtypes'."""
    if array.dtype.kind not in "biufc":
        return Value(constant, _read(numpy_helper.from_array(array)))
    return Value(constant, onnxruntime.OrtValue.ortvalue_from_numpy(np.asarray(array, order="C")))


class CannotRun(Exception):
    """ONNX Runtime refuses the node, or fails in it."""


class SingleNodes:
    """Runs nodes as models of one node; a session is made once for a node and the types of its inputs."""

    def __init__(self) -> None:
        self._sessions: dict[object, Any] = {}
        self._kept: list[object] = []

    def run(
        self, node: onnx.NodeProto, inputs: Sequence[Value | None], opsets: Mapping[str, int]
    ) -> list[Any]:
        """The node's outputs, as ONNX Runtime's values; None where the node omits one."""
        key = (id(node), *(value.signature() if value else None for value in inputs))
        feeds = {f"i{at}": value.data for at, value in enumerate(inputs) if value and value.weight is None}
        try:
            if key not in self._sessions:
                self._sessions[key] = _session(self._model(node, inputs, opsets))
                self._kept.append((node, inputs))  # their ids are in the key
            found = iter(self._sessions[key].run_with_ort_values(None, feeds))
        except Exception as reason:  # ONNX Runtime's have no other base
            raise CannotRun(f"{node.op_type} {node.name!r}: {reason}") from reason
        return [next(found) if name else None for name in node.output]

    def _model(
        self, node: onnx.NodeProto, inputs: Sequence[Value | None], opsets: Mapping[str, int]
    ) -> onnx.ModelProto:
        alone = onnx.NodeProto()
        alone.CopyFrom(node)
        del alone.input[:], alone.output[:]
        alone.input.extend(f"i{at}" if value else "" for at, value in enumerate(inputs))
        alone.output.extend(f"o{at}" if name else "" for at, name in enumerate(node.output))
        given, weights = [], []
        for at, value in enumerate(inputs):
            if value and value.weight is not None:
                weights.append(onnx.TensorProto())
                weights[-1].CopyFrom(value.weight)
                weights[-1].name = f"i{at}"
            elif value:
                shape = value.shape if value.data.is_tensor() else ()
                given.append(helper.make_value_info(f"i{at}", type_of(value.data.data_type(), shape)))
        results = [onnx.ValueInfoProto(name=name) for name in alone.output if name]
        graph = helper.make_graph([alone], "one", given, results, weights)
        oldest = {**opsets, "": _oldest(node, opsets[""])}
        imports = [helper.make_opsetid(domain, version) for domain, version in oldest.items()]
        return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)


def _oldest(node: onnx.NodeProto, version: int) -> int:
    """An opset that defines the operator alike: ONNX Runtime need not know the newest one to run it."""
    if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type):
        return version
    since = int(onnx.defs.get_schema(node.op_type, version).since_version)
    return max(since, min(version, OLDEST_OPSET))


def type_of(text: str, shape: Sequence[int] = ()) -> onnx.TypeProto:
    """ONNX Runtime's text of a type as ONNX's: ``tensor(float)``, ``seq(map(int64,tensor(float)))``."""
    kind, _, inside = text[:-1].partition("(")
    if kind == "tensor":
        return helper.make_tensor_type_proto(_element_type(inside), shape)
    if kind == "seq":
        return helper.make_sequence_type_proto(type_of(inside, [None]))
    if kind == "map":
        key, _, value = inside.partition(",")
        return helper.make_map_type_proto(_element_type(key), type_of(value))
    raise NotImplementedError(f"values of type {text}")


def _element_type(name: str) -> int:
    return ELEMENT_TYPES.get(name) or TensorProto.DataType.Value(name.upper())


def _session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _read(weight: TensorProto) -> Any:
    """A weight as a value, of whatever type: what a Constant of it gives."""
    node = helper.make_node("Constant", [], ["value"], value=weight)
    return SingleNodes().run(node, [], {"": 17})[0]
