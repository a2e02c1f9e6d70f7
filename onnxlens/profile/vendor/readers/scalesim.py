"""SCALE-Sim's reports: ``COMPUTE_REPORT.csv``, ``DETAILED_ACCESS_REPORT.csv`` and the topology that ran.

Source: ``scalesim/simulator.py`` and ``single_layer_sim.py`` of scalesim 3.0.0. Layers have numbers: their
names are in the topology file, whose lines they count. A word has one byte there (``word_size = 1``). Total
cycles are those of the array with its stalls; the ones with ``incl. prefetch`` also have the loading before.
The partial sums of every fold are written to external memory, and count as writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import known, refuse
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "scalesim"

COMPUTE = ("LayerID", "Total Cycles", "Stall Cycles")
PREFETCH = "Total Cycles (incl. prefetch)"

OPERANDS = ("IFMAP Reads", "Filter Reads", "OFMAP Writes")

ACCESS = ("LayerID", *(f"{memory} {operand}" for memory in ("SRAM", "DRAM") for operand in OPERANDS))


def _recognizes(given: Given) -> bool:
    if given.path.is_dir():
        return bool(given.all_named(r"COMPUTE_REPORT\.csv|DETAILED_ACCESS_REPORT\.csv"))
    head = given.head().split("\n", 1)[0]
    return head.startswith("LayerID") and ("Stall Cycles" in head or "SRAM IFMAP" in head)


def _read(given: Given) -> LayerReport:
    names = _names(given)
    figures: dict[int, dict[str, int | float]] = {}
    for path in given.all_named(r"\.csv"):
        head = given.head(path).split("\n", 1)[0]
        if "Total Cycles" in head:
            _add(figures, given.table(COMPUTE, path), _cycles)
        elif "SRAM IFMAP" in head:
            _add(figures, given.table(ACCESS, path), _bytes)
    if not figures and given.path.is_file():
        next(given.table(COMPUTE), None)  # says which column it lacks
    if names and max(figures, default=0) >= len(names):
        refuse(given.names, f"{len(names)} layers, but the report has layer {max(figures)}")
    notes = ("a word is one byte; partial sums of every fold go to external memory",)
    return LayerReport(
        TOOL,
        tuple(_record(layer, known(found), names) for layer, found in sorted(figures.items())),
        notes=notes if names else (*notes, "layers have numbers: the topology file has their names"),
    )


def _names(given: Given) -> Sequence[str]:
    """The names of the layers, from the topology file: its first column, below the head."""
    if given.names is None:
        return ()
    lines = [line for line in given.lines(given.names)[1:] if line.strip()]
    return [line.split(",", 1)[0].strip() for line in lines]


def _add(
    figures: dict[int, dict[str, int | float]],
    rows: Iterable[Row],
    figures_of: Callable[[Row], Mapping[str, int | float]],
) -> None:
    """Add what a table has of each layer, which stands there once."""
    seen: set[int] = set()
    for row in rows:
        layer = row.whole("LayerID")
        if layer in seen:
            refuse(row.place, f"layer {layer} stands there twice")
        seen.add(layer)
        figures.setdefault(layer, {}).update(figures_of(row))


def _cycles(row: Row) -> Mapping[str, int | float]:
    total, stalls = row.whole("Total Cycles"), row.whole("Stall Cycles")
    if stalls > total:
        refuse(row.place, f"{stalls} stalls of {total} cycles")
    return {
        "cycles": row.whole(PREFETCH) if PREFETCH in row.columns else total,
        "compute_cycles": total - stalls,
    }


def _bytes(row: Row) -> Mapping[str, int | float]:
    moved = {
        memory: sum(row.whole(f"{memory} {operand}") for operand in OPERANDS) for memory in ("SRAM", "DRAM")
    }
    return {
        "on_chip_bytes": moved["SRAM"],
        "off_chip_bytes": moved["DRAM"],
        "weight_bytes": row.whole("DRAM Filter Reads"),
    }


def _record(layer: int, figures: Mapping[str, int | float], names: Sequence[str]) -> LayerRecord:
    name = names[layer] if names else f"layer {layer}"
    return LayerRecord(name, "", (name,) if names else (), "", figures)


READERS = (
    Reader(TOOL, "SCALE-Sim's folder of reports, with its topology file for names", _recognizes, _read),
)
