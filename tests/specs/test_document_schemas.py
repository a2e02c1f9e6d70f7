"""Every JSON document that is written follows its published schema, and the schemas refuse what does not."""

from __future__ import annotations

import copy
import json
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import onnxlens as api
from onnxlens.api.layers import layers_document as report_document
from onnxlens.profile.count.grouping import with_groups
from onnxlens.reports.documents import (
    bench_document,
    catalog_document,
    layers_document,
    parity_document,
    profile_document,
    reconciliation_document,
    summary_document,
)
from onnxlens.reports.tables.columns import COLUMNS
from onnxlens.reports.tables.hardware import chips_document
from onnxlens.reports.tables.ledger import cost_document
from onnxlens.reports.tables.memory import memory_document
from onnxlens.reports.tables.peak import peak_document
from onnxlens.reports.tables.phases import PhasesLayout, phases_document
from onnxlens.reports.tables.query import Asked, Query, understood
from onnxlens.reports.tables.schedule import schedule_document
from onnxlens.reports.tables.traffic import TrafficLayout, traffic_document
from onnxlens.reports.tables.training import training_document
from onnxlens.specs.bench import (
    BenchRequest,
    ConvolutionPeak,
    LatencyResult,
    MatmulPeak,
    MemoryUse,
    ModuleTime,
    NodeTime,
    OperatorTime,
    Timed,
)
from onnxlens.specs.codec import to_text
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.layers import LayerRecord, LayerReport
from onnxlens.specs.ledger import ModuleCost, NodeCost, OperatorCost
from onnxlens.specs.manifest import Manifest, StateTensor
from onnxlens.specs.parity import ModuleParity, ParityResult
from onnxlens.specs.peers import Convention, PeerCost, ReconciledOperator
from onnxlens.specs.summary import GraphSummary, Job, RunSummary
from tests import small_catalog
from tests.export.tiny import TARGET
from tests.profile.language_nets import language_model
from tests.specs import samples
from tests.trust import trusted

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
KINDS = (
    "profile", "ledger", "reconciliation", "parity", "layers", "bench", "catalog", "manifest", "summary",
    "memory", "memory-plan", "hardware", "traffic", "phases",
    "training", "layer-report",
    "schedule",
)  # fmt: skip
VERSIONS = {"bench": 2, "ledger": 2}
"""Of the documents that have changed."""


