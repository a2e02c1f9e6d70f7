"""What in the document is to be corrected, with the figures that show it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from onnxlens.reports.numbers import short_count
from reference_report.tables import control_table, other_tables
from reference_report.tables.agreement import GIGA, MEGA, in_unit
from reference_report.tables.evidence import (
    Evidence,
    batch_norm_elements,
    score_constants,
    where_shape_stands,
)
from reference_report.tables.printed import BOTH_PARAMS_M, CONTROL_OUTPUT, CONTROL_PARAMS_M, SD_PARAMS_M


def corrections(evidence: Evidence) -> Sequence[str]:
    """What in the document is to be corrected, worst first, a line each."""
    control = evidence.count("controlnet", None)
    depth, lines = evidence.count("midas-dpt-hybrid", None), evidence.count("mlsd-large", None)
    both = evidence.params(*control_table.BOTH_GRAPHS)
    step = evidence.macs("controlnet") + evidence.macs("sd-unet")
    rows = control_table.control_rows(evidence)
    gaps = ", ".join(f"{row.what}: {row.gap}" for row in rows if row.verdict.startswith("near"))
    hands = next(row for row in other_tables.size_rows(evidence) if row.what.startswith("hand at all"))
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
