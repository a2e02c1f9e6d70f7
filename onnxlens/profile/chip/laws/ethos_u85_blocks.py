"""The blocks that Vela 5.2.0 chooses for a layer on an Ethos-U85.

Of the microblocks that can do a layer the one counts that pads its OFM least. A convolution's block is
searched as on the older parts, in a RAM for inputs and one for accumulators instead of banks. A depthwise
layer or a pooling takes the OFM's own shape, made as large as both RAMs allow, and then smaller until
another row of the input has room.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, prod, sqrt

from onnxlens.profile.chip.laws.ethos_u_parts import (
    LARGEST_KERNEL,
    SUM_DEPTH,
    Block,
    EthosLayer,
    EthosPart,
    Rams,
    clipped,
    padded,
    round_up,
)

LARGEST_BLOCK: Block = (128, 128, 1024)
PATIENCE = 25
"""Rounds without a smaller block after which it is made so."""


def unit_of(layer: EthosLayer, part: EthosPart) -> Block:
    """The microblock: the first of those that pad the OFM least."""
    return min(_units(layer, part), key=lambda unit: prod(padded(layer.ofm, unit)))


def _units(layer: EthosLayer, part: EthosPart) -> tuple[Block, ...]:
    """Those that can do the layer: the small parts have one of 16 channels for what the others cannot."""
    deep = part.depthwise
    if deep is None:
        return part.microblocks
    if part.macs_per_cycle > 256:
        return (deep,) if layer.is_one_to_one else part.microblocks
    if layer.is_one_to_one and layer.bits == 8:
        return (deep,)
    is_point = layer.traversal == "depth-first" and layer.kernel == (1, 1) and layer.bits == 16
    return tuple(unit for unit in part.microblocks if unit != deep or is_point)


def granule(rams: Rams, unit: Block, depth: int, bits: int) -> Block:
    """What the RAM of inputs is divided into, for blocks of so many channels."""
    at = (depth * bits > 128) + (depth * bits > 256)
    high, wide, deep = (rams.flat if unit[:2] == (1, 4) else rams.granules)[at]
    return high, wide, deep * 128 // bits


def ifm_block(layer: EthosLayer, ofm: Block, depth: int, step: Block) -> Block:
    """What an OFM block reads, of a large kernel one piece."""
    high, wide = (
        (size - 1) * stride + min(spread, LARGEST_KERNEL)
        for size, stride, spread in zip(ofm[:2], layer.stride, layer.spread, strict=True)
    )
    return round_up(high, step[0]), round_up(wide, step[1]), round_up(depth, step[2])


def ifm_depth(layer: EthosLayer, part: EthosPart, unit: Block) -> int:
    """The channels that a convolution reads at a time."""
    if layer.traversal == "part-kernel":
        return 16
    if layer.is_sparse and layer.bits == 8:
        return 128
    return 32 if part.macs_per_cycle <= 256 and unit[2] == 16 and not layer.is_sparse else 64


def fitting(layer: EthosLayer, part: EthosPart, rams: Rams) -> Iterator[tuple[Block, Block]]:
    """The blocks of a convolution that fit twice, or where none does once; the shallow ones first."""
    for buffers in (2, 1):
        found = False
        for pair in _fitting(layer, part, rams, buffers):
            found = True
            yield pair
        if found:
            return


def _fitting(layer: EthosLayer, part: EthosPart, rams: Rams, buffers: int) -> Iterator[tuple[Block, Block]]:
    unit = unit_of(layer, part)
    high, wide, deep = unit
    sides = clipped(layer.ofm, LARGEST_BLOCK)
    height, width = round_up(sides[0], high), round_up(sides[1], wide)
    depth = round_up(max(sides[2], deep, SUM_DEPTH), deep)
    channels = ifm_depth(layer, part, unit)
    step = granule(rams, unit, channels, layer.bits)
    read_depth = round_up(min(round_up(channels, step[2]), layer.ifm[2]), step[2]) * layer.bits // 8
    sums_bytes = rams.sums_bytes // buffers // layer.sum_bytes
    at, widths = layer.block_depth(max(deep, SUM_DEPTH)), dict.fromkeys(range(high, height + 1, high), width)
    while at <= depth:
        for rows, most in widths.items():
            for columns in range(wide, most + 1, wide):
                ofm = (rows, columns, at)
                ifm = ifm_block(layer, ofm, channels, step)
                fits = ifm[0] * ifm[1] * read_depth * buffers <= rams.ifm_bytes
                if not fits or rows * columns * round_up(at, SUM_DEPTH) > sums_bytes:
                    widths[rows] = columns - wide  # nor does a wider or a deeper one
                    break
                yield (*ifm[:2], channels), ofm
        at = layer.block_depth(at + deep)


def one_to_one_blocks(layer: EthosLayer, part: EthosPart, rams: Rams) -> tuple[Block, Block]:
    """The blocks of a depthwise layer or a pooling: the area that fits, less what another row needs."""
    unit = unit_of(layer, part)
    step = (*unit[:2], SUM_DEPTH)
    high, wide, deep = whole = padded(layer.ofm, step)
    room = rams.ifm_bytes * 8 // layer.bits
    ofm, forced = _area(layer, part, rams, whole), 0
    while True:
        size = granule(rams, unit, ofm[2], layer.bits)
        ifm = ifm_block(layer, ofm, ofm[2], size)
        row = prod(ifm_block(layer, (step[0], *ofm[1:]), ofm[2], size))
        if (ofm[0] >= high and ofm[1] >= wide and ofm[2] >= deep) or room - prod(ifm) >= row:
            return ifm, ofm
        rows, columns, depth = ofm
        if (rows != high or forced & 2) and rows > step[0]:
            ofm = (rows - step[0], columns, depth)
        elif (depth > columns or forced & 1) and depth > SUM_DEPTH:
            ofm = (rows, columns, depth - SUM_DEPTH)
        elif (columns != wide or forced & 4) and columns > step[1]:
            ofm = (rows, columns - step[1], depth)
        elif forced != 7:
            forced = forced << 1 | 1
        elif depth > SUM_DEPTH:
            ofm = (rows, columns, max(depth // 2, SUM_DEPTH))
        else:
            return ifm, ofm


def _area(layer: EthosLayer, part: EthosPart, rams: Rams, whole: Block) -> Block:
    """The best of the largest blocks of each depth: nearest to the OFM in area, depth and whole granules."""
    unit = unit_of(layer, part)
    most = min(whole[0], LARGEST_BLOCK[0]), min(whole[1], LARGEST_BLOCK[1]), min(whole[2], LARGEST_BLOCK[2])
    sums = rams.sums_bytes // layer.sum_bytes
    deepest = min(max(part.macs_per_cycle, sums // (unit[0] * unit[1] * SUM_DEPTH)), most[2])
    by_depth = layer.spread == (1, 1)
    area = float(whole[1] * (whole[2] if by_depth else whole[0]))
    best, least = whole, inf
    for depth in range(SUM_DEPTH, deepest + 1, SUM_DEPTH):
        found = _largest(layer, rams, unit, depth, whole)
        if found is None:
            break
        high, wide = found
        step = granule(rams, unit, depth, layer.bits)[2]
        waste = 1 + (step - (depth % step or step)) / step / 10
        fit = 1 + abs(1 - most[2] / depth) / 10
        cost = (1 + abs(1 - area / (wide * (depth if by_depth else high)))) * fit * waste
        if cost < least:
            best, least = (high, wide, depth), cost
            if depth >= whole[2] and wide >= whole[1] and high >= whole[0]:
                return whole
    return best


def _largest(layer: EthosLayer, rams: Rams, unit: Block, depth: int, whole: Block) -> tuple[int, int] | None:
    """The largest height and width of a block of a depth, near the OFM's aspect."""
    step = granule(rams, unit, depth, layer.bits)
    room, sums = rams.ifm_bytes * 8 // layer.bits, rams.sums_bytes // layer.sum_bytes
    one = unit[0] * unit[1] * SUM_DEPTH
    volume, budget, before, patience = prod(padded(layer.ifm, step)), sums, -1, PATIENCE
    while True:
        high, wide = _by_aspect(whole, budget // depth, unit)
        summed = high * wide * depth
        of_sums = sums / summed
        of_room = room / min(prod(ifm_block(layer, (high, wide, depth), depth, step)), volume)
        if of_sums >= 1 and of_room >= 1:
            return high, wide
        if summed == before:
            patience -= 1
            of_room = 0.9 if patience <= 0 else of_room
        before = summed
        if of_room < 1 < of_sums:
            budget = min(budget, summed)
        smaller = max(int(budget // one * min(of_room, of_sums)), 0) * one
        budget = budget - one if smaller == budget else smaller
        if budget < one:
            return None


def _by_aspect(whole: Block, area: int, unit: Block) -> tuple[int, int]:
    """Height and width of about an area, in microblocks, with a width that leaves a large rest."""
    aspect = whole[0] / whole[1]
    width = sqrt(area / aspect)
    height = width * aspect
    if height < 1:
        width, height = width * height, 1.0
    elif width < 1:
        width, height = 1.0, height * width
    wide = max(int(width), unit[1]) // unit[1] * unit[1]
    high = max(int(height), unit[0]) // unit[0] * unit[0]
    wide, high = min(wide, whole[1], LARGEST_BLOCK[1]), min(high, whole[0], LARGEST_BLOCK[0])
    area = wide * high
    if wide < whole[1]:
        wide = _tile(whole[1], unit[1], wide)
    return max(area // wide // unit[0] * unit[0], unit[0]), wide


def _tile(size: int, step: int, tile: int) -> int:
    """The tile, down to about an even division, whose last one is largest."""
    if size % tile == 0:
        return tile
    even = max(round_up(size // (size // tile + 1), step), step)
    tiles = range(tile, max(even - 2 * step, (even + 1) // 2, step) - 1, -step)
    return max(tiles, key=lambda each: size % each if each == tile else size % each or each)
