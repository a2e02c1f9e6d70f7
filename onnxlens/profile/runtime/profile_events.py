"""ONNX Runtime's profile: how long every node took in every run, and how much its arena held."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnxlens.errors import GraphError
from onnxlens.profile.runtime.provenance.events import SUFFIX, Event, is_kernel

RUN = "model_run"
"""The name of the event that spans one run of the session."""

US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class NodeRuns:
    """One node of the graph that ran.

    Attributes:
        node: its key in the origins, or the name of its events where it has none.
        known: whether it has such a key.
        seconds: in each counted run: the node's own time, less that of nodes that run inside it.
    """

    node: str
    known: bool
    op_type: str
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ArenaUse:
    """The most that ONNX Runtime's arena had in use, and had taken from the system, in any run."""

    in_use_bytes: int
    held_bytes: int


def read_events(path: Path) -> Sequence[Event]:
    """The events of the profile at ``path``, in its order.

    Raises:
        GraphError: it cannot be read, or is no profile.
    """
    try:
        events = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GraphError(f"{path}: ONNX Runtime's profile cannot be read: {error}") from error
    if not isinstance(events, list):
        raise GraphError(f"{path}: no profile of ONNX Runtime: a {type(events).__name__}, expected a list")
    return events


def node_runs(events: Sequence[Event], keys: Sequence[str | None], warmup: int) -> tuple[NodeRuns, ...]:
    """The time of every node in every run after the first ``warmup``, in the order in which they ran.

    Nodes run one after the other; one that starts before another has ended runs inside it, in a branch or a
    body, and its time is taken off the outer one's, so that nothing counts twice. If it is not known which
    node that is, its time stays the outer one's.

    Args:
        events: of the profile.
        keys: of the node that each event is about; None where it is not known.
        warmup: runs that are not counted.

    Raises:
        GraphError: the profile holds no run more than those.
    """
    spans = sorted((event["ts"], event["ts"] + event["dur"]) for event in events if event["name"] == RUN)
    if len(spans) <= warmup:
        raise GraphError(f"the profile holds {len(spans)} runs, of which {warmup} are warm-ups; none is left")
    seconds: dict[tuple[str, bool, str], list[float]] = {}
    kernels = sorted(
        ((event, key) for event, key in zip(events, keys, strict=True) if is_kernel(event)),
        key=lambda pair: (pair[0]["ts"], -pair[0]["dur"]),
    )
    for place, (start, end) in enumerate(spans[warmup:]):
        for event, key, own_us in _own_times([it for it in kernels if start <= it[0]["ts"] < end]):
            name = str(event["name"]).removesuffix(SUFFIX) if key is None else key
            identity = (name, key is not None, str(event["args"]["op_name"]))
            times = seconds.setdefault(identity, [0.0] * (len(spans) - warmup))
            times[place] += own_us / US_PER_S
    return tuple(NodeRuns(*identity, tuple(times)) for identity, times in seconds.items())


def _own_times(kernels: Sequence[tuple[Event, str | None]]) -> Sequence[tuple[Event, str | None, int]]:
    """Microseconds of each event less those of the events right inside it; they are sorted by start."""
    counted: list[tuple[Event, str | None]] = []
    own: list[int] = []
    around: list[int] = []
    for event, key in kernels:
        while around and event["ts"] >= _end(counted[around[-1]][0]):
            around.pop()
        if around and key is None:
            continue
        if around:
            own[around[-1]] = max(0, own[around[-1]] - int(event["dur"]))
        around.append(len(counted))
        counted.append((event, key))
        own.append(int(event["dur"]))
    return [(event, key, us) for (event, key), us in zip(counted, own, strict=True)]


def _end(event: Event) -> int:
    return int(event["ts"]) + int(event["dur"])


def nodes_by_provider(events: Sequence[Event]) -> Mapping[str, int]:
    """How many nodes ran on each execution provider, by ONNX Runtime's name of it."""
    ran = {
        (str(event["name"]), str(event["args"].get("provider", ""))) for event in events if is_kernel(event)
    }
    return Counter(provider for _, provider in ran)


def arena_use(events: Sequence[Event]) -> ArenaUse | None:
    """What the events say of the arena, warm-ups included; None where this ONNX Runtime does not say."""
    told = [event["args"] for event in events if is_kernel(event) and "mem_in_use_peak" in event["args"]]
    if not told:
        return None
    return ArenaUse(
        max(int(args["mem_in_use_peak"]) for args in told),
        max(int(args.get("mem_arena_held", 0)) for args in told),
    )
