"""ONNX Runtime's profile of a session, from whatever machine: ``SessionOptions.enable_profiling``.

Source: files that onnxruntime 1.31.1 wrote: events as in a Chrome trace. A node's kernel has an event of its
own, with its operator, execution provider and shapes; an If or a Loop holds the events of its bodies, whose
time is not its own. ``model_run`` spans one run: of several, the first is a warm-up and does not count, and
the mean of the others is taken. Runs at the same time, by several threads, count all.

A node on a GPU is launched, and runs later: its own event is the launch. Behind it stand events of the
category ``Kernel``, which are what ran, if ONNX Runtime was built with ``--enable_cuda_profiling``: they are
its time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import entry, listed, named, refuse, seconds, whole
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "onnxruntime"

PROVIDER = "ExecutionProvider"

LAUNCHING = frozenset({"cuda", "tensorrt", "nvtensorrtrtx", "rocm", "migraphx", "dml", "webgpu"})
"""Providers whose nodes are launched by the processor, and run on a GPU."""

EVENT = re.compile(r'"name" ?: ?"(?:model_loading|model_run|[^"]*_kernel_time)')


def _recognizes(given: Given) -> bool:
    head = given.head()
    return '"cat"' in head and EVENT.search(head) is not None


def _read(given: Given) -> LayerReport:
    from onnxlens.profile.runtime.profile_events import RUN, SUFFIX, self_times_us  # takes a second to load

    path = given.one_named(r"\.json", "a profile of ONNX Runtime")
    events = [
        _event(each, f"{path}: event {at}")
        for at, each in enumerate(listed(given.json(path), str(path), "events"))
    ]
    spans = sorted((event["ts"], event["ts"] + event["dur"]) for event in events if event["name"] == RUN)
    if not spans:
        refuse(path, f"no event {RUN}: no run of a model", "close the session before its profile is read")
    apart = all(end <= start for (_, end), (start, _) in pairwise(spans))
    warm = spans[1][0] if apart and len(spans) > 1 else spans[0][0]
    runs = len(spans) - (warm > spans[0][0])
    times: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    ran = _ran_us(events)
    for thread in _by_thread(events):
        for index, self_us in self_times_us(thread, ["node"] * len(thread)).items():
            event = thread[index]
            if event["ts"] >= warm:
                key = (event["name"].removesuffix(SUFFIX), str(event["args"]["op_name"]))
                first.setdefault(key, event["args"])
                if id(event) in ran or not (ran and _placement(event["args"]) in LAUNCHING):
                    times[key] += ran.get(id(event), self_us)
    records = tuple(_record(*key, times.get(key), runs, args) for key, args in first.items())
    note = f"the mean of {runs} {'run' if runs == 1 else 'runs'}" + (
        ", the first not counted" if runs < len(spans) else ""
    )
    return LayerReport(TOOL, records, notes=(note, *_launched(records, bool(ran))))


def _ran_us(events: Sequence[Mapping[str, Any]]) -> Mapping[int, int]:
    """How long the kernels ran that stand behind a node's event, by the event's identity."""
    times: Counter[int] = Counter()
    node: Mapping[str, Any] | None = None
    for event in events:
        if event.get("cat") == "Node":
            node = event
        elif event.get("cat") == "Kernel" and node is not None:
            times[id(node)] += event["dur"]
    return times


def _launched(records: Sequence[LayerRecord], has_kernels: bool) -> Iterable[str]:
    """What times of a GPU are."""
    gpus = sorted({record.placement for record in records} & LAUNCHING)
    if has_kernels:
        yield f"times of {', '.join(gpus) or 'nodes with kernels'} are those of the kernels on the GPU"
    elif gpus:
        yield (
            f"times of {', '.join(gpus)} are those of the processor, which launches what the GPU then runs: "
            "profile a build with --enable_cuda_profiling for those"
        )


def _by_thread(events: Sequence[Mapping[str, Any]]) -> Iterable[Sequence[Mapping[str, Any]]]:
    """The events of each thread: only there does an event that lies inside another one belong to it."""
    threads: dict[object, list[Mapping[str, Any]]] = {}
    for event in events:
        threads.setdefault(str(event.get("tid")), []).append(event)
    return threads.values()


def _event(value: Any, where: str) -> Mapping[str, Any]:
    """An event whose fields are what is read of it."""
    event = dict(entry(value, where, "name"))
    named(event["name"], where)
    if str(event["name"]).endswith(("model_run", "_kernel_time")) or event.get("cat") == "Kernel":
        entry(event, where, "ts", "dur")
        event |= {name: whole(event[name], f"{where}: {name}") for name in ("ts", "dur")}
    event["args"] = event.get("args") if isinstance(event.get("args"), dict) else {}
    return event


def _placement(args: Mapping[str, Any]) -> str:
    return str(args.get("provider", "")).removesuffix(PROVIDER).lower()


def _record(name: str, op_type: str, total_us: int | None, runs: int, args: Mapping[str, Any]) -> LayerRecord:
    """A layer; without a time where nothing of it is known but its launch."""
    # 0 is less than the clock tells
    figures = {} if total_us is None else {"time_s": seconds(total_us, "us", name) / runs}
    shapes = [_shapes(args.get(f"{side}_type_shape")) for side in ("input", "output")]
    return LayerRecord(name, op_type, (name,), _placement(args), figures, *shapes)


def _shapes(tensors: Any) -> tuple[tuple[int, ...], ...]:
    """Shapes from ``[{"float": [1, 3, 8, 8]}]``."""
    given = tensors if isinstance(tensors, list) else ()
    shapes: Sequence[Any] = [shape for each in given if isinstance(each, dict) for shape in each.values()]
    sizes = (shape for shape in shapes if isinstance(shape, list) and all(type(n) is int for n in shape))
    return tuple(map(tuple, sizes))


READERS = (Reader(TOOL, "the profile of an ONNX Runtime session", _recognizes, _read),)
