"""Tables of anybody's: whatever their columns are called, their numbers written, and rows besides layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.readers import read_report
from onnxlens.specs.layers import LayerReport
from tests.profile.vendor.readers.recorded import DATA


def read(folder: Path, text: str, names: str = "") -> LayerReport:
    (path := folder / "times.csv").write_text(text, encoding="utf-8")
    if not names:
        return read_report(path)
    (mapping := folder / "names.csv").write_text(names, encoding="utf-8")
    return read_report(path, names=mapping)


@pytest.mark.parametrize(
    ("head", "row", "figures"),
    [
        ("name,time_us", "node_a,12.5", {"time_s": 1.25e-05}),
        ("Name,Time (ms)", "node_a,2", {"time_s": 0.002}),
        ("Layer,Duration [µs],Bytes", "node_a,2,7", {"time_s": 2e-06}),
        ("node;latency_ms;macs", "node_a;0.5;7", {"time_s": 0.0005, "macs": 7}),
        ("module\ttime_ns\tcycles", "node_a\t\t4", {"cycles": 4}),
        ("name,op_type,placement,time_s", "node_a,Conv,npu,0", {"time_s": 0.0}),
        ("Node,Cycles,MACs,off-chip bytes", "node_a,5,6,7", {"cycles": 5, "macs": 6, "off_chip_bytes": 7}),
        (",name,time_ms,note,note", "0,node_a,2,x,y", {"time_s": 0.002}),
        ('"Number, from 0","name","time_ms"', '0,"node_a",2', {"time_s": 0.002}),
        ("layer,layer_name,exec time (msec)", "7,node_a,2", {"time_s": 0.002}),
        ("name,min_ms,max_ms,time_ms,time %", "node_a,1,3,2,50", {"time_s": 0.002}),
        # a comma that can only be a decimal one, or only between thousands
        ("node;latency_ms", "node_a;0,5", {"time_s": 0.0005}),
        ("node;cycles", "node_a;1.234,5", {"cycles": 1234.5}),
        ("node,cycles", 'node_a,"1,234,567"', {"cycles": 1234567}),
        # lines before the head, and what a spreadsheet is told
        ("sep=;\nName;Time (ms)", "node_a;2", {"time_s": 0.002}),
        ("My chip, today\n# 3 runs\nname,time_ms", "node_a,2", {"time_s": 0.002}),
    ],
)
def test_columns(head: str, row: str, figures: dict[str, float], tmp_path: Path) -> None:
    report = read(tmp_path, f"{head}\n{row}\n")
    (record,) = report.records
    assert (record.sources, record.figures) == (("node_a",), figures)
    assert report.notes == ()


@pytest.mark.parametrize(
    ("text", "time_s", "note"),
    [
        ("layer,time\na,2\n", 2.0, "the column 'time' has no unit: it is taken to be in s"),
        # the sum of 1,000 runs, the mean and the median of them
        (
            "Layer Name,Time(ms),Avg. Time(ms),Median Time(ms),Time(%)\na,1500,1.5,1.4,40\n",
            0.0015,
            "time_s is the column 'Avg. Time(ms)'",
        ),
        ("name,timeMs,medianMs\na,100,0.5\n", 0.0005, "time_s is the column 'medianMs'"),
    ],
)
def test_which_time_it_is_and_its_unit_are_said(text: str, time_s: float, note: str, tmp_path: Path) -> None:
    report = read(tmp_path, text)
    assert report.records[0].figures == {"time_s": time_s}
    assert report.notes == (note,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,time_ms,time_us\na,1,1000\n", "line 1: 'time_ms' and 'time_us' are both times; keep one"),
        (
            "name;cycles\na;1,234\n",
            "line 2, column 'cycles': the comma in '1,234' may be a decimal one or be",
        ),
        (
            "name;time_ms\na;1,5\nb;2.5\n",
            "line 3, column 'time_ms': a point in '2.5', but commas above or bel",
        ),
        ("name;cycles\na;1,5\nb;1,234,567\n", "line 2, column 'cycles': the comma in '1,5' may be a decimal"),
        ("name;cycles\na;1,5\nb;1.2.3,45\n", "line 3, column 'cycles': '1.2.3,45' is no number as those"),
        (
            "name;cycles\na;1,234,567\nb;1,,2\n",
            "line 3, column 'cycles': '1,,2' is no number as those beside",
        ),
        ("name,time_ms\na,50%\n", "line 2, column 'time_ms': expected a number .* found '50%'"),
        ("t\n# c\nname,time_ms\na,x\n", "line 4, column 'time_ms': expected a number .* found 'x'"),
        ("t\nname,time_ms\na,1,2\n", "line 3: 3 cells; expected the 2 of the first line"),
        ("name,time_ms\na,3\n,1\nb,1\n", "line 3: no name in the column 'name'"),
        ("name,time %\na,50\n", "the report of no tool that is known"),
    ],
)
def test_what_can_be_understood_in_two_ways_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"times.csv(, |: ){said}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("rows", "figures", "notes"),
    [
        (["a,1", "b,2", "Total,3"], {"a": 1, "b": 2}, ("the row 'Total' is a total, and no layer",)),
        (["a,1", "b,2", ",3.0"], {"a": 1, "b": 2}, ("the row '' is a total, and no layer",)),
        # rounded, and before the layers
        (
            ["TOTAL (2 layers),2.98", "a,1", "b,2"],
            {"a": 1, "b": 2},
            ("the row 'TOTAL (2 layers)' is a total, and no layer",),
        ),
        # a layer that is called so is no total
        (["a,1", "b,2", "sum,0.5"], {"a": 1, "b": 2, "sum": 0.5}, ()),
        (["a,1", "b,2", "a,2", "b,2"], {"a": 1.5, "b": 2}, ("the mean of 2 runs",)),
        (["a,1", "b,", "a,", "b,2"], {"a": 1, "b": 2}, ("the mean of 2 runs",)),
        (
            ["a,1", "b,2", "Total,3", "a,2", "b,4", "Total,6"],
            {"a": 1.5, "b": 3},
            ("the mean of 2 runs", "the row 'Total' is a total, and no layer"),
        ),
    ],
)
def test_rows_that_are_no_layers_of_one_run(
    rows: list[str], figures: dict[str, float], notes: tuple[str, ...], tmp_path: Path
) -> None:
    report = read(tmp_path, "\n".join(["name,cycles", *rows, ""]))
    assert {record.name: record.figures["cycles"] for record in report.records} == figures
    assert report.notes == notes


@pytest.mark.parametrize(
    ("head", "rows", "cycles", "is_said"),
    [
        # the outer one has 2 of its own; the innermost is taken off the one around it alone
        ("module", ["a,12", "a.b,10", "a.b.c,7", "a.d,0", "e,1"], [2, 3, 7, 0, 1], True),
        # without a row of its parent, a module is inside the next one
        ("module_name", ["a,12", "a.b.c,7"], [5, 7], True),
        # less than what is inside: each has its own
        ("module", ["a,1", "a.b,10", "a.c,7"], [1, 10, 7], False),
        ("module", ["a,12", "a.b,10", "ab,7", "b,3", "b.c,4"], [12, 10, 7, 3, 4], False),
        # nodes are no modules
        ("node", ["a,12", "a.1,10"], [12, 10], False),
    ],
)
def test_modules_inside_others_count_once(
    head: str, rows: list[str], cycles: list[int], is_said: bool, tmp_path: Path
) -> None:
    report = read(tmp_path, "\n".join([f"{head},cycles", *rows, ""]))
    assert [record.figures["cycles"] for record in report.records] == cycles
    assert bool(report.notes) == is_said


def test_parts_of_a_layer_add_up_and_that_is_said(tmp_path: Path) -> None:
    report = read(tmp_path, "name,cycles\na,1\nb,2\na,4\n")
    assert [record.figures["cycles"] for record in report.records] == [1, 2, 4]
    assert report.notes == ("several rows of a name are added up: a",)


def test_a_mapping(tmp_path: Path) -> None:
    path, names = tmp_path / "times.csv", tmp_path / "names.csv"
    path.write_text("name,time_ms\nkernel_7,1\nkernel_8,1\n", encoding="utf-8")
    names.write_text("name,node\nkernel_7,node_a\nkernel_7,node_b\n", encoding="utf-8")
    report = read_report(path, names=names)
    assert [record.sources for record in report.records] == [("node_a", "node_b"), ("kernel_8",)]
    names.write_text("Name,Node\nkernel_7,node_a\nkernel_99,node_b\n", encoding="utf-8")
    report = read_report(path, names=names)
    assert report.records[0].sources == ("node_a",)
    assert report.notes == ("the mapping has names that no layer has: kernel_99",)
    with pytest.raises(UsageError, match="names.csv: reports of k230 have no second file; leave it out"):
        read_report(DATA / "k230", names=names)
    names.write_text("sep=;\nName;Node\nkernel_7;node_a\nkernel_8;node_b\n", encoding="utf-8")
    assert [record.sources for record in read_report(path, names=names).records] == [("node_a",), ("node_b",)]
    names.write_text("name,what\nkernel_7,node_a\n", encoding="utf-8")
    with pytest.raises(
        UsageError, match="names.csv, line 1: expected the columns name and one of node, module"
    ):
        read_report(path, names=names)
