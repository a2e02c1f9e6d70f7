"""Times by module from CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnxlens as api
from onnxlens.errors import UsageError
from tests.profile.models import save_net


def written(folder: Path, text: str) -> Path:
    path = folder / "times.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_times_are_seconds_or_have_a_unit(tmp_path: Path) -> None:
    path = written(tmp_path, "module,note,time\n,whole,0.5\nstem,,2.5 ms\nbody.0,,40us\nhead,,\n")
    assert api.read_timings(path) == (
        api.ModuleTiming("", 0.5), api.ModuleTiming("stem", 2.5e-3), api.ModuleTiming("body.0", 40e-6),
    )  # fmt: skip


@pytest.mark.parametrize("head", ["path,latency_s", "\ufeffpath,latency", "path,seconds", "module,median_s"])
def test_columns_are_called_as_our_own_tables_call_them(head: str, tmp_path: Path) -> None:
    assert api.read_timings(written(tmp_path, f"{head}\na.b,1\n")) == (api.ModuleTiming("a.b", 1),)


def test_they_stand_in_the_ledger(tmp_path: Path) -> None:
    times = api.read_timings(written(tmp_path, "path,latency_s\nbody.0.conv,0.25\nstem,0.5\n"))
    ledger = api.ledger_of(save_net(tmp_path), timings=times)
    assert {module.path: module.latency_s for module in ledger.modules}["stem"] == 0.5
    assert ledger.modules[0].latency_s == 0.75


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its columns are none; give one of path, module and one of latency_s"),
        ("path,macs\na,1\n", "its columns are path, macs; give one of"),
        ("path,time\na,1\nb,fast\n", "line 3: 'fast' is not a time; give seconds, or a unit such as 5ms"),
        ("path,time\na,5 MiB\n", "line 2: '5 MiB' is not a time"),
        ("path,time\na,-1\n", "line 2: module 'a': time is -1 s; expected a finite number"),
        ("path,time\na,inf\n", "line 2: module 'a': time is inf s; expected"),
        ("path,time\na\n", "line 2: it has fewer cells than the first line"),
        ('path,time\n"a,1\n', "not a CSV file that can be read"),
    ],
)
def test_what_is_no_time_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="times.csv") as caught:
        api.read_timings(written(tmp_path, text))
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a CSV file that can be read"):
        api.read_timings(tmp_path / "none.csv")
