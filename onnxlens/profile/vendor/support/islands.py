"""A graph under a table: a verdict on every node, the islands of what is accepted, and their borders."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NotCountable, ValueView
from onnxlens.profile.vendor.support.partition import heaviest_piece, islands_of
from onnxlens.profile.vendor.support.table import SupportTable
from onnxlens.profile.vendor.support.verdicts import verdict_of
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.support import Island, LeftOut, ModuleSupport, SupportReport, Verdict


@dataclass(slots=True)
class _Unit:
    """A node of the model's own graph, with those of the graphs inside it.

    Attributes:
        reads: the activations from other units and from outside, by name.
        makes: what it produces for others.
    """

    nodes: list[int]
    verdict: Verdict
    macs: int = 0
    reads: dict[str, ValueView] = field(default_factory=dict)
    makes: dict[str, ValueView] = field(default_factory=dict)


class SupportMap:
    """What a table says of a graph: made once, asked by module, by operator and for a picture."""

    def __init__(self, graph: Graph, ledger: Ledger, table: SupportTable) -> None:
        """Give every node its verdict."""
        self._graph, self._ledger, self._table = graph, ledger, table
        self.verdicts: dict[int, Verdict] = {
            index: verdict_of(table, node.view)
            for index, node in enumerate(graph.nodes)
            if not node.constant_folded
        }
        self._units = _units(graph, ledger, self.verdicts)
        self._maker = {name: at for at, unit in enumerate(self._units) for name in unit.makes}
        self._outputs = {tensor.name for tensor in graph.outputs}

    def off_percent(self, nodes: Iterable[int]) -> float | None:
        """How many of some nodes are not accepted; None where all of them only work on weights."""
        known = [self.verdicts[node].is_accepted for node in nodes if node in self.verdicts]
        return 100 * known.count(False) / len(known) if known else None

    def report(self) -> SupportReport:
        """All of it."""
        table, ledger = self._table, self._ledger
        accepted = [unit.verdict.is_accepted for unit in self._units]
        edges = self._edges()
        islands = [self._island(piece) for piece in islands_of(accepted, edges)]
        weights = [unit.macs * (len(self._units) + 1) + 1 for unit in self._units]
        piece = heaviest_piece(accepted, edges, weights)
        nodes, macs = self._counts(self.verdicts)
        unknown = sum(
            cost.status == "unknown" for index, cost in enumerate(ledger.nodes) if index in self.verdicts
        )
        return SupportReport(
            graph=ledger.graph,
            source=ledger.source,
            table=table.title,
            version=table.version,
            date=table.date,
            how=table.how,
            nodes=nodes,
            macs=macs,
            unknown_macs=unknown,
            islands=tuple(islands),
            largest=self._island(piece) if piece else None,
            modules=tuple(self._modules()),
            left_out=tuple(self._left_out()),
            verdicts={ledger.nodes[index].node: verdict for index, verdict in self.verdicts.items()},
        )

    def _edges(self) -> Mapping[tuple[int, int], int]:
        """From unit to unit, with the bytes that go there."""
        found: Counter[tuple[int, int]] = Counter()
        for at, unit in enumerate(self._units):
            for name, value in unit.reads.items():
                if name in self._maker:
                    found[self._maker[name], at] += value.known_size_bytes
        return found

    def _island(self, piece: Sequence[int]) -> Island:
        inside = set(piece)
        units = [self._units[at] for at in piece]
        inputs = {
            name: value
            for unit in units
            for name, value in unit.reads.items()
            if self._maker.get(name) not in inside
        }
        outside = {
            name for at, unit in enumerate(self._units) if at not in inside for name in unit.reads
        } | self._outputs
        outputs = {name: value for unit in units for name, value in unit.makes.items() if name in outside}
        in_bytes, no_size = _total(inputs.values())
        out_bytes, none = _total(outputs.values())
        return Island(
            self._module([node for unit in units for node in unit.nodes]),
            tuple(self._ledger.nodes[node].node for unit in units for node in unit.nodes),
            sum(unit.macs for unit in units),
            tuple(inputs),
            tuple(outputs),
            in_bytes,
            out_bytes,
            no_size + none,
        )

    def _module(self, nodes: Iterable[int]) -> str:
        """The deepest module that holds all of them."""
        graph = self._graph
        lineages = [graph.hierarchy.lineage(graph.module_of(node)) for node in nodes]
        shared = [levels[0] for levels in zip(*lineages, strict=False) if len(set(levels)) == 1]
        return str(shared[-1])

    def _counts(self, nodes: Iterable[int]) -> tuple[dict[str, int], dict[str, int]]:
        """Nodes and MACs by verdict."""
        counts: Counter[str] = Counter()
        macs: Counter[str] = Counter()
        for node in nodes:
            support = self.verdicts[node].support
            counts[support] += 1
            macs[support] += self._ledger.nodes[node].macs
        return dict(counts), dict(macs)

    def _modules(self) -> Iterable[ModuleSupport]:
        inside = self._graph.by_module()
        for row in self._ledger.modules:
            nodes, macs = self._counts(inside.get(row.path, ()))
            if nodes:
                yield ModuleSupport(row.path, row.class_name, row.depth, macs, nodes)

    def _left_out(self) -> Sequence[LeftOut]:
        found: dict[tuple[str, Verdict], list[int]] = defaultdict(list)
        for node, verdict in self.verdicts.items():
            if not verdict.is_accepted:
                found[self._ledger.nodes[node].op_type, verdict].append(node)
        rows = [
            LeftOut(
                op_type,
                verdict.support,
                verdict.reason,
                len(nodes),
                sum(self._ledger.nodes[node].macs for node in nodes),
                self._ledger.nodes[nodes[0]].node,
            )
            for (op_type, verdict), nodes in found.items()
        ]
        return sorted(rows, key=lambda row: (-row.macs, -row.nodes))


def _units(graph: Graph, ledger: Ledger, verdicts: Mapping[int, Verdict]) -> list[_Unit]:
    """In the order of execution; the nodes of a body belong to the node that runs it."""
    owner = {body.key: index for index, node in enumerate(graph.nodes) for body in node.bodies}
    unit_of: dict[int, int] = {}
    members: dict[int, list[int]] = defaultdict(list)
    for index in verdicts:
        members[_outermost(graph.nodes, owner, index)].append(index)
    given = {tensor.name for tensor in graph.inputs}
    units: list[_Unit] = []
    for top in sorted(members):
        inside = members[top]
        for node in inside:
            unit_of[node] = len(units)
        units.append(_Unit(inside, _together([verdicts[node] for node in inside])))
    for index, at in unit_of.items():
        unit = units[at]
        unit.macs += ledger.nodes[index].macs
        for value in graph.nodes[index].reads:
            maker = graph.producer(value.name)
            from_outside = value.name in given if maker is None else unit_of.get(maker, at) != at
            if from_outside and not value.is_weight:
                unit.reads[value.name] = value
        if not graph.nodes[index].within:
            unit.makes.update(
                (value.name, value) for value in graph.nodes[index].view.outputs if value is not None
            )
    return units


def _outermost(nodes: Sequence[GraphNode], owner: Mapping[str, int], index: int) -> int:
    within = nodes[index].within
    return owner.get(within[0], index) if within else index


def _together(verdicts: Sequence[Verdict]) -> Verdict:
    """Accepted if all are; else the first that is not."""
    return next((each for each in verdicts if not each.is_accepted), verdicts[0])


def _total(values: Iterable[ValueView]) -> tuple[int, int]:
    """The bytes of what has a size, and how many have none."""
    known, unsized = 0, 0
    for value in values:
        try:
            known += value.size_bytes
        except NotCountable:
            unsized += 1
    return known, unsized
