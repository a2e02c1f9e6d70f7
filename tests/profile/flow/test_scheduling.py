"""List schedules: by hand, against every order of small graphs, and what engines share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations

import pytest

from onnxlens.profile.flow.scheduling import (
    LONGEST_PATH,
    WORK,
    critical_tasks,
    fair_rates,
    least_makespan,
    list_schedule,
)
from onnxlens.specs.schedule import Slot, Task

Waits = Sequence[tuple[int, ...]]


def tasks_of(durations: Sequence[float], waits: Waits, uses: Sequence[float] | None = None) -> list[Task]:
    needs: Sequence[dict[str, float]] = [{"DRAM": each} for each in uses] if uses else [{}] * len(durations)
    return [
        Task(f"m{index}", "M", duration, use, after)
        for index, (duration, after, use) in enumerate(zip(durations, waits, needs, strict=True))
    ]


def makespan(tasks: Sequence[Task], engines: int, *shared: str) -> float:
    return max(slot.end for slot in list_schedule(tasks, engines, shared))


def optimum(tasks: Sequence[Task], engines: int) -> float:
    """The least over all orders, each task in turn on the engine that is free first: one order is optimal."""
    least = float("inf")
    for order in permutations(range(len(tasks))):
        ends, free = dict[int, float](), [0.0] * engines
        for index in order:
            if any(each not in ends for each in tasks[index].after):
                break
            ready = max((ends[each] for each in tasks[index].after), default=0.0)
            # of the engines that do not delay it the one that is free last
            engine = max((e for e in range(engines) if free[e] <= ready), key=free.__getitem__, default=-1)
            if engine < 0:
                engine = min(range(engines), key=free.__getitem__)
            ends[index] = free[engine] = max(ready, free[engine]) + tasks[index].duration
        else:
            least = min(least, max(ends.values()))
    return least


def require_valid(tasks: Sequence[Task], slots: Sequence[Slot], engines: int) -> None:
    """One task at a time on an engine, each once, and after those that it waits for."""
    assert sorted(slot.task for slot in slots) == [index for index, task in enumerate(tasks) if task.duration]
    by_task = {slot.task: slot for slot in slots}
    for slot in slots:
        waiting, seen = list(tasks[slot.task].after), set[int]()
        while waiting:
            source = waiting.pop()
            if source in by_task:
                assert by_task[source].end <= slot.start + 1e-9
            elif source not in seen:
                seen.add(source)
                waiting += tasks[source].after
    for engine in range(engines):
        mine = [slot for slot in slots if slot.engine == engine]
        assert all(one.end <= other.start + 1e-9 for one, other in zip(mine, mine[1:], strict=False))
    assert {slot.engine for slot in slots} <= set(range(engines))


def random_tasks(seed: int, count: int, *, needs: bool = False) -> list[Task]:
    draw = random.Random(seed)
    waits = [
        tuple(sorted(draw.sample(range(index), min(index, draw.choice([0, 1, 1, 2])))))
        for index in range(count)
    ]
    durations = [float(draw.choice([0, 1, 2, 3, 5, 8])) for _ in range(count)]
    uses = [duration * draw.choice([0, 0.3, 0.7, 1]) for duration in durations] if needs else None
    return tasks_of(durations, waits, uses)


def test_two_encoders_and_a_decoder() -> None:
    """Encoders 3, 4 and 2, 6 and a decoder 5 that waits for both."""
    tasks = tasks_of([3, 4, 2, 6, 5], [(), (0,), (), (2,), (1, 3)])
    # path 2 + 6 + 5 first, on engine 0; 3 + 4 beside it; then the decoder
    assert list_schedule(tasks, 2) == (
        Slot(2, 0, 0, 2), Slot(0, 1, 0, 3), Slot(3, 0, 2, 8), Slot(1, 1, 3, 7), Slot(4, 0, 8, 13),
    )  # fmt: skip
    assert critical_tasks(tasks) == (13, [False, False, True, True, True])
    assert least_makespan(tasks, 2) == (13, LONGEST_PATH)
    assert least_makespan(tasks, 1) == (20, WORK)


def test_what_takes_no_time_needs_no_engine() -> None:
    tasks = tasks_of([4, 4, 0, 0, 1], [(), (), (), (2,), (3,)])
    assert [slot.task for slot in list_schedule(tasks, 3)] == [0, 1, 4]
    assert makespan(tasks, 2) == 5


@pytest.mark.parametrize("engines", [1, 2, 3])
def test_every_order_of_a_small_graph_is_no_better_than_the_bound(engines: int) -> None:
    met = 0
    for seed in range(25):
        tasks = random_tasks(seed, 6)
        total, best = sum(task.duration for task in tasks), optimum(tasks, engines)
        found = makespan(tasks, engines) if total else 0
        bound, _ = least_makespan(tasks, engines)
        assert bound <= best <= found <= total
        assert found <= (2 - 1 / engines) * best  # Graham, 1966
        met += found == best
    assert met >= 23


@pytest.mark.parametrize("durations", [(1, 1, 1, 1, 1, 1, 1), (2, 2, 2, 2, 2, 2)])
def test_an_in_tree_of_equal_tasks_is_optimal(durations: tuple[float, ...]) -> None:
    """Hu, 1961: the highest level first is optimal for equal tasks of which each has one consumer."""
    draw = random.Random(len(durations))
    for _ in range(10):
        consumer = {index: draw.randrange(index + 1, len(durations)) for index in range(len(durations) - 1)}
        waits = [tuple(s for s, c in consumer.items() if c == index) for index in range(len(durations))]
        tasks = tasks_of(durations, waits)
        for engines in (2, 3):
            assert makespan(tasks, engines) == optimum(tasks, engines)


@pytest.mark.parametrize("shared", [(), ("DRAM",)])
def test_a_schedule_is_between_its_bound_and_the_sum(shared: tuple[str, ...]) -> None:
    for seed in range(60):
        tasks = random_tasks(seed, 40, needs=True)
        for engines in (1, 2, 4):
            slots = list_schedule(tasks, engines, shared)
            require_valid(tasks, slots, engines)
            bound, _ = least_makespan(tasks, engines, shared)
            total = sum(task.duration for task in tasks)
            assert bound * (1 - 1e-9) <= max(slot.end for slot in slots) <= total * (1 + 1e-9)


def test_one_engine_takes_the_sum_whatever_is_shared() -> None:
    tasks = random_tasks(7, 30, needs=True)
    total = sum(task.duration for task in tasks)
    assert makespan(tasks, 1) == total
    assert makespan(tasks, 1, "DRAM") == pytest.approx(total, rel=1e-12)


def test_a_memory_that_both_need_all_of_the_time_allows_no_overlap() -> None:
    tasks = tasks_of([4, 6], [(), ()], uses=[4, 6])
    assert makespan(tasks, 2) == 6
    assert makespan(tasks, 2, "DRAM") == pytest.approx(10)
    assert least_makespan(tasks, 2, ("DRAM",)) == (10, "DRAM")


def test_tasks_that_need_part_of_a_memory_are_slowed_by_what_is_lacking() -> None:
    """3 s that need 1 of the memory beside 3 s that need half: each at 2 / 3, so that 1 is used."""
    tasks = tasks_of([3, 3], [(), ()], uses=[3, 1.5])
    assert makespan(tasks, 2, "DRAM") == pytest.approx(4.5)
    # one that needs nothing of it is not slowed
    assert makespan(tasks_of([3, 3], [(), ()], uses=[3, 0]), 2, "DRAM") == pytest.approx(3)


def test_speeds_rise_together_until_a_resource_is_used_up() -> None:
    # a is full at 1 / 1.5 for the first two; b has 1 / 3 taken of it, and the third rises to all of its speed
    rates = fair_rates([{"a": 1.0, "b": 0.5}, {"a": 0.5}, {"b": 0.5}])
    assert rates == pytest.approx([2 / 3, 2 / 3, 1])
    # b is full at 1 / 2 for both that need it; a has half left for the other
    assert fair_rates([{"a": 1.0, "b": 1.0}, {"b": 1.0}, {"a": 0.5}]) == pytest.approx([0.5, 0.5, 1])
    assert fair_rates([]) == []
