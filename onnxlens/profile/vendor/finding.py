"""From the names in a tool's record to nodes of the graph, by the tool's naming rules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from onnxlens.profile.vendor.names import Naming
from onnxlens.profile.vendor.places import Places
from onnxlens.specs.layers import LayerRecord, Trail

NUMBERED = re.compile(r"(.+)_\d+")

LONGEST = 2000
"""A name of more characters is not taken apart."""

Operators = frozenset[str] | None
"""Our operators and families that a tool's operator may be; None if that is unknown."""

CASELESS = 0.1
"""Where fewer of a report's names than this part are found, they may be in another case: a tool's own ``Add``
is no ``add`` of PyTorch's."""

SPAN_START = 0.7
"""How sure nodes are that a tool names the last one of, and of the first something of its own."""

MODULE_SHARED, MODULE_ORDER = 1.0, 0.9
"""How sure the nodes of a module are: all of them; the one whose turn it is among several like it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a name is asked for: nodes of some operators, if they are known; of two names the last."""

    operators: Operators = None
    serving: bool = False


@dataclass(frozen=True, slots=True)
class Led:
    """Where a record leads so far.

    Attributes:
        nodes: that it computes, or serves; those that its figures belong to.
        covered: nodes that it computes too, as its chain shows.
        between: it names two nodes and means those between them too, but for those of other records.
    """

    nodes: tuple[int, ...] = ()
    trail: Trail = "none"
    confidence: float = 0.0
    covered: tuple[int, ...] = ()
    between: bool = False


