"""Which compilers there are, where each is installed, and what it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.compilers.child import clean_environment
from onnxlens.specs.layers import LayerReport
from onnxlens.specs.progress import Progress

if TYPE_CHECKING:
    import numpy as np

    from onnxlens.profile.graph.graph import Graph

COMPILERS: Mapping[str, str] = MappingProxyType(
    {
        "ethos-u": "ethos_u",
        "k230": "k230",
        "openvino": "openvino",
        "rknn": "rknn",
        "tpu-mlir": "tpu_mlir",
        "qnn": "qnn",
        "scalesim": "scalesim",
        "zigzag": "zigzag",
    }
)
"""By name the module of this folder that has it, as ``COMPILER``; loaded when it is asked for."""

VARIABLE = "ONNXLENS_TOOL_"
"""How the names begin of the variables that say which Python has a tool: ONNXLENS_TOOL_ETHOS_U."""

ASKED_S = 30
"""How long another Python may take to say what it has."""

VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An environment that has a tool, or what is missing.

    Attributes:
        python: of the environment; None if the tool is not there.
        version: the tool's.
        missing: what is missing, for a user; "" if nothing is.
    """

    python: Path | None = None
    version: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class InDialect:
    """A graph as one file in the operators that a tool takes.

    Attributes:
        sources: for each node of the file, the name of the node of the graph that it is a part of; also for
            each tensor that the graph does not have.
        left: the operator of each node that the tool does not take, by its name in the file.
    """

    path: Path
    sources: Mapping[str, str]
    left: Mapping[str, str]


