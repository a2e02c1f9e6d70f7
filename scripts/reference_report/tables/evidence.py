"""What the causes of a printed figure are worked out from: our ledgers, and what onnx-tool printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from onnxlens.errors import GraphError
from onnxlens.specs.ledger import Ledger, ModuleCost

FLOAT32_BYTES = 4

Counter = Callable[[str, int | None], Ledger]
"""The ledger of a graph of the catalog at that many pixels; None is 512."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the tables are made from.

    Attributes:
        count: gives ledgers, of float32 graphs without weights at the graphs' own batch.
        peer_totals: onnx-tool's weighted count of a graph; a graph that it has not read is absent.
    """

    count: Counter
    peer_totals: Mapping[str, int]

    def macs(self, graph: str, pixels: int | None = None) -> int:
        """The MACs of a graph."""
        return self.count(graph, pixels).totals.macs

    def params(self, *graphs: str) -> int:
        """The params of graphs together."""
        return sum(self.count(graph, None).totals.params for graph in graphs)

    def peers(self, *graphs: str) -> int | None:
        """onnx-tool's counts of graphs together; None where one is missing."""
        if any(graph not in self.peer_totals for graph in graphs):
            return None
        return sum(self.peer_totals[graph] for graph in graphs)


def peer_total(table: str) -> int:
    """The weighted count in the row of totals of onnx-tool's table.

    Raises:
        GraphError: the table has no such row.
    """
    lines = [re.split(r"\s{2,}", line) for line in table.splitlines()]
    for cells in reversed(lines):
        if cells[0] == "Total":
            return int(cells[lines[0].index("Forward_MACs")].replace(",", ""))
    raise GraphError("onnx-tool's table has no row of totals; make it again")


def batch_norm_elements(ledger: Ledger) -> int:
    """Elements that batch normalisations put out."""
    written = sum(node.write_bytes for node in ledger.nodes if node.op_type == "BatchNormalization")
    return written // FLOAT32_BYTES


def score_shapes(ledger: Ledger) -> tuple[tuple[int, int, int], ...]:
    """The distinct shapes (batch x heads, queries, keys) of attention scores, in the order of execution.

    The softmax gives the elements, its module's inputs the queries and, where they come from elsewhere, the
    keys.
    """
    modules = {module.path: module for module in ledger.modules}
    shapes: dict[tuple[int, int, int], None] = {}
    for node in ledger.nodes:
        if node.op_type == "Softmax" and node.module_path:
            lengths = [_length(modules[node.module_path], index) for index in (0, -1)]
            shapes[(node.write_bytes // FLOAT32_BYTES // prod(lengths), lengths[0], lengths[1])] = None
    return tuple(shapes)


def score_constants(ledger: Ledger) -> int:
    """Elements of one constant for each distinct shape of attention scores."""
    return sum(prod(shape) for shape in score_shapes(ledger))


def used_params(ledger: Ledger) -> int:
    """Params that a node of the graph reads."""
    return sum(node.params for node in ledger.nodes)


def where_shape_stands(ledger: Ledger, shape: str) -> str:
    """In words: the outputs of the graph that have ``shape``, or the last module inside that puts it out."""
    outputs = ledger.modules[0].outputs
    numbers = [number for number, tensor in enumerate(outputs, start=1) if tensor.shape_text() == shape]
    if numbers and len(outputs) == 1:
        return ""
    if len(numbers) > 1:
        return f"{shape} is the shape of {len(numbers)} of {len(outputs)} outputs, {_numbered(numbers)}"
    if numbers:
        return f"{shape} is output {numbers[0]} of {len(outputs)}, `{outputs[numbers[0] - 1].name}`"
    inside = [m for m in ledger.modules[1:] if shape in [tensor.shape_text() for tensor in m.outputs]]
    true = ", ".join(tensor.shape_text() for tensor in outputs)
    if not inside:
        return f"no module puts out {shape}: the output is {true}"
    last = max(inside, key=lambda module: (module.order, module.depth))
    return f"{shape} is inside, behind `{last.path}`: the output is {true}"


def _numbered(numbers: Sequence[int]) -> str:
    return f"number {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _length(module: ModuleCost, index: int) -> int:
    """The tokens of a module's first or last input (batch, tokens, channels)."""
    length = module.inputs[index].shape[1]
    if not isinstance(length, int):
        raise GraphError(f"module {module.path!r}: expected a fixed number of tokens, found {length!r}")
    return length
