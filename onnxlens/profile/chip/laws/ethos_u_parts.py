"""The Ethos-U configurations as Arm's compiler describes them (ethos-u-vela 5.2.0, regor/architecture)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod

Block = tuple[int, int, int]
"""Height, width, channels."""


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
    """

    macs_per_cycle: int
    microblocks: tuple[Block, ...]
    output_cycles: tuple[Fraction, Fraction, Fraction]
    cores: int = 1
    decoders: int = 1
    is_u85: bool = False

    @property
    def weight_cycles(self) -> int:
        """Cycles to feed the weights of one step to the array."""
        return 32 * self.microblocks[0][2] // 8 // self.decoders


def _u55(macs: int, microblock: Block, cycles: str, cores: int = 1) -> EthosPart:
    normal, wide, maximum = map(Fraction, cycles.split())
    return EthosPart(macs, (microblock,), (normal, wide, maximum), cores)


def _u85(macs: int, microblocks: tuple[Block, ...], cycles: str, decoders: int) -> EthosPart:
    byte, wide = map(Fraction, cycles.split())
    return EthosPart(macs, microblocks, (byte, wide, byte), 1, decoders, is_u85=True)


PARTS: Mapping[str, EthosPart] = {
    "ethos-u55-32": _u55(32, (1, 1, 4), "2 3 1"),
    "ethos-u55-64": _u55(64, (1, 1, 8), "1 1.5 0.5"),
    "ethos-u55-128": _u55(128, (1, 2, 8), "0.5 0.75 0.25"),
    "ethos-u55-256": _u55(256, (2, 2, 8), "0.25 0.375 0.125"),
    "ethos-u65-256": _u55(256, (2, 2, 8), "0.25 0.375 0.125"),
    "ethos-u65-512": _u55(512, (2, 2, 8), "0.125 0.1875 0.0625", cores=2),
    "ethos-u85-128": _u85(128, ((1, 2, 8), (1, 1, 16)), "0.5 0.5", 1),
    "ethos-u85-256": _u85(256, ((1, 2, 16), (1, 4, 8), (2, 2, 8)), "0.25 0.25", 1),
    "ethos-u85-512": _u85(512, ((2, 2, 16), (1, 4, 16)), "0.125 0.125", 2),
    "ethos-u85-1024": _u85(1024, ((2, 2, 32), (1, 4, 32), (2, 4, 16)), "0.0625 0.125", 4),
    "ethos-u85-2048": _u85(2048, ((2, 2, 64), (1, 4, 64), (4, 4, 16)), "0.03125 0.0625", 4),
}

for _name, _part in PARTS.items():
    assert all(prod(block) * 8 * _part.cores == _part.macs_per_cycle for block in _part.microblocks), _name
