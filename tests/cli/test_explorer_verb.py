"""``render --viewer model-explorer``: which files it writes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import onnxlens as api
from tests.cli.calls import done, onnxlens
from tests.export import tiny as tiny_network
from tests.profile.count.test_repeats import GOES_ON, graph, loop_body, save_if, save_loop
from tests.profile.models import op, value
from tests.trust import TINY

VIEWER = ("--viewer", "model-explorer")


def save_nested(folder: Path) -> Path:
    """Five times a product, and a branch that is another one or a negation."""
    inner = op("If", "flag", "chosen", then_branch=graph(
        [op("MatMul", "next w", "deep")], [], [value("deep", (3, 4))],
    ), else_branch=graph([op("Neg", "next", "deep")], [], [value("deep", (3, 4))]))  # fmt: skip
    return save_loop(folder, loop_body(GOES_ON, inner))


def sums(path: Path) -> float:
    """Over the results of the one graph."""
    (graph,) = json.loads(path.read_text()).values()
    return sum(result["value"] for result in graph["results"].values())


def test_a_graph_and_its_node_data_are_written_alike_every_time(bare_tiny: Path, tmp_path: Path) -> None:
    names = ["x.json", "x.macs.json", "x.moved_bytes.json"]
    for folder in ("one", "two"):
        out = done("render", bare_tiny, *VIEWER, "--out", tmp_path / folder / "x.json")
        assert out.splitlines() == [str(tmp_path / folder / name) for name in names]
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("one", "two")
    )
    assert sorted(one) == names
    assert one == two
    assert sums(tmp_path / "one" / "x.macs.json") == tiny_network.MACS


def test_weights_change_nothing(tiny: Path, bare_tiny: Path, tmp_path: Path) -> None:
    texts = []
    for name, target in (("with", tiny), ("without", bare_tiny)):
        done("render", target, *VIEWER, "--out", tmp_path / f"{name}.json")
        texts.append(
            (tmp_path / f"{name}.json").read_text().replace('"weights":"seeded"', '"weights":"none"')
        )
    assert texts[0] == texts[1]


def test_latency_and_errors_are_written_where_they_are_measured(tiny: Path, tmp_path: Path) -> None:
    outcome = onnxlens("render", tiny, *TINY, *VIEWER, "--latency", "--parity", "--out", tmp_path / "x.json")
    assert outcome.code == 0, outcome
    assert [Path(line).name for line in outcome.out.splitlines()] == [
        "x.json", "x.macs.json", "x.moved_bytes.json", "x.latency_s.json", "x.parity_error.json",
    ]  # fmt: skip
    (graph,) = json.loads((tmp_path / "x.json").read_text())["graphs"]
    model = graph["groupNodeAttributes"][""]
    assert "latency_s" in model and "parity_error" in model
    assert any("latency by node" in text for text in model.values())
    assert sums(tmp_path / "x.latency_s.json") > 0
    errors = json.loads((tmp_path / "x.parity_error.json").read_text())["tiny"]["results"]
    nodes = {node["id"]: node["namespace"] for node in graph["nodes"]}
    assert "head (Linear)" in {nodes[node] for node in errors}
    assert all(0 <= result["value"] < 1e-5 for result in errors.values())


def test_the_nodes_of_a_level_add_up_to_its_module(bare_tiny: Path, tmp_path: Path) -> None:
    done("render", bare_tiny, *VIEWER, "--out", tmp_path / "x.json")
    (graph,) = json.loads((tmp_path / "x.json").read_text())["graphs"]
    modules = {module.path: module for module in api.profile_graph(bare_tiny).modules}
    levels = {level: texts["path"] for level, texts in graph["groupNodeAttributes"].items() if level}
    assert sorted(levels.values()) == [
        "attention", "attention.k", "attention.out", "attention.q", "attention.v", "conv", "head", "norm",
    ]  # fmt: skip
    for column in ("macs", "moved_bytes"):
        data = json.loads((tmp_path / f"x.{column}.json").read_text())["tiny"]["results"]
        for level, path in levels.items():
            inside = [
                data[node["id"]]["value"]
                for node in graph["nodes"]
                if f"{node['namespace']}/".startswith(f"{level}/")
            ]
            assert sum(inside) == getattr(modules[path], column)


@pytest.mark.parametrize("make", [save_if, save_nested], ids=["branches", "a branch in a loop"])
def test_the_first_graph_adds_up_with_what_runs_inside_its_nodes(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path)
    done("render", path, *VIEWER, "--out", tmp_path / "x.json")
    first, *inside = json.loads((tmp_path / "x.json").read_text())["graphs"]
    assert inside
    totals = api.profile_graph(path).totals
    for column in ("macs", "moved_bytes"):
        data = json.loads((tmp_path / f"x.{column}.json").read_text())
        results = data[first["id"]]["results"].values()
        assert sum(result["value"] for result in results) == getattr(totals, column) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((*VIEWER, "--out", "x.svg"), "Model Explorer opens .json files"),
        ((*VIEWER, "--out", "x.json", "--depth", "2"), "--depth is for --viewer flow"),
        (
            ("--viewer", "netron", "--out", "x.svg", "--latency"),
            "--latency is for --viewer flow or --viewer model-explorer",
        ),
        (("--out", "x.json"), "suffix '.json' cannot be drawn"),
        (("--viewer", "telescope", "--out", "x.json"), "'telescope' is not one of"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(
    options: tuple[str, ...], message: str, bare_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = onnxlens("render", bare_tiny, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
