"""The campaign's first cases, with a fixed seed: all end in a result or are refused in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import onnx
import pytest

from tests.campaign import mutations
from tests.campaign.cases import KINDS, case_of
from tests.campaign.minimize import smaller
from tests.campaign.outcomes import Outcome, Run, classify
from tests.campaign.seeds import Seeds, read
from tests.campaign.tally import Campaign, Tally, run

CAMPAIGN = Campaign(seed=15, first=0, cases=90, jobs=2)
GIB = 1 << 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("campaign")


@pytest.fixture(scope="module")
def tally(folder: Path) -> Tally:
    return run(CAMPAIGN, folder)


@pytest.fixture(scope="module")
def seeds(tally: Tally, folder: Path) -> Seeds:
    return read(folder / "seeds")


def test_every_case_is_done_or_refused_in_one_line(tally: Tally) -> None:
    assert tally.cases == CAMPAIGN.cases
    assert {result["outcome"] for result in tally.results.values()} == {"ok", "refused"}, tally.faults


def test_every_kind_is_drawn(tally: Tally) -> None:
    assert {result["kind"] for result in tally.results.values()} == {*KINDS}


def test_a_number_gives_the_same_case_again(seeds: Seeds) -> None:
    for number in range(20):
        assert case_of(7, number, seeds) == case_of(7, number, seeds)
    assert len({str(case_of(7, number, seeds)) for number in range(20)}) == 20


def test_a_second_run_that_prints_something_else_is_a_fault() -> None:
    found = Tally()
    result = {"number": 1, "outcome": "ok", "digest": "a", "arguments": ["profile", "m.onnx"], "key": ""}
    found.add(result)
    found.add(result)
    assert not found.faults
    found.add({**result, "digest": "b"})
    assert [fault["outcome"] for fault in found.faults] == ["nondeterministic"]


TRACEBACK = """Traceback (most recent call last):
  File "/x/onnxlens/cli/main.py", line 9, in run
  File "/x/onnxlens/profile/graph/a.py", line 3, in of_node
  File "/lib/numpy/core.py", line 3, in inner
KeyError: 'z'
"""


def ran(code: int = 0, err: str = "", out: str = "", cpu_s: float = 0.1, peak_bytes: int = GIB) -> Run:
    return Run(code, out, err, cpu_s, peak_bytes, False, "")


@pytest.mark.parametrize(
    ("left", "outcome"),
    [
        (ran(), Outcome("ok")),
        (ran(1, out="a check that did not hold"), Outcome("ok")),
        (ran(2, "onnxlens: m.onnx: no\n"), Outcome("refused")),
        (ran(2, "onnxlens: m.onnx: no\nonnxlens: yes\n"), Outcome("not one line", "2 lines of ours")),
        (ran(2, "libz: 12 bad\nonnxlens: m.onnx: no\n"), Outcome("not one line", "libz: # bad")),
        (ran(2, "onnxlens: no\n", out="|"), Outcome("not one line", "standard output, too")),
        (ran(2, "onnxlens: \x1b[31m\n"), Outcome("control characters", "profile")),
        (ran(0, out="\x9b"), Outcome("control characters", "profile")),
        (ran(3, TRACEBACK), Outcome("exception", "KeyError at onnxlens/profile/graph/a.py:of_node")),
        (ran(0, TRACEBACK), Outcome("exception", "KeyError at onnxlens/profile/graph/a.py:of_node")),
        (ran(99), Outcome("exception", "exit 99")),
        (ran(-11), Outcome("outside", "profile SIGSEGV")),
        (ran(-9), Outcome("killed", "profile SIGKILL")),
        (ran(cpu_s=10.1), Outcome("over 10 s", "profile")),
        (ran(peak_bytes=3 * GIB), Outcome("over 1 GiB", "profile")),
    ],
)  # fmt: skip
def test_what_a_run_left_is_told_apart(left: Run, outcome: Outcome, tmp_path: Path) -> None:
    assert classify(left, ("profile", "m.onnx"), tmp_path, idle=GIB) == outcome


@pytest.mark.parametrize(("name", "text"), [("out.svg", "<svg>\x07</svg>"), ("out.json", "{")])
def test_a_result_that_no_reader_takes_is_a_fault(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert classify(ran(), ("render", "m.onnx"), tmp_path, idle=GIB).name == "broken output"


def test_a_count_below_zero_is_a_fault(tmp_path: Path) -> None:
    document = '{"macs": 1, "modules": [{"macs": 0}, {"params": -1, "path": -1}]}'
    outcome = classify(ran(out=document), ("profile", "m.onnx", "--format", "json"), tmp_path, idle=GIB)
    assert outcome == Outcome("broken output", "profile: params below 0")


def model(operators: Sequence[str]) -> onnx.ModelProto:
    nodes = [onnx.helper.make_node(operator, ["x"], ["y"]) for operator in operators]
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], []))


def test_every_field_is_a_place_for_a_change() -> None:
    found = [(site.field.name, site.index) for site in mutations.sites(model(["Relu"]).graph)]
    assert found == [("node", 0), ("input", 0), ("output", 0), ("op_type", None), ("name", None)]


@pytest.mark.parametrize("change", list(dict.fromkeys(mutations.CHANGES)), ids=lambda change: change.__name__)
def test_a_change_changes(change: mutations.Change) -> None:
    before = model(["Relu", "Exp"])
    results = set()
    for seed in range(30):
        after = onnx.ModelProto()
        after.CopyFrom(before)
        change(Random(seed), after)
        results.add(after.SerializeToString())
    assert results - {before.SerializeToString()}


def test_a_failing_model_is_made_smaller() -> None:
    data = model(["Exp", "Relu", "Sin"]).SerializeToString()
    least = onnx.ModelProto.FromString(smaller("m.onnx", data, lambda less: b"Relu" in less))
    assert least == onnx.ModelProto(graph=onnx.GraphProto(node=[onnx.NodeProto(op_type="Relu")]))


def test_a_failing_text_is_made_smaller() -> None:
    assert smaller("g.toml", b"name = 1\nmodules = 23456", lambda less: b"23" in less) == b"23"
