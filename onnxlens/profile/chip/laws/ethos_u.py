"""NPU cycles of a layer on an Arm Ethos-U as Vela 5.2.0 computes them from the blocks that it chose.

Arm says of these cycles that they steer the compiler and do not predict a device. Everything is in SRAM
here: with weights elsewhere Vela adds what it takes to fetch them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isqrt, prod

from onnxlens.profile.chip.laws.ethos_u85_blocks import unit_of
from onnxlens.profile.chip.laws.ethos_u_parts import (
    LARGEST_KERNEL,
    Block,
    EthosLayer,
    EthosPart,
    Traversal,
    clipped,
    round_up,
)
from onnxlens.specs.array_fit import MatrixWork

SRAM_LATENCY_CYCLES = 32
"""Of the system configurations Ethos_U55_High_End_Embedded, Ethos_U65_High_End and Ethos_U85_SYS_DRAM_Mid."""
BRICK = 16
SPARSE_CHANNELS = 2
"""With so few, two of each four weights along the padded channels are 0, whatever the file has."""
SCALE_BYTES = 10
"""Per output channel: bias, scale and shift."""


@dataclass(frozen=True, slots=True)
class EthosCycles:
    """What Vela's estimate is made of: per block the array, the output and the commands; the blocks; all."""

    mac: int
    output: float
    command: float
    blocks: float
    npu: int


