"""Memory traffic under fusion, and what of it the size of the memory on the chip decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

FusionMode = Literal["none", "epilogue", "attention", "layer-pairs"]
FUSION_MODES: tuple[FusionMode, ...] = get_args(FusionMode)
"""Each keeps on the chip what the one before does, and more."""

Rows = Literal["module", "op", "node"]
ROW_KINDS: tuple[Rows, ...] = get_args(Rows)


@dataclass(frozen=True, slots=True)
class TrafficRow:
    """What a module (with all inside it), an operator type or a node moves in one run of the graph.

    Attributes:
        name: the module's path, the operator's type or the node's name.
        depth: of a module.
        moved_bytes: everything, by mode.
        weight_read_bytes: read of weights, in the mode that is asked for.
        read_bytes: read of activations, likewise.
        write_bytes: written, likewise.
        spilled_bytes: read again because it does not fit on the chip; None where no size is given.
        sram_bytes: the smallest memory on the chip in which nothing is read again; None where nothing
            could be.
        untiled_nodes: how many nodes do not fit on the chip even in tiles, or have no known tiles: then
            ``spilled_bytes`` is a lower bound.
        unsized_nodes: how many nodes move what is unknown: then every figure is a lower bound.
    """

    name: str
    class_name: str
    depth: int
    moved_bytes: Mapping[FusionMode, int]
    weight_read_bytes: int
    read_bytes: int
    write_bytes: int
    spilled_bytes: int | None
    sram_bytes: int | None
    untiled_nodes: int
    unsized_nodes: int


def traffic_together(
    rows: Sequence[TrafficRow], modes: Iterable[FusionMode], named: tuple[str, str, int] = ("", "", 0)
) -> TrafficRow:
    """The row of several rows together, no two of which share a node; ``named`` is its name, class, depth."""
    spilled = [row.spilled_bytes for row in rows if row.spilled_bytes is not None]
    return TrafficRow(
        *named,
        {mode: sum(row.moved_bytes[mode] for row in rows) for mode in modes},
        sum(row.weight_read_bytes for row in rows),
        sum(row.read_bytes for row in rows),
        sum(row.write_bytes for row in rows),
        sum(spilled) if spilled else None,
        max((row.sram_bytes for row in rows if row.sram_bytes is not None), default=None),
        sum(row.untiled_nodes for row in rows),
        sum(row.unsized_nodes for row in rows),
    )


@dataclass(frozen=True, slots=True)
class FusedTraffic:
    """The traffic of one mode of fusion, of every node of a ledger."""

    fusion: FusionMode
    on_chip_bytes: int | None
    nodes: Sequence[TrafficRow]

    def of(self, indices: Sequence[int]) -> TrafficRow:
        """That of any nodes together, by their indices, each once."""
        return traffic_together([self.nodes[index] for index in indices], (self.fusion,))


@dataclass(frozen=True, slots=True)
class TrafficKinds:
    """What the whole graph moves in one mode; ``spilled_bytes`` is None where no size is given."""

    weight_read_bytes: int
    read_bytes: int
    write_bytes: int
    spilled_bytes: int | None


@dataclass(frozen=True, slots=True)
class KneePoint:
    """What the whole graph moves with so much memory on the chip, spilled bytes included.

    Where ``untiled_nodes`` do not fit in tiles it is a lower bound.
    """

    on_chip_bytes: int
    moved_bytes: int
    untiled_nodes: int


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """The memory traffic of a graph.

    Attributes:
        fusion: the mode of the kinds of bytes, of what is spilled and of the knee.
        on_chip_bytes: the size of the memory on the chip, if one is given.
        compulsory_bytes: every input, output and weight once: what any fusion moves.
        rows: in the order of execution.
        total: the whole graph.
        kinds: of it, by mode.
        knee: by growing size of the memory on the chip.
        stored_as: the dtype in which floats are taken to be held; "" for the file's.
        attribution: where module paths come from, ``none`` if the file names none.
    """

    graph: str
    source: str
    fusion: FusionMode
    on_chip_bytes: int | None
    compulsory_bytes: int
    by: Rows
    rows: tuple[TrafficRow, ...]
    total: TrafficRow
    kinds: Mapping[FusionMode, TrafficKinds]
    knee: tuple[KneePoint, ...]
    attribution: str
    stored_as: str = ""
