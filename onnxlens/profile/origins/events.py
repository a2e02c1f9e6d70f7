"""Which node of the saved graph each event of ONNX Runtime's profile is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from onnx import ModelProto

from onnxlens.profile.origins.runtime_graph import RuntimeNode, runtime_nodes

Event = Mapping[str, Any]

SUFFIX = "_kernel_time"
"""What ends the name of an event that times the kernel of a node."""

Ran = tuple[str, str, int]
"""A node as events tell it: the name without the suffix, the operator, the runtime's index of the node."""


def match_events(optimised: ModelProto, events: Sequence[Event]) -> tuple[str | None, ...]:
    """For each event the key of its node in ``origins_of``; None where it has none, or it cannot be told.

    A node's name is the name of its event, less ``_kernel_time``, and its key. A node without a name is
    called after its operator and the runtime's index of it, ``Cast_758``, which the saved file does not hold.
    It is found by its place: a graph that was rewritten is saved in the order in which it runs, and one that
    was not has its nodes in the order of their indices. Whichever order agrees with all names and operators
    is taken. Two nodes of one name are told apart in the same way, and both keys are operator and output.

    Nodes inside an If or a Loop are found by name alone. Their time lies within that of the node around them.

    Args:
        optimised: the graph that ran, as the session saved it.
        events: of the profile, of any number of runs, in its order.
    """
    nodes = runtime_nodes(optimised)
    keys = _by_name(nodes)
    placed = _by_place([node for node in nodes if not node.prefix], events, keys)
    return tuple(_key(event, keys, placed) for event in events)


def _key(event: Event, keys: Mapping[str, str], placed: Mapping[Ran, str]) -> str | None:
    if not is_kernel(event):
        return None
    ran = _ran(event)
    return placed.get(ran) or keys.get(ran[0])


def is_kernel(event: Event) -> bool:
    """Whether it times the kernel of a node, and not a session or a step around it."""
    return event.get("cat") == "Node" and str(event["name"]).endswith(SUFFIX) and "op_name" in event["args"]


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
    if all(node.name in keys for node in nodes):
        return {}
    inner = set(keys) - {node.name for node in nodes}
    met = list(dict.fromkeys(ran for ran in map(_ran, filter(is_kernel, events)) if ran[0] not in inner))
    for order in (met, sorted(met, key=lambda ran: ran[2])):
        if len(order) == len(nodes) and all(map(_agree, order, nodes)):
            return {ran: node.key for ran, node in zip(order, nodes, strict=True)}
    return {}


def _agree(ran: Ran, node: RuntimeNode) -> bool:
    name, op_type, index = ran
    return op_type == node.op_type and name == (node.name or f"{op_type}_{index}")
