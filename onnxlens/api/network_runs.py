"""Networks of the catalog as functions from an image array to outputs, in PyTorch or in ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import numpy as np

from onnxlens.api.target import Settings, resolve
from onnxlens.export.exporter import ExportRequest, export
from onnxlens.profile.parity.parity import run_module
from onnxlens.profile.runtime.session import open_session, run
from onnxlens.reference_model.weights.choice import published_weights, weight_source
from onnxlens.reference_model.weights.state import filled
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from torch import nn

Backend = Literal["torch", "onnx"]
Outputs = Mapping[str, np.ndarray]


class NetworkRuns(AbstractContextManager["NetworkRuns"]):
    """Runs any graph that takes one ``image`` (1, C, H, W), at the size of the array it is given.

    A module is built once. An exported graph has one size, so ONNX Runtime gets an export for each size asked
    for; they stand in a temporary folder until the context ends.
    """

    def __init__(self, backend: Backend, weights: str | Path, progress: Progress = silent) -> None:
        """Choose the backend, and the weights: ``seeded``, a checkpoint, or a folder of published ones."""
        self._weights = weights
        self._progress = progress
        self._run: Callable[[GraphSpec, np.ndarray], Outputs] = (
            self._in_torch if backend == "torch" else self._in_onnx_runtime
        )
        self._modules: dict[str, nn.Module] = {}
        self._files: dict[tuple[str, tuple[int, ...]], Path] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="onnxlens-")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take away the exports."""
        self._folder.cleanup()

    def __call__(self, graph: str, image: np.ndarray) -> Outputs:
        """The outputs of ``graph``, by name.

        Raises:
            UsageError: the network cannot take the image's size.
            CheckpointError: the weights are not the network's.
        """
        height, width = image.shape[2:]
        self._progress(f"running {graph} at {height} x {width}", 0, 0)
        spec = resolve(graph, Settings(batch=image.shape[0], height=height, width=width)).spec
        return self._run(spec, np.ascontiguousarray(image, np.float32))

    def _in_torch(self, spec: GraphSpec, image: np.ndarray) -> Outputs:
        if spec.name not in self._modules:
            module = spec.build(device="meta")
            source = weight_source(spec, published_weights(self._weights, spec.name), module)
            self._modules[spec.name] = filled(module, source)
        return run_module(
            self._modules[spec.name], {"image": image}, [output.name for output in spec.outputs]
        )

    def _in_onnx_runtime(self, spec: GraphSpec, image: np.ndarray) -> Outputs:
        key = (spec.name, image.shape)
        if key not in self._files:
            folder = Path(self._folder.name) / str(len(self._files))
            folder.mkdir()
            weights = partial(weight_source, spec, published_weights(self._weights, spec.name))
            self._files[key] = export(ExportRequest(spec, weights, spec.name), folder).onnx_path
        return run(open_session(self._files[key]), {"image": image})
