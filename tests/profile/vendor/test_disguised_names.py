"""Real nets whose nodes are called as tools and other exporters would: where each row leads is known."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

import onnx
import pytest

from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.vendor.attribution import attribute
from onnxlens.specs.layers import LayerRecord, LayerReport
from onnxlens.specs.ledger import NodeCost
from tests.profile.vendor.disguise import TOOLS, Net, Row, renamed
from tests.profile.vendor.led import folder, found

STYLES = ("as it is", "torchscript", "tf2onnx", "paddle", "unnamed")
FORMS = [(tool, form) for tool, (_, forms) in TOOLS.items() for form in forms]
BY_ORDER = ("core-ml", "executorch")
"""Tools that tell no name: a row may be shared by nodes side by side, or be led nowhere."""


@cache
def net(name: str, style: str) -> tuple[Net, Graph, tuple[NodeCost, ...]]:
    path = found(f"{name}.onnx")
    if style != STYLES[0]:
        model = renamed(onnx.load(path, load_external_data=False), style)
        path = Path(folder().name) / f"{name}-{style}.onnx"
        onnx.save(model, path)
    graph = load_graph(path)
    return Net(onnx.load(path, load_external_data=False)), graph, count_nodes(graph)


def led(name: str, style: str, tool: str, form: str, seed: int) -> Counter[str]:
    """How many rows lead to their own nodes alone, to these and others, to others alone, and nowhere."""
    nodes, graph, costs = net(name, style)
    random = Random(f"{name} {style} {tool} {form} {seed}")
    rows = list(TOOLS[tool][0](nodes, random, form))
    records = tuple(record(row, random) for row in rows)
    costs_of = attribute(graph, costs, LayerReport(tool, records))
    figures, whole = costs_of.figures["cycles"], sum(each.figures.get("cycles", 0) for each in records)
    assert sum(figures.values()) + (costs_of.led("cycles", "unattributed") or 0) == whole
    made = {value.name: at for at, node in enumerate(graph.nodes) for value in node.view.outputs if value}
    found: Counter[str] = Counter()
    for row, match in zip(rows, costs_of.matches, strict=True):
        if not row.moves and not row.zero:
            truth = {made[name] for name in row.nodes}
            parts = {node for node in match.nodes if node in figures}
            found["right" if parts and parts <= truth else where(parts, truth)] += 1
    return found


def where(parts: set[int], truth: set[int]) -> str:
    return "partly" if parts & truth else "wrong" if parts else "nowhere"


def record(row: Row, random: Random) -> LayerRecord:
    """With cycles, unless the tool says 0: that is nothing known."""
    figures = {} if row.zero else {"cycles": random.randrange(1, 10**6)}
    return LayerRecord(row.name, row.op_type, row.sources or (row.name,), "npu", figures)


def require(tool: str, form: str, all_found: Counter[str]) -> None:
    rows = all_found.total()
    assert rows and all_found["wrong"] <= 0.002 * rows, all_found
    if tool not in BY_ORDER:
        # where all but the outputs are called 12, 13, .. too few names tell that the case is another
        assert all_found["right"] >= (0.95 if form == "upper" else 0.99) * rows, all_found


@pytest.mark.parametrize(("tool", "form"), FORMS, ids=["-".join(each) for each in FORMS])
def test_rows_lead_to_their_own_nodes(tool: str, form: str) -> None:
    counts = (led("mlsd-tiny", style, tool, form, seed=0) for style in STYLES)
    require(tool, form, sum(counts, Counter()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hed", "mlsd-tiny", "unet", "clip-text"])
@pytest.mark.parametrize(("tool", "form"), FORMS, ids=["-".join(each) for each in FORMS])
def test_rows_of_many_reports_lead_to_their_own_nodes(tool: str, form: str, name: str) -> None:
    counts = (led(name, style, tool, form, seed) for style in STYLES for seed in range(1, 6))
    require(tool, form, sum(counts, Counter()))
