"""``extract``: what it prints, and the one line for what cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnxlens as api
from tests.call_nets import TARGET
from tests.cli.calls import done, onnxlens

MADE = ("--factory", TARGET)
"""What the command line is told of a file of that network."""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.export_graph(TARGET, tmp_path_factory.mktemp("calls")).onnx_path


def test_it_prints_inputs_outputs_and_the_files_written(calls: Path, tmp_path: Path) -> None:
    out = tmp_path / "joins.onnx"
    printed = done("extract", calls, *MADE, "--module", "joins", "--out", out, "--data")
    # a linear layer of 4 x 4 and 4 floats; MatMul and Add, Unsqueeze, Mul, Add, and the mean
    assert printed.startswith("joins (Joins) of calls: 6 nodes at run time, 80 B of weights, seeded\n")
    lines = [line.split() for line in printed.splitlines()]
    assert ["in", "row", "float32", "(2,", "4)", "parts[1]"] in lines
    assert ["out", "mean", "float32", "(2,", "4)", "returned[1]"] in lines
    assert [line for line in printed.splitlines() if line.startswith(str(tmp_path))] == [
        str(tmp_path / f"joins.{suffix}") for suffix in ("onnx", "expected.npz", "inputs.npz", "json")
    ]
    assert done("check", out, *MADE).strip().endswith("all outputs agree")
    assert "joins.line" in done("profile", out, "--format", "csv", "--depth", 9)


def test_weights_may_be_left_out(tmp_path: Path) -> None:
    out = tmp_path / "joins.onnx"
    printed = done("extract", TARGET, "--module", "joins", "--out", out, "--weights", "none")
    assert printed.startswith("joins (Joins) of calls: 6 nodes at run time, 80 B of weights, left out\n")
    outcome = onnxlens("check", out, *MADE)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--module", "join"), "onnxlens: calls has no module 'join'; there is joins"),
        (("--module", "twice", "--call", 9), "onnxlens: calls: twice has no call 9: it is called 2 times"),
        (("--module", "adds", "--data"), "onnxlens: calls: adds has no PyTorch side to give its data: "),
    ],
)
def test_what_cannot_be_extracted_is_one_line(
    calls: Path, tmp_path: Path, options: tuple[object, ...], line: str
) -> None:
    outcome = onnxlens("extract", calls, *MADE, "--out", tmp_path / "out" / "x.onnx", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(line)
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_subgraph_without_a_pytorch_side_is_not_checked_against_it(calls: Path, tmp_path: Path) -> None:
    out = tmp_path / "adds.onnx"
    assert "note: no PyTorch side: " in done("extract", calls, *MADE, "--module", "adds", "--out", out)
    outcome = onnxlens("check", out, *MADE)
    assert (outcome.code, outcome.out) == (2, "")
    assert "has no PyTorch side" in outcome.err
    assert done("check", out, "--against", "unoptimised").strip().endswith("all outputs agree")
