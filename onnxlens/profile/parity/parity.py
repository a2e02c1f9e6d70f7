"""How far one set of outputs is from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.errors import ParityError
from onnxlens.specs.graph import DEFAULT_TOLERANCE
from onnxlens.specs.results import ParityResult
from onnxlens.specs.tensor import as_array, as_tensor

if TYPE_CHECKING:
    from torch import nn


def compare(
    values: Mapping[str, np.ndarray],
    references: Mapping[str, np.ndarray],
    tolerance: float = DEFAULT_TOLERANCE,
) -> tuple[ParityResult, ...]:
    """One result for each reference.

    Raises:
        ParityError: an output is missing, or has another shape than its reference.
    """
    missing = sorted(set(references) - set(values))
    if missing:
        raise ParityError(f"output {missing[0]!r} is missing; the outputs are {', '.join(values) or 'none'}")
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is a result, and fails
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
        ParityError: the module returns another number of outputs.
    """
    import torch

    with torch.inference_mode():
        returned = module(*(as_tensor(value) for value in inputs.values()))
    tensors = (returned,) if isinstance(returned, torch.Tensor) else tuple(returned)
    if len(tensors) != len(outputs):
        raise ParityError(f"the module returned {len(tensors)} outputs, {len(outputs)} are named")
    return {name: as_array(tensor) for name, tensor in zip(outputs, tensors, strict=True)}
