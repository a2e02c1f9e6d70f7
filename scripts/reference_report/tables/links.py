"""Where the report's files of a graph stand, relative to its page."""

from __future__ import annotations

PAGE = "README.md"
PICTURES = "pictures"
PEER_TABLES = "onnx-tool"


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
