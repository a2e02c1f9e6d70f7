"""NPU cycles of a layer on an Arm Ethos-U as Vela 5.2.0 computes them from the blocks that it chose.

Arm says of these cycles that they steer the compiler and do not predict a device. Everything is in SRAM
here: with weights elsewhere Vela adds what it takes to fetch them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, prod
from typing import Literal

from onnxlens.profile.chip.laws.ethos_u_parts import Block, EthosPart, round_up
from onnxlens.specs.array_fit import MatrixWork

Traversal = Literal["depth-first", "part-kernel", "depthwise", "pooling"]

SRAM_LATENCY_CYCLES, SRAM_BURST_BYTES = 32, 32
"""Of the system configurations Ethos_U55_High_End_Embedded and Ethos_U65_High_End."""
BRICK = 16
LARGEST_KERNEL = 8
"""The side of the largest piece that the array passes over at once."""
SCALE_BYTES = 10
"""Per output channel: bias, scale and shift."""


@dataclass(frozen=True, slots=True)
class EthosLayer:
    """A layer as Vela schedules it.

    Attributes:
        ifm: the input's channels; in a depthwise layer or a pooling all of them.
        ofm: the output's height, width and channels.
        kernel: height and width, dilation included: Vela fills a dilated kernel with zeros.
        stride: along height and width.
        bits: of an activation.
        is_max: a MaxPool, whose outputs leave faster.
        in_bricks: whether input and output are stored in bricks of 16 channels (NHCWB16) instead of NHWC.
        is_full: fully connected: its weights are read once, whatever the blocks are.
    """

    traversal: Traversal
    ifm: Block
    ofm: Block
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    bits: int = 8
    is_max: bool = False
    is_full: bool = False
    in_bricks: tuple[bool, bool] = (False, False)


@dataclass(frozen=True, slots=True)
class EthosCycles:
    """What Vela's estimate is made of: per block the array, the output and the commands; the blocks; all."""

    mac: int
    output: int
    command: int
    blocks: Fraction
    npu: int


