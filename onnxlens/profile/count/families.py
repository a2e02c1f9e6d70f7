"""What kind of work each node does: by its operator, and of products by what they multiply."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from onnxlens.profile.count.rules import elementwise, known_operators
from onnxlens.profile.count.rules.microsoft import elementwise as microsoft
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.specs.grouping import OTHER

CONVOLUTION, LINEAR, PRODUCT = "convolution", "linear", "matrix product"
SCORES, PROJECTION = "attention scores", "attention projection"
NORM, SOFTMAX, POOLING, RESAMPLING = "norm", "softmax", "pooling", "resampling"
RECURRENT, REDUCTION, ELEMENTWISE, QUANTIZATION = "recurrent", "reduction", "elementwise", "quantization"
MOVEMENT, CONTROL = "movement", "control flow"

MOVING = frozenset(
    (
        *elementwise.VIEWS, *elementwise.FACTS, *elementwise.NEW_VALUES, *elementwise.COPIES,
        *elementwise.INDEXED, *microsoft.MOVEMENT, *microsoft.OWN_MOVEMENT, "Range", "ScatterElements",
        "ScatterND", "QLinearConcat", "ReorderInput", "ReorderOutput", "GatherBlockQuantized", "Col2Im",
    )
)  # fmt: skip

BY_NAME: Sequence[tuple[str, re.Pattern[str]]] = tuple(
    (family, re.compile(pattern))
    for family, pattern in (
        (CONTROL, rf"^({'|'.join(elementwise.CONTROL_FLOW)})$"),
        (CONVOLUTION, "Conv"),
        (LINEAR, "MatMul|Gemm|^Einsum$|MoE$"),
        (RECURRENT, "LSTM|^GRU$|^RNN$"),
        (SCORES, "Attention$|DeltaNet$"),
        (NORM, "Norm(alization)?$|^LRN$"),
        (SOFTMAX, "Softmax$|^Hardmax$"),
        (QUANTIZATION, "Quant|Dequantize|FixNeuron$|^(Trunc|MultiThreshold)$"),
        (POOLING, "Pool$|^RoiAlign$"),
        (RESAMPLING, "^(Resize|Upsample|AffineGrid|GridSample|CropAndResize)$"),
        (REDUCTION, "^(QLinear)?Reduce|^Arg|^Cum|^(TopK|NonZero|Unique|IsAllFinite|Det)$"),
        (
            OTHER,
            "Loss$|^Random|^Bernoulli$|^Multinomial$|^Ada|^Momentum$|^Gradient$|[FS]T$|Window$|^Mel|^TfIdf"
            "|^String|^Regex|^Image|NonMaxSuppression",
        ),
    )
)
"""The family of an operator by its name, the first that fits."""

PASSING = frozenset({MOVEMENT, ELEMENTWISE, QUANTIZATION})
"""What may stand between a projection, the two products of attention, and its softmax."""

MOST_BETWEEN = 1000
"""Nodes between a product and a softmax, so that a long file takes no more than its length."""

OPERANDS: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("QLinearMatMul", "QGemm", "QLinearConv", "QLinearConvTranspose"), (0, 3)),
    "QOrderedMatMul": (0, 2),
}
"""Where products have what they multiply, unless it is their first two inputs."""


def of_operator(domain: str, op_type: str) -> str:
    """The family of an operator alone; (other) without a rule of ours."""
    if (domain, op_type) not in known_operators() or domain == "ai.onnx.ml":
        return OTHER
    if op_type in MOVING:
        return MOVEMENT
    return next((family for family, pattern in BY_NAME if pattern.search(op_type)), ELEMENTWISE)


def families(graph: Graph) -> list[str]:
    """The family of each node."""
    return _Families(graph).found


class _Families:
    """A product of two activations that a softmax follows or precedes belongs to attention."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        operators = {(node.view.domain, node.view.op_type) for node in graph.nodes}
        by_operator = {operator: of_operator(*operator) for operator in operators}
        self.found = [by_operator[node.view.domain, node.view.op_type] for node in graph.nodes]
        for index, node in enumerate(graph.nodes):
            if self.found[index] == LINEAR and _multiplies_activations(node):
                self.found[index] = PRODUCT
        self._products = frozenset(i for i, family in enumerate(self.found) if family == PRODUCT)
        self._scores()
        self._projections()

    def _scores(self) -> None:
        for softmax in [index for index, family in enumerate(self.found) if family == SOFTMAX]:
            before, first = self._walk([softmax], self._makers)
            behind, second = self._walk([softmax], self._readers)
            if first and second:
                after_first, _ = self._walk(first, self._readers)
                before_second, _ = self._walk(second, self._makers)
                between = (before & after_first) | (behind & before_second)
                for index in (softmax, *first, *second, *between):
                    self.found[index] = SCORES

    def _walk(self, start: Iterable[int], step: Callable[[int], Iterator[int]]) -> tuple[set[int], set[int]]:
        """The nodes that only pass values on, one step after the other, and the products that end them.

        Where there are more than attentions have, there is none.
        """
        waiting, passed, products = list(start), set[int](), set[int]()
        while waiting and len(passed) <= MOST_BETWEEN:
            for other in step(waiting.pop()):
                if self.found[other] in PASSING and other not in passed:
                    passed.add(other)
                    waiting.append(other)
                elif other in self._products:
                    products.add(other)
        return (set(), set()) if waiting else (passed, products)

    def _makers(self, index: int) -> Iterator[int]:
        for value in _activations(self._graph.nodes[index].view.inputs):
            maker = self._graph.producer(value.name)
            if maker is not None:
                yield maker

    def _readers(self, index: int) -> Iterator[int]:
        for value in self._graph.nodes[index].view.outputs:
            if value is not None:
                yield from self._graph.consumers(value.name)

    def _projections(self) -> None:
        """The products with a weight that make queries, keys and values, or take what comes out."""
        leads = self._projections_before()
        scores = [index for index, family in enumerate(self.found) if family == SCORES]
        ends = [index for index in scores if index in self._products or self._is_whole(index)]
        projections: set[int] = set()
        for index in ends:
            for value in _activations(self._graph.nodes[index].view.inputs[:3]):
                maker = self._graph.producer(value.name)
                if maker is not None:
                    projections |= leads[maker]
            projections |= self._projections_after(index)
        for index in projections:
            self.found[index] = PROJECTION

    def _is_whole(self, index: int) -> bool:
        """Whether one node is all of an attention."""
        view = self._graph.nodes[index].view
        return of_operator(view.domain, view.op_type) == SCORES

    def _is_projection(self, index: int) -> bool:
        if self.found[index] == LINEAR:
            return True
        node = self._graph.nodes[index].view
        weight = node.inputs[1] if len(node.inputs) > 1 else None
        kernel = weight.shape[2:] if weight is not None and weight.shape is not None else ("?",)
        return self.found[index] == CONVOLUTION and all(size == 1 for size in kernel)

    def _projections_before(self) -> list[frozenset[int]]:
        """For each node the projections that its results are of, with nothing between that mixes them."""
        found: list[frozenset[int]] = []
        nothing = frozenset[int]()
        for index in range(len(self.found)):
            made = nothing
            if self._is_projection(index):
                made = frozenset({index})
            elif self.found[index] in (*PASSING, NORM):
                makers = [maker for maker in self._makers(index) if maker < index]
                different = {found[maker] for maker in makers if found[maker]}
                made = different.pop() if len(different) == 1 else nothing
            found.append(made)
        return found

    def _projections_after(self, index: int) -> set[int]:
        waiting, found, seen = [index], set[int](), {index}
        while waiting:
            for reader in self._readers(waiting.pop()):
                alone = len(list(_activations(self._graph.nodes[reader].view.inputs))) == 1
                if reader in seen or not alone:
                    continue
                seen.add(reader)
                if self._is_projection(reader):
                    found.add(reader)
                elif self.found[reader] in PASSING:
                    waiting.append(reader)
        return found


def _multiplies_activations(node: GraphNode) -> bool:
    places = OPERANDS.get(node.view.op_type, (0, 1))
    operands = [node.view.inputs[place] for place in places if place < len(node.view.inputs)]
    return len(list(_activations(operands))) == len(places)


def _activations(values: Iterable[ValueView | None]) -> Iterator[ValueView]:
    return (value for value in values if value is not None and not value.is_weight)
