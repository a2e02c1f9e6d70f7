"""Reports of other tools on the command line: read, led back, shown, drawn and refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import onnxlens as api
from onnxlens.specs.layers import LayerRecord, LayerReport
from tests.cli.calls import done, onnxlens
from tests.profile.chip.test_bound import MACS, worked
from tests.profile.models import save_net
from tests.specs.test_document_schemas import complaints

STEM, CONV, GEMM = 64 * 4 * 27, 64 * 4 * 4, 4 * 2
"""The MACs of the net: 64 positions of 4 channels over 27 and 4 inputs, and 2 outputs of 4 inputs."""

LAYERS = "name,cycles,placement\nnode_a,700,npu\nnode_c,300,npu\nnode_y,50,cpu\ncopy,10,dma\n"


VELA = "TFLite_operator,NNG Operator,Op Cycles,NPU,MAC Count,Name\nCONV_2D,Conv2D,700,700,6912,node_a\n"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return save_net(tmp_path)


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    """A table of anybody's; the names of three nodes are in it."""
    path = tmp_path / "layers.csv"
    path.write_text(LAYERS)
    return path


def rows(text: str) -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in csv.DictReader(io.StringIO(text))}


def own_form(path: Path, **report: Any) -> Path:
    """A report in our own form, made by hand."""
    document = {"schema": "onnxlens.layer-report/1", "graph": "net", "source": "graph.onnx", "matches": []}
    path.write_text(json.dumps({**document, "report": {"tool": "plain", "records": [], **report}}))
    return path


def test_a_table_is_led_back_to_modules(net: Path, layers: Path) -> None:
    found = rows(done("import", layers, "--model", net, "--format", "csv"))
    cycles = {path or "made": row["cycles@plain"] for path, row in found.items()}
    assert cycles == {
        "made": "1050",
        "stem": "700",
        "relu": "",
        "body.0": "300",
        "body.0.conv": "300",
        "head": "50",
    }
    shown = done("import", layers, "--model", net)
    assert "note: plain: plain, 4 records: cycles" in shown and "0.9 % at no node" in shown
    assert "note: plain: lead to no node: copy" in shown
    assert done("import", layers, "--model", net, "--format", "md").count("cycles@plain") == 1


def test_all_tools_of_a_folder_that_compile_kept(net: Path, tmp_path: Path) -> None:
    """One has its report in our own form, one as the tool left it, and one has failed."""
    for tool in ("acme", "ethos-u-a7", "broken"):
        (tmp_path / "kept" / tool).mkdir(parents=True)
        (tmp_path / "kept" / tool / "request.json").write_text("{}")
    record = {"name": "node_a", "sources": ["node_a"], "figures": {"cycles": 600}}
    own_form(tmp_path / "kept" / "acme" / "layers.json", tool="acme", records=[record])
    (tmp_path / "kept" / "ethos-u-a7" / "net_per-layer.csv").write_text(VELA)
    kept = tmp_path / "kept"
    shown = onnxlens("import", kept, "--model", net, "--format", "csv")
    assert shown.code == 0
    found = rows(shown.out)["stem"]
    assert (found["cycles@acme"], found["cycles@ethos-u-a7"]) == ("600", "700")
    assert f"onnxlens: warning: left out: {kept / 'broken'}: the report of no tool that is known" in shown.err
    for asked, said in (
        (
            ("import", kept, "--model", net, "--chip", "a7"),
            "has a report of each of acme, broken, ethos-u-a7; give",
        ),
        (
            ("import", kept, "--model", net, "--out", tmp_path / "x.json"),
            f"--out is of one report, and {kept} has 2",
        ),
        (
            ("ledger", net, "--layers", kept),
            f"give one folder ({kept / 'acme'}), or all to 'onnxlens import'",
        ),
    ):
        refused = onnxlens(*asked)
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err
    assert not (tmp_path / "x.json").exists()


def test_the_same_columns_are_in_every_verb_and_format(net: Path, layers: Path, tmp_path: Path) -> None:
    given = ("--layers", f"mine={layers}:plain", "--format")
    for verb in ("profile", "ledger"):
        assert rows(done(verb, net, *given, "csv", "--by", "module"))["head"]["cycles@mine"] == "50"
    document = json.loads(done("profile", net, *given, "json"))
    assert complaints("profile", document) == []
    assert document["modules"][-1]["cycles@mine"] == 50 and document["tools"][0]["label"] == "mine"
    document = json.loads(done("import", layers, "--model", net, "--by", "op", "--format", "json"))
    assert complaints("ledger", document) == []
    assert {row["operator"]: row.get("cycles@plain") for row in document["rows"]}["Gemm"] == 50
    assert document["sum"]["cycles@plain"] == 1050
    out = tmp_path / "rows.xlsx"
    assert done("ledger", net, *given, "xlsx", "--out", out).strip() == str(out)
    grouped = json.loads(done("ledger", net, "--by", "class", *given, "json"))
    assert {row["group"]: row.get("cycles@mine") for row in grouped["rows"]}["Conv2d"] == 1000


