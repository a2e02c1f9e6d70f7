"""What a comparison by layer gives: for each module what it was handed, what it hands on, what it adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from onnxlens.errors import ParityError
from onnxlens.specs.tensor import Dim

LayerKind = Literal["module", "operators"]
Verdict = Literal["agrees", "introduces", "carries", "not comparable"]


@dataclass(frozen=True, slots=True)
class LayerParity:
    """One call of a module, or a stretch of the operators that a module runs between its children.

    An error is the relative L2 error ``||value - reference|| / ||reference||``, the worst over all tensors
    and samples; infinite where a value is not finite; None where it was not or could not be computed.

    Attributes:
        path: the module that runs it; "" is the model.
        order: place of the last tensor it makes in the order of execution, from 1; 0 where that is not known.
        call: which call of the module, from 1; 0 for operators.
        operators: the operator types of ``operators``, in execution order; empty for a module.
        tensors: names in the file of what it hands on.
        shape: of the first of them.
        inherited: of what it was handed in ONNX Runtime.
        output: of what it hands on in ONNX Runtime.
        introduced: of what it hands on when it is handed PyTorch's own tensors; None for a module with others
            inside: they, and its own operators, have rows of their own.
        max_abs: of ``output``, in the tensor's own unit.
        reason: why it is not comparable; empty where it is.
    """

    path: str
    class_name: str
    depth: int
    order: int
    call: int
    kind: LayerKind
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
        """Hold verdict and reason against each other.

        Raises:
            ParityError: what is not comparable has no reason, or something else has one.
        """
        if (self.verdict == "not comparable") != bool(self.reason):
            raise ParityError(f"layer {self.path!r}: verdict {self.verdict!r} with reason {self.reason!r}")


@dataclass(frozen=True, slots=True)
class LayerReport:
    """Every module of one graph against PyTorch, in the order of execution.

    Attributes:
        source: the file's name.
        tolerance: the largest error that passes, for a module's own and for what it hands on.
        samples: how many different inputs were run.
        stopped: the rows end at the first one over the tolerance, as was asked for.
    """

    graph: str
    source: str
    opset: int
    weights: str
    provider: str
    tolerance: float
    samples: int
    stopped: bool
    layers: tuple[LayerParity, ...]

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing is over the tolerance."""
        verdicts = {layer.verdict for layer in self.layers}
        return "agrees" in verdicts and verdicts <= {"agrees", "not comparable"}

    @property
    def guilty(self) -> LayerParity | None:
        """The first that is over the tolerance by its own doing; None where no single one is."""
        return next((layer for layer in self.layers if layer.verdict == "introduces"), None)

    @property
    def first_over(self) -> LayerParity | None:
        """The first that is over the tolerance, whoever's doing it is."""
        return next((layer for layer in self.layers if layer.verdict in ("introduces", "carries")), None)

    @property
    def ranked(self) -> Sequence[LayerParity]:
        """Those whose own error is known, the largest first."""
        known = [layer for layer in self.layers if layer.introduced is not None]
        return sorted(known, key=lambda layer: inf if layer.introduced is None else -layer.introduced)
