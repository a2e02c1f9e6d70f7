"""The error of outputs against their reference, their own noise, and the error of values over samples."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.errors import ParityError
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.graph import DEFAULT_TOLERANCE
from onnxlens.specs.parity import ParityResult
from onnxlens.specs.tensor import as_array, as_tensor

if TYPE_CHECKING:
    from torch import nn

ALL_ZEROS = "all zeros on both sides, which proves nothing"
NOT_FINITE = "PyTorch's own values are not all finite"


NOISE = 16
"""An error of so many times the output's own noise is still rounding: the noise is that of a few samples."""


def compare(
    values: Mapping[str, np.ndarray],
    references: Mapping[str, np.ndarray],
    tolerance: float = DEFAULT_TOLERANCE,
) -> tuple[ParityResult, ...]:
    """One result for each reference.

    Texts are equal or not: the error is that of zeros for ones. Values that are not finite, alike on both
    sides, are left out.

    Raises:
        ParityError: an output is missing, or its shape is not that of its reference.
    """
    missing = sorted(set(references) - set(values))
    if missing:
        raise ParityError(f"output {missing[0]!r} is missing; the outputs are {', '.join(values) or 'none'}")
    with np.errstate(invalid="ignore", over="ignore"):  # a value that is not finite is a result
        return tuple(
            _compare(name, values[name], reference, tolerance) for name, reference in references.items()
        )


def _compare(name: str, value: np.ndarray, reference: np.ndarray, tolerance: float) -> ParityResult:
    if value.shape != reference.shape:
        raise ParityError(f"output {name!r} has shape {value.shape}, its reference {reference.shape}")
    whole_a, whole_b = _numbers(value, reference)
    alike = ~np.isfinite(whole_b) & ((whole_a == whole_b) | (np.isnan(whole_a) & np.isnan(whole_b)))
    a, b = whole_a[~alike], whole_b[~alike]
    difference = np.abs(a - b)
    norm_a, norm_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    rel_l2 = float(np.linalg.norm(difference)) / norm_b if norm_b else float(norm_a > 0)
    finite = bool(np.isfinite(a).all() and np.isfinite(b).all()) and not (whole_a.size and alike.all())
    return ParityResult(
        tensor=name,
        max_abs=float(difference.max(initial=0)),
        mean_abs=float(difference.mean()) if difference.size else 0.0,
        reference_max_abs=float(np.abs(b).max(initial=0)),
        rel_l2=rel_l2,
        cosine=float(a @ b) / (norm_a * norm_b) if norm_a and norm_b else 0.0,
        tolerance=tolerance,
        passed=finite and rel_l2 <= tolerance,
        reason=_reason(whole_a, whole_b, alike),
    )


