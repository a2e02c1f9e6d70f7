"""The main job in two processes: what a graph that fails leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import onnxlens as api
from onnxlens.api import run as main_job
from onnxlens.errors import UsageError
from onnxlens.specs.summary import Job
from tests.small_catalog import names_in

TWO = ("hed", "mlsd-tiny")


def test_a_graph_that_fails_in_either_phase_leaves_no_folder_and_the_other_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    (out / "mlsd-tiny").mkdir(parents=True)
    (out / "mlsd-tiny" / "thesis.txt").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(main_job, "pytorch_outputs", _no_memory)
    hed, mlsd = api.run_reference(Job(out, TWO, quick=True, processes=2)).graphs
    assert (hed.outcome, hed.reason) == ("failed", "MemoryError: no room")
    assert not (out / "hed").exists()
    assert "mlsd-tiny: holds files that are not of an earlier run" in mlsd.reason
    assert names_in(out / "mlsd-tiny") == ["thesis.txt"]


def _no_memory(*_: object) -> Any:
    raise MemoryError("no room")


def test_no_process_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 processes"):
        Job(tmp_path, processes=0)
