"""The error of outputs against their reference, and of single values over several samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.errors import ParityError
from onnxlens.specs.graph import DEFAULT_TOLERANCE
from onnxlens.specs.parity import ParityResult
from onnxlens.specs.tensor import as_array, as_tensor

if TYPE_CHECKING:
    from torch import nn

ALL_ZEROS = "all zeros on both sides, which proves nothing"
NOT_FINITE = "PyTorch's own values are not all finite"


def compare(
    values: Mapping[str, np.ndarray],
    references: Mapping[str, np.ndarray],
    tolerance: float = DEFAULT_TOLERANCE,
) -> tuple[ParityResult, ...]:
    """One result for each reference.

    Raises:
        ParityError: an output is missing, or its shape is not that of its reference.
    """
    missing = sorted(set(references) - set(values))
    if missing:
        raise ParityError(f"output {missing[0]!r} is missing; the outputs are {', '.join(values) or 'none'}")
    with np.errstate(invalid="ignore", over="ignore"):  # a value that is not finite is a result, and fails
        return tuple(
            _compare(name, values[name], reference, tolerance) for name, reference in references.items()
        )


def _compare(name: str, value: np.ndarray, reference: np.ndarray, tolerance: float) -> ParityResult:
    if value.shape != reference.shape:
        raise ParityError(f"output {name!r} has shape {value.shape}, its reference {reference.shape}")
    a, b = value.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    difference = np.abs(a - b)
    norm_a, norm_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    rel_l2 = float(np.linalg.norm(difference)) / norm_b if norm_b else float(norm_a > 0)
    finite = bool(np.isfinite(a).all() and np.isfinite(b).all())
    return ParityResult(
        tensor=name,
        max_abs=float(difference.max(initial=0)),
        mean_abs=float(difference.mean()) if difference.size else 0.0,
        reference_max_abs=float(np.abs(b).max(initial=0)),
        rel_l2=rel_l2,
        cosine=float(a @ b) / (norm_a * norm_b) if norm_a and norm_b else 0.0,
        tolerance=tolerance,
        passed=finite and norm_b > 0 and rel_l2 <= tolerance,
    )


def run_module(
    module: nn.Module, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
) -> Mapping[str, np.ndarray]:
    """PyTorch's outputs, by name, for inputs given in the order of ``forward``.

    Raises:
        ParityError: the number of returned outputs is not that of the names.
    """
    import torch

    with torch.inference_mode():
        returned = module(*(as_tensor(value) for value in inputs.values()))
    tensors = (returned,) if isinstance(returned, torch.Tensor) else tuple(returned)
    if len(tensors) != len(outputs):
        raise ParityError(f"the module returned {len(tensors)} outputs, {len(outputs)} are named")
    return {name: as_array(tensor) for name, tensor in zip(outputs, tensors, strict=True)}


@dataclass(frozen=True, slots=True)
class Deviation:
    """The relative L2 error and the largest absolute one; infinite if a value is not finite.

    With a reason, there is nothing to compare and the errors mean nothing.
    """

    rel_l2: float
    max_abs: float
    reason: str = ""


@dataclass(slots=True)
class Deviations:
    """The worst over all samples, by the value's name: in runs of the whole graph, and of the slice alone."""

    output: dict[str, Deviation] = field(default_factory=dict)
    local: dict[str, Deviation] = field(default_factory=dict)


def deviation(value: np.ndarray, reference: np.ndarray) -> Deviation:
    """The deviation of ``value`` from ``reference``, which has the same shape."""
    (result,) = compare({"value": value}, {"value": reference})
    if not isfinite(result.reference_max_abs):
        return Deviation(0.0, 0.0, NOT_FINITE)
    if result.reference_max_abs == 0 == result.max_abs:
        return Deviation(0.0, 0.0, ALL_ZEROS)
    finite = isfinite(result.rel_l2) and isfinite(result.max_abs)
    return Deviation(result.rel_l2, result.max_abs) if finite else Deviation(inf, inf)


def keep_worst(
    found: dict[str, Deviation], values: Mapping[str, np.ndarray], references: Mapping[str, np.ndarray]
) -> None:
    """Add the deviations of these values; of a value that is there already, the worse one stays."""
    for name, value in values.items():
        new = deviation(value, references[name])
        found[name] = worst((found[name], new)) if name in found else new


def worst(deviations: Iterable[Deviation]) -> Deviation:
    """The one with the largest error; one with a reason only if all have one."""
    return max(deviations, key=lambda found: (not found.reason, found.rel_l2))
