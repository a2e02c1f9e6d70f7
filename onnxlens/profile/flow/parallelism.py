"""What of a data flow can run at the same time: its longest path, two engines, and independent modules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from onnxlens.profile.flow.deepest import DeepestFlow, ran
from onnxlens.profile.flow.scheduling import consumers_of, list_schedule, paths_behind
from onnxlens.specs.flow import FlowNode, Independent, Parallelism
from onnxlens.specs.schedule import Task

ENGINES = 2
SMALLEST_SHARE = 50
"""Modules of less than this part (a fiftieth) of all MACs are not worth an engine of their own."""
MOST_SHOWN = 3
MOST_BOXES = 20_000
"""For more boxes it is not looked for independent modules: what depends on each would take over 50 MB."""


def parallelism_of(deepest: DeepestFlow) -> Parallelism | None:
    """How much of the MACs must follow each other; None where all do, or some are unknown.

    The boxes are those of the deepest modules. Two engines take them in the order of the work that still
    depends on them; a box runs on one engine, as soon as one is free and its inputs are there.
    """
    boxes = ran(deepest.flow)
    if any(box.lower_bounds for box in boxes):
        return None
    order = _Order(boxes, _tasks(deepest, boxes))
    longest = max(order.path_macs, default=0)
    if longest == order.total:
        return None
    return Parallelism(order.total, longest, ENGINES, order.makespan(ENGINES), tuple(_independent(order)))


def _tasks(deepest: DeepestFlow, boxes: Sequence[FlowNode]) -> list[Task]:
    """Each box with its MACs and those whose outputs it reads; a loop's back edge is none."""
    position = {box.id: index for index, box in enumerate(boxes)}
    after: list[set[int]] = [set() for _ in boxes]
    for edge in deepest.flow.edges:
        source, target = position.get(edge.source), position.get(edge.target)
        if source is not None and target is not None and source < target:
            after[target].add(source)
    return [
        Task(box.path, box.title, box.macs * box.repeats, after=tuple(sorted(waits)))
        for box, waits in zip(boxes, after, strict=True)
    ]


@dataclass
class _Order:
    """Boxes in execution order, known by their positions.

    Attributes:
        path_macs: of the heaviest path from each box to an end.
    """

    boxes: Sequence[FlowNode]
    tasks: Sequence[Task]
    macs: list[int] = field(init=False)
    consumers: list[list[int]] = field(init=False)
    total: int = field(init=False)
    path_macs: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.macs = [box.macs * box.repeats for box in self.boxes]
        self.consumers = consumers_of(self.tasks)
        self.total = sum(self.macs)
        self.path_macs = paths_behind(self.macs, self.consumers)

    def makespan(self, engines: int) -> int:
        """When the last box is done, in MACs of one engine."""
        return int(max((slot.end for slot in list_schedule(self.tasks, engines)), default=0))

    def behind(self) -> list[int]:
        """Which boxes depend on each, as bits."""
        found = [0] * len(self.boxes)
        for index in reversed(range(len(self.boxes))):
            for target in self.consumers[index]:
                found[index] |= found[target] | 1 << target
        return found


@dataclass(slots=True)
class _Module:
    """A module with what it runs, and all that depends on it, as bits."""

    path: str
    macs: int = 0
    boxes: int = 0
    behind: int = 0
    children: dict[str, _Module] = field(default_factory=dict)

    def add(self, macs: int, index: int, behind: int) -> None:
        self.macs += macs
        self.boxes |= 1 << index
        self.behind |= behind

    def independent_of(self, other: _Module) -> bool:
        return not (self.boxes & (other.boxes | other.behind) or self.behind & other.boxes)


def _independent(order: _Order) -> Iterator[Independent]:
    """The heaviest modules with all that can run at the same time; each box stands in one pair alone."""
    if len(order.boxes) > MOST_BOXES:
        return
    root = _tree(order)
    least = root.macs // SMALLEST_SHARE
    found: list[tuple[_Module, list[_Module]]] = []
    for module in {module.path: module for pair in _pairs(root, root, least) for module in pair}.values():
        found.append((module, [beside for beside in _beside(module, root) if beside.macs]))

    def rank(pair: tuple[_Module, list[_Module]]) -> tuple[int, int, str]:
        module, others = pair
        return -min(module.macs, sum(other.macs for other in others)), -module.macs, module.path

    found.sort(key=rank)
    taken = shown = 0
    for module, others in found:
        beside = _siblings([other for other in others if not other.boxes & taken], least)
        if module.boxes & taken or not beside or shown == MOST_SHOWN:
            continue
        taken |= module.boxes
        for other in others:
            taken |= other.boxes
        yield Independent(module.path, module.macs, tuple(beside), sum(beside.values()))
        shown += 1


def _siblings(modules: Sequence[_Module], least: int) -> dict[str, int]:
    """The MACs of modules by their paths, those of one parent as ``2 of parent.*``; not the smallest."""
    families: dict[str, list[_Module]] = defaultdict(list)
    for module in modules:
        families[module.path.rpartition(".")[0]].append(module)
    named = {
        family[0].path if len(family) == 1 else f"{len(family)} of {parent}.*": sum(
            each.macs for each in family
        )
        for parent, family in families.items()
    }
    return {name: macs for name, macs in named.items() if macs > least}


def _beside(module: _Module, root: _Module) -> Iterator[_Module]:
    """The outermost modules below ``root`` that are independent of a module, in execution order."""
    if module.independent_of(root):
        yield root
    else:
        for child in root.children.values():
            yield from _beside(module, child)


def _tree(order: _Order) -> _Module:
    root = _Module("")
    for index, (box, macs, behind) in enumerate(zip(order.boxes, order.macs, order.behind(), strict=True)):
        module = root
        module.add(macs, index, behind)
        own = [box.path] if box.kind == "module" else []
        for path in dict.fromkeys([path for path, _ in box.parents] + own):
            if path:
                module = module.children.setdefault(path, _Module(path))
                module.add(macs, index, behind)
    return root


def _pairs(one: _Module, other: _Module, least: int) -> Iterator[tuple[_Module, _Module]]:
    """The outermost pairs of independent modules within two, each of more than the ``least`` MACs."""
    if min(one.macs, other.macs) <= least:
        return
    if one is other:
        children = [*one.children.values()]
        for position, child in enumerate(children):
            for next_child in children[position:]:
                yield from _pairs(child, next_child, least)
    elif one.independent_of(other):
        yield one, other
    else:
        heavier, lighter = sorted((one, other), key=lambda module: -module.macs)
        if not heavier.children:
            heavier, lighter = lighter, heavier
        for child in heavier.children.values():
            yield from _pairs(child, lighter, least)
