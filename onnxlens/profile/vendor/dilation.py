"""Dilated convolutions that a tool takes for their zero-filled kernels: they look busy and multiply zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.layers import LayerMatch, ToolCosts, together
from onnxlens.specs.ledger import NodeCost

CONVOLUTIONS = ("Conv", "FusedConv", "ConvInteger", "QLinearConv")
WEIGHTS = {"QLinearConv": 3}
"""Which input the kernel is, where that is not 1."""

Kernel = tuple[tuple[int, ...], tuple[int, ...]]
"""The sizes of a kernel, and its dilations."""

NAMED = 3
"""How many layers a line names."""


def dilation_notes(graph: Graph, costs: Sequence[NodeCost], tool: ToolCosts) -> tuple[str, ...]:
    """A line for each kernel whose holes a tool counts: what it schedules, and its share of cycles or time.

    A tool's MACs tell: with the holes they are the span's over the kernel's times ours.
    """
    found: dict[Kernel, list[tuple[int, LayerMatch]]] = {}
    for match in tool.matches:
        kernels = {node: kernel for node in match.nodes if (kernel := _dilated(graph.nodes[node].view))}
        theirs = match.record.figures.get("macs")
        if not kernels or theirs is None:
            continue
        conv, kernel = next(iter(kernels.items()))
        ours = sum(costs[node].macs for node in match.nodes)
        holes = prod(span(*kernel)) / prod(kernel[0])
        if 2 * theirs > ours * (1 + holes):
            found.setdefault(kernel, []).append((conv, match))
    whole = {name: together(name, _figures(tool.matches, name)) for name in ("cycles", "time_s", "macs")}
    return tuple(_note(graph, kernel, matches, whole) for kernel, matches in found.items())


def span(sizes: Sequence[int], dilations: Sequence[int]) -> tuple[int, ...]:
    """The positions from a kernel's first element to its last, along each axis."""
    return tuple((size - 1) * step + 1 for size, step in zip(sizes, dilations, strict=True))


def _dilated(node: NodeView) -> Kernel | None:
    dilations = tuple(node.attribute("dilations") or ())
    if node.op_type not in CONVOLUTIONS or not any(step > 1 for step in dilations):
        return None
    try:
        return node.input_shape(WEIGHTS.get(node.op_type, 1))[2:], dilations
    except NotCountable:
        return None


def _figures(matches: Sequence[LayerMatch], metric: str) -> list[int | float]:
    return [match.record.figures[metric] for match in matches if metric in match.record.figures]


def _note(
    graph: Graph,
    kernel: Kernel,
    found: Sequence[tuple[int, LayerMatch]],
    whole: Mapping[str, int | float | None],
) -> str:
    matches = [match for _, match in found]
    metric = next(name for name in whole if _figures(matches, name))
    share = (together(metric, _figures(matches, metric)) or 0) / (whole[metric] or 1)
    layers = [*dict.fromkeys(graph.module_of(conv) or match.record.name for conv, match in found)]
    named = ", ".join(layers[:NAMED]) + (f" and {len(layers) - NAMED} more" if len(layers) > NAMED else "")
    sizes, dilations = kernel
    shown = " x ".join
    steps = shown(map(str, dilations)) if len(set(dilations)) > 1 else str(dilations[0])
    return (
        f"dilated {shown(map(str, sizes))} (dilation {steps}) scheduled as "
        f"{shown(map(str, span(*kernel)))}: {share:.0%} of {metric.removesuffix('_s')} ({named})"
    )