def mac_cycles(layer: EthosLayer, part: EthosPart, ifm_block: Block, ofm_block: Block) -> int:
    """The array's cycles for one block, summed over the pieces of the kernel and the depth of the IFM."""
    ifm, ofm = _clipped(ifm_block, layer.ifm), _clipped(ofm_block, layer.ofm)
    unit = microblock_of(layer, part, ofm_block)
    total = sum(_piece(layer, part, elements, ifm[2], unit, ofm) for elements in pieces_of(layer.kernel))
    if layer.traversal not in ("depthwise", "pooling"):
        total *= -(-layer.ifm[2] // ifm[2])
    return ceil(Fraction(total, part.cores))


def microblock_of(layer: EthosLayer, part: EthosPart, ofm_block: Block) -> Block:
    """What the array computes at once.

    On U55 and U65 a microblock 2 high is laid flat for rows. U85 has several, of which that with the fewest
    in a block counts; some of them cannot do depthwise layers and poolings.
    """
    if part.is_u85:
        one_to_one = layer.traversal in ("depthwise", "pooling")
        units = (part.depthwise,) if one_to_one and part.depthwise is not None else part.microblocks
        return min(units, key=lambda unit: prod(microblocks(_clipped(ofm_block, layer.ofm), unit)))
    height, _, channels = part.microblocks[0]
    is_row = layer.ofm[0] == 1 and layer.ofm[1] % 2 == 0 and layer.kernel[0] == 1
    return (1, 4, channels) if height == 2 and is_row else part.microblocks[0]


def pieces_of(kernel: tuple[int, int]) -> list[int]:
    """The elements of each piece of a kernel, at most 8x8."""
    sides = (
        [min(LARGEST_KERNEL, size - start) for start in range(0, size, LARGEST_KERNEL)] for size in kernel
    )
    heights, widths = sides
    return [height * width for height in heights for width in widths]


def _clipped(block: Block, tensor: Block) -> Block:
    return min(block[0], tensor[0]), min(block[1], tensor[1]), min(block[2], tensor[2])


def microblocks(block: Block, unit: Block) -> Block:
    """How many units cover a block, along each axis."""
    return -(-block[0] // unit[0]), -(-block[1] // unit[1]), -(-block[2] // unit[2])


def _piece(layer: EthosLayer, part: EthosPart, elements: int, depth: int, unit: Block, ofm: Block) -> int:
    """One piece of the kernel: at the array's rate, or at that of its weights."""
    high, wide, deep = microblocks(ofm, unit)
    plane = high * wide
    steps, repeats = elements, 1
    if layer.traversal == "pooling":
        return max(4, elements) * plane * deep * (layer.bits // 2 if part.macs_per_cycle > 32 else 1)
    if layer.traversal != "depth-first":
        steps = -(-elements // (4 if layer.bits == 8 or layer.traversal == "depthwise" else 2))
    rate = Fraction(4 * plane)
    if layer.traversal == "depthwise":
        rate *= Fraction(layer.bits, 8)
    elif part.is_u85 and layer.traversal == "depth-first":
        rate = Fraction(depth, 8) * plane
    if layer.traversal == "part-kernel":
        repeats = -(-depth // 8)
    cycles = max(Fraction(part.weight_cycles(unit)), rate) * steps * deep
    if part.is_u85 and layer.traversal == "depth-first":
        cycles *= Fraction(layer.bits, 8)
    if plane == 1:
        cycles += _delay(layer, part) * (steps if deep == 1 else (steps - 1) * deep)
    return ceil(cycles * repeats)


def _delay(layer: EthosLayer, part: EthosPart) -> int:
    """Between accumulations into the same microblock: nothing else fills it."""
    if layer.bits > 8:
        return 7 if part.macs_per_cycle == 32 else 3 if part.macs_per_cycle <= 128 else 2
    return 3 if part.macs_per_cycle == 32 else 2


def npu_cycles(layer: EthosLayer, part: EthosPart, ifm_block: Block, ofm_block: Block) -> EthosCycles:
    """A layer of which everything is in SRAM, with the blocks that Vela chose (U55 and U65)."""
    ofm, unit = _clipped(ofm_block, layer.ofm), microblock_of(layer, part, ofm_block)
    mac = mac_cycles(layer, part, ifm_block, ofm_block)
    blocks = Fraction(prod(microblocks(layer.ofm, unit)), prod(microblocks(ofm, unit)))
    normal, wide, maximum = part.output_cycles
    rate = maximum if layer.is_max else wide if layer.bits > 8 else normal
    output = ceil(rate * ofm[0] * ofm[1] * ofm[2])
    if layer.traversal != "pooling":
        output = max(output, SCALE_BYTES * ofm[2] * SRAM_LATENCY_CYCLES // 256)
    read = _transfer(layer, part, ifm_block, writes=False)
    write = _transfer(layer, part, ofm_block, writes=True)
    command = ((abs(write - read) if blocks > 1 else 0) + mac + output) // 4
    slowest, last = max(mac, command), max(output, command)
    npu = floor(slowest * blocks) + last if slowest > last else floor(last * blocks + slowest)
    return EthosCycles(mac, output, command, blocks, npu + read + write)


def _transfer(layer: EthosLayer, part: EthosPart, block: Block, *, writes: bool) -> int:
    """Cycles to read or write one block: a burst fetches more than a short run of bytes needs."""
    tensor = layer.ofm if writes else layer.ifm
    size, width = layer.bits // 8, min(block[1], tensor[1])
    if layer.in_bricks[writes]:
        run = BRICK * block[1]
    elif writes:
        is_whole = tensor[2] <= BRICK and block[2] >= tensor[2]
        run = width * block[2] if is_whole else min(64, BRICK * part.cores, block[2])
    else:
        run = block[2] * (width if block[2] == tensor[2] else 1)
    inflation = Fraction(SRAM_BURST_BYTES, min(SRAM_BURST_BYTES, run * size))
    transferred = prod(_clipped(block, tensor)) * size * inflation
    return SRAM_LATENCY_CYCLES + floor(transferred / part.sram_bytes_per_cycle)


def traversal_of(part: EthosPart, channels: int, kernel: tuple[int, int], bits: int = 8) -> Traversal:
    """Whether Vela walks a convolution's kernel first or its depth: by how full each leaves the array."""
    taps = kernel[0] * kernel[1]
    if part.is_u85:
        by_fives = 5 * (taps // 5) + max(taps % 5, 2)
        part_kernel = Fraction(channels, round_up(channels, 16)) * Fraction(taps, by_fives)
        is_part = part_kernel >= Fraction(channels, round_up(channels, 64))
    else:
        step = 4 if bits == 8 else 2
        part_kernel = Fraction(channels, round_up(channels, 8)) * Fraction(taps, round_up(taps, step))
        is_part = part_kernel >= Fraction(channels, round_up(channels, 32 if bits == 8 else 16))
    return "part-kernel" if channels <= 8 or is_part else "depth-first"


def layer_of(work: MatrixWork, part: EthosPart, bits: int = 8) -> EthosLayer:
    """A product as Vela schedules it: one image, or a matrix product with its rows along the width."""
    ones = (1, 1)
    kernel, stride, dilation = (_plane(each) for each in (work.kernel, work.stride, work.dilation))
    spread = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    height = (work.height - 1) * stride[0] + spread[0]
    width = (work.width - 1) * stride[1] + spread[1]
    if work.layer == "depthwise":
        channels = work.groups * work.output_channels
        return EthosLayer(
            "depthwise",
            (height, width, work.groups),
            (work.height, work.width, channels),
            spread,
            stride,
            bits,
        )
    traversal = traversal_of(part, work.input_channels, spread if work.kernel else ones, bits)
    ofm = (work.height, work.width, work.output_channels)
    if work.layer == "matmul":
        return EthosLayer("depth-first", (1, 1, work.input_channels), ofm, ones, ones, bits, is_full=True)
    return EthosLayer(traversal, (height, width, work.input_channels), ofm, spread, stride, bits)


def _plane(sizes: tuple[int, ...]) -> tuple[int, int]:
    """The last two axes; 1 for one that is not there."""
    return (1, 1, *sizes)[-2], (1, 1, *sizes)[-1]
