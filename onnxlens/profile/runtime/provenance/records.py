"""What is told of one node of the graph that ONNX Runtime runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["node", "fused", "layout", "inserted"]
"""One source node; several in one; a reorder or transpose between layouts; what the runtime puts in."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a node of the optimised graph comes from.

    Attributes:
        node: its key: the name that the runtime's profile has; see ``match_events`` for those without one.
        kind: ``inserted`` are a Cast, a Memcpy, the Reshape around a Gemm, and the pieces of an operator that
            the runtime takes apart; the last of those pieces has that operator as its source.
        sources: indices into ``nodes`` of the source graph; empty for what was put in.
        module_path: the owner; None where it cannot be told.
    """

    node: str
    op_type: str
    domain: str
    kind: Kind
    sources: tuple[int, ...]
    module_path: str | None
