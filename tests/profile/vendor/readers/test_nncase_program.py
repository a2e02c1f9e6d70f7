"""The program that nncase writes beside its tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.readers import read_report
from onnxlens.profile.vendor.readers.nncase_program import read_program
from tests.profile.vendor.readers.recorded import DATA, report_of

PROGRAM = DATA / "k230-tiny" / "final_main.dot"
GROUPS = 15


def test_a_program_is_read_with_its_calls_in_order_and_their_arguments() -> None:
    report = report_of("k230-tiny")
    steps = report.program
    assert steps is not None
    layers = [step.record for step in steps if step.record is not None]
    assert sorted(layers) == [at for at, record in enumerate(report.records) if record.placement]
    for at, step in enumerate(steps):
        assert all(read < at for read, _ in step.reads)
    (mix,) = [step for step in steps if step.record == 3]  # TileMatMul_0 reads the scores, then the values
    assert [port for _, port in mix.reads] == [0, 1]
    on_cpu = [record for record in report.records if record.placement == "cpu"]
    assert [(record.op_type, record.figures) for record in on_cpu] == [
        ("InstanceNormalization", {}),
        ("Softmax", {}),
        ("Gather", {}),
    ]
    assert on_cpu[1].outputs == ((1, 1, 36, 36),)


@pytest.mark.parametrize(
    ("call", "operator"),
    [
        ("Softmax()", "Softmax"),
        ("Concat(Axis: 1)", "Concat"),
        ("Binary(BinaryOp.Add)", "Add"),
        ("Unary(UnaryOp.Sqrt)", "Sqrt"),
        ("Reduce(ReduceOp.Mean)", "ReduceMean"),
        ("Compare(CompareOp.Equal)", "Equal"),
        ("Clamp()", "Clip"),
        ("Broadcast()", "Expand"),
    ],
)
def test_an_operator_of_the_cpu_has_its_name_in_onnx(call: str, operator: str) -> None:
    text = PROGRAM.read_text("utf-8").replace("Softmax()", call)
    _, run = read_program(text, GROUPS, 0)
    assert [record.op_type for record in run] == ["InstanceNormalization", operator, "Gather"]


def test_a_program_of_other_groups_is_not_taken(tmp_path: Path) -> None:
    assert read_program(PROGRAM.read_text("utf-8"), GROUPS - 1, 0) == ((), ())
    assert read_program("digraph\n{\n}\n", 1, 0) == ((), ())
    folder = tmp_path / "dump"
    shutil.copytree(DATA / "k230", folder)
    shutil.copy(PROGRAM, folder)
    report = read_report(folder)
    assert (report.records, report.program) == (report_of("k230").records, ())
    assert (
        report.notes[-1] == "final_main.dot is not of the 9 groups of mac.csv: they are led back without it"
    )


def test_the_program_is_that_beside_the_groups_and_only_of_a_folder(tmp_path: Path) -> None:
    shutil.copytree(DATA / "k230-tiny", tmp_path / "kept" / "report")
    shutil.copy(PROGRAM, tmp_path / "kept" / "other.dot")
    assert read_report(tmp_path / "kept") == report_of("k230-tiny")
    assert read_report(tmp_path / "kept" / "report" / "mac.csv").program is None


def test_a_program_that_reads_itself_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    shutil.copytree(DATA / "k230-tiny", folder)
    dot = folder / "final_main.dot"
    edge = '    "\\"27\\"" -> "\\"26\\"":P0\n'
    text = dot.read_text("utf-8")
    assert edge in text
    dot.write_text(text.replace(edge, edge + '    "\\"26\\"" -> "\\"27\\"":P1\n'), "utf-8")
    with pytest.raises(UsageError, match="not a report of k230 that can be read"):
        read_report(folder)
