"""Faults planted in an exported file: what an exporter, an optimizer or a person may get wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from onnxlens.profile.graph.scopes import SCOPES_KEY

Plant = Callable[[onnx.GraphProto, str], None]


def plant(path: Path, fault: Plant, where: str) -> None:
    """Change the file: ``where`` is the module, or for a concatenation the module that consumes it."""
    model = onnx.load(str(path), load_external_data=False)
    fault(model.graph, where)
    path.write_bytes(model.SerializeToString())


def wrong_epsilon(graph: onnx.GraphProto, module: str) -> None:
    """Multiplies the epsilon by a hundred."""
    (node,) = (node for node in of_module(graph, module) if has(node, "epsilon"))
    (epsilon,) = (attribute for attribute in node.attribute if attribute.name == "epsilon")
    epsilon.f *= 100


def swapped_concat(graph: onnx.GraphProto, consumer: str) -> None:
    """Swaps the inputs of the concatenation: the skip connection comes first."""
    read = {name for node in of_module(graph, consumer, inside=True) for name in node.input}
    (node,) = (node for node in graph.node if node.op_type == "Concat" and node.output[0] in read)
    node.input[:] = reversed(node.input)


def float16_overflow(graph: onnx.GraphProto, module: str) -> None:
    """The last node's result goes through float16 at ten million times its size."""
    *_, node = of_module(graph, module)
    name = node.output[0]
    node.output[0] = f"{name}_plain"
    scale = numpy_helper.from_array(np.array(1e7, np.float32), f"{name}_scale")
    graph.initializer.append(scale)
    added = [
        helper.make_node("Mul", [f"{name}_plain", scale.name], [f"{name}_large"]),
        helper.make_node("Cast", [f"{name}_large"], [f"{name}_half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [f"{name}_half"], [f"{name}_back"], to=TensorProto.FLOAT),
        helper.make_node("Div", [f"{name}_back", scale.name], [name]),
    ]
    for one in added:
        one.metadata_props.extend(node.metadata_props)
    index = list(graph.node).index(node) + 1
    rest = list(graph.node)[index:]
    del graph.node[index:]
    graph.node.extend([*added, *rest])


def of_module(graph: onnx.GraphProto, path: str, *, inside: bool = False) -> Iterator[NodeProto]:
    """The nodes that the module runs itself; those of the modules in it too where requested."""
    for node in graph.node:
        scopes = {entry.key: entry.value for entry in node.metadata_props}.get(SCOPES_KEY, "[]")
        names = scopes.strip("[]").replace("'", "").split(", ")[:-1]
        if names[-1:] == [path] or (inside and path in names):
            yield node


def has(node: NodeProto, name: str) -> bool:
    return any(attribute.name == name for attribute in node.attribute)