def schema(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return content


def complaints(kind: str, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(kind).iter_errors(document)]


@cache
def validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(schema(kind))


def layer_report(path: Path) -> dict[str, Any]:
    """What a tool reports of the first node of a file, in our own form."""
    with api.OpenedTarget(path) as opened:
        record = LayerRecord("layer", sources=(opened.ledger.nodes[0].node,), figures={"time_s": 0.5})
        ledger = api.with_layers(opened, opened.ledger, LayerReport("plain", (record,)))
    return report_document(ledger, "plain")


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A document of each kind, as the text that a user gets, made from a real export."""
    exported = api.export_graph(TARGET, tmp_path_factory.mktemp("documents"))
    with pytest.MonkeyPatch.context() as patch:
        small_catalog.install(patch)
        run = api.run_reference(Job(tmp_path_factory.mktemp("run"), small_catalog.NAMES[:1]))
    written = {
        "profile": to_text(profile_document(*api.profile_with_flow(exported.onnx_path))),
        "ledger": to_text(cost_document(api.ledger_of(exported.onnx_path), Query())),
        "reconciliation": to_text(reconciliation_document(api.reconcile_graph(exported.onnx_path))),
        "parity": to_text(parity_document(api.check_graph(exported.onnx_path, trusted(exported.onnx_path)))),
        "bench": to_text(bench_document(api.bench_graph(exported.onnx_path, request=BenchRequest(runs=2)))),
        "layers": to_text(layers_document(api.check_layers(exported.onnx_path, trusted(exported.onnx_path)))),
        "catalog": to_text(catalog_document(api.list_graphs())),
        "manifest": exported.manifest_path.read_text(encoding="utf-8"),
        "summary": to_text(summary_document(run)),
        "memory": to_text(
            peak_document(
                api.ledger_of(exported.onnx_path), api.memory_peak(exported.onnx_path), stored_as=""
            )
        ),
        "training": to_text(training_document(api.training_cost(TARGET))),
        "traffic": to_text(
            traffic_document(api.traffic_of(exported.onnx_path, on_chip_bytes=2**14), TrafficLayout())
        ),
        "schedule": to_text(schedule_document(api.schedule_graph(exported.onnx_path, latency=True))),
        "memory-plan": to_text(
            memory_document(
                api.ledger_of(exported.onnx_path), api.memory_plan(exported.onnx_path), stored_as=""
            )
        ),
    }
    asked = api.PhasesRequest((8,), (20,), runs=2)
    model = language_model(tmp_path_factory.mktemp("phases"), runs=True)
    phases = api.phases_of(model, request=asked, hardware="h200", has_latency=True)
    written["phases"] = to_text(phases_document(phases, PhasesLayout()))
    written["layer-report"] = to_text(layer_report(exported.onnx_path))
    written["hardware"] = to_text(chips_document([api.chip_of(name) for name in ("k230", "h200")]))
    return {kind: json.loads(text) for kind, text in written.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_one_and_names_its_kind(kind: str) -> None:
    content = schema(kind)
    Draft202012Validator.check_schema(content)
    assert content["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert content["properties"]["schema"] == {"const": f"onnxlens.{kind}/{VERSIONS.get(kind, 1)}"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_document_follows_its_schema(kind: str, documents: dict[str, Any]) -> None:
    assert complaints(kind, documents[kind]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_of_another_kind_is_refused(kind: str, documents: dict[str, Any]) -> None:
    assert all(complaints(kind, documents[other]) for other in KINDS if other != kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_that_lacks_a_field_or_has_one_more_is_refused(
    kind: str, documents: dict[str, Any]
) -> None:
    for key in documents[kind].keys() - {
        "data_digest",
        "origin_proof",
        "convolution",
        "on_chip_bytes",
        "positions",
        "load_before",
        "load_after",
    }:  # some have none
        lacking = {name: value for name, value in documents[kind].items() if name != key}
        assert any(
            f"'{key}' is a required property" in complaint for complaint in complaints(kind, lacking)
        ), key
    assert "colour" in complaints(kind, {**documents[kind], "colour": "red"})[0]


MUTILATIONS: tuple[tuple[str, tuple[str | int, ...], Any], ...] = (
    ("profile", ("schema",), "onnxlens.profile/2"),
    ("profile", ("opset",), "18"),
    ("profile", ("attribution",), "guessed"),
    ("profile", ("convention",), "caffe"),
    ("profile", ("totals", "macs"), 1.5),
    ("profile", ("totals", "macs"), -1),
    ("profile", ("totals", "colour"), 1),
    ("profile", ("modules", 0, "inputs", 0, "shape", 0), 1.5),
    ("profile", ("modules", 0, "latency_s"), "fast"),
    ("profile", ("ops", 0, "nodes"), 0),
    ("profile", ("nodes", 0, "status"), "done"),
    ("profile", ("flow", "nodes", 0, "kind"), "box"),
    ("profile", ("flow", "edges", 0, "tensor"), "x"),
    ("profile", ("flow", "nodes", 0, "repeats"), 0),
    ("profile", ("flow", "nodes", 0, "costs"), {"macs": "many"}),
    ("profile", ("flow", "notes"), "collapsed"),
    ("profile", ("flow", "module"), 1),
    ("ledger", ("columns",), []),
    ("ledger", ("columns", 0), "colour"),
    ("ledger", ("rows", 0, "macs"), 0.5),
    ("ledger", ("rows", 0, "colour"), "red"),
    ("ledger", ("rows", 0, "macs_percent"), 100.5),
    ("ledger", ("rows", 0, "latency_s"), -1),
    ("ledger", ("totals", "parity_error"), "small"),
    ("reconciliation", ("operators",), []),
    ("reconciliation", ("operators", 0, "peers", "thop", "macs"), 0.5),
    ("reconciliation", ("totals", "peers", "fvcore", "colour"), "red"),
    ("parity", ("reference",), "itself"),
    ("parity", ("passed",), "yes"),
    ("parity", ("outputs", 0, "tolerance"), 0),
    ("parity", ("outputs", 0, "cosine"), 2),
    ("bench", ("provider",), "npu"),
    ("bench", ("threads",), 0),
    ("bench", ("layout_share",), 1.5),
    ("bench", ("latency", "runs"), 0),
    ("bench", ("matrix_product", "macs_per_s"), 0),
    ("bench", ("modules",), []),
    ("bench", ("modules", 0, "time", "median_s"), "fast"),
    ("bench", ("operators", 0, "nodes"), 0),
    ("bench", ("nodes", 0, "kind"), "guessed"),
    ("bench", ("noise",), "none"),
    ("layers", ("tolerance",), 0),
    ("layers", ("samples",), 0),
    ("layers", ("layers", 0, "kind"), "box"),
    ("layers", ("layers", 0, "verdict"), "guilty"),
    ("layers", ("layers", 0, "introduced"), -1),
    ("layer-report", ("report", "records", 0, "figures"), {"watts": 1}),
    ("layer-report", ("report", "records", 0, "figures"), {"cycles": -1}),
    ("layer-report", ("matches", 0, "way"), "guessed"),
    ("layer-report", ("matches", 0, "confidence"), 1.5),
    ("training", ("costs", 0, "mode"), "locked"),
    ("training", ("costs", 0, "totals", "saved_bytes"), -1),
    ("training", ("costs", 0, "modules"), []),
    ("traffic", ("fusion",), "all"),
    ("traffic", ("on_chip_bytes",), 0),
    ("traffic", ("knee",), []),
    ("traffic", ("rows", 0, "moved_bytes", "none"), 0.5),
    ("traffic", ("total", "colour"), "red"),
    ("traffic", ("kinds", "attention", "read_bytes"), -1),
    ("schedule", ("unit",), "ms"),
    ("schedule", ("plans",), []),
    ("schedule", ("tasks", 0, "duration"), -1),
    ("schedule", ("plans", 0, "shared"), "cache"),
    ("schedule", ("measured", 0, "streams"), 0),
    ("phases", ("points", 0, "phase"), "training"),
    ("phases", ("points", 0, "cost", "bound_s", "h200"), -1),
    ("phases", ("points", 0, "measured", "runs"), 0),
    ("phases", ("caches", 0, "kind"), "shrinking"),
    ("phases", ("rows", 0, "costs", 0, "macs"), 0.5),
    ("phases", ("rows", 0, "part"), "layers"),
    ("phases", ("outweighs", "1"), "late"),
    ("catalog", ("graphs",), []),
    ("catalog", ("graphs", 0, "family"), "gan"),
    ("catalog", ("graphs", 0, "min_size"), 0),
    ("manifest", ("opset",), 17),
    ("manifest", ("settings", "depth"), 1),
    ("manifest", ("tensors", 0, "kind"), "weight"),
    ("manifest", ("input_ranges", "image"), [1.0]),
    ("manifest", ("modules", ""), None),
    ("summary", ("graphs",), []),
    ("summary", ("graphs", 0, "outcome"), "good"),
    ("summary", ("graphs", 0, "reason"), "done, but"),
    ("summary", ("graphs", 0, "macs"), 0.5),
    ("summary", ("graphs", 0, "worst", "tolerance"), 0),
    ("summary", ("graphs", 0, "latency", "runs"), 0),
    ("summary", ("graphs", 0, "files", "onnx"), ""),
    ("summary", ("machine", "cores"), 2),
    ("summary", ("seconds",), -1),
    ("memory", ("live_bytes",), 0.5),
    ("memory", ("tensors", 0, "size_percent"), 101),
    ("memory", ("tensors", 0, "colour"), "red"),
    ("memory-plan", ("order",), "best"),
    ("hardware", ("chips",), []),
    ("hardware", ("chips", 0, "clock_hz", "grade"), "rumour"),
    ("hardware", ("chips", 0, "memories", 0, "holds"), "water"),
    ("memory-plan", ("peak", "tensors", 0, "colour"), "red"),
    ("memory-plan", ("arena", "alignment_bytes"), 0),
    ("memory-plan", ("arena", "tensors", 0, "offset_bytes"), 0.5),
    ("memory-plan", ("steps", 0, "live_bytes"), -1),
)


@pytest.mark.parametrize(("kind", "keys", "value"), MUTILATIONS, ids=lambda part: str(part))
def test_a_mutilated_document_is_refused_with_the_field(
    kind: str, keys: tuple[str | int, ...], value: Any, documents: dict[str, Any]
) -> None:
    document = copy.deepcopy(documents[kind])
    parent = document
    for step in keys[:-1]:
        parent = parent[step]
    parent[keys[-1]] = value
    assert len(complaints(kind, document)) == 1


def test_figures_that_are_measured_later_and_unknown_nodes_are_in_the_schema() -> None:
    document = json.loads(to_text(profile_document(samples.LEDGER, samples.FLOW)))
    assert document["modules"][1]["latency_s"] == 0.5
    assert document["nodes"][2]["status"] == "unknown"
    assert complaints("profile", document) == []


def test_a_ledgers_schema_knows_its_columns_and_measured_figures() -> None:
    content = schema("ledger")
    names = list(dict.fromkeys(name for columns in COLUMNS.values() for name in columns))
    assert list(content["$defs"]["row"]["properties"]) == names
    assert content["properties"]["columns"]["items"]["anyOf"][0]["enum"] == names
    document = json.loads(to_text(cost_document(samples.LEDGER, Query())))
    assert document["rows"][1]["latency_s"] == 0.5
    assert complaints("ledger", document) == []


def test_pytorchs_times_and_a_node_without_a_module_are_in_the_schema() -> None:
    document = json.loads(to_text(bench_document(samples.BENCH)))
    assert document["eager"]["median_s"] == 0.3
    assert "module_path" not in document["nodes"][1]
    assert complaints("bench", document) == []


@pytest.mark.parametrize("convention", ["onnx-tool", "fvcore", "thop"])
def test_a_document_in_a_peers_convention_is_in_the_schema(convention: Convention) -> None:
    ledger, flow = api.profile_with_flow(TARGET, convention=convention)
    document = json.loads(to_text(profile_document(ledger, flow)))
    assert document["convention"] == convention
    assert {"peer"} <= document["totals"].keys() & document["modules"][0].keys() & document["ops"][0].keys()
    assert all("peer" in node for node in document["nodes"])
    assert complaints("profile", document) == []
    for by in ("module", "op", "node", "class"):
        if by == "class":
            ledger = with_groups(ledger, by)
        rows = json.loads(to_text(cost_document(ledger, understood(Asked(by)))))
        assert (rows["convention"], rows["by"], complaints("ledger", rows)) == (convention, by, [])


def test_a_graph_that_failed_or_differs_is_in_the_schema_and_must_say_why() -> None:
    failed = GraphSummary("hed", "annotator", "failed", reason="no room")
    differs = GraphSummary(
        "hed", "annotator", "differs", reason="over the tolerance: y", latency=samples.LATENCY
    )
    document = json.loads(to_text(summary_document(RunSummary((failed, differs), {}, 1.5))))
    assert document["succeeded"] is False
    assert complaints("summary", document) == []
    document["graphs"][0]["reason"] = ""
    assert complaints("summary", document) == ["$.graphs[0].reason: '' should be non-empty"]


@pytest.mark.parametrize(
    ("kind", "definition", "spec"),
    [
        ("profile", "module", ModuleCost),
        ("profile", "operator", OperatorCost),
        ("profile", "node", NodeCost),
        ("profile", "peer", PeerCost),
        ("reconciliation", "peer", PeerCost),
        ("reconciliation", "operator", ReconciledOperator),
        ("profile", "flow", FlowGraph),
        ("profile", "flow_edge", FlowEdge),
        ("parity", "output", ParityResult),
        ("bench", "latency", LatencyResult),
        ("bench", "timed", Timed),
        ("bench", "module", ModuleTime),
        ("bench", "operator", OperatorTime),
        ("bench", "node", NodeTime),
        ("bench", "matrix_product", MatmulPeak),
        ("bench", "convolution", ConvolutionPeak),
        ("bench", "memory", MemoryUse),
        ("layers", "layer", ModuleParity),
        ("manifest", "state_tensor", StateTensor),
        ("manifest", None, Manifest),
        ("summary", "graph", GraphSummary),
        ("summary", "output", ParityResult),
        ("summary", "latency", LatencyResult),
    ],
)
def test_a_schema_names_the_fields_of_the_spec_it_describes(
    kind: str, definition: str | None, spec: Any
) -> None:
    content = schema(kind)
    described = content if definition is None else content["$defs"][definition]
    assert set(described["properties"]) == {field.name for field in fields(spec)}
    assert described["additionalProperties"] is False


def test_a_boxs_schema_names_its_fields_and_the_two_costs_that_older_programs_read() -> None:
    described = schema("profile")["$defs"]["flow_node"]
    assert set(described["properties"]) == {field.name for field in fields(FlowNode)} | {"macs", "params"}
    assert described["additionalProperties"] is False


def test_a_first_diverging_module_and_an_infinite_error_are_in_the_schema() -> None:
    document = json.loads(to_text(layers_document(samples.LAYERS)))
    assert (document["guilty"], document["passed"]) == ("block.conv", False)
    errors = ("inherited", "output", "introduced", "max_abs")
    assert [document["layers"][0].get(name, "absent") for name in errors] == [0.0, None, None, None]
    assert [document["layers"][1].get(name, "absent") for name in errors] == ["absent"] * 4
    assert complaints("layers", document) == []
