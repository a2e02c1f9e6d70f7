"""What came of compiling a graph with the tools of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onnxlens.errors import UsageError
from onnxlens.specs.layers import LayerReport
from onnxlens.specs.ledger import Ledger


@dataclass(frozen=True, slots=True)
class CompileAsk:
    """Which tools compile, and how.

    Attributes:
        tools: by name, each once.
        chips: that each tool compiles for, one after another; its default where none is given.
        paths: the Python of the environment that has a tool, where this one does not.
        given: the file that a tool compiles, made from the same network elsewhere.
        timeout_s: by the clock, of each run of a tool.
        keep: a folder for what the tools were given and wrote; None to remove it.

    Raises:
        UsageError: no tool, or one twice; a chip, a path or a file of a tool that is not to run.
    """

    tools: tuple[str, ...]
    chips: Mapping[str, Sequence[str]] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)
    given: Mapping[str, Path] = field(default_factory=dict)
    timeout_s: float = 1800
    keep: Path | None = None

    def __post_init__(self) -> None:
        if not self.tools or len(set(self.tools)) < len(self.tools):
            raise UsageError("name the tools to compile with, each once; 'onnxlens compile --list' has them")
        for option, given in (("--chip", self.chips), ("--tool-path", self.paths), ("--given", self.given)):
            for name in given:
                if name not in self.tools:
                    raise UsageError(
                        f"{option} {name}=..: {name} is not among the tools: {', '.join(self.tools)}"
                    )


@dataclass(frozen=True, slots=True)
class CompilerState:
    """A tool, and whether it is there.

    Attributes:
        python: of the environment that has it; "" if it is not there.
        missing: what is missing; "" if nothing is.
        install: the command that installs it.
    """

    name: str
    doc: str
    chips: tuple[str, ...]
    version: str
    python: str
    missing: str
    install: str


@dataclass(frozen=True, slots=True)
class Compilation:
    """What came of one run of a tool.

    Attributes:
        seconds: that it took, what it was given included.
        report: what it says of the layers; None if it failed.
        failure: then why, in one line.
    """

    tool: str
    chip: str
    seconds: float
    report: LayerReport | None = None
    failure: str = ""

    @property
    def passed(self) -> bool:
        """Whether the tool takes the graph: it did not fail, and leaves not all of it to the processor."""
        return self.report is not None and any(layer.placement != "cpu" for layer in self.report.records)


@dataclass(frozen=True, slots=True)
class CompileReport:
    """What came of all.

    Attributes:
        compilations: in the order that they were asked for.
        ledger: the counted costs of the graph, with what every tool says of its nodes.
    """

    graph: str
    source: str
    weights: str
    compilations: tuple[Compilation, ...]
    ledger: Ledger

    @property
    def passed(self) -> bool:
        """Whether every tool takes the graph."""
        return all(each.passed for each in self.compilations)
