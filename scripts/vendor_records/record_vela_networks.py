"""Join Vela's per-layer tables of int8 HED and MLSD with the shapes of the graphs, in one CSV.

The tables are of the catalog's graphs at 128 x 128, converted by litert-torch 0.10.0, quantized by
ai-edge-quantizer 0.10.0, compiled by ethos-u-vela 5.2.0 in its default modes. A row is matched by its MACs,
the kind of layer, whether it is in the backbone, and the order among those that are alike. Run by hand on a
folder with ``GRAPH-CONFIG-per-layer.csv`` of each:

    python scripts/vendor_records/record_vela_networks.py FOLDER > tests/data/vendor/vela-5.2.0-networks.csv
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

from onnxlens.api.opened import opened
from onnxlens.api.target import Settings
from onnxlens.profile.chip.matrix_work import matrix_work
from onnxlens.specs.array_fit import MatrixWork

FIELDS = (
    "graph", "config", "layer", "kind", "times", "groups", "inner", "outer", "height", "width", "kernel",
    "stride", "dilation", "npu_cycles",
)  # fmt: skip
MATRIX = ("Conv2D", "DepthwiseConv2D", "FullyConnected")
Key = tuple[int, bool, bool, int]


def layers(graph: str) -> Iterator[tuple[Key, str, MatrixWork]]:
    """The convolutions; Vela counts a dilated kernel with the zeros between its taps."""
    with opened(graph, Settings(height=128, width=128)) as target:
        for index, node in enumerate(target.graph.nodes):
            for work in () if node.constant_folded else matrix_work(node.view):
                sides = zip(work.kernel, work.dilation, strict=True)
                filled = work.macs // work.taps * prod((size - 1) * step + 1 for size, step in sides)
                inside = "backbone" in node.module.path
                yield (filled, work.layer == "depthwise", inside, index), node.view.name, work


def table(path: Path) -> Iterator[tuple[Key, str]]:
    """The rows with MACs and their NPU cycles."""
    with path.open(newline="") as file:
        for index, row in enumerate(csv.DictReader(file)):
            if row["NNG Operator"] in MATRIX:
                is_depthwise, name = row["NNG Operator"] == "DepthwiseConv2D", row["Name"]
                inside = "backbone" in name and "JoinBlock" not in name  # a name may hold two modules
                yield (int(row["MAC Count"]), is_depthwise, inside, index), row["NPU"]


def text(sizes: Sequence[int]) -> str:
    """Sizes as HxW."""
    return "x".join(map(str, sizes))


def main() -> None:
    """Print the CSV."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(FIELDS)
    for graph in ("hed", "mlsd-tiny"):
        found = sorted(layers(graph), key=lambda each: each[0])
        for path in sorted(Path(sys.argv[1]).glob(f"{graph}-*-per-layer.csv")):
            config = path.name.removeprefix(f"{graph}-").removesuffix("-per-layer.csv")
            rows = sorted(table(path))
            if [key[:3] for key, _ in rows] != [key[:3] for key, _, _ in found]:
                raise SystemExit(f"{path}: other layers than {graph} has")
            pairs = zip(found, rows, strict=True)
            for (_, name, work), (_, cycles) in sorted(pairs, key=lambda pair: pair[0][0][3]):
                channels = (work.times, work.groups, work.input_channels, work.output_channels)
                windows = map(text, (work.kernel, work.stride, work.dilation))
                sizes = (*channels, work.height, work.width, *windows)
                writer.writerow((graph, config, name, work.layer, *sizes, cycles))


if __name__ == "__main__":
    main()
