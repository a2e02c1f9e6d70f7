"""Fixtures of this folder: exports without weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

import onnxlens as api
from onnxlens.specs.ledger import Ledger

LedgerOf = Callable[[str, int], Ledger]


@pytest.fixture(scope="session")
def ledger_at(tmp_path_factory: pytest.TempPathFactory) -> LedgerOf:
    """Exports a network at an opset without its weights, as a user would, and counts it; each once."""

    @cache
    def ledger(name: str, opset: int) -> Ledger:
        settings = api.Settings(weights="none", opset=opset)
        folder = tmp_path_factory.mktemp(name)
        exported = api.export_graph(f"tests.conformance.nets:{name}", folder, settings)
        return api.profile_graph(exported.onnx_path)

    return ledger
