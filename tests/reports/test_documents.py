from __future__ import annotations

import json

from onnxlens.reports.documents import catalog_document, parity_document, profile_document
from onnxlens.specs.graph import CheckpointScope, GraphSpec
from onnxlens.specs.parity import ParityReport, ParityResult
from onnxlens.specs.tensor import TensorSpec
from tests.reports.ledgers import TOTALS, flow, ledger


def test_the_profile_document_opens_with_its_schema_and_holds_every_part() -> None:
    document = profile_document(ledger(), flow())
    assert list(document)[:2] == ["schema", "graph"]
    assert document["schema"] == "onnxlens.profile/1"
    assert (document["source"], document["opset"], document["attribution"]) == ("net.onnx", 18, "metadata")
    sizes = {name: len(document[name]) for name in ("modules", "ops", "nodes", "notes")}
    assert sizes == {"modules": 5, "ops": 5, "nodes": 5, "notes": 1}
    assert document["conventions"] == {"macs": "multiply-accumulates"}
    assert {name: len(document["flow"][name]) for name in ("nodes", "edges")} == {"nodes": 5, "edges": 6}
    box = document["flow"]["nodes"][1]
    assert (box["macs"], box["params"], box["costs"]) == (1_769_472, 448, {"macs": 1_769_472, "params": 448})


def test_counts_in_the_document_are_exact_integers_after_a_trip_through_json() -> None:
    document = json.loads(json.dumps(profile_document(ledger(), flow())))
    totals = document["totals"]
    assert totals["macs"] == TOTALS.macs == sum(node["macs"] for node in document["nodes"])
    assert totals["macs"] == sum(operator["macs"] for operator in document["ops"])
    assert isinstance(totals["macs"], int)
    # 4,980,736 FLOPs over 2,623,232 + 835,584 + 786,472 bytes
    assert totals["arithmetic_intensity"] == 4_980_736 / 4_245_288
    assert document["nodes"][2]["reason"] == "no rule for com.vendor::Sort"


def test_what_was_not_measured_is_absent_and_not_null() -> None:
    document = profile_document(ledger(), flow())
    for module in document["modules"]:
        assert {"latency_s", "bound_s", "parity_error"}.isdisjoint(module)
    assert "null" not in json.dumps(document)


def test_the_parity_document_holds_the_verdict_and_the_figures() -> None:
    good = ParityResult("y", 0.5, 0.25, 2.0, 0.1, 0.9, 1.0, True)
    bad = ParityResult("z", 0.5, 0.25, 2.0, 0.1, 0.9, 0.01, False)
    report = ParityReport("net", "net.onnx", 18, "seeded", "cpu", "pytorch", (good, bad))
    document = parity_document(report)
    assert list(document)[0] == "schema"
    assert (document["schema"], document["passed"]) == ("onnxlens.parity/1", False)
    assert [output["passed"] for output in document["outputs"]] == [True, False]
    assert document["outputs"][1]["tolerance"] == 0.01


def test_the_catalog_document_has_the_inputs_and_outputs_of_a_graph() -> None:
    spec = GraphSpec(
        "net", "user", lambda: None,  # type: ignore[arg-type, return-value]
        (TensorSpec("x", "float32", (1, 3)),), (TensorSpec("y", "float32", (1,)),), {"x": (0.0, 1.0)},
        dynamic_axes={"x": {0: "batch"}}, size_multiple=8, min_size=16, checkpoint=CheckpointScope("model."),
    )  # fmt: skip
    document = catalog_document([spec])
    assert document["schema"] == "onnxlens.catalog/1"
    graph = document["graphs"][0]
    assert graph["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 3]}]
    assert graph["dynamic_axes"] == {"x": {"0": "batch"}}
    assert (graph["size_multiple"], graph["min_size"], graph["checkpoint_prefix"]) == (8, 16, "model.")
    json.dumps(document)
