"""What another tool reports of a model's layers, and what of it belongs to which node of the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from math import fsum
from re import sub
from types import MappingProxyType
from typing import Literal, get_args

from onnxlens.errors import GraphError
from onnxlens.specs.record import record

Way = Literal["exact", "fused", "shared", "unattributed"]
"""All nodes of a record lie in one module; in several, of which one has all of its figures; in several that
they are divided among; it leads to none."""

Trail = Literal["node", "tensor", "module", "aligned", "none"]
"""What led a record to its nodes: a node's name, a tensor's, a module's path, its neighbors and shapes."""

WAYS: tuple[Way, ...] = get_args(Way)

KEPT = "layers.json"
"""What ``compile --keep`` leaves in a tool's folder: its report in our own form, as it was led back."""

OF_WORKERS = frozenset({"request.json", "result.json", KEPT})
"""What stands there beside the tool's own files."""


@record(frozen=True, slots=True)
class Metric:
    """A figure that tools report; ``together`` says what several of them are: their sum, or the largest."""

    unit: Literal["s", "cycles", "bytes", "macs", "flops", "pJ", ""]
    doc: str
    together: Literal["sum", "largest"] = "sum"


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "time_s": Metric("s", "time, measured on a machine or predicted by the tool"),
        "cycles": Metric("cycles", "cycles of the layer, as the tool adds them up"),
        "compute_cycles": Metric("cycles", "cycles of the arithmetic alone"),
        "memory_cycles": Metric("cycles", "cycles of the external memory alone"),
        "macs": Metric("macs", "multiply-accumulates as the tool counts them"),
        "flops": Metric("flops", "operations as the tool counts them"),
        "off_chip_bytes": Metric("bytes", "bytes moved to and from external memory, weights included"),
        "on_chip_bytes": Metric("bytes", "bytes moved to and from memory on the chip"),
        "off_chip_read_bytes": Metric("bytes", "bytes read from external memory, weights included"),
        "weight_bytes": Metric("bytes", "bytes of weights that are read from external memory"),
        "energy_pj": Metric("pJ", "energy"),
        "cost_share": Metric("", "share of the cost of the model, as the tool estimates it"),
        "error": Metric("", "relative L2 error of the outputs, all error before them included", "largest"),
        "cosine_distance": Metric("", "1 - cosine similarity of the outputs to the reference", "largest"),
    }
)
"""Every figure that a reader may fill in."""


@record(frozen=True, slots=True)
class LayerRecord:
    """One layer, as a tool reports it.

    Attributes:
        name: as the tool prints it.
        op_type: the operator, as the tool calls it; "" if it does not say.
        sources: names of nodes, tensors or modules of the model that the tool tells; none if it tells none.
        placement: the unit that runs it: ``npu``, ``cpu``; "" if the tool does not say.
        figures: by names of ``METRICS``; what the tool does not model is absent, never 0.
        inputs, outputs: shapes, where the tool tells them.
    """

    name: str
    op_type: str = ""
    sources: tuple[str, ...] = ()
    placement: str = ""
    figures: Mapping[str, int | float] = field(default_factory=dict)
    inputs: tuple[tuple[int, ...], ...] = ()
    outputs: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        for name, value in self.figures.items():
            if name not in METRICS:
                raise GraphError(f"layer {self.name!r}: no figure is called {name!r}; {', '.join(METRICS)}")
            if not 0 <= value < float("inf"):
                raise GraphError(f"layer {self.name!r}: {name} is {value!r}; leave out what is not known")


@record(frozen=True, slots=True)
class Step:
    """One call of a tool's program.

    Attributes:
        record: the layer that it is, by its position in the report; None for what computes nothing.
        reads: the steps that it reads, by their position, each with the number of its argument.
    """

    record: int | None = None
    reads: tuple[tuple[int, int], ...] = ()


@record(frozen=True, slots=True)
class LayerReport:
    """What one tool reports of one model.

    Attributes:
        tool: the reader's name, which is that of its table of naming rules too.
        version, chip: as the report says; "" if it does not.
        records: in the order of execution, as far as the tool tells.
        refused: why the tool does not take a node, by the name that it tells.
        notes: what a reader of the figures must know, one line each.
        called: what its columns are called, where that is not the tool and its chip.
        program: which layer reads which, in steps after those that they read; empty where only the names are
            those of the file that the tool was given; None for names of the graph itself.
        output_error: the relative L2 error of each output of the model, where the tool runs it; infinite
            where shapes, or the values that are not finite, differ, and None as JSON has that.
    """

    tool: str
    records: tuple[LayerRecord, ...]
    version: str = ""
    chip: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    called: str = ""
    program: tuple[Step, ...] | None = None
    output_error: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What stands behind ``@`` in the names of its columns: without what ends a name there."""
        name = self.called or (f"{self.tool}-{self.chip}" if self.chip else self.tool)
        return sub(r"[^\w.:/+@-]+", "-", name)


@record(frozen=True, slots=True)
class LayerMatch:
    """Where one record leads.

    Attributes:
        confidence: 1 where a name led there; less where neighbors and shapes did.
        nodes: by their positions in the graph, in order.
        parts: those of them that its figures stand at.
    """

    record: LayerRecord
    way: Way
    trail: Trail
    confidence: float
    nodes: tuple[int, ...]
    parts: tuple[int, ...] = ()


@record(frozen=True, slots=True)
class ToolCosts:
    """What a tool says of the nodes of a graph.

    Attributes:
        matches: of every record of ``report``, in its order.
        figures: by metric and node; the sum over the nodes and the unattributed records is the report's.
        placement, refused: by node, where the tool says it.
    """

    report: LayerReport
    matches: tuple[LayerMatch, ...]
    figures: Mapping[str, Mapping[int, int | float]]
    placement: Mapping[int, str] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)

    def of(self, metric: str, nodes: Iterable[int]) -> int | float | None:
        """The figure of several nodes together; None where the tool has none for any of them."""
        known = self.figures.get(metric, {})
        return together(metric, (known[node] for node in nodes if node in known))

    def led(self, metric: str, way: Way) -> int | float | None:
        """What the records that are led back in this way come to."""
        figures = (match.record.figures for match in self.matches if match.way == way)
        return together(metric, (each[metric] for each in figures if metric in each))


def together(metric: str, values: Iterable[int | float]) -> int | float | None:
    """Several figures as one: whole numbers stay whole; None for none."""
    found = list(values)
    if not found:
        return None
    if METRICS[metric].together == "largest":
        return max(found)
    return sum(found) if all(isinstance(value, int) for value in found) else fsum(found)
