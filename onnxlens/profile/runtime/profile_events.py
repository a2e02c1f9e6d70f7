"""ONNX Runtime's profile: which node each event is of, how long every node took, and what its arena held."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from onnx import ModelProto

from onnxlens.errors import GraphError
from onnxlens.profile.graph.loading.bodies import CONTROL_FLOW
from onnxlens.profile.runtime.runtime_graph import RuntimeNode, runtime_nodes

Event = Mapping[str, Any]

RUN = "model_run"
"""The name of the event that spans one run of the session."""

SUFFIX = "_kernel_time"
"""The end of the name of an event that times a node's kernel."""

BODY_OPERATORS = frozenset(op_type for _, op_type in CONTROL_FLOW)
"""The operators whose time includes that of the nodes in their bodies."""

US_PER_S = 1_000_000

Ran = tuple[str, str, int]
"""A node in an event: the event's name without the suffix, the operator, the runtime's node index."""


@dataclass(frozen=True, slots=True)
class NodeRuns:
    """One node of the optimized graph that ran: its self time in each counted run, and how often it ran.

    ``node`` is its key in the provenance, or the name of its events if it has none, and so is not ``known``.
    A node inside it that could not be told apart has the same key and an operator of its own.
    """

    node: str
    known: bool
    op_type: str
    seconds: tuple[float, ...]
    executions: tuple[int, ...]


def read_events(path: Path) -> Sequence[Event]:
    """The events of the profile at ``path``, in its order.

    Raises:
        GraphError: it cannot be read, or is not a profile.
    """
    try:
        events = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GraphError(f"{path}: ONNX Runtime's profile cannot be read: {error}") from error
    if not isinstance(events, list):
        raise GraphError(
            f"{path}: not a profile of ONNX Runtime: a {type(events).__name__}, expected a list of events"
        )
    return events


def match_events(
    optimized: ModelProto,
    events: Sequence[Event],
    interchangeable: Callable[[str, str], bool] = lambda one, other: False,
) -> tuple[str | None, ...]:
    """For each event the key of its node in ``provenance_of``; None if it has none or it is ambiguous.

    1. The name of a node's event is the node's name, which is its key, and ``_kernel_time``.
    2. An unnamed node's event has the operator and the runtime's node index, ``Cast_758``, which the saved
       file does not hold. Such a node is found by its position: a rewritten graph is saved in execution
       order, any other has its nodes in the order of their indices. The order that agrees with all names
       and operators is used.
    3. Nodes inside an If or a Loop are found by their position in its bodies, of which one alone must agree,
       else by name. Where two branches are alike, the event gets the key of the first one's node if each node
       is interchangeable with its counterpart, else the key of the node around them.

    ``optimized`` is the graph that ran, as the session saved it; the events are in the profile's order, of
    any number of runs.
    """
    nodes = runtime_nodes(optimized)
    keys = _keys_by_name(nodes)
    parents = _parents(events)
    outer = [event for event, parent in zip(events, parents, strict=True) if parent is None]
    by_position = _keys_by_position([node for node in nodes if not node.prefix], outer, keys)

    by_key = {node.key: node for node in nodes}
    in_bodies: dict[str, list[RuntimeNode]] = {}
    for node in nodes:
        in_bodies.setdefault(node.prefix, []).append(node)
    children: dict[int, list[Event]] = {}
    for event, parent in zip(events, parents, strict=True):
        if parent is not None:
            children.setdefault(parent, []).append(event)

    @cache
    def inside(parent: int) -> Mapping[Ran, str]:
        bodies = by_key[around].bodies.values() if (around := key(parent)) else ()
        agreeing = (_keys_by_position(in_bodies.get(body, ()), children[parent], {}) for body in bodies)
        found = [ran for ran in agreeing if ran]
        first, *others = found or [{}]
        same = all(interchangeable(first[ran], other[ran]) for other in others for ran in first)
        return first if same else {}

    @cache
    def key(index: int) -> str | None:
        parent = parents[index]
        if not is_kernel(events[index]):
            return None
        ran = _ran(events[index])
        if parent is None:
            return by_position.get(ran) or keys.get(ran[0])
        return inside(parent).get(ran) or keys.get(ran[0]) or key(parent)

    return tuple(key(index) for index in range(len(events)))


def self_times_us(events: Sequence[Event], keys: Sequence[str | None]) -> Mapping[int, int]:
    """The self time of each kernel event in microseconds, without its children, by index in order of start.

    An event inside another one and without a key is left out: its time stays in the event around it. So the
    sum is that of the outermost events.
    """
    parents = _parents(events)
    times: dict[int, int] = {}
    for index in _kernels_by_start(events):
        parent = parents[index]
        if parent is not None and keys[index] is None:
            continue
        while parent is not None and parent not in times:
            parent = parents[parent]
        duration = int(events[index]["dur"])
        if parent is not None:
            times[parent] = max(0, times[parent] - duration)
        times[index] = duration
    return times


