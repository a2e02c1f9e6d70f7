"""The ledger verb: what it prints and measures, and a trace of a real run of ONNX Runtime."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import onnxruntime as ort
import pytest

import onnxlens as api
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.reports.numbers import short_bytes
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.measured import Measurements, NodeTiming
from tests.cli.calls import done, onnxlens
from tests.export import tiny as tiny_network
from tests.reports.trace_viewer import opened
from tests.trust import TINY

KERNEL = "_kernel_time"


def test_the_ledger_in_each_format_holds_the_same_total(tiny: Path) -> None:
    document = json.loads(done("ledger", tiny, "--format", "json"))
    assert document["schema"] == "onnxlens.ledger/2"
    assert document["rows"][0]["macs"] == tiny_network.MACS
    lines = list(csv.DictReader(io.StringIO(done("ledger", tiny, "--format", "csv"))))
    assert int(lines[0]["macs"]) == tiny_network.MACS
    assert len(lines) == len(document["rows"]) == 10
    for people in ("table", "md"):
        assert f"total: {tiny_network.MACS:,} MACs" in done("ledger", tiny, "--format", people)


def test_nothing_is_measured_unless_requested(tiny: Path) -> None:
    assert not {"latency_s", "achieved_macs_per_s", "parity_error"} & set(
        json.loads(done("ledger", tiny, "--format", "json"))["columns"]
    )


def test_latency_and_parity_are_measured_when_requested(tiny: Path) -> None:
    outcome = onnxlens("ledger", tiny, *TINY, "--latency", "--parity", "--format", "json")
    assert outcome.code == 0, outcome
    document = json.loads(outcome.out)
    model = document["rows"][0]
    assert model["latency_s"] == document["totals"]["latency_s"] > 0
    assert model["achieved_macs_per_s"] == tiny_network.MACS / model["latency_s"]
    assert 0 < model["parity_error"] < 1e-5
    assert any("against PyTorch, weights: seeded" in note for note in document["notes"])


def test_rows_and_columns_are_those_requested(tiny: Path) -> None:
    text = done(
        "ledger", tiny, "--format", "csv", "--columns", "path,params", "--where", "class=Linear",
        "--where", "path~^attention", "--sort", "path:desc",
    )  # fmt: skip
    # 8 inputs x 8 outputs and 8 biases
    assert text.splitlines() == ["path,params", *(f"attention.{name},72" for name in ("v", "q", "out", "k"))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--where", "colour=red"), "no column is called 'colour'"),
        (("--where", "macs>"), "'' is not a number"),
        (("--where", "class==linear"), "no class is 'linear'; did you mean Linear?"),
        (("--where", "class=~Lin"), "there is no operator '=~'; did you mean ~?"),
        (("--own", "--by", "op"), "--own is about modules; leave out --by op"),
        (("--sort", "latency_s"), "give --latency"),
        (
            ("--as-dtype", "int8"),
            "--as-dtype is of memory and bounds; add --hardware CHIP, --fusion, --f",
        ),
        (("--format", "trace", "--out", "trace.json"), "--format trace shows measured times; give --latency"),
        (("--format", "trace", "--latency"), "give --out FILE"),
        (("--out", "table.txt"), "--out is for --format xlsx, parquet and trace"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    options: tuple[str, ...], message: str, tiny: Path
) -> None:
    outcome = onnxlens("ledger", tiny, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_profile_and_ledger_print_the_same_rows_by_the_same_options(tiny: Path) -> None:
    for options in (
        ("--depth", 9),
        ("--own", "--top", 3),
        ("--by", "op"),
        ("--by", "node", "--where", "macs>0"),
    ):
        for form in ("csv", "md"):
            same = [done(verb, tiny, *options, "--format", form) for verb in ("profile", "ledger")]
            assert same[0] == same[1], (options, form)
    documents = [
        json.loads(done(verb, tiny, "--leaves", "--format", "json")) for verb in ("profile", "ledger")
    ]
    assert documents[0] == documents[1]


def test_a_profile_is_whole_as_json_unless_rows_are_asked_for(tiny: Path) -> None:
    whole = json.loads(done("profile", tiny, "--format", "json"))
    asked = json.loads(done("profile", tiny, "--depth", 1, "--columns", "path,MACs", "--format", "json"))
    assert (whole["schema"], asked["schema"]) == ("onnxlens.profile/1", "onnxlens.ledger/2")
    tops = [(module["path"] or "tiny", module["macs"]) for module in whole["modules"] if module["depth"] < 2]
    assert [(row["path"], row["macs"]) for row in asked["rows"]] == tops
    assert asked["totals"] == whole["totals"]


def test_a_table_of_chosen_rows_has_every_level(tiny: Path) -> None:
    assert "attention.q" in done("profile", tiny, "--where", "class==Linear")
    assert "attention.q" not in done("profile", tiny, "--depth", 1, "--where", "params>0")


def test_a_table_fits_the_screen_unless_it_is_to_be_wide(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    narrow, wide = done("profile", tiny).splitlines(), done("profile", tiny, "--wide").splitlines()
    assert len(narrow[2]) <= 60 < len(wide[2])
    assert wide[2].split()[-1] == "operators"
    assert any(line.endswith("do not fit; --wide shows them") for line in narrow)
    assert not any("do not fit" in line for line in wide)


def test_how_it_was_counted_is_said_on_request(tiny: Path) -> None:
    assert done("profile", tiny).splitlines()[-1].endswith("mean: --explain")
    assert "params: elements of the module's parameters" in done("ledger", tiny, "--explain")


def test_a_model_without_weights_is_not_run() -> None:
    outcome = onnxlens("ledger", tiny_network.TARGET, "--latency", "--weights", "none")
    assert outcome.code == 2
    assert "cannot run without weights" in outcome.err


def node_timings(path: Path, ledger: Ledger, folder: Path) -> tuple[NodeTiming, ...]:
    """When the file's nodes ran, from ONNX Runtime's own profile, its optimizations off."""
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "ort")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, dict(sample_inputs([tiny_network.IMAGE], {})))
    modules = {node.node: node.module_path for node in ledger.nodes}
    return tuple(
        NodeTiming(
            name := event["name"].removesuffix(KERNEL),
            event["args"]["op_name"],
            modules.get(name, ""),
            event["ts"] / 1e6,
            event["dur"] / 1e6,
            (name,),
        )
        for event in json.loads(Path(session.end_profiling()).read_text())
        if event["cat"] == "Node" and event["name"].endswith(KERNEL)
    )


def test_perfetto_opens_the_trace_of_a_real_run(
    tiny: Path, tmp_path: Path, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = api.ledger_of(tiny)
    timings = node_timings(tiny, ledger, tmp_path)
    monkeypatch.setattr(api, "measure_graph", lambda *_, **__: Measurements(nodes=timings))
    out = tmp_path / "trace.json"
    assert done("ledger", tiny, "--latency", "--format", "trace", "--out", out) == f"{out}\n"
    shown = opened(json.loads(out.read_text(encoding="utf-8")), node)
    assert shown.problems == ()
    assert sorted(piece.name for piece in shown.track("operators")) == sorted(t.name for t in timings)
    assert {piece.name for piece in shown.track("modules")} == {
        ledger.graph,
        *(module.path for module in ledger.modules if module.path and module.order),
    }
    # What lasted under a microsecond has no length in ONNX Runtime's profile: the viewer puts nothing in it.
    long = [piece for piece in shown.track("modules") if piece.dur > 0]
    assert {piece.parent for piece in long if piece.name.startswith("attention.")} <= {"attention"}
    assert {piece.parent for piece in long if piece.name in ("conv", "head")} <= {ledger.graph}
    (model,) = [piece for piece in shown.track("modules") if piece.name == ledger.graph]
    first, last = min(t.start_s for t in timings), max(t.end_s for t in timings)
    assert (model.depth, model.dur) == (0, round(last * 1e9) - round(first * 1e9))


def test_the_tensors_at_the_peak_are_printed_in_every_format(tiny: Path) -> None:
    found = api.memory_peak(tiny)
    document = json.loads(done("profile", tiny, "--peak", "--format", "json"))
    assert (document["node"], document["live_bytes"]) == (found.node, found.live_bytes)
    lines = list(csv.DictReader(io.StringIO(done("profile", tiny, "--peak", "--format", "csv"))))
    assert sum(int(line["size_bytes"]) for line in lines) == found.live_bytes
    assert sum(float(line["size_percent"]) for line in lines) == pytest.approx(100)
    assert [line["tensor"] for line in lines] == [each.tensor.name for each in found.tensors]
    text = done("profile", tiny, "--peak", "--as-dtype", "int8")
    assert f"in {len(lines)} tensors, while {found.node} of" in text
    quarter = api.memory_peak(tiny, stored_as="int8").live_bytes
    assert f"alive: {short_bytes(quarter)} " in text and 4 * quarter == found.live_bytes


def test_the_peak_takes_no_options_of_rows(tiny: Path) -> None:
    for options in (("--top", "3"), ("--by", "op"), ("--convention", "thop")):
        outcome = onnxlens("profile", tiny, "--peak", *options)
        assert outcome.code == 2
        assert "--peak shows tensors; of the options of rows and counts it takes --as-dtype" in outcome.err


def test_weights_of_each_stage_are_a_column(tiny: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(
        done("profile", tiny, "--depth", "1", "--columns", "path,weights", "--format", "csv")
    )))  # fmt: skip
    # of the attention: four products of 8 x 8 with biases; a scale, and the size of an axis
    weights = {line["path"]: int(line["resident_weight_bytes"]) for line in lines}
    assert weights["attention"] == 4 * 4 * (8 * 8 + 8) + 4 + 8
