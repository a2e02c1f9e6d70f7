"""What tables call a module: its path, or its name within its parent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from onnxlens.reports.tables.render import first_of
from onnxlens.specs.text import around

if TYPE_CHECKING:
    from onnxlens.specs.bench import BenchReport, ModuleTime
    from onnxlens.specs.ledger import Ledger, ModuleCost

Module = TypeVar("Module", bound="ModuleCost | ModuleTime")


def module_name(modules: Iterable[Module], graph: str, *, nested: bool) -> Callable[[Module], str]:
    """What a row calls its module: the path, or where ``nested`` the name within its parent, indented.

    The model's is the graph's.
    """
    if not nested:
        return lambda module: module.path or graph
    paths = {module.path for module in modules}

    def name(module: Module) -> str:
        return "  " * module.depth + (module.path.removeprefix(f"{around(module.path, paths)}.") or graph)

    return name


def root_name(ledger: Ledger | BenchReport) -> str:
    """What the model is called where modules have paths: the graph's name, in brackets if a module has it."""
    name = ledger.graph or ledger.source
    return f"({name})" if any(module.path == name for module in ledger.modules) else name


def timed_in(paths: Sequence[str] | None, root: str, limit: int | None = None) -> str | None:
    """The modules that have the time of another."""
    return None if paths is None else first_of([path or root for path in paths], limit)
