"""The cycles of a node as the chip vendor's own tool computes them: no bound, and no prediction either.

Each law holds where it was held against the tool's own output, and says nothing elsewhere: docs/bounds.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from onnxlens.profile.chip.array_fit import rule_cycles
from onnxlens.profile.chip.laws.ethos_u import layer_of, npu_cycles
from onnxlens.profile.chip.laws.ethos_u_blocks import choose_blocks
from onnxlens.profile.chip.laws.ethos_u_parts import PARTS
from onnxlens.profile.chip.matrix_work import matrix_work
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.array_fit import FitRule, MatrixWork
from onnxlens.specs.chip import Chip

MOST_DILATION = 2
"""The Rockchip toolkit splits layers of a larger one in ways that are not described."""
ETHOS_BITS: Mapping[str, int] = {"int8xint8": 8, "int8xint16": 16}
SPARSE_TAPS = 5
ETHOS_STRIDE, ETHOS_SIDE, ETHOS_LARGEST = 3, 64, 1 << 16
"""The largest stride, side of a kernel, and axis that the units take; or terms of a sum."""


@dataclass(frozen=True, slots=True)
class VendorLaw:
    """A vendor's cycle model.

    Attributes:
        title: what its cycles are, for the reader of a table.
        cycles: of one product, given the chip and the operands; None where the law does not hold.
        takes_products: also products of two activations.
    """

    title: str
    cycles: Callable[[MatrixWork, Chip, str], int | None]
    takes_products: bool = False


def law_of(chip: Chip) -> VendorLaw | None:
    """The law of a chip's vendor; None where none is known."""
    return ETHOS_U if chip.name in PARTS else LAWS.get(chip.name)


def vendor_cycles(node: NodeView, chip: Chip, operands: str) -> int | None:
    """The cycles of one run of a node by its chip's law; None where the law says nothing of it.

    Elementwise operators, and layers that the law was not held against, are not covered.
    """
    law = law_of(chip)
    if law is None:
        return None
    try:
        works = matrix_work(node)
    except NotCountable:
        return None
    weights = any(
        value is not None and value.is_weight and len(value.shape or ()) > 1 for value in node.inputs
    )
    if not works or not (weights or law.takes_products):
        return None
    cycles = [law.cycles(work, chip, operands) for work in works]
    known = [each for each in cycles if each is not None]
    return sum(known) if len(known) == len(cycles) else None


def ethos_u(work: MatrixWork, chip: Chip, operands: str) -> int | None:
    """Vela's NPU cycles of a layer alone, input, output and dense weights in SRAM.

    What Vela takes apart, or leaves to another processor, has none. Of few taps on one or two channels the
    form of the weights, and with it the cycles, depends on how well they compress.
    """
    bits = ETHOS_BITS.get(operands)
    if bits is None or not _is_one_layer(work):
        return None
    part = PARTS[chip.name]
    layer = layer_of(work, part, bits)
    blocks = choose_blocks(layer, part)
    if blocks is None or (layer.is_sparse and work.taps < SPARSE_TAPS):
        return None
    times = work.times * (1 if work.layer == "depthwise" else work.groups)
    return npu_cycles(layer, part, *blocks).npu * times


def _is_one_layer(work: MatrixWork) -> bool:
    """Whether Vela leaves a layer whole, or takes images and groups one by one, as it was held."""
    if work.is_spread or len(work.kernel) > 2 or (work.layer == "depthwise" and work.output_channels > 1):
        return False
    if work.layer != "matmul" and not work.given:
        return False
    if work.times > 1 and work.taps == 1:
        return False  # a 1x1 convolution of several images becomes one of more rows
    sides = (*work.kernel, *work.dilation)
    is_small = work.taps * work.input_channels <= ETHOS_LARGEST and max(sides, default=1) <= ETHOS_SIDE
    axes = (work.height, work.width, work.groups * work.input_channels, work.output_channels)
    return is_small and max(axes) <= ETHOS_LARGEST and max(work.stride, default=1) <= ETHOS_STRIDE


def rockchip(work: MatrixWork, chip: Chip, operands: str) -> int | None:
    """The NPU cycles of the toolkit's layer table: the steps of the array, group by group."""
    if any(size > MOST_DILATION for size in work.dilation) or len(work.kernel) > 2:
        return None
    if work.layer == "depthwise" and work.output_channels > 1:
        return None
    rule = _rule(chip.array, work, operands)
    return None if rule is None else rule_cycles(work, rule).cycles


def sophgo(work: MatrixWork, chip: Chip, operands: str) -> int | None:
    """The cycles of the matrix instruction in the simulator's trace.

    A kernel, or one side of it, is folded into the input channels where these fill one step with it. A
    product of one row runs on another instruction.
    """
    if work.layer == "depthwise" or work.groups > 1 or (work.layer == "matmul" and work.width == 1):
        return None
    rule = _rule(chip.array, work, operands)
    return None if rule is None else rule_cycles(_folded(work, rule.steps["input_channels"]), rule).cycles


def _rule(rules: Iterable[FitRule], work: MatrixWork, operands: str) -> FitRule | None:
    """The rule for such layers by their channels alone."""
    fitting = (rule for rule in rules if work.layer in rule.layers and operands in rule.operands)
    return next((rule for rule in fitting if not any("*taps" in key for key in rule.steps)), None)


def _folded(work: MatrixWork, step: int) -> MatrixWork:
    if len(work.kernel) != 2:
        return work
    channels, (high, wide) = work.input_channels, work.kernel
    if channels * high * wide <= step and high > 1 and wide > 1:
        return replace(work, input_channels=channels * high * wide, kernel=(1, 1))
    if channels * wide <= step and wide > 1 and (high < wide or channels * high > step):
        return replace(work, input_channels=channels * wide, kernel=(high, 1))
    if channels * high <= step and high > 1:
        return replace(work, input_channels=channels * high, kernel=(1, wide))
    return work


ETHOS_U = VendorLaw("Vela 5.2.0: NPU cycles of each layer alone, all of it in SRAM", ethos_u)
_ROCKCHIP = VendorLaw("rknn-toolkit2 2.5.0: NPU cycles of its layer table", rockchip)
LAWS: Mapping[str, VendorLaw] = {
    **dict.fromkeys(("rk3588", "rk3576", "rk3566", "rk3562", "rv1106"), _ROCKCHIP),
    "bm1684x": VendorLaw(
        "tpu-mlir 1.30.2: cycles of the matrix unit in its trace", sophgo, takes_products=True
    ),
}
