"""What If, Loop, Scan and SequenceMap make: results of bodies that run once, or as often as can be known.

A body is walked through with what holds in every round. Where that leaves something open, a loop whose end
the file decides is walked through round by round: its counters and shapes, not its data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxlens.profile.graph.loading.bodies import CONTROL_FLOW, BodyPlan
from onnxlens.profile.graph.loading.inference.facts import NO_FACT, Fact, common, of_value, same, sequence_of
from onnxlens.profile.graph.loading.inference.runs import Runs, Types, collect, executed
from onnxlens.profile.graph.loading.protobuf import FileGraph, FileNode, prefix_of
from onnxlens.profile.graph.loading.value_types import ValueType
from onnxlens.profile.graph.node_view import ValueView

MOST_NODES = 50_000
"""So many nodes of a file are walked through at most round by round."""

ITEMS_OF_A_NODE = 256
"""A sequence that is carried takes as long as a node for so many elements."""

MOST_WIDENINGS = 16
"""After so many rounds in which less and less holds, nothing is said of what a loop carries."""


@dataclass(slots=True)
class Record:
    """What is known of the values of a graph and of those inside it, and how often its loops run.

    Attributes:
        facts: by unique name.
        trip_counts: by the prefix of a loop's body; None where it is not known, or not always the same, and
            for branches of which it is not known which runs.
        runs: of the bodies whose types change from round to round, and of those inside them.
    """

    facts: dict[str, Fact] = field(default_factory=dict)
    trip_counts: dict[str, int | None] = field(default_factory=dict)
    runs: Runs = field(default_factory=dict)

    @property
    def types(self) -> Types:
        """Of all values."""
        return {name: fact.type for name, fact in self.facts.items()}

    @property
    def open(self) -> Set[str]:
        """Values of which something is not known, and bodies that run nobody knows how often."""
        unsure = {prefix for prefix, count in self.trip_counts.items() if count is None}
        return unsure | {name for name, fact in self.facts.items() if not _is_closed(fact)}

    def add(self, other: Record) -> None:
        """Take over what another graph's walk found."""
        self.facts |= other.facts
        self.trip_counts |= other.trip_counts
        self.runs |= other.runs

    def keep_common(self, other: Record) -> None:
        """Keep what holds in both: two rounds of a loop."""
        for name, fact in other.facts.items():
            self.facts[name] = common(self.facts.get(name, fact), fact)
        for prefix, count in other.trip_counts.items():
            self.trip_counts[prefix] = count if self.trip_counts.get(prefix, count) == count else None


Run = Callable[[FileGraph, Mapping[str, Fact], Any, Record], Sequence[Fact]]
"""A walk through a body: of it, what is handed in, the scope around it and the record, to its outputs."""


@dataclass(slots=True)
class _Body:
    """The body of one node, ready to be walked through."""

    graph: FileGraph
    walk: Run
    scope: Any

    @property
    def size(self) -> int:
        """How many nodes one walk through it passes, the one that runs it included."""
        return sum(len(graph.nodes) for graph in self.graph.all()) + 1

    def __call__(self, given: Sequence[Fact], record: Record) -> Sequence[Fact]:
        names = [value.name for value in self.graph.proto.input]
        return self.walk(self.graph, dict(zip(names, given, strict=False)), self.scope, record)


@dataclass(slots=True)
class _Rounds:
    """What the rounds of a loop make together.

    Attributes:
        carried: after the last round.
        scanned: what each round gives out.
        count: how many there are.
    """

    carried: Sequence[Fact]
    scanned: Sequence[Fact]
    record: Record
    count: int | None = None

    def is_open(self) -> bool:
        """Whether the rounds one by one may say more."""
        return self.count is None or not self.has_closed_ends or bool(self.record.open)

    @property
    def has_closed_ends(self) -> bool:
        """Whether all is known of what comes out."""
        return all(map(_is_closed, (*self.carried, *self.scanned)))

    def outputs(self, axes: Sequence[int]) -> Sequence[Fact]:
        """Those of the node: what is given out is stacked along a new axis."""
        stacked = [_stacked(fact, self.count, axis) for fact, axis in zip(self.scanned, axes, strict=True)]
        return [*self.carried, *stacked]


