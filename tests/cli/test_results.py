"""The output of the verbs, and their exit codes on success, on a failed check, and on an internal error."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import onnxlens as api
from onnxlens.reference_model import catalog
from tests import small_catalog
from tests.cli.calls import done, onnxlens
from tests.export import tiny as tiny_network
from tests.export.tiny import TARGET
from tests.trust import TINY

# 12 layers, 2 prompts of 77 tokens, 768 channels: q, k, v, out and the MLP's two of 4 x 768; both products
CLIP_MACS = 12 * (2 * 77 * 768 * 768 * (4 + 8) + 2 * 2 * 77 * 77 * 768)
# token and position tables; in each layer six linear layers with biases and two norms; the last norm
CLIP_PARAMS = (49408 + 77) * 768 + 12 * (12 * 768**2 + (4 + 4 + 1) * 768 + 2 * 2 * 768) + 2 * 768


@pytest.fixture(scope="session")
def weightless_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return api.export_graph("clip-text", folder, api.Settings(weights="none")).onnx_path


@pytest.mark.parametrize("target", ["opset 18", "opset 23", "file"])
def test_clip_counts_the_same_at_every_opset_and_from_a_weightless_file(
    target: str, request: pytest.FixtureRequest
) -> None:
    if target == "file":
        arguments = [request.getfixturevalue("weightless_clip")]
    else:
        arguments = ["clip-text", "--opset", target.split()[1]]
    document = json.loads(done("profile", *arguments, "--format", "json"))
    totals = document["totals"]
    assert (CLIP_MACS, CLIP_PARAMS) == (13_298_503_680, 123_060_480)
    assert (totals["macs"], totals["params"], totals["unknown_nodes"]) == (CLIP_MACS, CLIP_PARAMS, 0)
    assert totals["buffers"] == 77
    assert document["opset"] == (23 if target == "opset 23" else 18)


def test_an_export_prints_the_files_it_wrote(tmp_path: Path) -> None:
    files = done("export", TARGET, "--out", tmp_path / "out", "--opset", "20").splitlines()
    assert files == [str(tmp_path / "out" / name) for name in ("tiny.onnx", "tiny.onnx.data", "tiny.json")]
    bare = done("export", TARGET, "--out", tmp_path / "bare", "--weights", "none").splitlines()
    assert bare == [str(tmp_path / "bare" / name) for name in ("tiny.onnx", "tiny.json")]
    assert sorted(tmp_path.rglob("tiny*")) == sorted(map(Path, files + bare))


def test_the_settings_of_the_command_line_reach_the_export(tmp_path: Path) -> None:
    sizes = ("--batch", "2", "--height", "32", "--width", "48", "--opset", "19")
    done("export", "hed", "--out", tmp_path, "--weights", "none", *sizes)
    manifest = json.loads((tmp_path / "hed.json").read_text(encoding="utf-8"))
    assert manifest["settings"] == {"batch": 2, "height": 32, "width": 48}
    assert (manifest["opset"], manifest["weights"]) == (19, "none")
    assert manifest["inputs"][0]["shape"] == [2, 3, 32, 48]


def test_a_profile_in_each_format_holds_the_same_total(tiny: Path) -> None:
    document: dict[str, Any] = json.loads(done("profile", tiny, "--format", "json"))
    assert document["schema"] == "onnxlens.profile/1"
    assert document["totals"]["macs"] == tiny_network.MACS
    rows = list(csv.DictReader(io.StringIO(done("profile", tiny, "--format", "csv", "--by", "node"))))
    assert sum(int(row["macs"]) for row in rows) == tiny_network.MACS
    assert len(rows) == document["totals"]["nodes"]
    for people in ("table", "md"):
        assert f"total: {tiny_network.MACS:,} MACs" in done("profile", tiny, "--format", people)


def test_a_profile_has_the_requested_depth(tiny: Path) -> None:
    def paths(depth: int) -> set[str]:
        rows = csv.DictReader(io.StringIO(done("profile", tiny, "--format", "csv", "--depth", depth)))
        return {row["path"] for row in rows}

    assert paths(0) == {"tiny"}
    assert "attention" in paths(1)
    assert "attention.q" not in paths(1)
    assert "attention.q" in paths(2)


def test_the_catalog_is_listed_for_people_and_for_machines() -> None:
    table = done("graphs")
    document = json.loads(done("graphs", "--json"))
    assert document["schema"] == "onnxlens.catalog/1"
    assert [graph["name"] for graph in document["graphs"]] == list(catalog.names())
    assert [line.split()[0] for line in table.splitlines()[2:]] == list(catalog.names())


def test_a_check_that_holds_exits_with_0(tiny: Path) -> None:
    assert "all outputs agree" in done("check", tiny, *TINY)
    document = json.loads(done("check", tiny, *TINY, "--format", "json"))
    assert (document["schema"], document["passed"]) == ("onnxlens.parity/1", True)


def test_a_check_that_does_not_hold_exits_with_1_and_says_which_output(tiny: Path) -> None:
    outcome = onnxlens("check", tiny, *TINY, "--tolerance", "1e-12")
    assert (outcome.code, outcome.err) == (1, "")
    assert "the outputs do NOT agree" in outcome.out
    (row,) = [line for line in outcome.out.splitlines() if line.startswith("logits")]
    assert "FAIL" in row.split()
    document = json.loads(onnxlens("check", tiny, *TINY, "--tolerance", "1e-12", "--format", "json").out)
    assert document["passed"] is False


def test_a_foreign_file_is_checked_against_itself_unoptimised(tiny_copy: Path) -> None:
    tiny_copy.with_suffix(".json").unlink()
    document = json.loads(done("check", tiny_copy, "--against", "unoptimised", "--format", "json"))
    assert (document["reference"], document["passed"], document["weights"]) == ("unoptimised", True, "")


def test_an_unknown_operator_is_shown_and_with_strict_exits_with_1(odd: Path, tiny: Path) -> None:
    table = done("profile", odd)
    assert "unknown: 1 of 2 nodes" in table
    outcome = onnxlens("profile", odd, "--strict")
    assert outcome.code == 1
    assert outcome.out == table
    reason = "no rule for com.odd::Wobble; add one with onnxlens.rules.register"
    assert outcome.err == f"onnxlens: unknown nodes: 1 (first: {reason})\n"
    assert onnxlens("profile", tiny, "--strict").code == 0


def test_a_picture_is_written_and_named(tiny: Path, tmp_path: Path) -> None:
    assert done("render", tiny, "--out", tmp_path / "x.dot", "--depth", "1") == f"{tmp_path / 'x.dot'}\n"
    assert "TinyAttention" in (tmp_path / "x.dot").read_text(encoding="utf-8")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog of two networks that run in a moment."""
    small_catalog.install(monkeypatch)


