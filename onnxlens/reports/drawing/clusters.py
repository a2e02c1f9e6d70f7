"""Opened modules as clusters, nested, and laid out from the inside out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError
from itertools import groupby

from onnxlens.reports.drawing.labels import Block
from onnxlens.reports.drawing.links import Line, Skip
from onnxlens.reports.drawing.position import Placed, Point, place_level
from onnxlens.reports.drawing.ranks import Item, Link, Spot
from onnxlens.reports.drawing.rows import Row
from onnxlens.specs.flow import FlowNode

MARGIN = 10.0
"""Points between a frame and what stands in it."""
STRAIGHT = 100
"""How much more it is worth that the lines of the trunk are straight than others."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A line, or a skip connection, that is drawn.

    Attributes:
        key: its name.
        carries: the one or the other.
        label: what is written beside it.
        side: how far right it is to run.
        trunk: it is to be straight.
    """

    key: str
    source: str
    target: str
    carries: Line | Skip
    label: Block | None = None
    side: float = 0
    trunk: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """An input or output that has a place of its own."""

    node: FlowNode
    block: Block


@dataclass(frozen=True, slots=True)
class Opened:
    """A frame, or the page, laid out.

    Attributes:
        title: what stands in its upper left corner, as the first of its parts; None for the page.
        parts: what stands in it.
        wires: the lines between and through its parts.
    """

    frame: Frame
    title: Block | None
    parts: Sequence[Part]
    wires: Sequence[Wire]
    placed: Placed

    @property
    def width(self) -> float:
        """With its margins, in points."""
        return self.placed.width + 2 * MARGIN

    @property
    def height(self) -> float:
        """With its margins, in points."""
        return self.placed.height + 2 * MARGIN


Part = Row | End | Opened | Block


@dataclass(frozen=True, slots=True)
class Contents:
    """What a picture is made of, before anything has its place.

    Attributes:
        rows: by box.
        lanes: by box.
        beside: the paths of the frames that stand beside each other in the order of execution.
        ends: the inputs and outputs that stand on the page.
        title_of: what stands in the upper left corner of a frame.
    """

    rows: Mapping[str, Row]
    lanes: Mapping[str, int]
    beside: Collection[str]
    ends: Sequence[End]
    title_of: Callable[[Frame], Block]


def lay_out(frame: Frame, wires: Sequence[Wire], contents: Contents) -> Opened:
    """A frame, or the page, with all that is in it laid out.

    A module that runs in stretches, and reads what reads it, has a frame for each of them.
    """
    try:
        return _lay_out(frame, wires, contents)
    except CycleError:
        return _lay_out(in_stretches(frame), wires, contents)


def _lay_out(frame: Frame, wires: Sequence[Wire], contents: Contents) -> Opened:
    members = {node.id for node in frame.members()}
    near = [wire for wire in wires if not frame.parents or wire.source in members or wire.target in members]
    title = contents.title_of(frame) if frame.parents else None
    parts: list[Part] = [title] if title else []
    owner: dict[str, int] = {}
    for child in frame.children:
        if isinstance(child, Frame):
            owner.update((node.id, len(parts)) for node in child.members())
            parts.append(lay_out(child, near, contents))
        else:
            owner[child.id] = len(parts)
            parts.append(contents.rows[child.id])
    for end in contents.ends if title is None else ():
        owner[end.node.id] = len(parts)
        parts.append(end)
    here = [wire for wire in near if owner.get(wire.source) != owner.get(wire.target)]
    lined = {end for wire in here for end in (owner.get(wire.source), owner.get(wire.target))}
    apart = {place for place, part in enumerate(parts) if isinstance(part, Row) and place not in lined}
    if apart and title:  # they stand beside the title, above the rest
        apart.add(0)
    items = [_item(part, contents, leads=place in apart) for place, part in enumerate(parts)]
    links = [_link(wire, owner, parts) for wire in here]
    return Opened(frame, title, parts, here, place_level(items, links, 0 if title else None))


def _item(part: Part, contents: Contents, *, leads: bool) -> Item:
    if isinstance(part, End):
        return Item(part.block.width, part.block.height, centred=True, leads=part.node.kind == "input")
    if isinstance(part, Row):
        return Item(part.width, part.height, contents.lanes[part.node.id], centred=True, leads=leads)
    if isinstance(part, Opened) and part.frame.path not in contents.beside:
        heaviest = max(part.frame.members(), key=lambda node: node.macs * node.repeats)
        return Item(part.width, part.height, contents.lanes[heaviest.id])
    return Item(part.width, part.height, leads=leads)


def _link(wire: Wire, owner: Mapping[str, int], parts: Sequence[Part]) -> Link:
    source, target = owner.get(wire.source), owner.get(wire.target)
    begin = None if source is None else Spot(source, *_leaves(parts[source], wire))
    end = None if target is None else Spot(target, *_reaches(parts[target], wire))
    label = (wire.label.width, wire.label.height) if wire.label and begin and end else None
    return Link(wire.key, begin, end, label, wire.side, STRAIGHT if wire.trunk else 1)


def _leaves(part: Part, wire: Wire) -> Point:
    """Where a line leaves a part: the lower edge of a box, beside a tag, or of a frame."""
    if isinstance(part, Opened):
        return part.placed.ways[wire.key][-1][0] + MARGIN, part.height
    if isinstance(part, Row):
        return part.skip(wire.carries.number) if isinstance(wire.carries, Skip) else part.lower
    block = part.block if isinstance(part, End) else part
    return block.width / 2, block.height


def _reaches(part: Part, wire: Wire) -> Point:
    """Where a line reaches a part: the upper edge of a box, beside a tag, or of a frame."""
    if isinstance(part, Opened):
        return part.placed.ways[wire.key][0][0] + MARGIN, 0.0
    if isinstance(part, Row):
        return part.skip(wire.carries.number) if isinstance(wire.carries, Skip) else part.upper
    block = part.block if isinstance(part, End) else part
    return block.width / 2, 0.0


@dataclass(frozen=True, slots=True)
class SheetFrame:
    """A frame, or the page, on the sheet: everything with its upper left corner, in points, downwards."""

    opened: Opened
    corner: Point
    parts: Sequence[tuple[Part, Point]]
    labels: Sequence[tuple[Wire, Point]]
    frames: Sequence[SheetFrame]

    def all_frames(self) -> Iterator[SheetFrame]:
        """Itself, and all frames in it."""
        yield self
        for frame in self.frames:
            yield from frame.all_frames()


@dataclass(frozen=True, slots=True)
class Sheet:
    """The picture.

    Attributes:
        ways: by the key of each wire, the corners of its way from the top down.
    """

    page: SheetFrame
    ways: Mapping[str, Sequence[Point]]

    @property
    def width(self) -> float:
        """In points."""
        return self.page.opened.width

    @property
    def height(self) -> float:
        """In points, from the top of the sheet."""
        return self.page.corner[1] + self.page.opened.height


def sheet_of(page: Opened, top: float) -> Sheet:
    """The page, ``top`` points below the upper edge of the sheet."""
    ways: dict[str, list[Point]] = defaultdict(list)
    whole = _put(page, (0.0, top), ways)
    for corners in ways.values():
        corners.sort(
            key=lambda corner: corner[1]
        )  # every level has a piece of the way, and it only goes down
    return Sheet(whole, ways)


def _put(level: Opened, corner: Point, ways: dict[str, list[Point]]) -> SheetFrame:
    left, top = corner[0] + MARGIN, corner[1] + MARGIN
    parts = [
        (part, (left + x, top + y)) for part, (x, y) in zip(level.parts, level.placed.items, strict=True)
    ]  # fmt: skip
    for key, corners in level.placed.ways.items():
        ways[key] += [(left + x, top + y) for x, y in corners]
    labels = {wire.key: wire for wire in level.wires}
    return SheetFrame(
        level,
        corner,
        [(part, place) for part, place in parts if not isinstance(part, Opened)],
        [(labels[key], (left + x, top + y)) for key, (x, y) in level.placed.labels.items()],
        [_put(part, place, ways) for part, place in parts if isinstance(part, Opened)],
    )


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