def mac_cycles(layer: EthosLayer, part: EthosPart, ifm_block: Block, ofm_block: Block) -> int:
    """The array's cycles for one block, summed over the pieces of the kernel and the depth of the IFM."""
    ifm, ofm = clipped(ifm_block, layer.ifm), clipped(ofm_block, layer.ofm)
    unit = microblock_of(layer, part)
    total = sum(_piece(layer, part, elements, ifm[2], unit, ofm) for elements in pieces_of(layer.kernel))
    if not layer.is_one_to_one:
        total *= -(-layer.ifm[2] // ifm[2])
    return -(-total // part.cores)


def microblock_of(layer: EthosLayer, part: EthosPart) -> Block:
    """What the array computes at once.

    On U55 and U65 a microblock 2 high is laid flat for rows. U85 has several.
    """
    if part.rams is not None:
        return unit_of(layer, part)
    height, _, channels = part.microblocks[0]
    is_row = layer.ofm[0] == 1 and layer.ofm[1] % 2 == 0 and layer.kernel[0] == 1 and not layer.is_one_to_one
    return (1, 4, channels) if height == 2 and is_row else part.microblocks[0]


def pieces_of(kernel: tuple[int, int]) -> list[int]:
    """The elements of each piece of a kernel, at most 8x8."""
    sides = (
        [min(LARGEST_KERNEL, size - start) for start in range(0, size, LARGEST_KERNEL)] for size in kernel
    )
    heights, widths = sides
    return [height * width for height in heights for width in widths]


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
    rate, times = 4 * plane, 1
    if layer.traversal == "depthwise":
        rate *= layer.bits // 8
    elif part.rams is not None and layer.traversal == "depth-first":
        rate, times = depth // 8 * plane, layer.bits // 8
    if layer.traversal == "part-kernel":
        repeats = -(-depth // 8)
    cycles = max(part.weight_cycles(unit), rate) * steps * deep * times * repeats
    if layer.is_sparse:
        cycles //= 2
    if plane == 1:
        cycles += _delay(layer, part) * (steps if deep == 1 else (steps - 1) * deep) * repeats
    if part.macs_per_cycle == 32 and layer.bits > 8 and deep > 1 and 1 in (high, wide):
        cycles += _delay(layer, part) * deep * repeats
    return cycles


def _delay(layer: EthosLayer, part: EthosPart) -> int:
    """Between accumulations into the same microblock: nothing else fills it."""
    if layer.bits > 8:
        return 7 if part.macs_per_cycle == 32 else 3 if part.macs_per_cycle <= 128 else 2
    return 3 if part.macs_per_cycle == 32 else 2


def npu_cycles(layer: EthosLayer, part: EthosPart, ifm_block: Block, ofm_block: Block) -> EthosCycles:
    """A layer of which everything is in SRAM, from the blocks that Vela chose, in numbers of 64 bits."""
    ofm, unit = clipped(ofm_block, layer.ofm), microblock_of(layer, part)
    mac = mac_cycles(layer, part, ifm_block, ofm_block)
    blocks = prod(microblocks(layer.ofm, unit)) / prod(microblocks(ofm, unit))
    normal, wide, maximum = part.output_cycles
    rate = maximum if layer.is_max else wide if layer.bits > 8 else normal
    output: float = ceil(rate * ofm[0] * ofm[1] * ofm[2])
    if layer.traversal != "pooling":
        output = max(output, SCALE_BYTES * ofm[2] * SRAM_LATENCY_CYCLES / 256)
    read = _transfer(layer, part, ifm_block, writes=False)
    write = _transfer(layer, part, ofm_block, writes=True)
    command = ((abs(write - read) if blocks > 1 else 0) + mac + output) / 4
    slowest, last = max(mac, command), max(output, command)
    npu = int(int(slowest * blocks) + last) if slowest > last else int(last * blocks + slowest)
    return EthosCycles(mac, output, command, blocks, npu + read + write)


def _transfer(layer: EthosLayer, part: EthosPart, block: Block, *, writes: bool) -> int:
    """Cycles to read or write one block: a burst fetches more than a short run of bytes needs."""
    tensor = layer.ofm if writes else layer.ifm
    size, is_whole = layer.bits // 8, tensor[2] * layer.bits // 8 == block[2]
    if layer.in_bricks[writes]:
        run = BRICK * block[1]
    elif is_whole and (block[2] <= BRICK or not writes):
        run = block[1] * block[2]
    else:
        run = min(64 // size, BRICK * part.cores, block[2]) if writes else block[2]
    burst = part.sram_burst_bytes
    transferred = prod(clipped(block, tensor)) * size * burst // min(burst, run * size)
    return SRAM_LATENCY_CYCLES + transferred // part.sram_bytes_per_cycle


def traversal_of(part: EthosPart, channels: int, kernel: tuple[int, int], bits: int = 8) -> Traversal:
    """Whether Vela walks a convolution's kernel first or its depth: by how full each leaves the array."""
    taps = kernel[0] * kernel[1]
    if part.rams is not None:
        slots, most, deep = taps // 5 * 5 + max(taps % 5, 2), 16, 64
    else:
        slots, most, deep = round_up(taps, 4 if bits == 8 else 2), 8, 32 if bits == 8 else 16
    is_part = channels / round_up(channels, most) * (taps / slots) >= channels / round_up(channels, deep)
    return "part-kernel" if channels <= 8 or is_part else "depth-first"


def layer_of(work: MatrixWork, part: EthosPart, bits: int = 8) -> EthosLayer:
    """A product of one image and group as Vela schedules it."""
    stride, dilation = _plane(work.stride), _plane(work.dilation)
    kernel, done = _dilated(_plane(work.kernel), dilation)
    height, width = _rows(work.width) if work.layer == "matmul" else (work.height, work.width)
    channels, ofm = work.input_channels, (height, width, work.output_channels)
    traversal: Traversal = "depthwise"
    if work.layer == "depthwise":
        channels, ofm = work.groups, (height, width, work.groups)
    else:
        traversal = traversal_of(part, channels, kernel, bits)
    stride = (stride[0] if height > 1 else 1, stride[1] if width > 1 else 1)
    high, wide = _plane(work.given) if work.given else (height, width)
    is_sparse = part.rams is not None and work.layer != "depthwise" and channels <= SPARSE_CHANNELS
    ifm = (high, wide, channels)
    return EthosLayer(traversal, ifm, ofm, kernel, stride, bits, dilation=done, is_sparse=is_sparse)


def _rows(rows: int) -> tuple[int, int]:
    """The plane in which Vela arranges the rows of a product: about square, up to 16 high."""
    width = max(rows // 16, isqrt(rows - 1) + 1)
    while rows % width:
        width += 1
    return rows // width, width


def _dilated(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The kernel filled with zeros where a dilation is above 2, and the dilation that is left to the unit."""
    if max(dilation) <= 2:
        return kernel, dilation
    done = (2 - dilation[0] % 2, 2 - dilation[1] % 2)
    filled = [(size - 1) * (by // left) + 1 for size, by, left in zip(kernel, dilation, done, strict=True)]
    return (filled[0], filled[1]), done


def _plane(sizes: tuple[int, ...]) -> tuple[int, int]:
    """The last two axes; 1 for one that is not there."""
    return (1, 1, *sizes)[-2], (1, 1, *sizes)[-1]
