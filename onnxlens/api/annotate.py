"""Make the control image of a picture, with networks that run in PyTorch or in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from onnxlens.api.opened import OpenedTarget
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings, resolve
from onnxlens.profile.parity.parity import run_module
from onnxlens.profile.runtime.session import open_session, run
from onnxlens.reference_model.annotators.control_image import annotate
from onnxlens.reference_model.annotators.images import read_image, require_picture_suffix, write_image
from onnxlens.reference_model.weights.choice import published_weights
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from torch import nn

Backend = Literal["torch", "onnx"]
Outputs = Mapping[str, np.ndarray]


def annotate_picture(
    picture: Path | str,
    kind: str,
    out: Path | str,
    *,
    backend: Backend = "torch",
    weights: str | Path = "seeded",
    progress: Progress = silent,
) -> Path:
    """Make the control image of a picture and write it.

    Args:
        picture: a picture file that OpenCV can read.
        kind: ``canny``, ``hed``, ``mlsd``, ``openpose``, ``depth``, ``normal``, ``scribble``,
            ``scribble-drawing``.
        out: the picture file to write; its suffix, such as .png, names the format.
        backend: what runs the networks: ``torch`` or ``onnx``.
        weights: ``seeded``, a checkpoint, or a folder of published ones.
        progress: shows each network as it runs.

    Raises:
        UsageError: the picture, the kind or ``out`` cannot be used.
        CheckpointError: the weights do not match the networks.
    """
    path = Path(out)
    require_picture_suffix(path)
    image = read_image(Path(picture))
    with staged(path.parent) as stage, NetworkRuns(backend, weights, progress) as run:
        write_image(annotate(image, kind, run), stage / path.name)
    return path


class NetworkRuns(AbstractContextManager["NetworkRuns"]):
    """Runs graphs whose one input is ``image`` (1, C, H, W), at the size of the array that is passed in.

    A module is built once. An exported graph has a fixed size, so ONNX Runtime gets an export for each size,
    in a temporary folder that is removed with the context.
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
        self._stack = ExitStack()

    def __exit__(self, *_: object) -> None:
        """Remove the exports."""
        self._stack.close()

    def __call__(self, graph: str, image: np.ndarray) -> Outputs:
        """The outputs of ``graph``, by name.

        Raises:
            UsageError: the network does not accept the image's size.
            CheckpointError: the weights do not match the network.
        """
        height, width = image.shape[2:]
        self._progress(f"running {graph} at {height} x {width}", 0, 0)
        spec = resolve(graph, Settings(batch=image.shape[0], height=height, width=width)).spec
        return self._run(spec, np.ascontiguousarray(image, np.float32))

    def _opened(self, spec: GraphSpec, image: np.ndarray) -> OpenedTarget:
        """The graph at the image's size, with its weights."""
        batch, _, height, width = image.shape
        weights = published_weights(self._weights, spec.name)
        settings = Settings(weights=weights, batch=batch, height=height, width=width)
        return self._stack.enter_context(OpenedTarget(spec.name, settings, self._progress))

    def _in_torch(self, spec: GraphSpec, image: np.ndarray) -> Outputs:
        if spec.name not in self._modules:
            it = self._opened(spec, image)
            self._modules[spec.name] = it.take_module(it.weights)
        return run_module(
            self._modules[spec.name], {"image": image}, [output.name for output in spec.outputs]
        )

    def _in_onnx_runtime(self, spec: GraphSpec, image: np.ndarray) -> Outputs:
        key = (spec.name, image.shape)
        if key not in self._files:
            self._files[key] = self._opened(spec, image).runnable.onnx_path
        return run(open_session(self._files[key]), {"image": image})
