"""The tensors that nodes pass to each other through memory, and what several nodes together must move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from onnxlens.specs.record import record

Moves = Mapping[str, int]
"""Bytes by the tensor whose memory it is."""


@dataclass(frozen=True, slots=True)
class NodeMoves:
    """What one run of a node moves; nothing where its bytes are not those of its inputs and outputs.

    Attributes:
        tensors: every tensor whose memory it reads, sized or not.
    """

    tensors: frozenset[str]
    weights: Moves = field(default_factory=dict)
    reads: Moves = field(default_factory=dict)
    writes: Moves = field(default_factory=dict)


@record(frozen=True, slots=True)
class Moved:
    """The bytes of weights and activations that are read, and that are written."""

    weight_read_bytes: int
    read_bytes: int
    write_bytes: int


@dataclass(frozen=True)
class Edges:
    """What a graph's nodes pass to each other, by their indices.

    Attributes:
        moves: of each node that runs and is not a view, in the order of execution.
        maker: the node that writes each tensor.
        readers: the nodes that read each tensor.
        outputs: the tensors that are outputs of the graph.
    """

    moves: Mapping[int, NodeMoves]
    maker: Mapping[str, int]
    readers: Mapping[str, Sequence[int]]
    outputs: frozenset[str]

    @cached_property
    def _rank(self) -> Mapping[int, int]:
        return {index: rank for rank, index in enumerate(self.moves)}

    def compulsory(self, indices: Sequence[int]) -> Iterator[Moved]:
        """What nodes together must move, for each run of nodes that follow each other.

        Weights and others' tensors once, as the largest reader takes them; what others read. What an earlier
        run of the same nodes made or read is inside already.
        """
        inside = frozenset(indices)
        weights: dict[str, int] = {}
        reads: dict[str, int] = {}
        for run in self._runs(indices):
            before = sum(weights.values()), sum(reads.values())
            write_bytes = 0
            for moves in run:
                _keep_largest(weights, moves.weights.items())
                others = (each for each in moves.reads.items() if self.maker.get(each[0]) not in inside)
                _keep_largest(reads, others)
                for tensor, size_bytes in moves.writes.items():
                    if tensor in self.outputs or not inside.issuperset(self.readers.get(tensor, ())):
                        write_bytes += size_bytes
            yield Moved(sum(weights.values()) - before[0], sum(reads.values()) - before[1], write_bytes)

    def _runs(self, indices: Sequence[int]) -> Iterator[Sequence[NodeMoves]]:
        """What nodes move, as long as each is the next one after the one before."""
        run: list[NodeMoves] = []
        end = None
        for index in indices:
            rank = self._rank.get(index)
            if rank is None:
                continue
            if run and rank != end:
                yield run
                run = []
            run.append(self.moves[index])
            end = rank + 1
        if run:
            yield run


def _keep_largest(found: dict[str, int], more: Iterable[tuple[str, int]]) -> None:
    for name, size_bytes in more:
        found[name] = max(size_bytes, found.get(name, 0))
