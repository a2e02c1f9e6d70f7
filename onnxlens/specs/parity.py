"""Numeric parity: of the outputs of a graph, and of each of its modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal

from onnxlens.errors import ParityError, UsageError
from onnxlens.specs.tensor import Dim

Reference = Literal["pytorch", "unoptimised"]
"""What ONNX Runtime is compared with: PyTorch, or itself without graph optimizations."""

RowKind = Literal["module", "operators"]
Verdict = Literal["agrees", "introduces", "carries", "not comparable"]


@dataclass(frozen=True, slots=True)
class LayerRequest:
    """How every module of a graph is compared with PyTorch.

    Attributes:
        tolerance: the largest relative L2 error that passes; None for the graph's own.
        memory_bytes: limit for the tensors held for comparison; weights, and what each side needs to run,
            come on top.
        samples: how many different inputs to run; the worst error over them counts.
        stop: end at the first module over the tolerance.
        reproduce: a folder to write the first diverging module to.

    Raises:
        UsageError: ``samples`` or ``memory_bytes`` is less than 1.
        ParityError: the tolerance is not a positive number.
    """

    provider: str = "cpu"
    tolerance: float | None = None
    memory_bytes: int = 4 * 2**30
    samples: int = 1
    stop: bool = False
    reproduce: Path | None = None

    def __post_init__(self) -> None:
        if self.samples < 1 or self.memory_bytes < 1:
            raise UsageError(
                f"{self.samples} samples in {self.memory_bytes} bytes of memory; take at least one of each"
            )
        if self.tolerance is not None and not self.tolerance > 0:
            raise ParityError(f"tolerance {self.tolerance!r} is not a positive number")


@dataclass(frozen=True, slots=True)
class ParityResult:
    """One tensor against its reference.

    Attributes:
        max_abs, mean_abs: of the difference, in the tensor's own unit.
        reference_max_abs: the largest magnitude in the reference, the scale of the difference.
        rel_l2: ``||value - reference|| / ||reference||``.
        cosine: of the angle between the two, flattened.
        tolerance: the largest ``rel_l2`` that passes.
        passed: within the tolerance, and finite where the reference is.
        reason: what else must be known of it: why it failed, or that equal values are empty or all zero.
    """

    tensor: str
    max_abs: float
    mean_abs: float
    reference_max_abs: float
    rel_l2: float
    cosine: float
    tolerance: float
    passed: bool
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ParityError(f"tolerance {self.tolerance!r} of {self.tensor!r} is not a positive number")


@dataclass(frozen=True, slots=True)
class ParityReport:
    """Every output of one graph compared with its reference, both sides with the same weights.

    Seeded weights do not show the accuracy of a trained model.
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
class ModuleParity:
    """One call of a module, or a segment of the operators that a module runs between its children.

    An error is the relative L2 error ``||value - reference|| / ||reference||``, the worst over all tensors
    and samples; infinite if a value is not finite; None if it is unknown.

    Attributes:
        order: position of the last tensor it makes in execution order, from 1; 0 if unknown.
        call: which call of the module, from 1; 0 for operators.
        operators: the operator types of ``operators``, in execution order; empty for a module.
        tensors: names in the file of its outputs.
        shape: of the first of them.
        inherited: the input error: of its inputs in ONNX Runtime.
        output: the output error: of its outputs in ONNX Runtime.
        introduced: the local error: of its outputs when its inputs are PyTorch's own tensors; None for a
            parent module: its children and its own operators have rows of their own.
        max_abs: of ``output``, in the tensor's own unit.
        reason: why it is not comparable; empty if it is.
    """

    path: str
    class_name: str
    depth: int
    order: int
    call: int
    kind: RowKind
    operators: tuple[str, ...]
    tensors: tuple[str, ...]
    shape: tuple[Dim, ...]
    inherited: float | None
    output: float | None
    introduced: float | None
    max_abs: float | None
    verdict: Verdict
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.verdict == "not comparable") != bool(self.reason):
            raise ParityError(f"module {self.path!r}: verdict {self.verdict!r} with reason {self.reason!r}")


@dataclass(frozen=True, slots=True)
class ModuleParityReport:
    """Every module of one graph compared with PyTorch, in execution order.

    Attributes:
        tolerance: the largest local and output error that passes.
        samples: how many different inputs were run.
        stopped: the rows end at the first one over the tolerance, as requested.
    """

    graph: str
    source: str
    opset: int
    weights: str
    provider: str
    tolerance: float
    samples: int
    stopped: bool
    layers: tuple[ModuleParity, ...]

    @property
    def passed(self) -> bool:
        """Whether something was compared and no error is over the tolerance."""
        verdicts = {row.verdict for row in self.layers}
        return "agrees" in verdicts and verdicts <= {"agrees", "not comparable"}

    @property
    def first_diverging(self) -> ModuleParity | None:
        """The first with a local error over the tolerance; None if no single one has."""
        return next((row for row in self.layers if row.verdict == "introduces"), None)

    @property
    def first_over(self) -> ModuleParity | None:
        """The first with any error over the tolerance, local or propagated."""
        return next((row for row in self.layers if row.verdict in ("introduces", "carries")), None)

    @property
    def ranked(self) -> Sequence[ModuleParity]:
        """Those with a known local error, the largest first."""
        known = [row for row in self.layers if row.introduced is not None]
        return sorted(known, key=lambda row: inf if row.introduced is None else -row.introduced)
