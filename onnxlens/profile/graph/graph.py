"""A loaded graph as counting sees it: nodes in execution order, their modules, weights unread."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from onnxlens.errors import UsageError
from onnxlens.profile.graph.node_view import DefUse, NodeView, ValueView, values_read
from onnxlens.profile.graph.scopes import ModuleRef, TracedCall
from onnxlens.specs.bounds import in_file, require_levels
from onnxlens.specs.ledger import Attribution, Evidence
from onnxlens.specs.manifest import Manifest
from onnxlens.specs.record import record
from onnxlens.specs.tensor import TensorSpec
from onnxlens.specs.text import enclosing

SUGGESTIONS = 3
"""An error message about an unknown module suggests at most this many others."""


@record(frozen=True, slots=True)
class Body:
    """A graph that runs inside a node: a branch of an If, the body of a Loop, Scan or SequenceMap.

    Attributes:
        key: unique in the file.
        name: of the attribute that holds it.
        trip_count: how often it runs in one run of the node; None where that is unknown before run time.
        unknown_reason: why the trip count is unknown.
        results: the values that it returns as the node's outputs, in their order.
    """

    key: str
    name: str
    trip_count: int | None
    unknown_reason: str
    results: tuple[ValueView | None, ...]


@record(frozen=False, slots=True)
class GraphNode:
    """A node with its position in the graph and in the module tree, which is set when all nodes are read.

    Attributes:
        module: the PyTorch module that runs it.
        constant_folded: it reads constants and weights only, so it runs once, before run time, and its
            outputs are weights.
        call: the PyTorch call that it is part of; None where the file does not record it.
        bodies: the graphs that run inside it; their nodes come before it in the graph.
        within: the keys of the bodies that contain it, outermost first.
        evidence: what told its module.
        observed: inside a body, how often it runs with which shapes, where a run was observed, or where these
            change from round to round of a loop whose rounds the file decides.
    """

    view: NodeView
    module: ModuleRef
    constant_folded: bool
    call: TracedCall | None = None
    bodies: tuple[Body, ...] = ()
    within: tuple[str, ...] = ()
    evidence: Evidence = "none"
    observed: tuple[tuple[NodeView, int], ...] = ()

    @property
    def reads(self) -> Sequence[ValueView]:
        """Its inputs, and the values that the bodies inside it return as its outputs."""
        return values_read(self.view, self.bodies)


@record(frozen=True, slots=True)
class ModuleIO:
    """The tensors that enter and leave one module, by name, in execution order; without its weights."""

    inputs: dict[str, TensorSpec] = field(default_factory=dict)
    outputs: dict[str, TensorSpec] = field(default_factory=dict)


class Hierarchy:
    """The module tree: the modules that run nodes or hold parameters, and which of them contains which.

    A module that only contains others is not a level. ``paths`` has all paths, the model's ("") too.
    """

    def __init__(
        self, paths: Iterable[str], classes: Mapping[str, str], graph_name: str = "", source: str = ""
    ) -> None:
        """Build the tree; ``Graph.hierarchy`` does it once per graph.

        Args:
            paths: of the modules that run nodes or hold parameters; the model ("") is added.
            classes: the class name of each module that is known, by path.
            graph_name: of the graph, for messages; ``require`` accepts it for the model.
            source: the file's name, for messages.
        """
        self.paths = frozenset(paths) | {""}
        with in_file(source):
            for path in self.paths:
                require_levels(path, path.count(".") + 1)
        self._classes = classes
        self._graph_name = graph_name
        self._source = source
        self._lineages: dict[str, tuple[str, ...]] = {}

    def class_name(self, path: str) -> str:
        """The module's class, or "" where the file does not record it."""
        return self._classes.get(path, "")

    def lineage(self, path: str) -> tuple[str, ...]:
        """The modules that contain ``path``, the model ("") first, then ``path`` itself if it is a module."""
        found = self._lineages.get(path)
        if found is None:
            found = self._lineages[path] = enclosing(path, self.paths)
        return found

    def depth(self, path: str) -> int:
        """0 for the model, 1 for its direct children, and so on."""
        return len(self.lineage(path)) - 1

    def require(self, path: str, *, containers: bool = False) -> str:
        """The module's path as the graph has it: "" for the graph's own name.

        Args:
            path: as a user typed it.
            containers: also accept a module that runs nothing itself: one that only contains others, or one
                that only the manifest lists.

        Raises:
            UsageError: there is no such module; the message suggests some that exist.
        """
        known = self.paths | self._classes.keys() if containers else self.paths
        inside = sorted(other for other in known if other.startswith(f"{path}."))
        if path in known or (containers and inside):
            return path
        if path == self._graph_name:
            return ""
        from difflib import get_close_matches  # a graph whose modules are found does without

        named = sorted(known - {""})
        if not named:
            raise UsageError(f"{self._source} names no modules, so it has no module {path!r}")
        near = inside[:SUGGESTIONS] or get_close_matches(path, named, n=SUGGESTIONS) or named[:SUGGESTIONS]
        raise UsageError(f"{self._graph_name} has no module {path!r}; there is {', '.join(near)}")


