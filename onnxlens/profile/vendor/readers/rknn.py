"""The log of rknn-toolkit2: its table of layers (``verbose=True``), and that of ``accuracy_analysis``.

Source: logs of rknn-toolkit2 2.5.0 for the RK3588, and tables that toolkits 1.5 to 2.3 printed of boards, in
public repositories. The table's columns are those that its head names, so that the ``eval_perf`` table of a
board, which has times, is read too. Up to 1.5 it has cycles in three columns, cells with blanks in them or
empty, and ends without a rule. Cycles are the compiler's estimate: the
larger of memory's and the NPU's. Layers that it does not model have 0/0/0. ``RW(KB)`` is what a layer reads,
weights included, in units of 1024 bytes, and not what it writes: a Conv of 1,64,64,64 to 1,128,64,64 in
float16 has 512 of input and 144 of weights, and 656 there, while its cycles of memory are those of 1,680.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import (
    cosine_distance,
    known,
    number,
    refuse,
    seconds,
    shape_of,
    shown,
    whole,
)
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "rknn"

PREFIX = re.compile(r"[A-Z] RKNN: \[[\d:.]+\] ?")

HEAD = re.compile(r"\s*ID\s+OpType\s.*\bFullName\s*\Z")
"""The head of the table of layers; that of memory has no names, and is another."""

COLUMN = re.compile(r"(?:DDR|NPU|Total) Cycles|(?:Task|Lut) Number|(?:Task|Regcmd) Size|\S+")

END = re.compile(r"\Z|---|===|Total ")
"""What ends the table: a rule, or in older ones an empty line or the total."""

CYCLES = "Cycles(DDR/NPU/Total)"

MARK = "ID   OpType  "
"""How the head begins, of a table without its log."""

VERSION = re.compile(r"rknn-toolkit2? version: (\S+)|librknnc version: (\S+)")

ACCURACY = re.compile(r"\s*\[(?P<type>\w+)\] (?P<tensor>\S+)(?:\s+(?P<cosine>\S+) (?:\| | ?)\S+)?")
"""A layer of the accuracy analysis, with the cosine of all error up to it; none where it is fused."""


def _recognizes(given: Given) -> bool:
    return not given.path.is_dir() and any(
        mark in given.head()
        for mark in ("rknn-toolkit", "RKNN:", "simulator_error", "Network Layer Information Table", MARK)
    )


def _read(given: Given) -> LayerReport:
    path = given.one_named(r"\.(txt|log)", "a log of rknn-toolkit2")
    lines = [PREFIX.sub("", line) for line in given.lines(path)]
    heads = [at for at, line in enumerate(lines) if HEAD.match(line)]
    records = [_layer(*row) for row in _rows(lines, heads[-1], str(path))] if heads else []
    records += _accuracies(lines, str(path))
    if not records:
        refuse(
            path, "it has no table of layers", "build with RKNN(verbose=True), or give an accuracy analysis"
        )
    version = VERSION.search(given.text(path))
    return LayerReport(
        TOOL,
        tuple(records),
        version=(version[1] or version[2]) if version else "",
        notes=("cycles are the compiler's estimate; layers without any are not modelled",) if heads else (),
    )


def _rows(lines: Sequence[str], head: int, path: str) -> Iterator[tuple[Mapping[str, str], str]]:
    """The rows of the table whose head is at a line, up to its end."""
    starts = {match.start(): match[0] for match in COLUMN.finditer(lines[head])}
    last = max(at for at, line in enumerate(lines) if line.strip())
    for at in range(head + 1, last + 1):
        line = lines[at].rstrip()
        if END.match(line.strip()):
            if at > head + 1:
                return
            continue
        cells = _cells(line, starts)
        where = f"{path}, line {at + 1}"
        if not cells.get("ID", "").isdigit() or "OpType" not in cells:
            refuse(where, f"expected a layer or the rule that ends the table, found {shown(line.strip())}")
        yield cells, where
    refuse(f"{path}, line {len(lines)}", "the table of layers has no end", "is the log whole?")


def _cells(line: str, starts: Mapping[int, str]) -> Mapping[str, str]:
    """The cells of a line: as many as columns, else those below the columns' names; a cell may be empty."""
    words = line.split()
    if len(words) == len(starts):
        return dict(zip(starts.values(), words, strict=True))
    cells: dict[str, str] = {}
    for match in re.finditer(r"\S+", line):
        column = starts[min(starts, key=lambda start: abs(start - match.start()))]
        cells[column] = f"{cells[column]} {match[0]}" if column in cells else match[0]
    return cells


def _layer(row: Mapping[str, str], where: str) -> LayerRecord:
    three = "/".join(row.get(f"{each} Cycles", "0") for each in ("DDR", "NPU", "Total"))
    cycles = row.get(CYCLES, three).split("/")
    if len(cycles) != 3:
        refuse(where, f"expected cycles as DDR/NPU/Total, found {shown('/'.join(cycles))}")
    memory, compute, total = (whole(each, f"{where}, cycles") for each in cycles)
    time = row.get("Time(us)")
    figures = known(
        {
            "cycles": total,
            "compute_cycles": compute,
            "memory_cycles": memory,
            "time_s": seconds(time, "us", f"{where}, time") if time else None,
            "off_chip_read_bytes": int(1024 * number(row.get("RW(KB)", "0"), f"{where}, RW(KB)")),
        }
    )
    name = row.get("FullName", "").strip()
    return LayerRecord(
        name or f"{row['OpType']} {row['ID']}",
        row["OpType"],
        (name,) if name else (),
        row.get("Target", "").lower(),
        figures,
        _shapes(row.get("InputShape", "")),
        _shapes(row.get("OutputShape", "")),
    )


def _shapes(text: str) -> tuple[tuple[int, ...], ...]:
    """The shapes of a cell, of which the log shows the first few."""
    return tuple(shape_of(shape) for shape in re.findall(r"\(([\d,]+)\)", text))


def _accuracies(lines: Sequence[str], path: str) -> Iterator[LayerRecord]:
    """The layers of an accuracy analysis: the first column, where the error of all layers before adds up."""
    start = next((at for at, line in enumerate(lines) if line.lstrip().startswith("layer_name")), len(lines))
    for at in range(start + 1, len(lines)):
        match = ACCURACY.match(lines[at])
        if match is None:
            continue
        tensor, cosine = match["tensor"], match["cosine"]
        where = f"{path}, line {at + 1}"
        unknown = cosine in (None, "nan")  # of a tensor of zeros, as the log says itself
        figures = {} if unknown else {"cosine_distance": cosine_distance(cosine, where)}
        yield LayerRecord(tensor, match["type"], (tensor,), "", figures)


READERS = (
    Reader(TOOL, "the log of rknn-toolkit2 with verbose=True, or its accuracy analysis", _recognizes, _read),
)
