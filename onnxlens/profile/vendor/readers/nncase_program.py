"""nncase's program as a graph of steps: groups of tiles that the KPU runs, and operators that the CPU runs.

``final_main.dot``, which nncase writes beside ``mac.csv``, has the calls of the program and what each reads;
its groups, which it calls ``func_N``, stand in the order of the rows of ``mac.csv``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

from onnxlens.specs.layers import LayerRecord, Step

NODE = re.compile(r'^\s*"\\"(\d+)\\"" \[ label = (.*), shape = \w+ \]$', re.MULTILINE)
EDGE = re.compile(r'^\s*"\\"(\d+)\\"" -> "\\"(\d+)\\""(?::P(\d+))?', re.MULTILINE)
CALL = re.compile(
    r"<td>Call</td><td>(\w+)(?:\((?:\w+\.)?([^<]*)\))?</td>.*<td colspan=\"\d+\">\(?\w+\[([\d,]*)\]"
)
GROUP = re.compile(r"func_\d+")

MOVES = frozenset({"Reshape", "Squeeze", "Unsqueeze", "GetItem", ""})
"""Calls that compute nothing; a tuple is no call."""

SPELLED = {"Clamp": "Clip", "Broadcast": "Expand"}
"""Its operators that ONNX calls otherwise."""

BY_ARGUMENT = {"Binary": "", "Unary": "", "Compare": "", "Reduce": "Reduce"}
"""Its operators whose argument is ONNX's name of one, or the end of it."""

Edge = tuple[int, int, int]
"""The name of what is read, of what reads it, and as which argument."""


def read_program(text: str, groups: int, first: int) -> tuple[tuple[Step, ...], tuple[LayerRecord, ...]]:
    """The steps of a ``final_main.dot``, and a record for each operator that the CPU runs, without figures.

    Args:
        text: of the file.
        groups: how many records are groups, in the order of ``mac.csv``; they are the first.
        first: the position that the first of the records returned will have.

    Returns:
        No steps if the file has another number of groups.
    """
    labels = dict(NODE.findall(text))
    edges = [(int(one), int(other), int(port or 0)) for one, other, port in EDGE.findall(text)]
    calls = {int(name): CALL.search(label) for name, label in labels.items()}
    listed = [name for name, call in calls.items() if call and GROUP.fullmatch(call[1])]
    if len(listed) != groups:
        return (), ()
    records = {name: at for at, name in enumerate(listed)}
    order = _sorted(calls, edges)
    place = {name: at for at, name in enumerate(order)}
    run: list[LayerRecord] = []
    for at, name in enumerate(order):
        call = calls[name]
        if call is not None and name not in records and call[1] not in MOVES:
            records[name] = first + len(run)
            run.append(_on_cpu(call, at))
    reads: dict[int, list[tuple[int, int]]] = {}
    for one, other, port in sorted(edges, key=lambda edge: edge[2]):
        reads.setdefault(other, []).append((place[one], port))
    return tuple(Step(records.get(name), tuple(reads.get(name, ()))) for name in order), tuple(run)


def _on_cpu(call: re.Match[str], at: int) -> LayerRecord:
    name = SPELLED.get(call[1], call[1])
    if call[1] in BY_ARGUMENT and call[2]:
        name = BY_ARGUMENT[call[1]] + call[2]
    shape = tuple(int(size) for size in call[3].split(",") if size)
    return LayerRecord(f"{name}_{at}", name, placement="cpu", outputs=(shape,))


def _sorted(names: Mapping[int, object], edges: Sequence[Edge]) -> list[int]:
    """All names, each after those that it reads."""
    sorter: TopologicalSorter[int] = TopologicalSorter({name: () for name in names})
    for one, other, _ in edges:
        sorter.add(other, one)
    return list(sorter.static_order())
