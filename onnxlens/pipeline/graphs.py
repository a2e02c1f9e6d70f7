"""Graphs of the catalog that run, in PyTorch or ONNX Runtime, and are freed before the next is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from types import TracebackType

import numpy as np

from onnxlens.api.opened import OpenedTarget
from onnxlens.api.target import Settings
from onnxlens.errors import CheckpointError
from onnxlens.pipeline.calls import control_of
from onnxlens.pipeline.denoiser import Run
from onnxlens.profile.parity.parity import run_module
from onnxlens.profile.runtime.machine import release_memory
from onnxlens.profile.runtime.session import SessionRequest, open_session, run
from onnxlens.reference_model.weights.choice import published_weights
from onnxlens.specs.generate import Backend, Stage
from onnxlens.specs.progress import Progress, named, silent

SUFFIXES = (".pth", ".safetensors")


@dataclass(slots=True)
class Graphs:
    """Opens the graphs of one pipeline.

    Attributes:
        weights: ``seeded``, a checkpoint that holds all, or a folder of published ones.
        height, width: in pixels.
        stages: what was opened so far, and how long it took.
        opening_s: the time in which graphs were opened; those opened together count once.
    """

    backend: Backend
    weights: str | Path
    height: int
    width: int
    progress: Progress = silent
    stages: list[Stage] = field(default_factory=list)
    opening_s: float = 0.0

    def __post_init__(self) -> None:
        """Raises CheckpointError where there are no such weights."""
        if self.weights != "seeded" and not Path(self.weights).exists():
            raise CheckpointError(
                f"{self.weights}: no such file or folder; give a checkpoint, a folder of them, or seeded"
            )

    def open(self, graph: str, batch: int, weights: str | Path | None = None) -> RunningGraph:
        """A graph to be entered, with ``weights`` or those of all."""
        chosen = published_weights(self.weights, graph) if weights is None else weights
        settings = Settings(weights=chosen, batch=batch, height=self.height, width=self.width)
        return RunningGraph(self, OpenedTarget(graph, settings, named(self.progress, graph)), batch)

    def open_together(self, stack: ExitStack, graphs: Sequence[RunningGraph]) -> None:
        """Enter graphs that run together, until the stack closes.

        To write a graph's weights and to open its session keep one core busy, so ONNX Runtime's are opened at
        the same time; exports are not, as tracing is not made for threads.
        """
        start = perf_counter()
        for graph in graphs:
            stack.push(graph)
            graph.prepare()
        if self.backend == "torch" or len(graphs) == 1:
            for graph in graphs:
                graph.load()
        else:
            self._load_together(graphs)
        self.opening_s += perf_counter() - start

    def _load_together(self, graphs: Sequence[RunningGraph]) -> None:
        names = " and ".join(str(graph.target.target) for graph in graphs)
        self.progress(f"opening {names}", 0, 0)
        for graph in graphs:
            graph.target.progress = silent  # their steps would alternate
        with ThreadPoolExecutor(len(graphs)) as pool:
            for loading in [pool.submit(graph.load) for graph in graphs]:
                loading.result()

    def require_weights(self, graph: str, weights: str | Path | None = None) -> None:
        """Look into a checkpoint before anything runs: is it the graph's?

        Raises:
            CheckpointError: it is missing, or another network's.
        """
        if self.weights != "seeded":
            with self.open(graph, 1, weights).target as target:
                _ = target.weights

    def of_control(self, kind: str) -> str | Path:
        """The weights of the ControlNet for a kind of control.

        Raises:
            CheckpointError: they are not in the folder.
        """
        folder = Path(self.weights)
        if self.weights == "seeded" or not folder.is_dir():
            return self.weights
        names = [f"control_sd15_{control_of(kind)}{suffix}" for suffix in SUFFIXES]
        if found := next((folder / name for name in names if (folder / name).is_file()), None):
            return found
        raise CheckpointError(f"{folder}: holds no ControlNet for {kind}; put {' or '.join(names)} there")


class RunningGraph(AbstractContextManager["RunningGraph"]):
    """One graph, opened on entering the context and freed on leaving it."""

    def __init__(self, graphs: Graphs, target: OpenedTarget, batch: int) -> None:
        """Nothing is opened yet."""
        self.target = target
        self._graphs, self._batch = graphs, batch
        self._run: Run | None = None
        self._opening_s, self._running_s, self._calls = 0.0, 0.0, 0

    def __enter__(self) -> RunningGraph:
        with ExitStack() as stack:  # what a failure leaves is removed
            self._graphs.open_together(stack, [self])
            stack.pop_all()
        return self

    def prepare(self) -> None:
        """Export the graph, unless PyTorch runs it."""
        start = perf_counter()
        if self._graphs.backend == "onnx":
            _ = self.target.manifest  # which an export has
        self._opening_s += perf_counter() - start

    def load(self) -> None:
        """Make what runs it, with its weights."""
        start = perf_counter()
        self._run = self._session() if self._graphs.backend == "onnx" else self._module()
        self._opening_s += perf_counter() - start

    def _session(self) -> Run:
        path = self.target.runnable_path
        return partial(run, open_session(path, request=SessionRequest(memory_pattern=False)))

    def _module(self) -> Run:
        self.target.progress("building", 0, 0)
        outputs = [output.name for output in self.target.spec.outputs]
        inputs = [tensor.name for tensor in self.target.spec.inputs]
        module = self.target.take_module(self.target.weights)
        return lambda given: run_module(module, {name: given[name] for name in inputs}, outputs)

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """The graph's outputs by name, for inputs of its batch and size."""
        assert self._run is not None  # it is called inside its context
        start = perf_counter()
        outputs = self._run(inputs)
        self._running_s += perf_counter() - start
        self._calls += 1
        return outputs

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the weights, and remove the export."""
        self._run = None
        name = str(self.target.target)
        self._graphs.stages.append(Stage(name, self._batch, self._calls, self._opening_s, self._running_s))
        self.target.__exit__(kind, error, trace)
        release_memory()
