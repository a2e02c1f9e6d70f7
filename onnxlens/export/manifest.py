"""The manifest of an export: what the nn.Module itself says of its modules, parameters and buffers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from onnxlens.specs.graph import GraphSpec, WeightSource
from onnxlens.specs.manifest import Manifest, StateTensor

if TYPE_CHECKING:
    from torch import nn

WRITERS = ("onnxlens", "torch", "onnxscript", "onnx-ir", "onnx")
"""The packages whose versions decide what an exported file looks like."""


def manifest_of(
    spec: GraphSpec,
    module: nn.Module,
    source: WeightSource,
    opset: int,
    origin: str,
    settings: Mapping[str, int],
    dtype: str | None,
) -> Manifest:
    """The manifest of ``module``, exported from ``spec`` with the weights of ``source``."""
    return Manifest(
        graph=spec.name,
        origin=origin,
        family=spec.family,
        opset=opset,
        settings=dict(settings),
        weights=source.label,
        has_weights=source.has_values,
        inputs=spec.inputs,
        outputs=spec.outputs,
        input_ranges=dict(spec.input_ranges),
        modules={path: type(child).__name__ for path, child in module.named_modules()},
        tensors=_state_tensors(module, source),
        versions={package: version(package) for package in WRITERS},
        dtype=dtype,
    )


def _state_tensors(module: nn.Module, source: WeightSource) -> tuple[StateTensor, ...]:
    """Every entry of the ``state_dict``, in its order."""
    parameters = {name for name, _ in module.named_parameters()}
    return tuple(
        StateTensor(
            name,
            tensor.dtype,
            tuple(dim for dim in tensor.shape if isinstance(dim, int)),
            "parameter" if name in parameters else "buffer",
        )
        for name, tensor in source.tensors.items()
    )
