"""The Ethos-U configurations as Arm's compiler describes them (ethos-u-vela 5.2.0, regor/architecture)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

Block = tuple[int, int, int]
"""Height, width, channels."""


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
class EthosPart:
    """One configuration.

    Attributes:
        macs_per_cycle: int8, all cores.
        microblocks: of the OFM; the first is the usual one.
        cores: what the array is made of; the OFM is divided among them.
        decoders: of weights, that work at the same time.
        output_cycles: per output element of a convolution with 32-bit accumulators, and with 40 bits (U85:
            48); then of a MaxPool.
        is_u85: whether it is of the third generation, whose block formulas differ.
        depthwise: the only microblock for depthwise layers and poolings; None where each can do them.
        sram_bytes_per_cycle: of one port.
        shram: of U55 and U65.
    """

    macs_per_cycle: int
    microblocks: tuple[Block, ...]
    output_cycles: tuple[Fraction, Fraction, Fraction]
    cores: int = 1
    decoders: int = 1
    is_u85: bool = False
    depthwise: Block | None = None
    sram_bytes_per_cycle: int = 16
    shram: Shram | None = None

    def weight_cycles(self, unit: Block) -> int:
        """Cycles to feed the weights of one step to the array."""
        return 32 * unit[2] // 8 // self.decoders


def round_up(size: int, step: int) -> int:
    """To a multiple."""
    return -(-size // step) * step


def _u55(macs: int, microblock: Block, cycles: str, shram: Shram, port: int, cores: int = 1) -> EthosPart:
    normal, wide, maximum = map(Fraction, cycles.split())
    return EthosPart(
        macs, (microblock,), (normal, wide, maximum), cores, shram=shram, sram_bytes_per_cycle=port
    )


_LARGE = Shram(46, 8, 16, 20)


def _u85(
    macs: int, microblocks: tuple[Block, ...], cycles: str, decoders: int, depthwise: Block | None
) -> EthosPart:
    byte, wide = map(Fraction, cycles.split())
    return EthosPart(macs, microblocks, (byte, wide, byte), 1, decoders, is_u85=True, depthwise=depthwise)


PARTS: Mapping[str, EthosPart] = {
    "ethos-u55-32": _u55(32, (1, 1, 4), "2 3 1", Shram(16, 2, 4, 4), 8),
    "ethos-u55-64": _u55(64, (1, 1, 8), "1 1.5 0.5", Shram(16, 2, 4, 8), 8),
    "ethos-u55-128": _u55(128, (1, 2, 8), "0.5 0.75 0.25", Shram(22, 4, 8, 12), 8),
    "ethos-u55-256": _u55(256, (2, 2, 8), "0.25 0.375 0.125", _LARGE, 8),
    "ethos-u65-256": _u55(256, (2, 2, 8), "0.25 0.375 0.125", _LARGE, 16),
    "ethos-u65-512": _u55(512, (2, 2, 8), "0.125 0.1875 0.0625", _LARGE, 16, cores=2),
    "ethos-u85-128": _u85(128, ((1, 2, 8), (1, 1, 16)), "0.5 0.5", 1, (1, 1, 16)),
    "ethos-u85-256": _u85(256, ((1, 2, 16), (1, 4, 8), (2, 2, 8)), "0.25 0.25", 1, (1, 2, 16)),
    "ethos-u85-512": _u85(512, ((2, 2, 16), (1, 4, 16)), "0.125 0.125", 2, None),
    "ethos-u85-1024": _u85(1024, ((2, 2, 32), (1, 4, 32), (2, 4, 16)), "0.0625 0.125", 4, (2, 4, 16)),
    "ethos-u85-2048": _u85(2048, ((2, 2, 64), (1, 4, 64), (4, 4, 16)), "0.03125 0.0625", 4, (4, 4, 16)),
}
