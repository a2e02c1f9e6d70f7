"""Flows of every shape, the same ones in every run: nested modules, skips, branches, many consumers."""

from __future__ import annotations

import random

from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec

CLASSES = ("Conv2d", "GroupNorm", "BasicTransformerBlock", "VeryLongNameOfAModuleThatNobodyWouldGive", "Up")
MOST_BOXES, DEEPEST = 40, 4


def random_flow(seed: int) -> FlowGraph:
    """Boxes in order, each reading one or more before it; the same for the same seed."""
    chance = random.Random(seed)
    boxes = _boxes(chance)
    inputs = [FlowNode(f"input/in{index}", "input", f"in{index}", f"in{index}") for index in range(3)]
    outputs = [FlowNode(f"output/out{index}", "output", f"out{index}", f"out{index}") for index in range(2)]
    edges = [
        FlowEdge(source, box.id, _tensor(source))
        for index, box in enumerate(boxes)
        for source in _sources(chance, [node.id for node in (*inputs, *boxes[:index])])
    ]
    edges += [FlowEdge(chance.choice(boxes).id, outputs[0].id, _tensor("any"))]
    edges += [FlowEdge(boxes[-1].id, output.id, _tensor(boxes[-1].id)) for output in outputs]
    return FlowGraph(f"net{seed}", f"net{seed}.onnx", DEEPEST, (*inputs, *boxes, *outputs), tuple(edges))


def _boxes(chance: random.Random) -> list[FlowNode]:
    """A walk through a tree of modules, which sometimes returns to one that it left."""
    boxes: list[FlowNode] = []
    parents: tuple[tuple[str, str], ...] = ()
    for order in range(1, chance.randint(2, MOST_BOXES)):
        if chance.random() < 0.3:
            kept = parents[: chance.randint(0, len(parents))]
            name = f"{kept[-1][0] + '.' if kept else ''}m{chance.randint(0, 4)}"
            parents = (*kept, (name, chance.choice(CLASSES)))[:DEEPEST]
        kind = chance.choice(("module", "operators"))
        module = parents[-1][0] if parents else ""
        path = f"{module}.box{order}".lstrip(".") if kind == "module" else module
        costs: dict[str, int | float] = {"macs": chance.choice((0, 10, 10**9)), "params": order}
        title = chance.choice(CLASSES) if kind == "module" else "Add, Mul"
        repeats = chance.choice((1, 1, 1, 12))
        boxes.append(FlowNode(f"n{order}", kind, path, title, parents, order, costs, repeats))
    return boxes


def _sources(chance: random.Random, before: list[str]) -> list[str]:
    """Mostly the last box, and others near and far."""
    found = [before[-1] if chance.random() < 0.8 else chance.choice(before)]
    while chance.random() < 0.35:
        found.append(chance.choice(before))
    return list(dict.fromkeys(found))


def _tensor(source: str) -> TensorSpec:
    return TensorSpec(f"of {source}", "float32", (1, len(source), 64))
