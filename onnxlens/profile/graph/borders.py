"""Which tensors go into each module and which come out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.hierarchy import Hierarchy
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.specs.tensor import TensorSpec


@dataclass(slots=True)
class Borders:
    """The tensors that enter and leave one module, by name, in execution order. Weights do not count."""

    inputs: dict[str, TensorSpec] = field(default_factory=dict)
    outputs: dict[str, TensorSpec] = field(default_factory=dict)


def module_borders(graph: Graph, hierarchy: Hierarchy) -> Mapping[str, Borders]:
    """For every module the activations it reads from outside, and those of its own that are read outside."""
    borders = {path: Borders() for path in hierarchy.paths}
    made_in: dict[str, tuple[str, ...]] = {tensor.name: () for tensor in graph.inputs}
    for node in graph.nodes:
        if node.offline:
            continue
        inside = hierarchy.lineage(node.owner.path)
        for value in node.reads:
            if value.name in made_in:
                _cross(borders, value, made_in[value.name], inside)
        made_in.update((value.name, inside) for value in node.view.outputs if value is not None)
    for tensor in graph.outputs:
        for path in made_in.get(tensor.name, ()):
            borders[path].outputs[tensor.name] = tensor
    borders[""].inputs = {tensor.name: tensor for tensor in graph.inputs}
    return borders


def _cross(
    borders: Mapping[str, Borders], value: ValueView, maker: tuple[str, ...], reader: tuple[str, ...]
) -> None:
    """Enter ``value`` in every module that it leaves or enters between the two lineages."""
    tensor = described(value)
    for path in maker:
        if path not in reader:
            borders[path].outputs[value.name] = tensor
    for path in reader:
        if path not in maker:
            borders[path].inputs[value.name] = tensor


def described(value: ValueView) -> TensorSpec:
    """The value's name, dtype and shape; ``?`` where the file does not say."""
    return TensorSpec(value.name, value.dtype or "?", ("?",) if value.shape is None else value.shape)