@dataclass(frozen=True, eq=False)
class Graph:
    """One ONNX graph, and the questions that everybody asks about it.

    ``producer``, ``consumers``, ``module_of``, ``by_module``, ``module_io`` and ``hierarchy`` are computed on
    first use, once per graph. Nodes are named by their index in ``nodes``.

    Attributes:
        nodes: in execution order.
        weights: the initializers that hold the model's weights, by name.
        constants: the initializers that are part of the computation: shapes, axes, masks, scalars.
        called: the class of each module whose forward ran, by path; with its Python module where the file
            names that.
        given: the inputs whose value was fixed, so that they are constants, by name.
        notes: what a reader of its figures must know, one line each.
        declared: which tensors torch's exporter says are parameters (True) or buffers, by name.
    """

    name: str
    path: Path
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: tuple[GraphNode, ...]
    weights: Mapping[str, ValueView]
    constants: Mapping[str, ValueView]
    attribution: Attribution
    called: Mapping[str, str]
    manifest: Manifest | None
    given: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    declared: Mapping[str, bool] = field(default_factory=dict)

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The module tree: the modules that run nodes, were called, or hold a parameter of the manifest."""
        classes = {path: qualified.rpartition(".")[2] for path, qualified in self.called.items()}
        paths = {*self.called, *(node.module.path for node in self.nodes)}
        if self.manifest is not None:
            classes.update(self.manifest.modules)
            paths |= {
                tensor.name.rpartition(".")[0]
                for tensor in self.manifest.tensors
                if tensor.kind == "parameter"
            }
        return Hierarchy(paths, classes, self.name, self.path.name)

    def producer(self, value: str) -> int | None:
        """The index of the node that produces ``value``; None for inputs, weights and unknown names."""
        return self._def_use.producers.get(value)

    def consumers(self, value: str) -> Sequence[int]:
        """The indices of the nodes that read ``value``, in execution order, each once.

        A node reads its inputs and the values that the bodies inside it return. Constant-folded nodes count.
        """
        return self._def_use.consumers.get(value, ())

    def module_of(self, node: int) -> str:
        """The path of the module that runs the node at that index; "" is the model itself."""
        return self.nodes[node].module.path

    def by_module(self) -> Mapping[str, Sequence[int]]:
        """For each module path the indices of the nodes that run in it and in the modules that it contains.

        In execution order, without constant-folded nodes; empty for a module that runs nothing.
        """
        return self._by_module

    @cached_property
    def _by_module(self) -> Mapping[str, Sequence[int]]:
        inside: dict[str, list[int]] = {path: [] for path in self.hierarchy.paths}
        for index, node in enumerate(self.nodes):
            if not node.constant_folded:
                for path in self.hierarchy.lineage(node.module.path):
                    inside[path].append(index)
        return inside

    def module_io(self, path: str) -> ModuleIO:
        """The activations that a module reads from outside, and those it produces that are read outside."""
        return self._module_io[path]

    @cached_property
    def _def_use(self) -> DefUse:
        return DefUse(self.nodes)

    def knowing(self, def_use: DefUse) -> Graph:
        """The same graph, which need not find out again who produces and who reads what."""
        self.__dict__["_def_use"] = def_use
        return self

    @cached_property
    def _module_io(self) -> Mapping[str, ModuleIO]:
        found = {path: ModuleIO() for path in self.hierarchy.paths}
        produced_in: dict[str, tuple[str, ...]] = {tensor.name: () for tensor in self.inputs}
        if len(found) == 1:  # only the model itself, which nothing crosses but its outputs
            made = {tensor.name: self.producer(tensor.name) for tensor in self.outputs}
            produced_in |= {
                name: ("",)
                for name, index in made.items()
                if index is not None and not self.nodes[index].constant_folded
            }
        lineages = {path: self.hierarchy.lineage(path) for path in found}
        for node in self.nodes if len(found) > 1 else ():
            if node.constant_folded:
                continue
            view, lineage = node.view, lineages[node.module.path]
            for value in node.reads:
                source = lineage if value.is_weight else produced_in.get(value.name, lineage)
                if source is not lineage:
                    _cross(found, value, source, lineage)
            for output in view.outputs:
                if output is not None:
                    produced_in[output.name] = lineage
        for tensor in self.outputs:
            for path in produced_in.get(tensor.name, ()):
                found[path].outputs[tensor.name] = tensor
        found[""].inputs.clear()
        found[""].inputs.update((tensor.name, tensor) for tensor in self.inputs)
        return found


def _cross(
    found: Mapping[str, ModuleIO], value: ValueView, source: tuple[str, ...], target: tuple[str, ...]
) -> None:
    """Add ``value`` to every module that it leaves or enters between the two lineages."""
    tensor = value.spec
    for path in source:
        if path not in target:
            found[path].outputs[value.name] = tensor
    for path in target:
        if path not in source:
            found[path].inputs[value.name] = tensor


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection meanwhile: views and costs hold no cycles, and walking them again and again takes time.

    On a graph of 100,000 nodes that is a third of it.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if not gc.get_freeze_count():
                gc.freeze()  # with unfreeze: all that was made meanwhile is old, and not walked through now
                gc.unfreeze()
            gc.enable()
