"""The instruction trace of tpu-mlir, ``compiler_profile_0.txt``, and what its names mean: ``*_final.mlir``.

Source: files that tpu-mlir 1.30.2 wrote for the BM1684X, and ``debugger/final_mlir.py`` in its package. The
trace has two columns, the engines BD (arithmetic) and GDMA (memory), which run side by side. ``Conv2D_89`` is
line 89 of the final MLIR, whose ``loc`` is the name of the ONNX tensor with its operator, ``relu_1_Relu``;
``tensor_location.json`` has the same lines with the names of their results. One record is all
instructions of a line.

``cycles`` of a layer are those in which nothing hides it: all cycles of BD, and of GDMA those in which BD
does nothing. So the layers' cycles add up to the trace's own total, less the gaps in which neither works.
``compute_cycles`` and ``memory_cycles`` are those of each engine, hidden or not.

There is no trace of the CV18xx: their final MLIR alone says which operations there are, and on which unit.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import entry, known, listed, refuse, shown, whole
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "tpu-mlir"

TRACE, FINAL = r"compiler_profile_\d+\.txt", r"_final\.mlir"
"""How the names of the files end."""

INSTRUCTION = re.compile(r"(?P<op>\w+)_(?P<line>\d+)\|(?P<command>\w+)\|(?P<fields>[\w:.|-]+)")
"""One instruction of the trace: the operation, its line in the MLIR, the command, and ``s:0|e:3638|..``."""

OPERATION = re.compile(r' = "(?:tpu|top)\.(?P<op>\w+)"\(')
"""An operation of the final MLIR; the weights that it reads are of ``top``."""

VALUES = re.compile(r'(?P<made>%\d+) = "\w+\.\w+"\((?P<read>[^)]*)\)')
"""The value that a line makes, and those that it reads."""

COPY = re.compile(r"load_\w+_\d+")

MOVES = frozenset({"Buffer", "Group", "Load", "Store", "Yield"})
"""Those that only order or move what others compute."""

TOTAL = re.compile(r"total_cycle:(\d+)")

CHIP = re.compile(r'module\.chip = "(\w+)"')

LOCATION = re.compile(r"#(?P<key>loc\d*) = loc\((?P<value>.*)\)\s*\Z")

MOST_FUSED = 64
"""How deep locations may refer to each other."""


@dataclass(slots=True)
class Line:
    """The instructions of one line of the MLIR: their intervals on each engine, and the bytes they move."""

    op: str
    compute: list[tuple[int, int]] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    moved: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """What a line of the MLIR says: its operation, the tensors it makes, and shapes."""

    op: str
    tensors: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...] = ()
    outputs: tuple[tuple[int, ...], ...] = ()


def _recognizes(given: Given) -> bool:
    if given.path.is_dir():
        return bool(given.all_named(rf"{TRACE}|{FINAL}"))
    return "ENGINE_BD" in given.head() or bool(given.all_named(FINAL))


def _read(given: Given) -> LayerReport:
    finals = given.all_named(FINAL)
    if finals and not given.all_named(TRACE):
        return _untraced(given, finals[0])
    trace = given.one_named(TRACE, "an instruction trace of tpu-mlir")
    lines = _trace(given, trace)
    meaning = given.names or _beside(given)
    operations = _meaning(given, meaning) if meaning else {}
    for op, number in lines:
        if operations and (number not in operations or operations[number].op != op):
            refuse(
                f"{meaning}, line {number}",
                f"expected the {op} of the trace",
                "is it the final MLIR of that model?",
            )
    total = TOTAL.search(given.text(trace))
    if total is None:
        refuse(f"{trace}, line {len(given.lines(trace))}", "the trace has no total_cycle", "is it whole?")
    chip = CHIP.search(given.text(meaning)) if operations and meaning and meaning.suffix == ".mlir" else None
    records = _records(lines, operations)
    cycles = sum(record.figures.get("cycles", 0) for record in records)
    notes = [
        f"a layer's cycles are those that nothing hides: together {cycles:,} of the trace's {int(total[1]):,}"
    ]
    if not operations:
        notes.append("the trace has line numbers for names: give the *_final.mlir that it is of")
    return LayerReport(TOOL, records, chip=chip[1] if chip else "", notes=tuple(notes))


def _beside(given: Given) -> Path | None:
    """The final MLIR in the folder, else ``tensor_location.json``, which has no shapes."""
    finals = given.all_named(FINAL) if given.path.is_dir() else ()
    if len(finals) > 1:
        names = ", ".join(path.name for path in finals[:3])
        refuse(given.path, f"it has several final MLIR files ({names})", "give the one that the trace is of")
    locations = given.all_named(r"tensor_location\.json") if given.path.is_dir() else ()
    return next(iter((*finals, *locations)), None)


def _untraced(given: Given, path: Path) -> LayerReport:
    """The operations of a final MLIR, without figures."""
    texts, operations = given.lines(path), _meaning(given, path)
    records = tuple(
        LayerRecord(
            f"{found.op}_{at}",
            found.op,
            found.tensors,
            "cpu" if found.op == "GenericCpu" else "npu",
            inputs=found.inputs,
            outputs=found.outputs,
        )
        for at, found in operations.items()
        if f'"tpu.{found.op}"(' in texts[at - 1] and found.op not in MOVES
    )
    chip = CHIP.search(given.text(path))
    note = "which unit runs each operation, and no cycles: tpu-mlir traces none for this chip"
    return LayerReport(TOOL, records, chip=chip[1] if chip else "", notes=(note,))


def _trace(given: Given, path: Path) -> Mapping[tuple[str, int], Line]:
    """The instructions of the trace by operation and line, in the order of their first one."""
    lines: dict[tuple[str, int], Line] = {}
    for at, text in enumerate(given.lines(path), 1):
        for match in INSTRUCTION.finditer(text):
            fields = dict(each.split(":", 1) for each in match["fields"].strip("|").split("|") if ":" in each)
            where = f"{path}, line {at}"
            start, end = (_count(fields, name, where) for name in "se")
            if end + 1 < start:
                refuse(where, f"{match['op']}_{match['line']} ends at {end}, before it starts at {start}")
            line = lines.setdefault((match["op"], int(match["line"])), Line(match["op"]))
            (line.memory if "sz" in fields else line.compute).append((start, end + 1))
            line.moved += _count(fields, "sz", where) if fields.get("dr") in ("0", "1") else 0
    if not lines:
        refuse(path, "no instruction in it, such as Conv2D_54|CONV|s:0|e:9|t:10")
    return lines


def _count(fields: Mapping[str, str], name: str, where: str) -> int:
    text = fields.get(name, "")
    if not text.isdecimal():
        refuse(where, f"expected {name}:NUMBER in an instruction, found {shown(text)}", "is the trace whole?")
    return int(text)


def _records(
    lines: Mapping[tuple[str, int], Line], operations: Mapping[int, Operation]
) -> tuple[LayerRecord, ...]:
    busy = _merged(interval for line in lines.values() for interval in line.compute)
    records = []
    for (op, number), line in lines.items():
        operation = operations.get(number, Operation(op, ()))
        compute, memory = _length(line.compute), _length(line.memory)
        figures = {
            "cycles": compute + memory - _overlap(line.memory, busy),
            "compute_cycles": compute,
            "memory_cycles": memory,
            "off_chip_bytes": line.moved,
        }
        records.append(
            LayerRecord(
                f"{op}_{number}",
                op,
                operation.tensors,
                "npu",
                known(figures),
                operation.inputs,
                operation.outputs,
            )
        )
    return tuple(records)


def _merged(intervals: Iterable[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Intervals in order, those that touch as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _length(intervals: Iterable[tuple[int, int]]) -> int:
    return sum(end - start for start, end in intervals)


def _overlap(intervals: Iterable[tuple[int, int]], busy: Sequence[tuple[int, int]]) -> int:
    """How many cycles of the intervals lie in the busy ones, which are in order and apart."""
    common = 0
    for start, end in intervals:
        at = max(0, bisect_right(busy, (start,)) - 1)
        while at < len(busy) and busy[at][0] < end:
            common += max(0, min(end, busy[at][1]) - max(start, busy[at][0]))
            at += 1
    return common


def _meaning(given: Given, path: Path) -> Mapping[int, Operation]:
    """What each line of the final MLIR is, from it or from ``tensor_location.json``."""
    if path.suffix == ".json":
        return _located(given, path)
    texts = given.lines(path)
    named = {match["key"]: match["value"] for text in texts if (match := LOCATION.match(text))}
    if not named:
        refuse(path, 'expected the final MLIR of tpu-mlir, with lines such as #loc1 = loc("image")')
    operations = {at: found for at, text in enumerate(texts, 1) if (found := _operation(text, named))}
    return {**operations, **dict(_copies(texts, operations))}


def _copies(texts: Sequence[str], operations: Mapping[int, Operation]) -> Iterator[tuple[int, Operation]]:
    """What brings a copy of a constant that several operations have, named after the one that reads it.

    Each reader has a copy of its own, ``load_val_6_0`` and so on, which no tensor of the model is called.
    """
    copies: dict[str, int] = {}
    for at, operation in operations.items():
        match = VALUES.search(texts[at - 1])
        if match is None:
            continue
        for value in re.findall(r"%\d+", match["read"]) if operation.op not in MOVES else ():
            if (line := copies.pop(value, None)) is not None:
                yield line, replace(operations[line], tensors=operation.tensors)
        copies.pop(match["made"], None)
        if operation.op == "Load" and all(map(COPY.fullmatch, operation.tensors)):
            copies[match["made"]] = at


def _operation(text: str, named: Mapping[str, str]) -> Operation | None:
    """What ``%4 = "tpu.Conv2D"(..) {..} : (tensor<..>) -> tensor<..> loc(#loc4)`` makes; None of others."""
    head, arrow, result = text.rpartition(" -> ")
    if not arrow or "loc(" not in result:
        return None
    types, _, location = result.rpartition("loc(")
    arguments = head.rpartition(" : (")[2]
    op = OPERATION.search(head)
    names = tuple(_names(location.rstrip(") \n"), named))
    return Operation(op[1] if op else "", names, _shapes(arguments), _shapes(types))


def _names(location: str, named: Mapping[str, str], depth: int = 0) -> Iterator[str]:
    """The names in a location: ``"a"``, ``#loc3``, or several that are fused."""
    if depth > MOST_FUSED:
        return
    for text, reference in re.findall(r'"([^"]*)"|#(loc\d*)', location):
        if text:
            yield text
        elif reference in named:
            yield from _names(named[reference], named, depth + 1)


def _shapes(types: str) -> tuple[tuple[int, ...], ...]:
    found = re.findall(r"tensor<((?:\d+x)+)", types)
    return tuple(tuple(map(int, shape.strip("x").split("x"))) for shape in found)


def _located(given: Given, path: Path) -> Mapping[int, Operation]:
    """What ``tensor_location.json`` says of each line; a slice of an operation is a command of its own."""
    found: dict[int, Operation] = {}
    for at, each in enumerate(listed(given.json(path), str(path), "commands")):
        where = f"{path}: command {at}"
        command = entry(each, where, "file-line", "opcode", "operands", "results")
        inputs, outputs = (
            [one for one in listed(command[side], where, side) if isinstance(one, dict)]
            for side in ("operands", "results")
        )
        found[whole(command["file-line"], f"{where}: file-line")] = Operation(
            str(command["opcode"]).rpartition(".")[2],
            tuple(str(one["name"]) for one in outputs if one.get("name")),
            *(_shapes(" ".join(str(one.get("type")) for one in side)) for side in (inputs, outputs)),
        )
    return found


READERS = (
    Reader(TOOL, "tpu-mlir's compiler_profile_0.txt, with the *_final.mlir beside it", _recognizes, _read),
)
