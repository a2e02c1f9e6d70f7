"""What of a graph an accelerator takes: verdicts on nodes, and the islands between what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from onnxlens.specs.record import record

Support = Literal["accepted", "wrong", "refused", "crashed", "unknown"]
"""It runs and is right; it runs, with wrong numbers; the tool says no; its process dies; nothing says."""

SUPPORTS: tuple[Support, ...] = get_args(Support)


@record(frozen=True, slots=True)
class Verdict:
    """What a table says of a node.

    Attributes:
        reason: why it is not accepted, or on what evidence it is, where that is of nodes somewhat unlike it.
    """

    support: Support
    reason: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the accelerator runs it."""
        return self.support == "accepted"


@dataclass(frozen=True, slots=True)
class Island:
    """Nodes that run on the accelerator in one piece: nothing that leaves them comes back.

    Attributes:
        module: the deepest that holds all of them.
        names: of the nodes, in the order of execution.
        inputs, outputs: the activations that cross its border, each once.
        in_bytes, out_bytes: of these, as far as their sizes are known.
        unsized: how many of them have no known size.
    """

    module: str
    names: tuple[str, ...]
    macs: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    in_bytes: int
    out_bytes: int
    unsized: int = 0

    @property
    def boundary_bytes(self) -> int:
        """What is handed over in one run."""
        return self.in_bytes + self.out_bytes


@record(frozen=True, slots=True)
class ModuleSupport:
    """A module's nodes by what becomes of them, all below it included.

    Attributes:
        macs, nodes: by verdict; only those that there are.
    """

    path: str
    class_name: str
    depth: int
    macs: Mapping[str, int]
    nodes: Mapping[str, int]

    @property
    def all_macs(self) -> int:
        """On and off the accelerator."""
        return sum(self.macs.values())

    @property
    def off_macs(self) -> int:
        """Of nodes that the accelerator does not take, or of which nothing is known."""
        return self.all_macs - self.macs.get("accepted", 0)


@record(frozen=True, slots=True)
class LeftOut:
    """Nodes of one operator that are not accepted for one reason.

    Attributes:
        first: the name of the first.
    """

    op_type: str
    support: Support
    reason: str
    nodes: int
    macs: int
    first: str


@dataclass(frozen=True, slots=True)
class SupportReport:
    """What an accelerator takes of a graph.

    Attributes:
        table: what the verdicts are from; with its version and date where it says them.
        nodes: by verdict, without those that only work on weights.
        macs: likewise.
        unknown_macs: how many nodes have MACs that are not known.
        islands: in the order of execution.
        largest: the most MACs that can run in one piece, connected or not; None where nothing is accepted.
        modules: in the order of the ledger.
        left_out: most MACs first.
        verdicts: by node of the graph.
    """

    graph: str
    source: str
    table: str
    version: str
    date: str
    how: str
    nodes: Mapping[str, int]
    macs: Mapping[str, int]
    unknown_macs: int
    islands: tuple[Island, ...]
    largest: Island | None
    modules: tuple[ModuleSupport, ...]
    left_out: tuple[LeftOut, ...]
    verdicts: Mapping[str, Verdict]

    @property
    def boundary_bytes(self) -> int:
        """Into and out of all islands: what goes from one straight into another is handed over twice."""
        return sum(island.boundary_bytes for island in self.islands)

    @property
    def off_macs(self) -> int:
        """Off the accelerator."""
        return sum(macs for support, macs in self.macs.items() if support != "accepted")
