"""The blocks that Vela 5.2.0 chooses for a layer on an Ethos-U55 or U65.

An OFM block fits where two IFM blocks and two blocks of accumulators find room in the banks of the SHRAM. Of
those that fit the one is taken that fetches least per output, input and weights together; where the whole
IFM is in both buffers that is halved. Of equal ones the first counts, or among the smallest, up to 4x4, that
which covers most of the IFM.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from math import prod
from struct import pack, unpack

from onnxlens.profile.chip.laws.ethos_u import LARGEST_KERNEL, EthosLayer, microblocks
from onnxlens.profile.chip.laws.ethos_u_parts import Block, EthosPart, Shram, round_up

BANK_BYTES, OUTPUT_BANKS = 1024, 2
LARGEST_BLOCK: Block = (32, 64, 128)
SPLIT_DEPTH = 16
SMALL = 4


@lru_cache(4096)
def choose_blocks(layer: EthosLayer, part: EthosPart) -> tuple[Block, Block] | None:
    """The IFM and the OFM block; None where none fits, and for the parts whose choice is not described."""
    if part.shram is None:
        return None
    best: tuple[Block, Block] | None = None
    least: tuple[int, int] | None = None
    covered = Fraction(-1)
    for ifm, ofm in _fitting(layer, part, part.shram):
        cost, scale = _fetched(layer, ifm, ofm)
        order: float = -1 if least is None else cost * least[1] - least[0] * scale
        if (
            order == 0 and best is not None
        ):  # Vela compares numbers of 32 bits, which differ by their rounding
            order = _rounded(layer, ifm, ofm) - _rounded(layer, *best)
        if order > 0:
            continue
        if order == 0:
            share = Fraction(min(ifm[0], layer.ifm[0]) * min(ifm[1], layer.ifm[1]))
            if not (ofm[0] <= SMALL and ofm[1] <= SMALL and share >= covered):
                continue
            covered = share
        else:
            covered = Fraction(-1)
        best, least = (ifm, ofm), (cost, scale)
    return best


def _fitting(layer: EthosLayer, part: EthosPart, shram: Shram) -> Iterator[tuple[Block, Block]]:
    """All blocks that fit, the shallow ones first."""
    unit = part.microblocks[0]
    deep = unit[2]
    sides = [min(size, most) for size, most in zip(layer.ofm, LARGEST_BLOCK, strict=True)]
    height, width, depth = (round_up(size, step) for size, step in zip(sides, (*unit[:2], deep), strict=True))
    at, too_large = _depth(layer, max(deep, min(depth, SPLIT_DEPTH))), set()
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
        at = _depth(layer, at + deep)


def _depth(layer: EthosLayer, depth: int) -> int:
    return round_up(depth, SPLIT_DEPTH) if depth < layer.ofm[2] else depth


def _has_all_channels(layer: EthosLayer) -> bool:
    """Whether each output channel reads one of the input."""
    return layer.traversal in ("depthwise", "pooling")


def _ifm_block(layer: EthosLayer, part: EthosPart, ofm: Block) -> Block:
    """What an OFM block reads, of a large kernel one piece."""
    sides = [
        round_up((size - 1) * stride + min(kernel, LARGEST_KERNEL), unit)
        for size, stride, kernel, unit in zip(
            ofm[:2], layer.stride, layer.kernel, part.microblocks[0][:2], strict=True
        )
    ]
    if _has_all_channels(layer):
        return sides[0], sides[1], ofm[2]
    if layer.bits == 16:
        return sides[0], sides[1], round_up(min(layer.ifm[2], 16), 4)
    most = 16 if layer.traversal == "part-kernel" else 32
    return sides[0], sides[1], round_up(min(layer.ifm[2], most), 8)


def _fits(layer: EthosLayer, part: EthosPart, shram: Shram, ifm: Block, ofm: Block) -> bool:
    """Whether both buffers of input and accumulators find room, each in whole granules of banks."""
    deep = ifm[2]
    is_wide = layer.bits == 16 and layer.traversal != "pooling"
    granule = shram.wide_granule if is_wide else shram.granule
    rows = 1 if layer.ofm[0] == 1 and layer.kernel[0] == 1 and part.microblocks[0][0] == 2 else ofm[0]
    read = ifm[0] * ifm[1] * round_up(deep * layer.bits // 8, 8)
    summed = rows * ofm[1] * round_up(ofm[2], 8) * (5 if is_wide else 4)
    banks = round_up(_buffers(read), shram.ifm_granule) + round_up(_buffers(summed), granule)
    return OUTPUT_BANKS + banks <= shram.usable_banks


def _buffers(size_bytes: int) -> int:
    """The banks of two buffers."""
    return -(-size_bytes // BANK_BYTES) * 2


def _rounded(layer: EthosLayer, ifm: Block, ofm: Block) -> float:
    """What ``_fetched`` says, each step of it rounded to a number of 32 bits."""
    high, wide, deep = microblocks(layer.ofm, ofm)
    parts = [_single(size / block) for size, block in zip(layer.ofm, ofm, strict=True)]
    weights = _single(_taps(layer) * layer.ifm[2] * high * wide)
    if layer.traversal != "depthwise":
        weights = _single(weights * _single(parts[2] * ofm[2]))
    reads = _single(_single(_single(ifm[0] * ifm[1] * layer.ifm[2] * _pieces(layer)) * parts[1]) * parts[0])
    if not _has_all_channels(layer):
        reads = _single(reads * deep)
    cost = _single(_single(reads + weights) / (layer.ofm[0] * layer.ofm[1] * layer.ofm[2]))
    return cost / 2 if _is_whole(layer, ifm) else cost


def _single(number: float) -> float:
    (rounded,) = unpack("f", pack("f", number))
    return float(rounded)


def _taps(layer: EthosLayer) -> int:
    """The weights that each pair of channels reads: none of a pooling; a full layer's are read once."""
    return 0 if layer.traversal == "pooling" or layer.is_full else layer.kernel[0] * layer.kernel[1]


def _pieces(layer: EthosLayer) -> int:
    return -(-layer.kernel[0] // LARGEST_KERNEL) * -(-layer.kernel[1] // LARGEST_KERNEL)


def _is_whole(layer: EthosLayer, ifm: Block) -> bool:
    """Whether all of the IFM is in both buffers."""
    return prod(layer.ifm) < prod(ifm) * 2


def _fetched(layer: EthosLayer, ifm: Block, ofm: Block) -> tuple[int, int]:
    """What all blocks together fetch, as a fraction: the last block counts by its size, but not in depth."""
    high, wide, deep = microblocks(layer.ofm, ofm)
    area = ofm[0] * ofm[1]
    weights = (
        _taps(layer) * layer.ifm[2] * high * wide * (1 if layer.traversal == "depthwise" else layer.ofm[2])
    )
    reads = ifm[0] * ifm[1] * layer.ifm[2] * _pieces(layer) * layer.ofm[0] * layer.ofm[1]
    reads *= 1 if _has_all_channels(layer) else deep
    return weights * area + reads, area * (2 if _is_whole(layer, ifm) else 1)
