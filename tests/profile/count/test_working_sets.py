"""What a module takes if it runs alone: held to the module as a file of its own, and to counts by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnxlens as api
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.count.liveness import WorkingSets
from onnxlens.profile.count.working_sets import with_working_sets
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from tests.profile.models import op, save, save_net, value, weight

MAP = 4 * 8 * 8 * 4
"""Bytes of a map of four channels of the net."""


def test_the_model_alone_takes_its_peak_and_its_weights(hed: Graph, clip_text: Graph) -> None:
    for graph in (hed, clip_text):
        ledger = build_ledger(graph)
        root = with_working_sets(ledger, graph).modules[0]
        assert root.working_bytes == ledger.totals.peak_live_bytes + ledger.totals.resident_weight_bytes


def test_a_module_takes_what_its_own_file_takes(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    graph = load_graph(path)
    found = {module.path: module for module in with_working_sets(build_ledger(graph), graph).modules}
    for module in ("stem", "body.0", "body.0.conv", "head"):
        api.extract_module(path, module, tmp_path / f"{module}.onnx", api.Settings(weights="none"))
        totals = api.profile_graph(tmp_path / f"{module}.onnx").totals
        assert found[module].working_bytes == totals.peak_live_bytes + totals.resident_weight_bytes, module


def test_what_waits_elsewhere_is_not_the_modules_own(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "skip", ""), op("Neg", "skip", "a", ""), op("Abs", "a", "b", "block"),
             op("Sqrt", "b", "c", "block"), op("Add", "c skip", "y", "")]  # fmt: skip
    path = save(
        tmp_path, nodes, [value("x", (10,))], [value("y", (10,))], between=[value(n, (10,)) for n in "abc"]
    )
    graph = load_graph(path)
    ledger = with_working_sets(build_ledger(graph), graph)
    block = next(module for module in ledger.modules if module.path == "block")
    assert (block.live_bytes, block.working_bytes) == (3 * 40, 2 * 40)  # a b | b c, and skip waits


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 16), ("int8", 8), ("int4", 4), ("", 32)])
def test_floats_may_be_held_in_another_dtype(dtype: str, bits: int, tmp_path: Path) -> None:
    graph = load_graph(save_net(tmp_path))
    found = {m.path: m.working_bytes for m in with_working_sets(build_ledger(graph), graph, dtype).modules}
    # of the branch: what it reads, its 1 x 1 weights of 4 x 4 channels, what it makes
    assert found["body.0.conv"] == (2 * MAP // 4 + 16) * bits // 8


def test_indices_keep_their_own_dtype(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Gather", "table i", "y", "")], [value("i", (6,), 7)], [value("y", (6, 10))],
                [weight("table", 20, 10)])  # fmt: skip
    graph = load_graph(path)
    (root,) = with_working_sets(build_ledger(graph), graph, "int8").modules
    assert root.working_bytes == 6 * 8 + 6 * 10 + 20 * 10


def test_a_size_that_is_not_known_makes_a_lower_bound(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Relu", "x", "a", "one"), op("Neg", "a", "y", "two")], [value("x", ("n", 4))],
                [value("y", ("n", 4))])  # fmt: skip
    graph = load_graph(path)
    ledger = with_working_sets(build_ledger(graph), graph)
    assert all("working_bytes" in (module.lower_bounds or ()) for module in ledger.modules)
    assert WorkingSets(graph).of("one") == (0, True)


@pytest.mark.parametrize("dtype", ["", "int8"])
def test_no_module_takes_more_than_the_network_holds_then_and_its_weights(dtype: str, hed: Graph) -> None:
    for module in with_working_sets(build_ledger(hed), hed, dtype).modules:
        assert module.working_bytes is not None
        assert module.working_bytes <= module.live_bytes + module.resident_weight_bytes, module.path


def test_weights_and_what_is_alive_are_of_the_same_dtype_as_the_working_set(tmp_path: Path) -> None:
    graph = load_graph(save_net(tmp_path))
    plain = build_ledger(graph)
    small = with_working_sets(plain, graph, "int8")
    totals = small.totals
    assert (4 * totals.peak_live_bytes, 4 * totals.resident_weight_bytes) == (
        plain.totals.peak_live_bytes, plain.totals.resident_weight_bytes,
    )  # fmt: skip
    assert small.modules[0].working_bytes == totals.peak_live_bytes + totals.resident_weight_bytes
    assert totals.moved_bytes == plain.totals.moved_bytes  # what is moved stays the file's


def test_a_module_that_runs_twice_holds_one_run_at_a_time(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a", "act"), op("Neg", "a", "b", "one"), op("Relu", "b", "c", "act"),
             op("Abs", "c", "y", "two")]  # fmt: skip
    path = save(tmp_path, nodes, [value("x", (10,))], [value("y", (10,))])
    graph = load_graph(path)
    # x a, then b c: b is made after the first run, and a is read before the second
    assert WorkingSets(graph).of("act") == (2 * 40, False)


def test_what_waits_from_one_run_to_the_next_is_the_modules(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a", "act"), op("Neg", "a", "b", "one"), op("Relu", "b", "c", "act"),
             op("Add", "a c", "y", "two")]  # fmt: skip
    graph = load_graph(save(tmp_path, nodes, [value("x", (10,))], [value("y", (10,))]))
    assert WorkingSets(graph).of("act") == (3 * 40, False)  # x a, then a b c


def test_views_of_one_tensor_that_come_in_are_one(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a", "stem"), op("Identity", "a", "v", "stem"), op("Add", "a v", "y", "sum")]
    graph = load_graph(save(tmp_path, nodes, [value("x", (10,))], [value("y", (10,))]))
    assert WorkingSets(graph).of("sum") == (2 * 40, False)  # a y
