"""Modules taken apart add up again: all of them to the totals, any of them to their nodes, each once."""

from __future__ import annotations

import random
from collections.abc import Collection
from pathlib import Path

import pytest

import onnxlens as api
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.reference_model import catalog
from onnxlens.specs.groups import Parts
from onnxlens.specs.ledger import Ledger, ModuleCost
from onnxlens.specs.measured import ModuleTiming
from tests.profile.models import ledger_of, save_net

SUMMED = ("macs", "vector_ops", "special_ops", "weight_read_bytes", "read_bytes", "write_bytes")


def require_whole(ledger: Ledger) -> None:
    """Own costs over all modules are the totals to the digit; so is what all modules cost together."""
    parts = Parts(ledger)
    for found in (parts.together(ledger.modules), parts.together(ledger.modules, own=True)):
        for name in (*SUMMED, "params", "unknown_nodes"):
            figures = [getattr(own, name) for own in parts.own.values()]
            assert min(figures) >= 0, name
            assert sum(figures) == getattr(found, name) == getattr(ledger.totals, name), name


def nodes_figure(ledger: Ledger, paths: Collection[str], name: str, *, own: bool) -> int:
    """Of the nodes of modules at ``paths``, or below them too: an oracle by prefixes alone."""
    return sum(
        getattr(node, name)
        for node in ledger.nodes
        if node.module_path in paths
        or (not own and any(not path or node.module_path.startswith(f"{path}.") for path in paths))
    )


def require_sums(ledger: Ledger, graph: Graph, seed: int = 0) -> None:
    """Whatever modules are chosen, they cost together what their nodes do."""
    parts, choice = Parts(ledger), random.Random(seed)
    assert graph.manifest is not None
    held = [(t.name, t.elements) for t in graph.manifest.tensors if t.kind == "parameter"]
    for _ in range(40):
        chosen = choice.sample(ledger.modules, choice.randrange(len(ledger.modules)))
        paths = {module.path for module in chosen}
        for own in (False, True):
            found = parts.together(chosen, own=own)
            for name in SUMMED:
                assert getattr(found, name) == nodes_figure(ledger, paths, name, own=own), name
            inside = {name.rpartition(".")[0]: "" for name, _ in held}
            owners = {
                owner
                for owner in inside
                if owner in paths
                or (not own and any(not path or owner.startswith(f"{path}.") for path in paths))
            }
            assert found.params == sum(size for name, size in held if name.rpartition(".")[0] in owners)


def test_modules_add_up_to_the_totals_and_any_choice_to_its_nodes(hed: Graph, clip_text: Graph) -> None:
    for graph in (hed, clip_text):
        ledger = build_ledger(graph)
        require_whole(ledger)
        require_sums(ledger, graph)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names())
def test_modules_of_every_graph_add_up(name: str, tmp_path: Path) -> None:
    graph = load_graph(api.export_graph(name, tmp_path, api.Settings(weights="none")).onnx_path)
    ledger = build_ledger(graph)
    require_whole(ledger)
    require_sums(ledger, graph)


@pytest.mark.parametrize("convention", ["onnx-tool", "fvcore", "thop"])
def test_a_peers_counts_add_up_too(convention: str, tmp_path: Path) -> None:
    graph = load_graph(save_net(tmp_path))
    ledger = build_ledger(graph, convention)  # type: ignore[arg-type]
    parts = Parts(ledger)
    peers = [own.peer.macs for own in parts.own.values() if own.peer is not None]
    assert ledger.totals.peer is not None
    assert len(peers) == len(ledger.modules)
    assert sum(peers) == ledger.totals.peer.macs


def test_a_modules_own_cost_is_that_of_the_nodes_between_its_children(tmp_path: Path) -> None:
    _, ledger = ledger_of(save_net(tmp_path))
    own = Parts(ledger).own
    # the 4 x 8 x 8 additions of the branch, over two maps read and one written, of 4 bytes an element
    block = own["body.0"]
    assert (block.macs, block.vector_ops, block.moved_bytes) == (0, 256, 3 * 256 * 4)
    assert (block.operators, block.params) == ({"Add": 1}, 0)
    assert own["body.0.conv"].operators == {"Conv": 1}


def modules(ledger: Ledger, *paths: str) -> list[ModuleCost]:
    return [module for module in ledger.modules if module.path in paths]


def test_time_is_added_over_the_outermost_rows_and_only_where_all_have_one(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    timings = [ModuleTiming(*pair) for pair in (("body.0", 0.5), ("body.0.conv", 0.25), ("head", 2.0))]
    ledger = api.ledger_of(path, timings=timings)
    parts = Parts(ledger)
    assert parts.together(modules(ledger, "body.0", "body.0.conv", "head")).latency_s == 2.5
    assert parts.together(modules(ledger, "stem", "head")).latency_s is None
    assert parts.together(modules(ledger, "head"), own=True).latency_s is None
    assert parts.together([]).latency_s is None


def test_convolutions_and_poolings_say_what_they_slide_over(tmp_path: Path) -> None:
    _, ledger = ledger_of(save_net(tmp_path))
    found = {ledger.nodes[index].node: window for index, window in ledger.windows.items()}
    assert {name: (window.kernel, window.stride, window.groups) for name, window in found.items()} == {
        "node_a": ((3, 3), (1, 1), 1),
        "node_c": ((1, 1), (1, 1), 1),
    }
