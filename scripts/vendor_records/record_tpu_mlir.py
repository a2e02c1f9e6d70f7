"""Take the matrix unit's cycles out of tpu-mlir 1.30.2's traces for the BM1684X, with each layer's shape.

The traces are made in a virtual environment of Python 3.10 with ``pip install tpu_mlir==1.30.2``, F16, from
graphs of the catalog (hed and clip-text as exported, the UNet's ``input_blocks.1`` extracted):

    model_transform.py --model_name hed --model_def hed.onnx --mlir hed.mlir
    model_deploy.py --mlir hed.mlir --quantize F16 --chip bm1684x --model hed.bmodel
    PROFILE=1 model_runner.py ...       # leaves compiler_profile_0.txt beside hed_bm1684x_f16_final.mlir

Run by hand on a folder with ``NAME-bm1684x-profile.txt`` and ``NAME-bm1684x-final.mlir`` of each:

    python scripts/vendor_records/record_tpu_mlir.py FOLDER > tests/data/vendor/tpu-mlir-1.30.2.csv
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

FIELDS = (
    "graph",
    "layer",
    "instruction",
    "kind",
    "times",
    "inner",
    "outer",
    "height",
    "width",
    "kernel",
    "cycles",
)
EVENT = re.compile(r"(Conv2D|MatMul)_(\d+)\|(CONV|MM2?)\|s:\d+\|b:\d+\|g:\d+\|e:\d+\|t:(\d+)")


def shapes(line: str) -> list[tuple[int, ...]]:
    """The operand shapes of an instruction of the final MLIR, the output last."""
    found = re.findall(r"tensor<([0-9x]+)x[a-z]", line[line.rfind(" : (") :])
    return [tuple(map(int, shape.split("x"))) for shape in found]


def product(line: str) -> tuple[int, int, int, int]:
    """Equal products, inner size, columns, rows."""
    left, *_, output = shapes(line)
    if "hdim_is_batch = true" in line:
        return output[2], left[3], output[3], output[1]
    times = output[1] if len(output) == 4 else 1
    return times, left[-1], output[-1], output[-2] if len(output) > 1 else 1


def main() -> None:
    """Print the CSV."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(FIELDS)
    for profile in sorted(Path(sys.argv[1]).glob("*-bm1684x-profile.txt")):
        graph = profile.name.partition("-")[0]
        lines = profile.with_name(f"{graph}-bm1684x-final.mlir").read_text().splitlines()
        cycles: dict[tuple[int, str, str], int] = {}
        for kind, number, instruction, taken in EVENT.findall(profile.read_text()):
            key = (int(number), kind, instruction)
            cycles[key] = cycles.get(key, 0) + int(taken)
        for (number, kind, instruction), total in sorted(cycles.items()):
            line = lines[number - 1]
            if kind == "Conv2D":
                given, *_, output = shapes(line)
                kernel = re.search(r"kernel_shape = \[(\d+), (\d+)\]", line)
                sizes = (output[0], given[1], output[1], output[2], output[3], "x".join(kernel.groups()))
            else:
                times, inner, outer, rows = product(line)
                sizes = (times, inner, outer, 1, rows, "")
            writer.writerow((graph, number, instruction, kind, *sizes, total))


if __name__ == "__main__":
    main()
