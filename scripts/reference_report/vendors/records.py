"""The committed records, led back to their graphs again: what the tables and pictures are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from onnxlens.api.hardware import with_bounds
from onnxlens.api.layers import read_layers, with_layers
from onnxlens.api.opened import opened
from onnxlens.specs.layers import LayerReport
from onnxlens.specs.ledger import Ledger
from reference_report.vendors.files import unpacked
from reference_report.vendors.networks import Network
from reference_report.vendors.recording import GRAPH

OURS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ethos-u-u55-256": ("ethos-u55-256", "int8"),
        "ethos-u-u85-512": ("ethos-u85-512", "int8"),
        "tpu-mlir-bm1684x": ("bm1684x", "float16"),
        "rknn-rk3588": ("rk3588", "float16"),
    }
)
"""By the label of a report with cycles: the chip file of the same chip, and the type it computes in."""


@dataclass(frozen=True)
class Recorded:
    """A network with what every tool says of it.

    Attributes:
        ledger: with the tools' figures and our bounds.
        failed: the reports of tools that made nothing of it; their note says why.
    """

    network: Network
    ledger: Ledger
    failed: Sequence[LayerReport]


def reports_of(folder: Path) -> Sequence[LayerReport]:
    """What the tools reported, in the order of their names."""
    found = []
    for path in sorted(folder.glob("*.json*")):
        with unpacked(path) as file:
            found.append(read_layers(file))
    return found


def recorded(folder: Path, network: Network) -> Recorded:
    """The counts of a network, our bounds, and its records."""
    reports = reports_of(folder)
    usable = [report for report in reports if report.records or report.refused]
    with unpacked(folder / GRAPH) as path, opened(path) as it:
        counted = it.ledger
        bounds = [
            with_bounds(it, counted, *OURS[report.label]).bounds for report in usable if report.label in OURS
        ]
        ledger = replace(counted, bounds=tuple(bound for each in bounds for bound in each))
        ledger = with_layers(it, ledger, *usable)
    return Recorded(network, ledger, [report for report in reports if report not in usable])
