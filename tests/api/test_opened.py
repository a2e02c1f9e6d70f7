"""No verb exports, loads, counts or builds a module twice, however many measurements it combines."""

from __future__ import annotations

import pkgutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import onnxlens
from onnxlens.api.opened import OpenedTarget
from onnxlens.errors import GraphError, UsageError
from onnxlens.export import exporter
from onnxlens.profile.count import counting, ledger
from onnxlens.profile.graph import loading
from onnxlens.profile.runtime import peaks
from onnxlens.specs.graph import GraphSpec
from tests import small_catalog
from tests.cli.calls import onnxlens as command
from tests.export.tiny import TARGET

COUNTED = (
    (exporter, "export"),
    (loading, "LoadedFile"),
    (ledger, "build_ledger"),
    (counting, "count_nodes"),
    (GraphSpec, "build"),
)


@pytest.fixture(scope="module", autouse=True)
def everything_imported() -> None:
    """Import all modules first: a later import would keep the patched functions.

    Workers of other tools run in the Python that has the tool.
    """
    for module in pkgutil.walk_packages(onnxlens.__path__, "onnxlens."):
        if ".workers." not in module.name:
            import_module(module.name)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each of the costly steps was taken, whoever imported its name."""
    taken: Counter[str] = Counter()

    def counting_calls(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            taken[name] += 1
            return original(*arguments, **options)

        return called

    for home, name in COUNTED:
        original = getattr(home, name)
        wrapper = counting_calls(name, original)
        monkeypatch.setattr(home, name, wrapper)
        for module in [*sys.modules.values()]:
            if module.__name__.startswith("onnxlens.") and vars(module).get(name) is original:
                monkeypatch.setattr(module, name, wrapper)
    yield taken


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_catalog.install(monkeypatch)
    monkeypatch.setattr(peaks, "SIDES", {"cpu": 32})


EXPORTED = {"export": 1, "build": 1}
OPENED = {**EXPORTED, "LoadedFile": 1}
COUNTED_ONCE = {**OPENED, "build_ledger": 1, "count_nodes": 1}

VERBS: dict[str, tuple[Sequence[str], dict[str, int]]] = {
    "export": (("export", "first", "--out", "{out}"), EXPORTED),
    "profile": (("profile", "first"), COUNTED_ONCE),
    "profile json": (("profile", "first", "--format", "json"), COUNTED_ONCE),
    "traffic": (("traffic", "first"), COUNTED_ONCE),
    "reconcile": (("reconcile", "first"), {**OPENED, "count_nodes": 1}),
    "ledger": (("ledger", "first"), COUNTED_ONCE),
    "ledger measured": (("ledger", "first", "--latency", "--parity"), COUNTED_ONCE),
    "check": (("check", "first"), EXPORTED),
    "check unoptimised": (("check", "first", "--against", "unoptimised"), OPENED),
    "check layers": (("check", "first", "--layers"), OPENED),
    "bench": (("bench", "first", "--runs", "1"), COUNTED_ONCE),
    "bench torch": (("bench", "first", "--runs", "1", "--against", "torch"), COUNTED_ONCE),
    "render": (("render", "first", "--out", "{out}/x.svg"), COUNTED_ONCE),
    "render measured": (
        ("render", "first", "--out", "{out}/x.svg", "--color", "latency_s", "--latency"),
        COUNTED_ONCE,
    ),
    "explore": (
        ("render", "first", "--viewer", "model-explorer", "--out", "{out}/x.json", "--latency", "--parity"),
        COUNTED_ONCE,
    ),
    "extract": (("extract", "first", "--module", "attention", "--out", "{out}/x.onnx"), OPENED),
    "extract data": (
        ("extract", "first", "--module", "attention", "--out", "{out}/x.onnx", "--data"),
        OPENED,
    ),
    "run": (("run", "--graphs", "first", "--out", "{out}"), COUNTED_ONCE),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_step_is_taken_at_most_once(verb: str, calls: Counter[str], tmp_path: Path, dot: str) -> None:
    arguments, expected = VERBS[verb]
    outcome = command(*(argument.format(out=tmp_path) for argument in arguments))
    assert outcome.code == 0, outcome
    assert calls == expected


def test_a_second_call_exports_nothing_and_builds_no_module(calls: Counter[str]) -> None:
    first = command("profile", "first", "--format", "json")
    calls.clear()
    assert command("profile", "first", "--format", "json") == first
    assert calls == {"LoadedFile": 1, "build_ledger": 1, "count_nodes": 1}


def test_no_cache_exports_again(calls: Counter[str]) -> None:
    first = command("profile", "first", "--format", "json", "--no-cache")
    assert command("profile", "first", "--format", "json", "--no-cache") == first
    assert (calls["export"], calls["build"]) == (2, 2)


def test_a_target_that_is_open_serves_several_verbs(calls: Counter[str]) -> None:
    with OpenedTarget("first") as opened:
        counted = onnxlens.profile_graph(opened)
        checked = onnxlens.check_graph(opened)
        flow = onnxlens.flow_of(opened)
    assert counted.totals.macs == sum(node.macs for node in flow.nodes)
    assert checked.passed
    assert calls == COUNTED_ONCE
    assert not opened.path.exists()


@pytest.mark.parametrize("weights", [None, "none", "seeded"])
def test_the_ledger_names_the_requested_weights(weights: str | None) -> None:
    ledger = onnxlens.profile_graph("first", onnxlens.Settings(weights=weights))
    assert ledger.weights == (weights or "none")


def test_settings_go_with_the_opening() -> None:
    with OpenedTarget("first") as opened, pytest.raises(UsageError, match="first: is open already"):
        onnxlens.profile_graph(opened, onnxlens.Settings(opset=20))


def test_settings_of_a_graph_are_refused_for_a_file_before_it_is_read() -> None:
    with pytest.raises(UsageError, match="opset, weights, dtype and sizes are those of the file"):
        OpenedTarget("missing.onnx", onnxlens.Settings(opset=20))


def test_a_file_without_a_manifest_has_no_network(tmp_path: Path) -> None:
    exported = onnxlens.export_graph(TARGET, tmp_path)
    exported.manifest_path.unlink()
    with OpenedTarget(exported.onnx_path) as opened, pytest.raises(GraphError, match="no manifest tiny.json"):
        _ = opened.network
