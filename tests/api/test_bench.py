"""Benchmarks of networks that run in a moment: what holds for any measured times."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

import onnxlens as api
from onnxlens.errors import CheckpointError, ToolError, UsageError
from onnxlens.profile.runtime import peaks
from onnxlens.reports.tables.bench import bench_table
from onnxlens.specs.bench import BenchReport, BenchRequest
from tests.export import tiny
from tests.profile.graph.test_optimized_files import drawn
from tests.profile.models import IR_VERSION, integers, op, save, value
from tests.specs import samples
from tests.trust import trusted

QUICK = BenchRequest(runs=3, warmup=1)


@pytest.fixture(autouse=True)
def small_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "SIDES", {"cpu": 32})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.export_graph(tiny.TARGET, tmp_path_factory.mktemp("tiny")).onnx_path


@pytest.mark.parametrize("level", ["disabled", "all"])
def test_all_of_the_time_of_a_network_of_ours_has_a_module(level: str, exported: Path) -> None:
    report = api.bench_graph(exported, request=replace(QUICK, level=level, threads=1))
    assert (report.provider, report.level, report.threads, report.dtype) == ("cpu", level, 1, "float32")
    for latency in (report.latency, report.profiled):
        assert (latency.runs, latency.warmup, latency.device) == (3, 1, report.machine["processor"])
    assert report.profiled.unattributed == 0
    assert all(node.module_path is not None for node in report.nodes)
    root = report.modules[0]
    assert (root.path, root.time.macs) == ("", tiny.MACS)
    assert root.time.median_s == pytest.approx(report.node_sum_s)
    assert {"conv", "attention.q", "head"} <= {module.path for module in report.modules}
    assert sum(row.nodes for row in report.operators) == len(report.nodes)
    assert report.memory.peak_bytes and "arena" in report.memory.method
    assert (report.eager, report.compiled) == (None, None)


def test_without_optimization_nodes_are_those_of_the_file(exported: Path) -> None:
    report = api.bench_graph(exported, request=replace(QUICK, level="disabled"))
    assert {node.kind for node in report.nodes} == {"node"}
    assert all(node.sources == (node.node,) for node in report.nodes)


def test_pytorch_is_timed_too_with_the_same_threads(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda module: module)
    report = api.bench_graph(exported, trusted(exported), replace(QUICK, threads=1, against_torch=True))
    assert report.eager is not None and report.compiled is not None
    assert (report.eager.provider, report.eager.runs, report.eager.warmup) == ("torch", 3, 1)


def test_a_compiler_that_fails_is_in_the_notes(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(module: Any) -> Any:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", failing)
    report = api.bench_graph(exported, trusted(exported), replace(QUICK, against_torch=True))
    assert report.eager is not None and report.compiled is None
    assert "torch.compile did not work here: RuntimeError: no compiler here" in report.notes


def test_a_factorys_graph_is_exported_with_weights_first() -> None:
    report = api.bench_graph(tiny.TARGET, request=QUICK)
    assert (report.weights, report.source) == ("seeded", "tiny.onnx")
    with pytest.raises(UsageError, match="cannot run without weights"):
        api.bench_graph(tiny.TARGET, api.Settings(weights="none"), QUICK)


def save_product(folder: Path, rows: int | str, element: int = TensorProto.FLOAT) -> Path:
    """A foreign file: x (rows, 8) times a weight."""
    dtype = helper.tensor_dtype_to_np_dtype(element)
    ends = [helper.make_tensor_value_info(name, element, [rows, 8]) for name in "xy"]
    weight = numpy_helper.from_array(np.ones((8, 8), dtype), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    graph = helper.make_graph([node], "theirs", ends[:1], ends[1:], [weight])
    opsets = [helper.make_opsetid("", 18)]
    path = folder / "theirs.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), path)
    return path


def test_dynamic_sizes_must_be_fixed(tmp_path: Path) -> None:
    path = save_product(tmp_path, "batch")
    with pytest.raises(UsageError, match=r"input 'x' .* fix it with --shape or --dim"):
        api.bench_graph(path, request=QUICK)
    report = api.bench_graph(path, api.Settings(dims={"batch": 5}), QUICK)
    assert report.modules[0].time.macs == 5 * 8 * 8
    assert report.attribution == "none"


def test_half_precision_is_compared_with_a_half_precision_matmul_peak(tmp_path: Path) -> None:
    report = api.bench_graph(save_product(tmp_path, 4, TensorProto.FLOAT16), request=QUICK)
    assert (report.dtype, report.matrix_product.dtype) == ("float16", "float16")


def test_time_inside_a_loop_counts_once(tmp_path: Path) -> None:
    body = helper.make_graph(
        [op("Identity", "go", "still"), op("Add", "before before", "after")],
        "body",
        [value("turn", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("before", (64, 64))],
        [value("still", (), TensorProto.BOOL), value("after", (64, 64))],
    )
    always = numpy_helper.from_array(np.array(True), "always")
    nodes = [op("Loop", "trip_count always x", "y", body=body)]
    ends = [value("x", (64, 64))], [value("y", (64, 64))]
    path = save(tmp_path, nodes, *ends, [integers("trip_count", 50), always])
    report = api.bench_graph(path, request=QUICK)
    assert {row.op_type for row in report.operators} >= {"Loop", "Add"}
    assert report.node_sum_s < report.profiled.p90_s  # 51 nodes inside one: twice their time would be more


def test_pytorch_needs_to_know_the_module(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"theirs\.onnx: --against torch needs an export of onnxlens"):
        api.bench_graph(save_product(tmp_path, 4), request=replace(QUICK, against_torch=True))


def test_pytorch_needs_the_weights(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported.parent, tmp_path / "copy")
    (tmp_path / "copy" / "tiny.onnx.data").unlink()
    with pytest.raises(CheckpointError, match="it holds the weights of tiny.onnx"):
        api.bench_graph(tmp_path / "copy" / "tiny.onnx", request=replace(QUICK, against_torch=True))


def noisy(**changed: Any) -> tuple[str, ...]:
    return replace(samples.BENCH, **changed).noise


def test_noise_is_a_wide_spread_or_more_load_than_cores() -> None:
    steady = samples.BENCH.latency
    wide = replace(steady, p10_s=0.1, p90_s=0.2)
    assert noisy() == ()
    assert noisy(latency=wide) == ("p90 is 2.00 times p10 with profiling off",)
    assert noisy(profiled=replace(wide, unattributed=0.25)) == ("p90 is 2.00 times p10 with profiling on",)
    assert noisy(latency=replace(steady, p10_s=0.1, median_s=0.1, p90_s=0.13)) == ()  # 1.3 times is allowed
    assert noisy(load_before=2.0) == ()  # as much as there are cores
    assert noisy(load_before=2.1, load_after=3.0) == (
        "load average 2.1 before on 2 cores", "load average 3.0 after on 2 cores",
    )  # fmt: skip


def test_the_load_is_that_of_the_machine(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = iter([(99.0, 0, 0), (1.0, 0, 0), (0.5, 0, 0)])
    monkeypatch.setattr(os, "getloadavg", lambda: next(loads))  # before, for the machine's line, after
    report: BenchReport = api.bench_graph(exported, request=QUICK)
    assert (report.load_before, report.load_after) == (99.0, 0.5)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have a CUDA device")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_missing_device_is_reported_before_anything_is_exported(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxlens.export.exporter.export", lambda *_: pytest.fail("exported"))
    with pytest.raises(ToolError, match=f"provider '{provider}' is not available"):
        api.bench_graph("clip-text", request=replace(QUICK, provider=provider))


@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs a CUDA device")
def test_cuda_runs_on_the_device_and_says_what_its_node_times_are(exported: Path) -> None:
    report = api.bench_graph(exported, request=replace(QUICK, provider="cuda"))
    assert report.device != report.machine["processor"]
    assert "NVML" in report.memory.method
    assert any("the host spent in each node" in note for note in report.notes)


def test_times_alone_need_no_matmul_peak(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for peak in ("matmul_peak", "convolution_peak"):
        monkeypatch.setattr(f"onnxlens.api.bench.{peak}", lambda *_: pytest.fail("measured"))
    report = api.bench_graph(exported, request=replace(QUICK, matmul_peak=False))
    assert report.matrix_product is None
    assert all(module.time.median_s > 0 for module in report.modules if module.order)
    assert {module.time.share_of_best for module in report.modules if module.time} == {None}
    assert "matmul peak" not in bench_table(report)


WIDTH = 64


def save_steps(folder: Path, node: NodeProto, *inputs: ValueInfoProto) -> Path:
    """A file of one If or Loop over x (8, 64) and square weights."""
    weights = [*drawn({"w1": (WIDTH, WIDTH), "w2": (WIDTH, WIDTH)})]
    always = numpy_helper.from_array(np.array(True), "always")
    ends = [value("x", (8, WIDTH)), *inputs], [value("y", (8, WIDTH))]
    return save(folder, [node], *ends, [*weights, always])


def bench_with(path: Path, **arrays: Any) -> BenchReport:
    """Benchmark a file on these inputs; those that are not given are drawn."""
    given = path.with_name("given.npz")
    np.savez(given, **arrays)
    return api.bench_graph(path, api.Settings(inputs=given), QUICK)


@pytest.mark.parametrize("turns", [0, 1, 5])
def test_macs_in_a_loop_are_those_of_the_turns_that_it_took(tmp_path: Path, turns: int) -> None:
    given = [value("turn", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("b", (8, WIDTH))]
    nodes = [op("Identity", "go", "still"), op("MatMul", "b w1", "a")]
    body = helper.make_graph(
        nodes, "body", given, [value("still", (), TensorProto.BOOL), value("a", (8, WIDTH))]
    )
    count = value("count", (), TensorProto.INT64)
    path = save_steps(tmp_path, op("Loop", "count always x", "y", body=body), count)
    # the value is fed, but does not decide anything before the run: the file counts one turn
    report = bench_with(path, count=np.array(turns))
    assert report.modules[0].time.macs == turns * 8 * WIDTH * WIDTH
    rates = {node.op_type: node.time.macs for node in report.nodes}
    assert rates.get("MatMul", 0) == turns * 8 * WIDTH * WIDTH
    assert rates["Loop"] == 0


def test_macs_of_rounds_with_shapes_of_their_own_are_those_of_all_rounds(tmp_path: Path) -> None:
    given = [value("turn", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("b", None)]
    nodes = [
        op("Identity", "go", "still"),
        op("MatMul", "b w1", "a"),
        op("Concat", "a x", "c", axis=0),
    ]
    body = helper.make_graph(nodes, "body", given, [value("still", (), TensorProto.BOOL), value("c", None)])
    path = save_steps(tmp_path, op("Loop", "three always x", "y", body=body))
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.array(3), "three"))
    model.graph.output[0].CopyFrom(value("y", (32, WIDTH)))
    onnx.save(model, path)
    report = api.bench_graph(path, request=QUICK)
    assert report.modules[0].time.macs == (8 + 16 + 24) * WIDTH * WIDTH  # as many rows, and 8 more each time


def test_a_ledger_says_where_its_macs_are_not_those_that_ran(tmp_path: Path) -> None:
    given = [value("turn", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("b", (8, WIDTH))]
    nodes = [op("Identity", "go", "still"), op("MatMul", "b w1", "a")]
    made = [value("still", (), TensorProto.BOOL), value("a", (8, WIDTH))]
    body = helper.make_graph(nodes, "body", given, made)
    count = value("count", (), TensorProto.INT64)
    path = save_steps(tmp_path, op("Loop", "count always x", "y", body=body), count)
    arrays = tmp_path / "given.npz"
    np.savez(arrays, count=np.array(3))
    one = 8 * WIDTH * WIDTH
    counted = api.measure_graph(path, api.Settings(inputs=arrays), latency=True).notes
    (note,) = (note for note in counted if note.startswith(f"{3 * one:,} MACs ran, and {one:,} are counted"))
    observed = api.measure_graph(path, api.Settings(inputs=arrays, run=True), latency=True).notes
    assert not any("are counted" in told for told in observed)


@pytest.mark.parametrize("taken", [True, False])
def test_macs_of_an_if_are_those_of_the_branch_that_it_took(tmp_path: Path, taken: bool) -> None:
    two = [op("MatMul", "x w1", "m"), op("MatMul", "m w2", "r")]
    then = helper.make_graph(two, "two", [], [value("r", (8, WIDTH))])
    other = helper.make_graph([op("MatMul", "x w2", "s")], "one", [], [value("s", (8, WIDTH))])
    node = op("If", "flag", "y", then_branch=then, else_branch=other)
    path = save_steps(tmp_path, node, value("flag", (), TensorProto.BOOL))
    report = bench_with(path, flag=np.array(taken))
    assert report.modules[0].time.macs == (2 if taken else 1) * 8 * WIDTH * WIDTH
    assert not any("then_branch counts" in note for note in report.notes)


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize(("weights", "module"), [("w1 w2", ""), ("b.up b.down", "b"), ("a.up b.up", None)])
def test_branches_that_look_the_same_are_one_if_they_are_of_one_module(
    tmp_path: Path, weights: str, module: str | None, taken: bool
) -> None:
    bodies = {
        name: helper.make_graph([op("MatMul", f"x {weight}", "r")], name, [], [value("r", (8, WIDTH))])
        for name, weight in zip(("then_branch", "else_branch"), weights.split(), strict=True)
    }
    held = drawn(dict.fromkeys(weights.split(), (WIDTH, WIDTH)))
    ends = [value("x", (8, WIDTH)), value("flag", (), TensorProto.BOOL)], [value("y", (8, WIDTH))]
    report = bench_with(save(tmp_path, [op("If", "flag", "y", **bodies)], *ends, held), flag=np.array(taken))
    macs = None if module is None else 8 * WIDTH * WIDTH
    assert report.modules[0].time.macs == macs
    assert {node.op_type: node.time.macs for node in report.nodes} == {"If": 0, "MatMul": macs}
    (product,) = (node for node in report.nodes if node.op_type == "MatMul")
    assert product.module_path == (module or "")
    assert any("node_y: its branches look the same" in note for note in report.notes) == (module is None)


def test_a_small_file_imports_no_torch_and_measures_the_peak_once(tmp_path: Path) -> None:
    path = save_product(tmp_path, 4)
    program = (
        "import sys, onnxlens\n"
        "from onnxlens.specs.bench import BenchRequest\n"
        f"peaks = [onnxlens.bench_graph({str(path)!r}, request=BenchRequest(runs=1)).matrix_product "
        "for _ in range(2)]\n"
        "print('torch' in sys.modules, peaks[0] is peaks[1])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]
