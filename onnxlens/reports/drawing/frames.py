"""The opened modules as frames around the boxes that stand in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from onnxlens.reports.drawing.layers import Pair, longest_ways
from onnxlens.specs.flow import FlowNode

Parents = tuple[tuple[str, str], ...]
"""The modules around a box, outermost first, as (path, class name)."""


@dataclass(slots=True)
class Frame:
    """An opened module, or the page.

    Attributes:
        parents: the modules around what stands in it, itself last; () for the page.
        boxes: those that stand in it directly.
        frames: the modules that are opened in it.
    """

    parents: Parents
    boxes: list[FlowNode] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)

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
        yield from self.boxes
        for frame in self.frames:
            yield from frame.members()


def page_of(nodes: Iterable[FlowNode]) -> Frame:
    """The frames of a picture, in the order in which their first box runs."""
    frames: dict[Parents, Frame] = {(): Frame(())}
    for node in nodes:
        _frame(node.parents, frames).boxes.append(node)
    return frames[()]


def _frame(parents: Parents, frames: dict[Parents, Frame]) -> Frame:
    if parents not in frames:
        frames[parents] = Frame(parents)
        _frame(parents[:-1], frames).frames.append(frames[parents])
    return frames[parents]


def first_boxes(frame: Frame, lines: Iterable[Pair]) -> Sequence[str]:
    """The boxes that no line from inside the frame leads to, the first that runs among them first.

    Those come first that stand in the frame's first row: the others are read by a box further down.
    """
    members = sorted(frame.members(), key=lambda node: node.order)
    inside = {node.id for node in members}
    pairs = [pair for pair in lines if inside.issuperset(pair)]
    layers = longest_ways(pairs, [node.id for node in members])
    read = {box: min(layers[target] for source, target in pairs if source == box) for box, _ in pairs}
    first = [node.id for node in members if not layers[node.id]]
    return sorted(first, key=lambda box: read.get(box, 1))


def stacked(page: Frame, lines: Sequence[Pair]) -> Iterator[tuple[str, FlowNode | Frame]]:
    """Boxes that must stand above a neighbour, so that what reads something stands below the whole of it.

    Without these, a frame that reads an inner box of the frame before it stands beside that frame.
    """
    for frame in _all_frames(page):
        parts: list[FlowNode | Frame] = [*frame.boxes, *frame.frames]
        members = [list(part.members()) if isinstance(part, Frame) else [part] for part in parts]
        part_of = {node.id: place for place, nodes in enumerate(members) for node in nodes}
        inside = [pair for pair in lines if part_of.keys() >= set(pair)]
        read = {(part_of[source], part_of[target]) for source, target in inside}
        for upper, lower in sorted(pair for pair in read if pair[0] != pair[1]):
            if max(node.order for node in members[upper]) < min(node.order for node in members[lower]):
                for last in _last_boxes(members[upper], inside):
                    if isinstance(parts[lower], Frame) or (last, members[lower][0].id) not in inside:
                        yield last, parts[lower]


def _last_boxes(members: Sequence[FlowNode], lines: Iterable[Pair]) -> Iterator[str]:
    """Those that no other of them reads."""
    ids = {node.id for node in members}
    read = {source for source, target in lines if target in ids}
    return (node.id for node in members if node.id not in read)


def _all_frames(frame: Frame) -> Iterator[Frame]:
    yield frame
    for inner in frame.frames:
        yield from _all_frames(inner)
