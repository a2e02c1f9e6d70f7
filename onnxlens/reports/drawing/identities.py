"""What the parts of a picture are called in its file: by module, so that a link to one outlives a change."""

from __future__ import annotations

import re
from collections.abc import Mapping

from onnxlens.specs.flow import FlowGraph, FlowNode

UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)
"""What ids in XML, links and Graphviz cannot all hold."""


def identities(flow: FlowGraph) -> Mapping[str, str]:
    """By box or end, its id: ``input_blocks.4.1``, ``input_blocks.4.ops``, ``input.x``; numbered if equal."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for node in flow.nodes:
        base = name = UNSAFE.sub("_", _base(node))
        number = 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        names[node.id] = name
    return names


def frame_identity(path: str, place: int) -> str:
    """Of the frame that is the ``place``-th of the picture."""
    return f"frame.{UNSAFE.sub('_', path)}-{place}"


def _base(node: FlowNode) -> str:
    if not node.order:
        return f"{node.kind}.{node.title}"
    return f"{node.path or 'model'}.ops" if node.kind == "operators" else node.path or "model"
