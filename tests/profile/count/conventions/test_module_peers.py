"""fvcore's and thop's conventions against the packages themselves: totals, operators and modules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import onnxlens as api
from onnxlens.profile.count.conventions import fvcore
from onnxlens.profile.count.conventions.calls import calls_of
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.peers import Peer
from tests.profile.count.conventions import nets
from tests.profile.count.conventions.peers import counted_modules

REFERENCE = ("clip-text@64", "vae-decoder@64", "hed@64", "mlsd-tiny@64")
HEAVY = (
    "controlnet@64",
    "vae-encoder@64",
    "vae-decoder@512",
    "sd-unet@64",
    "midas-dpt-hybrid@64",
    "openpose-body@64",
    "control-ldm@64",
)
"""Seconds and gigabytes each: they have to run on the CPU to be traced."""

Counted = Mapping[str, Any]

# torch's exporter says so of every recurrent layer without weights.
pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes self.*were assigned:UserWarning")


def exported(name: str, folder: Path) -> Graph:
    """A network as ``counted.network`` builds it, exported without weights."""
    graph, _, size = name.partition("@")
    settings = api.Settings(weights="none")
    if size:
        settings = api.Settings(weights="none", batch=1, height=int(size), width=int(size))
    target = graph if size else f"{nets.__name__}:{graph.replace('-', '_')}"
    return load_graph(api.export_graph(target, folder / name, settings).onnx_path)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Graph]:
    folder = tmp_path_factory.mktemp("graphs")
    return {name: exported(name, folder) for name in (*nets.NETS, *REFERENCE)}


@pytest.fixture(scope="module")
def by_fvcore() -> Counted:
    return counted_modules((*nets.NETS, *REFERENCE), "fvcore")


@pytest.fixture(scope="module")
def by_thop() -> Counted:
    return counted_modules((*nets.NETS, *REFERENCE), "thop")


def in_modules(graph: Graph, peer: Peer) -> dict[str, int]:
    """The peer's count of every module of ours."""
    modules = build_ledger(graph, peer).modules
    assert all(module.peer is not None and not module.peer.unknown_nodes for module in modules)
    return {module.path: module.peer.macs for module in modules if module.peer}


def differences(graph: Graph, peer: Peer, counted: Counted) -> dict[str, tuple[int, int]]:
    """Our count and the package's of every module for which they differ; "" is the whole.

    A module that we do not list runs nothing of its own: it holds others, which are counted together.
    """
    ours = in_modules(graph, peer)
    theirs = {**counted["by_module"], "": counted["total"]}
    held = {path: sum(_inside(path, ours)) for path in theirs if path not in ours}
    ours = {path: {**ours, **held}[path] for path in theirs}
    return {path: (ours[path], theirs[path]) for path in theirs if ours[path] != theirs[path]}


def _inside(parent: str, counts: Mapping[str, int]) -> list[int]:
    """The counts of the outermost modules in ``parent``."""
    inner = [path for path in counts if path.startswith(f"{parent}.")]
    return [counts[path] for path in inner if not any(path.startswith(f"{other}.") for other in inner)]


def by_operator(graph: Graph) -> Mapping[str, int]:
    """Our counts by fvcore's names."""
    counts: Counter[str] = Counter()
    for call in calls_of(graph):
        if handler := fvcore.handler_of(call):
            counts[handler.name] += handler.formula(call)
    return counts


@pytest.mark.parametrize("name", [*nets.NETS, *REFERENCE])
def test_our_count_is_fvcores_for_every_module(
    name: str, graphs: Mapping[str, Graph], by_fvcore: Counted
) -> None:
    assert differences(graphs[name], "fvcore", by_fvcore[name]) == {}


@pytest.mark.parametrize("name", [*nets.NETS, *REFERENCE])
def test_our_count_is_fvcores_for_every_operator(
    name: str, graphs: Mapping[str, Graph], by_fvcore: Counted
) -> None:
    assert by_operator(graphs[name]) == by_fvcore[name]["by_operator"]


@pytest.mark.parametrize("name", [*nets.NETS, *REFERENCE])
def test_our_count_is_thops_for_every_module(
    name: str, graphs: Mapping[str, Graph], by_thop: Counted
) -> None:
    assert differences(graphs[name], "thop", by_thop[name]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_our_count_is_that_of_both_for_the_large_networks(name: str, tmp_path: Path) -> None:
    graph = exported(name, tmp_path)
    counted = counted_modules([name], "fvcore")[name]
    assert differences(graph, "fvcore", counted) == {}
    assert by_operator(graph) == counted["by_operator"]
    assert differences(graph, "thop", counted_modules([name], "thop")[name]) == {}
