"""``compile --support-only`` and ``--support``, ``export --workload``: what is printed and what refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calls import done, onnxlens
from tests.profile.models import op, save, save_net, value, weight


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return save_net(tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "acme.toml"
    path.write_text("title = 'Acme'\nversion = '3'\n[operators.Conv]\n[operators.Relu]\n[operators.Add]")
    return path


def test_a_table_of_ones_own(net: Path, table: Path) -> None:
    text = done("compile", net, "--support", table)
    assert text.startswith("made (graph.onnx) on Acme 3\n")
    assert "5 accepted (99.9 % of the MACs), 3 refused (0.1 % of the MACs)" in text
    assert "1 island; 1.75 KiB cross their borders in one run" in text  # 1 x 3 x 8 x 8 in, 1 x 4 x 8 x 8 out
    assert len(done("compile", net, "--support", table, "--depth", 0, "--format", "csv").splitlines()) == 2


@pytest.mark.parametrize("tool", ["openvino", "qnn"])
def test_a_table_of_real_runs(net: Path, tool: str) -> None:
    document = json.loads(done("compile", net, "--support-only", "--with", tool, "--format", "json"))
    assert document["schema"] == "onnxlens.support/1" and document["version"]
    assert document["verdicts"]["node_a"]["support"] == "accepted"  # a convolution
    assert sum(document["nodes"].values()) == 8


@pytest.mark.parametrize("tools", [("--with", "qnn,openvino"), ("--with", "qnn", "--with", "openvino")])
def test_the_tables_of_two_tools_are_asked_for_apart(net: Path, tools: tuple[str, ...]) -> None:
    outcome = onnxlens("compile", net, "--support-only", *tools)
    assert (outcome.code, outcome.out, outcome.err) == (
        2, "", "onnxlens: --support-only reads the table of one tool; ask for qnn and openvino apart\n",
    )  # fmt: skip


def test_a_picture_and_a_file_of_a_workload_are_written(net: Path, table: Path, tmp_path: Path) -> None:
    done("compile", net, "--support", table, "--plot", tmp_path / "map.dot")
    assert (tmp_path / "map.dot").exists()
    text = done("export", net, "--workload", "zigzag", "--out", tmp_path / "out")
    assert text.splitlines()[-1] == "3 layers of 3 nodes: 7,944 of 7,944 MACs (100.0 %)"


def test_a_layer_that_a_cost_model_cannot_say_is_told_and_ends_with_1(tmp_path: Path) -> None:
    nodes = [op("Conv", "x w", "a", dilations=[2, 2]), op("Conv", "x w", "y")]
    path = save(
        tmp_path, nodes, [value("x", (1, 1, 5, 5))], [value("a", (1, 1, 1, 1)), value("y", (1, 1, 3, 3))],
        [weight("w", 1, 1, 3, 3)],
    )  # fmt: skip
    outcome = onnxlens("export", path, "--workload", "scalesim", "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "1 layer of 1 node: 81 of 90 MACs (90.0 %)" in outcome.out
    assert "refused: 1 node, the first node_a: SCALE-Sim has no form for a kernel" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--support-only"], "give a TARGET, and --with TOOL or --support FILE.toml"),
        (["--support-only", "--with", "zigzag"], "there is no table of what 'zigzag' supports; there are"),
        (["--support", "absent.toml"], "absent.toml: cannot be read"),
        (["--support-only", "--with", "qnn", "--by", "op"], "--by is of layers that are compiled"),
        (["--support-only", "--with", "qnn", "--keep", "out"], "--keep is of layers that are compiled"),
        (["--support", "a.toml", "--with", "qnn"], "--with is of layers that are compiled"),
        (["--plot", "map.svg", "--with", "qnn"], "--plot draws what a table leaves out"),
        (["--support-only", "--with", "qnn", "--plot", "map.txt"], "cannot be drawn"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(net: Path, arguments: list[str], words: str) -> None:
    outcome = onnxlens("compile", net, *arguments)
    assert outcome.code == 2 and words in outcome.err and len(outcome.err.splitlines()) == 1


def test_a_workload_is_no_onnx_file(net: Path, tmp_path: Path) -> None:
    outcome = onnxlens("export", net, "--workload", "zigzag", "--single-file", "--out", tmp_path)
    assert outcome.code == 2 and "--workload writes no ONNX file" in outcome.err
