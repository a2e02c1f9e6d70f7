"""Which node of the saved graph each event of ONNX Runtime's profile is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from onnx import ModelProto

from onnxlens.profile.graph.loading.bodies import CONTROL_FLOW
from onnxlens.profile.runtime.provenance.runtime_graph import RuntimeNode, runtime_nodes

Event = Mapping[str, Any]

SUFFIX = "_kernel_time"
"""What ends the name of an event that times the kernel of a node."""

AROUND = frozenset(op_type for _, op_type in CONTROL_FLOW)
"""The operators in whose time that of other nodes lies."""

Ran = tuple[str, str, int]
"""A node as events tell it: the name without the suffix, the operator, the runtime's index of the node."""


def match_events(optimised: ModelProto, events: Sequence[Event]) -> tuple[str | None, ...]:
    """For each event the key of its node in ``origins_of``; None where it has none, or it cannot be told.

    A node's name is the name of its event, less ``_kernel_time``, and its key. A node without a name is
    called after its operator and the runtime's index of it, ``Cast_758``, which the saved file does not hold.
    It is found by its place: a graph that was rewritten is saved in the order in which it runs, and one that
    was not has its nodes in the order of their indices. Whichever order agrees with all names and operators
    is taken.

    Nodes inside an If or a Loop are found by name alone. Where they have none, or two branches have the same
    one, the event gets the key of the node around it. ``own_times_us`` takes what is inside from what is
    around it.

    Args:
        optimised: the graph that ran, as the session saved it.
        events: of the profile, of any number of runs, in its order.
    """
    nodes = runtime_nodes(optimised)
    keys = _by_name(nodes)
    around = _around(events)
    outer = [event for event, parent in zip(events, around, strict=True) if parent is None]
    placed = _by_place([node for node in nodes if not node.prefix], outer, keys)

    def key(index: int) -> str | None:
        parent = around[index]
        if not is_kernel(events[index]):
            return None
        ran = _ran(events[index])
        if parent is None:
            return placed.get(ran) or keys.get(ran[0])
        return keys.get(ran[0]) or key(parent)

    return tuple(key(index) for index in range(len(events)))


def own_times_us(events: Sequence[Event]) -> tuple[int, ...]:
    """For each event the microseconds of its node without those of the nodes inside it; 0 if it is no node's.

    They add up to what all nodes took, and an If or a Loop keeps what it took itself.
    """
    times = [int(event["dur"]) if is_kernel(event) else 0 for event in events]
    own = list(times)
    for index, around in enumerate(_around(events)):
        if around is not None:
            own[around] -= times[index]
    return tuple(own)


def is_kernel(event: Event) -> bool:
    """Whether it times the kernel of a node, and not a session or a step around it."""
    return event.get("cat") == "Node" and str(event["name"]).endswith(SUFFIX) and "op_name" in event["args"]


def _around(events: Sequence[Event]) -> Sequence[int | None]:
    """For each event the index of the one, of an If or a Loop, that it runs in."""
    around: list[int | None] = [None] * len(events)
    kernels = (index for index, event in enumerate(events) if is_kernel(event))
    opened: list[int] = []
    for index in sorted(kernels, key=lambda index: (events[index]["ts"], -events[index]["dur"])):
        while opened and _end(events[opened[-1]]) < _end(events[index]):
            opened.pop()
        around[index] = opened[-1] if opened else None
        if events[index]["args"]["op_name"] in AROUND:
            opened.append(index)
    return around


def _end(event: Event) -> int:
    return int(event["ts"]) + int(event["dur"])


def _ran(event: Event) -> Ran:
    args = event["args"]
    return str(event["name"]).removesuffix(SUFFIX), args["op_name"], int(args["node_index"])


def _by_name(nodes: Sequence[RuntimeNode]) -> Mapping[str, str]:
    """The keys of nodes whose name is theirs alone in the whole file."""
    times = Counter(node.name for node in nodes)
    return {node.name: node.key for node in nodes if node.name and times[node.name] == 1}


def _by_place(
    nodes: Sequence[RuntimeNode], events: Sequence[Event], keys: Mapping[str, str]
) -> Mapping[Ran, str]:
    """The keys of nodes outside any body, where some of them have no name of their own."""
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
