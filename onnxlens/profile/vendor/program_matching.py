"""A tool's program and the graph that it was made of: which nodes each step of the program stands for.

Products are matched first, from the outputs back: by their MACs, and by what reads them. All else is matched
by the products before and behind it, which both sides have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import prod

from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.vendor.names import naming_of
from onnxlens.specs.layers import LayerRecord, LayerReport, Step

CPU = "cpu"
"""The unit whose layers are one node each, of the operator that they have."""

MOST_STEPS = 20_000
"""Of the search; more only where many products are alike."""

Key = tuple[frozenset[int], frozenset[int]]


def led_by_program(report: LayerReport, graph: Graph, sources: Mapping[str, str]) -> LayerReport:
    """A report with the nodes that the steps of its program stand for, in the place of the program.

    Args:
        report: of a tool that tells its program.
        graph: that the tool was given.
        sources: what a node or tensor of it is called in the graph that the figures are for, if otherwise.
    """
    program, records = report.program or (), list(report.records)
    macs = [cost.macs for cost in count_nodes(graph)]
    found = Matching(graph, macs, program, records).found()
    for at, step in enumerate(program):
        if step.record is not None:
            names = tuple(graph.nodes[node].view.name for node in found.get(at, ()))
            records[step.record] = replace(records[step.record], sources=names)
    forms = naming_of(report.tool).forms

    def called(name: str) -> str:
        return next((sources[form] for form in forms(name) if form in sources), name)

    renamed = (
        replace(record, sources=tuple(dict.fromkeys(map(called, record.sources)))) for record in records
    )
    return replace(report, records=tuple(renamed), program=None)


class Dataflow:
    """What reads what, with the products among it, on either side."""

    def __init__(self, reads: Sequence[Sequence[int]], macs: Sequence[int]) -> None:
        """``reads`` has for each element those that it reads, which stand before it."""
        self.macs = macs
        self._reads = reads
        self.products = [at for at, each in enumerate(macs) if each]

    @cached_property
    def before(self) -> Sequence[frozenset[int]]:
        """The products that each element reads, directly or through others that are none."""
        found: list[frozenset[int]] = []
        for reads in self._reads:
            found.append(
                frozenset().union(*(frozenset({at}) if self.macs[at] else found[at] for at in reads))
            )
        return found

    @cached_property
    def behind(self) -> Sequence[frozenset[int]]:
        """The products that read each element, directly or through others that are none."""
        found: list[set[int]] = [set() for _ in self._reads]
        for at in reversed(range(len(self._reads))):
            passed = {at} if self.macs[at] else found[at]
            for read in self._reads[at]:
                found[read] |= passed
        return [frozenset(each) for each in found]

    @cached_property
    def beyond(self) -> Sequence[frozenset[int]]:
        """The products that depend on each element."""
        found: list[frozenset[int]] = [frozenset()] * len(self._reads)
        for at in reversed(range(len(self._reads))):
            found[at] = self.behind[at].union(*(found[each] for each in self.behind[at]))
        return found


class Matching:
    """Leads steps to nodes."""

    def __init__(
        self, graph: Graph, macs: Sequence[int], steps: Sequence[Step], records: Sequence[LayerRecord]
    ) -> None:
        """``macs`` are those of the graph's nodes; ``records`` are those that the steps name."""
        self._graph, self._steps, self._records = graph, steps, records
        nodes = graph.nodes
        self._live = [at for at, node in enumerate(nodes) if not node.constant_folded]
        reads = [
            []
            if node.constant_folded
            else [at for value in node.reads if (at := graph.producer(value.name)) is not None]
            for node in nodes
        ]
        self._ours = Dataflow(
            reads, [0 if node.constant_folded else macs[at] for at, node in enumerate(nodes)]
        )
        self._theirs = Dataflow(
            [[at for at, _ in step.reads] for step in steps],
            [
                0 if step.record is None else int(records[step.record].figures.get("macs", 0))
                for step in steps
            ],
        )

    def found(self) -> Mapping[int, Sequence[int]]:
        """For each step its nodes: of a product those alone; none for what cannot be told."""
        products = self._products()
        if products is None:
            return {}
        owner = {node: step for step, nodes in products.items() for node in nodes}
        regions: dict[Key, list[int]] = {}
        for node in self._live:
            if node not in owner:
                regions.setdefault(self._key(node, owner), []).append(node)
        found: dict[int, Sequence[int]] = dict(products)
        run: set[int] = set()
        layers = {
            at: self._records[step.record] for at, step in enumerate(self._steps) if step.record is not None
        }
        named = {at: record.op_type for at, record in layers.items() if record.placement == CPU}
        for at, operator in named.items():
            alike = self._around(at, regions)
            same = [n for n in alike if n not in run and self._graph.nodes[n].view.op_type == operator]
            if same:
                found[at] = [min(same, key=self._reads_weights)]
                run.update(found[at])
        for at in layers:
            if at not in products and at not in named:
                alike = self._around(at, regions)
                found[at] = [node for node in alike if node not in run] or alike
        return found

    def _around(self, step: int, regions: Mapping[Key, Sequence[int]]) -> Sequence[int]:
        """The nodes between the same products; else between those behind it and some of those before it.

        A product that is added to another is fused with that, and is then not among those before.
        """
        before, behind = self._theirs.before[step], self._theirs.behind[step]
        if (before, behind) in regions:
            return regions[before, behind]
        near = (nodes for (ahead, after), nodes in regions.items() if after == behind and ahead & before)
        return [node for nodes in near for node in nodes]

    def _reads_weights(self, node: int) -> bool:
        """Whether it scales or shifts by weights, which is fused into a product where it can be."""
        return any(value.is_weight for value in self._graph.nodes[node].reads)

    def _key(self, node: int, owner: Mapping[int, int]) -> Key:
        """The steps of the products before and behind a node."""
        before, behind = self._ours.before[node], self._ours.behind[node]
        return frozenset(owner[each] for each in before), frozenset(owner[each] for each in behind)

    def _products(self) -> Mapping[int, Sequence[int]] | None:
        """The products of each step that has MACs; None if they do not come out even."""
        ours, theirs = self._ours, self._theirs
        if sum(ours.macs) != sum(theirs.macs):
            return None
        waiting = theirs.products[::-1]
        owner: dict[int, int] = {}
        chosen: list[Sequence[int]] = []
        ways = [self._ways(waiting[0], owner)] if waiting else []
        for _ in range(MOST_STEPS):
            if len(chosen) == len(waiting):
                return dict(zip(waiting, chosen, strict=True))
            run = next(ways[-1], None)
            if run is not None:
                chosen.append(run)
                owner |= dict.fromkeys(run, waiting[len(chosen) - 1])
                if len(chosen) < len(waiting):
                    ways.append(self._ways(waiting[len(chosen)], owner))
            elif chosen:
                ways.pop()
                for node in chosen.pop():
                    del owner[node]
            else:
                break
        return None

    def _ways(self, step: int, owner: Mapping[int, int]) -> Iterator[Sequence[int]]:
        """The products that a step may be: of its MACs, and read by no steps but those that depend on it.

        First those that only its own readers read: what is added to a product may be fused with that.
        """
        readers, beyond = self._theirs.behind[step] | {step}, self._theirs.beyond[step] | {step}
        outputs = self._records[self._steps[step].record or 0].outputs
        sizes = {prod(shape) for shape in outputs}
        planes = {prod(shape) for shape in outputs if len(shape) == 4 and shape[1] == 1}

        def ready(node: int, own: frozenset[int]) -> bool:
            size = self._elements(node)
            if node in owner or node in own:
                return False
            if sizes and size not in sizes and not any(size % plane == 0 for plane in planes):
                return False  # of a depthwise kernel the tool tells one channel's plane
            behind = self._ours.behind[node]
            near = own.union(*(self._ours.behind[each] for each in own))
            return all(each in own or owner.get(each, -1) in beyond for each in behind) and (
                not own or bool(behind & near)
            )

        def order(node: int) -> tuple[bool, bool]:
            near = all(owner.get(each, step) in readers for each in self._ours.behind[node])
            return not near, self._port_of_node(node) != self._port_of_step(step)

        def grown(own: frozenset[int], left: int) -> Iterator[Sequence[int]]:
            if not left:
                yield sorted(own)
                return
            able = [n for n in self._ours.products if self._ours.macs[n] <= left and ready(n, own)]
            able.sort(key=order)
            for node in able:
                yield from grown(own | {node}, left - self._ours.macs[node])

        yield from grown(frozenset(), self._theirs.macs[step])

    def _elements(self, node: int) -> int:
        shape = self._graph.nodes[node].view.outputs[0]
        return prod(size for size in (shape.shape or ()) if isinstance(size, int)) if shape else 0

    def _port_of_step(self, step: int) -> int | None:
        """By which argument the first product that reads a step is reached from it."""
        return self._port(self._theirs, step, [[at for at, _ in each.reads] for each in self._steps])

    def _port_of_node(self, node: int) -> int | None:
        return self._port(self._ours, node, self._ours._reads)

    @staticmethod
    def _port(flow: Dataflow, at: int, reads: Sequence[Sequence[int]]) -> int | None:
        for product in sorted(flow.behind[at]):
            for port, read in enumerate(reads[product]):
                if read == at or at in flow.before[read] and not flow.macs[read]:
                    return port
        return None