class Finder:
    """Finds the nodes that records name."""

    def __init__(self, places: Places, naming: Naming) -> None:
        """For the records of one report."""
        self._places, self._naming = places, naming
        self._known: dict[tuple[str, Asked], Led] = {}
        self._caseless = False
        self._kinds: Mapping[str, Callable[[str], tuple[int, ...]]] = {
            "node": places.named_node,
            "tensor": places.named_tensor,
            "tensor_operator": places.named_tensor_operator,
        }
        self._op_types = {node.view.op_type.casefold(): node.view.op_type for node in places.graph.nodes}

    def operators_of(self, record: LayerRecord) -> Operators:
        """Our operators and families that a record's operator may be; None if that is unknown."""
        ours = self._naming.operators_of(record.op_type or record.name)
        own = self._op_types.get(record.op_type.casefold())
        return ours if ours is not None or own is None else frozenset({own})

    def all(self, records: Sequence[LayerRecord]) -> list[Led]:
        """Where every record leads by its names; those with numbers behind names last."""
        wanted = [self.operators_of(record) for record in records]
        found = [self._record(record, ops) for record, ops in zip(records, wanted, strict=True)]
        if self._naming.flat and sum(bool(led.nodes) for led in found) < CASELESS * len(found):
            self._caseless = True
            self._known.clear()
            found = [self._record(record, ops) for record, ops in zip(records, wanted, strict=True)]
        named = {node for led in found if not led.between for node in led.nodes}
        found = [self._region(led, named) if led.between else led for led in found]
        if not {"module", "scope"}.isdisjoint(self._naming.names):
            found = self._in_modules(records, wanted, found)
        if self._naming.numbered:
            taken = {node for led in found for node in led.nodes}
            for index, led in enumerate(found):
                if not led.nodes:
                    again = self._numbered(records[index])
                    found[index] = again if taken.isdisjoint(again.nodes) else led
        return found

    def name(self, name: str, asked: Asked = Asked()) -> Led:
        """Where one name leads, which may be several."""
        known = self._known.get((name, asked))
        if known is None:
            known = self._known[name, asked] = self._whole(name, asked)
        return known

    def _record(self, record: LayerRecord, operators: Operators) -> Led:
        asked = Asked(operators, self._naming.serves(record.op_type))
        for names in (record.sources, (record.name,)):
            led = [each for each in (self.name(name, asked) for name in names if name) if each.nodes]
            if led and self._agrees(led, operators):
                return _together(led[-1:] if asked.serving else led)
        return Led()

    def _agrees(self, led: Sequence[Led], operators: Operators) -> bool:
        """Whether names name what is here, and do not only sound like it: a node is of the operator."""
        own = operators if self._naming.own_names else None
        return own is None or any(self._places.is_a(node, own) for each in led for node in each.nodes)

    def _whole(self, name: str, asked: Asked) -> Led:
        """The name as it stands, else the names in it."""
        graph = self._places.graph
        if led := self._exact(name):
            return led
        for pattern, tensors in ((self._naming.inputs, graph.inputs), (self._naming.outputs, graph.outputs)):
            if pattern and (match := pattern.fullmatch(name)) and int(match["number"]) < len(tensors):
                return Led(self._places.named_tensor(tensors[int(match["number"])].name), "tensor", 1.0)
        for pattern in self._naming.spans:
            if match := pattern.fullmatch(name):
                return self._span(match["first"], match["last"])
        names = self._naming.pieces(name)
        if len(names) > 1 and (led := self._form(name)):
            return led
        pieces = [self._piece(piece, asked) for piece in names]
        named = [each for each in pieces if each.nodes]
        return _together(named[-1:] if asked.serving else named)

    def _piece(self, piece: str, asked: Asked = Asked()) -> Led:
        if led := self._form(piece):
            return led
        for form in self._naming.forms(piece):
            for pattern in self._naming.reads:
                if match := pattern.fullmatch(form):
                    return self._reader(match["name"], asked.operators)
        if self._naming.joined and len(piece) <= LONGEST:
            for form in self._naming.forms(piece):
                if led := self._joined(form, asked):
                    return led
        return Led()

    def _form(self, name: str) -> Led | None:
        """The first form of a name that there is; else the first that there is in letters and digits."""
        found = map(self._exact, self._naming.forms(name))
        if led := next(filter(None, found), None):
            return led
        flat = map(self._unflat, self._naming.forms(name)) if self._naming.flat else ()
        return next((led for each in flat if each and (led := self._exact(each))), None)

    def _unflat(self, name: str) -> str | None:
        return self._places.unflat(name, caseless=self._caseless)

    def _exact(self, name: str) -> Led | None:
        for kind in self._naming.names:
            if kind in self._kinds and (nodes := self._kinds[kind](name)):
                return Led(nodes, "node" if kind == "node" else "tensor", 1.0)
        return None

    def _reader(self, name: str, operators: Operators) -> Led:
        """The node that reads what another one computes, if only one of the operator does."""
        made = self._piece(name)
        read = {each for node in made.nodes for each in self._places.consumers(node)}
        read = {node for node in read if operators is None or self._places.is_a(node, operators)}
        return Led(tuple(read), "tensor", 1.0) if len(read) == 1 else Led()

    def _span(self, first: str, last: str) -> Led:
        """All nodes from one to another; from the beginning where the first one is no node."""
        names = (self._naming.pieces(each) for each in (first, last))
        starts, ends = ([node for name in each for node in self._piece(name).nodes] for each in names)
        if not ends or (starts and min(starts) > max(ends)):
            return Led()
        nodes = self._places.between(starts, ends)
        return Led(nodes, "node", 1.0 if starts else SPAN_START, between=True)

    def _region(self, led: Led, named: Set[int]) -> Led:
        """Of the nodes between two those that hang together with these, without what other records name."""
        able = set(led.nodes) - named
        ends = led.nodes[-1:] if led.confidence < 1 else (led.nodes[0], led.nodes[-1])
        queue = [node for node in dict.fromkeys(ends) if node in able]
        for node in queue:
            able.discard(node)
            near = able.intersection((*self._places.producers(node), *self._places.consumers(node)))
            able -= near
            queue += near
        return replace(led, nodes=tuple(sorted(queue)))

    def _joined(self, name: str, asked: Asked) -> Led | None:
        """Two names with nothing, or ``_``, between them; the second may be two again."""
        for size in self._places.heads(name):
            rest = name[size:].removeprefix("_")
            head = self._exact(name[:size])
            tail = self._piece(rest, asked) if rest and head else Led()
            if head and tail.nodes:
                return _together([tail] if asked.serving else [head, tail])
        return None

    def _numbered(self, record: LayerRecord) -> Led:
        """Without the number that the tool put behind a name."""
        for name in record.sources or (record.name,):
            for piece in self._naming.pieces(name):
                for form in self._naming.forms(piece):
                    match = NUMBERED.fullmatch(form)
                    led = self._exact(match[1]) if match else None
                    if led:
                        return led
        return Led()

    def _in_modules(
        self,
        records: Sequence[LayerRecord],
        wanted: Sequence[Operators],
        found: Sequence[Led],
    ) -> list[Led]:
        """What only modules are named of: the nodes of the operator in them, each in its turn."""
        scopes = [
            self._scopes(record) if not led.nodes else () for record, led in zip(records, found, strict=True)
        ]
        able = [self._anchors(*each) for each in zip(records, wanted, scopes, strict=True)]
        turns = Counter(anchors for anchors in able if anchors)
        past: Counter[tuple[int, ...]] = Counter()
        led = list(found)
        for index, anchors in enumerate(able):
            if anchors:
                turn, past[anchors] = past[anchors], past[anchors] + 1
                led[index] = self._in_turn(anchors, turn, turns[anchors], scopes[index])
            elif scopes[index]:
                led[index] = Led(self._inside(scopes[index][0]), "module", MODULE_SHARED)
        return led

    def _scopes(self, record: LayerRecord) -> tuple[tuple[str, ...], ...]:
        """The modules that each of a record's names names."""
        names = [piece for name in record.sources or (record.name,) for piece in self._naming.pieces(name)]
        forms = [form for name in names for form in self._naming.forms(name)]
        if self._naming.flat:
            forms = [each for form in forms for each in (form, self._unflat(form) or form)]
        found = map(self._places.modules, forms)
        return tuple(dict.fromkeys(paths for paths in found if paths))

    def _anchors(
        self, record: LayerRecord, operators: Operators, scopes: Sequence[tuple[str, ...]]
    ) -> tuple[int, ...]:
        """The nodes that may be the layer: of its operator, in one of its modules, the deepest first.

        Where several are, those whose MACs are the record's.
        """
        inside = self._places.graph.by_module()
        best: list[int] = []
        for paths in sorted(scopes, key=lambda each: -max(path.count(".") + bool(path) for path in each)):
            nodes = {node for path in paths for node in inside[path]}
            of_operator = sorted(node for node in nodes if operators and self._places.is_a(node, operators))
            macs = record.figures.get("macs")
            equal = [node for node in of_operator if self._places.costs[node].macs == macs]
            if equal:
                return tuple(equal)
            best = best or of_operator
        return tuple(best)

    def _in_turn(
        self, anchors: tuple[int, ...], turn: int, turns: int, scopes: Sequence[tuple[str, ...]]
    ) -> Led:
        if len(anchors) == 1 or turns == len(anchors):
            nodes = self._with_chain(anchors[0 if len(anchors) == 1 else turn], scopes)
            return Led(nodes, "module", 1.0 if len(anchors) == 1 else MODULE_ORDER)
        return Led(anchors, "module", MODULE_SHARED)

    def _with_chain(self, anchor: int, scopes: Sequence[tuple[str, ...]]) -> tuple[int, ...]:
        """The layer's node and those that follow it in the modules named beside its own."""
        named = {path for paths in scopes for path in paths}
        chain = [anchor]
        while True:
            following = self._places.consumers(chain[-1])
            if len(following) != 1 or self._places.is_product(following[0]):
                return tuple(chain)
            if not {self._places.graph.module_of(node) for node in (anchor, following[0])} <= named:
                return tuple(chain)
            chain.append(following[0])

    def _inside(self, paths: Iterable[str]) -> tuple[int, ...]:
        """The nodes in modules; those that they run themselves, if there are, where a layer is but in one."""
        inside = self._places.graph.by_module()
        below = sorted({node for path in paths for node in inside[path]})
        if "module" in self._naming.names:
            return tuple(below)
        own = [node for node in below if self._places.graph.module_of(node) in set(paths)]
        return tuple(own or below)


def _together(led: Sequence[Led]) -> Led:
    """Several names of one record."""
    if not led:
        return Led()
    nodes = tuple(sorted({node for each in led for node in each.nodes}))
    trail = next((each.trail for each in led if each.trail == "node"), led[0].trail)
    return replace(led[0], nodes=nodes, trail=trail, confidence=min(each.confidence for each in led))
