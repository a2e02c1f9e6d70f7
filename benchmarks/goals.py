"""The performance goals of onnxlens, each with the measured value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contenders import FLOOR, JSON, PEER
from files import CHAIN_SIZES, UNET, chain_name
from measuring import Result

Results = Mapping[str, Mapping[str, Result]]
"""By file, then by contender."""

HELP = "--help"
SMALLEST, LARGEST = CHAIN_SIZES[0], CHAIN_SIZES[-1]


@dataclass(frozen=True)
class Goal:
    """A ratio or a time, and the bound that it should keep."""

    title: str
    measured: float
    bound: float
    unit: str
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether the bound is kept."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


def goals(results: Results) -> Iterator[Goal]:
    """All of them, as far as their contenders came to an end; of onnxlens the slower form, JSON."""
    unet = results[UNET]
    ours, floor, peer = unet[JSON], unet[FLOOR], unet[PEER]
    if peer.samples:
        yield Goal("UNet: times as fast as onnx-tool", peer.wall_s / ours.wall_s, 15, "x", at_least=True)
    yield Goal("UNet: wall time over the floor's", ours.wall_s / floor.wall_s, 1.5, "x")
    yield Goal("UNet: peak memory over the floor's", ours.peak_bytes / floor.peak_bytes, 1.3, "x")
    for with_shapes, what in ((True, "with shapes"), (False, "without shapes")):
        small, large = (results[chain_name(nodes, with_shapes)][JSON] for nodes in (SMALLEST, LARGEST))
        yield Goal(f"{LARGEST:,} nodes {what}", large.wall_s, 12, " s")
        growth = (large.cpu_s / LARGEST) / (small.cpu_s / SMALLEST)
        yield Goal(f"CPU time per node, {LARGEST:,} over {SMALLEST:,} nodes {what}", growth, 1.2, "x")
    yield Goal("`onnxlens --help`", results[HELP]["onnxlens --help"].wall_s, 0.3, " s")
