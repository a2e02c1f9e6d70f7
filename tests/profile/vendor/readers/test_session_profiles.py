"""Profiles of ONNX Runtime with several runs, several threads or a GPU, built by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.readers import read_report
from tests.profile.vendor.readers.test_built import written


def kernel(name: str, start: int, duration: int, thread: int = 1) -> dict[str, Any]:
    return {
        "cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": duration, "tid": thread,
        "args": {"op_name": "Conv", "provider": "CPUExecutionProvider"},
    }  # fmt: skip


def run(start: int, duration: int, thread: int = 1) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": start, "dur": duration, "tid": thread}


@pytest.mark.parametrize(
    ("events", "times", "note"),
    [
        # an only run counts
        ([run(0, 100), kernel("a", 5, 40)], {"a": 40}, "the mean of 1 run"),
        # the first of several does not
        (
            [
                run(0, 100),
                kernel("a", 5, 90),
                run(100, 60),
                kernel("a", 110, 40),
                run(160, 30),
                kernel("a", 165, 20),
            ],
            {"a": 30},
            "the mean of 2 runs, the first not counted",
        ),
        # nodes of one run side by side, on two threads, are not inside each other
        ([run(0, 100), kernel("a", 5, 90), kernel("b", 10, 50, 2)], {"a": 90, "b": 50}, "the mean of 1 run"),
        # two runs at once, of which none is the first
        (
            [run(0, 100), kernel("a", 5, 90), run(50, 100, 2), kernel("a", 60, 70, 2)],
            {"a": 80},
            "the mean of 2 runs",
        ),
    ],
    ids=["one run", "warm-up", "two threads", "two runs at once"],
)
def test_onnxruntime_runs(events: list[Any], times: dict[str, int], note: str, tmp_path: Path) -> None:
    report = read_report(written(tmp_path, "profile.json", events))
    assert {each.name: each.figures["time_s"] for each in report.records} == {
        name: pytest.approx(time / 1e6) for name, time in times.items()
    }
    assert report.notes == (note,)


def test_onnxruntime_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no event model_run: no run of a model; close the session"):
        read_report(written(tmp_path, "profile.json", [kernel("a", 5, 90)]))


def on(provider: str, event: dict[str, Any]) -> dict[str, Any]:
    return event | {"args": {"op_name": "Conv", "provider": f"{provider}ExecutionProvider"}}


def test_onnxruntime_on_a_gpu(tmp_path: Path) -> None:
    """A node's own event is its launch; the kernels that ran stand behind it, on a clock of their own."""
    launches = [on("CUDA", kernel("a", 5, 10)), on("CUDA", kernel("b", 16, 4))]
    report = read_report(written(tmp_path, "profile.json", [run(0, 900), *launches]))
    assert [record.figures for record in report.records] == [{"time_s": 1e-05}, {"time_s": 4e-06}]
    assert (
        "times of cuda are those of the processor, which launches what the GPU then runs" in report.notes[1]
    )
    ran = [
        {"cat": "Kernel", "name": name, "ts": 7, "dur": us, "tid": 9}
        for name, us in [("gemm", 500), ("bias", 30)]
    ]
    report = read_report(
        written(tmp_path, "profile.json", [run(0, 900), launches[0], *ran, launches[1], ran[1]])
    )
    assert [record.figures for record in report.records] == [{"time_s": 0.00053}, {"time_s": 3e-05}]
    assert report.notes[1] == "times of cuda are those of the kernels on the GPU"
    report = read_report(written(tmp_path, "profile.json", [run(0, 900), launches[0], *ran, launches[1]]))
    assert [record.figures for record in report.records] == [{"time_s": 0.00053}, {}]  # no kernel: unknown
