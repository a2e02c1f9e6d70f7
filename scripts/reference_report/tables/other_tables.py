"""The sizes that the demo really runs, the scenarios, the graphs with their files, and the corrections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from onnxlens.reports.numbers import shapes, share, short_count
from onnxlens.reports.tables.render import Column
from onnxlens.specs.ledger import Ledger
from reference_report.tables import control_table
from reference_report.tables.cells import GIGA, MEGA, in_unit, peer_table_of, picture_of
from reference_report.tables.evidence import (
    Evidence,
    batch_norm_elements,
    score_constants,
    where_shape_stands,
)
from reference_report.tables.printed import (
    BOTH_PARAMS_M,
    CONTROL_OUTPUT,
    CONTROL_PARAMS_M,
    SD_PARAMS_M,
    PrintedScenario,
)

BODY_PIXELS = 184
HAND_PIXELS = 368
HAND_SCALES = (0.5, 1.0, 1.5, 2.0)
DEPTH_PIXELS = 384
TABLE_GRAPHS = (
    "openpose-body", "openpose-hand", "midas-dpt-hybrid", "mlsd-large", "mlsd-tiny", "hed", "hed-bsds",
    "uniformer-seg", "clip-text", "controlnet", "sd-unet", "vae-encoder", "vae-decoder",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SizeRow:
    """A network at a size that the demo gives it.

    Attributes:
        macs_at_512: of the same network at the size that the document's table is for.
        unet_macs: of a pass of the UNet at batch 2.
    """

    what: str
    input: str
    macs: int
    macs_at_512: int
    unet_macs: int


@dataclass(frozen=True, slots=True)
class GraphRow:
    """A graph of the catalog with its files."""

    ledger: Ledger
    peer_total: int | None


def size_rows(evidence: Evidence) -> Sequence[SizeRow]:
    """Body, hand at its scales and over all of them, depth."""

    def row(what: str, graph: str, *pixels: int) -> SizeRow:
        ledgers = [evidence.count(graph, size) for size in pixels]
        return SizeRow(
            what,
            ", ".join(shapes(ledger.modules[0].inputs) for ledger in ledgers),
            sum(ledger.totals.macs for ledger in ledgers),
            evidence.macs(graph),
            evidence.macs("sd-unet"),
        )

    scaled = [int(scale * HAND_PIXELS) for scale in HAND_SCALES]
    return (
        row(f"body at {BODY_PIXELS} x {BODY_PIXELS}", "openpose-body", BODY_PIXELS),
        *(
            row(f"hand at {scale:g} x {HAND_PIXELS}", "openpose-hand", size)
            for scale, size in zip(HAND_SCALES, scaled, strict=True)
        ),
        row(f"hand at all {len(scaled)} scales: each hand found", "openpose-hand", *scaled),
        row(f"depth at {DEPTH_PIXELS} x {DEPTH_PIXELS}", "midas-dpt-hybrid", DEPTH_PIXELS),
    )


def graph_rows(evidence: Evidence) -> Sequence[GraphRow]:
    """Every graph that the tables use."""
    return tuple(GraphRow(evidence.count(graph, None), evidence.peers(graph)) for graph in TABLE_GRAPHS)


SIZE_PAGE: Sequence[Column[SizeRow]] = (
    Column("what", lambda r: r.what),
    Column("input", lambda r: r.input),
    Column("MACs", lambda r: short_count(r.macs), right=True),
    Column("of its MACs at 512 x 512", lambda r: share(r.macs, r.macs_at_512), right=True),
    Column("of a UNet pass at batch 2", lambda r: share(r.macs, r.unet_macs), right=True),
)
SIZE_DATA: Sequence[Column[SizeRow]] = (
    Column("what", lambda r: r.what),
    Column("input", lambda r: r.input),
    Column("MACs", lambda r: r.macs),
    Column("MACs at 512 x 512", lambda r: r.macs_at_512),
    Column("MACs of a UNet pass at batch 2", lambda r: r.unet_macs),
)

GRAPH_PAGE: Sequence[Column[GraphRow]] = (
    Column("graph", lambda r: f"`{r.ledger.graph}`"),
    Column("batch", lambda r: _batch(r), right=True),
    Column("MACs", lambda r: f"{r.ledger.totals.macs:,}", right=True),
    Column("params", lambda r: f"{r.ledger.totals.params:,}", right=True),
    Column("onnx-tool's count", lambda r: "-" if r.peer_total is None else f"{r.peer_total:,}", right=True),
    Column("against our MACs", lambda r: _against(r), right=True),
    Column("ONNX file", lambda r: f"`{_command(r)}`"),
    Column("data flow", lambda r: f"[picture]({picture_of(r.ledger.graph)})"),
    Column("onnx-tool's table", lambda r: _peer_link(r)),
)
GRAPH_DATA: Sequence[Column[GraphRow]] = (
    Column("graph", lambda r: r.ledger.graph),
    Column("inputs", lambda r: shapes(r.ledger.modules[0].inputs)),
    Column("outputs", lambda r: shapes(r.ledger.modules[0].outputs)),
    Column("MACs", lambda r: r.ledger.totals.macs),
    Column("vector_ops", lambda r: r.ledger.totals.vector_ops),
    Column("special_ops", lambda r: r.ledger.totals.special_ops),
    Column("params", lambda r: r.ledger.totals.params),
    Column("onnx-tool's count", lambda r: "" if r.peer_total is None else r.peer_total),
    Column("command", lambda r: _command(r)),
)

SCENARIO_COLUMNS: Sequence[Column[PrintedScenario]] = (
    Column("scenario", lambda s: s.scenario),
    Column("for", lambda s: s.audience),
    Column("main checkpoint", lambda s: s.main_checkpoint),
    Column("annotator checkpoints", lambda s: s.annotator_checkpoints),
    Column("graphs here", lambda s: ", ".join(s.graphs), lambda s: _graph_names(s)),
    Column("paper", lambda s: s.paper, lambda s: s.paper or "-"),
    Column("training data", lambda s: s.training_data),
    Column("GPU hours (A100 80G)", lambda s: s.gpu_hours, right=True),
)


def _batch(row: GraphRow) -> str:
    return str(row.ledger.modules[0].inputs[0].shape[0])


def _command(row: GraphRow) -> str:
    return f"onnxlens export {row.ledger.graph} --out DIR"


def _against(row: GraphRow) -> str:
    if row.peer_total is None:
        return "-"
    macs = row.ledger.totals.macs
    return f"{100 * (row.peer_total - macs) / macs:+.2f} %"


def _peer_link(row: GraphRow) -> str:
    return "not made" if row.peer_total is None else f"[table]({peer_table_of(row.ledger.graph)})"


def _graph_names(scenario: PrintedScenario) -> str:
    return ", ".join(f"`{graph}`" for graph in scenario.graphs) or "-"


def corrections(evidence: Evidence) -> Sequence[str]:
    """What in the document is to be corrected, worst first, a line each."""
    control = evidence.count("controlnet", None)
    depth, lines = evidence.count("midas-dpt-hybrid", None), evidence.count("mlsd-large", None)
    both = evidence.params(*control_table.BOTH_GRAPHS)
    step = evidence.macs("controlnet") + evidence.macs("sd-unet")
    rows = control_table.control_rows(evidence)
    gaps = ", ".join(f"{row.what}: {row.gap}" for row in rows if row.verdict.startswith("near"))
    hands = next(row for row in size_rows(evidence) if row.what.startswith("hand at all"))
    return (
        f"**The ControlNet has {short_count(control.totals.params)} params, not {CONTROL_PARAMS_M} M.** "
        f"{score_constants(control):,} of the printed ones are empty attention-score buffers that a "
        "tracing export wrote into the file as constants; they grow with the image and the batch, and "
        "nothing has to store them.",
        f"**ControlNet and SD together have {in_unit(both, MEGA)} M params, not {BOTH_PARAMS_M} M.** The "
        "printed sum takes the inflated ControlNet and counts the VAE decoder twice. SD alone, "
        f"{SD_PARAMS_M} M, is right.",
        "**MACs and FLOPs are mixed.** The annotators' column holds MACs; the columns named FLOPs hold "
        "about twice onnx-tool's weighted count, which charges for softmax, divisions and biases by "
        "weights of its own. Twice that count of the graphs exported here does not quite reach the "
        f"printed figures ({gaps}), which is unexplained; the count depends on how a file writes norms "
        "and activations. The total of ControlNet + SD cannot be put together from the other rows.",
        "**SD's figure is one step and one decoding**, not an image: at 20 steps the UNet and the "
        f"ControlNet run 20 times, {short_count(step)} MACs each time at batch 2, the VAE decoder and "
        "CLIP once.",
        f"**Depth was left open**: {short_count(depth.totals.macs)} MACs and "
        f"{short_count(depth.totals.params)} params at 512 x 512, and one output channel, "
        f"{depth.modules[0].outputs[0].shape_text()}.",
        f"**MLSD's MACs hold its batch normalisation**: {lines.totals.macs / GIGA:.3f} G are matrix work, "
        f"the rest is 4 operations on each of {batch_norm_elements(lines):,} elements, which fold into "
        "the convolutions on a chip. The printed output is the tensor before the channels are sliced.",
        "**One output is printed where there are several**: the body network also gives the part "
        f"affinity fields, HED's is the last of five; of the ControlNet, {_place(evidence)}.",
        f"**Hands cost more than the table says**: at its four scales {short_count(hands.macs)} MACs for "
        f"each hand, {Decimal(hands.macs) / hands.unet_macs:.2f} passes of the UNet at batch 2.",
        "**Guess mode is told the wrong way round in one place**: the ControlNet is kept for the "
        "positive prompt and dropped for the negative one, and its controls are scaled by 0.825 for each "
        "level further from the middle block.",
        "**Two ControlNets at once**, left open there: each gives its 13 controls, which are scaled and "
        "added.",
        "**The texts under human pose and scribble are swapped.**",
    )


def _place(evidence: Evidence) -> str:
    return where_shape_stands(evidence.count("controlnet", None), CONTROL_OUTPUT)
