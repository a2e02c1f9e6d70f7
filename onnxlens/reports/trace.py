"""One run as a trace for Perfetto and Chrome: the module hierarchy on one track, operators on another.

The "Trace Event Format": an object with ``traceEvents``; complete events (``"ph": "X"``), whose ``ts`` and
``dur`` are microseconds and nest on each thread; metadata events (``"ph": "M"``) that name the tracks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from os.path import commonprefix
from typing import Any

from onnxlens.errors import UsageError
from onnxlens.reports.tables.chips import chip_columns_of_modules
from onnxlens.specs.layers import ToolCosts
from onnxlens.specs.ledger import Ledger, ModuleCost, NodeCost, is_lower_bound
from onnxlens.specs.measured import NodeTiming, one_after_another
from onnxlens.specs.text import enclosing

PROCESS = 1
MODULES, OPERATORS = 1, 2
"""The tracks, in the order they are shown in."""

Event = dict[str, Any]


@dataclass(slots=True)
class Segment:
    """A module while it runs without another one in between, from its first node to its last."""

    path: str
    start_ns: int
    end_ns: int


def trace_document(ledger: Ledger, timings: Sequence[NodeTiming]) -> dict[str, Any]:
    """The trace of one run, and of every report of another tool that has times, in tracks of its own.

    A module that runs in several segments has a slice for each: time spent elsewhere is not its own. Every
    slice says what the module as a whole costs.

    Raises:
        UsageError: no node was timed, or two ran at once: a track holds one.
    """
    runs = {f"{ledger.graph} ({ledger.source})": timings} if timings else {}
    runs |= {
        f"{ledger.graph} by {tool.report.label}, one after another": layers
        for tool in ledger.tools
        if (layers := _layers(ledger, tool))
    }
    if not runs:
        raise UsageError("a trace needs measured times; give --latency, or --layers with times")
    return {
        "displayTimeUnit": "ns",
        "otherData": {
            "schema": "onnxlens.trace/1",
            "graph": ledger.graph,
            "source": ledger.source,
            "opset": ledger.opset,
            "weights": ledger.weights,
            "notes": list(ledger.notes),
        },
        "traceEvents": [
            {**event, "pid": process}
            for process, (name, run) in enumerate(runs.items(), start=PROCESS)
            for event in _events(ledger, name, run)
        ],
    }


def _events(ledger: Ledger, name: str, timings: Sequence[NodeTiming]) -> Iterable[Event]:
    ordered = sorted(timings, key=lambda timing: (timing.start_s, -timing.end_s))
    _require_nesting(ordered)
    yield from _names(name)
    yield from _module_events(ledger, segments(ledger, ordered))
    yield from _operator_events(ledger, ordered)


def _layers(ledger: Ledger, tool: ToolCosts) -> Sequence[NodeTiming]:
    """The layers of a report as if one ran after another; empty if it has no times."""
    paths = {module.path for module in ledger.modules}
    found = []
    for match in tool.matches:
        if (spent := match.record.figures.get("time_s")) is None:
            continue
        held = [node for node in match.nodes if node in tool.figures.get("time_s", {})]
        around = commonprefix([enclosing(ledger.nodes[node].module_path, paths) for node in held])
        names = tuple(ledger.nodes[node].node for node in match.nodes)
        record, path = match.record, around[-1] if around else None
        found.append(NodeTiming(record.name, record.op_type, path, 0.0, float(spent), names))
    return one_after_another(found)


def segments(ledger: Ledger, ordered: Iterable[NodeTiming]) -> Sequence[Segment]:
    """When each module ran, a module before what it contains; ``ordered`` by start.

    A segment ends with its last node, or where a node outside the module starts.
    """
    paths = {module.path for module in ledger.modules}
    all_segments: list[Segment] = []
    running: list[Segment] = []
    for timing in ordered:
        lineage = enclosing(timing.module_path or "", paths)
        start_ns, end_ns = _ns(timing.start_s), _ns(timing.end_s)
        pairs = zip(lineage, running, strict=False)
        kept = len(list(takewhile(lambda pair: pair[0] == pair[1].path, pairs)))
        for segment in running[kept:]:
            segment.end_ns = min(segment.end_ns, start_ns)
        opened = [Segment(path, start_ns, end_ns) for path in lineage[kept:]]
        all_segments += opened
        running = running[:kept] + opened
        for segment in running:
            segment.end_ns = max(segment.end_ns, end_ns)
    return all_segments


def _require_nesting(ordered: Sequence[NodeTiming]) -> None:
    """A node may run inside another, as in the body of a loop, but not across its end."""
    around: list[NodeTiming] = []
    for timing in ordered:
        while around and _ns(around[-1].end_s) <= _ns(timing.start_s):
            around.pop()
        if around and _ns(timing.end_s) > _ns(around[-1].end_s):
            raise UsageError(
                f"nodes {around[-1].name!r} and {timing.name!r} ran at once; a trace needs times of a run in "
                "which nodes follow one another"
            )
        around.append(timing)


def _names(process: str) -> Iterable[Event]:
    yield _name("process_name", 0, process)
    yield _name("thread_name", MODULES, "modules")
    yield _name("thread_name", OPERATORS, "operators")
    for track in (MODULES, OPERATORS):
        yield {**_name("thread_sort_index", track, ""), "args": {"sort_index": track}}


def _name(what: str, track: int, name: str) -> Event:
    return {"ph": "M", "name": what, "pid": PROCESS, "tid": track, "args": {"name": name}}


def _module_events(ledger: Ledger, ran: Sequence[Segment]) -> Iterable[Event]:
    modules = {module.path: module for module in ledger.modules}
    totals = Counter(segment.path for segment in ran)
    seen: Counter[str] = Counter()
    on_chips = chip_columns_of_modules(ledger)
    for segment in ran:
        module = modules[segment.path]
        seen[segment.path] += 1
        args = _module_facts(module)
        figures = ((name, column.exact(module)) for name, column in on_chips.items())
        args.update((name, figure) for name, figure in figures if figure is not None)
        if totals[segment.path] > 1:
            args["stretch"] = f"{seen[segment.path]} of {totals[segment.path]}"
        name = segment.path or ledger.graph
        yield _slice(name, "module", MODULES, (segment.start_ns, segment.end_ns), args)


def _module_facts(module: ModuleCost) -> Event:
    facts: Event = {
        "path": module.path,
        "class": module.class_name,
        **_known(module, ("macs", "params", "moved_bytes")),
        "operators": ", ".join(f"{op_type} {times}" for op_type, times in module.operators.items()),
    }
    if module.latency_s is not None:
        facts["latency_s"] = module.latency_s
    if module.parity_error is not None:
        facts["parity_error"] = f"{module.parity_error:.3e}"
    return facts


def _known(module: ModuleCost, names: Sequence[str]) -> Event:
    """The figures without those of which nothing is known, and which of them are lower bounds."""
    facts: Event = {
        name: getattr(module, name)
        for name in names
        if getattr(module, name) or not is_lower_bound(name, module.lower_bounds)
    }
    if bounds := [name for name in facts if is_lower_bound(name, module.lower_bounds)]:
        facts["lower_bounds"] = " ".join(bounds)
    return facts


def _operator_events(ledger: Ledger, ordered: Sequence[NodeTiming]) -> Iterable[Event]:
    counted: Mapping[str, NodeCost] = {node.node: node for node in ledger.nodes}
    for timing in ordered:
        facts = _node_facts(timing, [counted[name] for name in timing.sources if name in counted])
        yield _slice(timing.name, "operator", OPERATORS, (_ns(timing.start_s), _ns(timing.end_s)), facts)


def _node_facts(timing: NodeTiming, sources: Sequence[NodeCost]) -> Event:
    """Figures stand only where all nodes of the file that it stands for are known and counted."""
    facts: Event = {"op_type": timing.op_type}
    if timing.module_path is not None:
        facts["module"] = timing.module_path
    if timing.sources:
        facts["sources"] = ", ".join(timing.sources)
    known = len(sources) == len(timing.sources) and all(node.status != "unknown" for node in sources)
    if sources and known:
        facts["macs"] = sum(node.macs for node in sources)
        facts["unfused_bytes"] = sum(node.moved_bytes for node in sources)
    return facts


def _slice(name: str, category: str, track: int, span_ns: tuple[int, int], args: Event) -> Event:
    start_ns, end_ns = span_ns
    return {
        "ph": "X",
        "name": name,
        "cat": category,
        "pid": PROCESS,
        "tid": track,
        "ts": start_ns / 1000,
        "dur": (end_ns - start_ns) / 1000,
        "args": args,
    }


def _ns(seconds: float) -> int:
    """Whole nanoseconds, so that a slice that ends where the next starts does so in the viewer too."""
    return round(seconds * 1e9)
