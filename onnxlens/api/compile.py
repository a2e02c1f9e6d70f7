"""Compile a graph with the tools of others, and list which of them are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from onnxlens.api.layers import led_to_nodes, with_layers, write_layers
from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, Target
from onnxlens.errors import OnnxlensError, UsageError
from onnxlens.profile.vendor.compilers.lookup import (
    COMPILERS,
    Compiler,
    CompileRequest,
    Found,
    InDialect,
    compiler_of,
    named_python,
)
from onnxlens.specs.compiled import Compilation, CompileAsk, CompileReport, CompilerState
from onnxlens.specs.layers import KEPT
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.temporary import temporary_folder

if TYPE_CHECKING:
    import numpy as np

    from onnxlens.profile.graph.graph import Graph


def list_compilers(paths: Mapping[str, Path] | None = None) -> Sequence[CompilerState]:
    """Every tool that can compile, and what it lacks here.

    Args:
        paths: by tool the Python of the environment that has it.

    Raises:
        UsageError: a path is of no tool.
    """
    for name in paths or ():
        compiler_of(name)
    return [_state(compiler_of(name), paths or {}) for name in sorted(COMPILERS)]


def _state(compiler: Compiler, paths: Mapping[str, Path]) -> CompilerState:
    found = compiler.find(named_python(compiler.name, paths))
    return CompilerState(
        name=compiler.name,
        doc=compiler.doc,
        chips=compiler.chips,
        version=found.version,
        python=str(found.python or ""),
        missing=found.missing,
        install=compiler.install,
    )


def require_compilers(ask: CompileAsk) -> None:
    """Refuse what cannot be compiled with, before anything is exported.

    Raises:
        UsageError: there is no such tool or chip, or it is not installed.
    """
    for name in ask.tools:
        _runs(compiler_of(name), ask)


def compile_graph(
    target: Target | OpenedTarget,
    ask: CompileAsk,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> CompileReport:
    """Compile a graph with one or several tools; what one cannot is in the report, and the others go on.

    Each runs in a process of its own, in limits of time and memory.

    Args:
        target: what to compile.
        ask: with which tools, and for which chips.
        settings: how it is exported, unless it is a file; the weights are seeded by default.
        progress: shows the steps.

    Raises:
        UsageError: the target or a setting cannot be used; there is no such tool or chip, or it is not
            installed.
        GraphError: the file cannot be read.
    """
    runs = [run for name in ask.tools for run in _runs(compiler_of(name), ask)]
    keep: AbstractContextManager[Path] = temporary_folder() if ask.keep is None else staged(ask.keep)
    own = nullcontext(target) if isinstance(target, OpenedTarget) else opened(target, settings, progress)
    with own as it, keep as folder:
        it.require_weights()
        source = _Source(it)
        ledger, _ = it.ledger, it.inputs  # what cannot be run is refused before any tool is
        weights = it.runnable.manifest.weights if it.graph.manifest else ""
        ledger = replace(ledger, weights=weights or ledger.weights)
        compilations = []
        for run in runs:
            done = run.done(source, folder, ask.timeout_s, it.progress)
            if done.report is not None:
                done = replace(done, report=led_to_nodes(it, done.report))
            try:
                ledger = with_layers(it, ledger, *([done.report] if done.report else []), doubted=False)
            except UsageError as error:  # nothing that it says is of a node
                done = replace(done, report=None, failure=str(error))
            if done.report and ask.keep is not None:
                write_layers(ledger, done.report.label, run.folder(folder) / KEPT)
            compilations.append(done)
        return CompileReport(
            graph=ledger.graph,
            source=ledger.source,
            weights=weights,
            compilations=tuple(compilations),
            ledger=ledger,
        )


def _runs(compiler: Compiler, ask: CompileAsk) -> Sequence[_Run]:
    """One for each chip that is asked for.

    Raises:
        UsageError: there is no such chip, or the tool is not there.
    """
    chips = [compiler.chip(chip) for chip in ask.chips.get(compiler.name) or [""]]
    found = compiler.find(named_python(compiler.name, ask.paths))
    if found.missing or found.python is None:
        raise UsageError(
            f"{compiler.name}: is not installed: {found.missing}; install it ({compiler.install}), or name "
            f"the Python that has it: --tool-path {compiler.name}=PATH"
        )
    given = ask.given.get(compiler.name)
    compiler.require_given(given)
    return [_Run(compiler, found, chip, len(chips) > 1, given) for chip in chips]


@dataclass(frozen=True, slots=True)
class _Run:
    compiler: Compiler
    found: Found
    chip: str
    is_one_of_several: bool
    given: Path | None

    def folder(self, root: Path) -> Path:
        """The tool's own, in that of all."""
        name = self.compiler.name
        return root / (f"{name}-{self.chip}" if self.is_one_of_several else name)

    def done(self, source: _Source, folder: Path, timeout_s: float, progress: Progress) -> Compilation:
        """Run the tool; what it fails at is told in the result."""
        name, start = self.compiler.name, monotonic()
        assert self.found.python is not None
        own = self.folder(folder)
        own.mkdir()
        progress(f"compiling with {name}", 0, 0)
        request = CompileRequest(
            source, self.chip, self.found.python, own.absolute(), timeout_s, progress, self.given
        )
        try:
            report = self.compiler.compile(request)
        except OnnxlensError as error:
            return Compilation(name, self.chip, monotonic() - start, failure=str(error))
        return Compilation(name, self.chip, monotonic() - start, report)


class _Source:
    """What the compilers of one call share of an opened target."""

    def __init__(self, it: OpenedTarget) -> None:
        self._it = it

    @property
    def graph(self) -> Graph:
        return self._it.graph

    @property
    def inputs(self) -> Mapping[str, np.ndarray]:
        return self._it.inputs

    @cached_property
    def outputs(self) -> Mapping[str, np.ndarray]:
        from onnxlens.profile.runtime.session import UNOPTIMIZED, run
        from onnxlens.profile.runtime.values import arrays_in

        self._it.progress("running ONNX Runtime", 0, 0)
        found = run(self._it.session("cpu", UNOPTIMIZED), self.inputs)
        return dict(pair for name, value in found.items() for pair in arrays_in(name, value))

    def one_file(self, folder: Path) -> Path:
        from onnxlens.profile.subgraph.one_file import write_one_file

        return write_one_file(self._it.runnable_path, self.graph, folder / "model.onnx")

    def traced(self, path: Path) -> Mapping[str, str]:
        from onnxlens.api.traced import write_traced

        self._it.progress("tracing the module", 0, 0)
        return write_traced(self._it, path)

    def in_dialect(self, folder: Path, dialect: str) -> InDialect:
        from onnxlens.api.file_form import Dialected
        from onnxlens.profile.subgraph.one_file import write_one_file

        change = Dialected(self.graph, dialect)
        path = write_one_file(self._it.runnable_path, self.graph, folder / "model.onnx", change=change)
        return InDialect(path, change.sources, change.unknown)
