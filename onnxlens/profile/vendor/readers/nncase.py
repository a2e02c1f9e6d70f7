"""The dump folder of nncase for the K230: ``mac.csv``, ``Tile*.csv``, ``quant_error.csv``, and its program.

Source: files that nncase 2.11.0 with nncase-kpu 2.11.0 wrote. A row of ``mac.csv`` is a group of operators
that run tile by tile; ``Time`` is always 0.0, which is no time; ``OffChipMemTraffic`` is without the weights,
which are ``OffChipMemLWTraffic``. ``Mac`` leaves out the batch of a convolution, which is what rows become
where a matrix product is run as one, and all of a product of two activations; ``FLOPs`` has both, and counts
the channels too that fill a kernel up. The group's ``Tile*.csv`` lists its kernels in order, each with its
name, the head of its sizes, and the sizes: B, OC, IC, OH, OW, KH, KW of a convolution, both operands' shapes
of a matrix product, else the shape of its output. A row of ``quant_error.csv`` is a tensor of the ONNX file;
what it calls ``cosine_error`` is the cosine, 1 without error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.nncase_program import read_program
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import cosine_distance, known, refuse, shape_of, shown
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "k230"

GROUPS = ("Name", "Mac", "FLOPs", "OnChipMemTraffic", "OffChipMemTraffic", "OffChipMemLWTraffic")

TENSORS = ("name", "cosine_error")

PROGRAM = "final_main.dot"
"""Beside the table of groups."""

CONVOLUTION, PRODUCT = "B,OC,IC,OH,OW,KH,KW", ",,N,K,,,K,M"

DEPTHWISE = "GNNEPdp0DW"
"""Its sizes have one output channel in the place of all, and its input ones filled up: no output is known."""

Shape = tuple[int, ...]

NOTES = (
    "nncase tells no time: it prints 0.0 for every group",
    "nncase's FLOPs are multiply-adds, those of the channels that fill a kernel up included",
)


def _recognizes(given: Given) -> bool:
    if given.path.is_dir():
        return any(re.search(r"(?:mac|quant_error)\.csv\Z", path.name) for path in _files(given))
    head = given.head().split("\n", 1)[0]
    return "OffChipMemLWTraffic" in head or "cosine_error" in head


def _files(given: Given) -> tuple[Path, ...]:
    """The files given; nncase puts its tables into the folder of a pass's step, ``7_../10_../mac.csv``.

    ``compile --keep`` gathers them in ``report/``.
    """
    if not given.path.is_dir():
        return given.files
    below = (f"{folders}/{name}.csv" for folders in ("*", "*/*") for name in ("mac", "quant_error"))
    return (*given.files, *(path for pattern in below for path in sorted(given.path.glob(pattern))))


def _read(given: Given) -> LayerReport:
    """Groups of operators and tensors, whichever of them there are, and the program of the groups."""
    heads = {path: given.head(path).split("\n", 1)[0] for path in _files(given)}
    records: list[LayerRecord] = []
    if table := _only(given, heads, "OffChipMemLWTraffic"):
        tiles = {each.stem: each for each in _tiles(table)} if given.path.is_dir() else {}
        records += (_group(row, tiles, given) for row in given.table(GROUPS, table))
    groups = len(records)
    if errors := _only(given, heads, "cosine_error"):
        records += (_tensor(row) for row in given.table(TENSORS, errors))
    if not records and given.path.is_file():
        next(given.table(GROUPS), None)  # says which column it lacks
    report = LayerReport(TOOL, tuple(records), notes=NOTES, program=() if errors else None)
    if table and given.path.is_dir() and (dot := table.with_name(PROGRAM)).is_file():
        return _with_program(report, given.text(dot), groups)
    return report


def _with_program(report: LayerReport, text: str, groups: int) -> LayerReport:
    program, on_cpu = read_program(text, groups, len(report.records))
    note = f"{PROGRAM} is not of the {groups} groups of mac.csv: they are led back without it"
    notes = report.notes if program else (*report.notes, note)
    return replace(report, records=(*report.records, *on_cpu), notes=notes, program=program)


def _only(given: Given, heads: Mapping[Path, str], column: str) -> Path | None:
    """The file that has the column; a folder holds the dump of one model."""
    found = [path for path, head in heads.items() if column in head]
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(given.path)) for path in found[:3])
        refuse(
            given.path,
            f"several files of it have the column {column} ({names})",
            "give the dump of one model",
        )
    return found[0] if found else None


def _tiles(groups: Path) -> Iterator[Path]:
    """The Tile*.csv files beside the table of groups, and in a folder beside it. That of a Split is empty."""
    found = (*sorted(groups.parent.glob("Tile*.csv")), *sorted(groups.parent.glob("*/Tile*.csv")))
    yield from (path for path in found if path.stat().st_size)


@dataclass(frozen=True, slots=True)
class _Kernel:
    """One of a group's: the shapes of its weight and output, its batch, and the MACs that the group lacks."""

    name: str
    weight: Shape
    output: Shape
    batch: int = 0
    product_macs: int = 0


