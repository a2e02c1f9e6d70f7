r"""Record the table of layers that rknn-toolkit2 prints for a convolution, for five Rockchip chips.

Run by hand in a virtual environment of its own (Python 3.11):

    pip install --no-deps rknn-toolkit2==2.5.0
    pip install numpy==1.26.4 onnx==1.16.1 onnxruntime==1.18.1 protobuf==4.25.4 "setuptools<80" \
        torch==2.13.0 psutil ruamel.yaml scipy tqdm opencv-python-headless fast-histogram
    python scripts/vendor_records/record_rknn.py tests/data/vendor/rknn-toolkit2-2.5.0.csv

A row of other logs (the networks) is appended by naming them: ``... out.csv rk3588 NETWORK.txt``.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

CHIPS = ("rk3588", "rk3576", "rk3566", "rk3562", "rv1106")
LAYERS = (  # input channels, output channels, kernel, side, groups, dilation, stride
    (64, 64, 3, 16, 1, 1, 1), (3, 64, 3, 16, 1, 1, 1), (64, 64, 1, 16, 1, 1, 1), (64, 64, 3, 17, 1, 1, 1),
    (64, 64, 3, 16, 1, 1, 2), (512, 1, 1, 8, 1, 1, 1), (16, 32, 5, 12, 1, 1, 1), (38, 38, 3, 20, 1, 1, 1),
    (9, 4, 1, 10, 1, 1, 1), (33, 65, 3, 15, 1, 1, 1), (512, 1000, 1, 1, 1, 1, 1), (3, 64, 7, 32, 1, 1, 2),
    (64, 64, 3, 16, 64, 1, 1), (96, 96, 3, 16, 96, 1, 1), (256, 256, 5, 9, 256, 1, 1),
    (64, 64, 3, 16, 4, 1, 1), (64, 64, 3, 16, 1, 2, 1), (128, 256, 1, 14, 1, 1, 1),
)  # fmt: skip
ROW = re.compile(r"\d+ +(Conv\w*) +(\w+) +NPU +(.*?) +(\(\S+\)) +(\d+)/(\d+)/(\d+) +(?:\d+% +)?\d+ +(.*)")
FIELDS = ("chip", "dtype", "operator", "input", "weights", "output", "npu_cycles", "name")


def rows(chip: str, log: str) -> Iterator[tuple[str, ...]]:
    """The convolutions of one table."""
    for line in log.splitlines():
        if (found := ROW.search(line)) is not None:
            operator, kind, inputs, output, _, npu, _, name = found.groups()
            shapes = re.findall(r"\(([\d,]+)\)", inputs)
            given = (each.replace(",", "x") for each in (shapes[0], shapes[1], output.strip("()")))
            yield chip, kind, operator, *given, npu, name.strip()


def build(chip: str, kind: str) -> str:
    """The log of all builds, in a process of its own."""
    command = [sys.executable, __file__, "--build", chip, kind]
    found = subprocess.run(command, capture_output=True, text=True, errors="replace")
    return found.stdout + found.stderr


def run(chip: str, kind: str, layer: tuple[int, ...]) -> None:
    """Build one convolution."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from rknn.api import RKNN

    inner, outer, kernel, side, groups, dilation, stride = layer
    pad = dilation * (kernel // 2)
    out = (side + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    random = np.random.default_rng(0)
    weight = random.standard_normal((outer, inner // groups, kernel, kernel)).astype(np.float32)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], "layer", pads=[pad] * 4, group=groups, dilations=[dilation] * 2,
        strides=[stride] * 2, kernel_shape=[kernel] * 2,
    )  # fmt: skip
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, inner, side, side])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outer, out, out])
    graph = helper.make_graph([node], "layer", [given], [made], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, f"{folder}/layer.onnx")
        np.save(f"{folder}/x.npy", random.standard_normal((1, inner, side, side)).astype(np.float32))
        Path(f"{folder}/data.txt").write_text(f"{folder}/x.npy\n")
        tool = RKNN(verbose=True)
        tool.config(target_platform=chip, mean_values=[[0] * inner], std_values=[[1] * inner])
        tool.load_onnx(f"{folder}/layer.onnx")
        tool.build(do_quantization=kind == "int8", dataset=f"{folder}/data.txt")


def main() -> None:
    """Write the CSV, or append the table of a log."""
    if sys.argv[1] == "--build":
        for layer in LAYERS:
            run(*sys.argv[2:4], layer)
        return
    path, *logs = sys.argv[1:]
    with Path(path).open("a" if logs else "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if logs:
            seen = {row[:-1] for row in rows(logs[0], Path(logs[1]).read_text())}
            writer.writerows((*row, Path(logs[1]).stem) for row in sorted(seen))
            return
        writer.writerow(FIELDS)
        for chip in CHIPS:
            for kind in ("int8", "float16") if chip != "rv1106" else ("int8",):
                writer.writerows(rows(chip, build(chip, kind)))
                file.flush()


if __name__ == "__main__":
    main()