class Control:
    """What nodes with bodies make."""

    def __init__(self, walk: Run, version: int, size: int) -> None:
        """With the walk through a body, the opset that the model imports, and the number of its nodes.

        ``unfinished`` are the bodies with too many rounds.
        """
        self._walk = walk
        self._version = version
        self.unfinished: list[str] = []
        self._nodes_left = MOST_NODES
        self._depth = 0  # of loops that are walked through round by round
        self._widened_left = MOST_NODES + 4 * size

    def made(
        self, node: FileNode, inputs: Sequence[Fact | None], graph: FileGraph, scope: Any, record: Record
    ) -> Sequence[Fact] | None:
        """What the node makes; None where it is none of these. What holds in its bodies is recorded."""
        plan_of = CONTROL_FLOW.get((node.domain, node.op_type))
        if plan_of is None:
            return None
        version = node.version or self._version
        views = [None if fact is None else _view(fact) for fact in inputs]
        plans = list(plan_of(node.proto, views, version))
        prefixes = [prefix_of(node.proto, plan.name, graph.prefix) for plan in plans]
        bodies = [_Body(graph.inner[prefix], self._walk, scope) for prefix in prefixes]
        if node.op_type == "If":
            return self._branches(plans, bodies, record)
        given = [NO_FACT if view is None else _fact(view) for view in plans[0].given]
        if node.op_type == "SequenceMap":
            mapped = self._mapped(bodies[0], inputs, record)
            if mapped is None:
                return [fact.wrapped("sequence") for fact in bodies[0](given, record)]
            record.trip_counts[prefixes[0]] = len(mapped)
            return [sequence_of(results) for results in zip(*mapped, strict=True)]
        if node.op_type == "Scan":
            return self._scan(node, version, plans[0], bodies[0], given, record)
        rounds = self._loop(plans[0], bodies[0], [*inputs, None, None])
        self._add(rounds, bodies[0], record)
        record.trip_counts[prefixes[0]] = rounds.count
        return rounds.outputs([0] * len(rounds.scanned))

    def _add(self, rounds: _Rounds, body: _Body, record: Record) -> None:
        """Record what holds in a loop, and how it ran: each round alike, unless that is known already."""
        inside, prefix = rounds.record.runs, body.graph.prefix
        record.add(rounds.record)
        if (inside or self._depth) and prefix not in inside:
            record.runs |= executed(prefix, rounds.record.types, inside, rounds.count)

    def _loop(self, plan: BodyPlan, body: _Body, inputs: Sequence[Fact | None]) -> _Rounds:
        """A Loop: it ends by a count, a condition, or both."""
        carried = len(body.graph.proto.input) - 2
        limit, start = inputs[:2]
        initial = [fact or NO_FACT for fact in inputs[2 : 2 + carried]]
        going = True if start is None else start.scalar
        most = None if limit is None else limit.scalar
        conditions: list[Fact] = []

        def run(given: Sequence[Fact], record: Record) -> Sequence[Fact]:
            condition, *results = body([Fact(COUNTER), TRUE, *given], record)
            conditions.append(condition)
            return results

        rounds = self._every_round(body, run, initial)
        rounds.count = plan.trip_count
        if rounds.count == 0:
            rounds.carried = initial
        elif going and most is not None and conditions[-1].scalar:
            rounds.count = most
        if rounds.count != 0 and going and rounds.is_open() and (limit is None or most is not None):
            self._depth += 1
            found = self._one_by_one(body, initial, most, rounds)
            self._depth -= 1
            return found or rounds
        return rounds

    def _mapped(
        self, body: _Body, inputs: Sequence[Fact | None], record: Record
    ) -> Sequence[Sequence[Fact]] | None:
        """What a SequenceMap makes of each element; None where it is not known how many there are."""
        given = [fact or NO_FACT for fact in inputs]
        columns = [fact.items if fact.type.kind == "sequence" else None for fact in given]
        length = len(columns[0] or ())
        self._nodes_left -= body.size * length
        if not length or self._nodes_left < 0:
            return None
        made, inside, runs = [], Record(), Runs()
        self._depth += 1
        for index in range(length):
            one = Record()
            pairs = zip(given, columns, strict=True)
            made.append(body([fact if items is None else items[index] for fact, items in pairs], one))
            collect(runs, executed(body.graph.prefix, one.types, one.runs, 1))
            one.keep_common(inside)
            inside = one
        self._depth -= 1
        inside.runs = runs
        record.add(inside)
        return made

    def _one_by_one(
        self, body: _Body, initial: Sequence[Fact], most: int | None, every: _Rounds
    ) -> _Rounds | None:
        """The rounds in turn, until the limit or the condition ends them.

        None where that is not known, or the first says no more than what is known of every round.
        """
        rounds, runs = _Rounds(initial, (), Record(), 0), Runs()
        ends_known = every.count is not None and every.has_closed_ends
        going: int | None = 1
        while going and rounds.count != most:
            items = sum(len(fact.items or ()) for fact in rounds.carried)
            self._nodes_left -= body.size + items // ITEMS_OF_A_NODE
            if self._nodes_left < 0 or rounds.count is None:
                self.unfinished.append(body.graph.prefix)
                return None
            record = Record()
            condition, *results = body([of_value(np.array(rounds.count)), TRUE, *rounds.carried], record)
            scanned = results[len(initial) :]
            rounds.scanned = list(map(common, rounds.scanned, scanned)) if rounds.count else scanned
            rounds.carried = results[: len(initial)]
            if not rounds.count and ends_known and record.open >= every.record.open:
                return None
            collect(runs, executed(body.graph.prefix, record.types, record.runs, 1))
            record.keep_common(rounds.record)
            rounds.record = record
            rounds.count += 1
            going = condition.scalar
            if going is None and rounds.count != most:
                return None
        rounds.record.runs = runs
        return rounds

    def _branches(self, plans: Sequence[BodyPlan], bodies: Sequence[_Body], record: Record) -> Sequence[Fact]:
        """An If: what its branches have in common, or those of the one that is known to run."""
        made = []
        decided = not all(plan.trip_count for plan in plans)
        for plan, body in zip(plans, bodies, strict=True):
            one = Record()
            made.append(body((), one))
            if self._depth:
                one.runs = executed(body.graph.prefix, {}, one.runs, plan.trip_count if decided else None)
            record.add(one)
            record.trip_counts[body.graph.prefix] = plan.trip_count if decided else None
        runs = [results for plan, results in zip(plans, made, strict=True) if plan.trip_count]
        return list(map(common, runs[0], runs[-1]))

    def _every_round(
        self, body: _Body, run: Callable[[Sequence[Fact], Record], Sequence[Fact]], initial: Sequence[Fact]
    ) -> _Rounds:
        """What holds whichever round it is: handed in is what holds before the first and after each.

        Loops inside each other multiply: where that has become too much, nothing is said of what is carried.
        """
        carried = initial
        for _ in range(MOST_WIDENINGS):
            self._widened_left -= body.size
            if self._widened_left < 0:
                break
            record = Record()
            results = run(carried, record)
            wider = [common(*pair) for pair in zip(carried, results, strict=False)]
            if all(map(same, wider, carried)):
                return _Rounds(carried, results[len(carried) :], record)
            carried = wider
        carried, record = [NO_FACT] * len(initial), Record()
        return _Rounds(carried, run(carried, record)[len(carried) :], record)

    def _scan(
        self,
        node: FileNode,
        version: int,
        plan: BodyPlan,
        body: _Body,
        given: Sequence[Fact],
        record: Record,
    ) -> Sequence[Fact] | None:
        """As many rounds as there are slices. Before opset 9, where all is batched, ONNX's own knows."""
        states = len(given) - node.attributes["num_scan_inputs"]

        def run(now: Sequence[Fact], inside: Record) -> Sequence[Fact]:
            return body([*now, *given[states:]], inside)

        rounds = self._every_round(body, run, given[:states])
        rounds.count = plan.trip_count
        self._add(rounds, body, record)
        axes = node.attributes.get("scan_output_axes") or [0] * len(rounds.scanned)
        return rounds.outputs(axes) if version >= 9 else ()


COUNTER = ValueType("int64", ())
TRUE = of_value(np.array(True))
"""A body runs only while the condition holds."""


def _is_closed(fact: Fact) -> bool:
    return fact.type.is_fixed if fact.type.kind == "tensor" else fact.items is not None


def _stacked(fact: Fact, count: int | None, axis: int) -> Fact:
    """So many of it, along a new axis."""
    shape = fact.type.shape
    if shape is not None:
        axis %= len(shape) + 1
        shape = (*shape[:axis], "?" if count is None else count, *shape[axis:])
    return Fact(ValueType(fact.type.dtype, shape))


def _view(fact: Fact) -> ValueView:
    return ValueView("", fact.type.dtype, fact.type.shape, False, lambda: fact.value, fact.type.kind)


def _fact(view: ValueView) -> Fact:
    return Fact(ValueType(view.dtype, view.shape, view.kind))
