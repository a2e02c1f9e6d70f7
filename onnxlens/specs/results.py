"""What measurements give: numeric parity and latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from onnxlens.errors import ParityError, UsageError

Reference = Literal["pytorch", "unoptimised"]
"""What ONNX Runtime is held against: PyTorch, or itself without its graph optimisations."""


@dataclass(frozen=True, slots=True)
class ParityResult:
    """One tensor against its reference.

    Attributes:
        max_abs, mean_abs: of the difference, in the tensor's own unit.
        reference_max_abs: the largest magnitude in the reference: the scale the difference stands against.
        rel_l2: ``||value - reference|| / ||reference||``.
        cosine: of the angle between the two, flattened.
        tolerance: the largest ``rel_l2`` that passes.
        passed: within the tolerance, all finite, and the reference not all zero (that would prove nothing).
    """

    tensor: str
    max_abs: float
    mean_abs: float
    reference_max_abs: float
    rel_l2: float
    cosine: float
    tolerance: float
    passed: bool

    def __post_init__(self) -> None:
        """Refuse a tolerance that no comparison can be held to.

        Raises:
            ParityError: the tolerance is not a positive number.
        """
        if not self.tolerance > 0:
            raise ParityError(f"tolerance {self.tolerance!r} of {self.tensor!r} is not a positive number")


@dataclass(frozen=True, slots=True)
class ParityReport:
    """Every output of one graph against its reference.

    Attributes:
        source: the file's name, or the catalog's name of the graph.
        weights: which weights both sides ran with; seeded ones say nothing of a trained model's accuracy.
    """

    graph: str
    source: str
    opset: int
    weights: str
    provider: str
    reference: Reference
    outputs: tuple[ParityResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every output passed."""
        return all(result.passed for result in self.outputs)


@dataclass(frozen=True, slots=True)
class LatencyResult:
    """Time of one run, over ``runs`` of them after ``warmup`` that are not counted; seconds.

    Attributes:
        provider: the execution provider that really ran.
        unattributed: the share of node time that no module owns, 0 to 1; None where nodes were not timed.
    """

    median_s: float
    p10_s: float
    p90_s: float
    warmup: int
    runs: int
    provider: str
    device: str
    unattributed: float | None = None

    def __post_init__(self) -> None:
        """Refuse figures out of order.

        Raises:
            UsageError: there was no run, the percentiles are not ascending, or the share is none.
        """
        if self.runs < 1:
            raise UsageError(f"latency over {self.runs} runs; time at least one")
        if not 0 <= self.p10_s <= self.median_s <= self.p90_s:
            raise UsageError(
                f"latency percentiles {self.p10_s}, {self.median_s}, {self.p90_s} s do not ascend"
            )
        if self.unattributed is not None and not 0 <= self.unattributed <= 1:
            raise UsageError(f"unattributed share {self.unattributed} is not between 0 and 1")
