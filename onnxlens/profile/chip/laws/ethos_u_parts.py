"""The Ethos-U configurations as Arm's compiler describes them (ethos-u-vela 5.2.0, regor/architecture)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Traversal = Literal["depth-first", "part-kernel", "depthwise", "pooling"]
Block = tuple[int, int, int]
"""Height, width, channels."""
LARGEST_KERNEL = 8
"""The side of the largest piece that the array passes over at once."""
SUM_DEPTH = 16
"""Accumulators are kept for so many channels at a time."""


@dataclass(frozen=True, slots=True)
class EthosLayer:
    """A layer as Vela schedules it.

    Attributes:
        ifm: the input's channels; in a depthwise layer or a pooling all of them.
        ofm: the output's height, width and channels.
        kernel: height and width, with the zeros that Vela fills a dilated one with.
        stride: along height and width.
        bits: of an activation.
        is_max: a MaxPool, whose outputs leave faster.
        in_bricks: whether input and output are stored in bricks of 16 channels (NHCWB16) instead of NHWC.
        dilation: what the unit does itself, 1 or 2 along each axis.
        is_sparse: at least two of each four weights along the channels are 0, for which U85 has a format.
    """

    traversal: Traversal
    ifm: Block
    ofm: Block
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    bits: int = 8
    is_max: bool = False
    in_bricks: tuple[bool, bool] = (False, False)
    dilation: tuple[int, int] = (1, 1)
    is_sparse: bool = False

    @property
    def spread(self) -> tuple[int, int]:
        """What the kernel reaches over."""
        (high, wide), (down, right) = self.kernel, self.dilation
        return (high - 1) * down + 1, (wide - 1) * right + 1

    @property
    def is_one_to_one(self) -> bool:
        """Whether each output channel reads one of the input."""
        return self.traversal in ("depthwise", "pooling")

    def block_depth(self, depth: int) -> int:
        """A depth that a block of the OFM may have: whole steps, but for that of all channels."""
        return round_up(depth, SUM_DEPTH) if depth < self.ofm[2] else depth

    @property
    def sum_bytes(self) -> int:
        """Of an accumulator in U85: one of 48 bits takes 8."""
        return 8 if self.bits == 16 and self.traversal != "pooling" else 4


@dataclass(frozen=True, slots=True)
class Shram:
    """The memory inside the array of U55 and U65, in banks of 1,024 bytes.

    Attributes:
        usable_banks: without those that are kept free at its end.
        ifm_granule: an input's banks are a multiple of so many; the others are those of the accumulators
            of 32 and of 40 bits.
    """

    usable_banks: int
    ifm_granule: int
    granule: int
    wide_granule: int


@dataclass(frozen=True, slots=True)
class Rams:
    """The memories inside the array of U85.

    Attributes:
        ifm_bytes: of the inputs.
        sums_bytes: of the accumulators.
        granules: what inputs are stored in: height, width and units of 16 bytes of channels, for blocks of up
            to 16, 32 and more bytes of channels.
        flat: the same for a microblock of 1x4.
    """

    ifm_bytes: int
    sums_bytes: int
    granules: tuple[Block, Block, Block]
    flat: tuple[Block, Block, Block]


@dataclass(frozen=True, slots=True)
class EthosPart:
    """One configuration.

    Attributes:
        macs_per_cycle: int8, all cores.
        microblocks: of the OFM; the first is the usual one.
        cores: what the array is made of; the OFM is divided among them.
        decoders: of weights, that work at the same time.
        output_cycles: per output element of a convolution with 32-bit accumulators, and with 40 bits (U85:
            48); then of a MaxPool.
        depthwise: the one for depthwise layers and poolings of bytes; None where each microblock can do them.
        sram_bytes_per_cycle: of all ports that the system uses.
        sram_burst_bytes: what a transfer takes at least.
        shram: of U55 and U65.
        rams: of U85, whose formulas differ.
    """

    macs_per_cycle: int
    microblocks: tuple[Block, ...]
    output_cycles: tuple[Fraction, Fraction, Fraction]
    cores: int = 1
    decoders: int = 1
    depthwise: Block | None = None
    sram_bytes_per_cycle: int = 32
    sram_burst_bytes: int = 64
    shram: Shram | None = None
    rams: Rams | None = None

    def weight_cycles(self, unit: Block) -> int:
        """Cycles to feed the weights of one step to the array."""
        return 32 * unit[2] // 8 // self.decoders


def round_up(size: int, step: int) -> int:
    """To a multiple."""
    return -(-size // step) * step


def padded(block: Block, step: Block) -> Block:
    """Each side rounded up."""
    return round_up(block[0], step[0]), round_up(block[1], step[1]), round_up(block[2], step[2])


def clipped(block: Block, most: Block) -> Block:
    """Each side at most so long."""
    return min(block[0], most[0]), min(block[1], most[1]), min(block[2], most[2])


def _u55(macs: int, microblock: Block, cycles: str, shram: Shram, port: int, cores: int = 1) -> EthosPart:
    normal, wide, maximum = map(Fraction, cycles.split())
    return EthosPart(
        macs,
        (microblock,),
        (normal, wide, maximum),
        cores,
        shram=shram,
        sram_bytes_per_cycle=port,
        sram_burst_bytes=32,
    )


_LARGE = Shram(46, 8, 16, 20)


def _u85(
    macs: int, microblocks: tuple[Block, ...], cycles: str, decoders: int, rams: Rams, depthwise: Block | None
) -> EthosPart:
    byte, wide = map(Fraction, cycles.split())
    return EthosPart(macs, microblocks, (byte, wide, byte), decoders=decoders, depthwise=depthwise, rams=rams)


_SMALL = ((1, 2, 1), (1, 1, 2), (1, 1, 2))
_SQUARE, _FLAT = ((2, 2, 1), (1, 2, 2), (1, 1, 4)), ((1, 4, 1), (1, 2, 2), (1, 1, 4))
_R128 = Rams(8192, 8192, _SMALL, _SMALL)
_R256 = Rams(16384, 16384, _SQUARE, _FLAT)
_R512 = Rams(16384, 32768, _SQUARE, _FLAT)
_R1024 = Rams(16384, 65536, ((2, 4, 1), (2, 2, 2), (1, 2, 4)), ((2, 4, 1), (1, 4, 2), (1, 2, 4)))
_R2048 = Rams(32768, 131072, ((4, 4, 1), (2, 4, 2), (2, 2, 4)), ((4, 4, 1), (2, 4, 2), (1, 4, 4)))

PARTS: Mapping[str, EthosPart] = {
    "ethos-u55-32": _u55(32, (1, 1, 4), "2 3 1", Shram(16, 2, 4, 4), 8),
    "ethos-u55-64": _u55(64, (1, 1, 8), "1 1.5 0.5", Shram(16, 2, 4, 8), 8),
    "ethos-u55-128": _u55(128, (1, 2, 8), "0.5 0.75 0.25", Shram(22, 4, 8, 12), 8),
    "ethos-u55-256": _u55(256, (2, 2, 8), "0.25 0.375 0.125", _LARGE, 8),
    "ethos-u65-256": _u55(256, (2, 2, 8), "0.25 0.375 0.125", _LARGE, 16),
    "ethos-u65-512": _u55(512, (2, 2, 8), "0.125 0.1875 0.0625", _LARGE, 16, cores=2),
    "ethos-u85-128": _u85(128, ((1, 2, 8), (1, 1, 16)), "0.5 0.5", 1, _R128, (1, 1, 16)),
    "ethos-u85-256": _u85(256, ((1, 2, 16), (1, 4, 8), (2, 2, 8)), "0.25 0.25", 1, _R256, (1, 2, 16)),
    "ethos-u85-512": _u85(512, ((2, 2, 16), (1, 4, 16)), "0.125 0.125", 2, _R512, None),
    "ethos-u85-1024": _u85(1024, ((2, 2, 32), (1, 4, 32), (2, 4, 16)), "0.0625 0.125", 4, _R1024, (2, 4, 16)),
    "ethos-u85-2048": _u85(
        2048, ((2, 2, 64), (1, 4, 64), (4, 4, 16)), "0.03125 0.0625", 4, _R2048, (4, 4, 16)
    ),
}
