"""What cells of the tables say: counts in a unit, how they agree with a printed figure, links to files."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

GIGA = 10**9
MEGA = 10**6

PAGE = "README.md"
PICTURES = "pictures"
PEER_TABLES = "onnx-tool"


def in_unit(count: int, unit: int) -> str:
    """``1,257.26`` for 1257259466752 in G."""
    return f"{count / unit:,.2f}"


def sum_in_unit(unit: int, *terms: int) -> str:
    """``803.27 + 1,257.26``: terms of one sum in one unit, so that a reader can add them."""
    return " + ".join(in_unit(term, unit) for term in terms)


def decimals(printed: str) -> int:
    """The number of digits after the decimal point."""
    return len(printed.partition(".")[2])


def agreement(printed: str, exact: int, unit: int) -> str:
    """``agree``, ``agree, cut off`` where digits were dropped unrounded, or how far off the print is."""
    value = Decimal(printed)
    ours = Decimal(exact) / unit
    if ours.quantize(value, ROUND_HALF_UP) == value:
        return "agree"
    if ours.quantize(value, ROUND_DOWN) == value:
        return "agree, cut off"
    return f"{100 * (value - ours) / ours:+.2f} %"


def picture_of(graph: str) -> str:
    """The data flow of a graph."""
    return f"{PICTURES}/{graph}.svg"


def peer_table_of(graph: str) -> str:
    """onnx-tool's own table of a graph."""
    return f"{PEER_TABLES}/{graph}.txt"


def file_links(graph: str, peer_total: int | None) -> str:
    """The graph's row in the list of graphs, its picture, and onnx-tool's table where there is one."""
    links = [f"[`{graph}`](#graphs)", f"[picture]({picture_of(graph)})"]
    if peer_total is not None:
        links.append(f"[onnx-tool]({peer_table_of(graph)})")
    return ", ".join(links)
