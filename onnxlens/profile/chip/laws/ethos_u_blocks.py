"""The blocks that Vela 5.2.0 chooses for a layer on an Ethos-U.

On an U55 or U65 an OFM block fits where two IFM blocks and two blocks of accumulators find room in the banks
of the SHRAM; for U85 see ``ethos_u85_blocks``. Of those that fit the one is taken that fetches least per
output, input and weights together; where the whole IFM is in both buffers that is halved. Of equal ones the
first counts, or among the smallest, up to 4x4, that which covers most of the IFM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from math import inf, prod
from struct import pack, unpack

from onnxlens.profile.chip.laws import ethos_u85_blocks as u85
from onnxlens.profile.chip.laws.ethos_u import microblocks
from onnxlens.profile.chip.laws.ethos_u_parts import (
    LARGEST_KERNEL,
    SUM_DEPTH,
    Block,
    EthosLayer,
    EthosPart,
    Shram,
    clipped,
    padded,
    round_up,
)

BANK_BYTES, OUTPUT_BANKS = 1024, 2
LARGEST_BLOCK: Block = (32, 64, 128)
SMALL = 4
ROUNDING = 1e-5
"""Costs nearer to each other are told apart as Vela does, in numbers of 32 bits."""


@lru_cache(4096)
def choose_blocks(layer: EthosLayer, part: EthosPart) -> tuple[Block, Block] | None:
    """The IFM and the OFM block; None where none fits."""
    if part.rams is not None and layer.is_one_to_one:
        return u85.one_to_one_blocks(layer, part, part.rams)
    best: tuple[Block, Block] | None = None
    least, covered = inf, -1
    for ifm, ofm in _candidates(layer, part):
        if _cost(layer, part, ifm, ofm) > least * (1 + ROUNDING):
            continue
        cost = _cost(layer, part, ifm, ofm, _single)
        share = prod(clipped(ifm, layer.ifm)[:2])
        is_small = ofm[0] <= SMALL and ofm[1] <= SMALL
        if cost < least:
            best, least, covered = (ifm, ofm), cost, -1
        elif cost == least and is_small and share >= covered:
            best, covered = (ifm, ofm), share
    return best


def _candidates(layer: EthosLayer, part: EthosPart) -> Iterator[tuple[Block, Block]]:
    if part.rams is not None:
        return u85.fitting(layer, part, part.rams)
    return iter(()) if part.shram is None else _fitting(layer, part, part.shram)


def _fitting(layer: EthosLayer, part: EthosPart, shram: Shram) -> Iterator[tuple[Block, Block]]:
    """All blocks that fit, the shallow ones first."""
    unit = part.microblocks[0]
    deep = unit[2]
    height, width, depth = padded(clipped(layer.ofm, LARGEST_BLOCK), unit)
    at, too_large = layer.block_depth(max(deep, min(depth, SUM_DEPTH))), set()
    while at <= depth:
        for high in range(unit[0], height + 1, unit[0]):
            for wide in range(unit[1], width + 1, unit[1]):
                if (high, wide) in too_large:
                    break  # so are all wider ones
                ofm = (high, wide, at)
                ifm = _ifm_block(layer, part, ofm)
                if _fits(layer, part, shram, ifm, ofm):
                    yield ifm, ofm
                else:
                    too_large.add((high, wide))
        at = layer.block_depth(at + deep)


def _ifm_block(layer: EthosLayer, part: EthosPart, ofm: Block) -> Block:
    """What an OFM block reads, of a large kernel one piece."""
    depth, step = ofm[2], 1
    if not layer.is_one_to_one:
        is_shallow = layer.bits == 16 or layer.traversal == "part-kernel"
        depth, step = min(layer.ifm[2], 16 if is_shallow else 32), 4 if layer.bits == 16 else 8
    return u85.ifm_block(layer, ofm, depth, (*part.microblocks[0][:2], step))


def _fits(layer: EthosLayer, part: EthosPart, shram: Shram, ifm: Block, ofm: Block) -> bool:
    """Whether both buffers of input and accumulators find room, each in whole granules of banks."""
    deep = ifm[2]
    is_wide = layer.bits == 16 and layer.traversal != "pooling"
    granule = shram.wide_granule if is_wide else shram.granule
    rows = _summed(layer, part, ofm)[0]
    read = ifm[0] * ifm[1] * round_up(deep * layer.bits // 8, 8)
    summed = rows * ofm[1] * round_up(ofm[2], 8) * (5 if is_wide else 4)
    banks = round_up(_buffers(read), shram.ifm_granule) + round_up(_buffers(summed), granule)
    return OUTPUT_BANKS + banks <= shram.usable_banks


def _summed(layer: EthosLayer, part: EthosPart, ofm: Block) -> Block:
    """What of an OFM block is summed: of a microblock 2 high a row, where there is but one."""
    is_row = layer.ofm[0] == 1 and layer.kernel[0] == 1 and part.microblocks[0][0] == 2 and part.rams is None
    return (1, *ofm[1:]) if is_row else ofm


def _buffers(size_bytes: int) -> int:
    """The banks of two buffers."""
    return -(-size_bytes // BANK_BYTES) * 2


def _exact(number: float) -> float:
    return number


def _single(number: float) -> float:
    (rounded,) = unpack("f", pack("f", number))
    return float(rounded)


def _cost(
    layer: EthosLayer, part: EthosPart, ifm: Block, ofm: Block, step: Callable[[float], float] = _exact
) -> float:
    """What all blocks together fetch for an output: the last block counts by its size, but not in depth.

    ``step`` rounds what comes of each operation.
    """
    outputs, is_u85, ofm = step(prod(layer.ofm)), part.rams is not None, _summed(layer, part, ofm)
    if is_u85 and layer.ofm[:2] == (1, 1) and layer.spread == layer.ifm[:2]:
        cost = step(outputs / prod(ofm))  # of a single output pixel the largest block
    else:
        high, wide, deep = microblocks(layer.ofm, ofm)
        parts = [step(size / block) for size, block in zip(layer.ofm, ofm, strict=True)]
        taps = 0 if layer.traversal == "pooling" else prod(layer.kernel)
        weights = step(taps * layer.ifm[2] * high * wide)
        if layer.traversal != "depthwise":
            weights = step(weights * step(parts[2] * ofm[2]))
        reads = step(ifm[0] * ifm[1] * layer.ifm[2] * _pieces(layer))
        if is_u85:
            reads = step(reads * step(parts[1] * parts[0]))
        else:
            reads = step(step(reads * parts[1]) * parts[0])
        if not layer.is_one_to_one:
            reads = step(reads * deep)
        cost = step(step(reads + weights) / outputs)
    return cost / 2 if prod(layer.ifm) < prod(ifm) * 2 else cost  # the IFM is in both buffers


def _pieces(layer: EthosLayer) -> int:
    return -(-layer.spread[0] // LARGEST_KERNEL) * -(-layer.spread[1] // LARGEST_KERNEL)
