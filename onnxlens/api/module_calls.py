"""PyTorch's side of a module that is cut out of a graph: its calls, found again by what the manifest says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnxlens.api.opened import OpenedTarget
from onnxlens.errors import UsageError
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.parity.matching import match_tensors, split_calls
from onnxlens.profile.parity.module_calls import ModuleCall, calls_of
from onnxlens.profile.subgraph.extraction import Subgraph, nodes_of
from onnxlens.specs.manifest import ModuleCut


@dataclass(frozen=True, slots=True)
class PyTorchSide:
    """The calls of one module.

    Attributes:
        calls: in their order; none where they are not known.
        doubt: why they are not.
    """

    calls: tuple[ModuleCall, ...]
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class ChosenCall:
    """One call of a module, or all of them.

    Attributes:
        number: from 1; 0 for all.
        nodes: what runs in it.
        note: what was chosen among several; empty where there is one.
    """

    number: int
    nodes: Sequence[GraphNode]
    note: str = ""


def pytorch_side(it: OpenedTarget, module: str) -> PyTorchSide:
    """How PyTorch calls the module, in a run without values of the network that the manifest names."""
    manifest = it.graph.manifest
    if manifest is None:
        return PyTorchSide((), f"no manifest lies beside {it.path.name}")
    try:
        calls = calls_of(it.network, it.spec.inputs, module)
    except Exception as error:  # the user's code, not ours
        reason = next(iter(str(error).strip().splitlines()), "")
        return PyTorchSide((), f"its network cannot be run without values ({type(error).__name__}: {reason})")
    if manifest.cut is not None and len(calls) > 1:
        return PyTorchSide((), f"the file holds one of {len(calls)} calls; extract from the whole graph")
    return PyTorchSide(calls, "" if calls else "PyTorch does not call it")


def chosen_call(graph: Graph, module: str, wanted: int | None, side: PyTorchSide) -> ChosenCall:
    """The nodes of one call: the first, unless another is wanted.

    Raises:
        UsageError: a call is wanted that there is not, or that cannot be told from the others.
    """
    nodes, count = nodes_of(graph, module), len(side.calls)
    if wanted is not None and not 1 <= wanted <= count:
        known = f"it is called {count} times" if count else f"its calls are not known: {side.doubt}"
        raise UsageError(f"{graph.name}: {module or 'the model'} has no call {wanted}: {known}")
    if count < 2:
        return ChosenCall(count, nodes)
    parts = split_calls(nodes, count)
    if parts:
        number = wanted or 1
        return ChosenCall(number, parts[number - 1], f"call {number} of {count}; --call takes another")
    if wanted is not None:
        raise UsageError(
            f"{graph.name}: the {count} calls of {module} cannot be told apart in the file; "
            "leave --call out to get all of them"
        )
    return ChosenCall(0, nodes, f"all of its {count} calls, which cannot be told apart in the file")


def beside(graph: Graph, cut: Subgraph, number: int, side: PyTorchSide) -> ModuleCut:
    """Which of PyTorch's tensors those of the cut-out are; those of the whole model are in its order."""
    if not cut.path:
        return ModuleCut(
            "",
            number,
            {tensor.name: place for place, tensor in enumerate(cut.inputs)},
            {tensor.name: place for place, tensor in enumerate(cut.outputs)},
            f"{', '.join(graph.given)} was given a value" if graph.given else "",
        )
    if not number or not side.calls:
        doubt = side.doubt or "its calls cannot be told apart in the file"
        return ModuleCut(cut.path, number, {}, {}, doubt)
    found = match_tensors(side.calls[number - 1], cut.inputs, cut.outputs)
    weights = {tensor.name for tensor in graph.manifest.tensors} if graph.manifest else set()
    elsewhere = [
        tensor.name
        for tensor in cut.model.graph.initializer
        if tensor.name in weights and not tensor.name.startswith(f"{cut.path}.")
    ]
    doubt = f"it reads {elsewhere[0]}, a weight of another module" if elsewhere else found.unknown_reason
    return ModuleCut(cut.path, number, found.inputs, found.outputs, doubt)