def test_a_run_prints_the_summary_and_where_the_rest_is(small: None, tmp_path: Path) -> None:
    printed = done("run", "--out", tmp_path / "out", "--graphs", "second,first", "--quick", "--opset", "20")
    *table, last = printed.splitlines()
    assert last == f"everything is linked from {tmp_path / 'out' / 'index.md'}"
    assert table == (tmp_path / "out" / "summary.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in table[2:4]] == ["second", "first"]
    manifest = json.loads((tmp_path / "out" / "second" / "second.json").read_text(encoding="utf-8"))
    assert (manifest["opset"], manifest["settings"]["height"]) == (20, 128)


def test_without_graphviz_a_run_is_done_and_one_line_says_what_to_install(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = onnxlens("run", "--out", tmp_path / "out")
    assert outcome.code == 0
    (line,) = outcome.err.splitlines()
    assert line.startswith("onnxlens: Graphviz's dot is missing; install it (apt-get install graphviz)")
    for name in small_catalog.NAMES:
        names = small_catalog.names_in(tmp_path / "out" / name)
        assert {"flow.dot", "parity.json", "profile.json", "inputs.npz", f"{name}.onnx"} <= set(names)
        assert not {"flow.svg", "flow.png"} & set(names)
        assert f"[dot]({name}/flow.dot)" in (tmp_path / "out" / "index.md").read_text(encoding="utf-8")


def test_a_run_in_which_an_output_differs_exits_with_1(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_catalog.install(monkeypatch, tolerance=1e-12)
    outcome = onnxlens("run", "--out", tmp_path / "out", "--graphs", "first")
    assert (outcome.code, outcome.err) == (1, "")
    assert "\nfirst: differs: over the tolerance: logits\n" in outcome.out


def test_a_run_in_which_a_graph_fails_exits_with_1_after_the_others(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / "first").mkdir(parents=True)
    (tmp_path / "out" / "first" / "thesis.txt").write_text("mine", encoding="utf-8")
    outcome = onnxlens("run", "--out", tmp_path / "out")
    assert (outcome.code, outcome.err) == (1, "")
    results = [line.split()[-2:] for line in outcome.out.splitlines()[2:4]]
    assert results == [["-", "failed"], ["done", "second/"]]
    assert "\nfirst: failed: " in outcome.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--graphs", "frist,second"), "unknown graph 'frist': did you mean 'first'? "),
        (("--out", "{taken}/out"), "cannot be written"),
    ],
)
def test_a_run_that_cannot_begin_exits_with_2_in_one_line(
    arguments: tuple[str, str], said: str, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("x", encoding="utf-8")
    option, value = arguments
    outcome = onnxlens("run", option, value.format(taken=tmp_path / "taken"))
    assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (2, "", 1)
    assert said in outcome.err
    assert small_catalog.names_in(tmp_path) == ["taken"]


def test_a_fault_of_the_program_exits_with_3_and_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a wheel came off")

    monkeypatch.setattr(api, "list_graphs", broken)
    outcome = onnxlens("graphs")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.startswith("Traceback (most recent call last):\n")
    assert "RuntimeError: a wheel came off\n" in outcome.err
    assert outcome.err.endswith("this is a fault of the program; please report the lines above\n")


def test_an_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "list_graphs", interrupted)
    outcome = onnxlens("graphs")
    assert (outcome.code, outcome.out) == (130, "")
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("verb", [[], ["export"], ["profile"], ["check"], ["render"], ["graphs"], ["run"]])
def test_every_verb_explains_itself(verb: list[str]) -> None:
    for option in ("--help", "-h"):
        assert done(*verb, option).startswith(f"Usage: onnxlens {' '.join(verb)}".rstrip())


def test_the_program_alone_prints_its_help_and_exits_with_2() -> None:
    outcome = onnxlens()
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Usage: onnxlens [OPTIONS] COMMAND")
