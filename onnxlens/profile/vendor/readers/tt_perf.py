"""Tenstorrent: the table of ``tt-perf-report --csv``, and the profiler's ``ops_perf_results*.csv`` below it.

Sources: the README and tests of tt-perf-report, the profiler's files there, and what tt-perf-report 1.4.1
makes of one. The report's ``Device Time`` is in microseconds, and an operation has no name, only its code and
sizes; the profiler's columns are in nanoseconds, and have shapes as ``32[19]``, padded and logical. Signposts
are marks, not operations: what the profiler saw before the last one is left out, or before the one ahead of
it where nothing is behind the last, as with the marks ``start`` and ``stop``. Replays of a trace have a
number: they are runs, of which the mean is taken. ``(torch)`` operations ran on the host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.rows import averaged
from onnxlens.profile.vendor.readers.values import known, refuse
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "tt-perf"

REPORT = ("ID", "OP Code", "Device Time")

PROFILER = ("OP CODE", "OP TYPE", "DEVICE ID", "DEVICE KERNEL DURATION [ns]")

AXES = ("W", "Z", "Y", "X")

SIZE = re.compile(r"\d+(?:\[(\d+)\])?\Z")
"""A size, and its logical one in brackets where it is padded."""

SIGNPOST, HOST = "signpost", "torch"

TRACE, REPLAY = "METAL TRACE ID", "METAL TRACE REPLAY SESSION ID"


def _recognizes(given: Given) -> bool:
    head = given.head().split("\n", 1)[0]
    return all(f"{name}," in f"{head}," for name in REPORT) or all(name in head for name in PROFILER)


def _read(given: Given) -> LayerReport:
    path = given.one_named(r"\.csv", "a report of tt-perf-report")
    raw = "DEVICE KERNEL DURATION [ns]" in given.text(path).split("\n", 1)[0]
    rows = list(given.table(PROFILER if raw else REPORT, path))
    if not rows:
        refuse(path, "the table has no operations")
    if not raw:
        return LayerReport(TOOL, tuple(_reported(rows)))
    records, notes = _mean_of_replays(list(_profiled(rows)), str(path))
    return LayerReport(TOOL, tuple(records), notes=notes)


def _reported(rows: Sequence[Row]) -> Iterator[LayerRecord]:
    for row in rows:
        code = row["OP Code"]
        if f"({SIGNPOST})" in code:
            continue
        host = f"({HOST})" in code
        figures = known(
            {"time_s": row.seconds("Device Time", "us") if row["Device Time"] and not host else None}
        )
        op_type = row.get("Raw OP Code") or code.split(" ", 1)[0]
        yield LayerRecord(f"{row['ID']} {code}", op_type, (), "cpu" if host else "npu", figures)


def _profiled(rows: Sequence[Row]) -> Iterator[tuple[Row, LayerRecord]]:
    """The operations after the last signpost that has some behind it: before it is the warm-up."""
    marked = groupby(enumerate(rows, 1), lambda each: each[1]["OP TYPE"] == SIGNPOST)
    parts = [list(part) for is_mark, part in marked if not is_mark]
    if not parts:
        refuse(rows[-1].place, "no operation beside the signposts", "profile the operations too")
    device = next((row["DEVICE ID"] for _, row in parts[-1] if row["DEVICE ID"]), "")
    for at, row in parts[-1]:
        if row["DEVICE ID"] not in ("", device):
            refuse(
                row.place, "a second device", "give the table of tt-perf-report --csv, which merges devices"
            )
        host = HOST in row["OP CODE"] or not row["DEVICE ID"]
        time = row["DEVICE KERNEL DURATION [ns]"] and not host
        figures = known({"time_s": row.seconds("DEVICE KERNEL DURATION [ns]", "ns") if time else None})
        shapes = [_shapes(row, side) for side in ("INPUT", "OUTPUT")]
        placement = "cpu" if host else "npu"
        yield row, LayerRecord(f"{at} {row['OP CODE']}", row["OP CODE"], (), placement, figures, *shapes)


def _mean_of_replays(
    ran: Sequence[tuple[Row, LayerRecord]], path: str
) -> tuple[Sequence[LayerRecord], tuple[str, ...]]:
    """The operations, those of a trace that was replayed several times once."""
    traces: dict[tuple[str, int], dict[str, list[LayerRecord]]] = {}
    for at, (row, record) in enumerate(ran):
        trace, replay = row.get(TRACE), row.get(REPLAY)
        alone = -1 if replay else at
        traces.setdefault((trace, alone), {}).setdefault(replay, []).append(record)
    most = max(map(len, traces.values()))
    records: list[LayerRecord] = []
    for (trace, _), replays in traces.items():
        first, *others = [[record.op_type for record in replay] for replay in replays.values()]
        if any(each != first for each in others):
            refuse(path, f"the replays of trace {trace} are of different operations", "mark one by signposts")
        records += map(averaged, zip(*replays.values(), strict=True))
    return records, (f"the mean of {most} replays of a trace",) if most > 1 else ()


def _shapes(row: Row, side: str) -> tuple[tuple[int, ...], ...]:
    """The logical shapes of the inputs or outputs, each as W, Z, Y, X."""
    found = []
    for at in range(16):
        cells = [
            row.get(f"{side}_{at}_{axis}_PAD[LOGICAL]") or row.get(f"{side}_{at}_{axis}") for axis in AXES
        ]
        sizes = [match for cell in cells if (match := SIZE.match(cell))]
        if len(sizes) != len(AXES):
            break
        found.append(tuple(int(size[1] or size[0]) for size in sizes))
    return tuple(found)


READERS = (
    Reader(
        TOOL, "the table of tt-perf-report --csv, or the profiler's ops_perf_results CSV", _recognizes, _read
    ),
)
