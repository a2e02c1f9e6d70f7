"""Which folder may import which, lazy imports inside functions included; and how large the whole may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "onnxlens"

SHARED = frozenset({"errors", "specs"})
PROFILE = frozenset(
    {
        f"profile.{room}"
        for room in ("graph", "count", "chip", "runtime", "flow", "subgraph", "parity", "vendor")
    }
)
GRAPH, COUNT = frozenset({"profile.graph"}), frozenset({"profile.graph", "profile.count"})
FOLDERS = frozenset({"reference_model", "export", "reports"}) | PROFILE
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "specs": SHARED,
    "reference_model": SHARED,
    "export": SHARED,
    "profile": frozenset(),
    "profile.graph": SHARED,
    "profile.count": SHARED | GRAPH,
    "profile.chip": SHARED | COUNT,
    "profile.runtime": SHARED | COUNT,
    "profile.flow": SHARED | COUNT,
    "profile.subgraph": SHARED | COUNT,
    "profile.parity": SHARED | PROFILE,
    "profile.vendor": SHARED | PROFILE - {"profile.parity"},
    "reports": SHARED,
    "api": SHARED | FOLDERS,
    "pipeline": SHARED | FOLDERS | {"api"},
    # The command line prints what reports make of results; all else goes through the package's own names.
    "cli": SHARED | {"__init__", "api", "reports"},
    "__init__": SHARED | {"api", "pipeline", "profile.count", "profile.vendor"},
}

FORBIDDEN_OUTSIDE: Mapping[str, frozenset[str]] = {
    "reports": frozenset({"torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript"}),
    "errors": frozenset({"torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript"}),
    "reference_model": frozenset({"onnx", "onnx_ir", "onnxruntime", "onnxscript"}),
    "export": frozenset({"onnxruntime"}),
    "cli": frozenset({"torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript"}),
}

LOOSE = {"__init__.py", "__main__.py", "errors.py", "py.typed"}
"""The files that may be at the package's top level; all others are in a folder named for their purpose."""

MOST_LINES, MOST_FILES = 73_600, 490
"""The package as a whole. These numbers only go down; docs/decisions has the reason where one went up."""


def part_of(module: str) -> str:
    """The folder that a module below ``onnxlens`` belongs to; of ``profile`` the room in it."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "profile" else parts[0]


def name_of(path: Path) -> str:
    """The module's name below ``onnxlens``; the package's own is ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__"


def imported(tree: ast.AST) -> Iterator[str]:
    """The full name of everything that is imported anywhere in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_folder_may(path: Path) -> None:
    part = part_of(name_of(path))
    for name in imported(tree_of(path)):
        package, *inside = name.split(".")
        if package == "onnxlens":
            target = part_of(".".join(inside)) if inside else "__init__"
            assert target in MAY_IMPORT[part] | {part}, f"{part} imports {name}"
        else:
            assert package not in FORBIDDEN_OUTSIDE.get(part, frozenset()), f"{part} imports {name}"


def test_every_part_of_the_package_has_a_rule() -> None:
    assert {part_of(name_of(path)) for path in files()} == set(MAY_IMPORT)


def test_a_forbidden_import_inside_a_function_is_detected() -> None:
    tree = ast.parse("def draw():\n    from onnxlens.profile import ledger\n    import torch.nn\n")
    assert list(imported(tree)) == ["onnxlens.profile.ledger", "torch.nn"]


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first again at the end; none where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_import_cycles() -> None:
    modules = {name_of(path): tree_of(path) for path in files()}
    imports = {}
    for module, tree in modules.items():
        found = (name.removeprefix("onnxlens.") for name in imported(tree) if name.startswith("onnxlens."))
        # of `from a.b import c` it is a.b.c that is imported, where that is a module, else a.b
        homes = {name if name in modules else name.rpartition(".")[0] for name in found}
        imports[module] = homes & set(modules) - {module}
    assert circle(imports) == []


def test_an_import_cycle_is_detected() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def test_every_file_is_in_a_folder() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} <= LOOSE


def test_no_file_and_no_function_is_too_long() -> None:
    for path in files():
        text = path.read_text()
        assert text.count("\n") <= 400, f"{path.name}: split it"
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef):
                docstring = (ast.get_docstring(node) or "").count("\n") + 1
                assert (node.end_lineno or 0) - node.lineno + 1 - docstring <= 60, f"{path.name}: {node.name}"


def test_the_package_does_not_grow() -> None:
    texts = [path.read_text() for path in files()]
    assert sum(text.count("\n") for text in texts) <= MOST_LINES
    assert len(texts) <= MOST_FILES


def test_no_two_test_files_have_one_name() -> None:
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert len(names) == len(set(names))  # pytest takes the second for the first, and reads neither
