"""The files of a run, from a summary made by hand: one graph done, one that differs, one that failed."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from onnxlens.errors import GraphError
from onnxlens.reports.run_files import SEEDED_NOTE, index_page, summary_table, write_run
from onnxlens.specs.bench import LatencyResult
from onnxlens.specs.parity import ParityResult
from onnxlens.specs.summary import GraphSummary, RunSummary
from onnxlens.specs.tensor import TensorSpec

IMAGE = TensorSpec("image", "float32", (1, 3, 8, 8))
TOKENS = TensorSpec("tokens", "int64", (1, 77))
WORST = ParityResult("y", 2.5e-6, 1e-7, 1.0, 1.24e-6, 1.0, 1e-5, True)

DONE = GraphSummary(
    graph="edges", family="annotator", outcome="done", inputs=(IMAGE,), outputs=(IMAGE,), opset=18,
    weights="seeded", nodes=1_234, macs=5_013_143_552, params=14_716_168, worst=WORST,
    latency=LatencyResult(1.2345, 1.0, 1.5, 1, 3, "cpu", "cpu"),
    files={
        "onnx": "edges/edges.onnx", "modules txt": "edges/modules.txt", "modules md": "edges/modules.md",
        "flow svg": "edges/flow.svg",
    },
)  # fmt: skip
DIFFERS = replace(
    DONE, graph="text", family="clip", inputs=(TOKENS,), outcome="differs", reason="over the tolerance: y",
    files={"onnx": "text/text.onnx", "flow dot": "text/flow.dot"},
)  # fmt: skip
FAILED = GraphSummary("large", "vae", "failed", reason="no room | for it")
STRUCTURE = replace(DONE, graph="whole", weights="none", worst=None, latency=None)
MACHINE = {"processor": "a chip", "cores": "2"}
RUN = RunSummary((DONE, DIFFERS, FAILED), MACHINE, 61.4)


def row_of(table: str, graph: str) -> list[str]:
    """The cells of a graph's row in a Markdown table."""
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {graph} ")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def rows(run: RunSummary) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(summary_table(run, "csv"))))


def test_a_row_has_the_inputs_costs_parity_error_and_duration() -> None:
    assert row_of(summary_table(RUN, "md"), "edges") == [
        "edges", "annotator", "(1, 3, 8, 8)", "(1, 3, 8, 8)", "18", "seeded", "1234", "5.01 G", "14.72 M",
        "2.5e-06", "1.2e-06", "1,234 ms", "done", "edges/",
    ]  # fmt: skip


def test_machine_readable_figures_are_exact_and_nothing_surrounds_the_table() -> None:
    done, differs, failed = rows(RUN)
    assert (done["MACs"], done["params"], done["nodes"]) == ("5013143552", "14716168", "1234")
    assert (done["max abs error"], done["relative L2"], done["latency"]) == ("2.5e-06", "1.24e-06", "1.2345")
    assert (differs["result"], failed["result"]) == ("differs", "failed")
    assert len(summary_table(RUN, "csv").splitlines()) == 1 + 3


def test_a_graph_that_failed_has_no_figures_and_no_folder() -> None:
    figures = ("opset", "nodes", "MACs", "params", "max abs error", "relative L2", "latency", "files")
    assert [rows(RUN)[2][figure] for figure in figures] == [""] * len(figures)
    assert row_of(summary_table(RUN, "md"), "large")[4:] == [
        "-", "", "-", "-", "-", "-", "-", "-", "failed", "",
    ]  # fmt: skip


def test_a_graph_that_only_was_counted_has_figures_and_no_measurements() -> None:
    run = RunSummary((STRUCTURE,), MACHINE, 1.0)
    assert (rows(run)[0]["MACs"], rows(run)[0]["latency"], rows(run)[0]["relative L2"]) == (
        "5013143552", "", "",
    )  # fmt: skip
    assert row_of(summary_table(run, "md"), "whole")[7:12] == ["5.01 G", "14.72 M", "-", "-", "-"]


@pytest.mark.parametrize(("table_format", "bullet"), [("table", ""), ("md", "- ")])
def test_the_summary_says_what_failed_where_it_was_measured_and_what_it_shows(
    table_format: str, bullet: str
) -> None:
    text = summary_table(RUN, "md" if table_format == "md" else "table")
    assert text.split("\n\n")[1].splitlines() == [
        f"{bullet}{line}"
        for line in (
            "text: differs: over the tolerance: y",
            "large: failed: no room | for it",
            "measured on processor: a chip; cores: 2",
            "latency: median of up to 3 runs of ONNX Runtime after one warm-up",
            "all of it took 61 s",
            SEEDED_NOTE,
        )
    ]


def test_seeded_weights_are_explained_only_where_there_are_any() -> None:
    trained = RunSummary((replace(DONE, weights="net.pth"),), MACHINE, 1.0)
    assert SEEDED_NOTE in summary_table(RUN, "table")
    assert SEEDED_NOTE not in summary_table(trained, "table")


def test_the_index_has_a_section_for_each_graph_with_its_figures_files_and_picture() -> None:
    head, edges, text, large = index_page(RUN).split("\n## ")
    assert head.startswith("# The reference model, graph by graph\n")
    assert edges.splitlines()[2:] == [
        "- in: `image` float32 (1, 3, 8, 8)",
        "- out: `image` float32 (1, 3, 8, 8)",
        "- 5,013,143,552 MACs, 14,716,168 params, 1,234 nodes at opset 18",
        "- onnx: [edges.onnx](edges/edges.onnx); modules: [txt](edges/modules.txt) [md](edges/modules.md); "
        "flow: [svg](edges/flow.svg)",
        "",
        "![data flow of edges](edges/flow.svg)",
    ]
    assert "**differs**: over the tolerance: y" in text
    assert "`tokens` int64 (1, 77)" in text
    assert "flow: [dot](text/flow.dot)" in text
    assert "![" not in text
    assert large.splitlines() == ["large", "", "**failed**: no room | for it", ""]


def test_a_run_is_written_in_four_formats_and_an_index(tmp_path: Path) -> None:
    write_run(RUN, tmp_path)
    for name, table_format in (("summary.txt", "table"), ("summary.md", "md"), ("summary.csv", "csv")):
        expected = summary_table(RUN, table_format) + "\n"  # type: ignore[arg-type]
        assert (tmp_path / name).read_text(encoding="utf-8") == expected
    assert (tmp_path / "index.md").read_text(encoding="utf-8") == index_page(RUN)
    document = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert (document["schema"], document["succeeded"], document["machine"]) == (
        "onnxlens.summary/1", False, MACHINE,
    )  # fmt: skip
    assert [graph["outcome"] for graph in document["graphs"]] == ["done", "differs", "failed"]
    assert len(list(tmp_path.iterdir())) == 5


def test_a_run_succeeds_when_every_graph_is_done() -> None:
    assert RunSummary((DONE, STRUCTURE), MACHINE, 1.0).succeeded
    for other in (DIFFERS, FAILED):
        assert not RunSummary((DONE, other), MACHINE, 1.0).succeeded


@pytest.mark.parametrize(
    ("outcome", "reason"), [("done", "why"), ("failed", ""), ("differs", ""), ("odd", "x")]
)
def test_an_outcome_and_its_reason_must_fit(outcome: str, reason: str) -> None:
    with pytest.raises(GraphError, match=f"summary of 'x': outcome '{outcome}' with reason '{reason}'"):
        GraphSummary("x", "vae", outcome, reason=reason)  # type: ignore[arg-type]
