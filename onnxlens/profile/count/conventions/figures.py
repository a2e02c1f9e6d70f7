"""How one figure in a peer's convention is made, and why it differs from ours."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.peers import PeerCost

Formula = Callable[[NodeView], int]


def figure(count: Callable[[], int], ours: int, cause: str) -> PeerCost:
    """What ``count`` gives, with the cause where that is not ``ours``; unknown where it cannot be told."""
    try:
        macs = count()
    except NotCountable as error:
        return uncountable(str(error))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return uncountable(f"does not fit the peer's formula: {error!r}")
    return PeerCost(macs, cause="" if macs == ours else cause)


def uncountable(reason: str) -> PeerCost:
    """A node without a figure, and why."""
    return PeerCost(unknown_nodes=1, reason=reason, cause=reason)


def volume(shape: tuple[int, ...]) -> int:
    """The number of elements; onnx-tool gives a scalar none."""
    return prod(shape) if shape else 0
