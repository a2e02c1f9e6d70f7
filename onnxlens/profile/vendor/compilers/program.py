"""nncase's program as a graph of steps: groups of tiles that the KPU runs, and operators that the CPU runs.

``final_main.dot``, which nncase writes beside ``mac.csv``, has the calls of the program and what each reads;
its groups, which it calls ``func_N``, stand in the order of the rows of ``mac.csv``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from onnxlens.specs.layers import LayerRecord

NODE = re.compile(r'^\s*"\\"(\d+)\\"" \[ label = (.*), shape = \w+ \]$', re.MULTILINE)
EDGE = re.compile(r'^\s*"\\"(\d+)\\"" -> "\\"(\d+)\\""(?::P(\d+))?', re.MULTILINE)
CALL = re.compile(
    r"<td>Call</td><td>(\w+?)(?:\((?:\w+\.)?(\w*)\))?</td>.*<td colspan=\"\d+\">\(?\w+\[([\d,]*)\]"
)
GROUP = re.compile(r"func_\d+")

MOVES = frozenset({"Reshape", "Squeeze", "Unsqueeze", "GetItem", ""})
"""Calls that compute nothing; a tuple is no call."""

SPELLED = {"Binary": "", "Unary": "", "Clamp": "Clip", "Broadcast": "Expand", "Compare": ""}
"""Its operators whose argument is ONNX's name of one."""


@dataclass(slots=True)
class Step:
    """One call of the program.

    Attributes:
        operator: ONNX's name of it; "" for a group of tiles and for what computes nothing.
        record: of a group, its row; None for other calls.
        output: its shape.
        reads: the steps that it reads, by their position, each with the number of its argument.
    """

    operator: str
    record: int | None
    output: tuple[int, ...]
    reads: list[tuple[int, int]] = field(default_factory=list)


def read_program(text: str, groups: Sequence[int]) -> Sequence[Step]:
    """The steps of a ``final_main.dot``, each after those that it reads; none if it is of other groups.

    Args:
        text: of the file.
        groups: the records of the groups, in the order of ``mac.csv``.
    """
    labels = dict(NODE.findall(text))
    edges = [(int(one), int(other), int(port or 0)) for one, other, port in EDGE.findall(text)]
    calls = {int(name): CALL.search(label) for name, label in labels.items()}
    listed = [name for name, call in calls.items() if call and GROUP.fullmatch(call[1])]
    if len(listed) != len(groups):
        return ()
    records = dict(zip(listed, groups, strict=True))
    order = _sorted(calls, edges)
    place = {name: at for at, name in enumerate(order)}
    steps = [_step(calls[name], records.get(name)) for name in order]
    for one, other, port in sorted(edges, key=lambda edge: edge[2]):
        steps[place[other]].reads.append((place[one], port))
    return steps


def _step(call: re.Match[str] | None, record: int | None) -> Step:
    if call is None:
        return Step("", None, ())
    shape = tuple(int(size) for size in call[3].split(",") if size)
    if record is not None or call[1] in MOVES:
        return Step("", record, shape)
    name = SPELLED.get(call[1], call[1])
    return Step(name or call[2] or call[1], None, shape)


def _sorted(names: Mapping[int, object], edges: Sequence[tuple[int, int, int]]) -> list[int]:
    """All names, each after those that it reads."""
    sorter: TopologicalSorter[int] = TopologicalSorter({name: () for name in names})
    for one, other, _ in edges:
        sorter.add(other, one)
    return list(sorter.static_order())


def cpu_records(steps: Sequence[Step]) -> Mapping[int, LayerRecord]:
    """A record for each operator that the CPU runs, by its step: no figure of it is known."""
    found = {at: step for at, step in enumerate(steps) if step.operator}
    return {
        at: LayerRecord(f"{step.operator}_{at}", step.operator, placement="cpu", outputs=(step.output,))
        for at, step in found.items()
    }
