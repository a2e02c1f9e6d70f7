"""A chip, as far as a roofline needs to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnxlens.errors import UsageError


@dataclass(frozen=True, slots=True)
class HardwareSpec:
    """Dense peaks of one chip; a figure its maker does not publish is None, never a guess.

    Attributes:
        peak_macs_per_s: multiply-accumulates per second, by dtype.
        vector_ops_per_s, special_ops_per_s: element operations per second.
        mac_array: rows and columns of one matrix unit.
        sources: for each field that is given, where its figure was read.
    """

    name: str
    peak_macs_per_s: Mapping[str, float]
    dram_bytes_per_s: float
    sources: Mapping[str, str]
    vector_ops_per_s: float | None = None
    special_ops_per_s: float | None = None
    dram_bytes: int | None = None
    on_chip_bytes: int | None = None
    mac_array: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse a figure that is not positive or has no source.

        Raises:
            UsageError: either is the case.
        """
        for field_name in (
            "peak_macs_per_s", "dram_bytes_per_s", "vector_ops_per_s",
            "special_ops_per_s", "dram_bytes", "on_chip_bytes", "mac_array",
        ):  # fmt: skip
            value = getattr(self, field_name)
            if value is None:
                continue
            figures = (
                value.values()
                if isinstance(value, Mapping)
                else value
                if isinstance(value, tuple)
                else (value,)
            )
            if any(figure <= 0 for figure in figures):
                raise UsageError(
                    f"hardware {self.name!r}: {field_name} is {value}; every figure must be positive"
                )
            if field_name not in self.sources:
                raise UsageError(f"hardware {self.name!r}: {field_name} has no source; say where it was read")
