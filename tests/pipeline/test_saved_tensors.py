"""The table of what operators keep, held to PyTorch's own formulas."""

from __future__ import annotations

from pathlib import Path

import torchgen
from torchgen.packaged.autograd.load_derivatives import load_derivatives

from onnxlens.pipeline.saved_tensors import SAVES

PACKAGED = Path(torchgen.__file__).parent / "packaged"


def published() -> dict[str, set[tuple[str, str]]]:
    """What the code generator would save, with the one input whose gradient reads it, by operator."""
    infos, _ = load_derivatives(
        str(PACKAGED / "autograd" / "derivatives.yaml"),
        str(PACKAGED / "ATen" / "native" / "native_functions.yaml"),
        str(PACKAGED / "ATen" / "native" / "tags.yaml"),
    )
    found = {}
    for by_key in infos.values():
        info = by_key["Default"] if "Default" in by_key else next(iter(by_key.values()))
        results = [each.name for each in info.func.func.returns]
        saved: dict[str, list[tuple[str, ...]]] = {}
        for derivative in info.derivatives:
            for each in (*derivative.saved_inputs, *derivative.saved_outputs):
                if "Tensor" in str(each.nctype.type) and not str(each.nctype.name).endswith("_options"):
                    saved.setdefault(str(each.nctype.name), []).append(derivative.var_names)
        inputs = {name for derivative in info.derivatives for name in derivative.var_names}
        read = set()
        for name, readers in saved.items():
            alone = len(inputs) > 1 and len(readers) == 1 and len(readers[0]) == 1
            read.add((_result(name, results), readers[0][0] if alone else ""))
        found[str(info.func.func.name)] = read
    return found


def _result(name: str, results: list[str | None]) -> str:
    """``result`` and named results by their index."""
    if name in results:
        return f"result{results.index(name)}"
    return "result0" if name == "result" else name


def test_every_entry_is_what_pytorchs_formulas_read() -> None:
    formulas = published()
    checked = 0
    for operator, saved in SAVES.items():
        overloads = [
            name for name in formulas
            if name == operator or (name.partition(".")[0] == operator and name not in SAVES)
        ]  # fmt: skip
        for name in overloads:
            assert formulas[name] == {(each.name, each.when) for each in saved}, name
            checked += 1
    assert checked > 100
