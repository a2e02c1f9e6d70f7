"""Make the control image of a picture, with networks that run in PyTorch or in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import numpy as np

from onnxlens.api.opened import OpenedTarget
from onnxlens.api.staging import staged
from onnxlens.api.target import Settings
from onnxlens.profile.parity.parity import run_module
from onnxlens.profile.runtime.session import open_session, run
from onnxlens.reference_model.annotators.control_image import annotate
from onnxlens.reference_model.annotators.images import read_image, require_picture_suffix, write_image
from onnxlens.reference_model.weights.choice import published_weights
from onnxlens.specs.progress import Progress, silent

if TYPE_CHECKING:
    from torch import nn

Backend = Literal["torch", "onnx"]


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
        kind: ``canny``, ``hed``, ``mlsd``, ``openpose``, ``depth``, ``normal``, ``seg``, ``scribble``,
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
        self._backend = backend
        self._weights = weights
        self._progress = progress
        self._targets: dict[tuple[str, tuple[int, ...]], OpenedTarget] = {}
        self._modules: dict[str, nn.Module] = {}
        self._stack = ExitStack()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the exports."""
        self._stack.__exit__(kind, error, trace)

    def __call__(self, graph: str, image: np.ndarray) -> Mapping[str, np.ndarray]:
        """The outputs of ``graph``, by name.

        Raises:
            UsageError: the network does not accept the image's size.
            CheckpointError: the weights do not match the network.
        """
        batch, _, height, width = image.shape
        self._progress(f"running {graph} at {height} x {width}", 0, 0)
        key = (graph, image.shape)
        if key not in self._targets:
            weights = published_weights(self._weights, graph)
            settings = Settings(weights=weights, batch=batch, height=height, width=width)
            self._targets[key] = self._stack.enter_context(OpenedTarget(graph, settings, self._progress))
        target, inputs = self._targets[key], {"image": np.ascontiguousarray(image, np.float32)}
        if self._backend == "onnx":
            return run(open_session(target.runnable.onnx_path), inputs)
        outputs = [output.name for output in target.spec.outputs]
        if graph not in self._modules:
            self._modules[graph] = target.take_module(target.weights)
        return run_module(self._modules[graph], inputs, outputs)
