"""Which nodes a tool refuses that ends without naming them: the graph is given to it in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

import onnx

from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.loading.model_file import read_model
from onnxlens.profile.subgraph.extractor import Extractor, typed, value_specs
from onnxlens.specs.tensor import TensorSpec

Refuses = Callable[["Section"], str]
"""Why the tool refuses a section, in one line; "" if it takes it."""

MOST_RUNS = 3
"""So many runs of nodes are found at most: the next network's refusals are most often the same again."""


@dataclass(frozen=True, slots=True)
class Section:
    """Some of a file's nodes as a model, and the values that it reads from the others."""

    model: onnx.ModelProto
    inputs: Sequence[TensorSpec]


def refused_nodes(path: Path, refuses: Refuses, until: float) -> Mapping[str, str]:
    """The nodes that the tool refuses, each with the reason, where it refuses all of the file.

    1. The shortest beginning that is refused ends at the last node of the first run that is refused.
    2. The shortest end of that beginning is the run: one node, or several that are refused together.
    3. What comes after is looked at in the same way.

    Args:
        path: of one file at fixed sizes.
        refuses: asks the tool, in a process of its own.
        until: on the clock of ``monotonic``; what was found until then is returned.
    """
    sections = _Sections(path)
    found: dict[str, str] = {}
    start, end, runs = 0, sections.count, 0
    while runs < MOST_RUNS and start < end and (not runs or refuses(sections.between(start, end))):
        last = _first(start + 1, end, partial(sections.is_refused, refuses, start), until)
        begin = _first(start, last - 1, partial(sections.is_taken_after, refuses, last), until)
        reason = refuses(sections.between(begin, last))
        if monotonic() > until:
            break
        found |= dict.fromkeys(sections.names[begin:last], reason)
        start, runs = last, runs + 1
    return found


def _first(low: int, high: int, holds: Callable[[int], bool], until: float) -> int:
    """The smallest number that it holds for: as for ``high``, it holds for all above such a one."""
    while low < high and monotonic() < until:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return high


class _Sections:
    """Runs of consecutive nodes of a file, as models of their own."""

    def __init__(self, path: Path) -> None:
        graph = load_graph(path)
        self._specs = value_specs(graph)
        self._model = Extractor(read_model(path))
        self._ends = {tensor.name for tensor in graph.outputs}
        top = [node for node in graph.nodes if not node.within]
        self._nodes = [index for index, node in enumerate(top) if not node.constant_folded]
        self.names = [top[index].view.name for index in self._nodes]
        self.count = len(self._nodes)

    def is_refused(self, refuses: Refuses, begin: int, end: int) -> bool:
        return bool(refuses(self.between(begin, end)))

    def is_taken_after(self, refuses: Refuses, end: int, begin: int) -> bool:
        return not refuses(self.between(begin + 1, end))

    def between(self, begin: int, end: int) -> Section:
        wanted = self._nodes[begin:end]
        inside, proto = set(wanted), self._model.model.graph.node
        outside = [index for index in self._nodes if index not in inside]
        before = {name for index in outside for name in proto[index].output if name}
        indices, inputs = self._model.upstream(wanted, before)
        read = {name for index in outside for name in self._model.reads(index)}
        outputs = [
            name for index in wanted for name in proto[index].output if name in read or name in self._ends
        ]
        model = self._model.model_of(
            indices, [self._typed(name) for name in inputs], [self._typed(name) for name in outputs]
        )
        return Section(model, [self._specs[name] for name in inputs])

    def _typed(self, name: str) -> onnx.ValueInfoProto:
        spec = self._specs[name]
        return typed(name, spec.dtype, spec.shape)
