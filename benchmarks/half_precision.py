"""The tables of docs/half-precision.md: graphs in float32, float16 and bfloat16 on the processor.

Run by hand: ``python benchmarks/half_precision.py --graphs hed,clip-text``. Errors are the largest relative
L2 error of an output. Each type runs on its own rounded weights: "from float32" holds it to PyTorch in
float32 on those, as ``check --dtype`` does, "from PyTorch's own" to PyTorch in the same type. Latencies are
ratios to float32: the two run in turn, so that what else the machine does slows both. The UNet needs 6 GB of
disk and 16 GB of memory.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from onnxlens import OpenedTarget, Settings, export_graph, profile_graph
from onnxlens.api.check import pytorch_outputs
from onnxlens.errors import GraphError
from onnxlens.profile.parity.parity import compare, run_module
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.runtime.session import open_session, run
from onnxlens.reference_model import catalog
from onnxlens.reports.numbers import short_bytes
from onnxlens.specs.manifest import open_export
from onnxlens.specs.tensor import DTYPES

TOO_LARGE = "control-ldm"
"""ControlNet and UNet once more, as one graph."""

ENOUGH_S = 20.0
"""No pair is begun after so long: PyTorch's float16 is slow on most processors."""

HEAD = (
    "graph",
    "type",
    "weights",
    "live",
    "latency, ONNX Runtime",
    "from float32",
    "from PyTorch's own",
    "latency, PyTorch",
    "PyTorch's own, from float32",
)
Arrays = Mapping[str, np.ndarray]
Call = Callable[[], Arrays]


@dataclass(frozen=True)
class Variant:
    """One graph, exported in one type."""

    path: Path

    @cached_property
    def inputs(self) -> Arrays:
        """The same values in every type, up to rounding."""
        manifest = open_export(self.path).manifest
        return sample_inputs(manifest.inputs, manifest.input_ranges)

    @cached_property
    def bytes(self) -> tuple[int, int]:
        """Of the weights, and the peak activation memory."""
        totals = profile_graph(self.path).totals
        return totals.resident_weight_bytes, totals.peak_live_bytes

    def exact(self) -> Arrays:
        """PyTorch's outputs in float32 on the same weights."""
        return pytorch_outputs(OpenedTarget(self.path), self.inputs)

    def in_pytorch(self) -> Call:
        """A call of the module in the type itself."""
        opened = OpenedTarget(self.path)
        names = [tensor.name for tensor in opened.runnable.manifest.outputs]
        module = opened.take_module()
        return lambda: run_module(module, self.inputs, names)

    def in_onnxruntime(self) -> Call:
        """A call of the file in ONNX Runtime.

        Raises:
            GraphError: ONNX Runtime has no kernel for it.
        """
        session = open_session(self.path)
        return lambda: run(session, self.inputs)


def rows(name: str, settings: Settings, dtypes: Iterable[str], turns: int) -> Iterator[str]:
    """One graph's rows; each type is exported, measured against float32, and deleted."""
    with tempfile.TemporaryDirectory() as folder:
        plain = exported(name, settings, "float32", folder)
        for dtype in dtypes:
            with tempfile.TemporaryDirectory() as apart:
                variant = plain if dtype == "float32" else exported(name, settings, dtype, apart)
                yield row(name, dtype, variant, plain, turns)


def exported(name: str, settings: Settings, dtype: str, folder: str) -> Variant:
    """The graph with seeded weights in one type."""
    chosen = Settings("seeded", settings.opset, None, settings.height, settings.width, dtype)
    return Variant(export_graph(name, folder, chosen).onnx_path)


def row(name: str, dtype: str, variant: Variant, plain: Variant, turns: int) -> str:
    """The costs and errors of one type."""
    exact = variant.exact()
    own, torch_ratio = outputs_and_ratio(variant.in_pytorch, plain.in_pytorch, variant is plain, turns)
    try:
        got, ratio = outputs_and_ratio(variant.in_onnxruntime, plain.in_onnxruntime, variant is plain, turns)
        errors = (error(got, exact), error(got, own))
    except GraphError as refused:
        ratio, errors = str(refused).partition(" in bfloat16")[0].rpartition(" has ")[2], ("-", "-")
    apart = "-" if dtype == "float32" else error(own, exact)
    return line([name, dtype, *map(short_bytes, variant.bytes), ratio, *errors, torch_ratio, apart])


def outputs_and_ratio(
    make: Callable[[], Call], make_plain: Callable[[], Call], same: bool, turns: int
) -> tuple[Arrays, str]:
    """A call's outputs, and how much longer it takes than in float32: the median over interleaved pairs."""
    call = make()
    outputs = call()
    if same:
        return outputs, "1"
    plain = make_plain()
    plain()
    ratios: list[float] = []
    started = perf_counter()
    while len(ratios) < turns and (not ratios or perf_counter() - started < ENOUGH_S):
        ratios.append(pair(call, plain, len(ratios) % 2 == 1))
    return outputs, f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, of {len(ratios)})"


def pair(call: Call, plain: Call, swapped: bool) -> float:
    """The time of one call over that of the other; the order alternates from pair to pair."""
    seconds = {}
    for timed in (plain, call) if swapped else (call, plain):
        start = perf_counter()
        timed()
        seconds[timed] = perf_counter() - start
    return seconds[call] / seconds[plain]


def error(values: Arrays, references: Arrays) -> str:
    """The largest relative L2 error of an output."""
    return f"{max(result.rel_l2 for result in compare(values, references)):.1e}"


def line(cells: Iterable[str]) -> str:
    """A row in Markdown."""
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table, row by row as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    every = ",".join(name for name in catalog.names() if name != TOO_LARGE)
    parser.add_argument("--graphs", default=every, help="names of the catalog, with commas between")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--side", type=int, default=128, help="height and width of the image")
    parser.add_argument("--opset", type=int, default=22, help="of every type, so that they are one graph")
    parser.add_argument("--turns", type=int, default=7, help="pairs that are timed")
    chosen = parser.parse_args()
    print(line(HEAD), line(["---"] * len(HEAD)), sep="\n", flush=True)
    settings = Settings(opset=chosen.opset, height=chosen.side, width=chosen.side)
    for name in chosen.graphs.split(","):
        for found in rows(name, settings, chosen.dtypes.split(","), chosen.turns):
            print(found, flush=True)
    print(f"\nload average at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
