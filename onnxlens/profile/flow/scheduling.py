"""Tasks that wait for each other on several engines: a list schedule, and what no schedule can beat.

An engine takes, of the tasks whose producers are done, the one with the longest path of work behind it. Where
engines share a resource that cannot serve all of them at full speed, all tasks that use it go on at the same
share of their speed, and no faster (max-min fair): one that needs it less, or not at all, is slowed less.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import TypeVar

from onnxlens.specs.schedule import Slot, Task

ROUNDING = 1e-9
"""A share of a duration: tasks whose ends differ by less end together."""

Length = TypeVar("Length", int, float)

LONGEST_PATH, WORK = "longest path", "work of all engines"


@dataclass(slots=True)
class _Running:
    """A task on an engine, and what is left of its duration."""

    task: int
    engine: int
    start: float
    left: float
    rate: float = 1


def consumers_of(tasks: Sequence[Task]) -> list[list[int]]:
    """The positions of the tasks that wait for each; a task waits for earlier ones alone."""
    found: list[list[int]] = [[] for _ in tasks]
    for index, task in enumerate(tasks):
        for producer in task.after:
            found[producer].append(index)
    return found


def paths_behind(durations: Sequence[Length], consumers: Sequence[Sequence[int]]) -> list[Length]:
    """The longest path from the start of each task to an end."""
    paths: list[Length] = list(durations)
    for index in reversed(range(len(paths))):
        paths[index] += max(map(paths.__getitem__, consumers[index]), default=0)
    return paths


def critical_tasks(tasks: Sequence[Task]) -> tuple[float, Sequence[bool]]:
    """The longest path, and which tasks are on one that is as long."""
    durations = [task.duration for task in tasks]
    behind = paths_behind(durations, consumers_of(tasks))
    longest = max(behind, default=0)
    starts: list[float] = []
    for task in tasks:
        starts.append(max((starts[each] + durations[each] for each in task.after), default=0))
    least = longest * (1 - ROUNDING)
    return longest, [
        bool(task.duration) and start + path >= least
        for task, start, path in zip(tasks, starts, behind, strict=True)
    ]


def least_makespan(tasks: Sequence[Task], engines: int, shared: Collection[str] = ()) -> tuple[float, str]:
    """What no schedule can beat, and why."""
    total = fsum(task.duration for task in tasks)
    bounds = {LONGEST_PATH: critical_tasks(tasks)[0], WORK: total / engines}
    for name in shared:
        bounds[name] = fsum(task.uses.get(name, 0.0) for task in tasks)
    why = max(bounds, key=bounds.__getitem__)
    return bounds[why], why


def list_schedule(tasks: Sequence[Task], engines: int, shared: Collection[str] = ()) -> tuple[Slot, ...]:
    """When and where each task runs, in the order of their starts.

    Args:
        tasks: each after those that it waits for.
        engines: how many run at a time.
        shared: the resources that all engines share, as ``Task.uses`` names them.
    """
    return tuple(_Schedule(tasks, engines, shared).run())


@dataclass
class _Schedule:
    tasks: Sequence[Task]
    engines: int
    shared: Collection[str]
    now: float = 0
    running: list[_Running] = field(default_factory=list)
    ready: list[tuple[float, int]] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    home: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.consumers = consumers_of(self.tasks)
        self.paths = paths_behind([task.duration for task in self.tasks], self.consumers)
        self.waits = [len(task.after) for task in self.tasks]
        self.free = list(range(self.engines))

    def run(self) -> Sequence[Slot]:
        for index, task in enumerate(self.tasks):
            if not task.after:
                self._ready(index)
        while self.ready or self.running:
            while self.ready and self.free:
                index = heapq.heappop(self.ready)[1]
                home = self.home[index]
                engine = home if home in self.free else min(self.free)
                self.free.remove(engine)
                self.running.append(_Running(index, engine, self.now, self.tasks[index].duration))
            self._advance()
        return sorted(self.slots, key=lambda slot: (slot.start, slot.engine))

    def _ready(self, first: int, engine: int = 0) -> None:
        """A task may start: best on the engine of what it waited for last.

        What takes no time is done at once, without an engine.
        """
        waiting = [first]
        while waiting:
            index = waiting.pop()
            if self.tasks[index].duration:
                self.home[index] = engine
                heapq.heappush(self.ready, (-self.paths[index], index))
            else:
                waiting += self._released(index)

    def _released(self, done: int) -> Sequence[int]:
        """The tasks that waited for this one last."""
        for index in self.consumers[done]:
            self.waits[index] -= 1
        return [index for index in self.consumers[done] if not self.waits[index]]

    def _advance(self) -> None:
        """Go on to the next end of a task."""
        self._share()
        step = min(each.left / each.rate if each.rate != 1 else each.left for each in self.running)
        self.now += step
        going: list[_Running] = []
        ended: list[_Running] = []
        for each in self.running:
            each.left -= step * each.rate
            last = ROUNDING * self.tasks[each.task].duration if self.shared else 0
            (going if each.left > last else ended).append(each)
        self.running = going
        for each in ended:
            self.slots.append(Slot(each.task, each.engine, each.start, self.now))
            self.free.append(each.engine)
        for each in ended:
            for index in self._released(each.task):
                self._ready(index, each.engine)

    def _share(self) -> None:
        """The speed of each task that runs, as a share of its own."""
        if not self.shared:
            return
        needs = [self._needs(self.tasks[each.task]) for each in self.running]
        for each, rate in zip(self.running, fair_rates(needs), strict=True):
            each.rate = rate

    def _needs(self, task: Task) -> Mapping[str, float]:
        return {name: task.uses[name] / task.duration for name in self.shared if task.uses.get(name)}


def fair_rates(needs: Sequence[Mapping[str, float]]) -> Sequence[float]:
    """The speeds, at most 1, of tasks that need these shares of resources at full speed.

    All rise together until a resource is used up; those that need it stay there, and the others rise on.
    """
    rates = [1.0] * len(needs)
    rising = set(range(len(needs)))
    while rising:
        level, full = 1.0, ""
        for name in sorted({name for index in rising for name in needs[index]}):
            asked = fsum(needs[index].get(name, 0.0) for index in rising)
            taken = fsum(
                need.get(name, 0.0) * rate
                for index, (need, rate) in enumerate(zip(needs, rates, strict=True))
                if index not in rising
            )
            if asked and (1 - taken) / asked < level:
                level, full = (1 - taken) / asked, name
        if not full:
            break
        stopped = {index for index in rising if needs[index].get(full)}
        for index in stopped:
            rates[index] = level
        rising -= stopped
    return rates