def node_runs(events: Sequence[Event], keys: Sequence[str | None], warmup: int) -> tuple[NodeRuns, ...]:
    """The self time of every node in every run after the first ``warmup``, in execution order.

    Raises:
        GraphError: the profile holds no further run.
    """
    spans = sorted((event["ts"], event["ts"] + event["dur"]) for event in events if event["name"] == RUN)
    counted = spans[warmup:]
    if not counted:
        raise GraphError(f"the profile holds {len(spans)} runs, of which {warmup} are warm-ups; none is left")
    seconds: dict[tuple[str, bool, str], list[float]] = {}
    executions: dict[tuple[str, bool, str], list[int]] = {}
    for index, self_us in self_times_us(events, keys).items():
        event, key = events[index], keys[index]
        name = _name(event) if key is None else key
        for run, (start, end) in enumerate(counted):
            if start <= event["ts"] < end:
                identity = (name, key is not None, str(event["args"]["op_name"]))
                seconds.setdefault(identity, [0.0] * len(counted))[run] += self_us / US_PER_S
                executions.setdefault(identity, [0] * len(counted))[run] += 1
    return tuple(
        NodeRuns(*identity, tuple(times), tuple(executions[identity])) for identity, times in seconds.items()
    )


def nodes_by_provider(events: Sequence[Event]) -> Mapping[str, int]:
    """How many nodes ran on each execution provider, by ONNX Runtime's name of it."""
    kernels = filter(is_kernel, events)
    ran = {(str(event["name"]), str(event["args"].get("provider", ""))) for event in kernels}
    return Counter(provider for _, provider in ran)


def arena_peak_bytes(events: Sequence[Event]) -> int | None:
    """The most bytes in use at once in ONNX Runtime's arena, in any run; None if the profile has none."""
    field = "mem_in_use_peak"
    arguments = (event["args"] for event in filter(is_kernel, events))
    return max((int(held[field]) for held in arguments if field in held), default=None)


def is_kernel(event: Event) -> bool:
    """Whether the event times a node's kernel, not a session or a step around it."""
    return event.get("cat") == "Node" and str(event["name"]).endswith(SUFFIX) and "op_name" in event["args"]


def _kernels_by_start(events: Sequence[Event]) -> Sequence[int]:
    """Indices of the kernel events by start; of those that start together, the longest first."""
    kernels = (index for index, event in enumerate(events) if is_kernel(event))
    return sorted(kernels, key=lambda index: (events[index]["ts"], -events[index]["dur"]))


def _parents(events: Sequence[Event]) -> Sequence[int | None]:
    """For each event the index of the kernel event that it is nested in.

    ONNX Runtime runs one node at a time and rounds start and duration down: an event that starts before the
    end of another is nested in it. At the same microsecond, only a body operator counts as the outer one.
    """
    parents: list[int | None] = [None] * len(events)
    stack: list[int] = []
    for index in _kernels_by_start(events):
        while stack and _has_ended(events[stack[-1]], events[index]):
            stack.pop()
        if stack:
            outer = events[stack[-1]]
            starts_later = outer["ts"] < events[index]["ts"] or outer["args"]["op_name"] in BODY_OPERATORS
            parents[index] = stack[-1] if starts_later else parents[stack[-1]]
        stack.append(index)
    return parents


def _has_ended(outer: Event, event: Event) -> bool:
    """Whether an event had ended when another one started."""
    end = int(outer["ts"]) + int(outer["dur"])
    at_end = event["ts"] == end and not event["dur"] and outer["args"]["op_name"] in BODY_OPERATORS
    return bool(event["ts"] >= end and not at_end)


def _name(event: Event) -> str:
    return str(event["name"]).removesuffix(SUFFIX)


def _ran(event: Event) -> Ran:
    return _name(event), event["args"]["op_name"], int(event["args"]["node_index"])


def _keys_by_name(nodes: Sequence[RuntimeNode]) -> Mapping[str, str]:
    """The keys of nodes whose name is unique in the file."""
    times = Counter(node.name for node in nodes)
    return {node.name: node.key for node in nodes if node.name and times[node.name] == 1}


def _keys_by_position(
    nodes: Sequence[RuntimeNode], events: Sequence[Event], keys: Mapping[str, str]
) -> Mapping[Ran, str]:
    """The keys of the nodes of one graph or body; empty if all of them have a unique name, or none agrees."""
    if all(node.name in keys for node in nodes):
        return {}
    met = list(dict.fromkeys(_ran(event) for event in events if is_kernel(event)))
    for order in (met, sorted(met, key=lambda ran: ran[2])):
        if len(order) == len(nodes) and all(map(_agree, order, nodes)):
            return {ran: node.key for ran, node in zip(order, nodes, strict=True)}
    return {}


def _agree(ran: Ran, node: RuntimeNode) -> bool:
    name, op_type, index = ran
    return op_type == node.op_type and name == (node.name or f"{op_type}_{index}")
