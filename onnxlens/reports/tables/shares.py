"""The columns of shares: a row's part of what the whole costs, in percent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import fsum
from operator import attrgetter
from typing import Any, Literal

from onnxlens.reports.numbers import share_text
from onnxlens.reports.tables.render import Column
from onnxlens.specs.ledger import Ledger, ModuleCost, NodeCost, OperatorCost, Totals, is_lower_bound
from onnxlens.specs.peers import Peer

Costed = ModuleCost | OperatorCost | NodeCost
LATENCY = "latency_s"


def cost_share(name: str, ledger: Ledger) -> Column[Costed]:
    """The row's part of what the whole costs."""
    return _share_column(attrgetter(name), partial(_lacks, name), ledger.totals)


def peer_share(peer: Peer, ledger: Ledger) -> Column[Costed]:
    """The row's part of what the peer counts in all."""
    return _share_column(partial(_peer_macs, peer, ledger), lacks_peer, ledger.totals)


def time_share(kernels: Literal["", "own_seconds", "node_seconds"], ledger: Ledger) -> Column[Costed]:
    """The row's part of the time, in whole percents: tenths would say more than was measured.

    That of modules is of the model's; that of their own kernels, or of groups of nodes, of all kernels'.
    """
    whole, lacks = ledger.totals, partial(_lacks, LATENCY)
    if kernels:
        whole = replace(whole, latency_s=fsum(getattr(ledger, kernels).values()), lower_bounds=None)
    return _share_column(attrgetter(LATENCY), lacks, whole, digits=0)


def _share_column(
    figure: Callable[[Any], float | None], lacks: Callable[[Any], bool], totals: Totals, digits: int = 1
) -> Column[Costed]:
    whole, whole_lower = figure(totals) or 0, lacks(totals)

    def exact(row: Costed) -> float | None:
        part = figure(row)
        if part is None or whole_lower:
            return None
        return round(100 * part / whole, 3) if whole else 0

    def short(row: Costed) -> str:
        part = figure(row)
        if part is None:
            return "-"
        return share_text(part, whole, part_lower=lacks(row), whole_lower=whole_lower, digits=digits)

    return Column("%", exact, short, right=True, lower=lacks, sums=True)


def _lacks(name: str, row: Costed | Totals) -> bool:
    return is_lower_bound(name, row.lower_bounds)


def _peer_macs(peer: Peer, ledger: Ledger, row: Costed | Totals) -> int | None:
    return row.peer.macs if ledger.convention == peer and row.peer else None


def lacks_peer(row: Costed | Totals) -> bool:
    """Whether the peer's count lacks nodes that it cannot count."""
    return row.peer is not None and row.peer.unknown_nodes > 0
