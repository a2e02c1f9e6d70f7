"""An earlier run's files stay until those of the new one are complete."""

from __future__ import annotations

from collections.abc import Mapping
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest

import onnxlens as api
from onnxlens.api import run as main_job
from onnxlens.errors import UsageError
from onnxlens.specs.summary import Job
from tests import small_catalog
from tests.small_catalog import names_in


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog of two networks that run in a moment."""
    small_catalog.install(monkeypatch)


def contents(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("fault", "raised", "words"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
        (
            OSError(ENOSPC, "No space left on device", "flow.png"),
            UsageError,
            "writing failed (No space left on ",
        ),
    ],
)
def test_an_earlier_run_stays_until_the_new_one_is_complete(
    fault: BaseException,
    raised: type[BaseException],
    words: str,
    small: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    api.run_reference(Job(out))
    before = contents(out)
    original, calls = main_job.sample_inputs, []

    def stopped_in_the_second(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise fault
        return original(*arguments)

    monkeypatch.setattr(main_job, "sample_inputs", stopped_in_the_second)
    with pytest.raises(raised) as caught:
        api.run_reference(Job(out))
    assert words in str(caught.value)
    assert contents(out) == before
    assert names_in(tmp_path) == ["out"]


def test_graphs_of_an_earlier_run_that_this_one_does_not_have_stay(small: None, tmp_path: Path) -> None:
    api.run_reference(Job(tmp_path))
    second = contents(tmp_path / "second")
    api.run_reference(Job(tmp_path, ("first",)))
    assert contents(tmp_path / "second") == second
    assert "## second" not in (tmp_path / "index.md").read_text(encoding="utf-8")
