"""The opened modules as frames around the boxes that stand in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from onnxlens.specs.flow import FlowNode

Parents = tuple[tuple[str, str], ...]
"""The modules around a box, outermost first, as (path, class name)."""


@dataclass(slots=True)
class Frame:
    """An opened module, or the page.

    Attributes:
        parents: the modules around what stands in it, itself last; () for the page.
        children: the boxes that stand in it directly, and the modules that are opened in it.
    """

    parents: Parents
    children: list[FlowNode | Frame] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The module's path."""
        return self.parents[-1][0]

    @property
    def class_name(self) -> str:
        """The module's class; "" where the file does not say."""
        return self.parents[-1][1]

    def members(self) -> Iterator[FlowNode]:
        """All boxes in it, also those in the frames in it."""
        for child in self.children:
            if isinstance(child, Frame):
                yield from child.members()
            else:
                yield child


def page_of(nodes: Iterable[FlowNode], parents: Parents = ()) -> Frame:
    """The frames of a picture, in the order in which their first box runs."""
    page = Frame(parents)
    opened: dict[Parents, list[FlowNode]] = {}
    for node in nodes:
        inner = node.parents[: len(parents) + 1]
        if inner == parents:
            page.children.append(node)
        elif inner in opened:
            opened[inner].append(node)
        else:
            opened[inner] = [node]
            page.children.append(Frame(inner))
    for place, child in enumerate(page.children):
        if isinstance(child, Frame):
            page.children[place] = page_of(opened[child.parents], child.parents)
    return page


def in_stretches(frame: Frame) -> Frame:
    """The same with a frame of its own for every stretch in which a module runs.

    A module that is read by what it reads itself cannot be one frame that stands above or below that.
    """
    split = Frame(frame.parents)
    level = len(frame.parents)
    nodes = sorted(frame.members(), key=lambda node: node.order)
    for inner, stretch in groupby(nodes, key=lambda node: node.parents[: level + 1]):
        boxes: Sequence[FlowNode] = list(stretch)
        split.children += boxes if inner == frame.parents else [page_of(boxes, inner)]
    return split