def _numbers(value: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, flat; of texts, ones where they agree and zeros where not, and ones."""
    if reference.dtype.kind in "OSU":
        return (value == reference).astype(np.float64).ravel(), np.ones(reference.size)
    sides = [np.stack([x.real, x.imag]) if x.dtype.kind == "c" else x for x in (value, reference)]
    return sides[0].astype(np.float64).ravel(), sides[1].astype(np.float64).ravel()


def _reason(a: np.ndarray, b: np.ndarray, alike: np.ndarray) -> str:
    """What a reader must know of the values; empty if nothing."""
    lost, own = (int(np.count_nonzero(~np.isfinite(side) & ~alike)) for side in (b, a))
    if lost:
        return f"the reference is not finite in {lost} of {b.size} values; give inputs that fit with --inputs"
    if own:
        return f"not finite in {own} of {a.size} values, where the reference is"
    if not a.size:
        return "empty on both sides"
    if alike.all():
        return f"the reference is not finite in any of {b.size} values, which proves nothing; give --inputs"
    if alike.any():
        return f"not finite in {np.count_nonzero(alike)} of {b.size} values, alike on both sides: left out"
    return "all zero on both sides" if not a.any() and not b.any() else ""


def within_noise(
    result: ParityResult, value: np.ndarray, reference: np.ndarray, disturbed: Sequence[np.ndarray]
) -> ParityResult:
    """A failed result again, with the tolerance that the output's own noise allows.

    ``disturbed`` is the reference after a change of the inputs that is as small as a rounding, or run again.
    """
    if result.passed or any(other.shape != reference.shape for other in disturbed):
        return result
    norm = float(np.linalg.norm(_numbers(reference, reference)[1]))
    noise = max((_distance(other, reference) for other in disturbed), default=0.0)
    error = _distance(value, reference)
    if not (isfinite(noise) and isfinite(error) and noise > 0):
        return result
    size = f"{noise / norm:.1e}" if norm else f"{noise:.1e} from zero"
    told = f"its own noise is {size}: what a rounding of the inputs or a second run changes"
    return replace(
        result,
        tolerance=max(result.tolerance, NOISE * noise / norm) if norm else result.tolerance,
        passed=error <= NOISE * noise,
        reason=result.reason or told,
    )


def _distance(value: np.ndarray, reference: np.ndarray) -> float:
    a, b = _numbers(value, reference)
    return float(np.linalg.norm(a - b))


@contextmanager
def uncompiled() -> Iterator[None]:
    """Let what ``torch.compile`` has wrapped run as it is: to compile takes minutes, and a C++ compiler."""
    if "torch._dynamo" not in sys.modules:  # nothing is wrapped
        yield
        return
    import torch

    with torch.compiler.set_stance("force_eager"):
        yield


def run_module(
    module: nn.Module, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
) -> Mapping[str, np.ndarray]:
    """PyTorch's outputs, by name, for inputs given in the order of ``forward``.

    Raises:
        ParityError: the number of returned outputs is not that of the names.
    """
    import torch

    with torch.inference_mode(), uncompiled():
        returned = module(*(as_tensor(value).clone() for value in inputs.values()))  # it may work in place
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
    if not np.isfinite(reference.astype(np.float64)).all():
        return Deviation(0.0, 0.0, NOT_FINITE)
    (result,) = compare({"value": value}, {"value": reference})
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


ROUNDINGS: Mapping[str, float] = {
    name: 2.0**-bits for name, bits in (("float64", 53), ("float32", 24), ("float16", 11), ("bfloat16", 8))
}
"""The largest relative error of a rounding to each type."""

STEP = 2.0**-8
"""A step of 8 bits, as a share of the range: what a rounding to a quantized type changes."""

QUANTIZING = tuple(
    "Quantize Dequantize QLinear QGemm QAttention MatMulInteger ConvInteger MatMulNBits".split()
)
"""What the names of operators that round to few bits contain."""


def coarsest_type(graph: Graph) -> str | None:
    """The coarsest floating type of the values that nodes make at run time; None without any."""
    running = (node.view for node in graph.nodes if not node.constant_folded)
    made = {value.dtype for view in running for value in view.outputs if value is not None and value.dtype}
    return max(made & ROUNDINGS.keys(), key=lambda dtype: ROUNDINGS[dtype], default=None)


def is_quantized(graph: Graph) -> bool:
    """Whether activations may be rounded to a quantized type, by the graph or by an optimizer.

    ONNX Runtime does so by default in a product with a weight of few bits.
    """
    return any(part in node.view.op_type for node in graph.nodes for part in QUANTIZING)


def coarsest_rounding(graph: Graph) -> float:
    """The relative error of the coarsest rounding that the graph makes."""
    return STEP if is_quantized(graph) else ROUNDINGS[coarsest_type(graph) or "float32"]


def disturb(inputs: Mapping[str, np.ndarray], rounding: float, draw: int) -> Mapping[str, np.ndarray]:
    """The floating inputs, each value off by the rounding of its tensor's largest; for draw 0 as they are."""
    if not draw:
        return inputs
    generator = np.random.default_rng(draw)
    return {name: _disturbed(array, rounding, generator) for name, array in inputs.items()}


def _disturbed(array: np.ndarray, rounding: float, generator: np.random.Generator) -> np.ndarray:
    wide = array.astype(np.float64) if array.dtype.name in ROUNDINGS else None
    if wide is None or not wide.size:
        return array
    own = max(rounding, ROUNDINGS[array.dtype.name])
    return np.asarray(
        wide + own * np.abs(wide).max() * generator.choice([-1.0, 1.0], wide.shape), array.dtype
    )
