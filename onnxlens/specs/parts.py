"""What each module costs by itself, without the modules inside it, and what several modules cost together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import fsum

from onnxlens.specs.ledger import (
    COUNTS,
    Bounds,
    Ledger,
    ModuleCost,
    NodeCost,
    is_lower_bound,
    joined_bounds,
    lower_bounds,
    peer_of,
)
from onnxlens.specs.peers import PeerCost, summed

ADDED = (*COUNTS, "params", "unknown_nodes")
"""The figures of a module that are the sum of those of its parts."""


class Parts:
    """The modules of a ledger taken apart, so that any of them add up: every node counts once."""

    def __init__(self, ledger: Ledger) -> None:
        """Take the modules of ``ledger`` apart."""
        self._modules = {module.path: module for module in ledger.modules}
        self.inner: dict[str, list[str]] = {path: [] for path in self._modules}
        """The modules right inside each, by path."""
        for path in self._modules:
            if path:
                self.inner[next(self._around(path))].append(path)
        nodes: dict[str, list[NodeCost]] = {path: [] for path in self._modules}
        for node in ledger.nodes:
            nodes[node.module_path].append(node)
        self._seconds = ledger.own_seconds
        self.own: Mapping[str, ModuleCost] = {path: self._own(path, nodes[path]) for path in self._modules}
        """The row of each module with what its own nodes and parameters cost, by path.

        What is not a sum over the nodes, such as the bytes alive, is that of the whole module still.
        """

    def is_leaf(self, module: ModuleCost) -> bool:
        """Whether no other module is inside it."""
        return not self.inner[module.path]

    def together(self, modules: Sequence[ModuleCost], *, own: bool = False) -> ModuleCost:
        """What the modules cost together, those inside them included unless ``own``; its path is "sum"."""
        paths = {module.path for module in modules}
        outermost = [module for module in modules if own or paths.isdisjoint(self._around(module.path))]
        parts = [self.own[path] for path in self._inside(outermost, deep=not own)]
        timed = [self.own[module.path] for module in outermost] if own else outermost
        seconds = [module.latency_s for module in timed if module.latency_s is not None]
        return ModuleCost(
            "sum", "", 0, 0, (), (), _operators(parts),
            **{name: sum(getattr(part, name) for part in parts) for name in ADDED},
            resident_weight_bytes=0,
            live_bytes=max((module.live_bytes for module in modules), default=0),
            latency_s=fsum(seconds) if seconds and (own or len(seconds) == len(outermost)) else None,
            peer=_peer(parts),
            lower_bounds=joined_bounds(
                (
                    *(part.lower_bounds for part in parts),
                    _lacking("live_bytes", modules),
                    _lacking("latency_s", timed),
                )
            ),
        )  # fmt: skip

    def _around(self, path: str) -> Iterator[str]:
        """The modules that contain ``path``, the innermost first, the model last."""
        outer = path
        while outer:
            outer = outer.rpartition(".")[0]
            if outer in self._modules:
                yield outer

    def _inside(self, modules: Iterable[ModuleCost], *, deep: bool) -> Iterator[str]:
        """The paths of the modules; if ``deep`` none contains another, and those inside them follow."""
        waiting = [module.path for module in modules]
        while waiting:
            path = waiting.pop()
            yield path
            waiting += self.inner[path] if deep else ()

    def _own(self, path: str, nodes: Sequence[NodeCost]) -> ModuleCost:
        module = self._modules[path]
        return replace(
            module,
            **{name: sum(getattr(node, name) for node in nodes) for name in COUNTS},
            operators=Counter(node.op_type for node in nodes if node.status != "free"),
            params=module.params - sum(self._modules[inner].params for inner in self.inner[path]),
            unknown_nodes=sum(node.status == "unknown" for node in nodes),
            latency_s=self._seconds.get(path),
            timed_in=None if path in self._seconds else module.timed_in,
            parity_error=None,
            peer=None if module.peer is None else peer_of(nodes) or PeerCost(),
            lower_bounds=lower_bounds(nodes),
        )


def _operators(parts: Iterable[ModuleCost]) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for part in parts:
        found.update(part.operators)
    return dict(found.most_common())


def _lacking(name: str, modules: Iterable[ModuleCost]) -> Bounds:
    return (name,) if any(is_lower_bound(name, each.lower_bounds) for each in modules) else None


def _peer(parts: Collection[ModuleCost]) -> PeerCost | None:
    costs = [(part.macs, part.peer) for part in parts if part.peer is not None]
    return summed(costs) if costs else None
