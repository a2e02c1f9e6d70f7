"""The document's figures for ControlNet and Stable Diffusion: what they are made of, and the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from onnxlens.reports.numbers import shapes, short_count
from onnxlens.reports.tables.render import Column
from reference_report.tables.cells import (
    GIGA,
    MEGA,
    agreement,
    decimals,
    in_unit,
    sum_in_unit,
)
from reference_report.tables.evidence import Evidence, score_constants, score_shapes
from reference_report.tables.printed import (
    ANNOTATORS,
    BOTH_FLOPS_G,
    BOTH_PARAMS_M,
    CONTROL_FLOPS_G,
    CONTROL_INPUTS,
    CONTROL_PARAMS_M,
    CONTROL_PART_PARAMS_M,
    SD_FLOPS_G,
    SD_PARAMS_M,
)

STEP_GRAPHS = ("sd-unet", "vae-decoder", "clip-text")
SD_GRAPHS = ("sd-unet", "clip-text", "vae-encoder", "vae-decoder")
BOTH_GRAPHS = ("controlnet", *SD_GRAPHS)
UNREAD = "not computed here: onnx-tool's tables are missing"


@dataclass(frozen=True, slots=True)
class ControlRow:
    """One printed figure.

    Attributes:
        unit: what ``printed`` is in.
        true: what it should be: 2 x MACs, or params, exact.
        true_text: what that covers.
        composed: our reconstruction of the printed figure; None where there is none.
        composition: in words.
    """

    source: str
    what: str
    printed: str
    unit: Literal["GFLOPs", "M params"]
    true: int
    true_text: str
    composed: int | None
    composition: str

    @property
    def scale(self) -> int:
        """The unit as a number."""
        return GIGA if self.unit == "GFLOPs" else MEGA

    @property
    def difference(self) -> str:
        """The printed figure against the true one."""
        return agreement(self.printed, self.true, self.scale)

    @property
    def gap(self) -> str:
        """The printed figure against the reconstruction; "" where there is none."""
        return "" if self.composed is None else agreement(self.printed, self.composed, self.scale)

    @property
    def verdict(self) -> str:
        """Whether the reconstruction gives the printed figure."""
        if self.difference == "agree":
            return "right"
        if self.composed is None:
            return "unexplained"
        if not self.gap.startswith("agree"):
            return f"near: {self.gap} is unexplained"
        return "explained" if decimals(self.printed) else "fits the rounded figure"


def control_rows(evidence: Evidence) -> Sequence[ControlRow]:
    """The ControlNet, Stable Diffusion, and both; FLOPs and then params of each."""
    return (
        _control_flops(evidence),
        _control_params(evidence),
        _sd_flops(evidence),
        _sd_params(evidence),
        _both_flops(evidence),
        _control_part_params(evidence),
        _both_params(evidence),
    )


def _control_flops(evidence: Evidence) -> ControlRow:
    peers = evidence.peers("controlnet")
    macs = evidence.macs("controlnet")
    return ControlRow(
        "control, row 1", "ControlNet, one iteration", CONTROL_FLOPS_G, "GFLOPs",
        2 * macs, f"2 x {short_count(macs)} MACs, one pass at batch 2, {_control_inputs(evidence)}",
        None if peers is None else 2 * peers,
        UNREAD if peers is None else f"2 x {short_count(peers)}, onnx-tool's weighted count of all "
        "operators, softmax and the like included, for one pass at batch 2",
    )  # fmt: skip


def _control_params(evidence: Evidence) -> ControlRow:
    ledger = evidence.count("controlnet", None)
    scores, constants = score_shapes(ledger), score_constants(ledger)
    params = ledger.totals.params
    return ControlRow(
        "control, row 1", "ControlNet", CONTROL_PARAMS_M, "M params",
        params, f"{params:,} weights",
        params + constants,
        f"{params:,} + {constants:,}: one constant for each of {len(scores)} shapes of attention scores, "
        f"{', '.join(map(str, scores))}, which a tracing export at batch 2 froze into the file; no weights",
    )  # fmt: skip


def _sd_flops(evidence: Evidence) -> ControlRow:
    peers = [evidence.peers(graph) for graph in STEP_GRAPHS]
    counted = [peer for peer in peers if peer is not None]
    macs = [evidence.macs(graph) for graph in STEP_GRAPHS]
    complete = len(counted) == len(peers)
    return ControlRow(
        "control, row 2", "whole SD", SD_FLOPS_G, "GFLOPs",
        2 * sum(macs),
        f"2 x ({sum_in_unit(GIGA, *macs)}) G MACs: UNet at batch 2 once, VAE decoder, CLIP at batch 2",
        2 * sum(counted) if complete else None,
        f"2 x ({sum_in_unit(GIGA, *counted)}) G, onnx-tool's counts of the same: one step, not an image"
        if complete else UNREAD,
    )  # fmt: skip


def _sd_params(evidence: Evidence) -> ControlRow:
    vae = evidence.params("vae-encoder", "vae-decoder")
    parts = (evidence.params("sd-unet"), evidence.params("clip-text"), vae)
    total = sum(parts)
    return ControlRow(
        "control, row 2", "whole SD", SD_PARAMS_M, "M params", total, f"{total:,} weights",
        total, f"{sum_in_unit(MEGA, *parts)}: UNet, CLIP, VAE",
    )  # fmt: skip


def _both_flops(evidence: Evidence) -> ControlRow:
    macs = [evidence.macs("controlnet"), *(evidence.macs(graph) for graph in STEP_GRAPHS)]
    sd, control = Decimal(SD_FLOPS_G), Decimal(CONTROL_FLOPS_G)
    rest = Decimal(BOTH_FLOPS_G) - sd - control
    annotators = sum(Decimal(row.macs_g) for row in ANNOTATORS if row.macs_g.replace(".", "").isdigit())
    return ControlRow(
        "control, row 3", "ControlNet + SD", BOTH_FLOPS_G, "GFLOPs",
        2 * sum(macs), f"2 x ({sum_in_unit(GIGA, *macs)}) G MACs: ControlNet and the above",
        None,
        f"{sd} + {control} leaves {rest} G; the four annotators it prints are {annotators} G, MACs not "
        f"doubled, which leaves {rest - annotators} G without a cause. {sd} + 2 x {control} = "
        f"{sd + 2 * control} comes nearer, and is not it either",
    )  # fmt: skip


def _control_part_params(evidence: Evidence) -> ControlRow:
    inflated = _inflated_control(evidence)
    decoder = evidence.params("vae-decoder")
    params = evidence.params("controlnet")
    return ControlRow(
        "control, text", "the ControlNet part", CONTROL_PART_PARAMS_M, "M params",
        params, f"{params:,} weights",
        inflated + decoder,
        f"{sum_in_unit(MEGA, inflated, decoder)}: the inflated ControlNet and the VAE decoder; a fit of "
        "the rounded figure, said nowhere",
    )  # fmt: skip


def _both_params(evidence: Evidence) -> ControlRow:
    inflated, sd = _inflated_control(evidence), evidence.params(*SD_GRAPHS)
    decoder, total = evidence.params("vae-decoder"), evidence.params(*BOTH_GRAPHS)
    composed = sd + inflated + decoder
    return ControlRow(
        "control, row 3", "ControlNet + SD", BOTH_PARAMS_M, "M params", total, f"{total:,} weights",
        composed,
        f"{sum_in_unit(MEGA, sd, inflated, decoder)} = {composed:,}: SD, the inflated ControlNet, and the "
        f"VAE decoder a second time; printed too, {SD_PARAMS_M} + {CONTROL_PART_PARAMS_M}",
    )  # fmt: skip


def _control_inputs(evidence: Evidence) -> str:
    """The inputs, and whether the document has the same, in whatever order."""
    inputs = evidence.count("controlnet", None).modules[0].inputs
    same = sorted(tensor.shape_text() for tensor in inputs) == sorted(CONTROL_INPUTS)
    return f"inputs {shapes(inputs)}, {'' if same else 'not '}as printed"


def _inflated_control(evidence: Evidence) -> int:
    ledger = evidence.count("controlnet", None)
    return ledger.totals.params + score_constants(ledger)


def _amount(row: ControlRow, count: int | None) -> str:
    """In the printed figure's unit."""
    return "-" if count is None else in_unit(count, row.scale)


PAGE_COLUMNS: Sequence[Column[ControlRow]] = (
    Column("what", lambda r: r.what),
    Column("unit", lambda r: r.unit),
    Column("printed", lambda r: r.printed, right=True),
    Column("true", lambda r: _amount(r, r.true), right=True),
    Column("difference", lambda r: r.difference, right=True),
    Column("the true figure covers", lambda r: r.true_text),
    Column("reconstructed", lambda r: _amount(r, r.composed), right=True),
    Column("how the printed one comes about", lambda r: r.composition),
    Column("verdict", lambda r: r.verdict),
)

DATA_COLUMNS: Sequence[Column[ControlRow]] = (
    Column("source", lambda r: r.source),
    Column("what", lambda r: r.what),
    Column("unit", lambda r: r.unit),
    Column("printed", lambda r: r.printed),
    Column("true, in units of one", lambda r: r.true),
    Column("difference", lambda r: r.difference),
    Column("true covers", lambda r: r.true_text),
    Column("reconstructed, in units of one", lambda r: "" if r.composed is None else r.composed),
    Column("reconstruction", lambda r: r.composition),
    Column("verdict", lambda r: r.verdict),
)