class Source(Protocol):
    """What a compiler may ask of the graph; each part is made when it is first asked for."""

    @property
    def graph(self) -> Graph:
        """The graph whose nodes the figures are for."""

    @property
    def inputs(self) -> Mapping[str, np.ndarray]:
        """Sample values for every input, or those that the user gives."""

    @property
    def outputs(self) -> Mapping[str, np.ndarray]:
        """What ONNX Runtime makes of them, without optimizations."""

    def one_file(self, folder: Path) -> Path:
        """The graph as one file at its sizes, with its weights inside and a name for every node.

        Raises:
            UsageError: it would be larger than a protobuf can be.
        """

    def traced(self, path: Path) -> Mapping[str, str]:
        """Write the PyTorch module with its weights as ``torch.export`` saves it.

        Returns:
            By the name of each operation the name of its node in the graph, else its module's path.

        Raises:
            UsageError: the module of the file is not known.
            ExportError: it cannot be traced.
        """

    def in_dialect(self, folder: Path, dialect: str) -> InDialect:
        """The same, written in the operators that a tool takes."""


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What a compiler is given.

    Attributes:
        chip: one of the compiler's, by default its first, with its variants; "" where it has none.
        folder: for what goes in and comes out; it is the user's if the files are to be kept.
        given: the file that is to be compiled, where the user has it.
    """

    source: Source
    chip: str
    python: Path
    folder: Path
    timeout_s: float
    progress: Progress
    given: Path | None = None

    def profiled(self) -> Run:
        """The graph as one file to run, with a profile of it."""
        source, path = self.source, self.source.one_file(self.folder)
        return Run(
            self.python, path, source.inputs, list(source.outputs), self.chip, self.timeout_s, profile=True
        )


@dataclass(frozen=True, slots=True)
class Run:
    """A model that a tool is to run as it is.

    Attributes:
        model: one file, in a folder that the tool may write into.
        inputs: at least those of the model.
        outputs: names of those that are wanted, all as arrays.
    """

    python: Path
    model: Path
    inputs: Mapping[str, np.ndarray]
    outputs: Sequence[str]
    chip: str = ""
    timeout_s: float = 1800
    profile: bool = False


@dataclass(frozen=True, slots=True)
class Compiler:
    """A compiler or a simulator of somebody else.

    Attributes:
        name: also of the reader of its reports and of its table of names.
        doc: what it says of a graph, in a line.
        install: the command that installs it.
        find: the environment that has it: of the Python that is named, else of this process.
        compile: raises ToolError, in one line, if the tool fails; nodes that it refuses are in the report.
        chips: that it compiles for, the default first; none if there is nothing to choose.
        takes: how the name of a file ends that the user may give it; "" if it takes none.
        variants: of a chip, what may stand behind it: ``CHIP@WORD+WORD``.
        run: runs a model and returns its outputs; None if the tool is no runtime.
    """

    name: str
    doc: str
    install: str
    find: Callable[[Path | None], Found]
    compile: Callable[[CompileRequest], LayerReport]
    chips: tuple[str, ...] = ()
    takes: str = ""
    variants: Callable[[str], Sequence[str]] = lambda chip: ()
    run: Callable[[Run], Mapping[str, np.ndarray]] | None = None

    def chip(self, asked: str = "") -> str:
        """The chip that is asked for.

        Raises:
            UsageError: the compiler has no such chip, or that no such variant.
        """
        name, _, words = asked.partition("@")
        if asked and name not in self.chips:
            known = f"it compiles for {', '.join(self.chips)}" if self.chips else "it has no chips to choose"
            raise UsageError(f"{self.name}: there is no chip {name!r}; {known}")
        known_words = self.variants(name) if words else ()
        for word in words.split("+") if words else ():
            if word not in known_words:
                others = f"it has {', '.join(known_words)}" if known_words else "it has none"
                raise UsageError(f"{self.name}: {name} has no variant {word!r}; {others}")
        return asked or next(iter(self.chips), "")

    def require_given(self, path: Path | None) -> None:
        """Refuse a file that it does not take.

        Raises:
            UsageError: the file is missing, or of another kind.
        """
        if path is None:
            return
        if not self.takes:
            raise UsageError(f"--given {self.name}={path}: this tool compiles what is made from the target")
        if not path.is_file() or path.suffix != self.takes:
            raise UsageError(f"--given {self.name}={path}: expected a file {self.takes}")


def compiler_of(name: str) -> Compiler:
    """The compiler of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in COMPILERS:
        raise UsageError(f"there is no compiler {name!r}; there are {', '.join(sorted(COMPILERS))}")
    found: Compiler = import_module(f"onnxlens.profile.vendor.compilers.{COMPILERS[name]}").COMPILER
    return found


def named_python(name: str, paths: Mapping[str, Path]) -> Path | None:
    """The Python that the user says has a tool: by ``paths``, or by the variable of the environment.

    A folder is a virtual environment.
    """
    path = paths.get(name)
    if path is None and (value := os.environ.get(variable_of(name))):
        path = Path(value)
    if path is None:
        return None
    return (path / "bin" / "python" if path.is_dir() else path).absolute()  # it is started elsewhere


def variable_of(name: str) -> str:
    """The variable of the environment that says which Python has a tool."""
    return VARIABLE + name.upper().replace("-", "_")


def find_packages(packages: Sequence[str], python: Path | None) -> Found:
    """Where the packages are; the first is the tool, whose version is told."""
    chosen = python or Path(sys.executable)
    versions = _versions(chosen, tuple(packages))
    if versions is None:
        return Found(missing=f"{chosen} is not a Python that runs")
    if lacking := [name for name in packages if name not in versions]:
        where = f" of {python}" if python else ""
        return Found(missing=f"the environment{where} has no {', '.join(lacking)}")
    return Found(chosen, versions[packages[0]])


@cache
def _versions(python: Path, packages: tuple[str, ...]) -> Mapping[str, str] | None:
    """The version of each package that the Python has."""
    try:
        done = subprocess.run(
            [python, "-c", VERSIONS, *packages],
            capture_output=True,
            timeout=ASKED_S,
            env=clean_environment(python),
            check=True,
        )
        found: Mapping[str, str] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return found
