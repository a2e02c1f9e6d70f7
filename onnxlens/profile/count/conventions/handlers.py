"""What fvcore's and thop's tables are made of: how one call is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onnxlens.profile.count.conventions.calls import CallView


@dataclass(frozen=True, slots=True)
class Handler:
    """How a peer counts a call.

    Attributes:
        name: the peer's own name for what it counts.
        formula: its count of the call.
        at: the figure stands at the first node of one of these types, else at the last.
        cause: why it differs from our MACs.
    """

    name: str
    formula: Callable[[CallView], int]
    at: tuple[str, ...] = ()
    cause: str = ""
