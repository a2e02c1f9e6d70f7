"""Which values of a checkpoint may become a module's: what a cast changes is said, or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from onnxlens.errors import CheckpointError
from onnxlens.specs.tensor import TensorSpec, torch_type, type_name

if TYPE_CHECKING:
    import torch

SAFETENSORS_DTYPES: Mapping[str, str] = {
    "F8_E4M3": "float8e4m3fn", "F8_E5M2": "float8e5m2", "F8_E8M0": "float8e8m0", "BOOL": "bool",
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)}, "BF16": "bfloat16", "C64": "complex64",
    **{f"{letter}{bits}": f"{name}{bits}" for letter, name in (("I", "int"), ("U", "uint"))
       for bits in (8, 16, 32, 64)},
}  # fmt: skip
"""Element types by their names in a .safetensors file."""

FAMILIES: Mapping[str, str] = {
    "bool": "bool", "complex": "complex", "float8": "float8", "float": "float", "bfloat": "float",
    "int": "int", "uint": "int",
}  # fmt: skip
"""By the beginning of an element type's name, the longest that fits: those that mean the same."""

CASTS = frozenset({("float8", "float"), ("float", "int"), ("int", "int"), ("float", "float"),
                   ("complex", "complex")})  # fmt: skip
"""What may be cast. Into integers only values that stay what they are: trainers save counters as floats."""

REMEDIES: Mapping[str, str] = {
    "int": "integers are quantized values without their scale; give the file in a floating type",
    "complex": "its imaginary part would be lost; give the file of a real module",
    "bool": "true and false are no such numbers; save it in the module's type",
    "quantized": "save what its .dequantize() returns",
    "sparse": "save what its .to_dense() returns",
    "meta": "it was saved on the meta device, without values; save it when its weights are loaded",
}
"""What to do, by what the file has."""

_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8, "complex128": 53, "complex64": 24}
"""Of a significand: from more to fewer is a rounding. A float8 has at most 4."""


def kind_of(tensor: torch.Tensor) -> str:
    """The element type's name; for what is no plain tensor of values, what it is instead."""
    import torch

    if tensor.is_meta:
        return "meta"
    if tensor.is_quantized:
        return "quantized"
    return "sparse" if tensor.layout != torch.strided else type_name(tensor.dtype)


def _family(kind: str) -> str:
    longest = max((start for start in FAMILIES if kind.startswith(start)), key=len, default="")
    return FAMILIES.get(longest, kind)


def require_castable(key: str, kind: str, spec: TensorSpec, scales: Iterable[str]) -> None:
    """Refuse an entry whose values would mean something else in the module.

    Args:
        key: of the entry in the file.
        kind: its element type, or what it is instead.
        spec: of the module's tensor.
        scales: those that are none of the module's, and scales by their names.

    Raises:
        CheckpointError: it must not be cast.
    """
    own, wanted = _family(kind), _family(spec.dtype)
    if kind == spec.dtype or (own, wanted) in CASTS:
        scale = next((other for other in scales if _stem(other) == _stem(key)), "")
        if own == "float8" != wanted and scale:
            raise CheckpointError(
                f"{key} is {kind} with a scale beside it ({scale}), expected {spec.dtype}; "
                "give the file with the scale multiplied in"
            )
        return
    remedy = REMEDIES.get(own, "save it in the module's type")
    raise CheckpointError(f"{key} is {kind}, expected {spec.dtype}; {remedy}")


def is_scale(key: str) -> bool:
    """Whether the entry is what the float8 weight beside it is to be multiplied by, as its name says."""
    return "scale" in key.rpartition(".")[2]


def _stem(key: str) -> str:
    return key.rpartition(".")[0]


def cast_note(casts: Counter[tuple[str, str]]) -> str:
    """What was cast, in one line; empty if nothing was."""
    return ", ".join(
        f"{count} tensor{'s' if count > 1 else ''} cast from {own} to {wanted}"
        f"{' (rounded)' if _BITS.get(own, 0) > _BITS.get(wanted, 64) else ''}"
        for (own, wanted), count in casts.items()
    )


def cast(key: str, values: torch.Tensor, spec: TensorSpec, computed: torch.Tensor | None) -> torch.Tensor:
    """The values in the module's type.

    Args:
        key: of the entry in the file.
        values: of the file.
        spec: of the module's tensor.
        computed: what the module's constructor makes there: a mask of its own may hold infinities.

    Raises:
        CheckpointError: a value is not finite, or not the same in the module's type.
    """
    import torch

    values = values.detach().resolve_conj().resolve_neg()
    made = values.to(torch_type(spec.dtype)).contiguous()
    if not (made.is_floating_point() or made.is_complex()):
        if made.dtype != values.dtype and (lost := int((made.to(values.dtype) != values).sum())):
            raise CheckpointError(
                f"{key}: {lost} of {values.numel()} values of {type_name(values.dtype)} are no {spec.dtype}; "
                "give the file with whole numbers in range"
            )
        return made
    if _all_finite(made):
        return made
    wrong = ~torch.isfinite(made)
    if computed is not None and torch.equal(wrong, ~torch.isfinite(computed)):
        return made
    there = int((~torch.isfinite(values)).sum()) if values.element_size() > 1 else int(wrong.sum())
    if not there:
        raise CheckpointError(
            f"{key}: {int(wrong.sum())} of {made.numel()} values of {type_name(values.dtype)} are out of the "
            f"range of {spec.dtype}; choose another --dtype"
        )
    raise CheckpointError(
        f"{key}: {there} of {made.numel()} values are NaN or infinite, so nothing that is computed with them "
        "can be compared; is the file damaged, or did its training diverge?"
    )


def _all_finite(values: torch.Tensor) -> bool:
    """Whether no value is NaN or infinite, in one pass and without a copy."""
    import torch

    if not values.numel():
        return True
    real = torch.view_as_real(values) if values.is_complex() else values
    low, high = torch.aminmax(real.float() if real.element_size() == 1 else real)
    return bool(torch.isfinite(low) and torch.isfinite(high))
