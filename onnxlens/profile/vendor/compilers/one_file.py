"""Compilers that take one ONNX file, in float16 where the chip has it, or in int8 after calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnxlens.profile.vendor.compilers.child import LOG, WORKERS, run_worker
from onnxlens.profile.vendor.compilers.exchange import result_of, write_arrays
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, Found, find_packages
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerReport

INT8 = "int8"


@dataclass(frozen=True, slots=True)
class OneFileCompiler:
    """What differs between such compilers.

    Attributes:
        name: the worker's too.
        packages: that its environment needs, the tool first.
        floating: the chips that compute in float16, unless ``CHIP@int8`` is asked for.
        integer: the chips that compute in int8 alone.
    """

    name: str
    doc: str
    install: str
    packages: tuple[str, ...]
    floating: tuple[str, ...]
    integer: tuple[str, ...]

    def compiler(self) -> Compiler:
        """As the others are."""
        return Compiler(
            name=self.name,
            doc=self.doc,
            install=self.install,
            find=self._find,
            compile=self._compile,
            chips=(*self.floating, *self.integer),
            variants=self._variants,
        )

    def _find(self, python: Path | None) -> Found:
        return find_packages(self.packages, python)

    def _variants(self, chip: str) -> Sequence[str]:
        return (INT8,) if chip in self.floating else ()

    def _compile(self, request: CompileRequest) -> LayerReport:
        source, folder = request.source, request.folder
        chip, _, variant = request.chip.partition("@")
        dtype = "float16" if chip in self.floating and not variant else INT8
        names = write_arrays(folder / "inputs.npz", source.inputs)
        asked = {"model": source.one_file(folder).name, "chip": chip, "dtype": dtype, "inputs": names}
        worker = WORKERS / f"{self.name.replace('-', '_')}.py"
        outcome = run_worker(request.python, worker, asked, folder, request.timeout_s)
        result = result_of(outcome)
        if result["report"] == LOG:  # a tool may print any bytes
            outcome.log.write_text(outcome.log.read_text("utf-8", "replace"), encoding="utf-8")
        report = read_report(folder / result["report"], self.name, chip=request.chip)
        how = f"{chip}, {dtype}{', calibrated by one sample' if dtype == INT8 else ''}"
        return replace(report, version=result["version"], notes=(*report.notes, how))
