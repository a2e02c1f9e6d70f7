"""The verbs that print other counters' figures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.calls import done, onnxlens
from tests.export import tiny as tiny_network

PEERS = ("onnx-tool", "fvcore", "thop")


@pytest.mark.parametrize("peer", PEERS)
def test_the_document_has_the_peers_count_next_to_ours(peer: str, tiny: Path) -> None:
    document = json.loads(done("profile", tiny, "--convention", peer, "--format", "json"))
    assert document["convention"] == peer
    assert document["totals"]["macs"] == tiny_network.MACS
    assert sum(node["peer"]["macs"] for node in document["nodes"]) == document["totals"]["peer"]["macs"]
    assert document["conventions"][peer]
    assert f"as {peer} counts" in done("profile", tiny, "--convention", peer).splitlines()[0]


def test_ours_is_the_default_convention(tiny: Path) -> None:
    assert done("profile", tiny) == done("profile", tiny, "--convention", "matrix")
    document = json.loads(done("profile", tiny, "--format", "json"))
    assert document["convention"] == "matrix"
    assert "peer" not in document["totals"]


def test_a_reconciliation_in_each_format_holds_the_same_totals(tiny: Path) -> None:
    document = json.loads(done("reconcile", tiny, "--format", "json"))
    assert document["schema"] == "onnxlens.reconciliation/1"
    assert document["totals"]["macs"] == tiny_network.MACS
    rows = list(csv.DictReader(io.StringIO(done("reconcile", tiny, "--format", "csv"))))
    counts = [document["totals"]["peers"][peer]["macs"] for peer in PEERS]
    units = ("onnx-tool MACs", "fvcore flops", "thop MACs")
    assert [int(rows[-1][unit]) for unit in units] == counts
    for people in ("table", "md"):
        text = done("reconcile", tiny, "--format", people)
        assert all(f"{count:,}" in text for count in (tiny_network.MACS, *counts))


@pytest.mark.parametrize(
    ("verb", "options"),
    [("profile", ("--convention", "fvcore")), ("profile", ("--convention", "thop"))],
)
def test_a_file_without_module_metadata_is_refused_in_one_line(
    verb: str, options: tuple[str, ...], odd: Path
) -> None:
    outcome = onnxlens(verb, odd, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert "this file does not say which ran; export it with onnxlens or " in outcome.err


def test_an_operator_that_stops_the_peer_fails_a_strict_profile(odd: Path) -> None:
    outcome = onnxlens("profile", odd, "--convention", "onnx-tool", "--strict")
    assert outcome.code == 1
    assert outcome.err == (
        "onnxlens: unknown nodes: 1 (first: it stops at Wobble, which it cannot infer the shape of)\n"
    )


def test_an_unknown_convention_is_refused(tiny: Path) -> None:
    outcome = onnxlens("profile", tiny, "--convention", "caffe")
    assert outcome.code == 2
    assert "'caffe' is not one of 'matrix', 'onnx-tool', 'fvcore', 'thop'" in outcome.err
