"""The PyTorch calls that an extracted module corresponds to."""

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
class PyTorchCalls:
    """The calls of one module in execution order; without any, the reason why they are unknown."""

    calls: tuple[ModuleCall, ...]
    unknown_reason: str = ""


@dataclass(frozen=True, slots=True)
class ChosenCall:
    """The nodes of one call of a module (``number`` from 1) or of all (0); a note if there are several."""

    number: int
    nodes: Sequence[GraphNode]
    note: str = ""


def pytorch_calls(it: OpenedTarget, module: str) -> PyTorchCalls:
    """How PyTorch calls the module, from a run of the manifest's network on the meta device."""
    manifest = it.graph.manifest
    if manifest is None:
        return PyTorchCalls((), f"{it.path.name} has no manifest")
    try:
        inputs = it.spec.inputs
    except UsageError as error:  # nobody has named the factory
        return PyTorchCalls((), str(error))
    try:
        calls = calls_of(it.network.module, inputs, module)
    except Exception as error:  # the user's code, not ours
        reason = next(iter(str(error).strip().splitlines()), "")
        return PyTorchCalls(
            (), f"its network cannot be run without values ({type(error).__name__}: {reason})"
        )
    named = dict(it.network.module.named_modules(remove_duplicate=False))
    others = [path for path, found in named.items() if found is named.get(module) and path != module]
    if others:
        return PyTorchCalls(
            (), f"it is one module with {', '.join(others)}, and PyTorch tells no calls apart"
        )
    if manifest.cut is not None and len(calls) > 1:
        return PyTorchCalls((), f"the file holds one of {len(calls)} calls; extract from the whole graph")
    return PyTorchCalls(calls, "" if calls else "PyTorch does not call it")


def chosen_call(graph: Graph, module: str, wanted: int | None, found: PyTorchCalls) -> ChosenCall:
    """The nodes of one call: the first, unless ``wanted`` names another.

    Raises:
        UsageError: the wanted call does not exist, or cannot be distinguished from the others.
    """
    nodes, count = nodes_of(graph, module), len(found.calls)
    if wanted is not None and not 1 <= wanted <= count:
        known = f"it is called {count} times" if count else f"its calls are not known: {found.unknown_reason}"
        raise UsageError(f"{graph.name}: {module or 'the model'} has no call {wanted}: {known}")
    if count < 2:
        return ChosenCall(count, nodes)
    parts = split_calls(nodes, count)
    if parts:
        number = wanted or 1
        return ChosenCall(number, parts[number - 1], f"call {number} of {count}; --call takes another")
    if wanted is not None:
        raise UsageError(
            f"{graph.name}: the {count} calls of {module} cannot be distinguished in the file; "
            "leave --call out to get all of them"
        )
    return ChosenCall(0, nodes, f"all of its {count} calls, which cannot be distinguished in the file")


def match_call(graph: Graph, subgraph: Subgraph, number: int, found: PyTorchCalls) -> ModuleCut:
    """Match the subgraph's inputs and outputs with the tensors of PyTorch's call."""
    if not subgraph.path:
        return ModuleCut(
            "",
            number,
            {tensor.name: index for index, tensor in enumerate(subgraph.inputs)},
            {tensor.name: index for index, tensor in enumerate(subgraph.outputs)},
            f"{', '.join(graph.given)} was given a value" if graph.given else "",
        )
    if not number or not found.calls:
        reason = found.unknown_reason or "its calls cannot be distinguished in the file"
        return ModuleCut(subgraph.path, number, {}, {}, reason)
    matched = match_tensors(found.calls[number - 1], subgraph.inputs, subgraph.outputs)
    weights = {tensor.name for tensor in graph.manifest.tensors} if graph.manifest else set()
    elsewhere = [
        tensor.name
        for tensor in subgraph.model.graph.initializer
        if tensor.name in weights and not tensor.name.startswith(f"{subgraph.path}.")
    ]
    reason = f"it reads {elsewhere[0]}, a weight of another module" if elsewhere else matched.unknown_reason
    return ModuleCut(subgraph.path, number, matched.inputs, matched.outputs, reason)
