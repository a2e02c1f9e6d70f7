"""The main job: its files are complete, agree with each other and PyTorch, and a fault affects one graph."""

from __future__ import annotations

import csv
import io
import json
import re
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from torch import nn

import onnxlens as api
from onnxlens.api import check as comparison
from onnxlens.api import run as main_job
from onnxlens.errors import ExportError, UsageError
from onnxlens.reference_model import catalog
from onnxlens.specs.summary import Job, RunSummary
from tests import small_catalog
from tests.export import tiny
from tests.small_catalog import names_in

SIDE = 128
# by block: side, then (channels in, channels out) of its 3x3 convolutions; each block ends in a 1x1
HED_BLOCKS = (
    (SIDE, ((3, 64), (64, 64))),
    (SIDE // 2, ((64, 128), (128, 128))),
    (SIDE // 4, ((128, 256), (256, 256), (256, 256))),
    (SIDE // 8, ((256, 512), (512, 512), (512, 512))),
    (SIDE // 16, ((512, 512), (512, 512), (512, 512))),
)
HED_MACS = sum(
    side**2 * (sum(9 * inner * outer for inner, outer in convs) + convs[-1][1]) for side, convs in HED_BLOCKS
)
HED_PARAMS = 3 + sum(
    sum(9 * inner * outer + outer for inner, outer in convs) + convs[-1][1] + 1 for _, convs in HED_BLOCKS
)


def links_of(page: Path) -> list[Path]:
    """The files that a Markdown page links to and shows."""
    return [page.parent / link for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))]


def document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def weights_in(path: Path) -> Mapping[str, np.ndarray]:
    """The initializers of an exported file, read by onnx."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


@pytest.fixture(scope="module")
def hed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunSummary]:
    """The soft-edge network at the quick size, with seeded weights: the folder and the summary."""
    out = tmp_path_factory.mktemp("main-job") / "out"
    return out, api.run_reference(Job(out, ("hed",), quick=True))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog of two networks that run in a moment."""
    small_catalog.install(monkeypatch)


def test_macs_and_params_are_those_of_the_convolutions(hed: tuple[Path, RunSummary]) -> None:
    out, summary = hed
    (graph,) = summary.graphs
    assert (HED_MACS, HED_PARAMS) == (80_210_296_832 // 16, 14_716_168)
    assert (graph.macs, graph.params, graph.unknown_nodes) == (HED_MACS, HED_PARAMS, 0)
    totals = document(out / "hed" / "profile.json")["totals"]
    assert (totals["macs"], totals["params"]) == (HED_MACS, HED_PARAMS)


def test_every_file_that_is_named_is_there_and_no_other(hed: tuple[Path, RunSummary]) -> None:
    out, summary = hed
    (graph,) = summary.graphs
    named = {out / file for file in graph.files.values()}
    assert named == set((out / "hed").iterdir())
    assert all(path.stat().st_size for path in named)
    assert names_in(out) == ["hed", "index.md", *(f"summary.{end}" for end in ("csv", "json", "md", "txt"))]


def test_every_link_of_the_index_leads_to_a_file_and_every_file_is_linked(
    hed: tuple[Path, RunSummary],
) -> None:
    out, summary = hed
    links = links_of(out / "index.md")
    assert [link for link in links if not link.is_file()] == []
    files = {path for path in out.rglob("*") if path.is_file()}
    assert files - set(links) == {out / "index.md", out / "summary.md"}  # the page shows summary.md itself


def test_the_picture_is_shown_on_the_index(hed: tuple[Path, RunSummary], dot: str) -> None:
    page = (hed[0] / "index.md").read_text(encoding="utf-8")
    assert "![data flow of hed](hed/flow.svg)" in page
    assert (hed[0] / "hed" / "flow.png").read_bytes().startswith(b"\x89PNG")


def test_the_summaries_agree_in_their_figures(hed: tuple[Path, RunSummary]) -> None:
    out, summary = hed
    (graph,) = summary.graphs
    assert graph.worst
    assert graph.latency
    (row,) = csv.DictReader(io.StringIO((out / "summary.csv").read_text(encoding="utf-8")))
    (entry,) = document(out / "summary.json")["graphs"]
    for title, exact in {
        "graph": entry["graph"], "result": entry["outcome"], "opset": entry["opset"], "nodes": entry["nodes"],
        "MACs": entry["macs"], "params": entry["params"], "latency": entry["latency"]["median_s"],
        "relative L2": entry["worst"]["rel_l2"], "max abs error": entry["worst"]["max_abs"],
    }.items():  # fmt: skip
        assert row[title] == str(exact), title
    assert (entry["macs"], entry["worst"]["rel_l2"]) == (graph.macs, graph.worst.rel_l2)
    shown = ["5.01 G", "14.72 M", f"{graph.worst.rel_l2:.1e}", f"{1000 * graph.latency.median_s:,.0f} ms"]
    for name in ("summary.txt", "summary.md", "index.md"):
        text = (out / name).read_text(encoding="utf-8")
        (line,) = [line for line in text.splitlines() if line.lstrip("| ").startswith("hed ")]
        assert [figure for figure in shown if figure not in line] == [], name
        assert f"onnxruntime: {ort.__version__}" in text


def test_every_output_agrees_with_pytorch_and_none_is_zero(hed: tuple[Path, RunSummary]) -> None:
    out, summary = hed
    parity = document(out / "hed" / "parity.json")
    assert (parity["passed"], parity["reference"], parity["weights"]) == (True, "pytorch", "seeded")
    assert [row["tensor"] for row in parity["outputs"]] == [f"edge_{index}" for index in range(1, 6)]
    assert all(row["passed"] and row["rel_l2"] < 1e-5 for row in parity["outputs"])
    assert all(row["reference_max_abs"] > 0.1 for row in parity["outputs"])
    assert summary.graphs[0].worst
    assert summary.graphs[0].worst.rel_l2 == max(row["rel_l2"] for row in parity["outputs"])


def test_anyone_can_repeat_the_comparison_from_the_files(hed: tuple[Path, RunSummary]) -> None:
    out, _ = hed
    inputs = dict(np.load(out / "hed" / "inputs.npz"))
    session = ort.InferenceSession(out / "hed" / "hed.onnx", providers=["CPUExecutionProvider"])
    outputs = session.run(None, inputs)
    spec = catalog.get("hed", height=SIDE, width=SIDE)
    module = spec.build(device="cpu")
    state = {name: torch.from_numpy(value) for name, value in small_catalog.seeded_state(spec).items()}
    module.load_state_dict(state)
    with torch.inference_mode():
        expected = module(torch.from_numpy(inputs["image"]))
    assert len(outputs) == len(expected) == 5
    for value, reference in zip(outputs, expected, strict=True):
        difference = np.linalg.norm(value - reference.numpy()) / np.linalg.norm(reference.numpy())
        assert 0 <= difference < 1e-5


def test_a_folder_of_published_checkpoints_is_read_by_name_and_half_precision_is_widened(
    tmp_path: Path,
) -> None:
    state = small_catalog.half_checkpoint(catalog.get("hed"))
    torch.save(state, tmp_path / "ControlNetHED.pth")
    summary = api.run_reference(Job(tmp_path / "out", ("hed",), tmp_path, quick=True))
    (graph,) = summary.graphs
    assert (graph.outcome, graph.reason) == ("done", "")
    assert graph.weights.startswith("ControlNetHED.pth")
    written = weights_in(tmp_path / "out" / "hed" / "hed.onnx")
    for key in ("norm", "block1.convs.0.weight", "block5.projection.bias"):
        assert written[key].dtype == np.float32
        assert np.array_equal(written[key], state[key].float().numpy())


@pytest.mark.parametrize("kind", ["file", "folder", "safetensors copy"])
def test_weights_come_from_a_file_or_from_the_folder_that_holds_it(
    kind: str, small: None, tmp_path: Path
) -> None:
    spec = catalog.get("first")
    state = small_catalog.half_checkpoint(spec)
    name = "tiny.safetensors" if kind == "safetensors copy" else "tiny.pth"
    if kind == "safetensors copy":
        save_file(state, tmp_path / name)
    else:
        torch.save(state, tmp_path / name)
    if kind == "folder":  # the first of the published names that is there is taken
        (tmp_path / "tiny.safetensors").write_text("not the first choice", encoding="utf-8")
    weights = tmp_path / name if kind == "file" else tmp_path
    (graph,) = api.run_reference(Job(tmp_path / "out", ("first",), weights)).graphs
    assert (graph.outcome, graph.reason) == ("done", "")
    assert graph.weights.startswith(name)
    written = weights_in(tmp_path / "out" / "first" / "first.onnx")["conv.weight"]
    assert np.array_equal(written, state["tiny.conv.weight"].float().numpy())


def test_the_first_published_name_that_is_there_is_taken() -> None:
    expected = catalog.checkpoint_names("sd-unet")
    assert (expected[0], expected[8]) == ("control_sd15_canny.pth", "v1-5-pruned.ckpt")
    assert (expected[9], expected[-1]) == ("control_sd15_canny.safetensors", "v1-5-pruned.safetensors")
    assert len(expected) == 2 * 9
    assert catalog.checkpoint_names("hed") == ("ControlNetHED.pth", "ControlNetHED.safetensors")


def test_pytorch_runs_first_and_its_module_is_gone_when_the_session_opens(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    modules: list[weakref.ref[nn.Module]] = []
    run_module, open_session = comparison.run_module, main_job.open_session

    def recorded_run(module: nn.Module, *arguments: Any) -> Mapping[str, np.ndarray]:
        modules.append(weakref.ref(module))
        events.append("pytorch")
        return run_module(module, *arguments)

    def recorded_open(*arguments: Any) -> ort.InferenceSession:
        events.append(f"session, modules: {[ref() is not None for ref in modules]}")
        return open_session(*arguments)

    monkeypatch.setattr(comparison, "run_module", recorded_run)
    monkeypatch.setattr(main_job, "open_session", recorded_open)
    assert api.run_reference(Job(tmp_path, ("first",))).succeeded
    assert events == ["pytorch", "session, modules: [False]"]


def test_the_watch_receives_every_graph_and_every_step_in_order(small: None, tmp_path: Path) -> None:
    said: list[str] = []

    def watch(graph: str, position: int, count: int) -> Any:
        said.append(f"{graph} {position}/{count}")
        return lambda step, done, total: said.append(step) if step and step not in said[-1:] else None

    api.run_reference(Job(tmp_path), watch)
    steps = said[1 : said.index("second 2/2")]
    assert said[0] == "first 1/2"
    assert said == ["first 1/2", *steps, "second 2/2", *steps]
    wanted = ["tracing", "simplifying", "checking", "counting", "drawing", "running PyTorch",
              "running ONNX Runtime", "timing ONNX Runtime"]  # fmt: skip
    assert [step for step in steps if step in wanted] == wanted


def test_a_graph_for_structure_is_counted_and_drawn_without_weights(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dot: str
) -> None:
    small_catalog.install(monkeypatch, structure_only=True)
    graph, other = api.run_reference(Job(tmp_path)).graphs
    assert (graph.outcome, graph.weights, other.weights) == ("done", "none", "seeded")
    assert (graph.macs, graph.params) == (tiny.MACS, tiny.PARAMS + tiny.UNUSED_PARAMS)
    assert (graph.worst, graph.latency) == (None, None)
    assert not {"first.onnx.data", "inputs.npz", "parity.json"} & set(names_in(tmp_path / "first"))
    assert {"first.onnx", "flow.svg", "flow.png", "profile.json"} <= set(names_in(tmp_path / "first"))
    assert other.worst


def test_a_rerun_replaces_the_folder_as_a_whole(small: None, tmp_path: Path) -> None:
    api.run_reference(Job(tmp_path, ("first",)))
    before = names_in(tmp_path / "first")
    (tmp_path / "first" / "stray.txt").write_text("x", encoding="utf-8")
    (tmp_path / "first" / "flow.svg").write_text("an old picture", encoding="utf-8")
    assert api.run_reference(Job(tmp_path, ("first",))).succeeded
    assert names_in(tmp_path / "first") == before
    picture = tmp_path / "first" / "flow.svg"
    assert not picture.exists() or "an old picture" not in picture.read_text(encoding="utf-8")


def test_a_folder_of_other_files_is_left_as_it_was_and_the_next_graph_runs(
    small: None, tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "thesis.txt").write_text("mine", encoding="utf-8")
    summary = api.run_reference(Job(tmp_path))
    assert [graph.outcome for graph in summary.graphs] == ["failed", "done"]
    assert "first: holds files that are not of an earlier run" in summary.graphs[0].reason
    assert names_in(tmp_path / "first") == ["thesis.txt"]
    assert (tmp_path / "first" / "thesis.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("fault", [ExportError("no\nway"), ValueError("no\nway")])
def test_a_graph_that_fails_leaves_one_line_no_old_result_and_the_next_graph_runs(
    fault: Exception, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "first.json").write_text("of an earlier run", encoding="utf-8")
    original = main_job.sample_inputs
    calls: list[int] = []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise fault
        return original(*arguments)

    monkeypatch.setattr(main_job, "sample_inputs", failing)
    summary = api.run_reference(Job(tmp_path))
    failed, done = summary.graphs
    assert (failed.outcome, done.outcome, summary.succeeded) == ("failed", "done", False)
    assert failed.reason == ("no way" if isinstance(fault, ExportError) else "ValueError: no way")
    assert (dict(failed.files), failed.outputs, failed.worst) == ({}, (), None)
    assert failed.seconds > 0
    assert not (tmp_path / "first").exists()
    assert names_in(tmp_path) == [
        "index.md",
        "second",
        *(f"summary.{s}" for s in ("csv", "json", "md", "txt")),
    ]
    assert [link for link in links_of(tmp_path / "index.md") if not link.is_file()] == []
    lines = (tmp_path / "summary.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "no way" in line] == [f"first: failed: {failed.reason}"]


def test_a_weights_folder_without_the_checkpoint_fails_that_graph_and_names_the_file(
    small: None, tmp_path: Path
) -> None:
    (tmp_path / "weights").mkdir()
    (graph,) = api.run_reference(Job(tmp_path / "out", ("first",), tmp_path / "weights")).graphs
    assert graph.outcome == "failed"
    assert graph.reason == (
        f"{tmp_path / 'weights'}: holds no checkpoint of first; "
        "put one of other.pth, tiny.pth, other.safetensors, tiny.safetensors there"
    )
    assert not (tmp_path / "out" / "first").exists()


def test_an_output_over_the_tolerance_differs_and_keeps_its_files(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_catalog.install(monkeypatch, tolerance=1e-12)
    summary = api.run_reference(Job(tmp_path, ("first",)))
    (graph,) = summary.graphs
    assert (graph.outcome, graph.reason, summary.succeeded) == (
        "differs", "over the tolerance: logits", False,
    )  # fmt: skip
    assert document(tmp_path / "first" / "parity.json")["passed"] is False
    assert "**differs**: over the tolerance: logits" in (tmp_path / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_not_a_folder_at_a_graphs_path_is_refused_before_its_export(
    kind: str, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out" / "first"
    path.parent.mkdir()
    if kind == "file":
        path.write_text("mine", encoding="utf-8")
    else:
        path.symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.setattr("onnxlens.export.exporter.export", lambda *_: pytest.fail("nothing may be exported"))
    (graph,) = api.run_reference(Job(path.parent, ("first",))).graphs
    assert graph.reason == f"{path}: is in the way, and no folder; choose another --out"
    assert path.is_file() or path.is_symlink()


@pytest.mark.parametrize(("graphs", "below"), [(("first", "thrid"), "out"), ((), "taken/out")])
def test_what_can_be_known_beforehand_is_refused_before_any_work(
    graphs: tuple[str, ...], below: str, small: None, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("x", encoding="utf-8")

    def watch(*_: object) -> Any:
        pytest.fail("no graph may be begun")

    with pytest.raises(UsageError, match="thrid|cannot be written"):
        api.run_reference(Job(tmp_path / below, graphs), watch)
    assert names_in(tmp_path) == ["taken"]
