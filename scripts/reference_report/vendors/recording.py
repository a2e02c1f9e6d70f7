"""Compile the networks with every tool that is there, and keep what each says in our own form."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx.external_data_helper import set_external_data, uses_external_data

from onnxlens.api.compile import compile_graph, list_compilers
from onnxlens.api.layers import SCHEMA
from onnxlens.api.opened import opened
from onnxlens.specs.codec import to_plain
from onnxlens.specs.compiled import CompileAsk
from onnxlens.specs.layers import LayerReport
from onnxlens.specs.progress import Progress, silent
from reference_report.vendors.networks import CHIPS, Network

PACKED = ".gz"
GRAPH = "graph.onnx" + PACKED
"""The file that was compiled, without its weights."""

LARGEST = 100_000
"""Characters of a record that is not packed."""

SMALL = 1024
"""Bytes of constants that stay in the file: shapes and scales."""


def record_network(network: Network, folder: Path, progress: Progress = silent) -> None:
    """Compile a network with the tools that are installed, and write their records into the folder.

    The others' records stay as they are.
    """
    there = {state.name: state.version for state in list_compilers() if not state.missing}
    tools = tuple(tool for tool in CHIPS if tool in there)
    with TemporaryDirectory(prefix="onnxlens-") as made:
        target, settings = network.given(Path(made), "seeded", progress)
        with opened(target, settings, progress) as it:
            write_graph(it.runnable_path, folder / GRAPH)
            chips = {tool: CHIPS[tool] for tool in tools if CHIPS[tool] != ("",)}
            done = compile_graph(it, CompileAsk(tools, chips), progress=progress)
    for each in done.compilations:
        failed = LayerReport(each.tool, (), there[each.tool], each.chip, notes=(each.failure,))
        write_record(each.report or failed, network.name, folder)


def write_graph(path: Path, out: Path) -> None:
    """An ONNX file without the values of its weights."""
    model = onnx.load(path, load_external_data=False)
    for weight in model.graph.initializer:
        if not uses_external_data(weight) and weight.ByteSize() > SMALL:
            set_external_data(weight, "weights", 0, len(weight.raw_data))
            weight.ClearField("raw_data")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(gzip.compress(model.SerializeToString(deterministic=True), mtime=0))


def write_record(report: LayerReport, graph: str, folder: Path) -> None:
    """A report as ``read_layers`` takes it, a line for each layer, without what is empty; packed if large."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{report.label}.json*"):
        old.unlink()
    text, path = _text(report, graph), folder / f"{report.label}.json"
    if len(text) > LARGEST:
        path.with_name(path.name + PACKED).write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text, encoding="utf-8")


def _text(report: LayerReport, graph: str) -> str:
    plain = to_plain(report)
    records = ",\n".join(_line(record) for record in plain.pop("records"))
    head = _line({"schema": SCHEMA, "graph": graph, "report": _filled(plain)})[:-2]
    return f'{head}, "records": [\n{records}\n]}}}}\n'


def _line(entries: Mapping[str, object]) -> str:
    return json.dumps(_filled(entries), separators=(",", ":"))


def _filled(entries: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in entries.items() if value not in ("", [], {})}


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The file, or what is packed in it, for a while."""
    if path.suffix != PACKED:
        yield path
        return
    with TemporaryDirectory(prefix="onnxlens-") as made:
        out = Path(made) / path.stem
        out.write_bytes(gzip.decompress(path.read_bytes()))
        yield out