def test_our_own_form_comes_back_as_it_went(net: Path, layers: Path, tmp_path: Path) -> None:
    out = tmp_path / "layers.json"
    given = ("--model", net, "--chip", "x1", "--format", "csv")
    first = onnxlens("import", layers, *given, "--out", out)
    assert (first.code, first.err) == (0, f"onnxlens: wrote {out}\n")
    document = json.loads(out.read_text())
    assert complaints("layer-report", document) == []
    assert [match["nodes"][:1] for match in document["matches"]] == [["node_a"], ["node_c"], ["node_y"], []]
    assert document["matches"][0]["modules"] == ["stem", "relu"]  # which runs on what it is given
    assert done("import", out, "--model", net, "--format", "csv") == first.out
    again = api.read_layers(out)
    assert again == api.read_layers(layers, chip="x1") and again.label == "plain-x1"


def test_figures_are_held_against_our_bound(tmp_path: Path) -> None:
    # 768 MACs a cycle: the bound of the convolution is 150,528 cycles of 1.25 ns, and this takes three times
    records = [
        {"name": "node_c", "sources": ["node_c"], "figures": {"cycles": 3 * MACS // 768, "macs": 2 * MACS}}
    ]
    report = own_form(tmp_path / "k.json", tool="k230", records=records)
    given = ("import", report, "--model", worked(tmp_path), "--hardware", "k230", "--as-dtype", "int8")
    outcome = onnxlens(*given, "--format", "csv")
    found = rows(outcome.out)
    assert float(found["conv"]["bound_ratio@k230"]) == pytest.approx(3)
    assert float(found["conv"]["macs_ratio@k230"]) == 2
    assert "have 2 times the MACs of" in outcome.err  # of a picture of another size, it seems
    other = rows(onnxlens(*given[:-3], "h200", "--format", "csv").out)
    assert "bound_ratio@k230" not in other["conv"]


def test_boxes_are_colored_by_it_and_viewers_have_it(net: Path, layers: Path, tmp_path: Path) -> None:
    out = tmp_path / "flow.dot"
    done("render", net, "--layers", layers, "--color", "cycles@plain", "--out", out)
    assert "700 cycles by plain" in out.read_text()
    model = tmp_path / "net.json"
    done("render", net, "--layers", layers, "--viewer", "model-explorer", "--out", model)
    (data,) = json.loads((tmp_path / "net.cycles@plain.json").read_text()).values()
    assert data["name"] == "cycles by plain"
    assert sorted(each["value"] for each in data["results"].values()) == [50, 300, 700]


def test_times_are_tracks_of_a_trace(net: Path, tmp_path: Path) -> None:
    layers, out = tmp_path / "t.csv", tmp_path / "trace.json"
    layers.write_text("name,time_us\nnode_a,30\ncopy,5\nnode_c,10\nnode_y,1\n")
    done("ledger", net, "--layers", layers, "--format", "trace", "--out", out)
    events = json.loads(out.read_text())["traceEvents"]
    assert events[0]["args"]["name"] == "made by plain, one after another"
    found = {each["name"]: (each["ts"], each["dur"]) for each in events if each.get("cat") == "operator"}
    assert found == {"node_a": (0, 30), "copy": (30, 5), "node_c": (35, 10), "node_y": (45, 1)}
    modules = {each["name"]: (each["ts"], each["dur"]) for each in events if each.get("cat") == "module"}
    assert modules["body.0.conv"] == (35, 10) and modules["head"] == (45, 1)


def test_bars_of_modules(net: Path, layers: Path, tmp_path: Path) -> None:
    picture = tmp_path / "bars.svg"
    outcome = onnxlens("import", layers, "--model", net, "--plot", picture, "--metric", "cycles")
    assert (outcome.code, outcome.err) == (0, f"onnxlens: wrote {picture}\n")
    assert "What tools report of made by module (graph.onnx)" in picture.read_text()
    lacking = onnxlens("import", layers, "--model", net, "--plot", picture, "--metric", "macs")
    assert lacking.code == 2 and "--plot: no report has macs; there are cycles" in lacking.err


def test_a_report_of_another_model_is_doubted(net: Path, tmp_path: Path) -> None:
    layers = tmp_path / "other.csv"
    layers.write_text("name,cycles\nnode_a,40\nlayer7,900\n")
    outcome = onnxlens("import", layers, "--model", net)
    assert outcome.code == 0
    assert "onnxlens: warning: only 4.3 % of plain leads back to made" in outcome.err
    assert "note: warning: only 4.3 % of plain" in outcome.out


@pytest.mark.parametrize(("side", "doubts"), [(8, 0), (11, 0), (12, 1)])
def test_a_report_of_another_size_is_doubted_by_its_shapes(
    net: Path, tmp_path: Path, side: int, doubts: int
) -> None:
    # 11 x 11 positions are 1.9 times 8 x 8, as a tool might pad them; 12 x 12 are 2.3 times
    shape = [1, 4, side, side]
    records = [{"name": name, "sources": [name], "outputs": [shape]} for name in ("node_a", "node_c")]
    outcome = onnxlens("import", own_form(tmp_path / "r.json", records=records), "--model", net)
    assert outcome.code == 0 and outcome.err.count("2 of 2 layers of plain make tensors of twice") == doubts


def test_what_is_only_refused_is_shown(net: Path, tmp_path: Path) -> None:
    report = own_form(
        tmp_path / "no.json", tool="k230", refused={"node_b": "Relu\x1b at rank 4", "node_y": "Gemm"}
    )
    shown = done("import", report, "--model", net)
    assert "1 x Relu\\x1b at rank 4, 1 x Gemm" in shown


def test_a_reader_reads_for_a_tool_of_another_name(net: Path, layers: Path) -> None:
    shown = done(
        "import",
        layers,
        "--model",
        net,
        "--tool",
        "acme",
        "--like",
        "plain",
        "--chip",
        "x1",
        "--format",
        "csv",
    )
    assert rows(shown)["stem"]["cycles@acme-x1"] == "700"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent.csv",), "absent.csv: there is no such file"),
        (("{layers}", "--tool", "acme"), "no reader is called 'acme'"),
        (("{layers}", "--metric", "joules"), "--metric 'joules': there are time_s, cycles"),
        (
            ("{layers}", "--layers", "{layers}"),
            "two reports are called plain; give one another name",
        ),
        (("{layers}", "--layers", "x=absent.csv:plain"), "absent.csv: there is no such file"),
        (("{layers}", "--columns", "path,macs@plain"), "column macs@plain holds no figure; "),
        (("{layers}", "--plot", "x.pdf"), "suffix '.pdf' cannot be plotted"),
        (("{own}", "--tool", "rknn"), "in our own form; leave out --tool"),
        (("{nameless}",), "a report says of no tool that it is its"),
        (("{spoiled}",), "begins as a report in our own form, and is none"),
        (("{negative}",), "begins as a report in our own form, and is none"),
        (("{strange}",), "strange.csv"),
        (
            ("{none}",),
            "plain: none of its 1 layers leads to a node of graph.onnx: the layers are",
        ),
    ],
)
def test_what_cannot_be_imported_is_refused_in_a_line(
    net: Path, layers: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    own = own_form(tmp_path / "own.json", records=[{"name": "node_a"}])
    (tmp_path / "spoiled.json").write_text(own.read_text()[:-9])
    own_form(tmp_path / "nameless.json", tool="", records=[{"name": "node_a"}])
    own_form(tmp_path / "negative.json", records=[{"name": "node_a", "figures": {"cycles": -1}}])
    (tmp_path / "none.csv").write_text("name,cycles\nfar,1\n")
    (tmp_path / "strange.csv").write_bytes(b"\x00\x01\x02")
    files = {name: str(tmp_path / f"{name}.json") for name in ("spoiled", "negative", "nameless")}
    files |= {name: str(tmp_path / f"{name}.csv") for name in ("none", "strange")}
    given = [each.format(own=own, layers=layers, **files) for each in arguments]
    outcome = onnxlens("import", *given, "--model", net)
    assert outcome.code == 2 and message in outcome.err and len(outcome.err.splitlines()) == 1


def test_reports_are_added_to_a_ledger_by_the_api(net: Path, layers: Path) -> None:
    ledger = api.import_profile(layers, net, tool="plain")
    assert [each.report.label for each in ledger.tools] == ["plain"]
    report = LayerReport(
        "plain", (LayerRecord("node_a", "Conv", ("node_a",), "", {"macs": STEM}),), called="b"
    )
    with api.OpenedTarget(net) as opened:
        both = api.with_layers(opened, opened.ledger, ledger.tools[0].report, report)
    assert [each.report.label for each in both.tools] == ["plain", "b"]
    assert both.tools[1].of("macs", [0]) == STEM and both.totals.macs == STEM + CONV + GEMM
