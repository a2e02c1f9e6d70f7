"""How far a tensor of ONNX Runtime is from PyTorch's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

import numpy as np

from onnxlens.profile.parity.parity import compare

ALL_ZEROS = "all zeros on both sides: that proves nothing"
NOT_FINITE = "PyTorch's own values are not all finite"


@dataclass(frozen=True, slots=True)
class Deviation:
    """The relative L2 error and the largest absolute one; infinite where a value is not finite.

    A reason says why there is nothing to be told.
    """

    rel_l2: float
    max_abs: float
    reason: str = ""


@dataclass(slots=True)
class Deviations:
    """The worst over all samples, by the value's name: with all before it, and handed PyTorch's tensors."""

    output: dict[str, Deviation] = field(default_factory=dict)
    introduced: dict[str, Deviation] = field(default_factory=dict)


def deviation(value: np.ndarray, reference: np.ndarray) -> Deviation:
    """Of ``value`` from ``reference``, which have one shape."""
    (result,) = compare({"value": value}, {"value": reference})
    if not isfinite(result.reference_max_abs):
        return Deviation(0.0, 0.0, NOT_FINITE)
    if result.reference_max_abs == 0 == result.max_abs:
        return Deviation(0.0, 0.0, ALL_ZEROS)
    finite = isfinite(result.rel_l2) and isfinite(result.max_abs)
    return Deviation(result.rel_l2, result.max_abs) if finite else Deviation(inf, inf)


def enter(
    into: dict[str, Deviation], values: Mapping[str, np.ndarray], references: Mapping[str, np.ndarray]
) -> None:
    """Keep the worse of what is known and of what these values show."""
    for name, value in values.items():
        found = deviation(value, references[name])
        into[name] = worst((into[name], found)) if name in into else found


def worst(deviations: Iterable[Deviation]) -> Deviation:
    """The one with the largest error; one with nothing to tell only where all are such."""
    return max(deviations, key=lambda found: (not found.reason, found.rel_l2))
