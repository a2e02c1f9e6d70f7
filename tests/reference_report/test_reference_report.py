"""The committed report is the script's output, and its causes are the ones derived by hand."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from reference_report.report import peer_table, weightless_ledger, write_tables
from reference_report.tables.evidence import batch_norm_elements, score_constants, score_shapes
from reference_report.tables.other_tables import TABLE_GRAPHS

REPORTS = Path(__file__).parents[2] / "reports"
TABLES = (
    "README.md", "annotators.csv", "control.csv", "sizes.csv", "training.csv", "bill-canny.csv",
    "bill-openpose.csv", "scenarios.csv", "graphs.csv",
)  # fmt: skip
STALE = "stale: run scripts/reference_report.sh"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    write_tables(folder, REPORTS)
    return folder


def test_exactly_these_tables_are_made(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_the_committed_tables_are_the_scripts_output(made: Path, name: str) -> None:
    assert (made / name).read_bytes() == (REPORTS / name).read_bytes(), STALE


def test_mlsd_has_the_batch_norm_elements_that_explain_its_figure() -> None:
    ledger = weightless_ledger("mlsd-large")
    assert batch_norm_elements(ledger) == 64_258_048
    # the printed 25.72 G
    assert ledger.totals.macs + 4 * 64_258_048 == 25_465_323_520 + 257_032_192 == 25_722_355_712


def test_the_controlnet_has_the_score_shapes_that_explain_its_params() -> None:
    ledger = weightless_ledger("controlnet")
    # 8 heads x batch 2; 64 x 64 latent pixels, halved on each side three times; 77 tokens of text
    lengths = (64 * 64, 32 * 32, 16 * 16, 8 * 8)
    shapes = {(16, queries, keys) for queries in lengths for keys in (queries, 77)}
    assert set(score_shapes(ledger)) == shapes
    assert len(score_shapes(ledger)) == 8
    # 16 x (4096^2 + 1024^2 + 256^2 + 64^2) + 16 x 77 x (4096 + 1024 + 256 + 64)
    assert score_constants(ledger) == 286_326_784 + 6_702_080 == 293_028_864
    assert ledger.totals.params + 293_028_864 == 654_307_984


@pytest.mark.parametrize(
    ("graph", "pixels", "macs"),
    [
        ("openpose-body", 184, 33_983_501_696),
        ("openpose-hand", 368, 103_187_671_040),
        ("midas-dpt-hybrid", 384, 127_614_339_072),
        # a quarter of the positions of 368, and four times as many
        ("openpose-hand", 184, 103_187_671_040 // 4),
        ("openpose-hand", 736, 103_187_671_040 * 4),
    ],
)
def test_the_sizes_that_the_demo_runs_cost_what_was_measured(graph: str, pixels: int, macs: int) -> None:
    assert weightless_ledger(graph, pixels).totals.macs == macs


def test_every_file_that_the_page_links_is_there() -> None:
    page = (REPORTS / "README.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([^)#]+)\)", page))
    assert {f"pictures/{graph}.svg" for graph in TABLE_GRAPHS} <= links
    assert [link for link in sorted(links) if not (REPORTS / link).is_file()] == []


def test_nothing_of_a_machine_is_in_the_report() -> None:
    for path in REPORTS.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")
            assert not re.search(r"/(tmp|home|root)\b|site-packages", text), path


@pytest.mark.parametrize("graph", ["mlsd-tiny", "hed"])
def test_onnx_tool_still_prints_the_committed_table_of_a_small_graph(graph: str) -> None:
    assert peer_table(graph) == (REPORTS / "onnx-tool" / f"{graph}.txt").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("graph", TABLE_GRAPHS)
def test_onnx_tool_still_prints_every_committed_table(graph: str) -> None:
    assert peer_table(graph) == (REPORTS / "onnx-tool" / f"{graph}.txt").read_text(encoding="utf-8"), STALE
