"""A disk that takes no more: one line, and nothing half-written; by a limit on the size of each file."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.calls import onnxlens
from tests.export.tiny import TARGET

MOST_BYTES = 1_000


@contextmanager
def full_after(most_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


VERBS = (
    f"export {TARGET} --out {{out}}/sub",
    "extract {tiny} --module attention --out {out}/block.onnx",
    "render {tiny} --out {out}/flow.dot",
    "render {tiny} --viewer model-explorer --out {out}/flow.json",
    "ledger {tiny} --latency --format trace --out {out}/run.json",  # ONNX Runtime is the first to write
    "annotate {picture} --kind canny --out {out}/edges.png",
)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.split()[0])
def test_a_result_that_cannot_be_written_is_one_line_and_no_file(
    verb: str, tiny: Path, tmp_path: Path
) -> None:
    out, picture = tmp_path / "out", tmp_path / "picture.png"
    out.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    cv2.imwrite(str(picture), noise)
    with full_after(MOST_BYTES):
        outcome = onnxlens(*verb.format(tiny=tiny, out=out, picture=picture).split())
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    words = "Failed to write" if verb.startswith("ledger") else "writing failed (File too large"
    assert words in outcome.err
    assert list(out.iterdir()) == []


def test_temporary_files_that_cannot_be_written_are_one_line_that_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with full_after(MOST_BYTES):
        outcome = onnxlens("profile", TARGET)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"onnxlens: {tmp_path}: File too large\n"
    assert list(tmp_path.iterdir()) == []
