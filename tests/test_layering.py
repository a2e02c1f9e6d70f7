"""Which folder may import which, lazy imports inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "onnxlens"

SHARED = frozenset({"errors", "specs"})
FOLDERS = frozenset({"reference_model", "export", "profile", "reports"})
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "specs": SHARED,
    "reference_model": SHARED | {"reference_model"},
    "export": SHARED | {"export"},
    "profile": SHARED | {"profile"},
    "reports": SHARED | {"reports"},
    "staging": SHARED,
    # Composing the folders takes several files; none of the folders knows them.
    "targets": SHARED | FOLDERS,
    "comparison": SHARED | FOLDERS | {"targets"},
    "measurements": SHARED,
    "benching": SHARED | FOLDERS | {"comparison"},
    "layer_comparison": SHARED | FOLDERS | {"targets", "comparison"},
    "pytorch_side": SHARED | FOLDERS | {"targets"},
    "extraction": SHARED | FOLDERS | {"targets", "comparison", "pytorch_side"},
    "network_runs": SHARED | FOLDERS | {"targets"},
    "annotation": SHARED | FOLDERS | {"targets"},
    "main_job": SHARED | FOLDERS | {"staging", "targets", "comparison"},
    "api": SHARED
    | FOLDERS
    | {"staging", "targets", "comparison", "layer_comparison", "measurements", "network_runs", "annotation"}
    | {"main_job", "benching", "extraction", "api"},
    # It is made by the API, and called by scripts/ alone.
    "reference_report": SHARED | FOLDERS | {"api", "targets"},
    # The command line prints what reports make of results; all else goes through the API.
    "cli": SHARED | {"api", "targets", "cli", "reports"},
    "__init__": SHARED | {"api", "targets"},
}

FORBIDDEN_OUTSIDE: Mapping[str, frozenset[str]] = {
    "reports": frozenset({"torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript"}),
    "errors": frozenset({"torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript"}),
    "reference_model": frozenset({"onnx", "onnx_ir", "onnxruntime", "onnxscript"}),
    "export": frozenset({"onnxruntime"}),
    "cli": frozenset({"torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript"}),
}


def part_of(path: Path) -> str:
    """The folder or top-level module of the package that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """The full name of everything that is imported anywhere in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_folder_may(path: Path) -> None:
    part = part_of(path)
    for name in imported(ast.parse(path.read_text())):
        package, *inside = name.split(".")
        if package == "onnxlens":
            # `from onnxlens import api` and `from onnxlens import __version__` name a part or a constant.
            target = inside[0] if inside else "__init__"
            if target != "__version__":
                assert target in MAY_IMPORT[part], f"{part} imports {name}"
        else:
            assert package not in FORBIDDEN_OUTSIDE.get(part, frozenset()), f"{part} imports {name}"


def test_every_part_of_the_package_has_a_rule() -> None:
    assert {part_of(path) for path in files()} == set(MAY_IMPORT)


def test_a_forbidden_import_is_seen_inside_a_function() -> None:
    tree = ast.parse("def draw():\n    from onnxlens.profile import ledger\n    import torch.nn\n")
    assert list(imported(tree)) == ["onnxlens.profile.ledger", "torch.nn"]


def test_no_file_and_no_function_is_too_long() -> None:
    for path in files():
        text = path.read_text()
        assert text.count("\n") <= 400, f"{path.name}: split it"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                docstring = (ast.get_docstring(node) or "").count("\n") + 1
                assert (node.end_lineno or 0) - node.lineno + 1 - docstring <= 60, f"{path.name}: {node.name}"