def _group(row: Row, tiles: Mapping[str, Path], given: Given) -> LayerRecord:
    name = row["Name"]
    kernels = list(_kernels(given, tiles[name])) if name in tiles else []
    macs = _macs(row.whole("Mac"), row.whole("FLOPs"), kernels)
    figures = {
        **({} if macs is None else {"macs": macs}),
        "flops": row.whole("FLOPs"),
        "on_chip_bytes": row.whole("OnChipMemTraffic"),
        "off_chip_bytes": row.whole("OffChipMemTraffic") + row.whole("OffChipMemLWTraffic"),
        "weight_bytes": row.whole("OffChipMemLWTraffic"),
    }
    outputs = tuple(kernel.output for kernel in kernels)
    return LayerRecord(
        name,
        " + ".join(kernel.name for kernel in kernels),
        placement="npu",
        figures=known(figures),
        inputs=tuple(kernel.weight for kernel in kernels if kernel.weight),
        outputs=() if any(kernel.name == DEPTHWISE for kernel in kernels) else outputs,
    )


def _macs(listed: int, flops: int, kernels: Sequence[_Kernel]) -> int | None:
    """All MACs of a group; None where its kernels are needed to tell, or have several batches."""
    if not kernels:
        return listed if flops < 2 * listed or not flops else None
    batches = {kernel.batch for kernel in kernels if kernel.batch}
    if len(batches) > 1:
        return None
    return listed * max(batches, default=1) + sum(kernel.product_macs for kernel in kernels)


def _kernels(given: Given, path: Path) -> Iterator[_Kernel]:
    lines = [line.strip() for line in given.lines(path) if line.strip()]
    if len(lines) % 3:
        refuse(f"{path}, line {len(lines)}", "expected a kernel's name, the head of its sizes, and its sizes")
    for at in range(0, len(lines), 3):
        kernel, head, sizes = lines[at], lines[at + 1].replace(" ", ""), lines[at + 2]
        shape, place = shape_of(sizes), f"{path}, line {at + 3}"
        if head == CONVOLUTION:
            if len(shape) != 7:
                refuse(place, f"expected the sizes {CONVOLUTION}, found {shown(sizes)}")
            batch, out, into, height, width, *taps = shape
            yield _Kernel(kernel, (out, into, *taps), (batch, out, height, width), batch)
        elif head == PRODUCT:
            if len(shape) != 8:
                refuse(place, f"expected the sizes {PRODUCT}, found {shown(sizes)}")
            output = (*shape[:3], shape[-1])
            yield _Kernel(kernel, (), output, product_macs=prod(output) * shape[3])
        else:
            yield _Kernel(kernel, (), shape)


def _tensor(row: Row) -> LayerRecord:
    cosine = row["cosine_error"]
    if cosine == "NaN":  # of a tensor of zeros
        return LayerRecord(row["name"], "", (row["name"],))
    distance = cosine_distance(cosine, f"{row.place}, column 'cosine_error'")
    return LayerRecord(row["name"], "", (row["name"],), "", {"cosine_distance": distance})


READERS = (Reader(TOOL, "nncase's dump folder, its mac.csv or its quant_error.csv", _recognizes, _read),)
